//! Data Element ⇄ data Host: copies of databases, and statements on them. The Element
//! dials `GET /v1/databases` on the Host's door, upgraded to a WebSocket; a shadow's
//! Host dials the same at its core's Host, with a ticket of the Element for that
//! database's log alone.
//!
//! Which copy is the core is the Element's to say: [`ReplicaLead`] and [`ReplicaFollow`]
//! carry the epoch, and a Host does nothing for an older one than it knows.

use serde::{Deserialize, Serialize};

use super::{
    Done,
    data::{CursorNumber, SqlFault},
    requests,
};
use crate::{
    data::{Entry, Epoch, EpochBegin, Filter, LogPoint, Position, Row, Schema, SqlType, Value},
    id::{DatabaseId, NodeId, PersonName},
    resource::{
        enumeration::{DataEngine, ReplicaRole, SyncState},
        host::ReplicaCheck,
    },
};

/// Bytes of entries of one answer; one entry may be more.
pub const ENTRIES_BYTES: u64 = 1024 * 1024;
/// An entry of more bytes is told in pieces of so many.
pub const ENTRY_PIECE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a piece of a snapshot.
pub const SNAPSHOT_PIECE_BYTES: usize = 1024 * 1024;
/// Sums of ranges of one answer.
pub const SUMS_MAX: usize = 4096;

/// Have a copy of this database; one that is there already stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaMake {
    /// Which database.
    pub database: DatabaseId,
    /// What the copy is.
    pub role: ReplicaRole,
    /// What keeps it; absent: SQLite.
    #[serde(default)]
    pub engine: DataEngine,
}

/// Have no copy of this database any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaRemove {
    /// Which database.
    pub database: DatabaseId,
    /// The database itself is gone: a core goes as well, and what was set aside. Without
    /// it a core is refused.
    #[serde(default)]
    pub whole: bool,
}

/// The copy here is the core of this epoch: a shadow becomes it. A copy that knows a
/// newer epoch refuses, and one that is not there is not made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaLead {
    /// Which database.
    pub database: DatabaseId,
    /// The epoch; it was never given to another copy.
    pub epoch: Epoch,
    /// All shadows have the log up to there.
    #[serde(default)]
    pub confirmed: Position,
    /// It has shadows, or is to get one: refused where its engine cannot serve them.
    #[serde(default)]
    pub is_followed: bool,
}

/// What shadows may read of a core's log: told before any of them is let in, and again
/// and again. A shadow that is not named holds all; a core whose Host was not told since
/// its start lets nobody in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaParts {
    /// Which database.
    pub database: DatabaseId,
    /// The partial shadows.
    pub parts: Vec<ReplicaPart>,
}

/// What a partial shadow may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaPart {
    /// The shadow's Host.
    pub host: NodeId,
    /// Of which rules.
    pub version: u64,
    /// What they leave; absent: they do not fit the tables as they are, and nothing is
    /// to leave the core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

/// Take no writes for a while, and tell where the last one stands: another copy is about
/// to become the core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaDrain {
    /// Which database.
    pub database: DatabaseId,
    /// For so many seconds; 0: take them again.
    pub seconds: u64,
}

/// How a copy stands now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaStand {
    /// Which database.
    pub database: DatabaseId,
}

/// Answer to [`ReplicaStand`] and [`ReplicaDrain`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaStands {
    /// What it is.
    pub role: ReplicaRole,
    /// The newest epoch that it knows.
    pub epoch: Epoch,
    /// The last entry that it has.
    pub last: LogPoint,
    /// How far it is.
    pub sync_state: SyncState,
    /// It holds a part of the database only.
    #[serde(default)]
    pub is_partial: bool,
}

/// Compare a shadow with its core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaCompare {
    /// Which database.
    pub database: DatabaseId,
}

/// The tables of a database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaDescribe {
    /// Which database.
    pub database: DatabaseId,
}

/// Follow this core from here on; told again before the ticket ends.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReplicaFollow {
    /// Which database.
    pub database: DatabaseId,
    /// The Host of the core.
    pub core: NodeId,
    /// `HOST:PORT` of its door, most preferred first.
    pub endpoints: Vec<String>,
    /// With which its log is read there.
    pub ticket: String,
    /// Which core that is: a copy that was the core of an older epoch takes no more
    /// writes, and becomes a shadow.
    #[serde(default)]
    pub epoch: Epoch,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaStatementKind {
    /// It reads.
    Read,
    /// It changes rows.
    Rows,
    /// It changes the schema.
    Schema,
}

/// Run a statement, which the Element has judged and written in the engine's own
/// language.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaRun {
    /// In which database.
    pub database: DatabaseId,
    /// For whom, for the Host's log.
    pub person: PersonName,
    /// What it does; the engine refuses one that does something else.
    pub kind: ReplicaStatementKind,
    /// Its text.
    pub text: String,
    /// Values for its parameters.
    pub parameters: Vec<Value>,
    /// The types of the columns of its result.
    pub columns: Vec<SqlType>,
    /// What has to be there for it, on an engine that keeps rules itself.
    #[serde(default, skip_serializing_if = "StatementRules::is_empty")]
    pub rules: StatementRules,
    /// Of a change of the schema on another engine than SQLite: the same in SQLite's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_text: Option<String>,
    /// Of a read: the copy must have this position of the log at least.
    #[serde(default)]
    pub after: Position,
    /// The cut epoch of the Element under which it was begun.
    #[serde(default)]
    pub cut_epoch: u64,
    /// Of a write: the epoch of the core that is meant, no other takes it. Of a read: a
    /// shadow must follow the core of that epoch or a newer one.
    #[serde(default)]
    pub epoch: Epoch,
    /// Of a read on a shadow: the version of the rules of which it must be; absent: it
    /// must hold all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_version: Option<u64>,
    /// In which transaction; absent: it is one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionNumber>,
    /// By which [`ReplicaCancel`] means it, one on its stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u64>,
    /// Milliseconds that it may take, where that is less than the Host allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u32>,
    /// Rows that its result may have, where that is less than the Host allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<u64>,
    /// Bytes that its result may have, where that is less than the Host allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

/// What a person's rules need on an engine that keeps them itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementRules {
    /// Views that the statement reads and writes in the place of tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardTold>,
    /// Settings that hold while it runs: names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String)>,
    /// It touches no table but through those views.
    #[serde(default)]
    pub is_guarded: bool,
}

impl StatementRules {
    /// Whether it needs nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A view that guards a table. Its name is made of its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardTold {
    /// Its name, which no person can name.
    pub name: String,
    /// The statement that makes it.
    pub definition: String,
}

/// A transaction of several statements, on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionNumber(pub u64);

/// Begin a transaction on a core, which has no other writes meanwhile unless it only
/// reads. The Host takes it
/// back when it is idle, or open, for too long, and when the stream ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaBegin {
    /// In which database.
    pub database: DatabaseId,
    /// For whom, for the Host's log.
    pub person: PersonName,
    /// It has a view of the database as it is when it begins, and writes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// The cut epoch of the Element under which it was begun.
    #[serde(default)]
    pub cut_epoch: u64,
    /// The epoch of the core that is meant: no other begins it, or commits it.
    #[serde(default)]
    pub epoch: Epoch,
    /// All of it sees one state of the database.
    #[serde(default)]
    pub is_strict: bool,
}

/// Answer to [`ReplicaBegin`] and [`ReplicaControl`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaControlled {
    /// It has begun.
    Begun(TransactionNumber),
    /// It is done; after a commit, at this position.
    Done(Option<Position>),
    /// It has failed.
    Refused(SqlFault),
}

/// Set something in a transaction, or end it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaControl {
    /// Which one.
    pub transaction: TransactionNumber,
    /// What.
    pub act: TransactionAct,
}

/// What can be done with a transaction beside statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionAct {
    /// Set a savepoint.
    Savepoint(String),
    /// Take back what was done after it; it stays.
    RollbackTo(String),
    /// Forget it; what was done stays.
    Release(String),
    /// Make all durable.
    Commit,
    /// Take all back.
    Rollback,
}

/// Nobody wants this statement any more. One that has come to its end meanwhile, a write
/// that was committed, is answered with that.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReplicaCancel {
    /// As the statement has it.
    pub mark: u64,
}

/// Answer to [`ReplicaRun`] and [`ReplicaRows`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaAnswer {
    /// It runs, or is done.
    Rows(ReplicaPiece),
    /// It has failed, and has changed nothing.
    Refused(SqlFault),
    /// The copy has not come as far as it must.
    Behind(Position),
}

/// What a statement gave, as far as it fits into a piece.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplicaPiece {
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
}

/// More rows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReplicaRows {
    /// Of which result.
    pub cursor: CursorNumber,
}

/// No more rows are wanted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReplicaClose {
    /// Of which result.
    pub cursor: CursorNumber,
}

/// What comes after what this shadow has; waits a while where nothing does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogPull {
    /// Which database.
    pub database: DatabaseId,
    /// With which the log may be read.
    pub ticket: String,
    /// Begins of epochs that the shadow knows, oldest first.
    pub epochs: Vec<EpochBegin>,
    /// The last entry that it has.
    pub last: LogPoint,
    /// Bytes that it has of the next entry, which is told in pieces.
    #[serde(default)]
    pub body_from: u64,
    /// Of a partial copy: BLAKE3 of the filter that it was made by, in hex. One that
    /// was made by another filter, or none, than it is to have begins with a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Bytes of an answer at most, where the way is slow; absent: [`ENTRIES_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

/// Answer to [`LogPull`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogPulled {
    /// Entries, oldest first; none where nothing came.
    Entries(LogEntries),
    /// A piece of the next entry.
    Piece(EntryPiece),
    /// The log does not reach back so far, or parts from the shadow's: it has to
    /// begin with a snapshot.
    SnapshotNeeded,
}

/// Some entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntries {
    /// In their order.
    pub entries: Vec<Entry>,
    /// The last one that the core had committed when it was asked: who has it is
    /// behind nothing.
    pub last: Position,
}

/// A piece of an entry that is too large for one answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntryPiece {
    /// The entry, with a piece of its body.
    pub entry: Entry,
    /// Bytes of the whole body.
    pub bytes: u64,
    /// As in [`LogEntries`].
    pub last: Position,
}

/// What a core's log is, in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogDescribe {
    /// Which database.
    pub database: DatabaseId,
    /// With which the log may be read.
    pub ticket: String,
}

/// Answer to [`LogDescribe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogTold {
    /// Begins of its epochs, oldest first.
    pub epochs: Vec<EpochBegin>,
    /// The last entry.
    pub last: LogPoint,
}

/// Sums over all ranges of keys of a core. The first asks for them, and is answered
/// with their position before they are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SumsRead {
    /// Which database.
    pub database: DatabaseId,
    /// With which the log may be read.
    pub ticket: String,
    /// Which ones; absent: make some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorNumber>,
}

/// Answer to [`SumsRead`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SumsPiece {
    /// Of which position they are.
    pub position: Position,
    /// Sums, in the order of the tables and keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<RangeTold>,
    /// Where there are more; absent: these were the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorNumber>,
}

/// What a core has in a range of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeTold {
    /// The table.
    pub table: String,
    /// The key before the first, as the cells of a changeset in base64; absent: from the
    /// beginning on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The last key; absent: up to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// How many rows.
    pub rows: u64,
    /// BLAKE3 over them, in hex.
    pub hash: String,
}

/// A piece of a snapshot of the whole database. The first one makes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotRead {
    /// Which database.
    pub database: DatabaseId,
    /// With which the log may be read.
    pub ticket: String,
    /// Of which snapshot; absent: make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorNumber>,
    /// Bytes of a piece at most, where the way is slow; absent: [`SNAPSHOT_PIECE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

/// Answer to [`SnapshotRead`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotPiece {
    /// What the snapshot is of; told with the first piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<SnapshotTold>,
    /// The piece, in base64.
    pub bytes: String,
    /// Where there is more; absent: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorNumber>,
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTold {
    /// The last entry whose effect is in it.
    pub last: LogPoint,
    /// Bytes of it.
    pub bytes: u64,
    /// BLAKE3 over them, in hex.
    pub hash: String,
}

requests! {
    ReplicaMake = "replica-make" => Done,
    ReplicaRemove = "replica-remove" => Done,
    ReplicaDescribe = "replica-describe" => Schema,
    ReplicaFollow = "replica-follow" => Done,
    ReplicaLead = "replica-lead" => Done,
    ReplicaParts = "replica-parts" => Done,
    ReplicaDrain = "replica-drain" => ReplicaStands,
    ReplicaStand = "replica-stand" => ReplicaStands,
    ReplicaCompare = "replica-compare" => ReplicaCheck,
    ReplicaRun = "replica-run" => ReplicaAnswer,
    ReplicaRows = "replica-rows" => ReplicaAnswer,
    ReplicaClose = "replica-close" => Done,
    ReplicaBegin = "replica-begin" => ReplicaControlled,
    ReplicaControl = "replica-control" => ReplicaControlled,
    ReplicaCancel = "replica-cancel" => Done,
    LogPull = "log-pull" => LogPulled,
    LogDescribe = "log-describe" => LogTold,
    SumsRead = "sums-read" => SumsPiece,
    SnapshotRead = "snapshot-read" => SnapshotPiece,
}
