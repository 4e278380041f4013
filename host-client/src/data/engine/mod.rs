//! What every engine of databases can do, behind one small trait.

mod core;
mod error;
pub mod mariadb;
mod mirror;
mod notes;
pub mod postgres;
pub mod sqlite;
mod standby;
mod stream;
mod tally;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, Position, Row, Schema, SqlType, Value};
use gridmart_schemas::wire::replica::StatementRules;

use self::tally::Tally;
pub use self::{
    core::CoreEngine,
    error::{EngineError, SqlState},
    standby::{Shadows, Standby, Standing},
    stream::{Cancel, RowStream},
};

/// What a statement does, as whoever judged it says; the engine refuses one that
/// does something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// It reads.
    Read,
    /// It changes rows.
    Rows,
    /// It changes the schema.
    Schema,
}

/// A statement in the engine's own language; never a person's text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it does.
    pub kind: StatementKind,
    /// Its text: one statement.
    pub text: String,
    /// Values for its parameters, in their order.
    pub parameters: Vec<Value>,
    /// The types of the columns of its result, if they are known; without them
    /// values come as the engine stores them.
    pub columns: Option<Vec<SqlType>>,
    /// What ends it before its own end; whether it was in time is known by what the
    /// statement comes to.
    pub cancel: Cancel,
    /// What has to be there for it, on an engine that keeps rules itself.
    pub rules: StatementRules,
    /// Of a change of the schema on a server: the same in SQLite's words, for shadows.
    pub shadow_text: Option<String>,
}

impl Statement {
    /// A statement without parameters.
    pub fn new(kind: StatementKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            parameters: Vec::new(),
            columns: None,
            cancel: Cancel::default(),
            rules: StatementRules::default(),
            shadow_text: None,
        }
    }

    /// The same with values for its parameters.
    #[must_use]
    pub fn with(mut self, parameters: Vec<Value>) -> Self {
        self.parameters = parameters;
        self
    }

    /// The same with the types of its result.
    #[must_use]
    pub fn giving(mut self, columns: Vec<SqlType>) -> Self {
        self.columns = Some(columns);
        self
    }
}

/// What one statement may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of its result.
    pub rows: u64,
    /// Bytes of its result.
    pub bytes: u64,
    /// From its begin to its last row; a slow reader's time counts.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 10_000_000,
            bytes: 16 * 1024 * 1024 * 1024,
            time: Duration::from_mins(5),
        }
    }
}

/// What one interactive transaction may take: on an engine with one writer it keeps all
/// other writes waiting, or, if it only reads, a reader of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Whether all of it sees one state of the database, and none of another that changes
    /// what it saw. An engine with one writer has it so in any case.
    pub is_strict: bool,
    /// From its begin to its end.
    pub time: Duration,
    /// Between two of its statements.
    pub idle: Duration,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        Self {
            is_strict: false,
            time: Duration::from_mins(1),
            idle: Duration::from_secs(10),
        }
    }
}

/// What a statement that writes has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Rows that were added, changed or removed by it, triggers not counted.
    pub rows_changed: u64,
    /// Names of the columns of its result, where the engine tells them.
    pub columns: Vec<String>,
    /// What it returned (`RETURNING`).
    pub rows: Vec<Row>,
    /// Who reads at this position or later sees what it has done. Inside a
    /// transaction, the position before it.
    pub position: Position,
}

/// A database on an engine.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Its tables and views.
    async fn describe(&self) -> Result<Schema, EngineError>;

    /// Reads: rows come as they are found, and no faster than they are taken.
    /// Dropping the stream ends the statement at the engine.
    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError>;

    /// Writes, and commits: durable when this returns. It goes on if the caller
    /// leaves without a cancel.
    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError>;

    /// Begins a transaction. Dropping it takes it back.
    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError>;

    /// Begins a transaction that only reads, and sees the database as it is now all
    /// along; it keeps nobody else waiting. Dropping it ends it.
    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        // Where nobody waits for those who read.
        let limits = TransactionLimits {
            is_strict: true,
            ..limits
        };
        self.begin(limits).await
    }

    /// How far its log is.
    fn position(&self) -> LogPoint;
}

/// A transaction of several statements. After an error of a statement that statement is
/// taken back, and an engine may refuse all but going back to a savepoint, or the end.
#[async_trait]
pub trait Transaction: Send {
    /// Runs a statement, of any kind; its rows come at once, within the limits.
    async fn run(&mut self, statement: Statement, limits: Limits) -> Result<Written, EngineError>;

    /// Sets a savepoint; a name may be used again, the newest counts.
    async fn savepoint(&mut self, name: String) -> Result<(), EngineError>;

    /// Takes back all that was done after a savepoint; it stays.
    async fn rollback_to(&mut self, name: String) -> Result<(), EngineError>;

    /// Forgets a savepoint and those after it; what was done stays.
    async fn release(&mut self, name: String) -> Result<(), EngineError>;

    /// Makes it durable; gives its position.
    async fn commit(self: Box<Self>) -> Result<Position, EngineError>;

    /// Takes it back.
    async fn rollback(self: Box<Self>) -> Result<(), EngineError>;
}
