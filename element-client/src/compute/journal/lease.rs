//! The leases in force, for the Element's next start.
//!
//! Not synced: it is there so that a killed process does not give out slots
//! twice that are with a client which has not shown itself at the Host yet.
//! After a power cut, Hosts and clients tell what is in force.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use gridmart_fabric::{
    disk::{Disk, DiskFile, Secrecy, durable_write},
    fault::FaultPoint,
};
use gridmart_schemas::id::{
    Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId, PersonName, RequestId,
};
use serde::{Deserialize, Serialize};

use crate::compute::{
    lease::{LeaseState, Stage},
    queue::entry::Epochs,
};
use crate::element::record::lines::{read_lines, write_line};

/// The file is written anew when it has grown to so many bytes beyond what is
/// in force.
const GARBAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    id: LeaseId,
    host: NodeId,
    person: PersonName,
    presenter: Option<KeyHash>,
    digest: Digest,
    application: String,
    version: String,
    slots: u32,
    job: Option<JobId>,
    cut: Epochs,
    incarnation: Option<Incarnation>,
    request: Option<RequestId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begun(Box<Kept>),
    Ended(LeaseId),
}

impl From<&LeaseState> for Kept {
    fn from(lease: &LeaseState) -> Self {
        Self {
            id: lease.id,
            host: lease.host,
            person: lease.person.clone(),
            presenter: lease.presenter.clone(),
            digest: lease.digest.clone(),
            application: lease.application.clone(),
            version: lease.version.clone(),
            slots: lease.slots,
            job: lease.job,
            cut: lease.cut,
            incarnation: lease.incarnation,
            request: lease.request,
        }
    }
}

impl Kept {
    fn into_state(self, now: Instant) -> LeaseState {
        LeaseState {
            id: self.id,
            host: self.host,
            person: self.person,
            presenter: self.presenter,
            digest: self.digest,
            application: self.application,
            version: self.version,
            slots: self.slots,
            job: self.job,
            cut: self.cut,
            incarnation: self.incarnation,
            request: self.request,
            session: None,
            entry: None,
            stage: Stage::Active,
            granted: now,
            orphan_until: None,
            attached: false,
            running: Vec::new(),
        }
    }
}

/// The journal of leases.
pub struct LeaseJournal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    bytes: u64,
    kept: BTreeMap<LeaseId, Kept>,
    /// A write has failed: what the file ends with is not known.
    damaged: bool,
}

impl std::fmt::Debug for LeaseJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseJournal")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

impl LeaseJournal {
    /// Opens the journal and gives the leases that were in force.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        now: Instant,
    ) -> io::Result<(Self, Vec<LeaseState>)> {
        let mut kept = BTreeMap::new();
        for line in read_lines(&*disk, path)? {
            match line {
                Line::Begun(lease) => {
                    kept.insert(lease.id, *lease);
                }
                Line::Ended(id) => {
                    kept.remove(&id);
                }
            }
        }
        let (file, bytes) = write_anew(&*disk, path, &kept)?;
        let leases = kept
            .values()
            .cloned()
            .map(|lease| lease.into_state(now))
            .collect();
        Ok((
            Self {
                disk,
                path: path.to_owned(),
                file,
                bytes,
                kept,
                damaged: false,
            },
            leases,
        ))
    }

    /// Keeps a lease; again with what was learned since.
    pub fn begun(&mut self, lease: &LeaseState) {
        let kept = Kept::from(lease);
        self.kept.insert(kept.id, kept.clone());
        self.append(&Line::Begun(Box::new(kept)));
    }

    /// Forgets a lease.
    pub fn ended(&mut self, id: LeaseId) {
        if self.kept.remove(&id).is_some() {
            self.append(&Line::Ended(id));
        }
    }

    /// Writes the file anew if a write has failed. Time has passed: leases are
    /// given out under the queue's lock, which a disk that fails is not to hold
    /// up at each of them.
    pub fn on_tick(&mut self) {
        if self.damaged {
            self.replace();
        }
    }

    fn append(&mut self, line: &Line) {
        // Nothing is added to half a line; a new file has all that is in force.
        if self.damaged {
            return;
        }
        if self.bytes > GARBAGE_BYTES_MAX + 1024 * self.kept.len() as u64 {
            self.replace();
            return;
        }
        let mut bytes = Vec::new();
        let written = write_line(&mut bytes, line)
            .and_then(|()| FaultPoint::DiskWrite.pass_file(&self.path))
            .and_then(|()| self.file.write_at(&bytes, self.bytes));
        match written {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(error) => self.on_failure(&error),
        }
    }

    fn replace(&mut self) {
        match write_anew(&*self.disk, &self.path, &self.kept) {
            Ok((file, bytes)) => {
                if self.damaged {
                    tracing::info!(path = %self.path.display(), "the journal of leases is whole again");
                }
                (self.file, self.bytes, self.damaged) = (file, bytes, false);
            }
            Err(error) => self.on_failure(&error),
        }
    }

    fn on_failure(&mut self, error: &io::Error) {
        // What it is for is rare; work goes on without.
        if !self.damaged {
            tracing::error!(path = %self.path.display(), %error, "the journal of leases cannot be written: a restart now may forget leases until their Hosts tell of them");
        }
        self.damaged = true;
    }
}

fn write_anew(
    disk: &dyn Disk,
    path: &Path,
    kept: &BTreeMap<LeaseId, Kept>,
) -> io::Result<(Box<dyn DiskFile>, u64)> {
    let mut bytes = Vec::new();
    for lease in kept.values() {
        write_line(&mut bytes, &Line::Begun(Box::new(lease.clone())))?;
    }
    durable_write(disk, path, &bytes, Secrecy::Secret)?;
    let file = disk.open(path, Secrecy::Secret)?;
    Ok((file, bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::{
        RealDisk,
        test_disk::{Fault, TestDisk},
    };

    use super::*;

    fn opened(path: &Path) -> (LeaseJournal, Vec<LeaseState>) {
        LeaseJournal::open(Arc::new(RealDisk), path, Instant::now()).unwrap()
    }

    #[test]
    fn a_disk_that_fails_is_tried_when_time_has_passed_and_not_at_each_lease() {
        let disk = TestDisk::new();
        let path = Path::new("/ce/leases.journal");
        let open = || LeaseJournal::open(Arc::new(disk.clone()), path, Instant::now()).unwrap();
        let (mut journal, _) = open();
        disk.fail_at(0, Fault::Full);
        journal.begun(&lease());
        let steps = disk.steps();
        for _ in 0..100 {
            journal.begun(&lease());
        }
        assert_eq!(disk.steps(), steps, "leases wait for a disk that fails");
        journal.on_tick();
        assert!(disk.steps() > steps, "it was not tried again");
        disk.mend();
        journal.on_tick();
        assert_eq!(open().1.len(), 101);
        let steps = disk.steps();
        journal.on_tick();
        assert_eq!(disk.steps(), steps, "a whole journal is left alone");
    }

    #[test]
    fn after_a_fault_that_passes_all_leases_in_force_are_found() {
        let path = Path::new("/ce/leases.journal");
        let passing = [
            Fault::TornWrite,
            Fault::FailedSync,
            Fault::Full,
            Fault::ReadOnly,
        ];
        let cases = passing
            .into_iter()
            .flat_map(|fault| (0..8).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let open = || LeaseJournal::open(Arc::new(disk.clone()), path, Instant::now()).unwrap();
            let (mut journal, _) = open();
            disk.fail_at(step, fault);
            let leases: Vec<_> = (0..8).map(|_| lease()).collect();
            for lease in &leases {
                journal.begun(lease);
            }
            disk.mend();
            journal.ended(leases[0].id);
            journal.on_tick();
            // The process is killed; the power stays.
            let mut found: Vec<_> = open().1.iter().map(|lease| lease.id).collect();
            let mut wanted: Vec<_> = leases[1..].iter().map(|lease| lease.id).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{fault:?} at {step}");
        }
    }

    fn lease() -> LeaseState {
        Kept {
            id: LeaseId::generate(),
            host: NodeId::generate(),
            person: "ada".parse().unwrap(),
            presenter: None,
            digest: Digest::from_blake3([1; 32]),
            application: "spf".into(),
            version: "1".into(),
            slots: 3,
            job: None,
            cut: Epochs::default(),
            incarnation: None,
            request: None,
        }
        .into_state(Instant::now())
    }

    #[test]
    fn what_is_in_force_is_found_again_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.journal");
        let (mut journal, found) = opened(&path);
        assert!(found.is_empty());
        let (one, two) = (lease(), lease());
        journal.begun(&one);
        journal.begun(&two);
        journal.ended(one.id);
        journal.ended(one.id);
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(br#"{"begun":{"id":"#);
        std::fs::write(&path, bytes).unwrap();
        let (_, found) = opened(&path);
        assert_eq!(
            found
                .iter()
                .map(|lease| (lease.id, lease.slots))
                .collect::<Vec<_>>(),
            [(two.id, 3)]
        );
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.journal");
        let (mut journal, _) = opened(&path);
        let lease = lease();
        for _ in 0..20_000 {
            journal.begun(&lease);
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= GARBAGE_BYTES_MAX + 2048);
    }
}
