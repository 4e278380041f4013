//! Names of databases at a server that belong to a copy: the one that counts, and all that
//! were ever made for it and may still be there.
//!
//! A core that was made as one has a database of the database's name, and none of these. A
//! copy that is, or was, a shadow makes a new database each time that it begins anew, so
//! that two Hosts may share a server, and what is there counts until the new one does.

use std::{fs, io};

use gridmart_fabric::disk::{Disk as _, RealDisk, Secrecy, durable_write, read_bounded};

use super::Home;
use crate::data::engine::EngineError;

/// Holds the name that counts.
const NAMED: &str = "server-database";
/// Has a file for each that may be there.
const MADE: &str = "server-databases";
/// What such a file says of one that stays although it does not count.
const KEPT: &[u8] = b"kept";
/// A name, or a word, has so many bytes at most.
const BYTES_MAX: u64 = 64;

/// A database at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct AtServer {
    pub(in crate::data) name: String,
    /// It holds what is nowhere else.
    pub(in crate::data) is_kept: bool,
}

impl Home {
    /// The name that counts, if it is one of the copy's own.
    pub(in crate::data) fn server_name(&self) -> Result<Option<String>, EngineError> {
        let bytes = read_bounded(&self.folder.join(NAMED), BYTES_MAX);
        let Some(bytes) = bytes.map_err(|error| self.failed("reading", &error))? else {
            return Ok(None);
        };
        let name = String::from_utf8(bytes).ok().filter(|name| is_name(name));
        name.map(Some).ok_or_else(|| EngineError::Damaged {
            why: format!("{} names no database", self.folder.join(NAMED).display()),
        })
    }

    /// From here on that one counts.
    pub(in crate::data) fn server_name_put(&self, name: &str) -> Result<(), EngineError> {
        let path = self.folder.join(NAMED);
        let put = durable_write(&RealDisk, &path, name.as_bytes(), Secrecy::Secret);
        put.map_err(|error| self.failed("naming the database at the server of", &error))
    }

    /// None counts any more.
    pub(in crate::data) fn server_name_forget(&self) -> Result<(), EngineError> {
        let gone = gone(fs::remove_file(self.folder.join(NAMED)));
        let gone = gone.and_then(|()| RealDisk.sync_folder(&self.folder));
        gone.map_err(|error| self.failed("forgetting the database at the server of", &error))
    }

    /// All that may be there; `None`: the copy has the one that a core is made with.
    pub(in crate::data) fn at_server(&self) -> Result<Option<Vec<AtServer>>, EngineError> {
        let read = || -> io::Result<Option<Vec<AtServer>>> {
            let entries = match fs::read_dir(self.folder.join(MADE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                entries => entries?,
            };
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    continue;
                };
                if !is_name(&name) {
                    continue;
                }
                let word = read_bounded(&entry.path(), BYTES_MAX)?;
                let is_kept = word.as_deref() == Some(KEPT);
                found.push(AtServer { name, is_kept });
            }
            Ok(Some(found))
        };
        read().map_err(|error| self.failed("reading", &error))
    }

    /// The copy has databases of its own names from here on.
    pub(in crate::data) fn at_server_begin(&self) -> Result<(), EngineError> {
        let made = RealDisk.create_folder(&self.folder.join(MADE));
        made.map_err(|error| self.failed("making the folder for names in", &error))
    }

    /// Notes one before it is made, or that it stays.
    pub(in crate::data) fn at_server_note(
        &self,
        name: &str,
        is_kept: bool,
    ) -> Result<(), EngineError> {
        self.at_server_begin()?;
        let path = self.folder.join(MADE).join(name);
        let word = if is_kept { KEPT } else { b"made" };
        let noted = durable_write(&RealDisk, &path, word, Secrecy::Secret);
        noted.map_err(|error| self.failed("noting a database at the server in", &error))
    }

    /// Forgets one that is gone.
    pub(in crate::data) fn at_server_forget(&self, name: &str) -> Result<(), EngineError> {
        let gone = gone(fs::remove_file(self.folder.join(MADE).join(name)));
        gone.map_err(|error| self.failed("forgetting a database at the server in", &error))
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Only what is made here is removed there.
fn is_name(name: &str) -> bool {
    let is_letter =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    name.starts_with("gridmart_") && name.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_noted_before_they_count_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.at_server().unwrap(), None);
        assert_eq!(home.server_name().unwrap(), None);
        home.at_server_note("gridmart_ab_1", false).unwrap();
        home.server_name_put("gridmart_ab_1").unwrap();
        home.at_server_note("gridmart_ab_2", true).unwrap();
        fs::write(folder.path().join(MADE).join("postgres"), b"made").unwrap();
        let again = Home::open(folder.path()).unwrap();
        assert_eq!(again.server_name().unwrap().unwrap(), "gridmart_ab_1");
        let mut found = again.at_server().unwrap().unwrap();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let found: Vec<_> = found.iter().map(|one| (&*one.name, one.is_kept)).collect();
        assert_eq!(found, [("gridmart_ab_1", false), ("gridmart_ab_2", true)]);
        again.server_name_forget().unwrap();
        again.server_name_forget().unwrap();
        again.at_server_forget("gridmart_ab_1").unwrap();
        assert_eq!(again.server_name().unwrap(), None);
        assert_eq!(again.at_server().unwrap().unwrap().len(), 1);
        fs::write(folder.path().join(NAMED), b"postgres").unwrap();
        assert!(again.server_name().is_err());
    }
}
