//! What is told of ended calls: gathered for a moment, kept on the disk until
//! the Element has it.
//!
//! Invariants: when somebody hears of a call's end, its record is in a file
//! already, so that a kill of the Host takes none; a moment later it is in the
//! journal, durably.
//!
//! Calls are told one by one; of the parts of maps only the failed ones, the
//! others are counted.

mod journal;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{disk::Disk, stream::Peer};
use gridmart_schemas::{
    id::{JobId, LeaseId, ReportId},
    wire::record::{CallRecord, JobProgress},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::journal::Journal;
use super::draft::Draft;
use crate::member::DiskWatch;

/// Records that make a batch full.
const BATCH_RECORDS_MAX: usize = 500;
/// How long a batch is gathered.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// How long while the Element is away: fewer, larger batches on the disk.
const GATHER_TIME_AWAY: Duration = Duration::from_secs(2);
/// After a refusal that may pass.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

struct Gathered {
    draft: Draft,
    records: Vec<CallRecord>,
    /// By lease as well: its Element may have given that up.
    jobs: HashMap<(JobId, Option<LeaseId>), JobProgress>,
}

/// Gathers records and sees that they arrive.
pub(crate) struct Recorder {
    disk: Arc<dyn Disk>,
    watch: Arc<DiskWatch>,
    folder: PathBuf,
    gathered: Mutex<Gathered>,
    arrived: Notify,
}

impl Recorder {
    /// Keeps its journal in `folder`, which is made.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        watch: Arc<DiskWatch>,
        folder: &Path,
    ) -> io::Result<Self> {
        disk.create_folder(folder)?;
        let (draft, records) = Draft::open(&*disk, folder)?;
        let arrived = Notify::new();
        if !records.is_empty() {
            tracing::info!(
                records = records.len(),
                "records are found that a kill has left"
            );
            arrived.notify_one();
        }
        Ok(Self {
            disk,
            watch,
            folder: folder.to_owned(),
            gathered: Mutex::new(Gathered {
                draft,
                records,
                jobs: HashMap::new(),
            }),
            arrived,
        })
    }

    /// Takes an ended call. A part of a map is counted, and told only if it
    /// failed.
    pub(crate) fn add(&self, record: CallRecord) {
        let mut gathered = self.gathered.lock();
        let is_first = gathered.records.is_empty() && gathered.jobs.is_empty();
        let succeeded = record.end.succeeded();
        if let Some(job) = record.job {
            let progress =
                gathered
                    .jobs
                    .entry((job, record.lease))
                    .or_insert_with(|| JobProgress {
                        report: Some(ReportId::generate()),
                        lease: record.lease,
                        ended: None,
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
            progress.ended = progress.ended.max(Some(record.ended));
            progress.finished += u64::from(succeeded);
            progress.failed += u64::from(!succeeded);
            progress.wall_us = progress.wall_us.saturating_add(record.end.wall_us);
            progress.cpu_us = progress.cpu_us.saturating_add(record.end.cpu_us);
        }
        if record.job.is_none() || !succeeded {
            if let Err(error) = gathered.draft.add(&record) {
                tracing::error!(%error, call.id = %record.call, "a record waits in memory only");
                self.watch.on_failure(&error);
            }
            gathered.records.push(record);
        }
        if is_first || gathered.records.len() == BATCH_RECORDS_MAX {
            self.arrived.notify_one();
        }
    }

    /// The journal in its folder.
    fn journal(&self) -> Journal {
        Journal::open(
            Arc::clone(&self.disk),
            Arc::clone(&self.watch),
            &self.folder,
        )
    }

    /// Writes what is gathered to the journal, durably; blocks for the disk.
    fn keep(&self, journal: &mut Journal) {
        let (sheet, jobs, mut records) = {
            let mut gathered = self.gathered.lock();
            let sheet = gathered.draft.turn();
            let jobs = std::mem::take(&mut gathered.jobs);
            (sheet, jobs, std::mem::take(&mut gathered.records))
        };
        let mut jobs: Vec<_> = jobs.into_values().collect();
        // Nothing takes part in more than a message: pieces of a bounded size.
        while !records.is_empty() || !jobs.is_empty() {
            let rest = records.split_off(records.len().min(BATCH_RECORDS_MAX));
            journal.push(records, std::mem::take(&mut jobs));
            records = rest;
        }
        if journal.save() {
            self.gathered.lock().draft.clear(sheet);
        }
    }

    async fn keep_blocking(self: &Arc<Self>, journal: Journal) -> Journal {
        let recorder = Arc::clone(self);
        let mut journal = journal;
        let kept = tokio::task::spawn_blocking(move || {
            recorder.keep(&mut journal);
            journal
        });
        kept.await.unwrap_or_else(|error| {
            tracing::error!(%error, "keeping records of calls has failed");
            self.journal()
        })
    }

    /// Tells the Element, as long as the Host runs.
    pub(crate) async fn run(
        self: Arc<Self>,
        element: watch::Receiver<Option<Peer>>,
        stop: CancellationToken,
    ) {
        let mut element = element;
        let mut journal = self.journal();
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
                // Nobody else tries the disk again while the Element is away.
                () = tokio::time::sleep(RETRY_PAUSE), if journal.has_unsaved() => {}
            }
            journal = self.keep_blocking(journal).await;
            if let Some(peer) = connected
                && !journal.tell_oldest(&peer).await
            {
                let _ = tokio::time::timeout(RETRY_PAUSE, stop.cancelled()).await;
            }
        }
        self.keep_blocking(journal).await;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};
    use gridmart_schemas::{
        id::{CallId, Digest, NodeId},
        wire::record::{CallEnd, CallRecords, CallState},
    };
    use time::OffsetDateTime;

    use super::{
        journal::{UNSAVED_BATCHES_MAX, Waiting},
        *,
    };

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
            lease: None,
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
                staged_in_bytes: 0,
                staged_out_bytes: 0,
            },
        }
    }

    const FOLDER: &str = "/host/records";

    fn recorder(disk: &TestDisk) -> Recorder {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let watch = DiskWatch::new(Arc::clone(&disk), Path::new(FOLDER));
        Recorder::open(disk, watch, Path::new(FOLDER)).unwrap()
    }

    fn numbers(journal: &Journal) -> Vec<u64> {
        journal
            .waiting
            .iter()
            .map(|waiting| waiting.number)
            .collect()
    }

    /// Reads all that waits.
    fn batches(journal: &Journal) -> Vec<CallRecords> {
        let read = |waiting: &Waiting| journal.read(waiting).unwrap();
        journal.waiting.iter().map(read).collect()
    }

    #[test]
    fn parts_are_counted_and_failures_told() {
        let recorder = recorder(&TestDisk::new());
        let job = JobId::generate();
        for _ in 0..5 {
            recorder.add(record(Some(job), 0));
        }
        recorder.add(record(Some(job), 1));
        recorder.add(record(None, 0));
        let mut journal = recorder.journal();
        recorder.keep(&mut journal);
        let batch = &batches(&journal)[0];
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
    fn parts_are_counted_for_each_lease_with_the_end_of_the_last() {
        let recorder = recorder(&TestDisk::new());
        let (job, lease) = (JobId::generate(), LeaseId::generate());
        let of_lease = CallRecord {
            lease: Some(lease),
            ..record(Some(job), 0)
        };
        let earlier = CallRecord {
            ended: of_lease.ended - Duration::from_secs(1),
            ..of_lease.clone()
        };
        let last = of_lease.ended;
        for record in [of_lease, earlier, record(Some(job), 0)] {
            recorder.add(record);
        }
        let mut journal = recorder.journal();
        recorder.keep(&mut journal);
        let jobs = &batches(&journal)[0].jobs;
        assert_eq!(jobs.len(), 2);
        let told = jobs.iter().find(|told| told.lease == Some(lease)).unwrap();
        assert_eq!((told.finished, told.ended), (2, Some(last)));
    }

    #[test]
    fn the_journal_outlives_a_power_cut() {
        let disk = TestDisk::new();
        let recorder = recorder(&disk);
        for _ in 0..=BATCH_RECORDS_MAX {
            recorder.add(record(None, 0));
        }
        recorder.keep(&mut recorder.journal());
        disk.restart();
        let mut again = recorder.journal();
        assert_eq!(numbers(&again), [1, 2]);
        let lengths: Vec<_> = batches(&again)
            .iter()
            .map(|batch| batch.records.len())
            .collect();
        assert_eq!(lengths, [BATCH_RECORDS_MAX, 1]);
        again.forget();
        let again = recorder.journal();
        assert_eq!((numbers(&again), again.next), (vec![2], 3));
    }

    #[test]
    fn a_kill_takes_no_record() {
        let disk = TestDisk::new();
        let ends = |recorder: &Recorder| -> Vec<CallId> {
            let mut journal = recorder.journal();
            recorder.keep(&mut journal);
            let batches = batches(&journal);
            let records = batches.iter().flat_map(|batch| &batch.records);
            records.map(|record| record.call).collect()
        };
        let killed = recorder(&disk);
        let (first, second) = (record(None, 0), record(None, 1));
        killed.add(first.clone());
        assert_eq!(ends(&killed), [first.call]);
        killed.add(second.clone());
        // Killed before the second is in the journal; what was written stays.
        drop(killed);
        let next = recorder(&disk);
        assert_eq!(ends(&next), [first.call, second.call]);
        // What is in the journal is in no draft any more.
        drop(next);
        assert!(recorder(&disk).gathered.lock().records.is_empty());
    }

    #[test]
    fn a_kill_takes_no_record_though_the_disk_is_full() {
        let disk = TestDisk::new();
        let killed = recorder(&disk);
        let mut journal = killed.journal();
        disk.fail_at(0, Fault::Full);
        // More than a batch, and again after what could not be brought away.
        let calls: Vec<CallId> = (0..1200)
            .map(|_| {
                let record = record(None, 0);
                let call = record.call;
                killed.add(record);
                killed.keep(&mut journal);
                call
            })
            .collect();
        assert!(journal.has_unsaved());
        drop((killed, journal));
        disk.mend();
        let next = recorder(&disk);
        let left: BTreeSet<CallId> = {
            let gathered = next.gathered.lock();
            gathered.records.iter().map(|record| record.call).collect()
        };
        assert!(calls.iter().all(|call| left.contains(call)));
    }

    #[test]
    fn after_any_fault_no_record_is_lost_torn_or_there_twice() {
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..16).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            let recorder = recorder(&disk);
            let mut journal = recorder.journal();
            disk.fail_at(step, fault);
            for exit_code in 0..4 {
                recorder.add(record(None, exit_code));
                recorder.keep(&mut journal);
            }
            // While it refuses, the Element can be told all the same.
            assert_eq!(batches(&journal).len(), 4, "{fault:?} at {step}");
            if fault != Fault::Crash {
                disk.mend();
                // The fault may come only now.
                (0..2).for_each(|_| recorder.keep(&mut journal));
            }
            let is_kept = journal
                .waiting
                .iter()
                .all(|waiting| waiting.unsaved.is_none());
            assert!(is_kept || fault == Fault::Crash, "{fault:?} at {step}");
            disk.restart();
            let found = batches(&recorder.journal());
            let codes: Vec<_> = found
                .iter()
                .map(|batch| batch.records[0].end.exit_code)
                .collect();
            let all = [Some(0), Some(1), Some(2), Some(3)];
            if is_kept {
                assert_eq!(codes, all, "{fault:?} at {step}");
            } else {
                assert!(all.starts_with(&codes), "{fault:?} at {step}: {codes:?}");
            }
        }
    }

    /// Looks until it is so.
    async fn until(what: &str, condition: impl Fn() -> bool) {
        let looked = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looked)
            .await
            .unwrap_or_else(|_| panic!("waited in vain until {what}"));
    }

    #[tokio::test]
    async fn what_the_disk_has_refused_comes_to_it_though_the_element_is_away() {
        let refusal = |disk: &TestDisk| {
            let recorder = recorder(disk);
            disk.fail_at(0, Fault::ReadOnly);
            let before = disk.steps();
            recorder.add(record(None, 0));
            (recorder, before)
        };
        // So much is tried before the record waits in memory.
        let twin = TestDisk::new();
        let (recorder, before) = refusal(&twin);
        recorder.keep(&mut recorder.journal());
        let tried = twin.steps() - before;

        let disk = TestDisk::new();
        let (recorder, before) = refusal(&disk);
        let (recorder, stop) = (Arc::new(recorder), CancellationToken::new());
        let (_nobody, element) = watch::channel(None);
        let running = tokio::spawn(Arc::clone(&recorder).run(element, stop.clone()));
        until("the disk has refused it", || disk.steps() >= before + tried).await;
        disk.mend();
        until("it is on the disk", || {
            !numbers(&recorder.journal()).is_empty()
        })
        .await;
        stop.cancel();
        running.await.unwrap();
    }

    #[test]
    fn what_the_disk_does_not_take_is_bounded_in_memory() {
        let disk = TestDisk::new();
        let recorder = recorder(&disk);
        let mut journal = recorder.journal();
        disk.fail_at(0, Fault::ReadOnly);
        for _ in 0..UNSAVED_BATCHES_MAX + 5 {
            recorder.add(record(None, 0));
            recorder.keep(&mut journal);
        }
        assert_eq!(journal.waiting.len(), UNSAVED_BATCHES_MAX);
        assert_eq!(journal.waiting[0].number, 6);
        assert!(recorder.watch.is_failing());
    }
}
