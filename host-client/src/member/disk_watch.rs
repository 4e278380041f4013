//! Whether the Host's disk takes what has to be written.
//!
//! Whoever could not write says so here. From then on the Host tells its
//! Element that it is critical, and begins nothing that would have to lie on this
//! disk; what needs no disk goes on. With each heartbeat it tries a small write,
//! until one succeeds.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gridmart_fabric::{disk::Disk, fault::FaultPoint};
use tokio::sync::Notify;

/// What is written as a trial: more than what has failed last most likely was.
const TRIAL_BYTES: usize = 1024 * 1024;
/// What the Element and people are told meanwhile.
pub(crate) const COMPLAINT: &str = "the disk of the Host's data folder is full or fails: make room or repair it; the Host's log says more";

/// See the module.
pub(crate) struct DiskWatch {
    /// Where all that the Host keeps lies.
    pub(crate) disk: Arc<dyn Disk>,
    folder: PathBuf,
    failing: AtomicBool,
    /// Told when it begins to fail, and when it is well again.
    pub(crate) changed: Notify,
}

impl std::fmt::Debug for DiskWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskWatch")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl DiskWatch {
    /// Trials are made in `folder`.
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path) -> Arc<Self> {
        Arc::new(Self {
            disk,
            folder: folder.to_owned(),
            failing: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// Something could not be written.
    pub(crate) fn on_failure(&self, error: &io::Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(folder = %self.folder.display(), %error, "the Host's disk fails: nothing is begun that needs it until it does not");
            self.changed.notify_one();
        }
    }

    /// Whether the last write has failed, as far as it is known.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// If it fails: tries whether it still does. Blocks for the disk.
    pub(crate) fn look(&self) {
        if self.is_failing() && self.trial().is_ok() {
            self.failing.store(false, Ordering::Relaxed);
            tracing::info!(folder = %self.folder.display(), "the Host's disk takes writes again");
            self.changed.notify_one();
        }
    }

    fn trial(&self) -> io::Result<()> {
        FaultPoint::SpoolWrite.pass()?;
        let file = self.disk.open_unnamed(&self.folder)?;
        file.write_at(&vec![0; TRIAL_BYTES], 0)?;
        file.sync()
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};

    use super::*;

    #[test]
    fn a_disk_that_fails_is_known_to_fail_until_there_is_room() {
        let disk = TestDisk::new();
        let watch = DiskWatch::new(Arc::new(disk.clone()), Path::new("/host/spools"));
        watch.look();
        assert!(
            !watch.is_failing() && disk.steps() == 0,
            "no trial without need"
        );
        disk.fail_at(0, Fault::Full);
        watch.on_failure(&io::ErrorKind::StorageFull.into());
        watch.look();
        assert!(watch.is_failing());
        disk.mend();
        watch.look();
        assert!(!watch.is_failing());
    }
}
