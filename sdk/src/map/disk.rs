//! The thread that reads parts and writes results for a running map, so that
//! the task that talks to the Hosts never waits for the disk.
//!
//! Invariant: `Written` is told only after the records are in the file.
//! Results are made durable twice a second while they come, and at the end.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::fault::FaultPoint;
use tokio::sync::mpsc;

use super::{
    core::Seat,
    job::JobFolder,
    parts::Parts,
    results::{Record, ResultsFile},
};

/// Jobs for the disk that may wait.
const QUEUE_MAX: usize = 256;
/// Results are made durable at this rate.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// A piece of a part to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) seat: Seat,
    pub(crate) channel: u32,
    pub(crate) at: u64,
    pub(crate) len: usize,
}

/// A channel whose result is kept.
pub(crate) type Kept = (Seat, u32);

/// What the disk is asked to do.
pub(crate) enum DiskJob {
    Read(Vec<Wanted>),
    Write(Vec<Record>, Vec<Kept>),
}

/// What it has done.
pub(crate) enum DiskDone {
    Read(Vec<(Wanted, Vec<u8>)>),
    Written(Vec<Kept>),
    Failed(&'static str, io::Error),
}

/// The way to the thread.
pub(crate) struct Disk {
    jobs: mpsc::Sender<DiskJob>,
    done: mpsc::UnboundedReceiver<DiskDone>,
    thread: Option<std::thread::JoinHandle<ResultsFile>>,
}

impl Disk {
    /// Starts the thread; it owns the results file until [`Self::finish`].
    pub(crate) fn start(
        folder: Arc<JobFolder>,
        parts: Parts,
        results: ResultsFile,
    ) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        // Bounded by the jobs: one answer each.
        let (answers, done) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("gridmart-map-disk".to_owned())
            .spawn(move || {
                let results = work(&parts, results, queue, &answers);
                drop(folder);
                results
            })?;
        Ok(Self {
            jobs,
            done,
            thread: Some(thread),
        })
    }

    /// Hands over a job; waits while the disk is behind.
    pub(crate) async fn give(&self, job: DiskJob) {
        // A thread that has ended has told why.
        let _ = self.jobs.send(job).await;
    }

    pub(crate) async fn next(&mut self) -> Option<DiskDone> {
        self.done.recv().await
    }

    pub(crate) fn try_next(&mut self) -> Option<DiskDone> {
        self.done.try_recv().ok()
    }

    /// Waits until all is done and durable; gives the results back.
    pub(crate) async fn finish(mut self) -> io::Result<ResultsFile> {
        drop(self.jobs);
        let mut failure = None;
        while let Some(done) = self.done.recv().await {
            if let DiskDone::Failed(_, error) = done {
                failure.get_or_insert(error);
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let thread = self
            .thread
            .take()
            .ok_or_else(|| io::Error::other("the disk thread was taken"))?;
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .map_err(io::Error::other)?
            .map_err(|_| io::Error::other("the disk thread has ended by a fault"))
    }
}

fn work(
    parts: &Parts,
    mut results: ResultsFile,
    mut queue: mpsc::Receiver<DiskJob>,
    answers: &mpsc::UnboundedSender<DiskDone>,
) -> ResultsFile {
    let mut synced = Instant::now();
    while let Some(job) = queue.blocking_recv() {
        let done = match job {
            DiskJob::Read(wanted) => read(parts, wanted),
            DiskJob::Write(records, kept) => match write(&mut results, &records) {
                Ok(()) => DiskDone::Written(kept),
                Err(error) => DiskDone::Failed("write the results of", error),
            },
        };
        let failed = matches!(done, DiskDone::Failed(..));
        // Nobody listens: the map was dropped; what it gave is still written.
        let _ = answers.send(done);
        if failed {
            return results;
        }
        if synced.elapsed() >= SYNC_INTERVAL {
            synced = Instant::now();
            if !sync(&mut results, answers) {
                return results;
            }
        }
    }
    sync(&mut results, answers);
    results
}

fn write(results: &mut ResultsFile, records: &[Record]) -> io::Result<()> {
    results.append(records)?;
    FaultPoint::ResultWritten.pass()
}

/// After a failed fsync nothing more is written: what is lost is unknown.
fn sync(results: &mut ResultsFile, answers: &mpsc::UnboundedSender<DiskDone>) -> bool {
    let Err(error) = results.sync() else {
        return true;
    };
    let _ = answers.send(DiskDone::Failed("make durable the results of", error));
    false
}

fn read(parts: &Parts, wanted: Vec<Wanted>) -> DiskDone {
    let mut pieces = Vec::with_capacity(wanted.len());
    for want in wanted {
        let data = if want.len == 0 {
            Ok(Vec::new())
        } else {
            parts.read(want.at, want.len)
        };
        match data {
            Ok(data) => pieces.push((want, data)),
            Err(error) => return DiskDone::Failed("read the parts of", error),
        }
    }
    DiskDone::Read(pieces)
}
