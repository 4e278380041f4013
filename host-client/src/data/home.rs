//! The folder of one copy of a database.
//!
//! `current` names the generation that counts; `generation-N/database` is SQLite's
//! file with what SQLite puts beside it. A copy that is rebuilt is a generation of
//! its own, so that a write-ahead log never meets a file that it does not belong
//! to, and the change from one to the other is one file that is replaced.

mod at_server;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gridmart_fabric::disk::{Disk as _, RealDisk, Secrecy, durable_write, read_bounded};
use gridmart_schemas::resource::enumeration::DataEngine;
use uuid::Uuid;

use super::{
    engine::{EngineError, sqlite::create},
    log::Role,
};

const CURRENT: &str = "current";
const DATABASE: &str = "database";
/// Names what keeps the database; without it SQLite does, in the file itself.
const ENGINE: &str = "engine";
const GENERATION: &str = "generation-";
/// Snapshots on their way to others.
const OUTGOING: &str = "outgoing";
/// `current` holds a number.
const CURRENT_BYTES_MAX: u64 = 32;
/// `engine` holds a word.
const ENGINE_BYTES_MAX: u64 = 256;

/// A folder that keeps a copy of a database, or will.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// Opens the folder, and makes it if it is not there; removes what a crash has
    /// left of generations that do not count. Nobody else may use it: roles lock
    /// their data folder.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let home = Self {
            folder: folder.to_owned(),
        };
        let opened = RealDisk.create_folder(folder).and_then(|()| home.clean());
        opened.map_err(|error| home.failed("opening", &error))?;
        Ok(home)
    }

    /// SQLite's file, if there is a copy.
    pub fn database(&self) -> Result<Option<PathBuf>, EngineError> {
        let current = self
            .current()
            .map_err(|error| self.failed("reading", &error))?;
        Ok(current.map(|number| self.generation(number).join(DATABASE)))
    }

    /// What keeps the database. If it is a server, SQLite's file holds no rows, but what
    /// the copy knows of itself.
    pub fn engine(&self) -> Result<DataEngine, EngineError> {
        let path = self.folder.join(ENGINE);
        let bytes = read_bounded(&path, ENGINE_BYTES_MAX);
        let Some(bytes) = bytes.map_err(|error| self.failed("reading", &error))? else {
            return Ok(DataEngine::Sqlite);
        };
        let word = std::str::from_utf8(&bytes).ok();
        let engine = word.and_then(|word| word.trim().parse().ok());
        engine.ok_or_else(|| EngineError::Damaged {
            why: format!("{} names no engine", path.display()),
        })
    }

    /// Writes down what keeps the database, before it is made.
    pub fn engine_put(&self, engine: &DataEngine) -> Result<(), EngineError> {
        let path = self.folder.join(ENGINE);
        durable_write(
            &RealDisk,
            &path,
            engine.as_str().as_bytes(),
            Secrecy::Secret,
        )
        .map_err(|error| self.failed("writing", &error))
    }

    /// Makes an empty database in a folder that has none; gives its file.
    pub fn create(&self, database: Uuid, role: Role) -> Result<PathBuf, EngineError> {
        if self.database()?.is_some() {
            let why = format!("{} holds a database already", self.folder.display());
            return Err(EngineError::Internal(why));
        }
        let (number, path) = self.prepare()?;
        create(&path, database, role)?;
        self.publish(number)?;
        Ok(path)
    }

    /// Where snapshots are made that go out.
    pub(super) fn make_outgoing(&self) -> Result<PathBuf, EngineError> {
        let outgoing = self.outgoing();
        let made = RealDisk.create_folder(&outgoing);
        made.map_err(|error| self.failed("making the folder for snapshots of", &error))?;
        Ok(outgoing)
    }

    pub(super) fn outgoing(&self) -> PathBuf {
        self.folder.join(OUTGOING)
    }

    /// Makes the folder of a new generation; gives its number, and where its file
    /// goes.
    pub(super) fn prepare(&self) -> Result<(u64, PathBuf), EngineError> {
        let prepare = || -> io::Result<(u64, PathBuf)> {
            let number = self.current()?.unwrap_or_default() + 1;
            let folder = self.generation(number);
            remove_folder(&folder)?;
            RealDisk.create_folder(&folder)?;
            Ok((number, folder.join(DATABASE)))
        };
        prepare().map_err(|error| self.failed("making a new generation in", &error))
    }

    /// From here on, that generation counts; the one before is removed.
    pub(super) fn publish(&self, number: u64) -> Result<(), EngineError> {
        let publish = || -> io::Result<()> {
            RealDisk.sync_folder(&self.generation(number))?;
            RealDisk.sync_folder(&self.folder)?;
            let text = number.to_string();
            durable_write(
                &RealDisk,
                &self.folder.join(CURRENT),
                text.as_bytes(),
                Secrecy::Secret,
            )?;
            self.clean()
        };
        publish().map_err(|error| self.failed("changing the generation of", &error))
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{GENERATION}{number}"))
    }

    fn current(&self) -> io::Result<Option<u64>> {
        let Some(bytes) = read_bounded(&self.folder.join(CURRENT), CURRENT_BYTES_MAX)? else {
            return Ok(None);
        };
        let number = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        number.map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the file \"current\" holds no number",
            )
        })
    }

    fn clean(&self) -> io::Result<()> {
        let current = self.current()?.map(|number| self.generation(number));
        remove_folder(&self.outgoing())?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_generation = entry.file_name().to_string_lossy().starts_with(GENERATION);
            if is_generation && current.as_ref() != Some(&entry.path()) {
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    fn failed(&self, doing: &str, error: &io::Error) -> EngineError {
        EngineError::Storage {
            why: format!("{doing} {}: {error}", self.folder.display()),
            is_full: error.kind() == io::ErrorKind::StorageFull,
        }
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_is_removed_and_what_counts_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.database().unwrap(), None);
        let first = home.create(Uuid::nil(), Role::Shadow).unwrap();
        assert!(home.create(Uuid::nil(), Role::Shadow).is_err());
        // A rebuild that did not come to its end.
        let (_, unfinished) = home.prepare().unwrap();
        fs::write(&unfinished, b"half").unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.database().unwrap(), Some(first.clone()));
        assert!(!unfinished.exists());
        // One that did.
        let (number, second) = home.prepare().unwrap();
        create(&second, Uuid::nil(), Role::Shadow).unwrap();
        home.publish(number).unwrap();
        assert_eq!(home.database().unwrap(), Some(second));
        assert!(!first.exists());
    }

    #[test]
    fn what_keeps_the_database_is_sqlite_unless_it_was_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.engine().unwrap(), DataEngine::Sqlite);
        home.engine_put(&DataEngine::Postgresql).unwrap();
        let again = Home::open(folder.path()).unwrap();
        assert_eq!(again.engine().unwrap(), DataEngine::Postgresql);
        fs::write(folder.path().join(ENGINE), b"\xff").unwrap();
        assert!(matches!(again.engine(), Err(EngineError::Damaged { .. })));
    }
}
