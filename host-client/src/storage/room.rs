//! How much of its disk a storage Host gives to blocks.
//!
//! A part of the disk is left free: the ledger and the Host's own files lie on
//! it as well, and have to be written when it is nearly full.

use std::{io, path::Path};

use gridmart_schemas::resource::enumeration::StorageDeviceType;
use rustix::fs::{StatVfsMountFlags, major, minor, stat, statvfs};

/// The most that is kept free.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Of a small disk this part is kept free.
const RESERVE_PART: u64 = 20;

/// The file system of the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSystem {
    /// Bytes that it has.
    pub(super) size: u64,
    /// Bytes that the Host may still write.
    pub(super) available: u64,
    pub(super) is_read_only: bool,
}

impl FileSystem {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let space = statvfs(folder)?;
        Ok(Self {
            size: space.f_blocks.saturating_mul(space.f_frsize),
            available: space.f_bavail.saturating_mul(space.f_frsize),
            is_read_only: space.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// Bytes that further blocks may take, before the owner's Policy.
    pub(super) fn room(&self) -> u64 {
        let reserve = RESERVE_BYTES_MAX.min(self.size / RESERVE_PART);
        self.available.saturating_sub(reserve)
    }

    /// Bytes that all blocks may take together, of which `used` are taken: what
    /// the Policy allows and the disk has room for.
    pub(super) fn quota(&self, max_used_space: Option<u64>, used: u64) -> u64 {
        let there = used.saturating_add(self.room());
        max_used_space.map_or(there, |allowed| allowed.min(there))
    }
}

/// What a folder lies on: flash where the system says so, else a disk.
pub(super) fn device_type(folder: &Path) -> StorageDeviceType {
    let turns = stat(folder).ok().and_then(|found| {
        let (major, minor) = (major(found.st_dev), minor(found.st_dev));
        let device = Path::new("/sys/dev/block").join(format!("{major}:{minor}"));
        // A partition has no queue, the disk above it does.
        let shown = ["queue/rotational", "../queue/rotational"];
        shown
            .iter()
            .find_map(|path| std::fs::read_to_string(device.join(path)).ok())
    });
    match turns.as_deref().map(str::trim) {
        Some("0") => StorageDeviceType::Ssd,
        _ => StorageDeviceType::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_policy_and_disk_counts_and_a_reserve_is_left() {
        let gib = 1 << 30;
        let large = FileSystem {
            size: 100 * gib,
            available: 10 * gib,
            is_read_only: false,
        };
        assert_eq!(large.quota(None, 5 * gib), 14 * gib);
        assert_eq!(large.quota(Some(8 * gib), 5 * gib), 8 * gib);
        assert_eq!(large.quota(Some(80 * gib), 5 * gib), 14 * gib);
        let small = FileSystem {
            size: gib,
            available: gib / 40,
            is_read_only: false,
        };
        assert_eq!(small.quota(None, 3), 3, "nothing more");
        assert_eq!(small.quota(Some(0), 3), 0);
    }

    #[test]
    fn this_disk_is_described() {
        let place = tempfile::tempdir().unwrap();
        let found = FileSystem::of(place.path()).unwrap();
        assert!(found.available <= found.size && !found.is_read_only);
        assert!(FileSystem::of(&place.path().join("absent")).is_err());
        device_type(place.path());
    }
}
