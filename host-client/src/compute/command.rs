//! What should be, as the Element has told: kept on the disk, applied again
//! at each start, and never undone by something older.
//!
//! A kill is an edge: it raises a cut epoch. Work carries the epochs it was
//! begun under and is ended when any of them has been passed since, even when
//! the Host hears of the kill only after a later start.

use std::{
    io,
    path::{Path, PathBuf},
};

use gridmart_fabric::{
    disk::{self, RealDisk, Secrecy},
    ticket::LeaseCut,
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    role::Desired,
    wire::desired::{ApplicationWish, HostDesired, Wish},
};
use parking_lot::Mutex;

/// A larger file is not ours.
const DESIRED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The desired state that is in force.
#[derive(Debug)]
pub(crate) struct Commands {
    path: PathBuf,
    desired: Mutex<HostDesired>,
}

impl Commands {
    /// Reads what an earlier start was told.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let desired = match disk::read_bounded(path, DESIRED_BYTES_MAX)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => HostDesired::default(),
        };
        Ok(Self {
            path: path.to_owned(),
            desired: Mutex::new(desired),
        })
    }

    /// Records what should be; blocks for the disk. What it means for the
    /// work at hand is the caller's to do.
    pub(crate) fn record(&self, told: HostDesired) -> Result<(), Problem> {
        let mut desired = self.desired.lock();
        let merged = merge(&desired, told)?;
        if merged != *desired {
            let written = serde_json::to_vec_pretty(&merged)
                .map_err(io::Error::from)
                .and_then(|bytes| {
                    disk::durable_write(&RealDisk, &self.path, &bytes, Secrecy::Open)
                });
            if let Err(error) = written {
                tracing::error!(%error, path = %self.path.display(), "the desired state cannot be kept");
                return Err(Problem::new(
                    Code::StorageFailed,
                    "The Host cannot keep its desired state.",
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

    /// What should be with an application; absent: nothing was said.
    pub(crate) fn application(&self, digest: &Digest) -> Option<Wish> {
        self.desired
            .lock()
            .applications
            .iter()
            .find(|wish| wish.digest == *digest)
            .map(|wish| wish.wish)
    }

    /// All applications that should be here.
    pub(crate) fn applications(&self) -> Vec<ApplicationWish> {
        self.desired.lock().applications.clone()
    }

    /// The epochs in force for an application.
    pub(crate) fn cut(&self, digest: &Digest) -> LeaseCut {
        let desired = self.desired.lock();
        let application = desired
            .applications
            .iter()
            .find(|wish| wish.digest == *digest);
        LeaseCut {
            element: desired.element_cut_epoch,
            host: desired.wish.cut_epoch,
            application: application.map_or(0, |wish| wish.wish.cut_epoch),
        }
    }

    /// Refuses what is stopped: the Host or the application.
    pub(crate) fn require_serving(&self, digest: &Digest) -> Result<(), Problem> {
        if self.host().desired == Desired::Closed {
            return Err(Problem::new(Code::NotAccepting, "The Host is stopped."));
        }
        match self.application(digest) {
            Some(Wish {
                desired: Desired::Closed,
                ..
            }) => Err(Problem::new(
                Code::NotAccepting,
                "The application is stopped on this Host.",
            )),
            _ => Ok(()),
        }
    }
}

/// Tells whether work of epochs `work` is to be ended under epochs `now`.
pub(crate) const fn is_cut(work: LeaseCut, now: LeaseCut) -> bool {
    work.element < now.element || work.host < now.host || work.application < now.application
}

/// What holds after `told`: nothing older than what holds now.
fn merge(now: &HostDesired, mut told: HostDesired) -> Result<HostDesired, Problem> {
    if told.wish.generation < now.wish.generation || told.element_cut_epoch < now.element_cut_epoch
    {
        let detail = format!(
            "The Host has generation {} and refuses the older {}.",
            now.wish.generation, told.wish.generation
        );
        return Err(Problem::new(Code::GenerationConflict, detail));
    }
    told.wish.cut_epoch = told.wish.cut_epoch.max(now.wish.cut_epoch);
    for wish in &mut told.applications {
        if let Some(known) = now
            .applications
            .iter()
            .find(|known| known.digest == wish.digest)
        {
            if known.wish.generation > wish.wish.generation {
                wish.wish = Wish {
                    cut_epoch: known.wish.cut_epoch,
                    ..known.wish
                };
            }
            wish.wish.cut_epoch = wish.wish.cut_epoch.max(known.wish.cut_epoch);
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let commands = Commands::open(&place.path().join("desired.json")).unwrap();
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
        Commands::open(&path)
            .unwrap()
            .record(desired(7, Desired::Closed, 3))
            .unwrap();
        let again = Commands::open(&path).unwrap();
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
            Commands::open(&path).is_err(),
            "a damaged file is not taken for an empty one"
        );
    }

    #[test]
    fn each_application_keeps_its_newest_wish() {
        let place = tempfile::tempdir().unwrap();
        let commands = Commands::open(&place.path().join("desired.json")).unwrap();
        commands
            .record(with_application(9, Desired::Closed, 4))
            .unwrap();
        commands
            .record(with_application(8, Desired::Production, 3))
            .unwrap();
        assert_eq!(commands.application(&digest()).unwrap().generation, 9);
        assert!(commands.require_serving(&digest()).is_err());
        commands
            .record(with_application(10, Desired::Production, 4))
            .unwrap();
        assert!(commands.require_serving(&digest()).is_ok());
        assert_eq!(commands.cut(&digest()).application, 4);
    }

    #[test]
    fn a_kill_is_heard_after_a_later_start() {
        let work = LeaseCut {
            element: 1,
            host: 1,
            application: 1,
        };
        assert!(!is_cut(work, work));
        assert!(is_cut(work, LeaseCut { host: 2, ..work }));
        assert!(is_cut(work, LeaseCut { element: 2, ..work }));
        assert!(is_cut(
            work,
            LeaseCut {
                application: 2,
                ..work
            }
        ));
        // The Element may know of a kill that the Host has not heard of yet.
        assert!(!is_cut(LeaseCut { host: 5, ..work }, work));
    }
}
