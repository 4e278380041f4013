//! The results file of a map: records appended as attempts end, read back
//! after an interruption.
//!
//! A record is a chunk of one attempt's output. Its header says where in the
//! output it belongs and whether it is the last; its checksum covers header
//! and data. The first attempt whose last chunk is on disk is the part's
//! result. Invariants: a torn or damaged tail is cut off, never believed; after
//! a write or a sync that failed, nothing more is taken: what the file ends
//! with is known only when it is opened anew.

use std::{
    collections::HashMap,
    io::{self, BufReader, Read as _},
    path::Path,
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, DiskFile, FileReader, Secrecy};

use super::parts::PARTS_MAX;

/// What the file begins with: its kind and version.
const FILE_MAGIC: &[u8; 8] = b"gmres\0\0\x01";
/// What a record begins with.
const RECORD_MAGIC: u32 = 0x676d_7263;
/// Bytes of a record's header.
const HEADER_BYTES: usize = 44;
/// The most data of one record.
pub(crate) const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// A chunk of an attempt's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) part: u64,
    /// Tells attempts of this run apart.
    pub(crate) attempt: u32,
    /// Where in the attempt's output it belongs; 0 begins anew.
    pub(crate) at: u64,
    /// The attempt is complete with this.
    pub(crate) last: bool,
    pub(crate) data: Vec<u8>,
}

/// Where in the file a piece of output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) at: u64,
    pub(crate) len: u32,
}

/// Nothing lies there: the file has its kind in front.
const NOWHERE: Extent = Extent { at: 0, len: 0 };

/// Which parts have results, and where: a map may have millions of them.
#[derive(Debug, Default)]
pub(crate) struct ResultIndex {
    /// By part, where its result is one piece; `NOWHERE`, if it is not.
    whole: Vec<Extent>,
    /// Those in several pieces.
    pieces: HashMap<u64, Box<[Extent]>>,
    /// Chunks of attempts that have not ended.
    open: HashMap<(u64, u32), (u64, Vec<Extent>)>,
}

impl ResultIndex {
    pub(crate) fn is_done(&self, part: u64) -> bool {
        self.extents(part).is_some()
    }

    pub(crate) fn extents(&self, part: u64) -> Option<&[Extent]> {
        let whole = usize::try_from(part)
            .ok()
            .and_then(|part| self.whole.get(part));
        match whole {
            Some(extent) if *extent != NOWHERE => Some(std::slice::from_ref(extent)),
            _ => self.pieces.get(&part).map(AsRef::as_ref),
        }
    }

    /// The first result of a part counts.
    fn set(&mut self, part: u64, extents: &[Extent]) {
        let place = usize::try_from(part).unwrap_or(usize::MAX);
        // No map has such a part.
        if place >= PARTS_MAX || self.is_done(part) {
            return;
        }
        if let [extent] = extents {
            self.set_whole(place, *extent);
        } else {
            self.pieces.insert(part, extents.into());
        }
    }

    fn set_whole(&mut self, place: usize, extent: Extent) {
        if self.whole.len() <= place {
            self.whole.resize(place + 1, NOWHERE);
        }
        self.whole[place] = extent;
    }

    fn add(&mut self, header: &Header, extent: Extent) {
        let key = (header.part, header.attempt);
        if header.at == 0 {
            self.open.remove(&key);
            if header.last {
                // Most parts: one record, no detour.
                self.set(header.part, &[extent]);
                return;
            }
        }
        let (length, extents) = self.open.entry(key).or_default();
        if *length != header.at {
            self.open.remove(&key);
            return;
        }
        *length += u64::from(extent.len);
        extents.push(extent);
        if header.last
            && let Some((_, extents)) = self.open.remove(&key)
        {
            self.set(header.part, &extents);
        }
    }
}

struct Header {
    part: u64,
    attempt: u32,
    at: u64,
    last: bool,
    len: u32,
    checksum: [u8; 12],
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.part.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.attempt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.at.to_le_bytes());
        bytes[24] = u8::from(self.last);
        bytes[28..32].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..44].copy_from_slice(&self.checksum);
        bytes
    }

    fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
        let mut checksum = [0; 12];
        checksum.copy_from_slice(&bytes[32..44]);
        let header = Self {
            part: long(4),
            attempt: word(12),
            at: long(16),
            last: bytes[24] == 1,
            len: word(28),
            checksum,
        };
        let sound = word(0) == RECORD_MAGIC
            && bytes[25..28] == [0; 3]
            && header.len as usize <= CHUNK_BYTES_MAX;
        sound.then_some(header)
    }

    fn sum(&self, data: &[u8]) -> [u8; 12] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.bytes()[..32]).update(data);
        let mut sum = [0; 12];
        sum.copy_from_slice(&hasher.finalize().as_bytes()[..12]);
        sum
    }
}

/// The results file, open for appending.
#[derive(Debug)]
pub(crate) struct ResultsFile {
    file: Arc<dyn DiskFile>,
    length: u64,
    index: ResultIndex,
    buffer: Vec<u8>,
    dirty: bool,
    failed: bool,
}

impl ResultsFile {
    /// Opens the file, makes it if it is not there, and reads what it has.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file: Arc<dyn DiskFile> = disk.open(path, Secrecy::Open)?.into();
        let mut index = ResultIndex::default();
        let length = scan(&file, &mut index)?;
        if file.length()? != length {
            file.set_length(length)?;
        }
        Ok(Self {
            file,
            length,
            index,
            buffer: Vec::new(),
            dirty: false,
            failed: false,
        })
    }

    pub(crate) const fn index(&self) -> &ResultIndex {
        &self.index
    }

    pub(crate) fn reader(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Appends records with one write.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.require_sound()?;
        self.buffer.clear();
        let mut added = Vec::with_capacity(records.len());
        for record in records {
            let len = u32::try_from(record.data.len()).map_err(io::Error::other)?;
            let mut header = Header {
                part: record.part,
                attempt: record.attempt,
                at: record.at,
                last: record.last,
                len,
                checksum: [0; 12],
            };
            header.checksum = header.sum(&record.data);
            self.buffer.extend_from_slice(&header.bytes());
            added.push((header, self.length + self.buffer.len() as u64));
            self.buffer.extend_from_slice(&record.data);
        }
        self.file
            .write_at(&self.buffer, self.length)
            .inspect_err(|_| self.failed = true)?;
        self.length += self.buffer.len() as u64;
        self.dirty = true;
        for (header, at) in added {
            self.index.add(
                &header,
                Extent {
                    at,
                    len: header.len,
                },
            );
        }
        Ok(())
    }

    /// Makes durable what was appended.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.require_sound()?;
        if std::mem::take(&mut self.dirty) {
            self.file.sync().inspect_err(|_| self.failed = true)?;
        }
        Ok(())
    }

    fn require_sound(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other(
                "an earlier write of the results has failed: make room, then resume the map",
            ));
        }
        Ok(())
    }
}

/// Reads all records; gives the length up to which the file is sound.
fn scan(file: &Arc<dyn DiskFile>, index: &mut ResultIndex) -> io::Result<u64> {
    if file.length()? < FILE_MAGIC.len() as u64 {
        file.set_length(0)?;
        file.write_at(FILE_MAGIC, 0)?;
        return Ok(FILE_MAGIC.len() as u64);
    }
    let mut reader = BufReader::with_capacity(256 * 1024, FileReader::new(Arc::clone(file)));
    let mut magic = [0; 8];
    reader.read_exact(&mut magic)?;
    if &magic != FILE_MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a results file of this version",
        ));
    }
    let mut length = FILE_MAGIC.len() as u64;
    let mut data = Vec::new();
    loop {
        let mut bytes = [0; HEADER_BYTES];
        if !read_whole(&mut reader, &mut bytes)? {
            return Ok(length);
        }
        let Some(header) = Header::read(&bytes) else {
            return Ok(length);
        };
        data.resize(header.len as usize, 0);
        if !read_whole(&mut reader, &mut data)? || header.sum(&data) != header.checksum {
            return Ok(length);
        }
        index.add(
            &header,
            Extent {
                at: length + HEADER_BYTES as u64,
                len: header.len,
            },
        );
        length += (HEADER_BYTES + data.len()) as u64;
    }
}

fn read_whole(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::{
        RealDisk,
        test_disk::{Fault, TestDisk},
    };

    use super::*;

    fn record(part: u64, attempt: u32, at: u64, last: bool, data: &[u8]) -> Record {
        Record {
            part,
            attempt,
            at,
            last,
            data: data.to_vec(),
        }
    }

    fn output(results: &ResultsFile, part: u64) -> Option<Vec<u8>> {
        let mut output = Vec::new();
        for extent in results.index().extents(part)? {
            let mut data = vec![0; extent.len as usize];
            results
                .reader()
                .read_exact_at(&mut data, extent.at)
                .unwrap();
            output.extend(data);
        }
        Some(output)
    }

    /// Writes parts of two chunks each, in order, each made durable, as long as
    /// the disk takes them; gives how many were.
    fn write_parts(results: &mut ResultsFile, from: u64) -> u64 {
        let mut durable = from;
        for part in from..6 {
            let first = record(part, 1, 0, false, &[7; 900]);
            let last = record(part, 1, 900, true, &part.to_le_bytes());
            let written = results
                .append(&[first])
                .and_then(|()| results.append(&[last]))
                .and_then(|()| results.sync());
            if written.is_err() {
                assert!(
                    results.sync().is_err(),
                    "it is not tried again and believed"
                );
                break;
            }
            durable = part + 1;
        }
        durable
    }

    #[test]
    fn after_any_fault_what_was_made_durable_is_there_and_nothing_torn() {
        let path = Path::new("/job/results");
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..20).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let mut results = ResultsFile::open(&disk, path).unwrap();
            // As the job's own file does, which is written before and after.
            disk.sync_folder(Path::new("/job")).unwrap();
            disk.fail_at(step, fault);
            let durable = write_parts(&mut results, 0);
            drop(results);
            disk.restart();
            let mut again = ResultsFile::open(&disk, path).unwrap();
            let found = (0..6).filter(|part| again.index().is_done(*part)).count() as u64;
            assert!(found >= durable, "{fault:?} at {step}: {durable}, {found}");
            assert_eq!(write_parts(&mut again, found), 6, "{fault:?} at {step}");
            for part in 0..6u64 {
                let wanted = [&[7; 900][..], &part.to_le_bytes()].concat();
                assert_eq!(output(&again, part), Some(wanted), "{fault:?} at {step}");
            }
        }
    }

    #[test]
    fn results_are_read_back_whole_and_the_first_attempt_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = ResultsFile::open(&RealDisk, &path).unwrap();
        results
            .append(&[
                record(3, 1, 0, false, b"ab"),
                record(0, 1, 0, true, b"x"),
                record(3, 2, 0, false, b"other"),
            ])
            .unwrap();
        results
            .append(&[
                record(3, 1, 2, true, b"cd"),
                record(3, 2, 5, true, b"late"),
                record(9, 1, 0, true, b""),
            ])
            .unwrap();
        for results in [results, ResultsFile::open(&RealDisk, &path).unwrap()] {
            assert_eq!(output(&results, 3).unwrap(), b"abcd");
            assert_eq!(output(&results, 0).unwrap(), b"x");
            assert_eq!(output(&results, 9).unwrap(), b"");
            assert!(!results.index().is_done(1));
        }
    }

    #[test]
    fn an_attempt_that_began_anew_does_not_mix_with_its_past() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = ResultsFile::open(&RealDisk, &path).unwrap();
        results
            .append(&[record(0, 1, 0, false, b"lost run")])
            .unwrap();
        results
            .append(&[record(0, 1, 0, false, b"a"), record(0, 1, 1, true, b"b")])
            .unwrap();
        assert_eq!(
            output(&ResultsFile::open(&RealDisk, &path).unwrap(), 0).unwrap(),
            b"ab"
        );
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_keeps_what_was_whole_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = ResultsFile::open(&RealDisk, &path).unwrap();
        results
            .append(&[
                record(0, 1, 0, true, b"first"),
                record(1, 1, 0, true, b"second"),
            ])
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.len() - HEADER_BYTES - 6;
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut results = ResultsFile::open(&RealDisk, &path).unwrap();
            assert_eq!(results.index().is_done(0), cut >= second, "cut at {cut}");
            assert!(!results.index().is_done(1));
            results.append(&[record(1, 2, 0, true, b"again")]).unwrap();
            assert_eq!(
                output(&ResultsFile::open(&RealDisk, &path).unwrap(), 1).unwrap(),
                b"again"
            );
        }
        for at in second..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            let results = ResultsFile::open(&RealDisk, &path).unwrap();
            assert!(
                results.index().is_done(0) && !results.index().is_done(1),
                "damaged at {at}"
            );
        }
    }
}
