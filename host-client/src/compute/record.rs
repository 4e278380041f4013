//! What is told of ended calls: gathered for a moment, kept on the disk until
//! the Element has it.
//!
//! Calls are told one by one; of the parts of maps only the failed ones, the
//! others are counted.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{disk, stream::Peer};
use gridmart_schemas::{
    id::{JobId, ReportId},
    problem::{Code, Problem},
    wire::record::{CallRecord, CallRecords, JobProgress},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Records that make a batch full.
const BATCH_RECORDS_MAX: usize = 500;
/// How long a batch is gathered.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// How long while the Element is away: fewer, larger batches on the disk.
const GATHER_TIME_AWAY: Duration = Duration::from_secs(2);
/// The Element has so long to acknowledge a batch.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// After a refusal that may pass.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Batches that are kept for an Element that is away: about a million records.
const BATCHES_KEPT: usize = 2000;
/// A larger file in the journal is not ours.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Default)]
struct Gathered {
    records: Vec<CallRecord>,
    jobs: HashMap<JobId, JobProgress>,
}

/// Gathers records and sees that they arrive.
pub(crate) struct Recorder {
    folder: PathBuf,
    gathered: Mutex<Gathered>,
    arrived: Notify,
}

impl Recorder {
    /// Keeps its journal in `folder`, which is made.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            gathered: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// Takes an ended call. A part of a map is counted, and told only if it
    /// failed.
    pub(crate) fn add(&self, record: CallRecord) {
        let mut gathered = self.gathered.lock();
        let is_first = gathered.records.is_empty() && gathered.jobs.is_empty();
        let succeeded = record.end.succeeded();
        if let Some(job) = record.job {
            let progress = gathered.jobs.entry(job).or_insert_with(|| JobProgress {
                report: Some(ReportId::generate()),
                job,
                owner: record.owner.clone(),
                application: record.application.clone(),
                version: record.version.clone(),
                host: record.host,
                finished: 0,
                failed: 0,
                wall_us: 0,
                cpu_us: 0,
            });
            progress.finished += u64::from(succeeded);
            progress.failed += u64::from(!succeeded);
            progress.wall_us = progress.wall_us.saturating_add(record.end.wall_us);
            progress.cpu_us = progress.cpu_us.saturating_add(record.end.cpu_us);
        }
        if record.job.is_none() || !succeeded {
            gathered.records.push(record);
        }
        if is_first || gathered.records.len() == BATCH_RECORDS_MAX {
            self.arrived.notify_one();
        }
    }

    /// Writes what is gathered to the journal; the number of its batch.
    pub(crate) fn keep(&self, journal: &mut Journal) {
        let gathered = std::mem::take(&mut *self.gathered.lock());
        if gathered.records.is_empty() && gathered.jobs.is_empty() {
            return;
        }
        let mut jobs: Vec<_> = gathered.jobs.into_values().collect();
        let mut records = gathered.records;
        // Nothing takes part in more than a message: pieces of a bounded size.
        while !records.is_empty() || !jobs.is_empty() {
            let rest = records.split_off(records.len().min(BATCH_RECORDS_MAX));
            journal.push(records, std::mem::take(&mut jobs));
            records = rest;
        }
    }

    /// Tells the Element, as long as the Host runs.
    pub(crate) async fn run(
        self: Arc<Self>,
        element: watch::Receiver<Option<Peer>>,
        stop: CancellationToken,
    ) {
        let mut element = element;
        let mut journal = Journal::open(&self.folder);
        loop {
            let connected = element
                .borrow_and_update()
                .clone()
                .filter(|peer| !peer.is_closed());
            let idle = connected.is_none() || journal.is_empty();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.arrived.notified() => self.gather(connected.is_some(), &stop).await,
                changed = element.changed() => if changed.is_err() { break },
                () = std::future::ready(()), if !idle => {}
            }
            self.keep(&mut journal);
            if let Some(peer) = connected
                && !journal.tell_all(&peer).await
            {
                let _ = tokio::time::timeout(RETRY_PAUSE, stop.cancelled()).await;
            }
        }
        self.keep(&mut journal);
    }

    async fn gather(&self, connected: bool, stop: &CancellationToken) {
        let time = if connected {
            GATHER_TIME
        } else {
            GATHER_TIME_AWAY
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.arrived.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Batches on the disk that the Element has not acknowledged.
pub(crate) struct Journal {
    folder: PathBuf,
    waiting: VecDeque<u64>,
    next: u64,
}

impl Journal {
    /// Finds what an earlier start has left.
    pub(crate) fn open(folder: &Path) -> Self {
        let listed = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut waiting: Vec<u64> = listed
            .filter_map(|entry| entry.path().file_stem()?.to_str()?.parse().ok())
            .collect();
        waiting.sort_unstable();
        let next = waiting.last().map_or(1, |last| last + 1);
        Self {
            folder: folder.to_owned(),
            waiting: waiting.into(),
            next,
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.json"))
    }

    fn push(&mut self, records: Vec<CallRecord>, jobs: Vec<JobProgress>) {
        let number = self.next;
        self.next += 1;
        let batch = CallRecords {
            sequence: number,
            records,
            jobs,
        };
        if let Err(error) = self.write(&batch) {
            tracing::error!(%error, records = batch.records.len(), "records of calls cannot be kept and are lost");
            return;
        }
        self.waiting.push_back(number);
        while self.waiting.len() > BATCHES_KEPT
            && let Some(oldest) = self.waiting.pop_front()
        {
            tracing::error!(
                batch = oldest,
                "the journal of calls is full: its oldest records are dropped"
            );
            let _ = fs::remove_file(self.path(oldest));
        }
    }

    fn write(&self, batch: &CallRecords) -> io::Result<()> {
        let path = self.path(batch.sequence);
        let temporary = path.with_extension("new");
        fs::write(&temporary, serde_json::to_vec(batch)?)?;
        fs::rename(temporary, path)
    }

    fn read(&self, number: u64) -> io::Result<CallRecords> {
        let bytes = disk::read_bounded(&self.path(number), BATCH_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    fn forget(&mut self) {
        if let Some(number) = self.waiting.pop_front() {
            let _ = fs::remove_file(self.path(number));
        }
    }

    /// Tells all batches, oldest first; `false` if it is better to pause.
    async fn tell_all(&mut self, peer: &Peer) -> bool {
        while let Some(number) = self.waiting.front().copied() {
            let batch = match self.read(number) {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, batch = number, "a batch of the journal cannot be read and is dropped");
                    self.forget();
                    continue;
                }
            };
            match peer.ask(&batch, ANSWER_TIME_MAX).await {
                Ok(_) => self.forget(),
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

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{CallId, Digest, NodeId},
        wire::record::{CallEnd, CallState},
    };
    use time::OffsetDateTime;

    use super::*;

    fn record(job: Option<JobId>, exit_code: i32) -> CallRecord {
        CallRecord {
            call: CallId::generate(),
            job,
            part: job.map(|_| 3),
            owner: "ada".parse().unwrap(),
            application: "probe".into(),
            version: "1".into(),
            digest: Digest::from_blake3([1; 32]),
            host: NodeId::generate(),
            request: None,
            submitted: OffsetDateTime::now_utc(),
            ended: OffsetDateTime::now_utc(),
            end: CallEnd {
                state: CallState::Finished,
                exit_code: Some(exit_code),
                signal: None,
                code: None,
                reason: None,
                wall_us: 10,
                cpu_us: 4,
                max_resident_bytes: 0,
                stdout_bytes: 0,
                stderr_bytes: 0,
            },
        }
    }

    #[test]
    fn parts_are_counted_and_failures_told() {
        let place = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(place.path()).unwrap();
        let job = JobId::generate();
        for _ in 0..5 {
            recorder.add(record(Some(job), 0));
        }
        recorder.add(record(Some(job), 1));
        recorder.add(record(None, 0));
        let mut journal = Journal::open(place.path());
        recorder.keep(&mut journal);
        let batch = journal.read(1).unwrap();
        assert_eq!(batch.records.len(), 2);
        assert_eq!(
            (
                batch.jobs[0].finished,
                batch.jobs[0].failed,
                batch.jobs[0].wall_us
            ),
            (5, 1, 60)
        );
    }

    #[test]
    fn the_journal_outlives_the_process() {
        let place = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(place.path()).unwrap();
        for _ in 0..=BATCH_RECORDS_MAX {
            recorder.add(record(None, 0));
        }
        recorder.keep(&mut Journal::open(place.path()));
        let mut again = Journal::open(place.path());
        assert_eq!(again.waiting, [1, 2]);
        assert_eq!(again.read(1).unwrap().records.len(), BATCH_RECORDS_MAX);
        assert_eq!(again.read(2).unwrap().records.len(), 1);
        again.forget();
        assert_eq!(Journal::open(place.path()).waiting, [2]);
        assert_eq!(Journal::open(place.path()).next, 3);
    }
}
