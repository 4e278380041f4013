//! A disk in memory that does to its owners what real ones do on bad days.
//!
//! It is harsher than real ones, and always in the same way for one seed:
//!
//! - a crash forgets everything that was not synced: unsynced content is torn,
//!   and entries of an unsynced folder go back to what they were;
//! - a full or read-only disk refuses until it is [`TestDisk::mend`]ed; a write
//!   that finds too little room leaves the piece that fitted;
//! - after a failed sync, what was written is lost, and the next sync of that
//!   file says that all is well (as Linux does);
//! - a slow one takes its time for every operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{Disk, DiskFile, Secrecy};

/// What can be wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power is cut: this operation and all later ones fail.
    Crash,
    /// No room from here on, but for what files have already.
    Full,
    /// Nothing can be changed from here on.
    ReadOnly,
    /// This operation fails; if it writes, a piece of it is there.
    TornWrite,
    /// This operation fails; if it is a sync, what was written is lost.
    FailedSync,
    /// Every operation takes so long from here on.
    Slow(Duration),
}

impl Fault {
    /// One of each; a slow disk takes a moment.
    pub const ALL: [Self; 6] = [
        Self::Crash,
        Self::Full,
        Self::ReadOnly,
        Self::TornWrite,
        Self::FailedSync,
        Self::Slow(Duration::from_micros(50)),
    ];
}

/// A file apart from its names.
#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Option<Vec<u8>>,
    /// A sync has failed: later ones lie, until the content is replaced.
    lost: bool,
}

#[derive(Debug, Default)]
struct Inner {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    steps: u64,
    seed: u64,
    /// What happens at which operation.
    planned: BTreeMap<u64, Fault>,
    no_power: bool,
    full: bool,
    read_only: bool,
    slow: Option<Duration>,
}

/// What an operation that changes something meets.
enum Meeting {
    Nothing,
    /// A piece of what is written stays.
    Torn(io::Error),
    LostSync(io::Error),
}

/// See the module. Clones share the disk.
#[derive(Clone, Debug, Default)]
pub struct TestDisk {
    inner: Arc<Mutex<Inner>>,
}

impl TestDisk {
    /// Makes an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty disk that tears at other places than one of another seed.
    pub fn seeded(seed: u64) -> Self {
        let disk = Self::default();
        disk.inner.lock().seed = seed;
        disk
    }

    /// Lets a fault happen at the `step`-th changing operation from now on (0:
    /// the next one).
    pub fn fail_at(&self, step: u64, fault: Fault) {
        let mut inner = self.inner.lock();
        let at = inner.steps + step;
        inner.planned.insert(at, fault);
    }

    /// Lets the power fail at the `step`-th changing operation from now on
    /// (0: the next one): it and all later ones fail, until [`Self::restart`].
    pub fn crash_at(&self, step: u64) {
        self.fail_at(step, Fault::Crash);
    }

    /// How many changing operations there were.
    pub fn steps(&self) -> u64 {
        self.inner.lock().steps
    }

    /// Makes room and allows changes. What was lost stays lost, and what is
    /// planned comes.
    pub fn mend(&self) {
        let mut inner = self.inner.lock();
        (inner.full, inner.read_only, inner.slow) = (false, false, None);
    }

    /// Cuts the power and starts again, mended and with no plans: only what was synced is there.
    pub fn restart(&self) {
        self.mend();
        let mut inner = self.inner.lock();
        inner.planned.clear();
        inner.no_power = false;
        inner.names = inner.durable_names.clone();
        let mut contents = std::mem::take(&mut inner.contents);
        for content in &mut contents {
            content.lost = false;
            content.now = content.durable.clone().unwrap_or_else(|| {
                let kept = inner.part_of(content.now.len());
                content.now[..kept].to_vec()
            });
            // What a power cut has left is on the disk.
            content.durable = Some(content.now.clone());
        }
        inner.contents = contents;
    }
}

impl Inner {
    /// How much of so many bytes stays: half without a seed.
    fn part_of(&self, length: usize) -> usize {
        if self.seed == 0 {
            return length / 2;
        }
        let hash = blake3::hash(&[self.seed.to_le_bytes(), self.steps.to_le_bytes()].concat());
        let [a, b, c, d, ..] = *hash.as_bytes();
        u32::from_le_bytes([a, b, c, d]) as usize % (length + 1)
    }

    /// Begins an operation that changes something.
    fn step(&mut self) -> io::Result<Meeting> {
        let planned = self.planned.remove(&self.steps);
        self.steps += 1;
        let mut meeting = Meeting::Nothing;
        match planned {
            Some(Fault::Crash) => self.no_power = true,
            Some(Fault::Full) => {
                self.full = true;
                // The last piece still fits.
                meeting = Meeting::Torn(io::ErrorKind::StorageFull.into());
            }
            Some(Fault::ReadOnly) => self.read_only = true,
            Some(Fault::Slow(time)) => self.slow = Some(time),
            Some(Fault::TornWrite) => meeting = Meeting::Torn(broken()),
            Some(Fault::FailedSync) => meeting = Meeting::LostSync(broken()),
            None => {}
        }
        if let Some(time) = self.slow {
            std::thread::sleep(time);
        }
        if self.no_power {
            return Err(io::Error::other("the test disk has no power"));
        }
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(meeting)
    }

    /// The same for one that needs no room, and writes nothing.
    fn step_small(&mut self) -> io::Result<()> {
        match self.step()? {
            Meeting::Nothing => Ok(()),
            Meeting::Torn(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            Meeting::Torn(error) | Meeting::LostSync(error) => Err(error),
        }
    }

    fn number(&self, path: &Path) -> io::Result<usize> {
        Ok(*self.names.get(path).ok_or(io::ErrorKind::NotFound)?)
    }

    fn number_or_new(&mut self, path: &Path, met: &Meeting) -> io::Result<usize> {
        if let Ok(number) = self.number(path) {
            return Ok(number);
        }
        if self.full && matches!(met, Meeting::Nothing) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = self.content_new();
        self.names.insert(path.to_owned(), number);
        Ok(number)
    }

    fn content_new(&mut self) -> usize {
        self.contents.push(Content::default());
        self.contents.len() - 1
    }

    /// Writes at a position, all of it or, with an error, a piece.
    fn write(&mut self, number: usize, bytes: &[u8], at: usize, met: Meeting) -> io::Result<()> {
        let needs_room = at + bytes.len() > self.contents[number].now.len();
        let (kept, outcome) = match met {
            Meeting::Torn(error) if error.kind() == io::ErrorKind::StorageFull && !needs_room => {
                (bytes.len(), Ok(()))
            }
            Meeting::Torn(error) => (self.part_of(bytes.len()), Err(error)),
            Meeting::LostSync(error) => return Err(error),
            Meeting::Nothing if self.full && needs_room && !bytes.is_empty() => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Meeting::Nothing => (bytes.len(), Ok(())),
        };
        let now = &mut self.contents[number].now;
        if now.len() < at + kept {
            now.resize(at + kept, 0);
        }
        now[at..at + kept].copy_from_slice(&bytes[..kept]);
        outcome
    }

    fn sync(&mut self, number: usize) -> io::Result<()> {
        let met = self.step()?;
        let content = &mut self.contents[number];
        match met {
            Meeting::LostSync(error) => {
                content.lost = true;
                Err(error)
            }
            Meeting::Torn(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
            _ => {
                if !content.lost {
                    content.durable = Some(content.now.clone());
                }
                Ok(())
            }
        }
    }

    fn set_length(&mut self, number: usize, length: u64) -> io::Result<()> {
        self.step_small()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.contents[number].now.resize(length, 0);
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::other("the test disk is broken here")
}

impl Disk for TestDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inner = self.inner.lock();
        Ok(inner.contents[inner.number(path)?].now.clone())
    }

    fn read_bounded(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match self.read(path) {
            Ok(bytes) if bytes.len() as u64 > limit => Err(io::ErrorKind::FileTooLarge.into()),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], _: Secrecy) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let met = inner.step()?;
        let number = inner.number_or_new(path, &met)?;
        let content = &mut inner.contents[number];
        content.now.clear();
        content.lost = false;
        inner.write(number, bytes, 0, met)
    }

    fn append(&self, path: &Path, bytes: &[u8], _: Secrecy) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let met = inner.step()?;
        let number = inner.number_or_new(path, &met)?;
        let at = inner.contents[number].now.len();
        inner.write(number, bytes, at, met)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let number = inner.number(path)?;
        inner.set_length(number, length)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let number = inner.number(path)?;
        inner.sync(number)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step_small()?;
        let inside = |name: &Path| super::folder_of(name) == path;
        let mut durable = std::mem::take(&mut inner.durable_names);
        durable.retain(|name, _| !inside(name));
        durable.extend(
            inner
                .names
                .iter()
                .filter(|(name, _)| inside(name))
                .map(|(name, number)| (name.clone(), *number)),
        );
        inner.durable_names = durable;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step_small()?;
        let number = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.number(path)?;
        inner.step_small()?;
        inner.names.remove(path);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let inner = self.inner.lock();
        Ok(inner
            .names
            .keys()
            .filter(|name| super::folder_of(name) == folder)
            .cloned()
            .collect())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.inner.lock().folders.insert(path.to_owned());
        Ok(())
    }

    fn open(&self, path: &Path, _: Secrecy) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner.lock();
        if inner.number(path).is_err() {
            inner.step_small()?;
        }
        let number = inner.number_or_new(path, &Meeting::Nothing)?;
        Ok(Box::new(TestFile {
            disk: self.clone(),
            number,
        }))
    }

    fn open_existing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = self.inner.lock().number(path)?;
        Ok(Box::new(TestFile {
            disk: self.clone(),
            number,
        }))
    }

    fn open_unnamed(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner.lock();
        inner.step_small()?;
        if inner.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = inner.content_new();
        Ok(Box::new(TestFile {
            disk: self.clone(),
            number,
        }))
    }
}

#[derive(Debug)]
struct TestFile {
    disk: TestDisk,
    number: usize,
}

impl DiskFile for TestFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut inner = self.disk.inner.lock();
        let met = inner.step()?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        inner.write(self.number, bytes, at, met)
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let count = self.read_at(buffer, at)?;
        if count < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let inner = self.disk.inner.lock();
        let now = &inner.contents[self.number].now;
        let at = usize::try_from(at)
            .map_err(io::Error::other)?
            .min(now.len());
        let count = buffer.len().min(now.len() - at);
        buffer[..count].copy_from_slice(&now[at..at + count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.inner.lock().contents[self.number].now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.inner.lock().set_length(self.number, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.inner.lock().sync(self.number)
    }
}

#[cfg(test)]
mod tests;
