//! A disk in memory that forgets, at a crash, everything that was not synced.
//!
//! It is harsher than real ones: unsynced content is replaced by a torn half,
//! and entries of an unsynced folder go back to what they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Disk, Secrecy};

/// A file apart from its names.
#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Inner {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    steps: u64,
    crash_at: Option<u64>,
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

    /// Lets the power fail at the `step`-th changing operation from now on
    /// (0: the next one): it and all later ones fail, until [`Self::restart`].
    pub fn crash_at(&self, step: u64) {
        let mut inner = self.inner.lock();
        inner.crash_at = Some(inner.steps + step);
    }

    /// How many changing operations there were.
    pub fn steps(&self) -> u64 {
        self.inner.lock().steps
    }

    /// Cuts the power and starts again: only what was synced is there.
    pub fn restart(&self) {
        let mut inner = self.inner.lock();
        inner.crash_at = None;
        inner.names = inner.durable_names.clone();
        for content in &mut inner.contents {
            content.now = content.durable.clone().unwrap_or_else(|| {
                let half = content.now.len() / 2;
                content.now[..half].to_vec()
            });
        }
    }
}

impl Inner {
    fn step(&mut self) -> io::Result<()> {
        let step = self.steps;
        self.steps += 1;
        if self.crash_at.is_some_and(|at| step >= at) {
            return Err(io::Error::other("the test disk has no power"));
        }
        Ok(())
    }

    fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let number = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.contents
            .get_mut(number)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content_or_new(&mut self, path: &Path) -> io::Result<&mut Content> {
        if !self.names.contains_key(path) {
            let number = self.contents.len();
            self.contents.push(Content::default());
            self.names.insert(path.to_owned(), number);
        }
        self.content(path)
    }
}

impl Disk for TestDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.inner.lock().content(path)?.now.clone())
    }

    fn write(&self, path: &Path, bytes: &[u8], _: Secrecy) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        bytes.clone_into(&mut inner.content_or_new(path)?.now);
        Ok(())
    }

    fn append(&self, path: &Path, bytes: &[u8], _: Secrecy) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        inner.content_or_new(path)?.now.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        inner.content(path)?.now.resize(length, 0);
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        let content = inner.content(path)?;
        content.durable = Some(content.now.clone());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
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
        inner.step()?;
        let number = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if !inner.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.step()?;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::durable_write;

    #[test]
    fn durable_write_is_old_or_new_at_every_crash_point() {
        let path = Path::new("/lib/document");
        for step in 0..10 {
            let disk = TestDisk::new();
            durable_write(&disk, path, b"old document", Secrecy::Open).unwrap();
            disk.crash_at(step);
            let outcome = durable_write(&disk, path, b"new document", Secrecy::Open);
            disk.restart();
            let found = disk.read(path).unwrap();
            match outcome {
                Ok(()) => assert_eq!(found, b"new document", "step {step}"),
                Err(_) => assert!(
                    found == b"old document" || found == b"new document",
                    "step {step}: {found:?}"
                ),
            }
            durable_write(&disk, path, b"later", Secrecy::Open).unwrap();
            disk.restart();
            assert_eq!(disk.read(path).unwrap(), b"later");
        }
    }

    #[test]
    fn it_catches_a_writer_that_forgets_to_sync() {
        let disk = TestDisk::new();
        let (temporary, path) = (Path::new("/d/t"), Path::new("/d/f"));
        disk.write(temporary, b"content", Secrecy::Open).unwrap();
        disk.rename(temporary, path).unwrap();
        disk.sync_folder(Path::new("/d")).unwrap();
        disk.restart();
        assert_ne!(disk.read(path).unwrap(), b"content");
    }
}
