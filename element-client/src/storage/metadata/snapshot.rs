//! The whole store as one file, at a stated position.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::{
    replica::SnapshotHead,
    store::{During as _, StoreError, open_reader, query},
};

/// Bytes that are hashed at one go.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("the snapshot {path} cannot be written or read")]
    File {
        /// Which one.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("the snapshot {path} is damaged: its length or its hash is another")]
    Damaged {
        /// Which one.
        path: String,
    },
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.display().to_string();
    move |source| SnapshotError::File { path, source }
}

/// Writes what the store at `store` holds at this moment to a new file, durably.
/// Blocks as long as it takes to write it; the writer and readers go on.
pub fn snapshot_export(store: &Path, into: &Path) -> Result<SnapshotHead, SnapshotError> {
    open_reader(store)?
        .execute("VACUUM INTO ?1", [into.to_string_lossy()])
        .during("snapshot_export")?;
    let position = query::ledger(&open_reader(into)?)?.last;
    let (bytes, hash) = hash_of(into).map_err(file_error(into))?;
    let file = File::open(into).map_err(file_error(into))?;
    file.sync_all().map_err(file_error(into))?;
    Ok(SnapshotHead {
        position,
        bytes,
        hash,
    })
}

/// Looks whether a snapshot is whole, and opens it to be sent.
pub fn snapshot_read(path: &Path, head: &SnapshotHead) -> Result<File, SnapshotError> {
    let found = hash_of(path).map_err(file_error(path))?;
    if found != (head.bytes, head.hash) {
        return Err(SnapshotError::Damaged {
            path: path.display().to_string(),
        });
    }
    File::open(path).map_err(file_error(path))
}

fn hash_of(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hasher.finalize().into())),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}
