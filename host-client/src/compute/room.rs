//! Room for what calls write: the work folders of all calls lie on the Host's
//! own disk, and a call that fills it would take the Host's journals and
//! everybody's output with it.
//!
//! A call that runs for longer than a moment is looked after: when less than
//! the reserve is free, and its own work folder holds more than its slot's share
//! of that, it is ended. What is in the folder goes with it.

use std::{fs, io, path::Path, time::Duration};

use rustix::fs::statvfs;

/// How often a call that runs is looked after.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The name of the limit, as callers are told it.
pub(super) const LIMIT: &str = "share of the Host's free disk space (WorkingAreaFree)";
/// The most that is kept free.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Of a small disk this part is kept free.
const RESERVE_PART: u64 = 20;
/// Entries of a work folder that are counted, and folders that wait to be: who
/// has more takes too much.
const ENTRIES_MAX: usize = 100_000;

/// What one slot may take of a disk while it is low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u64);

/// Gives the share of each of so many slots, if less than the reserve is free.
pub(super) fn low(work: &Path, slots: u32) -> io::Result<Option<Share>> {
    let disk = statvfs(work)?;
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let reserve = reserve(total);
    Ok((free < reserve).then(|| Share(reserve / u64::from(slots.max(1)))))
}

/// Whether so many bytes more fit on the disk, and leave the reserve free. A disk
/// that cannot be asked says so when it is written to.
pub(super) fn takes(work: &Path, bytes: u64) -> bool {
    let Ok(disk) = statvfs(work) else {
        return true;
    };
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    free.checked_sub(bytes)
        .is_some_and(|left| left >= reserve(total))
}

fn reserve(total: u64) -> u64 {
    RESERVE_BYTES_MAX.min(total / RESERVE_PART)
}

/// Whether what lies below a folder is more than the share; blocks for the disk.
/// A folder that cannot be read, or is too large or deep to be counted, is more:
/// nobody hides behind it. What goes away meanwhile counts nothing.
///
/// A file that is open and has no name any more is not found so.
pub(super) fn is_over(work: &Path, share: Share) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (mut bytes, mut entries) = (0u64, 0);
    let mut waiting = vec![work.to_owned()];
    while let Some(folder) = waiting.pop() {
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return true,
        };
        for entry in listed.flatten() {
            entries += 1;
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if entries > ENTRIES_MAX || bytes > share.0 {
                return true;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_counts_and_nobody_hides() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![1; 300_000]).unwrap();
        assert!(is_over(folder.path(), Share(200_000)));
        assert!(!is_over(folder.path(), Share(10_000_000)));
        assert!(!is_over(&folder.path().join("gone"), Share(1)));
        // A path that the system does not take.
        assert!(is_over(&folder.path().join("x".repeat(5000)), Share(1)));
        assert!(low(&folder.path().join("absent"), 1).is_err());
        assert!(takes(folder.path(), 1) && !takes(folder.path(), u64::MAX));
    }
}
