//! Opening a volume: what is there, and what has become damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, DiskFile, Secrecy, durable_write};
use parking_lot::RwLock;

use super::{
    Volume, VolumeError, VolumeSettings,
    claim::Claims,
    compaction::tombstone_bytes,
    files::BlockFiles,
    index::{Entry, Index, Place, SegmentNumber, State},
    log::{Known, Life, SegmentLog},
    record::{RecordKey, RecordKind},
    scan::{Found, scan},
    segment::{SEGMENT_HEAD_BYTES, parse_name, read_head, segment_index_path, segment_path},
    segment_index::{SEGMENT_INDEX_BYTES_MAX, SegmentIndex},
    space::Space,
    standing::Standing,
};

const KEY_FILE: &str = "volume";
const KEY_MAGIC: &[u8; 8] = b"GMVOLUM1";
const KEY_FILE_BYTES: usize = 56;

/// What a start has found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// Blocks, damaged ones included.
    pub blocks: usize,
    /// Segments that had to be read, since they have no index: those that
    /// were not full when the Host ended, and those whose index is lost.
    pub segments_read: usize,
    /// Damage, in words; the blocks that are known to be damaged are
    /// [`Volume::damaged`].
    pub damage: Vec<String>,
}

/// What is being found.
struct Finder<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    volume_key: [u8; 16],
    index: Index,
    segments: BTreeMap<SegmentNumber, Known>,
    used: u64,
    report: OpenReport,
}

impl Volume {
    /// Opens the volume in its folder, or makes an empty one.
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: &VolumeSettings,
    ) -> Result<(Self, OpenReport), VolumeError> {
        let folder = settings.folder.clone();
        let (segments, blocks) = (folder.join("segments"), folder.join("blocks"));
        let failed = |error| VolumeError::disk("opening the volume in", &folder, error);
        let files = BlockFiles::new(Arc::clone(&disk), &blocks);
        let standing = Arc::new(Standing::new(settings.retry_pause));
        let made = disk
            .create_folder(&segments)
            .and_then(|()| disk.create_folder(&blocks))
            .and_then(|()| files.make_folders())
            .and_then(|()| disk.sync_folder(&blocks))
            .and_then(|()| disk.sync_folder(&folder))
            .and_then(|()| {
                let above = folder.parent();
                above.map_or(Ok(()), |above| disk.sync_folder(above))
            });
        if let Err(error) = made {
            // What is there can be read all the same.
            standing.on_failure(&failed(error));
        }
        let volume_key = volume_key(&*disk, &folder, &segments).map_err(failed)?;
        let mut finder = Finder::new(&*disk, &segments, volume_key);
        finder.read_segments().map_err(failed)?;
        finder.read_files(&files).map_err(failed)?;
        let (index, known, used) = (finder.index, finder.segments, finder.used);
        let mut report = finder.report;
        report.blocks = index.len();
        for damage in &report.damage {
            tracing::error!(volume = %folder.display(), damage, "the volume has damage");
        }
        let volume = Self {
            log: SegmentLog::new(
                disk,
                segments,
                volume_key,
                settings.segment_bytes_max,
                Arc::clone(&standing),
                known,
            ),
            files,
            index: RwLock::new(index),
            claims: Claims::default(),
            space: Space::new(used, settings.quota),
            standing,
            maintenance: parking_lot::Mutex::new(()),
            folder,
        };
        Ok((volume, report))
    }
}

impl<'a> Finder<'a> {
    fn new(disk: &'a dyn Disk, folder: &'a Path, volume_key: [u8; 16]) -> Self {
        Self {
            disk,
            folder,
            volume_key,
            index: Index::default(),
            segments: BTreeMap::new(),
            used: 0,
            report: OpenReport::default(),
        }
    }

    fn read_segments(&mut self) -> io::Result<()> {
        let paths = self.disk.list(self.folder)?;
        let numbers = |wanted| {
            let named = paths.iter().filter_map(|path| parse_name(path));
            let of_kind = named.filter(move |(_, extension)| *extension == wanted);
            of_kind.map(|(number, _)| number).collect::<BTreeSet<_>>()
        };
        let segments = numbers("seg");
        for number in &segments {
            self.read_segment(*number)?;
        }
        for number in numbers("idx").difference(&segments) {
            let segment = segment_path(self.folder, *number);
            let words = format!("{} is gone, its index is there", segment.display());
            self.report.damage.push(words);
            // It must never meet another segment of its number.
            self.disk
                .remove(&segment_index_path(self.folder, *number))?;
        }
        Ok(())
    }

    /// Segments come in the order of their numbers: that of what happened.
    fn read_segment(&mut self, number: SegmentNumber) -> io::Result<()> {
        let path = segment_path(self.folder, number);
        let file = self.disk.open_existing(&path)?;
        let length = file.length()?;
        self.used += length.saturating_sub(SEGMENT_HEAD_BYTES.into());
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let index_path = segment_index_path(self.folder, number);
        // What cannot be read or parsed is made anew.
        let bytes = self.disk.read_bounded(&index_path, SEGMENT_INDEX_BYTES_MAX);
        let index = bytes.ok().flatten();
        if let Some(index) = index.and_then(|bytes| SegmentIndex::parse(&bytes, number)) {
            if length < index.length {
                let missing = index.length - length;
                self.report.damage.push(format!(
                    "the last {missing} bytes of {} are gone",
                    path.display()
                ));
            }
            let tombstones = tombstone_bytes(&index.records);
            self.replay(number, length, &index.records);
            let known = Known::new(Life::Sealed, length, tombstones);
            self.segments.insert(number, known);
            return Ok(());
        }
        let life = self.read_records(number, &path, &*file, length);
        self.segments.insert(number, Known::new(life, length, 0));
        Ok(())
    }

    /// Reads the segment itself.
    fn read_records(
        &mut self,
        number: SegmentNumber,
        path: &Path,
        file: &dyn DiskFile,
        length: u32,
    ) -> Life {
        let path = path.display();
        self.report.segments_read += 1;
        let key = RecordKey::new(&self.volume_key, number);
        let scan = scan(file, SEGMENT_HEAD_BYTES, length, &key);
        let head = read_head(file);
        let is_foreign = head.is_some_and(|head| head != (number.get(), self.volume_key));
        let damage = &mut self.report.damage;
        if is_foreign {
            damage.push(format!("another segment lies in the place of {path}"));
        } else if head.is_none() && !scan.records.is_empty() {
            damage.push(format!("the head of {path} is damaged"));
        }
        for gap in &scan.gaps {
            let (start, end) = (gap.start, gap.end);
            damage.push(format!("bytes {start} to {end} of {path} are damaged"));
        }
        if scan.is_unreadable {
            damage.push(format!("some of {path} cannot be read"));
        }
        if let Some(tail) = scan.tail {
            tracing::warn!(segment = %path, tail, "the end of a segment is torn: what was not acknowledged is left out");
        }
        self.replay(number, length, &scan.records);
        if scan.is_unreadable || is_foreign {
            return Life::Unreadable;
        }
        Life::Unsettled
    }

    fn replay(&mut self, number: SegmentNumber, length: u32, records: &[Found]) {
        for Found {
            header,
            at,
            is_whole,
        } in records
        {
            let is_there = u64::from(*at) + header.record_bytes() <= u64::from(length);
            let state = match header.kind {
                RecordKind::Tombstone => {
                    self.index.remove(&header.id);
                    continue;
                }
                RecordKind::Block if *is_whole && is_there => State::Live,
                RecordKind::Block | RecordKind::Damage => State::Damaged,
            };
            let entry = Entry {
                place: Place::Segment { number, at: *at },
                bytes: header.bytes,
                state,
            };
            self.index.insert(header.id, entry);
        }
    }

    fn read_files(&mut self, files: &BlockFiles) -> io::Result<()> {
        for found in files.list()? {
            let state = if found.is_damaged {
                State::Damaged
            } else {
                State::Live
            };
            let entry = Entry {
                place: Place::File,
                bytes: found.bytes,
                state,
            };
            let is_replaced = found.is_damaged
                && self
                    .index
                    .get(&found.id)
                    .is_some_and(|other| other.state == State::Live);
            if is_replaced {
                files.remove_damaged(&found.id, found.bytes);
            } else {
                self.used += u64::from(found.bytes);
                self.index.insert(found.id, entry);
            }
        }
        Ok(())
    }
}

/// Reads the volume's key, from the first segment if its file is lost; makes
/// one for an empty volume.
fn volume_key(disk: &dyn Disk, folder: &Path, segments: &Path) -> io::Result<[u8; 16]> {
    let path = folder.join(KEY_FILE);
    let bytes = disk.read_bounded(&path, KEY_FILE_BYTES as u64);
    if let Some(key) = bytes.ok().flatten().and_then(|bytes| parse_key(&bytes)) {
        return Ok(key);
    }
    let heads = disk.list(segments)?.into_iter().filter_map(|path| {
        let (_, extension) = parse_name(&path)?;
        let file = (extension == "seg").then(|| disk.open_existing(&path).ok())??;
        read_head(&*file).map(|(_, key)| key)
    });
    let key = { heads }.next().unwrap_or_else(rand::random);
    durable_write(disk, &path, &encode_key(&key), Secrecy::Secret)?;
    Ok(key)
}

fn encode_key(key: &[u8; 16]) -> Vec<u8> {
    let mut bytes = KEY_MAGIC.to_vec();
    bytes.extend_from_slice(key);
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes());
    bytes
}

fn parse_key(bytes: &[u8]) -> Option<[u8; 16]> {
    let (bytes, check) = bytes.split_last_chunk::<32>()?;
    let key = bytes.strip_prefix(KEY_MAGIC)?.try_into().ok()?;
    (blake3::hash(bytes) == *check).then_some(key)
}
