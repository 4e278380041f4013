//! One process per data folder.
//!
//! The lock belongs to the open file, so the system gives it back when the
//! process ends, in whatever way; the file itself stays.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

/// Name of the lock file in a data folder.
const FILE: &str = "node.lock";

/// The data folder is this process's until the value is dropped.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeLockError {
    /// Somebody uses it.
    #[error("the data folder {} is already in use by {}: stop it first, or name another folder", folder.display(), holder(*.pid))]
    Held {
        /// The folder.
        folder: PathBuf,
        /// The process, if it has said which one it is.
        pid: Option<u32>,
    },
    /// The system refuses.
    #[error("the data folder {} cannot be locked: check that it is writable", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl NodeLock {
    /// Takes the folder, which is made if it is not there.
    pub fn acquire(folder: &Path) -> Result<Self, NodeLockError> {
        let fault = |source| NodeLockError::Io {
            folder: folder.to_owned(),
            source,
        };
        crate::disk::Disk::create_folder(&crate::disk::RealDisk, folder).map_err(fault)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))
            .map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be about to write its number.
                let _ = (&mut file).take(16).read_to_string(&mut text);
                return Err(NodeLockError::Held {
                    folder: folder.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(fault)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let first = NodeLock::acquire(&path).unwrap();
        let refusal = NodeLock::acquire(&path).unwrap_err();
        assert!(
            matches!(refusal, NodeLockError::Held { pid: Some(pid), .. } if pid == std::process::id())
        );
        assert!(
            refusal.to_string().contains("already in use by process"),
            "{refusal}"
        );
        drop(first);
        NodeLock::acquire(&path).unwrap();
    }
}
