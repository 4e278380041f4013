//! The batches of records that wait for the Element: on the disk, and in memory
//! while that refuses.
//!
//! Invariant: a batch is forgotten only when the Element has it, or when more
//! wait than may.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{
    disk::{Disk, Secrecy, durable_write},
    fault::FaultPoint,
    stream::Peer,
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::record::{CallRecord, CallRecords, JobProgress},
};

use time::OffsetDateTime;

use crate::member::DiskWatch;

/// The Element has so long to acknowledge a batch.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// Batches that are kept for an Element that is away: about a million records.
const BATCHES_KEPT: usize = 2000;
/// Batches that are kept in memory while the disk takes none.
pub(super) const UNSAVED_BATCHES_MAX: usize = 20;
/// A larger file in the journal is not ours.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Batches that the Element has not acknowledged: on the disk or, while that
/// refuses, in memory.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    watch: Arc<DiskWatch>,
    folder: PathBuf,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) next: u64,
}

/// A batch that waits.
pub(super) struct Waiting {
    pub(super) number: u64,
    /// It could not be written yet.
    pub(super) unsaved: Option<Box<CallRecords>>,
}

impl Waiting {
    fn is_unsaved(&self) -> bool {
        self.unsaved.is_some()
    }
}

impl Journal {
    /// Finds what an earlier start has left.
    pub(super) fn open(disk: Arc<dyn Disk>, watch: Arc<DiskWatch>, folder: &Path) -> Self {
        let listed = disk.list(folder).unwrap_or_else(|error| {
            tracing::error!(%error, folder = %folder.display(), "the journal of calls cannot be read");
            Vec::new()
        });
        let mut numbers: Vec<u64> = listed
            .iter()
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last + 1);
        let saved = |number| Waiting {
            number,
            unsaved: None,
        };
        Self {
            disk,
            watch,
            folder: folder.to_owned(),
            waiting: numbers.into_iter().map(saved).collect(),
            next,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something waits in memory that the disk has refused.
    pub(super) fn has_unsaved(&self) -> bool {
        self.waiting.iter().any(Waiting::is_unsaved)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.json"))
    }

    pub(super) fn push(&mut self, records: Vec<CallRecord>, jobs: Vec<JobProgress>) {
        let number = self.next;
        self.next += 1;
        let unsaved = Some(Box::new(CallRecords {
            sequence: number,
            records,
            jobs,
            ..CallRecords::default()
        }));
        self.waiting.push_back(Waiting { number, unsaved });
        while self.waiting.len() > BATCHES_KEPT {
            let oldest = self.waiting.front().map(|waiting| waiting.number);
            tracing::error!(
                batch = oldest,
                "the journal of calls is full: its oldest records are dropped"
            );
            self.forget();
        }
    }

    /// Brings to the disk what is not there yet, oldest first; blocks. Tells
    /// whether all is there.
    pub(super) fn save(&mut self) -> bool {
        let first = self
            .waiting
            .partition_point(|waiting| waiting.unsaved.is_none());
        for place in first..self.waiting.len() {
            let Some(batch) = self.waiting[place].unsaved.as_deref() else {
                continue;
            };
            if let Err(error) = self.write(batch) {
                tracing::error!(%error, batch = batch.sequence, "records of calls cannot be kept on the disk: they wait in memory");
                self.watch.on_failure(&error);
                break;
            }
            self.waiting[place].unsaved = None;
        }
        let unsaved = self
            .waiting
            .iter()
            .filter(|waiting| waiting.is_unsaved())
            .count();
        for _ in UNSAVED_BATCHES_MAX..unsaved {
            let oldest = self.waiting.iter().position(Waiting::is_unsaved);
            if let Some(dropped) = oldest.and_then(|place| self.waiting.remove(place)) {
                tracing::error!(
                    batch = dropped.number,
                    "the disk takes no records of calls: the oldest in memory are dropped"
                );
            }
        }
        unsaved == 0
    }

    fn write(&self, batch: &CallRecords) -> io::Result<()> {
        let bytes = serde_json::to_vec(batch)?;
        durable_write(
            &*self.disk,
            &self.path(batch.sequence),
            &bytes,
            Secrecy::Open,
        )?;
        FaultPoint::HostRecordKept.pass()
    }

    pub(super) fn read(&self, waiting: &Waiting) -> io::Result<CallRecords> {
        if let Some(unsaved) = &waiting.unsaved {
            return Ok(CallRecords::clone(unsaved));
        }
        let path = self.path(waiting.number);
        let bytes = self.disk.read_bounded(&path, BATCH_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    pub(super) fn forget(&mut self) {
        if let Some(Waiting {
            number,
            unsaved: None,
        }) = self.waiting.pop_front()
        {
            // What stays is told again after a restart; the controller knows it by then.
            let _ = self.disk.remove(&self.path(number));
        }
    }

    /// Tells the oldest batch; `false` if it is better to pause. No more than
    /// one: what ends meanwhile is to come to the disk as well.
    pub(super) async fn tell_oldest(&mut self, peer: &Peer) -> bool {
        if let Some(waiting) = self.waiting.front() {
            let number = waiting.number;
            let batch = match self.read(waiting) {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, batch = number, "a batch of the journal cannot be read and is dropped");
                    self.forget();
                    return true;
                }
            };
            let batch = CallRecords {
                told: Some(OffsetDateTime::now_utc()),
                ..batch
            };
            match peer.ask(&batch, ANSWER_TIME_MAX).await {
                Ok(_) => {
                    FaultPoint::HostRecordTold.pass_or_die();
                    self.forget();
                }
                Err(problem) if is_final(&problem) => {
                    tracing::error!(%problem, batch = number, "the Element refuses records for good: they are dropped");
                    self.forget();
                }
                Err(problem) => {
                    tracing::debug!(%problem, batch = number, "records wait for the Element");
                    return false;
                }
            }
        }
        true
    }
}

/// A batch that cannot be read by the Element would block all that follow.
fn is_final(problem: &Problem) -> bool {
    matches!(problem.code, Code::InvalidRequest | Code::TooLarge)
}
