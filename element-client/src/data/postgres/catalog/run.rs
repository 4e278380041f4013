//! Answering a question about the catalog.

use std::time::{Duration, Instant};

use gridmart_schemas::data::{Float8, Row, Value};
use rusqlite::{
    Connection, ErrorCode,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
    types::{Value as Stored, ValueRef},
};
use sqlparser::{ast::Statement, dialect::PostgreSqlDialect, parser::Parser};

use super::{
    columns::{Output, outputs},
    contents::Contents,
    functions::register,
    rewrite::rewritten,
    shape::{Type, schema},
};
use crate::data::{
    postgres::{
        run::refused,
        wire::backend::{Fault, Field},
    },
    sql::{BaseType, Literal, StatementText},
};

/// An answer takes so long at most.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Rows of an answer.
const ROWS_MAX: usize = 100_000;
/// Bytes of one value, or of one statement.
const BYTES_MAX: i32 = 4 * 1024 * 1024;
/// Steps of SQLite between two looks at the time.
const STEPS: i32 = 10_000;
/// Parentheses within each other.
const NESTING_MAX: usize = 50;

/// A question that was read.
#[derive(Clone, Debug)]
pub(in crate::data::postgres) struct Question {
    sql: String,
    columns: Vec<Output>,
    pub(in crate::data::postgres) parameters: Vec<BaseType>,
}

/// Reads a question.
pub(in crate::data::postgres) fn question(
    statement: StatementText<'_>,
    declared: &[Option<BaseType>],
) -> Result<Question, Fault> {
    let (_, text) = statement.source();
    // Its tree is read, walked, written and dropped within.
    let read = statement.with_stack(|| read(text, declared));
    read.map_err(refused)?
}

fn read(text: &str, declared: &[Option<BaseType>]) -> Result<Question, Fault> {
    let unreadable =
        |error: &dyn std::fmt::Display| Fault::new("42601", format!("syntax error: {error}"));
    let mut parser = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(NESTING_MAX)
        .try_with_sql(text)
        .map_err(|error| unreadable(&error))?;
    let read = parser
        .parse_statement()
        .map_err(|error| unreadable(&error))?;
    let Statement::Query(query) = read else {
        return Err(Fault::new("0A000", "only a query asks about the catalog"));
    };
    let columns = outputs(&query);
    let count = parameters_of(text);
    let parameters = (0..count).map(|at| {
        let declared = declared.get(at).copied().flatten();
        declared.unwrap_or(BaseType::Text)
    });
    Ok(Question {
        columns,
        parameters: parameters.collect(),
        sql: rewritten(*query)?,
    })
}

/// The highest number of a parameter.
fn parameters_of(text: &str) -> usize {
    let numbers = text.split('$').skip(1).filter_map(|rest| {
        let end = rest
            .find(|one: char| !one.is_ascii_digit())
            .unwrap_or(rest.len());
        rest.get(..end)?.parse::<usize>().ok()
    });
    numbers.filter(|number| *number <= 1000).max().unwrap_or(0)
}

impl Question {
    /// The columns of the answer.
    pub(in crate::data::postgres) fn fields(&self) -> Vec<Field> {
        self.columns
            .iter()
            .map(|(name, kind)| kind.field(name))
            .collect()
    }

    /// Answers it. Blocks.
    pub(in crate::data::postgres) fn answer(
        &self,
        contents: &Contents,
        values: &[Literal],
    ) -> Result<Vec<Row>, Fault> {
        let mut connection = made(contents).map_err(|error| {
            tracing::error!(%error, "the catalog cannot be made");
            Fault::new("XX000", "the catalog cannot be made")
        })?;
        bound(&mut connection).map_err(|error| failed(&error))?;
        let mut statement = connection
            .prepare(&self.sql)
            .map_err(|error| failed(&error))?;
        if statement.column_count() != self.columns.len() {
            return Err(Fault::new(
                "0A000",
                "the columns of this question about the catalog are not known",
            ));
        }
        for (at, value) in values.iter().enumerate().take(statement.parameter_count()) {
            statement
                .raw_bind_parameter(at + 1, stored(value))
                .map_err(|error| failed(&error))?;
        }
        let mut rows = statement.raw_query();
        let mut answer = Vec::new();
        while let Some(row) = rows.next().map_err(|error| failed(&error))? {
            let values = self.columns.iter().enumerate().map(|(at, (_, kind))| {
                let stored = row.get_ref(at)?;
                Ok(told(stored, *kind))
            });
            let values: rusqlite::Result<Row> = values.collect();
            answer.push(values.map_err(|error| failed(&error))?);
            if answer.len() > ROWS_MAX {
                let message = format!("an answer has {ROWS_MAX} rows at most");
                return Err(Fault::new("54000", message));
            }
        }
        Ok(answer)
    }
}

fn made(contents: &Contents) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&schema())?;
    connection.execute_batch("PRAGMA case_sensitive_like = ON")?;
    let numbers = contents.put(&connection)?;
    register(&connection, contents, numbers)?;
    Ok(connection)
}

/// From here on: reading what is there, for a while.
fn bound(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, BYTES_MAX)?;
    let deadline = Instant::now() + TIME_MAX;
    connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
    connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        // All that is there is the person's; but what is SQLite's own is no business of a
        // client's.
        AuthAction::Read { table_name, .. } => {
            if table_name.starts_with("sqlite_") || table_name.starts_with("pragma_") {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }))
}

fn stored(value: &Literal) -> Stored {
    match value {
        Literal::Null => Stored::Null,
        Literal::Bool(truth) => Stored::Integer((*truth).into()),
        Literal::Integer(number) => Stored::Integer(*number),
        Literal::Float(number) => Stored::Real(*number),
        Literal::Numeric(text) | Literal::Text(text) => Stored::Text(text.clone()),
        Literal::Bytes(bytes) => Stored::Blob(bytes.clone()),
    }
}

/// A value as it is told.
fn told(stored: ValueRef<'_>, kind: Type) -> Value {
    let text = match stored {
        ValueRef::Null => return Value::Null,
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    };
    let number = || text.parse::<i64>().ok();
    match kind {
        Type::Bool => Value::Bool(text != "0" && text != "f"),
        Type::Int2 => number()
            .and_then(|one| one.try_into().ok())
            .map_or(Value::Null, Value::Int2),
        Type::Int4 => number()
            .and_then(|one| one.try_into().ok())
            .map_or(Value::Null, Value::Int4),
        Type::Int8 => number().map_or(Value::Null, Value::Int8),
        // Of 32 bits, unsigned: what is above has no number here.
        Type::Oid => match number().and_then(|one| one.try_into().ok()) {
            Some(one) => Value::Int4(one),
            // The text of a `regclass`.
            None => Value::Text(text),
        },
        Type::Float4 | Type::Float8 => text
            .parse()
            .map_or(Value::Null, |one| Value::Float8(Float8::new(one))),
        Type::Int2Vector | Type::OidVector => Value::Text(elements(&text).join(" ")),
        Type::Array(_) => Value::Text(format!("{{{}}}", elements(&text).join(","))),
        _ => Value::Text(text),
    }
}

/// Elements of an array as PostgreSQL writes them.
fn elements(json: &str) -> Vec<String> {
    let read: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let written = read.into_iter().map(|element| match element {
        serde_json::Value::Null => "NULL".to_owned(),
        serde_json::Value::String(text) => {
            let is_plain = !text.is_empty()
                && !text.eq_ignore_ascii_case("null")
                && text.chars().all(|one| one.is_alphanumeric() || one == '_');
            if is_plain {
                text
            } else {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
        }
        other => other.to_string(),
    });
    written.collect()
}

fn failed(error: &rusqlite::Error) -> Fault {
    let message = error.to_string();
    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return Fault::new("57014", "the question about the catalog takes too long");
    }
    if let Some(name) = message.split("no such table: ").nth(1) {
        let name = name.split(" in ").next().unwrap_or(name);
        let message = format!("relation \"{name}\" is no part of the catalog that is kept here");
        return Fault::new("0A000", message)
            .hint("Statements about the catalog and about tables of people are two statements.");
    }
    if let Some(name) = message.split("no such function: ").nth(1) {
        let name = name.split(" in ").next().unwrap_or(name);
        return Fault::new("0A000", format!("the function {name} is not known here"));
    }
    if let Some(name) = message.split("no such column: ").nth(1) {
        let name = name.split(" in ").next().unwrap_or(name);
        return Fault::new("42703", format!("column {name} does not exist"));
    }
    Fault::new(
        "0A000",
        format!("the catalog cannot answer this: {message}"),
    )
}
