//! Maintenance: seals full segments, copies what is in use out of segments
//! that are mostly garbage or not known to be durable, and removes these.
//!
//! Invariants: what is copied is durable before the index says where it is and
//! before the old segment goes. A record that a later one has taken the place
//! of goes only when that one is durable: it is copied too, if its segment is in
//! doubt. A tombstone is copied on as long as an older segment exists, which may
//! have the block that it deletes.

use std::{collections::BTreeSet, io, sync::Arc};

use gridmart_fabric::disk::{DiskFile, Secrecy, durable_write};
use gridmart_schemas::id::BlockId;

use super::{
    Volume, VolumeError,
    index::{Entry, Place, SegmentNumber, State},
    log::{Known, Life, SegmentMark},
    read::{BlockRange, ReadError},
    record::{RECORD_HEADER_BYTES, RecordHeader, RecordKey, RecordKind},
    scan::{Found, Scan, scan},
    segment::{SEGMENT_HEAD_BYTES, Segment, segment_index_path, segment_path},
    segment_index::{SEGMENT_INDEX_BYTES_MAX, SegmentIndex},
};

/// A segment is worth copying when half of it is garbage.
const GARBAGE_SHARE: u64 = 2;
/// When tombstones are more than a 16th of all, the oldest segment is copied,
/// so that some of them can go.
const TOMBSTONE_SHARE: u64 = 16;

/// What one step of maintenance has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// There is nothing to do.
    Idle,
    /// A full segment has its index.
    Sealed,
    /// The blocks of a segment were copied, and it is gone.
    Compacted,
    /// The disk cannot read some of a segment; it is left alone.
    LeftAlone,
}

/// One compaction.
#[derive(Debug)]
struct Compaction {
    number: SegmentNumber,
    /// No older segment exists.
    is_oldest: bool,
    /// Segments whose records may not be durable.
    in_doubt: BTreeSet<SegmentNumber>,
    /// Where blocks were, and where they are once that is durable.
    moved: Vec<(BlockId, Entry, Entry)>,
}

impl Compaction {
    /// Whether the place may be lost by a power cut.
    fn doubts(&self, place: Place) -> bool {
        match place {
            Place::File => false,
            Place::Segment { number, .. } => self.in_doubt.contains(&number),
        }
    }
}

/// The bytes of the tombstones among records.
pub(super) fn tombstone_bytes(records: &[Found]) -> u64 {
    let tombstones = records
        .iter()
        .filter(|found| found.header.kind == RecordKind::Tombstone);
    tombstones.count() as u64 * RECORD_HEADER_BYTES as u64
}

impl Volume {
    /// Does the most urgent piece of work, at most a segment. To be called now
    /// and then, and again at once after it has sealed or compacted one.
    pub fn maintain(&self) -> Result<Maintenance, VolumeError> {
        let _one = self.maintenance.lock();
        let all = self.log.all();
        let full = all
            .iter()
            .find_map(|(_, known, is_active)| match &known.life {
                Life::Open(segment) if !is_active => Some(segment),
                _ => None,
            });
        if let Some(segment) = full {
            return self.seal(segment);
        }
        match self.victim(&all) {
            Some((number, is_oldest)) => self.compact(number, is_oldest),
            None => Ok(Maintenance::Idle),
        }
    }

    /// Writes the index of a full segment.
    fn seal(&self, segment: &Arc<Segment>) -> Result<Maintenance, VolumeError> {
        let end = segment.length();
        let number = segment.number;
        self.log.settle(&SegmentMark {
            segment: Arc::clone(segment),
            end,
        })?;
        let scan = self.scan(number, &*segment.file, end);
        if scan.is_unreadable {
            self.log.on_unreadable(number);
            return Ok(Maintenance::LeftAlone);
        }
        let tombstones = tombstone_bytes(&scan.records);
        let index = SegmentIndex {
            length: end,
            records: scan.records,
        };
        let path = segment_index_path(&self.log.folder, number);
        let bytes = index.encode(number);
        durable_write(&*self.log.disk, &path, &bytes, Secrecy::Secret).map_err(|error| {
            let error = VolumeError::disk("writing the index of a segment,", path, error);
            self.standing.on_failure(&error);
            error
        })?;
        self.log.on_sealed(number, tombstones);
        Ok(Maintenance::Sealed)
    }

    fn scan(&self, number: SegmentNumber, file: &dyn DiskFile, length: u32) -> Scan {
        let key = RecordKey::new(&self.log.volume_key, number);
        scan(file, SEGMENT_HEAD_BYTES, length, &key)
    }

    /// The segment that is to be copied, and whether it is the oldest one.
    fn victim(&self, all: &[(SegmentNumber, Known, bool)]) -> Option<(SegmentNumber, bool)> {
        let (oldest, ..) = all.first()?;
        let sealed_or = |unsettled: bool| {
            all.iter().filter(move |(_, known, _)| match known.life {
                Life::Unsettled => unsettled,
                Life::Sealed => !unsettled,
                Life::Open(_) | Life::Unreadable => false,
            })
        };
        let chosen = |(number, ..): &(SegmentNumber, Known, bool)| (*number, number == oldest);
        if let Some(unsettled) = sealed_or(true).next() {
            return Some(chosen(unsettled));
        }
        let index = self.index.read();
        let garbage = |(number, known, _): &&(SegmentNumber, Known, bool)| {
            let kept = if number == oldest {
                0
            } else {
                known.tombstone_bytes
            };
            let used = index.live_bytes(*number) + kept + u64::from(SEGMENT_HEAD_BYTES);
            u64::from(known.length()).saturating_sub(used)
        };
        let most = sealed_or(false).max_by_key(garbage);
        if let Some(most) = most
            && garbage(&most) * GARBAGE_SHARE >= u64::from(most.1.length())
        {
            return Some(chosen(most));
        }
        let tombstones: u64 = sealed_or(false)
            .map(|(_, known, _)| known.tombstone_bytes)
            .sum();
        let total: u64 = sealed_or(false)
            .map(|(_, known, _)| u64::from(known.length()))
            .sum();
        let first = sealed_or(false).next()?;
        (first.0 == *oldest && tombstones * TOMBSTONE_SHARE > total).then(|| chosen(first))
    }

    fn compact(&self, number: SegmentNumber, is_oldest: bool) -> Result<Maintenance, VolumeError> {
        self.standing.require()?;
        let known = self.log.known(number);
        let length = known.map_or(0, |known| known.length());
        let Some(records) = self.records_of(number, length)? else {
            self.log.on_unreadable(number);
            return Ok(Maintenance::LeftAlone);
        };
        let mut compaction = Compaction {
            number,
            is_oldest,
            in_doubt: self.log.in_doubt(),
            moved: Vec::new(),
        };
        let mut is_readable = true;
        for found in &records {
            is_readable &= self.copy(found, &mut compaction)?;
        }
        self.settle_all_open()?;
        let mut index = self.index.write();
        for (id, before, after) in compaction.moved {
            index.replace(id, before, Some(after));
        }
        let in_use = index.live_bytes(number);
        drop(index);
        if !is_readable {
            self.log.on_unreadable(number);
        }
        if in_use > 0 || !is_readable {
            return Ok(Maintenance::LeftAlone);
        }
        self.remove_segment(number, length)?;
        self.standing.on_success();
        Ok(Maintenance::Compacted)
    }

    /// What is in a segment; `None` if the disk cannot read all of it.
    fn records_of(
        &self,
        number: SegmentNumber,
        length: u32,
    ) -> Result<Option<Vec<Found>>, VolumeError> {
        let path = segment_index_path(&self.log.folder, number);
        let bytes = self.log.disk.read_bounded(&path, SEGMENT_INDEX_BYTES_MAX);
        let index = bytes.ok().flatten();
        if let Some(index) = index.and_then(|bytes| SegmentIndex::parse(&bytes, number)) {
            return Ok(Some(index.records));
        }
        let file = self.log.reader(number).map_err(|error| {
            let path = segment_path(&self.log.folder, number);
            VolumeError::disk("opening segment", path, error)
        })?;
        let scan = self.scan(number, &*file, length);
        Ok((!scan.is_unreadable).then_some(scan.records))
    }

    /// Copies a record if it is in use, or what has taken its place if that is
    /// in doubt; `false` if it cannot be read.
    fn copy(&self, found: &Found, compaction: &mut Compaction) -> Result<bool, VolumeError> {
        let id = found.header.id;
        let place = Place::Segment {
            number: compaction.number,
            at: found.at,
        };
        let claim = self.claims.take(id);
        let entry = self.index.read().get(&id);
        if found.header.kind == RecordKind::Tombstone {
            // A later record of the block in the segments says more.
            let is_superseded = entry
                .is_some_and(|entry| entry.state != State::Deleting && entry.place != Place::File);
            if !is_superseded && !compaction.is_oldest {
                self.append_mark(id, RecordKind::Tombstone)?;
            }
        }
        let in_use = |entry: &Entry| entry.place == place || compaction.doubts(entry.place);
        let Some(entry) = entry.filter(in_use) else {
            return Ok(true);
        };
        match entry.state {
            State::Deleting => {
                // The deletion was asked for: it is brought to its end.
                let (marks, deleting) = self.begin_delete(id)?;
                drop(claim);
                self.settle(&marks)?;
                if let Some(deleting) = deleting {
                    self.index.write().replace(id, deleting, None);
                }
            }
            State::Damaged => {
                let (place, _) = self.append_mark(id, RecordKind::Damage)?;
                let bytes = 0;
                let after = Entry {
                    place,
                    bytes,
                    ..entry
                };
                compaction.moved.push((id, entry, after));
            }
            State::Live => match self.read(&id, entry, 0, usize::MAX) {
                Ok(block) => {
                    let place = self.append_copy(id, entry, &block)?;
                    let after = Entry { place, ..entry };
                    compaction.moved.push((id, entry, after));
                }
                Err(ReadError::Disk(error)) => {
                    tracing::error!(block.id = %id, %error, "a block cannot be read; its segment is kept");
                    return Ok(false);
                }
                Err(ReadError::Damaged(reason)) => {
                    drop(claim);
                    self.quarantine(&id, entry, &reason);
                }
                Err(ReadError::Range { .. }) => {}
            },
        }
        Ok(true)
    }

    fn append_copy(
        &self,
        id: BlockId,
        entry: Entry,
        block: &BlockRange,
    ) -> Result<Place, VolumeError> {
        let header = RecordHeader {
            kind: RecordKind::Block,
            id,
            bytes: entry.bytes,
        };
        let data: [&[u8]; 2] = [block.prefix.bytes(), &block.payload];
        let (place, _) = self.log.append(&header, data)?;
        self.space.take(header.record_bytes());
        Ok(place)
    }

    /// Makes durable all that was written so far.
    fn settle_all_open(&self) -> Result<(), VolumeError> {
        for (_, known, _) in self.log.all() {
            if let Life::Open(segment) = known.life {
                let end = segment.length();
                self.log.settle(&SegmentMark { segment, end })?;
            }
        }
        Ok(())
    }

    /// Removes a segment that has nothing in use; that is durable on return.
    fn remove_segment(&self, number: SegmentNumber, length: u32) -> Result<(), VolumeError> {
        let folder = &self.log.folder;
        let disk = &self.log.disk;
        let absent_is_well = |outcome: io::Result<()>| match outcome {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        // The index first: one without its segment could meet another segment.
        let removed = absent_is_well(disk.remove(&segment_index_path(folder, number)))
            .and_then(|()| absent_is_well(disk.remove(&segment_path(folder, number))))
            .and_then(|()| disk.sync_folder(folder));
        removed.map_err(|error| {
            let path = segment_path(folder, number);
            let error = VolumeError::disk("removing segment", path, error);
            self.standing.on_failure(&error);
            error
        })?;
        self.log.on_removed(number);
        self.space
            .release(u64::from(length.saturating_sub(SEGMENT_HEAD_BYTES)));
        Ok(())
    }
}
