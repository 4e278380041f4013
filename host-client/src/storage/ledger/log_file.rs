//! One file of the ledger's log: read, added to, made durable.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use gridmart_fabric::disk::{Disk, DiskFile, Secrecy, durable_write};

use super::{
    Position,
    record::{FILE_HEAD_BYTES, RECORD_HEAD_BYTES, RecordHead, parse_head},
};
use crate::storage::group_sync::GroupSync;

/// A log file.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    reached: AtomicU32,
    sync: GroupSync,
}

/// A record that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: RecordHead,
    pub(super) at: u32,
}

pub(super) fn log_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

impl LogFile {
    /// Makes one with this content, head and records, durably.
    pub(super) fn begin(
        disk: &dyn Disk,
        folder: &Path,
        number: u32,
        content: &[u8],
    ) -> io::Result<Self> {
        let path = log_path(folder, number);
        durable_write(disk, &path, content, Secrecy::Secret)?;
        let file: Arc<dyn DiskFile> = disk.open(&path, Secrecy::Secret)?.into();
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        Ok(Self::new(number, path, file, length))
    }

    /// Opens one to read it.
    pub(super) fn open(disk: &dyn Disk, folder: &Path, number: u32) -> io::Result<Self> {
        let path = log_path(folder, number);
        let file: Arc<dyn DiskFile> = disk.open_existing(&path)?.into();
        let length = u32::try_from(file.length()?).unwrap_or(u32::MAX);
        Ok(Self::new(number, path, file, length))
    }

    fn new(number: u32, path: PathBuf, file: Arc<dyn DiskFile>, length: u32) -> Self {
        Self {
            number,
            path,
            file,
            reached: AtomicU32::new(length),
            sync: GroupSync::of_content().from(length.into()),
        }
    }

    pub(super) fn length(&self) -> u32 {
        self.reached.load(Ordering::Acquire)
    }

    /// Adds bytes at the end. One caller at a time; after an error no other.
    pub(super) fn add(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.length();
        let end = u32::try_from(bytes.len()).ok();
        let end = end.and_then(|bytes| at.checked_add(bytes));
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_at(bytes, at.into())?;
        self.reached.store(end, Ordering::Release);
        Ok(())
    }

    /// Returns when all up to `end` is durable.
    pub(super) fn through(&self, end: u32) -> Result<(), Arc<io::Error>> {
        let reached = || u64::from(self.length());
        self.sync.through(end.into(), reached, || self.file.sync())
    }

    /// What comes before its first record; `None` if the head is damaged.
    pub(super) fn after(&self) -> Option<Position> {
        let mut head = [0; FILE_HEAD_BYTES as usize];
        self.file.read_exact_at(&mut head, 0).ok()?;
        parse_head(&head, self.number)
    }

    /// Reads the record at `at`: `None` if there is none, or it is damaged.
    pub(super) fn read(&self, at: u32) -> io::Result<Option<(RecordHead, Bytes)>> {
        let mut bytes = [0; RECORD_HEAD_BYTES as usize];
        if !self.fill(&mut bytes, at.into())? {
            return Ok(None);
        }
        let Some(head) = RecordHead::parse(&bytes) else {
            return Ok(None);
        };
        let mut content = vec![0; head.bytes as usize];
        let content_at = u64::from(at) + u64::from(RECORD_HEAD_BYTES);
        let is_right = self.fill(&mut content, content_at)?
            && RecordHead::is_right(&bytes, self.number, at, &content);
        Ok(is_right.then(|| (head, content.into())))
    }

    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        match self.file.read_exact_at(buffer, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads all records up to the first that is torn or damaged; tells
    /// whether they reach to the end.
    pub(super) fn scan(&self) -> io::Result<(Vec<Found>, bool)> {
        let mut found = Vec::new();
        let mut at = FILE_HEAD_BYTES;
        while at < self.length() {
            let Some((head, _)) = self.read(at)? else {
                return Ok((found, false));
            };
            found.push(Found { head, at });
            at = end_of(at, head.bytes);
        }
        Ok((found, true))
    }
}

/// Where a record ends.
pub(super) const fn end_of(at: u32, bytes: u32) -> u32 {
    at.saturating_add(RECORD_HEAD_BYTES).saturating_add(bytes)
}
