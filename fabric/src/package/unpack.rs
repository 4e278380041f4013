//! Package → folder: into a temporary one beside it, then renamed, so that a
//! folder of the wanted name is always whole.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Inspection, PackageError, PackageLimits, reader};
use crate::fault::FaultPoint;

/// Unpacks the package at `path` so that it becomes the folder `into`, which
/// must not exist. All files are on the disk when this returns.
pub fn unpack(
    path: &Path,
    into: &Path,
    limits: &PackageLimits,
) -> Result<Inspection, PackageError> {
    let package = fs::File::open(path).map_err(PackageError::disk("opening", path))?;
    if fs::symlink_metadata(into).is_ok() {
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(PackageError::disk("making", into)(exists));
    }
    let temporary = temporary_name(into);
    // Left from an unpacking that was cut off.
    remove(&temporary)?;
    fs::create_dir(&temporary).map_err(PackageError::disk("making", &temporary))?;
    let unpacked = reader::read(package, limits, &mut Folder { root: &temporary })
        .and_then(|inspection| publish(&temporary, into).map(|()| inspection));
    if unpacked.is_err() {
        // The first error tells more than one from clearing up after it.
        let _ = remove(&temporary);
    }
    unpacked
}

fn temporary_name(into: &Path) -> PathBuf {
    let mut name = into.as_os_str().to_owned();
    name.push(".unpacking");
    PathBuf::from(name)
}

fn remove(folder: &Path) -> Result<(), PackageError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PackageError::disk("removing", folder)(error))
        }
        _ => Ok(()),
    }
}

fn publish(temporary: &Path, into: &Path) -> Result<(), PackageError> {
    sync(temporary)?;
    FaultPoint::PackageUnpacked
        .pass()
        .map_err(PackageError::disk("renaming", temporary))?;
    fs::rename(temporary, into).map_err(PackageError::disk("renaming", temporary))?;
    into.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> Result<(), PackageError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(PackageError::disk("syncing", folder))
}

struct Folder<'a> {
    root: &'a Path,
}

impl reader::Receiver for Folder<'_> {
    fn folder(&mut self, path: &str) -> Result<(), PackageError> {
        let path = self.root.join(path);
        fs::create_dir(&path).map_err(PackageError::disk("making", &path))?;
        set_mode(&path, 0o755)
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        content: &mut dyn Read,
    ) -> Result<(), PackageError> {
        let path = self.root.join(path);
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(PackageError::disk("making", &path))?;
        io::copy(content, &mut file).map_err(PackageError::disk("writing", &path))?;
        file.sync_all()
            .map_err(PackageError::disk("syncing", &path))?;
        set_mode(&path, mode)
    }
}

/// The process's umask may have taken bits away.
fn set_mode(path: &Path, mode: u32) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(PackageError::disk("setting the mode of", path))
}
