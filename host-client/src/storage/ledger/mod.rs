//! A copy of the Element's metadata log on this Host.
//!
//! The Element appends records, each with the epoch that it was written under
//! and a sequence; the ledger takes them if what comes before them is the same
//! here (`chain`), as followers of Raft do. Its files are `NNNNNNNN.log`, of
//! which the last one grows, `snapshot-<epoch>-<sequence>`, which stands for the
//! records up to that position, and `epoch`, the newest epoch that was seen.
//!
//! Invariants:
//! - what was acknowledged is durable, and nobody with an older epoch than the
//!   newest seen changes anything;
//! - a suffix that differs gives way by being written over: the files only grow;
//! - a log file that another one follows is durable. The last one, which a start
//!   finds or in which a write or a sync has failed, is not relied on: what is in
//!   use of it is written to a new file first.

mod chain;
mod epoch;
mod error;
mod log_file;
mod open;
mod record;
mod snapshot;
mod write;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use gridmart_fabric::disk::Disk;
use parking_lot::Mutex;

use self::{chain::Chain, log_file::LogFile};
pub use self::{
    chain::Position,
    error::LedgerError,
    record::RECORD_BYTES_MAX,
    snapshot::{SnapshotInfo, SnapshotReader, SnapshotWriter},
};

/// The most bytes of records in one append.
pub const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// From this size on the next records go to another file.
pub const LOG_FILE_BYTES: u32 = 16 * 1024 * 1024;
/// The most bytes of all log files: more than the Element lets come together
/// before it sends a snapshot.
pub const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A record of the Element's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Its place in the log.
    pub position: Position,
    /// Its content, which only the Element understands.
    pub bytes: Bytes,
}

/// Where a ledger is.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Its folder, which is its alone.
    pub folder: PathBuf,
    /// From this size on a log file is followed by another; [`LOG_FILE_BYTES`].
    pub log_file_bytes: u32,
}

impl LedgerSettings {
    /// The settings for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            log_file_bytes: LOG_FILE_BYTES,
        }
    }
}

/// The file to which records are added.
#[derive(Debug)]
enum Tail {
    Open(Arc<LogFile>),
    /// What the file has may not be durable.
    Doubtful(Option<u32>),
}

#[derive(Debug)]
struct State {
    epoch: u64,
    chain: Chain,
    files: BTreeMap<u32, Arc<LogFile>>,
    tail: Tail,
    last_number: u32,
    snapshot: Option<SnapshotInfo>,
}

/// The ledger. See the module.
pub struct Ledger {
    disk: Arc<dyn Disk>,
    settings: LedgerSettings,
    state: Mutex<State>,
    takes_snapshot: AtomicBool,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("folder", &self.settings.folder)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// The newest epoch that was seen.
    pub fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// What the snapshot covers; the records after it can be read.
    pub fn base(&self) -> Position {
        self.state.lock().chain.base()
    }

    /// The last record, durable.
    pub fn position(&self) -> Result<Position, LedgerError> {
        let (last, file, end) = {
            let mut state = self.state.lock();
            let file = self.tail(&mut state)?;
            let end = file.length();
            (state.chain.last(), file, end)
        };
        self.settle(&file, end)?;
        Ok(last)
    }

    /// Reads the records after a sequence: at least one, if there is one, and
    /// no more than `bytes_max` bytes if there are several.
    pub fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<LedgerRecord>, LedgerError> {
        let mut records = Vec::new();
        let mut bytes = 0usize;
        loop {
            let sequence = after.saturating_add(records.len() as u64 + 1);
            let (entry, file) = {
                let state = self.state.lock();
                let snapshot = state.chain.base();
                if sequence <= snapshot.sequence {
                    return Err(LedgerError::InSnapshot { snapshot });
                }
                let Some(entry) = state.chain.get(sequence) else {
                    return Ok(records);
                };
                (entry, state.files.get(&entry.file).cloned())
            };
            bytes = bytes.saturating_add(entry.bytes as usize);
            if bytes > bytes_max && !records.is_empty() {
                return Ok(records);
            }
            let position = Position {
                epoch: entry.epoch,
                sequence,
            };
            let found = match &file {
                Some(file) => file
                    .read(entry.at)
                    .map_err(|error| LedgerError::disk("reading ledger file", &file.path, error))?,
                None => None,
            };
            match found {
                Some((head, bytes)) if head.position == position => {
                    records.push(LedgerRecord { position, bytes });
                }
                _ => return Err(self.on_damage(position, entry)),
            }
        }
    }

    /// A record is not what was written: the ledger ends before it, so that
    /// the Element sends it again.
    fn on_damage(&self, position: Position, entry: chain::Entry) -> LedgerError {
        let mut state = self.state.lock();
        if state.chain.get(position.sequence) == Some(entry) {
            tracing::error!(%position, "a record of the ledger is damaged: it and those after it are asked for again");
            state.chain.cut_after(position.sequence - 1);
            if let Tail::Open(file) = &state.tail {
                state.tail = Tail::Doubtful(Some(file.number));
            }
        }
        LedgerError::Damaged {
            what: format!("record {position}"),
        }
    }
}

#[cfg(test)]
mod tests;
