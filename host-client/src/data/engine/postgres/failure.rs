//! PostgreSQL's errors as the engine's.

use std::{error::Error as _, time::Duration};

use tokio_postgres::{Error, error::DbError};

use crate::data::engine::{EngineError, SqlState};

/// Codes that are passed on as they are; what is not among them is told as a failure of
/// the statement.
const PASSED: &[&str] = &[
    "0A000", "21000", "22000", "22001", "22003", "22004", "22005", "22007", "22008", "22011",
    "22012", "22013", "22014", "22015", "22016", "22018", "22019", "22021", "22023", "22024",
    "22025", "22026", "22030", "22032", "22033", "2201B", "2201E", "2201F", "2201G", "2201W",
    "2201X", "2202E", "22P02", "22P03", "22P04", "22P05", "23000", "23001", "23502", "23503",
    "23505", "23514", "23P01", "25001", "25006", "25P01", "25P02", "2BP01", "3B001", "40001",
    "40002", "40P01", "42501", "42601", "42701", "42702", "42703", "42704", "42710", "42725",
    "42803", "42804", "42809", "42830", "42846", "42883", "42P01", "42P07", "42P10", "42P16",
    "42P18", "42P22", "44000", "53200", "53400", "54000", "54001", "54011", "54023", "55000",
    "55006", "55P03",
];

/// What a failure tells somebody whom rules keep from something: the server's own words
/// could name what is hidden.
const GUARDED_WORDS: &[(&str, &str)] = &[
    ("22001", "a value is too long for its type"),
    ("22003", "a value is out of its type's range"),
    ("22007", "a text is no date or time"),
    ("22008", "a date or time is out of range"),
    ("22012", "division by zero"),
    ("22021", "a text is not as texts have to be"),
    ("22P02", "a text is not of the form of its type"),
    ("23502", "a column that has to have a value gets none"),
    ("23503", "a foreign key has no row, or a row is referred to"),
    ("23505", "a unique key is there already"),
    ("23514", "a check of the table fails"),
    ("40001", "it met another transaction: run it again"),
    (
        "40P01",
        "it and another transaction waited for each other: run it again",
    ),
    ("42501", "it may not be done"),
    ("44000", "a row would leave the sight of who writes it"),
];

/// What the server says of a statement that was prepared for another schema.
pub(super) const STALE_PLAN: &str = "cached plan must not change result type";

/// When something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing holds of what was asked, if the server is lost.
    Undone,
    /// It may hold.
    Committing,
}

/// A failure of a statement; `is_guarded`: somebody's whom rules keep from something.
pub(super) fn failure(error: &Error, when: When, is_guarded: bool) -> EngineError {
    match error.as_db_error() {
        Some(told) => told_failure(told, when, is_guarded),
        None if error.is_closed() || has_io(error) => lost(when, words(error)),
        None => EngineError::Internal(words(error)),
    }
}

fn told_failure(told: &DbError, when: When, is_guarded: bool) -> EngineError {
    let code = told.code().code();
    let message = told.message();
    match code {
        // Who waits knows whether it was the time or somebody.
        "57014" => EngineError::TimedOut(Duration::ZERO),
        "53100" | "58030" => EngineError::Storage {
            why: message.to_owned(),
            is_full: code == "53100",
        },
        "53300" => EngineError::Busy,
        "25P03" | "25P04" => EngineError::TransactionEnded {
            why: "it was idle for too long".to_owned(),
        },
        "XX001" | "XX002" => EngineError::Damaged {
            why: message.to_owned(),
        },
        _ if code.starts_with("57P") || code.starts_with("08") => lost(when, message.to_owned()),
        _ => refused(code, message, is_guarded),
    }
}

fn refused(code: &str, message: &str, is_guarded: bool) -> EngineError {
    let passed = PASSED.iter().find(|passed| **passed == code);
    let state = passed.map_or(SqlState::STATEMENT_FAILED, |passed| SqlState(passed));
    let is_own = !is_guarded && code != "44000";
    if is_own || message.starts_with(STALE_PLAN) {
        return EngineError::refused(state, message);
    }
    let words = GUARDED_WORDS.iter().find(|(known, _)| *known == code);
    let words = words.map_or("the statement fails", |(_, words)| words);
    EngineError::refused(state, words)
}

fn lost(when: When, why: String) -> EngineError {
    match when {
        When::Undone => EngineError::Unreachable { why },
        When::Committing => EngineError::Uncertain { why },
    }
}

fn has_io(error: &Error) -> bool {
    error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// An error with what it comes from.
pub(super) fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !words.contains(&told) {
            words.push_str(": ");
            words.push_str(&told);
        }
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_server_are_for_who_sees_everything() {
        let message = "duplicate key value violates unique constraint \"people_diary_key\"";
        let told = refused("23505", message, false);
        assert_eq!(
            (told.sql_state(), told.to_string()),
            ("23505", message.to_owned())
        );
        let told = refused("23505", message, true);
        assert_eq!(told.sql_state(), "23505");
        assert!(!told.to_string().contains("diary"), "{told}");
        let told = refused("44000", "new row violates … \"gridmart_guard_1\"", false);
        assert!(!told.to_string().contains("gridmart_guard"), "{told}");
        let told = refused("0A000", STALE_PLAN, true);
        assert_eq!(told.to_string(), STALE_PLAN);
        assert_eq!(refused("XX123", "?", true).sql_state(), "XX000");
    }
}
