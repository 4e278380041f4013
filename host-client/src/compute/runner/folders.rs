//! What a call may leave behind: files in the folders it can write, and
//! System V IPC objects. Looking costs a few system calls, into folders only
//! where something has happened; clearing away only where there is something.

use std::{
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use super::super::folder::folder_removed;
use rustix::{
    fs::{Mode, OFlags, RawDir, SeekFrom, inotify},
    io::Errno,
};

/// System V IPC objects of the namespace; absent where the kernel has none.
const IPC_LISTS: [&str; 3] = [
    "/proc/sysvipc/shm",
    "/proc/sysvipc/sem",
    "/proc/sysvipc/msg",
];

/// A folder that is emptied after each call.
struct Folder {
    path: PathBuf,
    fd: OwnedFd,
}

/// Everything that is looked at after each call.
#[derive(Default)]
pub(super) struct Folders {
    emptied: Vec<Folder>,
    /// Tells of all that comes into the folders; absent: they are looked into
    /// each time.
    watch: Option<OwnedFd>,
    ipc_lists: Vec<OwnedFd>,
}

impl Folders {
    /// Opens the folders; the IPC lists only where the namespace is our own.
    pub(super) fn open(paths: &[PathBuf], own_namespace: bool) -> io::Result<Self> {
        let mut emptied = Vec::with_capacity(paths.len());
        for path in paths {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(path, flags, Mode::empty())?;
            emptied.push(Folder {
                path: path.clone(),
                fd,
            });
        }
        let lists = if own_namespace { &IPC_LISTS[..] } else { &[] };
        let open = |path: &&str| {
            rustix::fs::open(*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
        };
        Ok(Self {
            // A user may have a bounded number of them.
            watch: watch(paths).ok(),
            emptied,
            ipc_lists: lists.iter().filter_map(open).collect(),
        })
    }

    /// Clears away what a call has left; `false` if something stays.
    pub(super) fn clear(&self) -> bool {
        (self.are_untouched() || self.emptied.iter().all(Folder::clear))
            && self
                .ipc_lists
                .iter()
                .all(|list| is_empty_list(list.as_fd()))
    }

    /// Tells whether nothing has happened in the folders since it was asked
    /// last. What happened is forgotten with that, before they are cleared.
    fn are_untouched(&self) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let mut buffer = [0; 4096];
        let mut untouched = true;
        loop {
            match rustix::io::read(watch, &mut buffer) {
                Err(Errno::AGAIN) => return untouched,
                Ok(_) | Err(Errno::INTR) => untouched = false,
                Err(_) => return false,
            }
        }
    }
}

/// Watches folders for what is made in them or moved there, and for changed
/// modes of their own. What lies deeper came with a folder.
fn watch(paths: &[PathBuf]) -> rustix::io::Result<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
    for path in paths {
        inotify::add_watch(&watch, path, flags | WatchFlags::ONLYDIR)?;
    }
    Ok(watch)
}

impl Folder {
    fn clear(&self) -> bool {
        if self.is_empty() != Ok(true) {
            let _ = empty(&self.path);
            if self.is_empty() != Ok(true) {
                return false;
            }
        }
        self.has_own_mode()
    }

    fn is_empty(&self) -> rustix::io::Result<bool> {
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The call owns the folder and may have changed its mode.
    fn has_own_mode(&self) -> bool {
        const OWNER_ALL: u32 = 0o700;
        match rustix::fs::fstat(&self.fd) {
            Ok(stat) if stat.st_mode & OWNER_ALL == OWNER_ALL => true,
            Ok(_) => rustix::fs::fchmod(&self.fd, Mode::RWXU).is_ok(),
            Err(_) => false,
        }
    }
}

/// Removes all that is in `folder`, also what its owner has locked.
fn empty(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folder_removed(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// An empty list has its heading and nothing else.
fn is_empty_list(list: std::os::fd::BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 1024];
    match rustix::io::pread(list, &mut buffer, 0) {
        Ok(read) => {
            buffer[..read]
                .split_inclusive(|byte| *byte == b'\n')
                .count()
                <= 1
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_left_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let folders = Folders::open(&[place.path().to_owned()], false).unwrap();
        assert!(folders.clear());
        let locked = place.path().join("a/b");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/", place.path().join("root")).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o0)).unwrap();
        assert!(folders.clear());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(
            fs::metadata(place.path()).unwrap().permissions().mode() & 0o700,
            0o700
        );
    }

    #[test]
    fn ipc_objects_are_noticed() {
        let place = tempfile::tempdir().unwrap();
        let list = place.path().join("shm");
        fs::write(&list, "       key      shmid\n").unwrap();
        let file = fs::File::open(&list).unwrap();
        assert!(is_empty_list(file.as_fd()));
        fs::write(&list, "       key      shmid\n 0 1\n").unwrap();
        assert!(!is_empty_list(file.as_fd()));
    }
}
