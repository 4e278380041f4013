//! The snapshot: what the records up to a position amount to, as the Element
//! has made it. The file is its content and a trailer of 96 bytes: `GMLSNAP1`,
//! epoch 8, sequence 8, bytes 8, BLAKE3 of the content 32, BLAKE3 of these 32.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use gridmart_fabric::disk::{Disk, DiskFile, Secrecy};

use super::{Ledger, LedgerError, Position, State, Tail};

const MAGIC: &[u8; 8] = b"GMLSNAP1";
const TRAILER_BYTES: usize = 96;
const CHECK_AT: usize = 64;
const NEW: &str = "snapshot.new";
const PREFIX: &str = "snapshot-";

/// What is known of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The last record that it covers.
    pub position: Position,
    /// Bytes of its content.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub hash: [u8; 32],
}

impl SnapshotInfo {
    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{PREFIX}{}", self.position))
    }

    fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.position.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.position.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[32..CHECK_AT].copy_from_slice(&self.hash);
        let check = blake3::hash(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(check.as_bytes());
        bytes
    }

    fn parse(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        let long = |at: usize| {
            let bytes = bytes.get(at..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let right =
            bytes.starts_with(MAGIC) && blake3::hash(&bytes[..CHECK_AT]) == bytes[CHECK_AT..];
        if !right {
            return None;
        }
        Some(Self {
            position: Position {
                epoch: long(8)?,
                sequence: long(16)?,
            },
            bytes: long(24)?,
            hash: *bytes.get(32..)?.first_chunk()?,
        })
    }
}

/// Finds the newest snapshot, and removes what a crash has left of others.
pub(super) fn find(disk: &dyn Disk, folder: &Path) -> io::Result<Option<SnapshotInfo>> {
    let mut newest: Option<SnapshotInfo> = None;
    for path in disk.list(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if name == NEW {
            let _ = disk.remove(&path);
        }
        if !name.starts_with(PREFIX) {
            continue;
        }
        let file = disk.open_existing(&path)?;
        let found = read_trailer(&*file)?.filter(|info| info.path(folder) == path);
        match (found, newest) {
            (None, _) => {
                tracing::error!(path = %path.display(), "a snapshot of the ledger is damaged, and left alone");
            }
            (Some(found), Some(other)) if other.position.sequence > found.position.sequence => {
                let _ = disk.remove(&path);
            }
            (Some(found), other) => {
                if let Some(other) = other {
                    let _ = disk.remove(&other.path(folder));
                }
                newest = Some(found);
            }
        }
    }
    Ok(newest)
}

fn read_trailer(file: &dyn DiskFile) -> io::Result<Option<SnapshotInfo>> {
    let Some(bytes) = file.length()?.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, bytes)?;
    Ok(SnapshotInfo::parse(&trailer).filter(|info| info.bytes == bytes))
}

impl Ledger {
    /// What is known of the snapshot, if there is one.
    pub fn snapshot(&self) -> Option<SnapshotInfo> {
        self.state.lock().snapshot
    }

    /// Begins to take a snapshot, of which nothing is seen before it is whole
    /// and durable. One at a time.
    pub fn snapshot_put(
        self: &Arc<Self>,
        epoch: u64,
        info: SnapshotInfo,
    ) -> Result<SnapshotWriter, LedgerError> {
        self.admit_snapshot(&mut self.state.lock(), epoch, &info)?;
        if self.takes_snapshot.swap(true, Ordering::AcqRel) {
            return Err(LedgerError::Malformed(
                "another snapshot is being sent; wait until it has ended".to_owned(),
            ));
        }
        let writer = SnapshotWriter {
            path: self.settings.folder.join(NEW),
            ledger: Arc::clone(self),
            epoch,
            info,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        self.disk
            .write(&writer.path, &[], Secrecy::Secret)
            .map_err(|error| LedgerError::disk("beginning", &writer.path, error))?;
        Ok(writer)
    }

    fn admit_snapshot(
        &self,
        state: &mut State,
        epoch: u64,
        info: &SnapshotInfo,
    ) -> Result<(), LedgerError> {
        self.admit(state, epoch)?;
        let base = state.chain.base();
        if info.position.sequence < base.sequence || info.position.epoch > epoch {
            return Err(LedgerError::Malformed(format!(
                "a snapshot at {} is of no use: the ledger has one at {base} and epoch {epoch}; send a newer one",
                info.position
            )));
        }
        Ok(())
    }

    /// Opens the snapshot to read it.
    pub fn snapshot_get(&self) -> Result<SnapshotReader, LedgerError> {
        // Under the lock: a newer one removes it.
        let state = self.state.lock();
        let info = state.snapshot.ok_or(LedgerError::NoSnapshot)?;
        let path = info.path(&self.settings.folder);
        let file = self
            .disk
            .open_existing(&path)
            .map_err(|error| LedgerError::disk("opening", &path, error))?;
        Ok(SnapshotReader {
            info,
            path,
            file,
            hasher: blake3::Hasher::new(),
            at: 0,
        })
    }

    /// The snapshot is durable: what it covers goes.
    fn on_snapshot(&self, state: &mut State, info: SnapshotInfo) {
        let older = state.snapshot.replace(info);
        state.chain.cover(info.position);
        let tail = match &state.tail {
            Tail::Open(file) => Some(file.number),
            Tail::Doubtful(number) => *number,
        };
        let is_empty = state.chain.last() == info.position;
        if is_empty {
            // What the file has belongs to the past, or to another history.
            state.tail = Tail::Doubtful(tail);
        }
        let unneeded: Vec<_> = state
            .files
            .keys()
            .copied()
            .filter(|number| Some(*number) != tail && !state.chain.needs(*number))
            .collect();
        for number in unneeded {
            self.remove_file(state, number);
        }
        if is_empty && let Err(error) = self.tail(state) {
            tracing::warn!(%error, "the ledger begins a new file with the next record");
        }
        if let Some(older) = older.filter(|older| older.position != info.position) {
            let _ = self.disk.remove(&older.path(&self.settings.folder));
        }
    }
}

/// Takes a snapshot piece by piece. If it is dropped before it has been
/// finished, nothing of it stays.
#[derive(Debug)]
pub struct SnapshotWriter {
    ledger: Arc<Ledger>,
    path: PathBuf,
    epoch: u64,
    info: SnapshotInfo,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl SnapshotWriter {
    /// Adds the next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), LedgerError> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > self.info.bytes {
            return Err(self.mismatch());
        }
        self.hasher.update(piece);
        self.ledger
            .disk
            .append(&self.path, piece, Secrecy::Secret)
            .map_err(|error| LedgerError::disk("writing", &self.path, error))
    }

    fn mismatch(&self) -> LedgerError {
        LedgerError::Malformed(format!(
            "the snapshot at {} is not what its length and hash say; send it again",
            self.info.position
        ))
    }

    /// Puts it in the place of the one before, durably; records that it covers
    /// are removed.
    pub fn finish(self) -> Result<(), LedgerError> {
        if self.bytes != self.info.bytes || self.hasher.finalize() != self.info.hash {
            return Err(self.mismatch());
        }
        let ledger = &self.ledger;
        let folder = &ledger.settings.folder;
        let disk = &ledger.disk;
        let written = disk
            .append(&self.path, &self.info.encode(), Secrecy::Secret)
            .and_then(|()| disk.sync_file(&self.path));
        let failed = |error| LedgerError::disk("writing", &self.path, error);
        written.map_err(failed)?;
        let mut state = ledger.state.lock();
        ledger.admit_snapshot(&mut state, self.epoch, &self.info)?;
        disk.rename(&self.path, &self.info.path(folder))
            .and_then(|()| disk.sync_folder(folder))
            .map_err(failed)?;
        ledger.on_snapshot(&mut state, self.info);
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        // After it has been finished there is none of that name.
        let _ = self.ledger.disk.remove(&self.path);
        self.ledger.takes_snapshot.store(false, Ordering::Release);
    }
}

/// Reads a snapshot piece by piece.
#[derive(Debug)]
pub struct SnapshotReader {
    info: SnapshotInfo,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    hasher: blake3::Hasher,
    at: u64,
}

impl SnapshotReader {
    /// What it is.
    pub const fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// Reads the next piece, at most what fits; 0 at the end. An error with the
    /// last piece, if the whole is not what was written.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LedgerError> {
        let left = usize::try_from(self.info.bytes - self.at).unwrap_or(usize::MAX);
        let size = buffer.len().min(left);
        let piece = &mut buffer[..size];
        self.file
            .read_exact_at(piece, self.at)
            .map_err(|error| LedgerError::disk("reading", &self.path, error))?;
        self.hasher.update(piece);
        self.at += size as u64;
        if self.at == self.info.bytes && self.hasher.finalize() != self.info.hash {
            return Err(LedgerError::Damaged {
                what: format!("the snapshot at {}", self.info.position),
            });
        }
        Ok(size)
    }
}
