//! The corpus against MariaDB itself, which `scripts/setup` installs: a private server
//! answers over the whole shop what was judged for it, or the judge has refused it as
//! something that MariaDB does not do as PostgreSQL does. How much it refuses has a
//! ceiling.

use gridmart_fabric::{sqlite::functions::value::float_text, test_mariadb::MariaDbServer};
use gridmart_host::data::engine::{
    Engine as _, EngineError, Limits, Statement, StatementKind, TransactionLimits,
    mariadb::{Access, MariaDb},
};
use gridmart_schemas::data::{Row, SqlType, Value};

use super::{
    corpus::{ATTACKS, LEGITIMATE, compared, lines},
    shop::{self, clerk, clerk_rules},
    sqlite::{BEGAN, Base, Outcome},
    *,
};
use crate::data::parameter;

/// Of the legitimate statements: they grow fewer, never more.
const REFUSED_MAX: usize = 24;

/// MariaDB's floats are numbers: others stand in their place, in both databases.
pub(super) fn finite(data: &str) -> String {
    data.replace("'NaN'", "7.25")
        .replace("'-Infinity'", "-1e300")
        .replace("'Infinity'", "8.5")
        .replace("'-0'", "0")
}

/// A database on a private server.
pub(super) struct OnMaria {
    runtime: tokio::runtime::Runtime,
    database: MariaDb,
    pub(super) catalog: Catalog,
    _server: MariaDbServer,
}

impl OnMaria {
    pub(super) fn new() -> Self {
        let server = MariaDbServer::start();
        let access = Access::of_url(&server.url()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(async {
            access.check().await.unwrap();
            access.create("gridmart_shop").await.unwrap();
            MariaDb::new(&access, "gridmart_shop")
        });
        Self {
            runtime,
            database,
            catalog: Catalog::new(),
            _server: server,
        }
    }

    /// Runs an owner's statements, all of which have to succeed.
    pub(super) fn own(&mut self, text: &str) {
        let statements = Statements::split(text).unwrap();
        for statement in statements.iter() {
            let rules = Rules::everything(&self.catalog);
            let judged = judge(statement, &self.catalog, &rules, &[], Engine::MariaDb)
                .unwrap_or_else(|refusal| panic!("{refusal} at {:?} in {text}", refusal.position));
            self.run(&judged, &Person::default(), &[])
                .unwrap_or_else(|error| panic!("{error:?}: {}", judged.text));
            if let Kind::Schema(change) = judged.kind {
                self.catalog.apply(*change);
            }
        }
    }

    pub(super) fn judged(&self, text: &str, rules: &Rules) -> Result<Judged, Refusal> {
        let statements = Statements::split(text)?;
        let mut iter = statements.iter();
        let statement = iter.next().expect("a statement");
        assert!(iter.next().is_none(), "several statements: {text}");
        judge(statement, &self.catalog, rules, &[], Engine::MariaDb)
    }

    pub(super) fn ask(
        &self,
        text: &str,
        rules: &Rules,
        person: &Person,
        parameters: &[Literal],
    ) -> Outcome {
        let judged = self
            .judged(text, rules)
            .map_err(|refusal| (refusal.state.to_owned(), refusal.message))?;
        self.run(&judged, person, parameters)
            .map_err(|(state, message)| (state, format!("{message} in {}", judged.text)))
    }

    fn run(&self, judged: &Judged, person: &Person, parameters: &[Literal]) -> Outcome {
        if judged.text.is_empty() {
            return Ok(Vec::new());
        }
        let statement = statement(judged, person, parameters);
        let rows = self.runtime.block_on(async {
            if statement.kind == StatementKind::Read {
                let stream = self.database.read(statement, Limits::default()).await?;
                return stream.collect().await;
            }
            let written = self.database.write(statement, Limits::default()).await?;
            Ok(written.rows)
        });
        outcome(rows)
    }

    /// Runs statements of a transaction that is taken back.
    pub(super) fn undone(&self, judged: &[&Judged], person: &Person) -> Vec<Outcome> {
        self.runtime.block_on(async {
            let begun = self.database.begin(TransactionLimits::default()).await;
            let mut transaction = begun.unwrap();
            let mut all = Vec::new();
            for judged in judged {
                let statement = statement(judged, person, &[]);
                let written = transaction.run(statement, Limits::default()).await;
                all.push(outcome(written.map(|written| written.rows)));
            }
            transaction.rollback().await.unwrap();
            all
        })
    }
}

/// What was judged, as the engine takes it.
fn statement(judged: &Judged, person: &Person, parameters: &[Literal]) -> Statement {
    let bound = judged.bound.iter();
    let values = bound
        .map(|bound| parameter::value(bound.value(person, parameters, BEGAN)))
        .collect();
    let kind = match judged.kind {
        Kind::Read => StatementKind::Read,
        Kind::Schema(_) => StatementKind::Schema,
        _ => StatementKind::Rows,
    };
    let types: Vec<SqlType> = judged
        .columns
        .iter()
        .map(|column| column.sql_type.into())
        .collect();
    Statement::new(kind, judged.text.clone())
        .with(values)
        .giving(types)
}

fn outcome(rows: Result<Vec<Row>, EngineError>) -> Outcome {
    let rows = rows.map_err(|error| (error.sql_state().to_owned(), error.to_string()))?;
    Ok(rows
        .into_iter()
        .map(|row| row.iter().map(shown).collect())
        .collect())
}

/// A value as PostgreSQL shows it.
fn shown(value: &Value) -> String {
    use gridmart_fabric::sqlite::functions::value::moment_shown;
    match value {
        Value::Null => "∅".to_owned(),
        Value::Bool(truth) => if *truth { "t" } else { "f" }.to_owned(),
        Value::Int2(number) => number.to_string(),
        Value::Int4(number) => number.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Float4(number) => float_text(number.get().into(), 32),
        Value::Float8(number) => float_text(number.get(), 64),
        Value::Numeric(number) => number.to_string(),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytea(bytes) => format!("\\x{}", hex::encode(bytes)),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => moment_shown(&time.to_string()),
        Value::Timestamp(moment) => moment_shown(&moment.to_string()),
        Value::TimestampTz(moment) => moment_shown(&moment.to_string()),
        Value::Uuid(uuid) => uuid.to_string(),
    }
}

/// The whole shop on MariaDB, and its twin on SQLite.
pub(super) fn both() -> (OnMaria, Base) {
    let mut whole = OnMaria::new();
    whole.own(shop::SCHEMA);
    whole.own(&finite(shop::DATA));
    (whole, shop::twin_with(&finite(shop::DATA)))
}

#[test]
fn statements_are_answered_on_mariadb_as_on_postgresql() {
    let (whole, twin) = both();
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let everything = Rules::everything(&twin.catalog);
    let (mut wrong, mut refused, mut count) = (Vec::new(), Vec::new(), 0);
    for text in lines(LEGITIMATE) {
        count += 1;
        let expected = compared(text, twin.ask(text, &everything, &clerk(), &[]));
        let outcome = whole.ask(text, &rules, &clerk(), &[]);
        let shown = format!("{outcome:?}");
        let got = compared(text, outcome);
        if got == Err("0A000".to_owned()) && got != expected {
            refused.push(format!("{text}\n  {shown}"));
        } else if got != expected {
            wrong.push(format!(
                "{text}\n  on MariaDB: {shown}\n  expected: {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} statements:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        refused.len() <= REFUSED_MAX,
        "{} of {count} are refused:\n{}",
        refused.len(),
        refused.join("\n")
    );
}

#[test]
fn attacks_on_mariadb_are_refused_or_see_filtered_tables_only() {
    let (whole, twin) = both();
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let everything = Rules::everything(&twin.catalog);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in lines(ATTACKS) {
        let (expected, text) = line.split_once(' ').expect("code and statement");
        let single = Statements::split(text).is_ok_and(|statements| statements.len() == 1);
        if !single {
            continue;
        }
        count += 1;
        let outcome = whole.ask(text, &rules, &clerk(), &[]);
        let shown = format!("{outcome:?}");
        let got = compared(text, outcome);
        let fine = if expected == "=" {
            got == compared(text, twin.ask(text, &everything, &clerk(), &[]))
        } else {
            got == Err(expected.to_owned())
        };
        if !fine && got != Err("0A000".to_owned()) {
            wrong.push(format!("{line}\n  came to {shown}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} attacks:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200, "{count} attacks");
}

#[test]
fn what_could_fail_on_mariadb_is_computed_behind_a_barrier() {
    let whole = shop::whole();
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let has_barrier = |text: &str| {
        let statements = Statements::split(text).unwrap();
        let statement = statements.iter().next().unwrap();
        let judged = judge(statement, &whole.catalog, &rules, &[], Engine::MariaDb).unwrap();
        judged.text.contains("LIMIT 18446744073709551615")
    };
    for (text, expected) in [
        ("SELECT name FROM employees WHERE id = 1", false),
        (
            "SELECT name || nick, id / 2 FROM employees WHERE id = 1",
            false,
        ),
        ("SELECT name FROM employees WHERE id / 2 = 1", true),
        ("SELECT name FROM employees WHERE name || nick = 'x'", true),
        (
            "SELECT max(length(replace(name, 'a', 'b'))) FROM employees GROUP BY concat(name, nick)",
            true,
        ),
        (
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM employees WHERE repeat(name, 2) = 'x')",
            true,
        ),
    ] {
        assert_eq!(has_barrier(text), expected, "{text}");
    }
}

/// Statements with values, and quotients of many kinds.
#[expect(clippy::too_many_lines, reason = "a list")]
fn cases() -> Vec<(&'static str, Vec<Literal>)> {
    let text = |text: &str| Literal::Text(text.to_owned());
    let number = |digits: &str| Literal::Numeric(digits.to_owned());
    vec![
        (
            "SELECT count(*), 'a%' LIKE $1 FROM employees WHERE name LIKE $2",
            vec![text("a%"), text("%e%")],
        ),
        (
            "SELECT count(*) FROM employees WHERE nick LIKE $1 GROUP BY active",
            vec![text("e\\%")],
        ),
        (
            "SELECT max(name) FROM employees WHERE name LIKE $1",
            vec![text("%\\\\")],
        ),
        (
            "SELECT id FROM samples WHERE n = $1 ORDER BY id",
            vec![number("1.100")],
        ),
        (
            "SELECT $1::numeric, $2::int, $3::float8, $4::boolean",
            vec![
                number("1.500"),
                Literal::Integer(-5),
                Literal::Float(0.1),
                Literal::Bool(true),
            ],
        ),
        (
            "SELECT $1::timestamptz, $2::date, $3::time, $4::bytea",
            vec![
                text("2024-01-02 03:04:05.600000Z"),
                text("2024-02-29"),
                text("23:00:00.000000"),
                Literal::Bytes(vec![0, 63, 255]),
            ],
        ),
        (
            "SELECT id FROM samples WHERE tz = $1 OR y = $2 OR d = $3 ORDER BY id",
            vec![
                text("2024-01-01 00:00:00.000000Z"),
                Literal::Bytes(b"a".to_vec()),
                text("2023-12-31"),
            ],
        ),
        (
            "SELECT name FROM employees ORDER BY id LIMIT $1 OFFSET $2",
            vec![Literal::Integer(2), Literal::Integer(1)],
        ),
        (
            "SELECT substr('hello', $1, $2)",
            vec![Literal::Integer(-1), Literal::Integer(4)],
        ),
        (
            "SELECT id, amount / 3, 1 / (amount + 1), amount / (id + 0.001) FROM orders ORDER BY id",
            vec![],
        ),
        (
            "SELECT 0.0 / 7, -1 / 3.0, 100000.0 / 3, 99999999 / 7.00, 1 / 7000.0, 12345.678 / 0.001, 9999 / 9999.0, 10000 / 1.0",
            vec![],
        ),
        (
            "SELECT (amount / 3)::numeric(10, 2), round(amount, 1) / 9 > 1 FROM orders ORDER BY amount / 3, id",
            vec![],
        ),
        (
            "SELECT avg(amount), avg(DISTINCT salary), avg(i.quantity) FILTER (WHERE i.quantity > 1) FROM orders o JOIN employees e ON e.id = o.employee LEFT JOIN items i ON i.order_id = o.id",
            vec![],
        ),
        (
            "SELECT employee, avg(amount) FROM orders GROUP BY employee ORDER BY avg(amount) DESC, employee",
            vec![],
        ),
        ("SELECT avg(amount) FROM orders WHERE false", vec![]),
        ("SELECT 1.0 / (id - id) FROM orders", vec![]),
        ("SELECT sqrt(id - 3::float8) FROM employees", vec![]),
        (
            "SELECT make_date(2024, id, 31) FROM employees WHERE id = 1",
            vec![],
        ),
        (
            "SELECT make_date(2024, id, 31) FROM employees WHERE id = 2",
            vec![],
        ),
    ]
}

#[test]
fn values_beside_the_text_and_quotients_are_as_on_postgresql() {
    let (whole, _) = both();
    let twin = shop::whole_with(&finite(shop::DATA));
    let (rules, everything) = (
        Rules::everything(&whole.catalog),
        Rules::everything(&twin.catalog),
    );
    let (mut wrong, mut failed) = (Vec::new(), Vec::new());
    for (text, values) in &cases() {
        let got = whole.ask(text, &rules, &clerk(), values);
        let expected = twin.ask(text, &everything, &clerk(), values);
        failed.extend(expected.clone().err().map(|(state, _)| state));
        if compared(text, got.clone()) != compared(text, expected.clone()) {
            wrong.push(format!(
                "{text}\n  on MariaDB: {got:?}\n  expected: {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(failed, ["22012", "2201F", "22008"]);
}
