//! How much of its quota a volume uses.

use std::sync::atomic::{AtomicU64, Ordering};

use super::VolumeError;

/// Bytes in use, and how many may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceUse {
    /// Bytes of block files and segments, garbage included.
    pub used: u64,
    /// The Policy's `MaxUsedSpace`, in bytes.
    pub quota: u64,
}

#[derive(Debug)]
pub(crate) struct Space {
    used: AtomicU64,
    quota: AtomicU64,
}

impl Space {
    pub(crate) const fn new(used: u64, quota: u64) -> Self {
        Self {
            used: AtomicU64::new(used),
            quota: AtomicU64::new(quota),
        }
    }

    pub(crate) fn now(&self) -> SpaceUse {
        SpaceUse {
            used: self.used.load(Ordering::Relaxed),
            quota: self.quota.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set_quota(&self, quota: u64) {
        self.quota.store(quota, Ordering::Relaxed);
    }

    /// Takes room under the quota.
    pub(crate) fn reserve(&self, wanted: u64) -> Result<(), VolumeError> {
        let quota = self.quota.load(Ordering::Relaxed);
        let more = |used: u64| used.checked_add(wanted).filter(|sum| *sum <= quota);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.used
            .fetch_update(set, fetch, more)
            .map(|_| ())
            .map_err(|used| VolumeError::Full {
                used,
                quota,
                wanted,
            })
    }

    /// Takes room whatever the quota: for what makes room later.
    pub(crate) fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives room back.
    pub(crate) fn release(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.used.fetch_update(set, fetch, less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_the_quota_allows() {
        let space = Space::new(40, 100);
        space.reserve(60).unwrap();
        assert!(matches!(
            space.reserve(1),
            Err(VolumeError::Full {
                used: 100,
                quota: 100,
                wanted: 1
            })
        ));
        space.take(10);
        space.release(50);
        assert_eq!(space.now().used, 60);
        space.set_quota(61);
        assert!(space.reserve(u64::MAX).is_err());
        space.reserve(1).unwrap();
    }
}
