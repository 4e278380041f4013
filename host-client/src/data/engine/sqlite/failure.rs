//! SQLite's errors as the engine's.

use std::time::Duration;

use rusqlite::{Error, ErrorCode, ffi};

use crate::data::engine::{EngineError, SqlState};

/// Says what was done when SQLite failed.
pub(in crate::data) trait Failure<T> {
    /// For what the engine does by itself: a failure is the disk's, or a fault of
    /// the program.
    fn during(self, what: &'static str) -> Result<T, EngineError>;

    /// For a statement of somebody's: a failure may be the statement's.
    fn of_statement(self) -> Result<T, EngineError>;
}

impl<T> Failure<T> for rusqlite::Result<T> {
    fn during(self, what: &'static str) -> Result<T, EngineError> {
        self.map_err(|error| own_failure(&error, what))
    }

    fn of_statement(self) -> Result<T, EngineError> {
        self.map_err(|error| disk_failure(&error).unwrap_or_else(|| refusal(&error)))
    }
}

/// A failure of what the engine does by itself.
pub(super) fn own_failure(error: &Error, what: &'static str) -> EngineError {
    disk_failure(error).unwrap_or_else(|| EngineError::Internal(format!("{what}: {error}")))
}

/// Whether a foreign key that is checked at the end fails a commit.
pub(super) fn is_deferred_key(error: &Error) -> bool {
    extended(error) == ffi::SQLITE_CONSTRAINT_FOREIGNKEY
}

/// Whether a commit failed in a way that leaves open whether it holds.
pub(super) fn is_failed_sync(error: &Error) -> bool {
    matches!(
        extended(error),
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC
    )
}

fn extended(error: &Error) -> i32 {
    error.sqlite_error().map_or(0, |error| error.extended_code)
}

fn disk_failure(error: &Error) -> Option<EngineError> {
    let why = error.to_string();
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(EngineError::Storage { why, is_full: true }),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly => {
            Some(EngineError::Storage {
                why,
                is_full: false,
            })
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(EngineError::Damaged { why }),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(EngineError::Busy),
        // Who waits knows whether it was the time or somebody.
        ErrorCode::OperationInterrupted => Some(EngineError::TimedOut(Duration::ZERO)),
        _ => None,
    }
}

fn refusal(error: &Error) -> EngineError {
    let message = message_of(error);
    if let Some(refused) = coded(&message) {
        return refused;
    }
    let state = match extended(error) {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => SqlState::UNIQUE_VIOLATION,
        ffi::SQLITE_CONSTRAINT_NOTNULL => SqlState::NOT_NULL_VIOLATION,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => SqlState::FOREIGN_KEY_VIOLATION,
        ffi::SQLITE_CONSTRAINT_CHECK => SqlState::CHECK_VIOLATION,
        _ => by_code(error, &message),
    };
    EngineError::refused(state, message)
}

fn by_code(error: &Error, message: &str) -> SqlState {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => SqlState::CONSTRAINT_VIOLATION,
        Some(ErrorCode::TypeMismatch) => SqlState::TYPE_MISMATCH,
        Some(ErrorCode::TooBig) => SqlState::LIMIT_EXCEEDED,
        Some(ErrorCode::AuthorizationForStatementDenied) => SqlState::NOT_PERMITTED,
        _ => by_words(message),
    }
}

fn by_words(message: &str) -> SqlState {
    const WORDS: &[(&str, SqlState)] = &[
        ("no such table", SqlState::UNDEFINED_TABLE),
        ("no such column", SqlState::UNDEFINED_COLUMN),
        ("no such function", SqlState::UNDEFINED_FUNCTION),
        ("syntax error", SqlState::SYNTAX_ERROR),
        ("incomplete input", SqlState::SYNTAX_ERROR),
        ("too many", SqlState::LIMIT_EXCEEDED),
        ("too large", SqlState::LIMIT_EXCEEDED),
        ("too big", SqlState::LIMIT_EXCEEDED),
        ("integer overflow", SqlState::NUMBER_OUT_OF_RANGE),
        ("is prohibited", SqlState::NOT_PERMITTED),
    ];
    let known = WORDS.iter().find(|(words, _)| message.contains(words));
    known.map_or(SqlState::STATEMENT_FAILED, |(_, state)| *state)
}

/// Functions that are registered say their code in front:
/// `gridmart[22012] division by zero`.
fn coded(message: &str) -> Option<EngineError> {
    const CODES: &[&str] = &[
        "0A000", "21000", "22001", "22003", "22004", "22007", "22008", "22011", "22012", "22015",
        "22019", "22021", "22023", "22025", "2201B", "2201E", "2201F", "2201W", "2201X", "22P02",
        "22P03", "23502", "23514", "42501", "42804", "42883", "44000", "54000", "XX001",
    ];
    let (code, words) = message.strip_prefix("gridmart[")?.split_once("] ")?;
    let known = CODES.iter().find(|known| **known == code);
    let state = known.map_or(SqlState::STATEMENT_FAILED, |known| SqlState(known));
    Some(EngineError::refused(state, words))
}

fn message_of(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
