//! Folders in which uploaded programs could write, and how to be rid of them.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

/// Removes a folder with all that is in it, also what its owner has locked:
/// a program may take away its own rights, a Host that does not run as root
/// then has them no more than the program. Links are not followed.
pub(crate) fn folder_removed(folder: &Path) -> io::Result<()> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if gone(fs::remove_dir_all(folder)).is_ok() {
        return Ok(());
    }
    unlock(folder)?;
    gone(fs::remove_dir_all(folder))
}

/// Gives folders back their owner's rights, so that they can be emptied.
fn unlock(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works in a thread that lacks the rights by which root passes by modes:
    /// it is bound by them as any owner is.
    fn bound_by_modes(work: impl FnOnce() + Send) {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let bound = || {
            let mut own = capabilities(None).unwrap();
            own.effective
                .remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, own).unwrap();
            work();
        };
        std::thread::scope(|scope| scope.spawn(bound).join().unwrap());
    }

    #[test]
    fn locked_folders_go_and_links_lead_nowhere() {
        bound_by_modes(locked_folders);
    }

    fn locked_folders() {
        let place = tempfile::tempdir().unwrap();
        let (folder, other) = (place.path().join("folder"), place.path().join("other"));
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), b"").unwrap();
        std::os::unix::fs::symlink(&other, folder.join("a/link")).unwrap();
        for locked in ["a/b", "a", ""] {
            fs::set_permissions(folder.join(locked), fs::Permissions::from_mode(0o0)).unwrap();
        }
        assert!(
            fs::remove_dir_all(&folder).is_err(),
            "modes count: else nothing is shown here"
        );
        folder_removed(&folder).unwrap();
        assert!(!folder.exists() && other.join("kept").exists());
        folder_removed(&folder).unwrap();
    }
}
