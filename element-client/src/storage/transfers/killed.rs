//! Transfers of programs that were killed, kept on the disk: a program that has
//! all its blocks on Hosts must not show them after the Element was started
//! again.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
};

use gridmart_fabric::disk::{Disk, Secrecy, durable_write};
use gridmart_schemas::{
    id::{PersonName, TransferId, VersionId},
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::register::terminated;

/// The most that are kept; the oldest are forgotten first.
const KILLED_MAX: usize = 10_000;
/// So long receipts of Hosts are good, and a bit.
const KEPT: Duration = Duration::hours(26);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct One {
    transfer: TransferId,
    /// Of a put: what its blocks name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<VersionId>,
    by: PersonName,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Killed {
    order: VecDeque<One>,
    transfers: HashMap<TransferId, PersonName>,
    versions: HashMap<VersionId, PersonName>,
}

impl Killed {
    /// Reads what was kept; what cannot be read is an error.
    pub(super) fn read(disk: &dyn Disk, path: &Path) -> std::io::Result<Self> {
        let bytes = match disk.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error),
        };
        let mut killed = Self::default();
        for one in serde_json::from_slice::<Vec<One>>(&bytes)? {
            killed.insert(one);
        }
        Ok(killed)
    }

    /// What there is to keep.
    pub(super) fn all(&self) -> Vec<One> {
        self.order.iter().cloned().collect()
    }

    /// Keeps it.
    pub(super) fn write(all: &[One], disk: &dyn Disk, path: &Path) -> std::io::Result<()> {
        durable_write(disk, path, &serde_json::to_vec(all)?, Secrecy::Secret)
    }

    pub(super) fn add(
        &mut self,
        transfer: TransferId,
        version: Option<VersionId>,
        by: &PersonName,
    ) {
        self.insert(One {
            transfer,
            version,
            by: by.clone(),
            at: OffsetDateTime::now_utc(),
        });
    }

    fn insert(&mut self, one: One) {
        let oldest = OffsetDateTime::now_utc() - KEPT;
        while self.order.len() >= KILLED_MAX
            || self.order.front().is_some_and(|first| first.at < oldest)
        {
            let Some(first) = self.order.pop_front() else {
                break;
            };
            self.transfers.remove(&first.transfer);
            if let Some(version) = first.version {
                self.versions.remove(&version);
            }
        }
        self.transfers.insert(one.transfer, one.by.clone());
        if let Some(version) = one.version {
            self.versions.insert(version, one.by.clone());
        }
        self.order.push_back(one);
    }

    /// Those whose tickets may be in force still.
    pub(super) fn lately(&self, life: Duration) -> Vec<TransferId> {
        let since = OffsetDateTime::now_utc() - life;
        let late = self.order.iter().rev().take_while(|one| one.at >= since);
        late.map(|one| one.transfer).collect()
    }

    /// Refuses what was killed, under either name.
    pub(super) fn check(
        &self,
        transfer: Option<TransferId>,
        version: Option<VersionId>,
    ) -> Result<(), Problem> {
        let by_transfer = transfer.and_then(|transfer| self.transfers.get(&transfer));
        let by_version = || version.and_then(|version| self.versions.get(&version));
        match by_transfer.or_else(by_version) {
            Some(by) => Err(terminated(by.as_str())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};

    use super::*;

    #[test]
    fn after_any_fault_the_old_or_the_new_list_is_there() {
        let path = Path::new("/se/killed.json");
        let by: PersonName = "ada".parse().unwrap();
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..6).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let (first, second) = (TransferId::generate(), TransferId::generate());
            let version = VersionId::generate();
            let mut killed = Killed::default();
            killed.add(first, None, &by);
            Killed::write(&killed.all(), &disk, path).unwrap();
            killed.add(second, Some(version), &by);
            disk.fail_at(step, fault);
            let kept = Killed::write(&killed.all(), &disk, path);
            disk.restart();
            let again = Killed::read(&*Arc::new(disk), path).unwrap();
            assert!(again.check(Some(first), None).is_err(), "{fault:?} {step}");
            let is_there = again.check(None, Some(version)).is_err();
            assert!(is_there || kept.is_err(), "{fault:?} at {step}");
            assert_eq!(again.check(Some(second), None).is_err(), is_there);
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let by: PersonName = "ada".parse().unwrap();
        let ids: Vec<TransferId> = (0..=KILLED_MAX).map(|_| TransferId::generate()).collect();
        let mut killed = Killed::default();
        for id in &ids {
            killed.add(*id, None, &by);
        }
        assert!(killed.check(Some(ids[0]), None).is_ok());
        assert!(killed.check(Some(ids[1]), None).is_err());
        assert_eq!(killed.lately(Duration::minutes(6)).len(), KILLED_MAX);
    }
}
