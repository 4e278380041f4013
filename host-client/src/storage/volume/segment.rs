//! One segment file: its head, and its end where records are added.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use gridmart_fabric::disk::{Disk, DiskFile, Secrecy};

use super::{
    index::SegmentNumber,
    record::{RECORD_HEADER_BYTES, RecordHeader, RecordKey},
};
use crate::storage::group_sync::GroupSync;

/// What a segment begins with: magic, number, the volume's key, a check.
pub(crate) const SEGMENT_HEAD_BYTES: u32 = 64;
const MAGIC: &[u8; 8] = b"GMSEGMT1";
const CHECK_AT: usize = 32;

/// A segment to which records are, or were, added.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    key: RecordKey,
    reached: AtomicU32,
    sync: GroupSync,
}

/// The path of a segment file.
pub(crate) fn segment_path(folder: &Path, number: SegmentNumber) -> PathBuf {
    folder.join(format!("{number:08}.seg"))
}

/// The path of the index beside it.
pub(crate) fn segment_index_path(folder: &Path, number: SegmentNumber) -> PathBuf {
    folder.join(format!("{number:08}.idx"))
}

/// Reads a file's name: the number and the extension.
pub(crate) fn parse_name(path: &Path) -> Option<(SegmentNumber, &str)> {
    let (number, extension) = path.file_name()?.to_str()?.split_once('.')?;
    let plain = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| plain)?, extension))
}

fn head(number: SegmentNumber, volume_key: &[u8; 16]) -> [u8; SEGMENT_HEAD_BYTES as usize] {
    let mut bytes = [0; SEGMENT_HEAD_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&number.get().to_le_bytes());
    bytes[16..CHECK_AT].copy_from_slice(volume_key);
    let check = blake3::hash(&bytes[..CHECK_AT]);
    bytes[CHECK_AT..].copy_from_slice(check.as_bytes());
    bytes
}

/// Reads a segment's head: its number and the volume's key; `None` if that is
/// damaged, or was never written.
pub(crate) fn read_head(file: &dyn DiskFile) -> Option<(u32, [u8; 16])> {
    let mut bytes = [0; SEGMENT_HEAD_BYTES as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let right = bytes.starts_with(MAGIC) && blake3::hash(&bytes[..CHECK_AT]) == bytes[CHECK_AT..];
    let number = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let mut key = [0; 16];
    key.copy_from_slice(&bytes[16..CHECK_AT]);
    right.then_some((number, key))
}

impl Segment {
    /// Makes a new one; the folder knows it durably.
    pub(crate) fn begin(
        disk: &dyn Disk,
        folder: &Path,
        number: SegmentNumber,
        volume_key: &[u8; 16],
    ) -> io::Result<Self> {
        let path = segment_path(folder, number);
        let file: Arc<dyn DiskFile> = disk.open(&path, Secrecy::Secret)?.into();
        file.write_at(&head(number, volume_key), 0)?;
        disk.sync_folder(folder)?;
        Ok(Self {
            number,
            path,
            file,
            key: RecordKey::new(volume_key, number),
            reached: AtomicU32::new(SEGMENT_HEAD_BYTES),
            sync: GroupSync::of_content(),
        })
    }

    /// Bytes that it has.
    pub(crate) fn length(&self) -> u32 {
        self.reached.load(Ordering::Acquire)
    }

    /// Adds a record and gives where it begins. One caller at a time; after an
    /// error no other may come.
    pub(crate) fn add(&self, header: &RecordHeader, data: [&[u8]; 2]) -> io::Result<u32> {
        let at = self.length();
        let record_bytes = RECORD_HEADER_BYTES + data[0].len() + data[1].len();
        let end = u32::try_from(record_bytes)
            .ok()
            .and_then(|bytes| at.checked_add(bytes))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut record = Vec::with_capacity(record_bytes);
        record.extend_from_slice(&header.encode(&self.key, at));
        record.extend_from_slice(data[0]);
        record.extend_from_slice(data[1]);
        self.file.write_at(&record, at.into())?;
        self.reached.store(end, Ordering::Release);
        Ok(at)
    }

    /// Returns when all up to `end` is durable.
    pub(crate) fn through(&self, end: u32) -> Result<(), Arc<io::Error>> {
        let reached = || u64::from(self.length());
        self.sync.through(end.into(), reached, || self.file.sync())
    }
}
