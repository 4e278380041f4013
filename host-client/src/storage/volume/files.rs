//! Blocks in files of their own: `blocks/xx/<block>.<bytes>`, where `xx` is the
//! last byte of the stripe's id and `bytes` the length of the encoded block, so
//! that a listing tells all that the index has to know.
//!
//! A file is written as `….new`, synced, renamed; then the folder is synced,
//! one sync for all who wait. A damaged one is kept as `….damaged`.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_fabric::{
    block::EncodedBlock,
    disk::{Disk, DiskFile, Secrecy},
};
use gridmart_schemas::id::BlockId;

use super::VolumeError;
use crate::storage::group_sync::GroupSync;

const NEW: &str = ".new";
const DAMAGED: &str = ".damaged";

/// The names in one folder, and how far they are durable.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    changes: AtomicU64,
    sync: GroupSync,
}

/// A change of names that has to be durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FolderMark {
    folder: u8,
    change: u64,
}

/// All block files.
pub(crate) struct BlockFiles {
    disk: Arc<dyn Disk>,
    folders: Vec<Folder>,
}

/// A block file that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundFile {
    pub(crate) id: BlockId,
    pub(crate) bytes: u32,
    pub(crate) is_damaged: bool,
}

fn parse_name(name: &str) -> Option<FoundFile> {
    let (name, is_damaged) = match name.strip_suffix(DAMAGED) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (id, bytes) = name.split_once('.')?;
    let found = FoundFile {
        id: id.parse().ok()?,
        bytes: bytes.parse().ok()?,
        is_damaged,
    };
    // One block has one name.
    (format!("{}.{}", found.id, found.bytes) == name).then_some(found)
}

fn removed(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl BlockFiles {
    /// Keeps blocks in folders below `root`.
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let folders: Vec<Folder> = (0..=u8::MAX)
            .map(|byte| Folder {
                path: root.join(format!("{byte:02x}")),
                // What an earlier process has changed may not be durable.
                changes: AtomicU64::new(1),
                sync: GroupSync::of_names(),
            })
            .collect();
        Self { disk, folders }
    }

    /// Makes the folders.
    pub(crate) fn make_folders(&self) -> io::Result<()> {
        let mut paths = self.folders.iter().map(|folder| &folder.path);
        paths.try_for_each(|path| self.disk.create_folder(path))
    }

    /// Removes a damaged file that was replaced by a whole one; a best effort.
    pub(crate) fn remove_damaged(&self, id: &BlockId, bytes: u32) {
        let _ = self.disk.remove(&self.path_with(id, bytes, DAMAGED));
    }

    /// Lists the blocks, and removes what a crash has left half written.
    pub(crate) fn list(&self) -> io::Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        for folder in &self.folders {
            for path in self.disk.list(&folder.path)? {
                let name = path.file_name().and_then(|name| name.to_str());
                let name = name.unwrap_or_default();
                if let Some(file) = parse_name(name) {
                    found.push(file);
                } else if name.ends_with(NEW) {
                    // A best effort: its next write replaces it as well.
                    let _ = self.disk.remove(&path);
                } else {
                    tracing::warn!(path = %path.display(), "a file among the blocks is none of the volume's, and left alone");
                }
            }
        }
        Ok(found)
    }

    const fn number(id: &BlockId) -> u8 {
        let [.., last] = *id.stripe.as_uuid().as_bytes();
        last
    }

    fn folder(&self, number: u8) -> &Folder {
        &self.folders[usize::from(number)]
    }

    /// The path of a block's file.
    pub(crate) fn path(&self, id: &BlockId, bytes: u32) -> PathBuf {
        let folder = self.folder(Self::number(id));
        folder.path.join(format!("{id}.{bytes}"))
    }

    fn path_with(&self, id: &BlockId, bytes: u32, suffix: &str) -> PathBuf {
        let mut path = self.path(id, bytes).into_os_string();
        path.push(suffix);
        path.into()
    }

    /// The names in the block's folder as they are now.
    pub(crate) fn mark(&self, id: &BlockId) -> FolderMark {
        let folder = Self::number(id);
        FolderMark {
            folder,
            change: self.folder(folder).changes.load(Ordering::Acquire),
        }
    }

    fn changed(&self, id: &BlockId) {
        let folder = self.folder(Self::number(id));
        folder.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Writes the file, whole and durable, under the block's name. The name
    /// is durable when its mark is settled.
    pub(crate) fn write(&self, block: &EncodedBlock, bytes: u32) -> io::Result<()> {
        let id = block.prefix().header().id();
        let temporary = self.path_with(&id, bytes, NEW);
        let written = self
            .disk
            .write(&temporary, block.prefix().bytes(), Secrecy::Secret)
            .and_then(|()| {
                self.disk
                    .append(&temporary, block.payload(), Secrecy::Secret)
            })
            .and_then(|()| self.disk.sync_file(&temporary));
        if let Err(error) = written {
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        let renamed = self.disk.rename(&temporary, &self.path(&id, bytes));
        self.changed(&id);
        renamed?;
        self.remove_damaged(&id, bytes);
        Ok(())
    }

    /// Removes the file. That is durable when its mark is settled.
    pub(crate) fn remove(&self, id: &BlockId, bytes: u32) -> io::Result<()> {
        let plain = removed(self.disk.remove(&self.path(id, bytes)));
        let damaged = removed(self.disk.remove(&self.path_with(id, bytes, DAMAGED)));
        self.changed(id);
        plain.and(damaged)
    }

    /// Sets the file apart; the name need not be durable, a later look finds
    /// the damage again.
    pub(crate) fn set_apart(&self, id: &BlockId, bytes: u32) -> io::Result<()> {
        let moved = self
            .disk
            .rename(&self.path(id, bytes), &self.path_with(id, bytes, DAMAGED));
        self.changed(id);
        moved
    }

    /// Returns when the mark is durable.
    pub(crate) fn settle(&self, mark: FolderMark) -> Result<(), VolumeError> {
        let folder = self.folder(mark.folder);
        let reached = || folder.changes.load(Ordering::Acquire);
        let sync = || self.disk.sync_folder(&folder.path);
        folder
            .sync
            .through(mark.change, reached, sync)
            .map_err(|source| VolumeError::disk("syncing folder", &folder.path, source))
    }

    pub(crate) fn reader(&self, id: &BlockId, bytes: u32) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.disk.open_existing(&self.path(id, bytes))?.into())
    }
}
