//! The disk behind a narrow trait, and the one way to replace a file durably.
//!
//! Invariants: when [`durable_write`] has returned `Ok`, the new content
//! outlives a power cut; when it has not, a later start finds the old content
//! or the new one whole, never a mixture. Nobody else in the fabric writes a
//! file that has to survive.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use crate::fault::FaultPoint;

mod file;
#[cfg(feature = "test-disk")]
pub mod test_disk;

pub use self::file::{DiskFile, FileReader};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Mode 0644, as the umask allows.
    Open,
    /// Mode 0600 from its first moment on.
    Secret,
}

impl Secrecy {
    const fn mode(self) -> u32 {
        match self {
            Self::Open => 0o644,
            Self::Secret => 0o600,
        }
    }
}

/// The steps that a crash can fall between. Each is one operation of the
/// system; none is durable before its `sync_*`.
pub trait Disk: Send + Sync {
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads a file of at most `limit` bytes; `None` if there is none.
    fn read_bounded(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// Makes or replaces a file with this content.
    fn write(&self, path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()>;
    /// Adds to the end of a file, which is made if it is not there.
    fn append(&self, path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()>;
    /// Cuts a file to this length.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Makes a file's content durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name in place of what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Lists the files of a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a folder and those above it, mode 0700.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Opens a file to read and write, which is made if it is not there.
    fn open(&self, path: &Path, secrecy: Secrecy) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read, which has to be there.
    fn open_existing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a file without a name, which is gone with its handle, on the disk
    /// of this folder.
    fn open_unnamed(&self, folder: &Path) -> io::Result<Box<dyn DiskFile>>;
}

/// The disk of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    fn open_for_writing(path: &Path, secrecy: Secrecy, append: bool) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(append)
            .write(true)
            .truncate(!append)
            .mode(secrecy.mode())
            .open(path)
    }
}

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_bounded(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        read_bounded(path, limit)
    }

    fn write(&self, path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()> {
        FaultPoint::DiskWrite.pass_file(path)?;
        Self::open_for_writing(path, secrecy, false)?.write_all(bytes)
    }

    fn append(&self, path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()> {
        FaultPoint::DiskWrite.pass_file(path)?;
        Self::open_for_writing(path, secrecy, true)?.write_all(bytes)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(length)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        FaultPoint::DiskSync.pass_file(path)?;
        // Opened for writing: some systems refuse to sync a read-only handle.
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FaultPoint::DiskFolderSync.pass_file(path)?;
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        FaultPoint::DiskRenamed.pass_file(to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    fn open(&self, path: &Path, secrecy: Secrecy) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(secrecy.mode())
            .open(path)?;
        Ok(Box::new(file))
    }

    fn open_existing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn open_unnamed(&self, folder: &Path) -> io::Result<Box<dyn DiskFile>> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Box::new(File::from(file)))
    }
}

/// Ends the name of a file that is being written; left over only by a crash,
/// and then written over by the next try.
const TEMPORARY_SUFFIX: &str = ".new";

/// Puts `bytes` in the place of the file at `path`, durably: temporary file,
/// sync, rename, sync of the folder. Blocks for the disk.
///
/// One writer at a time per path is the caller's to keep.
pub fn durable_write(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    secrecy: Secrecy,
) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let written = disk
        // What an earlier crash left may have wider permissions.
        .remove(&temporary)
        .or_else(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            }
        })
        .and_then(|()| disk.write(&temporary, bytes, secrecy))
        .and_then(|()| disk.sync_file(&temporary))
        .and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // A best effort: the next write removes it as well.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_folder(folder_of(path))
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} is over the limit of {limit} bytes", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// The folder that holds the entry of `path`.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_never_readable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(folder.path().join("key.new"), b"left over, open to all").unwrap();
        durable_write(&RealDisk, &path, b"one", Secrecy::Secret).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        durable_write(&RealDisk, &path, b"two", Secrecy::Secret).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(RealDisk.list(folder.path()).unwrap(), [path]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_debris() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there");
        fs::create_dir(&path).unwrap();
        assert!(durable_write(&RealDisk, &path, b"x", Secrecy::Open).is_err());
        assert!(path.is_dir());
        assert!(RealDisk.list(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn reads_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(read_bounded(&path, 4).unwrap(), None);
        fs::write(&path, b"1234").unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap().unwrap(), b"1234");
        assert_eq!(
            read_bounded(&path, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
