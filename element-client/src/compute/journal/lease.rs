//! The leases in force, for the Element's next start.
//!
//! Not synced: it is there so that a killed process does not give out slots
//! twice that are with a client which has not shown itself at the Host yet.
//! After a power cut, Hosts and clients tell what is in force.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write};
use gridmart_schemas::id::{
    Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId, PersonName, RequestId,
};
use serde::{Deserialize, Serialize};

use super::{read_lines, write_line};
use crate::compute::{
    lease::{LeaseState, Stage},
    queue::entry::Epochs,
};

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
#[derive(Debug)]
pub struct LeaseJournal {
    path: PathBuf,
    file: File,
    bytes: u64,
    kept: BTreeMap<LeaseId, Kept>,
}

impl LeaseJournal {
    /// Opens the journal and gives the leases that were in force.
    pub fn open(path: &Path, now: Instant) -> io::Result<(Self, Vec<LeaseState>)> {
        let mut kept = BTreeMap::new();
        for line in read_lines(&RealDisk, path)? {
            match line {
                Line::Begun(lease) => {
                    kept.insert(lease.id, *lease);
                }
                Line::Ended(id) => {
                    kept.remove(&id);
                }
            }
        }
        let (file, bytes) = write_anew(path, &kept)?;
        let leases = kept
            .values()
            .cloned()
            .map(|lease| lease.into_state(now))
            .collect();
        Ok((
            Self {
                path: path.to_owned(),
                file,
                bytes,
                kept,
            },
            leases,
        ))
    }

    /// Keeps a lease; again with what was learned since.
    pub fn begun(&mut self, lease: &LeaseState) {
        let kept = Kept::from(lease);
        self.append(&Line::Begun(Box::new(kept.clone())));
        self.kept.insert(kept.id, kept);
    }

    /// Forgets a lease.
    pub fn ended(&mut self, id: LeaseId) {
        if self.kept.remove(&id).is_some() {
            self.append(&Line::Ended(id));
        }
    }

    fn append(&mut self, line: &Line) {
        let mut bytes = Vec::new();
        let written = write_line(&mut bytes, line).and_then(|()| self.file.write_all(&bytes));
        self.bytes += bytes.len() as u64;
        if let Err(error) = written {
            // What it is for is rare; work goes on without.
            tracing::error!(path = %self.path.display(), %error, "the journal of leases cannot be written");
        }
        if self.bytes > GARBAGE_BYTES_MAX + 1024 * self.kept.len() as u64 {
            match write_anew(&self.path, &self.kept) {
                Ok((file, bytes)) => (self.file, self.bytes) = (file, bytes),
                Err(error) => {
                    tracing::error!(path = %self.path.display(), %error, "the journal of leases cannot be written anew");
                    self.bytes = 0;
                }
            }
        }
    }
}

fn write_anew(path: &Path, kept: &BTreeMap<LeaseId, Kept>) -> io::Result<(File, u64)> {
    let mut bytes = Vec::new();
    for lease in kept.values() {
        write_line(&mut bytes, &Line::Begun(Box::new(lease.clone())))?;
    }
    durable_write(&RealDisk, path, &bytes, Secrecy::Secret)?;
    let file = OpenOptions::new().append(true).mode(0o600).open(path)?;
    Ok((file, bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (mut journal, found) = LeaseJournal::open(&path, Instant::now()).unwrap();
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
        let (_, found) = LeaseJournal::open(&path, Instant::now()).unwrap();
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
        let (mut journal, _) = LeaseJournal::open(&path, Instant::now()).unwrap();
        let lease = lease();
        for _ in 0..20_000 {
            journal.begun(&lease);
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= GARBAGE_BYTES_MAX + 2048);
    }
}
