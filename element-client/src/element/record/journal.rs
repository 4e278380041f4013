//! Records of calls and transfers on their way from Hosts, or the Element itself,
//! to the controller.
//!
//! Invariants: a Host's batch is acknowledged only when it is synced to the
//! disk here; it is forgotten only when the controller has acknowledged it; a
//! batch that a Host repeats is acknowledged and not kept twice. What is kept
//! is bounded: beyond it, Hosts keep their own.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::{
    disk::{Disk, Secrecy, durable_write},
    fault::FaultPoint,
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    wire::record::CallRecords,
};
use serde::{Deserialize, Serialize};

use super::lines::{read_lines, write_line};

/// The most batches that are kept for a controller that is away.
pub const BATCHES_MAX: usize = 20_000;
/// The most rows that one batch of a Host may have.
const BATCH_ROWS_MAX: usize = 10_000;
/// The most rows that are sent on at a time.
const SENT_ROWS_MAX: usize = 1_000;
/// The file is written anew when so many lines in it are not needed any more.
const GARBAGE_LINES_MAX: usize = 4_096;

/// A batch, and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    host: NodeId,
    incarnation: Incarnation,
    batch: CallRecords,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Kept(Kept),
    /// So many of the oldest batches have been acknowledged.
    Acknowledged(usize),
}

/// The journal of call records.
pub struct RecordJournal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    kept: VecDeque<Kept>,
    /// The last batch of each Host, and of which start of it.
    last: HashMap<NodeId, (Incarnation, u64)>,
    garbage: usize,
    /// A write has failed: what the file ends with is not known.
    damaged: bool,
    sequence: u64,
    /// What was sent and is not acknowledged: the batch, and how many of the
    /// kept ones are in it. It is sent again just as it was.
    sent: Option<(CallRecords, usize)>,
}

impl std::fmt::Debug for RecordJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordJournal")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

impl RecordJournal {
    /// Opens the journal; what the controller has not acknowledged is in it.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        let mut journal = Self {
            path: path.to_owned(),
            kept: VecDeque::new(),
            last: HashMap::new(),
            garbage: 0,
            damaged: false,
            sequence: 0,
            sent: None,
            disk,
        };
        for line in read_lines(&*journal.disk, path)? {
            match line {
                Line::Kept(kept) => {
                    journal
                        .last
                        .insert(kept.host, (kept.incarnation, kept.batch.sequence));
                    journal.kept.push_back(kept);
                }
                Line::Acknowledged(count) => {
                    journal.kept.drain(..count.min(journal.kept.len()));
                }
            }
        }
        journal.write_anew()?;
        Ok(journal)
    }

    /// Keeps batches durably, with one sync for all. Answers for each of them.
    pub fn keep(
        &mut self,
        batches: Vec<(NodeId, Incarnation, CallRecords)>,
    ) -> Vec<Result<(), Problem>> {
        let mut bytes = Vec::new();
        let mut fresh = Vec::new();
        let mut answers = Vec::with_capacity(batches.len());
        for (host, incarnation, batch) in batches {
            answers.push(
                self.judge(host, incarnation, &batch, fresh.len())
                    .and_then(|known| {
                        if !known {
                            let kept = Kept {
                                host,
                                incarnation,
                                batch,
                            };
                            write_line(&mut bytes, &Line::Kept(kept.clone()))
                                .map_err(|error| self.storage(&error))?;
                            self.last.insert(host, (incarnation, kept.batch.sequence));
                            fresh.push(kept);
                        }
                        Ok(())
                    }),
            );
        }
        if fresh.is_empty() {
            return answers;
        }
        if let Err(error) = self.append_synced(&bytes) {
            self.damaged = true;
            let problem = self.storage(&error);
            for kept in &fresh {
                self.last.remove(&kept.host);
            }
            return answers
                .into_iter()
                .map(|answer| answer.and(Err(problem.clone())))
                .collect();
        }
        self.kept.extend(fresh);
        answers
    }

    fn append_synced(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.damaged {
            self.write_anew()?;
        }
        self.disk.append(&self.path, bytes, Secrecy::Secret)?;
        self.disk.sync_file(&self.path)?;
        FaultPoint::RecordKept.pass()
    }

    /// Whether the batch is here already; refuses what there is no room for.
    fn judge(
        &self,
        host: NodeId,
        incarnation: Incarnation,
        batch: &CallRecords,
        coming: usize,
    ) -> Result<bool, Problem> {
        let rows = batch.rows();
        if rows > BATCH_ROWS_MAX {
            return Err(Problem::new(
                Code::TooLarge,
                format!("A batch may have {BATCH_ROWS_MAX} records; this one has {rows}."),
            ));
        }
        if self
            .last
            .get(&host)
            .is_some_and(|(start, last)| *start == incarnation && batch.sequence <= *last)
        {
            return Ok(true);
        }
        if self.kept.len() + coming >= BATCHES_MAX {
            return Err(Problem::new(
                Code::Busy,
                "The controller is away, and no more call records can be kept for it.",
            ));
        }
        Ok(false)
    }

    fn storage(&self, error: &io::Error) -> Problem {
        tracing::error!(path = %self.path.display(), %error, "call records cannot be kept");
        Problem::new(
            Code::StorageFailed,
            "The Element cannot keep call records; the Host keeps its own until there is room.",
        )
    }

    /// What to send to the controller next; the same until it is acknowledged.
    pub fn due(&mut self) -> Option<CallRecords> {
        if self.sent.is_none() {
            let mut batch = CallRecords::default();
            let mut count = 0;
            for kept in &self.kept {
                if count > 0 && batch.rows() + kept.batch.rows() > SENT_ROWS_MAX {
                    break;
                }
                batch.records.extend(kept.batch.records.iter().cloned());
                batch.jobs.extend(kept.batch.jobs.iter().cloned());
                batch.transfers.extend(kept.batch.transfers.iter().cloned());
                let sessions = kept.batch.sql_sessions.iter();
                batch.sql_sessions.extend(sessions.cloned());
                count += 1;
            }
            if count == 0 {
                return None;
            }
            self.sequence += 1;
            batch.sequence = self.sequence;
            self.sent = Some((batch, count));
        }
        self.sent.as_ref().map(|(batch, _)| batch.clone())
    }

    /// The controller has what was sent last.
    pub fn acknowledged(&mut self) -> io::Result<()> {
        let Some((_, count)) = self.sent.take() else {
            return Ok(());
        };
        self.kept.drain(..count.min(self.kept.len()));
        self.garbage += count;
        if self.garbage > GARBAGE_LINES_MAX || self.kept.is_empty() {
            return self.write_anew();
        }
        let mut bytes = Vec::new();
        write_line(&mut bytes, &Line::Acknowledged(count))?;
        // What has failed before is not appended to: half a line may be its end.
        if self.damaged {
            return self.write_anew();
        }
        // Not synced: a repeated batch does no harm, a lost one would.
        let appended = self.disk.append(&self.path, &bytes, Secrecy::Secret);
        self.damaged = appended.is_err();
        appended
    }

    /// How many batches wait.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many rows wait.
    pub fn rows(&self) -> usize {
        self.kept.iter().map(|kept| kept.batch.rows()).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for kept in &self.kept {
            write_line(&mut bytes, &Line::Kept(kept.clone()))?;
        }
        durable_write(&*self.disk, &self.path, &bytes, Secrecy::Secret)?;
        self.garbage = 0;
        self.damaged = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};
    use gridmart_schemas::{
        id::{JobId, ReportId},
        wire::record::JobProgress,
    };

    use super::*;

    const PATH: &str = "/ce/records.journal";

    fn batch(sequence: u64) -> CallRecords {
        let progress = JobProgress {
            report: Some(ReportId::generate()),
            lease: None,
            ended: None,
            job: JobId::generate(),
            owner: "ada".parse().unwrap(),
            application: "spf".into(),
            version: "1".into(),
            host: NodeId::generate(),
            finished: sequence,
            failed: 0,
            wall_us: 1,
            cpu_us: 1,
        };
        CallRecords {
            sequence,
            jobs: vec![progress],
            ..CallRecords::default()
        }
    }

    fn open(disk: &TestDisk) -> RecordJournal {
        RecordJournal::open(Arc::new(disk.clone()), Path::new(PATH)).unwrap()
    }

    fn finished(batch: &CallRecords) -> Vec<u64> {
        batch.jobs.iter().map(|job| job.finished).collect()
    }

    #[test]
    fn what_was_acknowledged_to_a_host_outlives_a_power_cut() {
        let disk = TestDisk::new();
        let (host, start) = (NodeId::generate(), Incarnation::generate());
        let mut journal = open(&disk);
        assert!(
            journal
                .keep(vec![(host, start, batch(1)), (host, start, batch(2))])
                .iter()
                .all(Result::is_ok)
        );
        disk.restart();
        let mut journal = open(&disk);
        assert_eq!(finished(&journal.due().unwrap()), [1, 2]);
        // Not acknowledged by the controller: the same again.
        assert_eq!(journal.due().unwrap().sequence, 1);
        journal.acknowledged().unwrap();
        assert!(journal.due().is_none());
        assert!(open(&disk).is_empty());
    }

    /// Keeps batches and has them acknowledged by turns, while something
    /// happens to the disk; gives the batches of which the Host was told that
    /// they are kept, and those of which the controller has said so.
    fn work_with_a_fault(disk: &TestDisk, step: u64, fault: Fault) -> (Vec<u64>, Vec<u64>) {
        let (host, start) = (NodeId::generate(), Incarnation::generate());
        let mut journal = open(disk);
        let (mut kept, mut acknowledged) = (Vec::new(), Vec::new());
        disk.fail_at(step, fault);
        for number in 1..=7 {
            // On its way while the next one comes: not all is acknowledged then.
            let due = (number % 2 == 0).then(|| journal.due()).flatten();
            // As a Host does: again until it is kept.
            for _ in 0..2 {
                let answer = journal.keep(vec![(host, start, batch(number))]);
                if answer[0].is_ok() {
                    kept.push(number);
                    break;
                }
                disk.mend();
            }
            if let Some(due) = due {
                acknowledged.extend(finished(&due));
                let _ = journal.acknowledged();
                disk.mend();
            }
        }
        (kept, acknowledged)
    }

    #[test]
    fn after_any_fault_nothing_is_lost_that_a_host_was_told_is_kept() {
        let cases = Fault::ALL
            .into_iter()
            .flat_map(|fault| (0..30).map(move |step| (fault, step)));
        for (fault, step) in cases {
            let disk = TestDisk::seeded(step + 1);
            open(&disk);
            let (kept, acknowledged) = work_with_a_fault(&disk, step, fault);
            disk.restart();
            let mut again = open(&disk);
            let found = again.due().map_or_else(Vec::new, |due| finished(&due));
            for number in kept {
                assert!(
                    found.contains(&number) || acknowledged.contains(&number),
                    "{fault:?} at {step}: batch {number} is lost, there are {found:?}"
                );
            }
            let mut once = found.clone();
            once.dedup();
            assert_eq!(once, found, "{fault:?} at {step}");
        }
    }

    #[test]
    fn a_repeated_batch_is_not_kept_twice() {
        let disk = TestDisk::new();
        let (host, start) = (NodeId::generate(), Incarnation::generate());
        let mut journal = open(&disk);
        journal.keep(vec![(host, start, batch(1))]);
        assert!(journal.keep(vec![(host, start, batch(1))])[0].is_ok());
        assert_eq!(journal.len(), 1);
        // Not after a restart either, but another start of the Host counts anew.
        let mut journal = open(&disk);
        journal.keep(vec![
            (host, start, batch(1)),
            (host, Incarnation::generate(), batch(1)),
        ]);
        assert_eq!(journal.len(), 2);
    }

    #[test]
    fn a_disk_that_refuses_is_no_acknowledgement() {
        let disk = TestDisk::new();
        let (host, start) = (NodeId::generate(), Incarnation::generate());
        let mut journal = open(&disk);
        disk.crash_at(1);
        assert_eq!(
            journal.keep(vec![(host, start, batch(1))])[0]
                .as_ref()
                .unwrap_err()
                .code,
            Code::StorageFailed
        );
        disk.restart();
        assert!(
            journal.keep(vec![(host, start, batch(1))])[0].is_ok(),
            "the Host may try again"
        );
    }

    #[test]
    fn what_comes_while_something_is_on_its_way_waits_for_the_next_batch() {
        let disk = TestDisk::new();
        let (host, start) = (NodeId::generate(), Incarnation::generate());
        let mut journal = open(&disk);
        journal.keep(vec![(host, start, batch(1))]);
        assert_eq!(finished(&journal.due().unwrap()), [1]);
        journal.keep(vec![(host, start, batch(2))]);
        assert_eq!(finished(&journal.due().unwrap()), [1]);
        journal.acknowledged().unwrap();
        assert_eq!(finished(&journal.due().unwrap()), [2]);
    }
}
