//! SDK ⇄ Data Element: the data stream, `GET /v1/data` on the Element's door,
//! upgraded to a WebSocket: statements in, rows out, in pieces that the program
//! asks for one by one.

use serde::{Deserialize, Serialize};

use super::{
    Done, ROW_MESSAGE_BYTES_MAX,
    replica::{TransactionAct, TransactionNumber},
    requests,
};
use crate::{
    data::{Position, Row, SqlType, Value},
    id::{DatabaseId, NodeId},
    resource::enumeration::ReplicaRole,
    scalar::DatabaseName,
};

/// The most bytes of a statement's text.
pub const STATEMENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of rows, as they are in memory, after which a piece ends.
pub const PIECE_BYTES: usize = 256 * 1024;
/// The most bytes of the values of one row, or of all parameters of a statement: the
/// largest value, and others beside it. They travel in one message, in which they are a
/// third longer at most.
pub const ROW_BYTES_MAX: usize = 20 * 1024 * 1024;
const _: () = assert!(ROW_BYTES_MAX / 3 * 4 + STATEMENT_BYTES_MAX < ROW_MESSAGE_BYTES_MAX);
/// Results that may be open on one stream.
pub const CURSORS_MAX: usize = 64;
/// Transactions that may be open on one stream.
pub const TRANSACTIONS_MAX: usize = 64;

/// I may use this database; first for each database, and again before the ticket
/// ends.
#[derive(Clone, Serialize, Deserialize)]
pub struct DataOpen {
    /// The access ticket.
    pub ticket: String,
}

/// Answer to [`DataOpen`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataOpened {
    /// The database that the ticket is for.
    pub database: DatabaseId,
    /// Its name.
    pub name: DatabaseName,
}

/// Run one statement: a transaction of its own, or of one that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatementRun {
    /// In which database.
    pub database: DatabaseId,
    /// Its text.
    pub text: String,
    /// Values for `$1`, `$2` …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Value>,
    /// What it reads has to be of this position of the log at least: the session's
    /// own writes.
    #[serde(default)]
    pub after: Position,
    /// Who may answer a read.
    #[serde(default)]
    pub from: ReadFrom,
    /// In which transaction; absent: one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionNumber>,
}

/// Begin a transaction of several statements. It is taken back with its stream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TransactionBegin {
    /// In which database.
    pub database: DatabaseId,
    /// It writes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// All of it sees one state of the database; else each of its reads sees what is
    /// committed by then.
    #[serde(default)]
    pub strict: bool,
}

/// Do something with a transaction that is no statement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionControl {
    /// With which one.
    pub transaction: TransactionNumber,
    /// What.
    pub act: TransactionAct,
}

/// Answer to [`TransactionBegin`] and [`TransactionControl`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionAnswer {
    /// It has begun.
    Begun(TransactionNumber),
    /// It is done; of a commit, the position of what it has written.
    Done(Option<Position>),
    /// It was not done. A transaction that is gone has changed nothing, unless this says
    /// otherwise (SQLSTATE 08007).
    Refused(SqlFault),
}

/// Who may answer a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFrom {
    /// A shadow that is fresh enough, else the core.
    #[default]
    Fresh,
    /// The core.
    Core,
    /// A shadow, however old, but for the session's own writes.
    Shadow,
}

/// Answer to [`StatementRun`] and [`RowsNext`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementAnswer {
    /// It runs, or is done.
    Rows(StatementRows),
    /// It cannot be run, or has failed; it has changed nothing.
    Refused(SqlFault),
}

/// What a statement gave, as far as it fits into a piece.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatementRows {
    /// What PostgreSQL calls it when it is done: `SELECT`, `INSERT`.
    pub tag: String,
    /// The columns of its result; told with the first piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ResultColumn>,
    /// Rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// Where there are more; absent: these were the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorNumber>,
    /// Rows that it has changed; absent: it only reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_changed: Option<u64>,
    /// The position of the log that the rows are of, or at which it was committed.
    #[serde(default)]
    pub position: Position,
    /// The Host that ran it, and what its copy is; absent: no Host had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<(NodeId, ReplicaRole)>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
}

/// A result that is not at its end, on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CursorNumber(pub u64);

/// Why a statement was not run, or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlFault {
    /// PostgreSQL's code, five characters.
    pub state: String,
    /// What is wrong, and with what.
    pub message: String,
    /// The character of the statement that is meant, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

/// More rows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RowsNext {
    /// Of which result.
    pub cursor: CursorNumber,
}

/// No more rows are wanted: the statement is ended at the engine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RowsClose {
    /// Of which result.
    pub cursor: CursorNumber,
}

requests! {
    DataOpen = "data-open" => DataOpened,
    StatementRun = "statement-run" => StatementAnswer,
    TransactionBegin = "transaction-begin" => TransactionAnswer,
    TransactionControl = "transaction-control" => TransactionAnswer,
    RowsNext = "rows-next" => StatementAnswer,
    RowsClose = "rows-close" => Done,
}
