//! Running judged statements on SQLite, as a data Host does.

use gridmart_fabric::sqlite::functions::{self, value};
use rusqlite::{Connection, ErrorCode, types::Value};

use super::*;

/// When every transaction of a test begins.
pub(super) const BEGAN: &str = "2024-05-06 07:08:09.123456Z";

/// Rows as PostgreSQL shows them; NULL is `∅`.
pub(super) type Rows = Vec<Vec<String>>;

/// What a statement comes to: rows, or the code and message of an error.
pub(super) type Outcome = Result<Rows, (String, String)>;

/// A database, its schema, and whose rules it is read through.
pub(super) struct Base {
    pub(super) connection: Connection,
    pub(super) catalog: Catalog,
}

impl Base {
    pub(super) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        functions::register(&connection).unwrap();
        connection
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)
            .unwrap();
        connection
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)
            .unwrap();
        connection
            .set_db_config(
                rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
                false,
            )
            .unwrap();
        connection
            .pragma_update(None, "foreign_keys", true)
            .unwrap();
        Self {
            connection,
            catalog: Catalog::new(),
        }
    }

    /// Runs an owner's statements, all of which have to succeed.
    pub(super) fn own(&mut self, text: &str) {
        let statements = Statements::split(text).unwrap();
        for statement in statements.iter() {
            let rules = Rules::everything(&self.catalog);
            let judged = judge(statement, &self.catalog, &rules, &[], Engine::Sqlite)
                .unwrap_or_else(|refusal| panic!("{refusal} at {:?} in {text}", refusal.position));
            run(&self.connection, &judged, &Person::default(), &[])
                .unwrap_or_else(|error| panic!("{error:?}: {}", judged.text));
            if let Kind::Schema(change) = judged.kind {
                self.catalog.apply(*change);
            }
        }
    }

    /// Judges and runs one statement.
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
        run(&self.connection, &judged, person, parameters)
            .map_err(|(state, message)| (state, format!("{message} in {}", judged.text)))
    }

    pub(super) fn judged(&self, text: &str, rules: &Rules) -> Result<Judged, Refusal> {
        let statements = Statements::split(text)?;
        let mut iter = statements.iter();
        let statement = iter.next().expect("a statement");
        assert!(iter.next().is_none(), "several statements: {text}");
        judge(statement, &self.catalog, rules, &[], Engine::Sqlite)
    }
}

/// Runs a judged statement; one that fails is undone.
pub(super) fn run(
    connection: &Connection,
    judged: &Judged,
    person: &Person,
    parameters: &[Literal],
) -> Outcome {
    if judged.text.is_empty() {
        return Ok(Vec::new());
    }
    connection.execute_batch("SAVEPOINT one").unwrap();
    let outcome = if matches!(judged.kind, Kind::Schema(_)) {
        // One change may be several statements.
        connection.execute_batch(&judged.text).map(|()| Vec::new())
    } else {
        query(connection, judged, person, parameters)
    };
    let end = if outcome.is_ok() {
        "RELEASE one"
    } else {
        "ROLLBACK TO one; RELEASE one"
    };
    connection.execute_batch(end).unwrap();
    outcome.map_err(|error| code_of(&error))
}

fn query(
    connection: &Connection,
    judged: &Judged,
    person: &Person,
    parameters: &[Literal],
) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare(&judged.text)?;
    let bound = judged
        .bound
        .iter()
        .map(|bound| stored(&bound.value(person, parameters, BEGAN)));
    let mut rows = statement.query(rusqlite::params_from_iter(bound))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let mut shown = Vec::with_capacity(judged.columns.len());
        for (index, column) in judged.columns.iter().enumerate() {
            shown.push(show(row.get(index)?, column.sql_type));
        }
        all.push(shown);
    }
    Ok(all)
}

/// A constant as SQLite keeps it.
pub(super) fn stored(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(truth) => Value::Integer(i64::from(*truth)),
        Literal::Integer(number) => Value::Integer(*number),
        Literal::Float(number) if number.is_nan() => Value::Text("NaN".to_owned()),
        Literal::Float(number) => Value::Real(*number),
        Literal::Numeric(text) | Literal::Text(text) => Value::Text(text.clone()),
        Literal::Bytes(bytes) => Value::Blob(bytes.clone()),
    }
}

/// A stored value as PostgreSQL shows it. What is not kept as its type asks is a
/// failure of the judge.
fn show(value: Value, sql_type: BaseType) -> String {
    match (value, sql_type) {
        (Value::Null, _) => "∅".to_owned(),
        (Value::Integer(0), BaseType::Bool) => "f".to_owned(),
        (Value::Integer(1), BaseType::Bool) => "t".to_owned(),
        (Value::Integer(number), BaseType::Int2 | BaseType::Int4 | BaseType::Int8) => {
            number.to_string()
        }
        (Value::Real(number), BaseType::Float8) => value::float_text(number, 64),
        (Value::Real(number), BaseType::Float4) => value::float_text(number, 32),
        (Value::Text(text), BaseType::Float4 | BaseType::Float8) if text == "NaN" => text,
        (Value::Text(text), BaseType::Time | BaseType::Timestamp | BaseType::TimestampTz) => {
            value::moment_shown(&text)
        }
        (
            Value::Text(text),
            BaseType::Numeric
            | BaseType::Text
            | BaseType::Varchar
            | BaseType::Date
            | BaseType::Uuid
            | BaseType::Json
            | BaseType::Jsonb,
        ) => text,
        (Value::Blob(bytes), BaseType::Bytea) => {
            let digits = hex::encode(bytes);
            format!("\\x{digits}")
        }
        (value, sql_type) => panic!("{value:?} is kept for a {sql_type}"),
    }
}

fn code_of(error: &rusqlite::Error) -> (String, String) {
    if let Some(failure) = functions::failure(error) {
        return failure;
    }
    let state = match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::ConstraintViolation => {
            match code.extended_code {
                1299 => "23502",
                275 => "23514",
                787 => "23503",
                _ => "23505",
            }
        }
        _ => "XX000",
    };
    (state.to_owned(), error.to_string())
}
