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
/// Entries of a folder that are counted.
const ENTRIES_MAX: usize = 100_000;

/// Whether the call in this work folder takes room that the Host needs; blocks
/// for the disk, but only for the moment that `statvfs` takes while there is
/// room.
pub(super) fn is_taken(work: &Path, slots: u32) -> io::Result<bool> {
    let disk = statvfs(work)?;
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let reserve = RESERVE_BYTES_MAX.min(total / RESERVE_PART);
    if free >= reserve {
        return Ok(false);
    }
    let share = reserve / u64::from(slots.max(1));
    let mut counted = 0;
    Ok(bytes_of(work, &mut counted) > share)
}

/// Bytes on the disk below a folder, as far as it is counted; what goes away
/// meanwhile counts nothing.
fn bytes_of(folder: &Path, counted: &mut usize) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0u64;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        *counted += 1;
        if *counted > ENTRIES_MAX {
            break;
        }
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
        if metadata.is_dir() {
            bytes = bytes.saturating_add(bytes_of(&entry.path(), counted));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_counts_and_a_disk_with_room_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![1; 300_000]).unwrap();
        let mut counted = 0;
        assert!(bytes_of(folder.path(), &mut counted) >= 300_000);
        assert_eq!(counted, 4);
        assert!(is_taken(&folder.path().join("absent"), 1).is_err());
    }
}
