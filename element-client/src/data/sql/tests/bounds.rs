//! Statements that are too much of something, parameters, and what is told about a
//! statement.

use BaseType::{Bool, Date, Float8, Int4, Int8, Numeric, Text};

use super::{
    shop::{clerk, clerk_rules, whole},
    *,
};

fn refusal_of(text: &str) -> &'static str {
    let base = whole();
    let rules = Rules::everything(&base.catalog);
    let statements = match Statements::split(text) {
        Ok(statements) => statements,
        Err(refusal) => return refusal.state,
    };
    match judge(
        statements.iter().next().unwrap(),
        &base.catalog,
        &rules,
        &[],
        Engine::Sqlite,
    ) {
        Ok(_) => "",
        Err(refusal) => refusal.state,
    }
}

#[test]
fn deep_and_long_statements_are_refused_and_break_nothing() {
    let deep = 10_000;
    let many = |count: usize, what: &str, between: &str| vec![what; count].join(between);
    for text in [
        format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("SELECT {}1", "-(".repeat(deep)),
        format!("SELECT {}true", "NOT ".repeat(deep)),
        format!("SELECT {}1", "- ".repeat(deep)),
        format!("SELECT {}", many(deep, "1", " + ")),
        format!("SELECT {}", many(deep, "'a'", " || ")),
        format!("SELECT {}", many(deep, "true", " AND ")),
        many(deep, "SELECT 1", " UNION ALL "),
        format!(
            "{}SELECT 1{}",
            "SELECT * FROM (".repeat(deep),
            ") x".repeat(deep)
        ),
        format!(
            "SELECT {}1{}",
            "CASE WHEN true THEN ".repeat(deep),
            " END".repeat(deep)
        ),
        format!("SELECT {}1{}", "coalesce(".repeat(deep), ")".repeat(deep)),
        format!("SELECT 1{}", "::int".repeat(deep)),
        format!("SELECT a{}", "[1]".repeat(deep)),
        format!("SELECT 1 {}", "IS NULL ".repeat(deep)),
        format!(
            "{}SELECT 1{}",
            "WITH a AS (".repeat(deep),
            ") SELECT 1".repeat(deep)
        ),
        format!(
            "SELECT 1 WHERE {}SELECT 1{}",
            "1 IN (".repeat(deep),
            ")".repeat(deep)
        ),
        format!("SELECT 1 FROM {}a{}", "(".repeat(deep), ")".repeat(deep)),
        format!("SELECT 1 FROM employees {}", "JOIN employees ".repeat(deep)),
    ] {
        let state = refusal_of(&text);
        assert!(
            ["54001", "54000"].contains(&state),
            "{state}: {}",
            &text[..60]
        );
    }
    // What the parser or an engine would refuse for its depth.
    assert_eq!(
        refusal_of(&format!("SELECT {}", many(1_500, "1", " + "))),
        "54001"
    );
    assert_eq!(
        refusal_of(&format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60))),
        "54001"
    );
}

#[test]
fn there_is_a_bound_for_everything_that_multiplies() {
    let joins: Vec<String> = (0..70)
        .map(|number| format!("employees e{number}"))
        .collect();
    assert_eq!(
        refusal_of(&format!("SELECT 1 FROM {}", joins.join(", "))),
        "54000"
    );
    let columns = vec!["1"; 1_700].join(", ");
    assert_eq!(refusal_of(&format!("SELECT {columns}")), "54000");
    assert_eq!(refusal_of(&format!("VALUES ({columns})")), "54000");
    assert_eq!(refusal_of("SELECT $20000"), "54000");
    // Each doubles the one before it: named again and again, none is written twice.
    let doubling: Vec<String> = (1..25)
        .map(|n| format!("a{n} AS (SELECT x.v FROM a{} x, a{} y)", n - 1, n - 1))
        .collect();
    assert_eq!(
        refusal_of(&format!(
            "WITH a0 AS (SELECT 1 AS v), {} SELECT 1",
            doubling.join(", ")
        )),
        "54000"
    );
    let mut base = whole();
    base.own("CREATE VIEW v0 AS SELECT id FROM employees");
    for n in 1..10 {
        let text = format!(
            "CREATE VIEW v{n} AS SELECT a.id FROM v{} a, v{} b",
            n - 1,
            n - 1
        );
        let everything = Rules::everything(&base.catalog);
        match base.judged(&text, &everything) {
            Ok(_) => base.own(&text),
            Err(refusal) => return assert_eq!(refusal.state, "54000"),
        }
    }
    panic!("views multiply without a bound");
}

#[test]
fn long_flat_statements_are_taken() {
    let list = (0..30_000)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        refusal_of(&format!("SELECT 1 FROM employees WHERE id IN ({list})")),
        ""
    );
    let rows = (0..40_000)
        .map(|number| format!("({number}, 'x{number}')"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        refusal_of(&format!("INSERT INTO employees (id, name) VALUES {rows}")),
        ""
    );
    let any = (0..900)
        .map(|number| format!("id = {number}"))
        .collect::<Vec<_>>()
        .join(" OR ");
    assert_eq!(
        refusal_of(&format!("SELECT 1 FROM employees WHERE {any}")),
        ""
    );
    let large = format!("SELECT '{}'", "x".repeat((1 << 20) - 20));
    assert_eq!(refusal_of(&large), "");
    let base = whole();
    let rules = Rules::everything(&base.catalog);
    let found = base
        .ask(
            &format!("SELECT count(*) FROM employees WHERE {any}"),
            &rules,
            &clerk(),
            &[],
        )
        .unwrap();
    assert_eq!(found, [["8"]]);
}

#[test]
fn a_small_stack_is_enough() {
    let work = || {
        let chain = vec!["id = 1"; 600].join(" OR ");
        assert_eq!(
            refusal_of(&format!("SELECT 1 FROM employees WHERE {chain}")),
            ""
        );
        assert_eq!(
            refusal_of(&format!("SELECT {}", vec!["1"; 3_900].join(" + "))),
            "54001"
        );
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn parameters_take_their_types_from_their_places() {
    let base = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Write), &base.catalog).unwrap();
    let judged = |text: &str| base.judged(text, &rules).unwrap();
    for (text, types) in [
        (
            "SELECT name FROM employees WHERE id = $1 AND hired > $2 AND salary < $3",
            vec![Int4, Date, Numeric],
        ),
        (
            "SELECT $1, $2::bigint, $3 || 'x', $4 + 1",
            vec![Text, Int8, Text, Int4],
        ),
        (
            "SELECT name FROM employees WHERE $1 LIMIT $2",
            vec![Bool, Int8],
        ),
        (
            "SELECT id FROM employees WHERE rating IN ($1, $2) OR name = ANY (SELECT $3)",
            vec![Float8, Float8, Text],
        ),
        (
            "INSERT INTO orders (id, employee, amount) VALUES ($1, $2, $3)",
            vec![Int8, Int4, Numeric],
        ),
        (
            "UPDATE employees SET hired = $2 WHERE id = $1",
            vec![Int4, Date],
        ),
        (
            "SELECT coalesce($1, 5), CASE WHEN $2 THEN 1 END, upper($3)",
            vec![Int4, Bool, Text],
        ),
        ("SELECT 1 UNION SELECT $1", vec![Int4]),
    ] {
        assert_eq!(judged(text).parameters, types, "{text}");
    }
    let select = "SELECT name FROM employees WHERE id = $2 AND branch = $1 AND id = $2";
    let parameters = [Literal::Text("north".to_owned()), Literal::Integer(2)];
    assert_eq!(
        base.ask(select, &rules, &clerk(), &parameters).unwrap(),
        [["Ben"]]
    );
    assert_eq!(
        base.judged("SELECT 1 LIMIT $2", &rules).unwrap_err().state,
        "42P18"
    );
    let everything = Rules::everything(&base.catalog);
    let statements = Statements::split("SELECT $1").unwrap();
    let declared = judge(
        statements.iter().next().unwrap(),
        &base.catalog,
        &everything,
        &[Some(Int8)],
        Engine::Postgres,
    )
    .unwrap();
    assert_eq!(
        (declared.parameters, declared.text.as_str()),
        (vec![Int8], "SELECT CAST($1 AS bigint) AS c0")
    );
    assert_eq!(
        base.ask(
            "SELECT name FROM employees ORDER BY id LIMIT $1",
            &rules,
            &clerk(),
            &[Literal::Integer(-1)]
        )
        .unwrap_err()
        .0,
        "2201W"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list")]
fn a_judgement_tells_what_a_statement_is() {
    let base = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Write), &base.catalog).unwrap();
    let judged = |text: &str| base.judged(text, &rules).unwrap();
    let read = judged(
        "SELECT e.id, count(*) AS n FROM employees e JOIN orders o ON o.employee = e.id GROUP BY e.id",
    );
    assert_eq!(
        (&read.kind, read.tag, read.cacheable),
        (&Kind::Read, "SELECT", true)
    );
    let names: Vec<(&str, BaseType)> = read
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.sql_type))
        .collect();
    assert_eq!(names, [("id", BaseType::Int4), ("n", BaseType::Int8)]);
    assert_eq!(
        read.tables.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        ["employees", "orders"]
    );
    assert_eq!(
        read.attributes
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>(),
        ["branch"]
    );
    assert_eq!(judged("DELETE FROM orders").kind, Kind::Write);
    assert_eq!(
        judged("BEGIN").kind,
        Kind::Transaction(Transaction::Begin {
            read_only: None,
            strict: None,
        })
    );
    assert_eq!(
        judged("START TRANSACTION READ ONLY").kind,
        Kind::Transaction(Transaction::Begin {
            read_only: Some(true),
            strict: None,
        })
    );
    assert_eq!(judged("COMMIT").tag, "COMMIT");
    assert_eq!(judged("END").kind, Kind::Transaction(Transaction::Commit));
    assert_eq!(
        judged("ROLLBACK TO SAVEPOINT a").kind,
        Kind::Transaction(Transaction::RollbackTo("a".to_owned()))
    );
    assert_eq!(
        judged("SAVEPOINT A").kind,
        Kind::Transaction(Transaction::Savepoint("a".to_owned()))
    );
    assert_eq!(
        judged("RELEASE a").kind,
        Kind::Transaction(Transaction::Release("a".to_owned()))
    );
    let set = |name, value: &str, local| {
        Kind::Session(Session::Set {
            name,
            value: Some(value.to_owned()),
            local,
        })
    };
    assert_eq!(
        judged("SET gridmart.read = 'core'").kind,
        set("gridmart.read", "core", false)
    );
    assert_eq!(
        judged("SET LOCAL statement_timeout TO '5s'").kind,
        set("statement_timeout", "5s", true)
    );
    assert_eq!(
        judged("SET application_name = 'x'").kind,
        set("application_name", "x", false)
    );
    assert_eq!(
        judged("SET TIME ZONE 'UTC'").kind,
        set("timezone", "UTC", false)
    );
    assert_eq!(
        judged("SET extra_float_digits = 3").kind,
        set("extra_float_digits", "3", false)
    );
    assert_eq!(
        judged("SHOW server_version").kind,
        Kind::Session(Session::Show("server_version"))
    );
    assert_eq!(
        judged("SHOW gridmart.read").kind,
        Kind::Session(Session::Show("gridmart.read"))
    );
    assert_eq!(judged("RESET ALL").kind, Kind::Session(Session::ResetAll));
    let place = base
        .judged("SELECT name,\n  nothing FROM employees", &rules)
        .unwrap_err();
    assert_eq!((place.state, place.position), ("42703", Some(16)));
}

#[test]
fn a_plain_read_reaches_the_index_through_a_rule() {
    let base = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Read), &base.catalog).unwrap();
    let plan = |text: &str| {
        let judged = base.judged(text, &rules).unwrap();
        let mut explained = base
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", judged.text))
            .unwrap();
        let count = judged.bound.len();
        let lines = explained
            .query_map(rusqlite::params_from_iter(vec!["north"; count]), |row| {
                row.get::<_, String>(3)
            })
            .unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    let point = plan("SELECT name, salary FROM employees WHERE id = 1");
    assert!(
        point.starts_with("SEARCH") && !point.contains("SCAN"),
        "{point}"
    );
    // One that could tell has its rows chosen first.
    let telling = plan("SELECT name FROM employees WHERE 1 / id = 1");
    assert!(
        telling.contains("CO-ROUTINE") || telling.contains("MATERIALIZE"),
        "{telling}"
    );
}
