//! A call's work folder, as its Host goes into it: step by step from the folder
//! itself, and never over a link. What a program leaves there is its own doing.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use gridmart_schemas::scalar::WorkPath;
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

/// A work folder.
pub(super) struct WorkFolder(OwnedFd);

/// Why a file that a program was to leave cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeftError {
    /// It is not there.
    #[error("the program has left no such file")]
    Absent,
    /// It is a link, or a link leads to it; a folder, a pipe, a device.
    #[error("it is no regular file of the work folder itself; links are not followed")]
    Strange,
    /// The system refuses.
    #[error("it cannot be read: {0}")]
    System(#[source] io::Error),
}

impl From<Errno> for LeftError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Absent,
            // A link at the end or on the way; a socket or a device.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV => Self::Strange,
            other => Self::System(other.into()),
        }
    }
}

impl WorkFolder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Makes a file that is not there yet, and the folders above it.
    pub(super) fn create(&self, path: &WorkPath) -> io::Result<File> {
        let (folders, name) = path.names();
        let mut folder = self.0.try_clone()?;
        for next in folders {
            match rustix::fs::mkdirat(&folder, next, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = below(&folder, next)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        Ok(rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, mode)?.into())
    }

    /// Opens a file that a program has left; gives its bytes.
    pub(super) fn open_left(&self, path: &WorkPath) -> Result<(File, u64), LeftError> {
        let (folders, name) = path.names();
        let mut folder = self.0.try_clone().map_err(LeftError::System)?;
        for next in folders {
            folder = below(&folder, next)?;
        }
        // A pipe without a writer is not waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::openat(&folder, name, flags | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(file.as_fd())?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(LeftError::Strange);
        }
        let bytes = u64::try_from(stat.st_size).unwrap_or_default();
        Ok((file.into(), bytes))
    }
}

/// The folder of that name, if it is one.
fn below(folder: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{Read as _, Write as _},
        os::unix::fs::symlink,
    };

    use super::*;

    fn path(text: &str) -> WorkPath {
        text.parse().unwrap()
    }

    #[test]
    fn inputs_are_made_in_new_folders_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let (work, other) = (place.path().join("work"), place.path().join("other"));
        fs::create_dir(&work).unwrap();
        fs::create_dir(&other).unwrap();
        let folder = WorkFolder::open(&work).unwrap();
        folder
            .create(&path("a/b/c"))
            .unwrap()
            .write_all(b"x")
            .unwrap();
        folder.create(&path("a/d")).unwrap();
        assert_eq!(fs::read(work.join("a/b/c")).unwrap(), b"x");
        assert!(folder.create(&path("a/b/c")).is_err(), "it is there");
        assert!(folder.create(&path("a/d/e")).is_err(), "no folder");
        symlink(&other, work.join("link")).unwrap();
        assert!(folder.create(&path("link/x")).is_err());
        symlink(other.join("y"), work.join("end")).unwrap();
        assert!(folder.create(&path("end")).is_err());
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }

    #[test]
    fn only_regular_files_of_the_folder_itself_are_left() {
        let place = tempfile::tempdir().unwrap();
        let (work, secret) = (place.path().join("work"), place.path().join("secret"));
        fs::create_dir_all(work.join("real")).unwrap();
        fs::write(&secret, "key").unwrap();
        fs::write(work.join("real/file"), "12345").unwrap();
        symlink(&secret, work.join("link")).unwrap();
        symlink("real/file", work.join("inner")).unwrap();
        symlink("real", work.join("way")).unwrap();
        symlink(place.path(), work.join("up")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            work.join("pipe"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        let socket = std::os::unix::net::UnixListener::bind(work.join("socket")).unwrap();
        let folder = WorkFolder::open(&work).unwrap();
        let (mut file, bytes) = folder.open_left(&path("real/file")).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), bytes), ("12345", 5));
        for strange in [
            "link",
            "inner",
            "way/file",
            "up/secret",
            "pipe",
            "socket",
            "real",
            "real/file/x",
        ] {
            let refused = folder.open_left(&path(strange)).unwrap_err();
            assert!(
                matches!(refused, LeftError::Strange),
                "{strange}: {refused}"
            );
        }
        for absent in ["none", "none/file", "real/none"] {
            let refused = folder.open_left(&path(absent)).unwrap_err();
            assert!(matches!(refused, LeftError::Absent), "{absent}: {refused}");
        }
        drop(socket);
        let linked = place.path().join("linked");
        symlink(&work, &linked).unwrap();
        assert!(WorkFolder::open(&linked).is_err());
    }
}
