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
    disk::{Disk, Secrecy, durable_write},
    ticket::LeaseCut,
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    wire::desired::{ApplicationWish, HostDesired, Wish},
};
use parking_lot::Mutex;

use super::orders;

/// A larger file is not ours.
const DESIRED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The desired state that is in force.
pub(crate) struct Commands {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    desired: Mutex<HostDesired>,
}

impl Commands {
    /// Reads what an earlier start was told.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        let desired = match disk.read_bounded(path, DESIRED_BYTES_MAX)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => HostDesired::default(),
        };
        Ok(Self {
            disk,
            path: path.to_owned(),
            desired: Mutex::new(desired),
        })
    }

    /// Records what should be; blocks for the disk. What it means for the
    /// work at hand is the caller's to do.
    pub(crate) fn record(&self, told: HostDesired) -> Result<(), Problem> {
        let mut desired = self.desired.lock();
        let merged = orders::merge(&desired, told)?;
        if merged != *desired {
            let written = serde_json::to_vec_pretty(&merged)
                .map_err(io::Error::from)
                .and_then(|bytes| durable_write(&*self.disk, &self.path, &bytes, Secrecy::Open));
            if let Err(error) = written {
                tracing::error!(%error, path = %self.path.display(), "the desired state cannot be kept");
                return Err(Problem::new(
                    Code::StorageFailed,
                    "The Host cannot keep its desired state; what was in force before stays in force.",
                ));
            }
            *desired = merged;
        }
        Ok(())
    }

    /// The Host's own wish.
    pub(crate) fn host(&self) -> Wish {
        self.desired.lock().wish
    }

    /// All applications that should be here.
    pub(crate) fn applications(&self) -> Vec<ApplicationWish> {
        self.desired.lock().applications.clone()
    }

    /// The epochs in force for an application.
    pub(crate) fn cut(&self, digest: &Digest) -> LeaseCut {
        orders::cut(&self.desired.lock(), digest)
    }

    /// Refuses what is stopped: the Host or the application.
    pub(crate) fn require_serving(&self, digest: &Digest) -> Result<(), Problem> {
        orders::require_serving(&self.desired.lock(), digest)
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::{
        RealDisk,
        test_disk::{Fault, TestDisk},
    };
    use gridmart_schemas::role::Desired;

    use super::*;

    #[test]
    fn after_any_fault_the_old_wish_or_the_new_one_holds() {
        let path = Path::new("/host/desired.json");
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..6).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let open = || Commands::open(Arc::new(disk.clone()), path).unwrap();
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
        let commands =
            Commands::open(Arc::new(RealDisk), &place.path().join("desired.json")).unwrap();
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
        Commands::open(Arc::new(RealDisk), &path)
            .unwrap()
            .record(desired(7, Desired::Closed, 3))
            .unwrap();
        let again = Commands::open(Arc::new(RealDisk), &path).unwrap();
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
            Commands::open(Arc::new(RealDisk), &path).is_err(),
            "a damaged file is not taken for an empty one"
        );
    }

    #[test]
    fn each_application_keeps_its_newest_wish() {
        let place = tempfile::tempdir().unwrap();
        let commands =
            Commands::open(Arc::new(RealDisk), &place.path().join("desired.json")).unwrap();
        commands
            .record(with_application(9, Desired::Closed, 4))
            .unwrap();
        commands
            .record(with_application(8, Desired::Production, 3))
            .unwrap();
        assert_eq!(
            orders::application(&commands.desired.lock(), &digest())
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
