//! The document's file, the previous generation beside it, and how the one
//! takes the place of the other.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, Secrecy, durable_write};

use super::{LibDocument, LibError};

pub(super) struct LibFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl LibFile {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(suffix);
        PathBuf::from(name)
    }

    fn previous(&self) -> PathBuf {
        self.beside(".previous")
    }

    /// The document's bytes; `None` if there is no file.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, LibError> {
        match self.disk.read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LibError::Disk {
                action: "read",
                path: self.path.clone(),
                source,
            }),
        }
    }

    pub(super) fn parse<D: LibDocument>(&self, bytes: &[u8]) -> Result<D, LibError> {
        let name = self
            .path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        D::from_xml(bytes, &name).map_err(|error| LibError::Damaged {
            path: self.path.clone(),
            advice: self.advice::<D>(),
            source: Box::new(error),
        })
    }

    fn advice<D: LibDocument>(&self) -> String {
        match self.read_previous::<D>() {
            Some((_, generation)) => format!(
                "correct the line named, or restore generation {generation} from {} by starting with --restore-lib",
                self.previous().display()
            ),
            None => "correct the line named; there is no whole previous generation to restore"
                .to_owned(),
        }
    }

    fn read_previous<D: LibDocument>(&self) -> Option<(Vec<u8>, u64)> {
        let bytes = self.disk.read(&self.previous()).ok()?;
        let document = D::from_xml(&bytes, "previous generation").ok()?;
        Some((bytes, document.generation()))
    }

    /// Replaces the document and keeps what it was.
    pub(super) fn replace_keeping(&self, before: &[u8], bytes: &[u8]) -> Result<(), LibError> {
        let previous = self.previous();
        durable_write(&*self.disk, &previous, before, Secrecy::Secret).map_err(|source| {
            LibError::Disk {
                action: "write",
                path: previous,
                source,
            }
        })?;
        self.replace(bytes)
    }

    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), LibError> {
        durable_write(&*self.disk, &self.path, bytes, Secrecy::Secret).map_err(|source| {
            LibError::Disk {
                action: "write",
                path: self.path.clone(),
                source,
            }
        })
    }

    pub(super) fn restore<D: LibDocument>(&self) -> Result<u64, LibError> {
        let damaged = self.read()?;
        if let Some(bytes) = &damaged
            && self.parse::<D>(bytes).is_ok()
        {
            return Err(LibError::NotDamaged {
                path: self.path.clone(),
            });
        }
        let (bytes, generation) =
            self.read_previous::<D>()
                .ok_or_else(|| LibError::NoPrevious {
                    path: self.previous(),
                })?;
        if let Some(damaged) = damaged {
            let aside = self.beside(".damaged");
            durable_write(&*self.disk, &aside, &damaged, Secrecy::Secret).map_err(|source| {
                LibError::Disk {
                    action: "write",
                    path: aside,
                    source,
                }
            })?;
        }
        self.replace(&bytes)?;
        Ok(generation)
    }
}
