//! Entries of a database's log.

use serde::{Deserialize, Serialize};

use super::{Epoch, Position};

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Changes of rows: a changeset, in the format of SQLite's session extension.
    Rows,
    /// A change of the schema: its statement, as text.
    Schema,
    /// How far the counters of tables with ascending keys are.
    Sequence,
}

/// One thing that a core has done. A transaction is one entry or several; the
/// last of them `ends` it, and nobody applies less than all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// The epoch of the core that wrote it.
    pub epoch: Epoch,
    /// When, by the core's clock: microseconds since 1970.
    pub time: i64,
    /// What it tells.
    pub kind: EntryKind,
    /// Whether it is the last of its transaction.
    pub ends: bool,
    /// The content, in the form of its kind.
    #[serde(with = "super::bytes")]
    pub body: Vec<u8>,
}

impl Entry {
    /// Where it stands.
    pub const fn point(&self) -> LogPoint {
        LogPoint {
            position: self.position,
            epoch: self.epoch,
        }
    }

    /// What it takes in memory, on the wire and in the log, about.
    pub const fn bytes(&self) -> u64 {
        const HEAD: u64 = 48;
        self.body.len() as u64 + HEAD
    }
}

/// A place in one history: two logs that have the same point are the same up
/// to it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogPoint {
    /// The place.
    pub position: Position,
    /// The epoch of the entry there; of the begin of the log, zero.
    pub epoch: Epoch,
}

/// Which entry was the first of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochBegin {
    /// The epoch.
    pub epoch: Epoch,
    /// The place of its first entry, written or to be written.
    pub first: Position,
}
