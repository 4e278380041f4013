//! What should be, as the Element has told: kept on the disk, applied again
//! at each start, and never undone by something older.
//!
//! A kill is an edge: it raises a cut epoch. Work carries the epochs it was
//! begun under and is ended when any of them has been passed since, even when
//! the Host hears of the kill only after a later start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::{
    disk::{Secrecy, durable_write},
    ticket::LeaseCut,
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    wire::desired::{ApplicationWish, HostDesired, Wish},
};
use parking_lot::Mutex;

use super::{disk_watch::DiskWatch, orders};

/// A larger file is not ours.
const DESIRED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The desired state that is in force.
pub(crate) struct Commands {
    disk_watch: Arc<DiskWatch>,
    path: PathBuf,
    wishes: Mutex<Wishes>,
}

struct Wishes {
    in_force: HostDesired,
    /// What was told last, if the disk has refused it.
    unkept: Option<HostDesired>,
}

impl Commands {
    /// Reads what an earlier start was told.
    pub(crate) fn open(disk_watch: Arc<DiskWatch>, path: &Path) -> io::Result<Self> {
        let in_force = match disk_watch.disk.read_bounded(path, DESIRED_BYTES_MAX)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => HostDesired::default(),
        };
        Ok(Self {
            disk_watch,
            path: path.to_owned(),
            wishes: Mutex::new(Wishes {
                in_force,
                unkept: None,
            }),
        })
    }

    /// Records what should be; blocks for the disk. What it means for the
    /// work at hand is the caller's to do. What the disk refuses waits for
    /// [`record_unkept`](Self::record_unkept).
    pub(crate) fn record(&self, told: HostDesired) -> Result<(), Problem> {
        let mut wishes = self.wishes.lock();
        let merged = orders::merge(&wishes.in_force, told)?;
        self.keep(&mut wishes, merged).map_err(|error| {
            tracing::error!(%error, path = %self.path.display(), "the desired state cannot be kept");
            Problem::new(
                Code::StorageFailed,
                "The Host cannot keep its desired state; what was in force before stays in force.",
            )
        })
    }

    /// Records what was told last, if the disk has refused it; blocks for the
    /// disk. Tells whether it is in force just now.
    pub(crate) fn record_unkept(&self) -> bool {
        let mut wishes = self.wishes.lock();
        let Some(told) = wishes.unkept.clone() else {
            return false;
        };
        let kept = self.keep(&mut wishes, told);
        if let Err(error) = &kept {
            tracing::debug!(%error, path = %self.path.display(), "the desired state cannot be kept yet");
        }
        kept.is_ok()
    }

    /// Whether the disk has refused what was told last.
    pub(crate) fn has_unkept(&self) -> bool {
        self.wishes.lock().unkept.is_some()
    }

    fn keep(&self, wishes: &mut Wishes, merged: HostDesired) -> io::Result<()> {
        if merged != wishes.in_force {
            let bytes = serde_json::to_vec_pretty(&merged)?;
            let written = durable_write(&*self.disk_watch.disk, &self.path, &bytes, Secrecy::Open);
            if let Err(error) = written {
                self.disk_watch.on_failure(&error);
                wishes.unkept = Some(merged);
                return Err(error);
            }
            wishes.in_force = merged;
        }
        wishes.unkept = None;
        Ok(())
    }

    /// All that should be.
    pub(crate) fn desired(&self) -> HostDesired {
        self.wishes.lock().in_force.clone()
    }

    /// The Host's own wish.
    pub(crate) fn host(&self) -> Wish {
        self.wishes.lock().in_force.wish
    }

    /// All applications that should be here.
    pub(crate) fn applications(&self) -> Vec<ApplicationWish> {
        self.wishes.lock().in_force.applications.clone()
    }

    /// The epochs in force for an application.
    pub(crate) fn cut(&self, digest: &Digest) -> LeaseCut {
        orders::cut(&self.wishes.lock().in_force, digest)
    }

    /// Refuses what is stopped: the Host or the application.
    pub(crate) fn require_serving(&self, digest: &Digest) -> Result<(), Problem> {
        orders::require_serving(&self.wishes.lock().in_force, digest)
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::{
        Disk, RealDisk,
        test_disk::{Fault, TestDisk},
    };
    use gridmart_schemas::role::Desired;

    use super::*;

    fn opened(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Commands> {
        Commands::open(DiskWatch::new(disk, Path::new("/host/spools")), path)
    }

    #[test]
    fn what_the_disk_refuses_is_in_force_when_it_does_not_any_more() {
        let disk = TestDisk::new();
        let path = Path::new("/host/desired.json");
        let commands = opened(Arc::new(disk.clone()), path).unwrap();
        assert!(!commands.record_unkept(), "nothing was told");
        disk.fail_at(0, Fault::Full);
        let refused = commands.record(desired(2, Desired::Closed, 1));
        assert_eq!(refused.unwrap_err().code, Code::StorageFailed);
        assert!(commands.disk_watch.is_failing(), "the Host is critical");
        assert!(commands.has_unkept() && !commands.record_unkept());
        disk.mend();
        assert!(commands.record_unkept() && !commands.has_unkept());
        assert_eq!(commands.host().generation, 2);
        assert!(!commands.record_unkept(), "it is told once");
        disk.restart();
        let again = opened(Arc::new(disk), path).unwrap();
        assert_eq!(again.host().generation, 2);
    }

    #[test]
    fn what_was_told_later_takes_the_place_of_what_the_disk_refused() {
        let disk = TestDisk::new();
        let path = Path::new("/host/desired.json");
        let commands = opened(Arc::new(disk.clone()), path).unwrap();
        disk.fail_at(0, Fault::Full);
        commands.record(desired(2, Desired::Closed, 1)).unwrap_err();
        disk.mend();
        commands.record(desired(3, Desired::Production, 1)).unwrap();
        assert!(!commands.record_unkept());
        assert_eq!(commands.host().generation, 3);
    }

    #[test]
    fn after_any_fault_the_old_wish_or_the_new_one_holds() {
        let path = Path::new("/host/desired.json");
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..6).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let open = || opened(Arc::new(disk.clone()), path).unwrap();
            let commands = open();
            commands.record(desired(1, Desired::Production, 0)).unwrap();
            disk.fail_at(step, fault);
            let outcome = commands.record(desired(2, Desired::Closed, 1));
            let shown = commands.host().generation;
            disk.restart();
            let found = open().host().generation;
            match outcome {
                Ok(()) => assert_eq!((shown, found), (2, 2), "{fault:?} at {step}"),
                Err(problem) => {
                    assert_eq!(problem.code, Code::StorageFailed);
                    assert_eq!(shown, 1, "{fault:?} at {step}");
                    assert!((1..=2).contains(&found), "{fault:?} at {step}");
                }
            }
            open().record(desired(3, Desired::Closed, 1)).unwrap();
            disk.restart();
            assert_eq!(open().host().generation, 3);
        }
    }

    fn digest() -> Digest {
        Digest::from_blake3([3; 32])
    }

    fn desired(generation: u64, desired: Desired, cut_epoch: u64) -> HostDesired {
        HostDesired {
            wish: Wish {
                desired,
                generation,
                cut_epoch,
            },
            ..HostDesired::default()
        }
    }

    fn with_application(generation: u64, desired: Desired, cut_epoch: u64) -> HostDesired {
        let wish = Wish {
            desired,
            generation,
            cut_epoch,
        };
        let application = ApplicationWish {
            digest: digest(),
            name: "probe".into(),
            version: "1".into(),
            size: 1,
            wish,
        };
        HostDesired {
            applications: vec![application],
            ..HostDesired::default()
        }
    }

    #[test]
    fn older_wishes_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let commands = opened(Arc::new(RealDisk), &place.path().join("desired.json")).unwrap();
        commands.record(desired(5, Desired::Closed, 2)).unwrap();
        commands.record(desired(5, Desired::Closed, 2)).unwrap();
        let refused = commands
            .record(desired(4, Desired::Production, 1))
            .unwrap_err();
        assert_eq!(refused.code, Code::GenerationConflict);
        assert_eq!(
            commands.require_serving(&digest()).unwrap_err().code,
            Code::NotAccepting
        );
        commands.record(desired(6, Desired::Production, 2)).unwrap();
        assert!(commands.require_serving(&digest()).is_ok());
    }

    #[test]
    fn wishes_outlive_the_process() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("desired.json");
        opened(Arc::new(RealDisk), &path)
            .unwrap()
            .record(desired(7, Desired::Closed, 3))
            .unwrap();
        let again = opened(Arc::new(RealDisk), &path).unwrap();
        assert_eq!(
            again.host(),
            Wish {
                desired: Desired::Closed,
                generation: 7,
                cut_epoch: 3
            }
        );
        std::fs::write(&path, "{torn").unwrap();
        assert!(
            opened(Arc::new(RealDisk), &path).is_err(),
            "a damaged file is not taken for an empty one"
        );
    }

    #[test]
    fn each_application_keeps_its_newest_wish() {
        let place = tempfile::tempdir().unwrap();
        let commands = opened(Arc::new(RealDisk), &place.path().join("desired.json")).unwrap();
        commands
            .record(with_application(9, Desired::Closed, 4))
            .unwrap();
        commands
            .record(with_application(8, Desired::Production, 3))
            .unwrap();
        assert_eq!(
            orders::application(&commands.wishes.lock().in_force, &digest())
                .unwrap()
                .generation,
            9
        );
        assert!(commands.require_serving(&digest()).is_err());
        commands
            .record(with_application(10, Desired::Production, 4))
            .unwrap();
        assert!(commands.require_serving(&digest()).is_ok());
        assert_eq!(commands.cut(&digest()).application, 4);
    }
}
