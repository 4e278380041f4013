//! The folder of what copies alone had committed when others became the core: a file
//! that people can read for each time, and beside it what is told of it. They stay until
//! somebody takes them away, or the database is deleted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gridmart_fabric::disk::{Disk as _, RealDisk, Secrecy, durable_write, read_bounded};
use gridmart_schemas::{data::LogPoint, id::DatabaseId, resource::host::SetAside, scalar::Text};

use super::{aside::Aside, engine::EngineError};

/// Its name in the folder of the databases.
const FOLDER: &str = "set-aside";
/// What is told of a file has so many bytes at most.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// So many are told of a database; the rest is in the folder.
const TOLD_MAX: usize = 8;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct KeptAside {
    folder: PathBuf,
}

impl KeptAside {
    /// That beside these databases.
    pub(super) fn beside(databases: &Path) -> Self {
        Self {
            folder: databases.join(FOLDER),
        }
    }

    /// Where what this copy has goes: the same place if it is tried again.
    pub(super) fn file(&self, database: DatabaseId, last: LogPoint) -> io::Result<PathBuf> {
        RealDisk.create_folder(&self.folder)?;
        let LogPoint { position, epoch } = last;
        let name = format!("{database}-epoch-{epoch}-position-{position}.jsonl");
        Ok(self.folder.join(name))
    }

    /// What was set aside of a database, oldest first.
    pub(super) fn of(&self, database: DatabaseId) -> Vec<SetAside> {
        let mut found: Vec<SetAside> = self
            .files(database)
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| {
                let bytes = read_bounded(&path, HEAD_BYTES_MAX).ok().flatten()?;
                serde_json::from_slice(&bytes).ok()
            })
            .collect();
        found.sort_by_key(|aside| (aside.last_position, aside.first_position));
        let surplus = found.len().saturating_sub(TOLD_MAX);
        found.drain(..surplus);
        found
    }

    /// Removes what was set aside of a database that is gone.
    pub(super) fn remove(&self, database: DatabaseId) -> io::Result<()> {
        for path in self.files(database) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn files(&self, database: DatabaseId) -> impl Iterator<Item = PathBuf> {
        let begin = format!("{database}-");
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter(move |entry| entry.file_name().to_string_lossy().starts_with(&begin))
            .map(|entry| entry.path())
    }
}

/// Keeps what is told of a file that is there.
pub(super) fn note(aside: &Aside) -> io::Result<()> {
    let told = told(aside)?;
    let bytes = serde_json::to_vec(&told)?;
    let path = aside.file.with_extension("json");
    durable_write(&RealDisk, &path, &bytes, Secrecy::Secret)
}

/// Keeps the files of a database as they are, under other names: what its log does
/// not tell any more is in them alone. Takes no room.
pub(super) fn keep_whole(database: &Path, beside: &Path) -> Result<(), EngineError> {
    for end in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{end}", database.display()));
        let to = PathBuf::from(format!("{}.database{end}", beside.display()));
        match fs::hard_link(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !end.is_empty() => {}
            kept => kept.map_err(|error| EngineError::Storage {
                why: format!("keeping {} as {}: {error}", from.display(), to.display()),
                is_full: error.kind() == io::ErrorKind::StorageFull,
            })?,
        }
    }
    Ok(())
}

/// An aside as it is told.
pub(super) fn told(aside: &Aside) -> io::Result<SetAside> {
    let file = aside.file.display().to_string();
    let number = |position: i64| u64::try_from(position).unwrap_or_default();
    Ok(SetAside {
        file: Text::new(&file).map_err(io::Error::other)?,
        first_position: number(aside.common.next().number()),
        last_position: number(aside.last.number()),
        entry_count: aside.entries,
        missing_count: aside.missing,
    })
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::{Epoch, Position};

    use super::*;

    #[test]
    fn what_is_set_aside_is_told_after_a_restart_and_goes_with_its_database() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptAside::beside(folder.path());
        let (database, other) = (DatabaseId::generate(), DatabaseId::generate());
        assert!(kept.of(database).is_empty());
        for (database, last) in [(database, 9), (other, 5)] {
            let point = LogPoint {
                position: Position::new(last),
                epoch: Epoch::new(2),
            };
            let file = kept.file(database, point).unwrap();
            assert_eq!(file, kept.file(database, point).unwrap());
            fs::write(&file, b"{}\n").unwrap();
            note(&Aside {
                common: Position::new(3),
                last: point.position,
                entries: 4,
                missing: 1,
                file: file.clone(),
            })
            .unwrap();
            let whole = folder.path().join("database");
            fs::write(&whole, b"rows").unwrap();
            keep_whole(&whole, &file).unwrap();
            keep_whole(&whole, &file).unwrap();
            fs::remove_file(&whole).unwrap();
        }
        let told = KeptAside::beside(folder.path()).of(database);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].first_position, told[0].last_position), (4, 9));
        assert_eq!((told[0].entry_count, told[0].missing_count), (4, 1));
        kept.remove(database).unwrap();
        assert!(kept.of(database).is_empty());
        assert_eq!(kept.of(other).len(), 1);
        assert_eq!(fs::read_dir(folder.path().join(FOLDER)).unwrap().count(), 3);
    }
}
