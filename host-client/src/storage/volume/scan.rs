//! Reads a segment from its beginning to its end, whatever state it is in.
//!
//! Invariants: a record counts only if its header checks and its data is the
//! whole block of that id; after what does not check, the next record is found
//! by its magic; what nothing whole comes after is a tail that a crash has torn,
//! and nobody was told that it is kept.

use std::io;

use bytes::Bytes;
use gridmart_fabric::{block::EncodedBlock, disk::DiskFile};

use super::record::{RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader, RecordKey, RecordKind};

/// Bytes at a time in which the next record is looked for.
const SEARCH_BYTES: u32 = 256 * 1024;
/// A header may begin in one of them and end in the next one.
const SEARCH_STEP: u32 = SEARCH_BYTES - RecordHeader::data_at(0) + 1;

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) header: RecordHeader,
    pub(crate) at: u32,
    /// Its data is the block that the header names.
    pub(crate) is_whole: bool,
}

/// What a segment has.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) records: Vec<Found>,
    /// Stretches in which nothing was found and after which something was.
    pub(crate) gaps: Vec<std::ops::Range<u32>>,
    /// Something could not be read.
    pub(crate) is_unreadable: bool,
    /// Where a torn tail begins, if there is one.
    pub(crate) tail: Option<u32>,
}

/// Reads all records from `from` to `length`.
pub(crate) fn scan(file: &dyn DiskFile, from: u32, length: u32, key: &RecordKey) -> Scan {
    let mut scan = Scan::default();
    let mut at = from;
    let mut gap = None;
    while at < length {
        let Some(found) = scan.read_record(file, at, length, key) else {
            gap = gap.or(Some(at));
            at = scan.search(file, at + 1, length, key);
            continue;
        };
        if let Some(begin) = gap.take() {
            scan.gaps.push(begin..at);
        }
        scan.records.push(found);
        let bytes = u32::try_from(found.header.record_bytes()).unwrap_or(u32::MAX);
        at = at.saturating_add(bytes);
    }
    scan.tail = gap;
    while scan.records.last().is_some_and(|last| !last.is_whole) {
        scan.tail = scan.records.pop().map(|torn| torn.at);
    }
    scan
}

impl Scan {
    /// Reads the record at `at`, if its header checks.
    fn read_record(
        &mut self,
        file: &dyn DiskFile,
        at: u32,
        length: u32,
        key: &RecordKey,
    ) -> Option<Found> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        if !self.read(file, &mut bytes, at) {
            return None;
        }
        let header = RecordHeader::parse(&bytes, key, at)?;
        let end = u64::from(at) + header.record_bytes();
        let is_whole = end <= u64::from(length) && self.is_whole(file, at, &header);
        Some(Found {
            header,
            at,
            is_whole,
        })
    }

    fn is_whole(&mut self, file: &dyn DiskFile, at: u32, header: &RecordHeader) -> bool {
        if header.kind != RecordKind::Block {
            return header.bytes == 0;
        }
        let mut data = vec![0; header.bytes as usize];
        let data_at = RecordHeader::data_at(at);
        self.read(file, &mut data, data_at)
            && EncodedBlock::parse(&Bytes::from(data)).is_ok_and(|(block, rest)| {
                rest.is_empty() && block.prefix().header().id() == header.id
            })
    }

    /// Finds the next place from `at` on where a record's header checks.
    fn search(&mut self, file: &dyn DiskFile, at: u32, length: u32, key: &RecordKey) -> u32 {
        let mut window = vec![0; SEARCH_BYTES as usize];
        let mut at = at;
        while at < length {
            let size = SEARCH_BYTES.min(length - at);
            let window = &mut window[..size as usize];
            if !self.read(file, window, at) {
                window.fill(0);
            }
            let hit = window
                .windows(RECORD_HEADER_BYTES)
                .enumerate()
                .filter(|(_, bytes)| bytes.starts_with(RECORD_MAGIC))
                .find_map(|(offset, bytes)| {
                    let bytes: &[u8; RECORD_HEADER_BYTES] = bytes.try_into().ok()?;
                    let place = at.checked_add(u32::try_from(offset).ok()?)?;
                    RecordHeader::parse(bytes, key, place).map(|_| place)
                });
            if let Some(place) = hit {
                return place;
            }
            if size < SEARCH_BYTES {
                return length;
            }
            at += SEARCH_STEP;
        }
        length
    }

    fn read(&mut self, file: &dyn DiskFile, buffer: &mut [u8], at: u32) -> bool {
        match file.read_exact_at(buffer, at.into()) {
            Ok(()) => true,
            Err(error) => {
                self.is_unreadable |= error.kind() != io::ErrorKind::UnexpectedEof;
                false
            }
        }
    }
}
