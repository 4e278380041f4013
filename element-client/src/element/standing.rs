//! What the controller has said last, kept word for word, so that the Element
//! works on without it: what should be, and the keys that sign access tickets.
//! Beside it the Hosts that were vouched for and have not come yet.
//!
//! The information base shows the same wishes to people; this file is what is
//! applied at the next start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, Secrecy, durable_write};
use gridmart_schemas::{
    id::{Digest, NodeId},
    wire::desired::{ApplicationWish, ElementDesired, HostDesired, HostWish, Wish},
};
use serde::{Deserialize, Serialize};

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Key id → `SubjectPublicKeyInfo`, PEM.
    #[serde(default)]
    pub ticket_keys: BTreeMap<String, String>,
    /// What should be.
    #[serde(default)]
    pub desired: ElementDesired,
    /// Hosts that have a certificate through this Element and have not said
    /// hello yet.
    #[serde(default)]
    pub vouched: BTreeSet<NodeId>,
}

/// The file, and what is in it.
pub struct StandingFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    kept: Standing,
}

impl std::fmt::Debug for StandingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandingFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl StandingFile {
    /// Opens the file; without one, nothing was ever said.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        let kept = match disk.read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            disk,
            path: path.to_owned(),
            kept,
        })
    }

    /// What is kept.
    pub fn get(&self) -> &Standing {
        &self.kept
    }

    /// Forgets a Host that was vouched for: it has come. This reaches the disk
    /// with the next change; a Host that is in the Host table does not need it.
    pub fn forget_vouched(&mut self, host: NodeId) {
        self.kept.vouched.remove(&host);
    }

    /// Changes what is kept, durably; nothing changes if that fails.
    pub fn update(&mut self, change: impl FnOnce(&mut Standing)) -> io::Result<()> {
        let mut next = self.kept.clone();
        change(&mut next);
        if next != self.kept {
            durable_write(
                &*self.disk,
                &self.path,
                &serde_json::to_vec(&next)?,
                Secrecy::Secret,
            )?;
            self.kept = next;
        }
        Ok(())
    }
}

fn newer(old: Wish, new: Wish) -> Wish {
    let wish = if new.generation >= old.generation {
        new
    } else {
        old
    };
    // An edge that was seen stays seen.
    Wish {
        cut_epoch: old.cut_epoch.max(new.cut_epoch),
        ..wish
    }
}

/// Takes over what the controller says, but nothing older than what was seen.
pub fn merge(old: &ElementDesired, mut new: ElementDesired) -> ElementDesired {
    new.wish = newer(old.wish, new.wish);
    merge_applications(&old.applications, &mut new.applications);
    let hosts: HashMap<NodeId, &HostWish> =
        old.hosts.iter().map(|host| (host.host, host)).collect();
    for host in &mut new.hosts {
        if let Some(seen) = hosts.get(&host.host) {
            host.wish = newer(seen.wish, host.wish);
            merge_applications(&seen.applications, &mut host.applications);
        }
    }
    new
}

fn merge_applications(old: &[ApplicationWish], new: &mut [ApplicationWish]) {
    let seen: HashMap<&Digest, Wish> = old.iter().map(|wish| (&wish.digest, wish.wish)).collect();
    for application in new {
        if let Some(seen) = seen.get(&application.digest) {
            application.wish = newer(*seen, application.wish);
        }
    }
}

/// What each of many Hosts should be.
pub struct HostWishes<'a> {
    desired: &'a ElementDesired,
    own: HashMap<NodeId, &'a HostWish>,
}

impl<'a> HostWishes<'a> {
    /// Of an Element's Hosts.
    pub fn of(desired: &'a ElementDesired) -> Self {
        let own = desired.hosts.iter().map(|wish| (wish.host, wish));
        Self {
            desired,
            own: own.collect(),
        }
    }

    /// What this one should be.
    pub fn host(&self, host: NodeId) -> HostDesired {
        combined(self.desired, self.own.get(&host).copied())
    }
}

/// What one Host should be.
pub fn host_desired(desired: &ElementDesired, host: NodeId) -> HostDesired {
    combined(desired, desired.hosts.iter().find(|wish| wish.host == host))
}

fn combined(desired: &ElementDesired, own: Option<&HostWish>) -> HostDesired {
    let mut applications = desired.applications.clone();
    for wish in own.into_iter().flat_map(|own| &own.applications) {
        match applications
            .iter_mut()
            .find(|there| there.digest == wish.digest)
        {
            Some(there) if wish.wish.generation > there.wish.generation => {
                there.wish = Wish {
                    cut_epoch: there.wish.cut_epoch.max(wish.wish.cut_epoch),
                    ..wish.wish
                };
            }
            Some(there) => there.wish.cut_epoch = there.wish.cut_epoch.max(wish.wish.cut_epoch),
            None => applications.push(wish.clone()),
        }
    }
    HostDesired {
        wish: own.map_or_else(Wish::default, |own| own.wish),
        element_cut_epoch: desired.wish.cut_epoch,
        applications,
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};
    use gridmart_schemas::role::Desired;

    use super::*;

    fn wish(desired: Desired, generation: u64, cut_epoch: u64) -> Wish {
        Wish {
            desired,
            generation,
            cut_epoch,
        }
    }

    fn application(number: u8, wish: Wish) -> ApplicationWish {
        ApplicationWish {
            digest: Digest::from_blake3([number; 32]),
            name: "a".into(),
            version: "1".into(),
            size: 1,
            wish,
        }
    }

    #[test]
    fn what_is_older_than_what_was_seen_is_not_taken_over() {
        let old = ElementDesired {
            wish: wish(Desired::Closed, 5, 2),
            applications: vec![application(1, wish(Desired::Closed, 9, 1))],
            ..ElementDesired::default()
        };
        let late = ElementDesired {
            wish: wish(Desired::Production, 4, 1),
            applications: vec![
                application(1, wish(Desired::Production, 10, 0)),
                application(2, Wish::default()),
            ],
            ..ElementDesired::default()
        };
        let merged = merge(&old, late);
        assert_eq!(merged.wish, old.wish);
        assert_eq!(
            merged.applications[0].wish,
            wish(Desired::Production, 10, 1)
        );
        assert_eq!(merged.applications.len(), 2);
    }

    #[test]
    fn a_host_gets_the_newer_wish_of_an_application() {
        let host = NodeId::generate();
        let own = HostWish {
            host,
            wish: wish(Desired::Production, 1, 0),
            applications: vec![
                application(1, wish(Desired::Closed, 3, 1)),
                application(2, wish(Desired::Closed, 1, 0)),
            ],
        };
        let desired = ElementDesired {
            wish: wish(Desired::Production, 1, 7),
            hosts: vec![own],
            applications: vec![
                application(1, wish(Desired::Production, 2, 0)),
                application(2, wish(Desired::Production, 2, 0)),
            ],
            ..ElementDesired::default()
        };
        let told = host_desired(&desired, host);
        assert_eq!(told.element_cut_epoch, 7);
        assert_eq!(told.applications[0].wish, wish(Desired::Closed, 3, 1));
        assert_eq!(told.applications[1].wish.desired, Desired::Production);
    }

    #[test]
    fn after_any_fault_what_was_said_before_or_now_is_there() {
        let path = Path::new("/ce/controller.json");
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..6).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let open = || StandingFile::open(Arc::new(disk.clone()), path).unwrap();
            let mut file = open();
            let say = |file: &mut StandingFile, generation| {
                file.update(|kept| kept.desired.wish = wish(Desired::Closed, generation, 0))
            };
            say(&mut file, 1).unwrap();
            disk.fail_at(step, fault);
            let outcome = say(&mut file, 2);
            let shown = file.get().desired.wish.generation;
            disk.restart();
            let found = open().get().desired.wish.generation;
            if outcome.is_ok() {
                assert_eq!((shown, found), (2, 2), "{fault:?} at {step}");
            } else {
                assert_eq!(shown, 1, "{fault:?} at {step}");
                assert!((1..=2).contains(&found), "{fault:?} at {step}");
            }
        }
    }

    #[test]
    fn it_outlives_a_power_cut() {
        let disk = TestDisk::new();
        let path = Path::new("/ce/controller.json");
        let mut file = StandingFile::open(Arc::new(disk.clone()), path).unwrap();
        file.update(|standing| standing.desired.wish = wish(Desired::Closed, 3, 1))
            .unwrap();
        disk.restart();
        let again = StandingFile::open(Arc::new(disk), path).unwrap();
        assert_eq!(again.get(), file.get());
    }
}
