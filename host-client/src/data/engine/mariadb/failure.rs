//! MariaDB's errors as the engine's, with PostgreSQL's codes.
//!
//! The server's own words are not passed on: they hold values and names that a person's
//! rules may hide.

use mysql_async::{Conn, Error, ServerError, prelude::Queryable as _};

use crate::data::engine::{EngineError, SqlState};

/// What was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A connection is made.
    Begin,
    /// A statement runs, and is taken back with its connection.
    Statement,
    /// A transaction is being committed.
    Commit,
}

/// Says what was done when the server, or the way to it, failed.
pub(super) trait Failure<T> {
    fn during(self, phase: Phase) -> Result<T, EngineError>;
}

impl<T> Failure<T> for Result<T, Error> {
    fn during(self, phase: Phase) -> Result<T, EngineError> {
        self.map_err(|error| match error {
            Error::Server(told) => of_server(&told, phase),
            lost if phase == Phase::Commit => EngineError::Uncertain {
                why: shortened(&lost),
            },
            lost => EngineError::Unreachable {
                why: shortened(&lost),
            },
        })
    }
}

/// What the way to the server said: it holds no values.
fn shortened(error: &Error) -> String {
    error.to_string().chars().take(200).collect()
}

fn of_server(told: &ServerError, phase: Phase) -> EngineError {
    let ServerError { code, message, .. } = told;
    match code {
        // Shutdown, aborted connections, killed connections.
        1053 | 1152..=1154 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 if phase == Phase::Commit => {
            EngineError::Uncertain {
                why: format!("error {code}"),
            }
        }
        1053 | 1152..=1154 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 => EngineError::Unreachable {
            why: format!("it ended the connection (error {code})"),
        },
        1040 | 1203 | 1226 => EngineError::Busy,
        1044 | 1045 | 1698 | 1049 if phase == Phase::Begin => EngineError::Unreachable {
            why: format!("it refuses the Host's account or has not its database (error {code})"),
        },
        1021 | 1114 => EngineError::Storage {
            why: format!("MariaDB's error {code}"),
            is_full: true,
        },
        1317 => EngineError::Cancelled,
        1969 => EngineError::TimedOut(std::time::Duration::ZERO),
        _ => refused(*code, message),
    }
}

fn refused(code: u16, message: &str) -> EngineError {
    if let Some(refused) = coded(message) {
        return refused;
    }
    let (state, words) = known(code, message);
    if state == "XX000" {
        tracing::warn!(
            code,
            "a statement failed on MariaDB in a way that has no code"
        );
    }
    EngineError::refused(SqlState(state), words)
}

/// What the judge's texts fail with: `gridmart:44000:0.123`.
fn coded(message: &str) -> Option<EngineError> {
    let (_, rest) = message.split_once("'gridmart:")?;
    let (state, words) = match rest.get(..6)? {
        "44000:" => (
            "44000",
            "the row would not be one that the rules of the table let through",
        ),
        "0A000:" => (
            "0A000",
            "a quotient with more than 27 digits after its point is not supported on MariaDB",
        ),
        "22025:" => ("22025", "LIKE pattern must not end with escape character"),
        "22011:" => ("22011", "negative substring length not allowed"),
        "2201F:" => ("2201F", "cannot take square root of a negative number"),
        "22008:" => ("22008", "date field value out of range"),
        _ => return None,
    };
    Some(EngineError::refused(SqlState(state), words))
}

fn known(code: u16, message: &str) -> (&'static str, String) {
    let state_words: (&'static str, &str) = match code {
        1062 | 1169 | 1586 => ("23505", "duplicate key value violates a unique constraint"),
        1048 | 1364 | 1263 => ("23502", "null value in a column that takes none"),
        1216 | 1452 => (
            "23503",
            "insert or update violates a foreign key: no such row there",
        ),
        1217 | 1451 => (
            "23503",
            "update or delete violates a foreign key: rows of another table refer to it",
        ),
        // A column's own check is one that the declaration could not hold it to.
        4025 | 3819 if is_of_column(message) => (
            "22003",
            "a value is too long, or out of the range of its column",
        ),
        4025 | 3819 => ("23514", "the row violates a check constraint"),
        1365 => ("22012", "division by zero"),
        1264 | 1690 | 1916 => ("22003", "a number is out of its type's range"),
        1406 | 1265 => ("22001", "a value is too long for its column"),
        1292 | 1366 | 1367 | 1411 if message.contains("incorrect DECIMAL") => {
            ("22003", "a number is out of its type's range")
        }
        1292 if message.contains("INTEGER") || message.contains("DOUBLE") => {
            ("22003", "a number is out of its type's range")
        }
        1292 if message.contains("date value") || message.contains("datetime value") => {
            ("22008", "date field value out of range")
        }
        1292 | 1366 | 1367 | 1411 => ("22P02", "a value is not of its type's form"),
        1300 | 1302 => ("22021", "a text is not well formed"),
        1441 => ("22008", "a date is out of range"),
        1242 => (
            "21000",
            "more than one row returned by a subquery used as an expression",
        ),
        1213 => ("40P01", "deadlock detected: run the transaction again"),
        1205 => (
            "55P03",
            "another transaction holds the row or table for too long: try again",
        ),
        1412 => ("40001", "the schema was changed meanwhile: run it again"),
        1020 => ("40001", "another transaction changed the row: run it again"),
        1792 => ("25006", "a statement that reads would have written"),
        1142 | 1143 | 1044 | 1227 | 1370 | 1410 => (
            "42501",
            "the Host's account at the server lacks a right for it: see docs/engines.md",
        ),
        1301 | 1260 | 1153 | 1436 | 1118 | 1117 | 1071 | 1074 => (
            "54000",
            "it goes beyond a limit of MariaDB: shorter values or keys, fewer columns",
        ),
        1050 | 1007 => ("42P07", "the table is there already"),
        1060 => (
            "42701",
            "a column of that name is there already: on MariaDB names of columns do not differ in their case alone",
        ),
        1061 => ("42P07", "the index is there already"),
        1146 | 1051 => ("42P01", "no such table"),
        1091 => ("42704", "no such column or key"),
        1054 | 1235 | 1901 | 1093 | 1170 => (
            "0A000",
            "a form of this statement that MariaDB does not take",
        ),
        1005 | 1822 | 1834 | 1828 | 1829 | 1832 | 1833 => (
            "42830",
            "the foreign key does not fit the tables, or keeps one from being changed",
        ),
        1059 | 1102 | 1103 | 1166 | 1280 => ("42602", "a name that MariaDB does not take"),
        1305 => ("42883", "no such function"),
        1064 => ("42601", "MariaDB does not read the statement"),
        _ => ("XX000", "the statement failed on the server"),
    };
    let (state, words) = state_words;
    if state == "XX000" || state == "42601" {
        return (state, format!("{words} (MariaDB's error {code})"));
    }
    (state, words.to_owned())
}

/// `CONSTRAINT `table.column` failed …`: one without a point is a table's.
fn is_of_column(message: &str) -> bool {
    let name = message
        .split_once("CONSTRAINT ")
        .and_then(|(_, rest)| rest.split_once(" failed"));
    name.is_some_and(|(name, _)| name.contains('.'))
}

/// What a statement with warnings failed with.
pub(super) async fn warned(conn: &mut Conn) -> EngineError {
    let told: Result<Vec<(String, u16, String)>, Error> = conn.query("SHOW WARNINGS").await;
    match told {
        Ok(told) => match told.first() {
            Some((_, code, message)) => refused(*code, message),
            None => EngineError::Internal("a warning of MariaDB is gone".to_owned()),
        },
        Err(error) => Err::<(), _>(error)
            .during(Phase::Statement)
            .err()
            .unwrap_or(EngineError::Stopping),
    }
}
