//! Bytes on their way that have to be kept: output until it is credited or
//! fetched, input until the program takes it.
//!
//! A spool is kept in memory while it is small and the Host's memory for
//! spools suffices, else in a file without a name, which the kernel frees
//! whatever happens. Both are bounded for the Host as a whole.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_fabric::{
    disk::{Disk, DiskFile},
    fault::FaultPoint,
};

use crate::member::DiskWatch;

/// One spool keeps at most this in memory.
const SPOOL_MEMORY_MAX: usize = 64 * 1024;
/// All spools of a Host keep at most this in memory: a Host is a small guest.
const ROOM_MEMORY_MAX: u64 = 8 * 1024 * 1024;
/// All spools of a Host keep at most this in files.
const ROOM_DISK_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// What all spools of a Host share.
pub(crate) struct SpoolRoom {
    /// Spools are never synced: they end with the process that fills them.
    storage: Arc<dyn Disk>,
    watch: Arc<DiskWatch>,
    folder: PathBuf,
    memory: AtomicU64,
    disk: AtomicU64,
    disk_max: u64,
}

impl std::fmt::Debug for SpoolRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolRoom")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl SpoolRoom {
    /// Files go to `folder`, which is made; what the disk refuses is told to
    /// the watch.
    pub(crate) fn open(
        storage: Arc<dyn Disk>,
        watch: Arc<DiskWatch>,
        folder: &Path,
    ) -> io::Result<Arc<Self>> {
        Self::with_disk_max(storage, watch, folder, ROOM_DISK_MAX)
    }

    fn with_disk_max(
        storage: Arc<dyn Disk>,
        watch: Arc<DiskWatch>,
        folder: &Path,
        disk_max: u64,
    ) -> io::Result<Arc<Self>> {
        storage.create_folder(folder)?;
        Ok(Arc::new(Self {
            storage,
            watch,
            folder: folder.to_owned(),
            memory: AtomicU64::new(0),
            disk: AtomicU64::new(0),
            disk_max,
        }))
    }

    /// A new file with these bytes.
    fn file(&self, bytes: &[u8]) -> io::Result<Box<dyn DiskFile>> {
        self.watched(self.storage.open_unnamed(&self.folder))
            .and_then(|file| self.write(&*file, bytes, 0).map(|()| file))
    }

    fn write(&self, file: &dyn DiskFile, bytes: &[u8], at: u64) -> io::Result<()> {
        let written = FaultPoint::SpoolWrite
            .pass()
            .and_then(|()| file.write_at(bytes, at));
        self.watched(written)
    }

    fn watched<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| self.watch.on_failure(error))
    }

    fn take_disk(&self, bytes: u64) -> io::Result<()> {
        let before = self.disk.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.disk_max {
            self.disk.fetch_sub(bytes, Ordering::Relaxed);
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the Host's room for spooled bytes is used up",
            ));
        }
        Ok(())
    }
}

/// Bytes in order, appended at the end, released from the front.
#[derive(Debug)]
pub(crate) struct Spool {
    room: Arc<SpoolRoom>,
    /// Position of the first byte that is still there.
    base: u64,
    memory: Vec<u8>,
    file: Option<Box<dyn DiskFile>>,
    /// Position of the first byte in the file.
    file_base: u64,
    length: u64,
    /// Bytes after these were lost, so that none can follow.
    is_sealed: bool,
}

impl Spool {
    pub(crate) const fn new(room: Arc<SpoolRoom>) -> Self {
        Self {
            room,
            base: 0,
            memory: Vec::new(),
            file: None,
            file_base: 0,
            length: 0,
            is_sealed: false,
        }
    }

    /// Takes nothing more: what followed a gap would pass for what is missing.
    pub(crate) const fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Whether it takes nothing more.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Bytes appended so far.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Position of the first byte that is still there.
    pub(crate) const fn base(&self) -> u64 {
        self.base
    }

    /// Appends bytes; fails when the Host has no room left, and from then on.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_sealed {
            return Err(io::Error::other("bytes before these were lost"));
        }
        self.try_append(bytes)
            .inspect_err(|_| self.is_sealed = true)
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.file.is_none() && !self.fits(bytes.len()) {
            self.move_to_file()?;
        }
        if let Some(file) = &self.file {
            self.room.take_disk(bytes.len() as u64)?;
            let at = self.length - self.file_base;
            if let Err(error) = self.room.write(&**file, bytes, at) {
                self.room
                    .disk
                    .fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                return Err(error);
            }
        } else {
            self.memory.extend_from_slice(bytes);
            self.room
                .memory
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Appends to `out` up to `most` bytes from `position` on.
    pub(crate) fn read(&self, position: u64, most: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let from = position.clamp(self.base, self.length);
        let count = usize::try_from(self.length - from)
            .unwrap_or(usize::MAX)
            .min(most);
        if let Some(file) = &self.file {
            let start = out.len();
            out.resize(start + count, 0);
            file.read_exact_at(&mut out[start..], from - self.file_base)?;
        } else {
            let at = usize::try_from(from - self.base).unwrap_or(usize::MAX);
            out.extend_from_slice(&self.memory[at..at + count]);
        }
        Ok(count)
    }

    /// Gives up what lies before `position`.
    pub(crate) fn release(&mut self, position: u64) {
        let position = position.clamp(self.base, self.length);
        if self.file.is_none() {
            let count = usize::try_from(position - self.base).unwrap_or(usize::MAX);
            self.memory.drain(..count);
            self.room.memory.fetch_sub(count as u64, Ordering::Relaxed);
        } else if position == self.length {
            // All of it was read: what follows may be small again.
            self.drop_file();
        }
        self.base = position;
    }

    fn fits(&self, more: usize) -> bool {
        self.memory.len() + more <= SPOOL_MEMORY_MAX
            && self
                .room
                .memory
                .load(Ordering::Relaxed)
                .saturating_add(more as u64)
                <= ROOM_MEMORY_MAX
    }

    fn move_to_file(&mut self) -> io::Result<()> {
        let kept = self.memory.len() as u64;
        self.room.take_disk(kept)?;
        match self.room.file(&self.memory) {
            Ok(file) => {
                self.file = Some(file);
                self.file_base = self.base;
                self.room.memory.fetch_sub(kept, Ordering::Relaxed);
                self.memory = Vec::new();
                Ok(())
            }
            Err(error) => {
                self.room.disk.fetch_sub(kept, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn drop_file(&mut self) {
        if self.file.take().is_some() {
            self.room
                .disk
                .fetch_sub(self.length - self.file_base, Ordering::Relaxed);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.drop_file();
        self.room
            .memory
            .fetch_sub(self.memory.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::{
        RealDisk,
        test_disk::{Fault, TestDisk},
    };
    use proptest::prelude::*;

    use super::*;

    fn room_on(disk: Arc<dyn Disk>, folder: &Path) -> Arc<SpoolRoom> {
        let watch = DiskWatch::new(Arc::clone(&disk), folder);
        SpoolRoom::with_disk_max(disk, watch, folder, 1024 * 1024).unwrap()
    }

    fn room() -> (tempfile::TempDir, Arc<SpoolRoom>) {
        let place = tempfile::tempdir().unwrap();
        let room = room_on(Arc::new(RealDisk), place.path());
        (place, room)
    }

    #[test]
    fn a_fault_of_the_disk_is_an_error_and_what_was_taken_stays_whole() {
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..12).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let room = room_on(Arc::new(disk.clone()), Path::new("/spools"));
            let mut spool = Spool::new(Arc::clone(&room));
            let mut taken = Vec::new();
            disk.fail_at(step, fault);
            let mut failed = false;
            for round in 0..8u8 {
                let piece = vec![round; 20_000];
                if spool.append(&piece).is_ok() {
                    assert!(!failed, "bytes after a gap");
                    taken.extend(piece);
                } else {
                    failed = true;
                }
            }
            assert_eq!(room.watch.is_failing(), failed, "{fault:?} at {step}");
            let mut read = Vec::new();
            while spool.read(read.len() as u64, 7_000, &mut read).unwrap() > 0 {}
            assert!(read == taken, "{fault:?} at {step}");
            drop(spool);
            let counts = (&room.memory, &room.disk);
            assert_eq!(counts.0.load(Ordering::Relaxed), 0);
            assert_eq!(counts.1.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn much_goes_to_a_file_and_comes_back() {
        let (place, room) = room();
        let mut spool = Spool::new(Arc::clone(&room));
        let bytes: Vec<u8> = (0..200_000u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        for piece in bytes.chunks(30_000) {
            spool.append(piece).unwrap();
        }
        assert!(spool.file.is_some());
        let mut read = Vec::new();
        while spool.read(read.len() as u64, 7_000, &mut read).unwrap() > 0 {}
        assert_eq!(read, bytes);
        spool.release(200_000);
        assert!(spool.file.is_none());
        assert_eq!(
            (
                room.memory.load(Ordering::Relaxed),
                room.disk.load(Ordering::Relaxed)
            ),
            (0, 0)
        );
        assert_eq!(
            std::fs::read_dir(place.path()).unwrap().count(),
            0,
            "its file never had a name"
        );
    }

    #[test]
    fn a_full_room_is_an_error_and_freed_with_its_spools() {
        let (_place, room) = room();
        let mut spool = Spool::new(Arc::clone(&room));
        spool.append(&vec![1; 1_000_000]).unwrap();
        assert_eq!(
            spool.append(&vec![1; 100_000]).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        drop(spool);
        assert_eq!(room.disk.load(Ordering::Relaxed), 0);
        Spool::new(room).append(&vec![1; 1_000_000]).unwrap();
    }

    proptest! {
        #[test]
        fn a_spool_is_a_queue_of_bytes(steps in proptest::collection::vec((0usize..40_000, 0u64..50_000), 1..12)) {
            let (_place, room) = room();
            let mut spool = Spool::new(Arc::clone(&room));
            let mut model: Vec<u8> = Vec::new();
            let mut base = 0u64;
            for (append, release) in steps {
                let piece: Vec<u8> = (0..append).map(|index| u8::try_from((model.len() + index) % 251).unwrap()).collect();
                spool.append(&piece).unwrap();
                model.extend(&piece);
                base = (base + release).min(model.len() as u64);
                spool.release(base);
                let mut read = Vec::new();
                while spool.read(base + read.len() as u64, 10_000, &mut read).unwrap() > 0 {}
                prop_assert_eq!(&read, &model[usize::try_from(base).unwrap()..]);
            }
            drop(spool);
            prop_assert_eq!(room.memory.load(Ordering::Relaxed), 0);
            prop_assert_eq!(room.disk.load(Ordering::Relaxed), 0);
        }
    }
}
