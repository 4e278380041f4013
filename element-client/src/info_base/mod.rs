//! The local information base (LIB): an Element's own XML document, with its
//! configuration and its Host table.
//!
//! Invariants:
//! - reads are shared and never wait for the disk: they see a whole document;
//! - updates are exclusive; one is shown to readers only after it is valid and
//!   durable (temporary file, sync, rename, sync of the folder), and after the
//!   generation before it was kept as `….previous`;
//! - updates that may be made together ([`InfoBase::update_together`]) share
//!   one write; each of them is all or nothing;
//! - a crash at any instruction leaves the old document or the new one whole;
//! - what changes with every heartbeat ([`InfoBase::observe`]) is shown at
//!   once and reaches the file at a bounded rate;
//! - a damaged file is an error that says what is wrong and what can be done;
//!   it is never silently replaced.
//!
//! All of it blocks for the disk but [`InfoBase::read`] and
//! [`InfoBase::observe`].

mod error;
mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::disk::Disk;
use gridmart_schemas::{
    problem::{Code, Problem},
    resource::{Document, ce_doc::CeDocument, de_doc::DeDocument, se_doc::SeDocument},
};
use parking_lot::{Mutex, RwLock};

pub use self::error::LibError;
use self::file::LibFile;
use crate::group::Group;

/// Observed values reach the file at most this often.
pub const OBSERVATION_INTERVAL: Duration = Duration::from_secs(30);

/// A document that can be an information base.
pub trait LibDocument: Document + Clone + Send + Sync + 'static {
    /// Grows by one with every update.
    fn generation(&self) -> u64;
    /// Sets the generation.
    fn set_generation(&mut self, generation: u64);
}

impl LibDocument for CeDocument {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl LibDocument for SeDocument {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl LibDocument for DeDocument {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

/// What only the one writer knows.
struct Writer {
    file: LibFile,
    /// The document's bytes in the file, to be kept as the previous generation.
    written: Vec<u8>,
    last_flush: Option<Instant>,
}

type Observation<D> = Box<dyn Fn(&mut D) + Send + Sync>;

/// May be made more than once, each time on a document of its own.
type Change<D> = Box<dyn Fn(&mut D) -> Result<(), Problem> + Send + Sync>;

struct Shown<D> {
    document: Arc<D>,
    /// Observed values have not reached the file yet.
    observed: bool,
    /// While an update is being written: what was observed since it began.
    meanwhile: Option<Vec<Observation<D>>>,
}

/// An Element's information base. See the module.
pub struct InfoBase<D> {
    shown: RwLock<Shown<D>>,
    writer: Mutex<Writer>,
    together: Group<Change<D>, Result<(), LibError>>,
}

impl<D> std::fmt::Debug for InfoBase<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InfoBase")
    }
}

impl<D: LibDocument> InfoBase<D> {
    /// Opens the document at `path`; `None` if there is none yet.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Option<Self>, LibError> {
        let file = LibFile::new(disk, path.to_owned());
        let Some(bytes) = file.read()? else {
            return Ok(None);
        };
        let document = file.parse::<D>(&bytes)?;
        Ok(Some(Self::with(file, bytes, document)))
    }

    /// Makes the first document at `path`.
    pub fn create(disk: Arc<dyn Disk>, path: &Path, document: D) -> Result<Self, LibError> {
        let file = LibFile::new(disk, path.to_owned());
        document.validate()?;
        let bytes = document.to_xml().into_bytes();
        file.replace(&bytes)?;
        Ok(Self::with(file, bytes, document))
    }

    /// Puts the previous generation in the place of a damaged document; the
    /// damaged one is kept beside it as `….damaged`. Refused where the present
    /// document is whole. Answers with the generation restored.
    pub fn restore(disk: Arc<dyn Disk>, path: &Path) -> Result<u64, LibError> {
        LibFile::new(disk, path.to_owned()).restore::<D>()
    }

    fn with(file: LibFile, written: Vec<u8>, document: D) -> Self {
        Self {
            shown: RwLock::new(Shown {
                document: Arc::new(document),
                observed: false,
                meanwhile: None,
            }),
            writer: Mutex::new(Writer {
                file,
                written,
                last_flush: None,
            }),
            together: Group::default(),
        }
    }

    /// Where the document is.
    pub fn path(&self) -> PathBuf {
        self.writer.lock().file.path().to_owned()
    }

    /// Gives the document as it is now; later updates do not change it.
    pub fn read(&self) -> Arc<D> {
        Arc::clone(&self.shown.read().document)
    }

    /// Changes the document: all of what `change` does or, if it refuses or the
    /// result is not valid, nothing. Durable when this returns.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut D) -> Result<T, Problem>,
    ) -> Result<T, LibError> {
        let mut writer = self.writer.lock();
        self.update_locked(&mut writer, 1, change)
    }

    /// The same in one write with others that come at the same time. The
    /// change may be tried more than once before it is made.
    pub fn update_together(
        &self,
        change: impl Fn(&mut D) -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Result<(), LibError> {
        self.together
            .join(Box::new(change), |changes| self.make_together(changes))
            .unwrap_or_else(|| {
                Err(LibError::Refused(Problem::new(
                    Code::Internal,
                    "An update of the information base was given up.",
                )))
            })
    }

    /// Makes all changes that do not refuse, in one write.
    fn make_together(&self, changes: &[&Change<D>]) -> Vec<Result<(), LibError>> {
        let mut writer = self.writer.lock();
        let before = self.read();
        let mut outcomes: Vec<Result<(), LibError>> = changes.iter().map(|_| Ok(())).collect();
        let next = loop {
            let mut document = D::clone(&before);
            let mut tried = changes.iter().zip(&mut outcomes);
            let refused = tried.find_map(|(change, outcome)| {
                if outcome.is_err() {
                    return None;
                }
                *outcome = change(&mut document).map_err(LibError::from);
                outcome.is_err().then_some(())
            });
            // One that refuses may have changed something: all but it again.
            if refused.is_none() {
                break document;
            }
        };
        let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        if made == 0 {
            return outcomes;
        }
        let written = self.update_locked(&mut writer, made, |document| {
            *document = next;
            Ok(())
        });
        match written {
            Ok(()) => outcomes,
            // Which of them is it? Each by itself tells.
            Err(LibError::Invalid(_)) => changes
                .iter()
                .zip(outcomes)
                .map(|(change, outcome)| {
                    outcome.and_then(|()| self.update_locked(&mut writer, 1, change))
                })
                .collect(),
            Err(error) => outcomes
                .into_iter()
                .map(|outcome| outcome.and_then(|()| Err(error.again())))
                .collect(),
        }
    }

    /// Changes the document if it still is the generation that an editor saw.
    pub fn update_of<T>(
        &self,
        generation: u64,
        change: impl FnOnce(&mut D) -> Result<T, Problem>,
    ) -> Result<T, LibError> {
        let mut writer = self.writer.lock();
        let now = self.read().generation();
        if now != generation {
            return Err(LibError::Conflict {
                seen: generation,
                now,
            });
        }
        self.update_locked(&mut writer, 1, change)
    }

    /// Writes what counts as so many updates.
    fn update_locked<T>(
        &self,
        writer: &mut Writer,
        count: u64,
        change: impl FnOnce(&mut D) -> Result<T, Problem>,
    ) -> Result<T, LibError> {
        let before = {
            let mut shown = self.shown.write();
            shown.meanwhile = Some(Vec::new());
            Arc::clone(&shown.document)
        };
        let written = Self::write_changed(writer, &before, count, change);
        let mut shown = self.shown.write();
        let meanwhile = shown.meanwhile.take().unwrap_or_default();
        let (outcome, mut document) = written?;
        for observation in &meanwhile {
            observation(&mut document);
        }
        shown.document = Arc::new(document);
        shown.observed = !meanwhile.is_empty();
        Ok(outcome)
    }

    fn write_changed<T>(
        writer: &mut Writer,
        before: &D,
        count: u64,
        change: impl FnOnce(&mut D) -> Result<T, Problem>,
    ) -> Result<(T, D), LibError> {
        let mut document = before.clone();
        let outcome = change(&mut document)?;
        document.set_generation(before.generation() + count);
        document.validate()?;
        let bytes = document.to_xml().into_bytes();
        writer.file.replace_keeping(&writer.written, &bytes)?;
        writer.written = bytes;
        writer.last_flush = Some(Instant::now());
        Ok((outcome, document))
    }

    /// Shows a changed value at once; it reaches the file with the next update
    /// or flush. The caller sees to it that the document stays valid.
    pub fn observe(&self, change: impl Fn(&mut D) + Send + Sync + 'static) {
        let mut shown = self.shown.write();
        change(Arc::make_mut(&mut shown.document));
        shown.observed = true;
        if let Some(meanwhile) = &mut shown.meanwhile {
            meanwhile.push(Box::new(change));
        }
    }

    /// Brings observed values to the file, if the last write is long enough
    /// ago or `now` is forced.
    pub fn flush(&self, force: bool) -> Result<(), LibError> {
        let mut writer = self.writer.lock();
        let due = writer
            .last_flush
            .is_none_or(|last| last.elapsed() >= OBSERVATION_INTERVAL);
        if !self.shown.read().observed || !(due || force) {
            return Ok(());
        }
        self.update_locked(&mut writer, 1, |_| Ok(()))
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
pub(crate) mod tests;
