//! What an engine refuses, and why, in words and as SQLSTATE.

use std::time::Duration;

use gridmart_schemas::data::{Epoch, Position};

/// A code of PostgreSQL's table of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

impl SqlState {
    /// A unique key is there already.
    pub const UNIQUE_VIOLATION: Self = Self("23505");
    /// NULL where none may be.
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    /// A foreign key has no row.
    pub const FOREIGN_KEY_VIOLATION: Self = Self("23503");
    /// A check fails.
    pub const CHECK_VIOLATION: Self = Self("23514");
    /// Another constraint fails.
    pub const CONSTRAINT_VIOLATION: Self = Self("23000");
    /// The engine has no such thing.
    pub const NOT_SUPPORTED: Self = Self("0A000");
    /// It writes where that may not be.
    pub const READ_ONLY: Self = Self("25006");
    /// A number is out of its type's range.
    pub const NUMBER_OUT_OF_RANGE: Self = Self("22003");
    /// A text is too long.
    pub const TEXT_TOO_LONG: Self = Self("22001");
    /// A text holds what no text may.
    pub const TEXT_MALFORMED: Self = Self("22021");
    /// A value is not written as its type is.
    pub const VALUE_MALFORMED: Self = Self("22P02");
    /// A value of another type.
    pub const TYPE_MISMATCH: Self = Self("42804");
    /// The statement is not one.
    pub const SYNTAX_ERROR: Self = Self("42601");
    /// No such table.
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    /// No such column.
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    /// No such function.
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    /// A table is made in a way that cannot be.
    pub const INVALID_TABLE: Self = Self("42P16");
    /// It may not be done here.
    pub const NOT_PERMITTED: Self = Self("42501");
    /// Parameters do not fit the statement.
    pub const PARAMETERS: Self = Self("08P01");
    /// A limit of the program.
    pub const LIMIT_EXCEEDED: Self = Self("54000");
    /// No such savepoint.
    pub const NO_SAVEPOINT: Self = Self("3B001");
    /// Another failure of the statement.
    pub const STATEMENT_FAILED: Self = Self("XX000");
}

/// Why an engine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The statement cannot be run on this data.
    #[error("{message}")]
    Refused {
        /// Which kind of fault.
        state: SqlState,
        /// What is wrong, and with what.
        message: String,
    },
    /// More rows or bytes than the statement may give or change.
    #[error(
        "the statement goes beyond its limit of {limit} {of}: narrow it, or have the limit raised in the Policy"
    )]
    LimitExceeded {
        /// What is counted.
        of: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// The server that keeps the database does not answer; nothing was done.
    #[error("the server that keeps the database cannot be reached: {why}")]
    Unreachable {
        /// What was met.
        why: String,
    },
    /// The server does not keep its log for shadows.
    #[error(
        "the server that keeps the database does not keep its log for shadows yet; its administrator has to say: {need}"
    )]
    Logless {
        /// What an administrator has to do.
        need: String,
    },
    /// The server was lost while it committed.
    #[error(
        "whether the statement was committed is not known, the database server was lost meanwhile: look before you run it again ({why})"
    )]
    Uncertain {
        /// What was met.
        why: String,
    },
    /// Whoever asked does not want it any more.
    #[error("the statement was cancelled")]
    Cancelled,
    /// It took too long.
    #[error("the statement was ended after {} ms, its limit: narrow it, or have the limit raised in the Policy", .0.as_millis())]
    TimedOut(Duration),
    /// The transaction is over, and took nothing with it.
    #[error("the transaction was taken back: {why}")]
    TransactionEnded {
        /// What ended it.
        why: String,
    },
    /// Too much is waiting.
    #[error("too many statements wait for this database: try again in a moment")]
    Busy,
    /// No writes here.
    #[error("this copy of the database takes no writes: {why}")]
    ReadOnly {
        /// Why not.
        why: String,
    },
    /// Another core has taken over.
    #[error(
        "a newer core (epoch {newest}) has taken over this database: this one takes no writes, and comes back as a shadow"
    )]
    Fenced {
        /// The epoch of the other one.
        newest: Epoch,
    },
    /// The disk refuses; nothing was changed.
    #[error("the disk of the database refuses: {why}; make room or repair it, then try again")]
    Storage {
        /// What it said.
        why: String,
        /// Whether there is no room left.
        is_full: bool,
    },
    /// A commit's sync failed: whether it holds is known at the next start.
    #[error(
        "whether the transaction was committed is open until the database is started anew: {why}"
    )]
    InDoubt {
        /// What the disk said.
        why: String,
    },
    /// The file is not, or no more, what it should be.
    #[error("the database is damaged: {why}; rebuild it from a snapshot of another Host")]
    Damaged {
        /// What was found.
        why: String,
    },
    /// Its content is not that of its core.
    #[error(
        "this copy has diverged from its core after position {position}: {why}; it has to be rebuilt from a snapshot"
    )]
    Diverged {
        /// The last position that was applied.
        position: Position,
        /// What was found.
        why: String,
    },
    /// It is going down.
    #[error("the database is going down: try again in a moment")]
    Stopping,
    /// A fault of gridmart itself.
    #[error("a fault of gridmart itself: {0}")]
    Internal(String),
}

impl EngineError {
    /// A write at a shadow.
    pub(in crate::data) fn of_shadow() -> Self {
        Self::ReadOnly {
            why: "it is a shadow, and writes go to its core".to_owned(),
        }
    }

    /// A refusal.
    pub fn refused(state: SqlState, message: impl Into<String>) -> Self {
        Self::Refused {
            state,
            message: message.into(),
        }
    }

    /// The code that clients of PostgreSQL know.
    pub const fn sql_state(&self) -> &'static str {
        match self {
            Self::Refused { state, .. } => state.0,
            Self::LimitExceeded { .. } => SqlState::LIMIT_EXCEEDED.0,
            Self::Cancelled | Self::TimedOut(_) => "57014",
            Self::TransactionEnded { .. } => "25P03",
            Self::Busy => "53300",
            Self::Unreachable { .. } => "08006",
            Self::Uncertain { .. } => "08007",
            Self::Logless { .. } => "55000",
            Self::ReadOnly { .. } | Self::Fenced { .. } => "25006",
            Self::Storage { is_full: true, .. } => "53100",
            Self::Storage { .. } => "58030",
            Self::InDoubt { .. } => "40003",
            Self::Damaged { .. } | Self::Diverged { .. } => "XX001",
            Self::Stopping => "57P01",
            Self::Internal(_) => "XX000",
        }
    }
}
