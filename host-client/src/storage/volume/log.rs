//! The segments of a volume: the one that grows, and what is known of the
//! others.
//!
//! Invariants: the order of records, by segment number and place, is the order
//! of what happened. A segment that a write or a sync has failed on, or that a
//! start has found without its index, is *unsettled*: its records may be read,
//! and are not relied on as durable until they are copied (`compaction`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, DiskFile};
use parking_lot::Mutex;

use super::{
    VolumeError,
    index::{Place, SegmentNumber},
    record::RecordHeader,
    segment::{Segment, segment_path},
    standing::Standing,
};

/// Segments that are kept open for reading.
const OPEN_SEGMENTS_MAX: usize = 64;

/// What may be done with a segment.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    /// It grows, or is full and has no index yet.
    Open(Arc<Segment>),
    /// It is full and durable, and its index is.
    Sealed,
    /// What it has may not be durable.
    Unsettled,
    /// The disk cannot read some of it: it is left alone.
    Unreadable,
}

/// What is known of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) life: Life,
    length: u32,
    /// Bytes of its tombstones; unknown, and 0, while it is open.
    pub(crate) tombstone_bytes: u64,
}

impl Known {
    pub(crate) const fn new(life: Life, length: u32, tombstone_bytes: u64) -> Self {
        Self {
            life,
            length,
            tombstone_bytes,
        }
    }

    pub(crate) fn length(&self) -> u32 {
        match &self.life {
            Life::Open(segment) => segment.length(),
            _ => self.length,
        }
    }
}

#[derive(Debug)]
struct Table {
    active: Option<Arc<Segment>>,
    segments: BTreeMap<SegmentNumber, Known>,
    last: Option<SegmentNumber>,
}

/// A place up to which a segment has to be durable.
#[derive(Clone, Debug)]
pub(crate) struct SegmentMark {
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: u32,
}

pub(crate) struct SegmentLog {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) volume_key: [u8; 16],
    pub(crate) segment_bytes_max: u32,
    standing: Arc<Standing>,
    table: Mutex<Table>,
    readers: Mutex<Readers>,
}

/// Open segments, with when each was used last.
#[derive(Debug, Default)]
struct Readers {
    open: BTreeMap<SegmentNumber, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
}

impl SegmentLog {
    /// With what a start has found.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        volume_key: [u8; 16],
        segment_bytes_max: u32,
        standing: Arc<Standing>,
        segments: BTreeMap<SegmentNumber, Known>,
    ) -> Self {
        let last = segments.last_key_value().map(|(number, _)| *number);
        Self {
            disk,
            folder,
            volume_key,
            segment_bytes_max,
            standing,
            table: Mutex::new(Table {
                active: None,
                segments,
                last,
            }),
            readers: Mutex::default(),
        }
    }

    /// Adds a record; it is durable when its mark is settled.
    pub(crate) fn append(
        &self,
        header: &RecordHeader,
        data: [&[u8]; 2],
    ) -> Result<(Place, SegmentMark), VolumeError> {
        let mut table = self.table.lock();
        let segment = self.active(&mut table, header.record_bytes())?;
        match segment.add(header, data) {
            Ok(at) => {
                let number = segment.number;
                let end = segment.length();
                Ok((Place::Segment { number, at }, SegmentMark { segment, end }))
            }
            Err(error) => {
                let error = VolumeError::disk("writing to segment", &segment.path, error);
                self.give_up(&mut table, &segment, &error);
                Err(error)
            }
        }
    }

    /// The segment that grows, if so much fits; else a new one.
    fn active(&self, table: &mut Table, bytes: u64) -> Result<Arc<Segment>, VolumeError> {
        if let Some(segment) = &table.active
            && u64::from(segment.length()) + bytes <= u64::from(self.segment_bytes_max)
        {
            return Ok(Arc::clone(segment));
        }
        let full = || {
            let error = io::Error::other("there are no segment numbers left");
            VolumeError::disk("beginning a segment in", &self.folder, error)
        };
        let number = match table.last {
            None => SegmentNumber::MIN,
            Some(last) => last.checked_add(1).ok_or_else(full)?,
        };
        // Whatever comes of it, the name is used up: a file may be there.
        table.last = Some(number);
        let begun = Segment::begin(&*self.disk, &self.folder, number, &self.volume_key);
        let segment = Arc::new(begun.map_err(|error| {
            let path = segment_path(&self.folder, number);
            let _ = self.disk.remove(&path);
            let error = VolumeError::disk("beginning segment", path, error);
            self.standing.on_failure(&error);
            error
        })?);
        self.readers.lock().add(number, Arc::clone(&segment.file));
        let known = Known::new(Life::Open(Arc::clone(&segment)), 0, 0);
        table.segments.insert(number, known);
        table.active = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Returns when the mark is durable.
    pub(crate) fn settle(&self, mark: &SegmentMark) -> Result<(), VolumeError> {
        mark.segment.through(mark.end).map_err(|source| {
            let error = VolumeError::disk("syncing segment", &mark.segment.path, source);
            self.give_up(&mut self.table.lock(), &mark.segment, &error);
            error
        })
    }

    /// A write or a sync of an open segment has failed: it takes nothing more.
    fn give_up(&self, table: &mut Table, segment: &Arc<Segment>, error: &VolumeError) {
        if let Some(known) = table.segments.get_mut(&segment.number)
            && matches!(known.life, Life::Open(_))
        {
            *known = Known::new(Life::Unsettled, segment.length(), 0);
            tracing::error!(%error, "a segment takes nothing more");
            self.standing.on_failure(error);
        }
        table
            .active
            .take_if(|active| active.number == segment.number);
    }

    /// What is known of a segment.
    pub(crate) fn known(&self, number: SegmentNumber) -> Option<Known> {
        self.table.lock().segments.get(&number).cloned()
    }

    /// All segments, the oldest first, with whether it is the one that grows.
    pub(crate) fn all(&self) -> Vec<(SegmentNumber, Known, bool)> {
        let table = self.table.lock();
        let active = table.active.as_ref().map(|active| active.number);
        let all = table.segments.iter();
        all.map(|(number, known)| (*number, known.clone(), Some(*number) == active))
            .collect()
    }

    /// The segments that may have records that are not durable, and will not
    /// become so by a sync.
    pub(crate) fn in_doubt(&self) -> BTreeSet<SegmentNumber> {
        let table = self.table.lock();
        let all = table.segments.iter();
        all.filter(|(_, known)| matches!(known.life, Life::Unsettled | Life::Unreadable))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Its index is durable now.
    pub(crate) fn on_sealed(&self, number: SegmentNumber, tombstone_bytes: u64) {
        if let Some(known) = self.table.lock().segments.get_mut(&number)
            && let Life::Open(segment) = &known.life
        {
            *known = Known::new(Life::Sealed, segment.length(), tombstone_bytes);
        }
    }

    /// It cannot be read.
    pub(crate) fn on_unreadable(&self, number: SegmentNumber) {
        if let Some(known) = self.table.lock().segments.get_mut(&number) {
            known.life = Life::Unreadable;
        }
    }

    /// It is gone from the disk.
    pub(crate) fn on_removed(&self, number: SegmentNumber) {
        self.table.lock().segments.remove(&number);
        self.readers.lock().open.remove(&number);
    }

    /// Opens a segment to read.
    pub(crate) fn reader(&self, number: SegmentNumber) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.readers.lock().used(number) {
            return Ok(file);
        }
        let path = segment_path(&self.folder, number);
        let file: Arc<dyn DiskFile> = self.disk.open_existing(&path)?.into();
        self.readers.lock().add(number, Arc::clone(&file));
        Ok(file)
    }
}

impl Readers {
    fn used(&mut self, number: SegmentNumber) -> Option<Arc<dyn DiskFile>> {
        self.uses += 1;
        let (file, used) = self.open.get_mut(&number)?;
        *used = self.uses;
        Some(Arc::clone(file))
    }

    fn add(&mut self, number: SegmentNumber, file: Arc<dyn DiskFile>) {
        self.uses += 1;
        self.open.insert(number, (file, self.uses));
        if self.open.len() > OPEN_SEGMENTS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(number) = oldest.map(|(number, _)| *number) {
                self.open.remove(&number);
            }
        }
    }
}
