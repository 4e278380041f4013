//! Brings a whole database to a Host that has none, or a wrong one.
//!
//! A snapshot is a copy of the file as of one position, without its free pages:
//! rows that were deleted do not travel. The core keeps writing while it is made.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use gridmart_schemas::data::LogPoint;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

use super::{
    engine::{
        EngineError,
        sqlite::{Failure as _, Guard, Purpose, open, open_to_copy, state_of},
    },
    home::Home,
    log::{Role, state, state_put},
};

/// Bytes of a chunk at most.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// What a snapshot says of itself, before its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// Of which database it is.
    pub database: Uuid,
    /// The last entry that is in it.
    pub last: LogPoint,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash, as hex digits.
    pub hash: String,
}

/// A snapshot that goes out; its file is gone with it.
#[derive(Debug)]
pub struct Snapshot {
    head: SnapshotHead,
    file: File,
    path: PathBuf,
}

impl Snapshot {
    /// Makes one of a database; blocks for as long as copying it takes.
    pub fn take(home: &Home) -> Result<Self, EngineError> {
        let database = home.database()?.ok_or_else(|| EngineError::Damaged {
            why: "there is no copy of it here".to_owned(),
        })?;
        let path = home.make_outgoing()?.join(Uuid::new_v4().to_string());
        let taken = copy(&database, &path).and_then(|()| Self::open(&path));
        if taken.is_err() {
            // A best effort: the folder is emptied at the next start.
            let _ = fs::remove_file(&path);
        }
        taken
    }

    /// Takes a file that is of nobody else.
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
        let connection = open_to_copy(path)?;
        let state = state_of(&connection)?;
        drop(connection);
        let measure = || -> io::Result<(File, u64, String)> {
            let mut file = File::open(path)?;
            let mut hasher = blake3::Hasher::new();
            let bytes = io::copy(&mut file, &mut hasher)?;
            Ok((
                File::open(path)?,
                bytes,
                hasher.finalize().to_hex().to_string(),
            ))
        };
        let (file, bytes, hash) = measure().map_err(|error| failed("reading", path, &error))?;
        let head = SnapshotHead {
            database: state.database,
            last: state.last,
            bytes,
            hash,
        };
        Ok(Self {
            head,
            file,
            path: path.to_owned(),
        })
    }

    /// What it is.
    pub const fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The next bytes, so many at most; none after the last. Blocks for the disk.
    pub fn next_chunk(&mut self, bytes_max: u64) -> Result<Vec<u8>, EngineError> {
        let bytes_max = bytes_max.min(CHUNK_BYTES_MAX as u64);
        let mut chunk = Vec::new();
        let read = (&mut self.file).take(bytes_max).read_to_end(&mut chunk);
        read.map_err(|error| failed("reading", &self.path, &error))?;
        Ok(chunk)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn copy(database: &Path, to: &Path) -> Result<(), EngineError> {
    let connection = open_to_copy(database)?;
    let to = to.to_string_lossy();
    connection
        .execute("VACUUM INTO ?1", [to.as_ref()])
        .map(drop)
        .during("making a snapshot")
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> EngineError {
    EngineError::Storage {
        why: format!("{doing} {}: {error}", path.display()),
        is_full: error.kind() == io::ErrorKind::StorageFull,
    }
}

/// A snapshot that comes in. Until it is [finished](Self::finish), what is there
/// counts; dropping it leaves that as it is.
#[derive(Debug)]
pub struct Install {
    home: Home,
    head: SnapshotHead,
    generation: u64,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    received: u64,
}

impl Install {
    /// Begins to take one in. The copy that is there must be closed when it is
    /// finished, not before.
    pub fn begin(home: &Home, head: SnapshotHead) -> Result<Self, EngineError> {
        let (generation, path) = home.prepare()?;
        let file = File::create(&path).map_err(|error| failed("making", &path, &error))?;
        Ok(Self {
            home: home.clone(),
            head,
            generation,
            path,
            file,
            hasher: blake3::Hasher::new(),
            received: 0,
        })
    }

    /// Takes the next bytes. Blocks for the disk.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        self.received += chunk.len() as u64;
        if self.received > self.head.bytes {
            return Err(self.damaged("is longer than it says"));
        }
        self.hasher.update(chunk);
        let written = self.file.write_all(chunk);
        written.map_err(|error| failed("writing", &self.path, &error))
    }

    /// From here on the database is this copy, a shadow. Gives its file.
    pub fn finish(self) -> Result<PathBuf, EngineError> {
        if self.received != self.head.bytes {
            return Err(self.damaged("ends early"));
        }
        if self.hasher.finalize().to_hex().as_str() != self.head.hash {
            return Err(self.damaged("is not what its hash says"));
        }
        let synced = self.file.sync_all();
        synced.map_err(|error| failed("syncing", &self.path, &error))?;
        self.make_shadow()?;
        self.home.publish(self.generation)?;
        Ok(self.path.clone())
    }

    fn make_shadow(&self) -> Result<(), EngineError> {
        let connection = open(&self.path, Purpose::Shadow, &Arc::new(Guard::default()))?;
        let mut state = state(&connection)?
            .filter(|state| state.database == self.head.database && state.last == self.head.last)
            .ok_or_else(|| self.damaged("is of another database or position than it says"))?;
        state.role = Role::Shadow;
        state.epoch = state.last.epoch;
        state.fenced = None;
        state.diverged = None;
        state_put(&connection, &state)?;
        connection
            .close()
            .map_err(|(_, error)| error)
            .during("closing a new copy")
    }

    fn damaged(&self, why: &str) -> EngineError {
        EngineError::Damaged {
            why: format!("the snapshot of position {} {why}", self.head.last.position),
        }
    }
}

#[cfg(test)]
mod tests;
