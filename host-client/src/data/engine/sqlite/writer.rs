//! The one thread that writes to a core. Statements of many that wait share one
//! commit; a transaction of several statements has the thread for itself until it
//! ends.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridmart_schemas::data::{Epoch, LogPoint, Position};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    core::{CommitError, Core},
    run::Allowance,
    transaction::{self, Command},
};
use crate::data::engine::{Cancel, EngineError, Limits, Statement, TransactionLimits, Written};

/// Statements that may wait for the writer.
const QUEUE_MAX: usize = 2048;
/// Statements that share one commit: enough for its sync to cost each of them
/// little, and few enough for nobody to wait long for others.
const GROUP_MAX: usize = 256;
/// How long a group takes statements in.
const GROUP_TIME: Duration = Duration::from_millis(20);

type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

pub(super) enum Job {
    Write(Box<Write>),
    Begin(Begin),
    Fence(Epoch, Answer<()>),
    Confirm(Position),
    Stop,
}

pub(super) struct Write {
    statement: Statement,
    limits: Limits,
    /// Whoever takes it first: the thread, to run it, or its caller, to give it up.
    taken: Arc<AtomicBool>,
    answer: Answer<Written>,
}

pub(super) struct Begin {
    pub(super) limits: TransactionLimits,
    pub(super) commands: std::sync::mpsc::Receiver<Command>,
    pub(super) answer: Answer<()>,
    pub(super) asked: Instant,
}

/// The way to the writer's thread.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    last: watch::Receiver<LogPoint>,
}

/// The thread; dropping it ends it after the statements that wait.
pub(super) struct WriterThread {
    jobs: mpsc::Sender<Job>,
    /// Ends a transaction that is open.
    stop: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(core: Core) -> Result<(Self, WriterThread), EngineError> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (told, last) = watch::channel(core.last());
        let stop = Cancel::default();
        let thread = std::thread::Builder::new()
            .name("data-writer".to_owned())
            .spawn({
                let stop = stop.clone();
                move || run(core, queue, &told, &stop)
            })
            .map_err(|error| EngineError::Internal(error.to_string()))?;
        let writer = Self {
            jobs: jobs.clone(),
            last,
        };
        let thread = Some(thread);
        Ok((writer, WriterThread { jobs, stop, thread }))
    }

    /// The last entry that is committed, and the way to wait for others.
    pub(super) fn last(&self) -> watch::Receiver<LogPoint> {
        self.last.clone()
    }

    /// Runs a statement that is a transaction of its own.
    pub(super) async fn write(
        &self,
        statement: Statement,
        limits: Limits,
    ) -> Result<Written, EngineError> {
        let (answer, mut answered) = oneshot::channel();
        let (cancel, taken) = (statement.cancel.clone(), Arc::<AtomicBool>::default());
        self.send(Job::Write(Box::new(Write {
            statement,
            limits,
            taken: Arc::clone(&taken),
            answer,
        })))?;
        let outcome = tokio::select! {
            outcome = &mut answered => outcome,
            () = cancel.cancelled() => {
                // Where it runs already, it tells what it came to.
                if !taken.swap(true, Ordering::AcqRel) {
                    return Err(EngineError::Cancelled);
                }
                answered.await
            }
        };
        outcome.map_err(|_| EngineError::Stopping)?
    }

    pub(super) async fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Fence(newest, answer))?;
        answered.await.map_err(|_| EngineError::Stopping)?
    }

    /// All shadows have the log up to there. Losing it costs nothing: they tell
    /// again.
    pub(super) fn confirm(&self, position: Position) {
        let _ = self.send(Job::Confirm(position));
    }

    pub(super) fn send(&self, job: Job) -> Result<(), EngineError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EngineError::Busy,
            mpsc::error::TrySendError::Closed(_) => EngineError::Stopping,
        })
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.stop.cancel();
        // Where the queue is full, the thread is at work and will look again.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.jobs.try_send(Job::Stop) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of a database has panicked");
        }
    }
}

fn run(
    mut core: Core,
    mut queue: mpsc::Receiver<Job>,
    told: &watch::Sender<LogPoint>,
    stop: &Cancel,
) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.blocking_recv()) {
        match job {
            Job::Write(first) => {
                let mut group = VecDeque::from([*first]);
                next = gather(&mut queue, &mut group);
                group.retain(|write| !write.taken.swap(true, Ordering::AcqRel));
                run_group(&mut core, group);
            }
            Job::Begin(begin) => transaction::serve(&mut core, begin, stop),
            Job::Fence(newest, answer) => {
                let _ = answer.send(core.fence(newest));
            }
            Job::Confirm(position) => core.confirm(position),
            Job::Stop => return,
        }
        told.send_if_modified(|last| {
            let is_new = *last != core.last();
            *last = core.last();
            is_new
        });
    }
}

/// Takes the statements that wait; gives the first job that is another.
fn gather(queue: &mut mpsc::Receiver<Job>, group: &mut VecDeque<Write>) -> Option<Job> {
    while group.len() < GROUP_MAX {
        match queue.try_recv().ok()? {
            Job::Write(write) => group.push_back(*write),
            other => return Some(other),
        }
    }
    None
}

/// Runs and commits all of them, in one commit as far as that goes.
fn run_group(core: &mut Core, mut waiting: VecDeque<Write>) {
    let mut alone = 0_usize;
    while !waiting.is_empty() {
        let most = if alone > 0 { 1 } else { GROUP_MAX };
        alone = alone.saturating_sub(1);
        match run_some(core, &mut waiting, most) {
            Tried::Done => {}
            Tried::Again { of } => alone = of,
        }
    }
}

/// What became of a try to commit some of the statements.
enum Tried {
    /// Some were answered.
    Done,
    /// Nothing holds; as many as these are tried each alone.
    Again { of: usize },
}

fn run_some(core: &mut Core, waiting: &mut VecDeque<Write>, most: usize) -> Tried {
    if let Err(error) = core.begin() {
        answer_all(waiting.drain(..), &error);
        return Tried::Done;
    }
    let begun = Instant::now();
    let mut results = Vec::new();
    while results.len() < most.min(waiting.len())
        && (results.is_empty() || begun.elapsed() < GROUP_TIME)
    {
        let write = &waiting[results.len()];
        let cancel = write.statement.cancel.clone();
        let result = if cancel.is_cancelled() {
            Err(EngineError::Cancelled)
        } else {
            let mut allowance = Allowance::new(write.limits, cancel);
            core.run_alone(&write.statement, &mut allowance)
        };
        if core.is_taken_back() {
            return taken_back(core, waiting, results.len(), result);
        }
        results.push(result);
    }
    let made = results.len();
    match core.commit() {
        Ok(()) => {
            for (write, result) in waiting.drain(..made).zip(results) {
                // Whoever asked may have left; what was done stands.
                let _ = write.answer.send(result);
            }
        }
        Err(CommitError::DeferredKey) if made > 1 => return Tried::Again { of: made },
        Err(CommitError::DeferredKey) => {
            let error = EngineError::refused(
                crate::data::engine::SqlState::FOREIGN_KEY_VIOLATION,
                "a foreign key has no row at the end of the transaction",
            );
            answer_all(waiting.drain(..made), &error);
        }
        Err(CommitError::Failed(error)) => answer_all(waiting.drain(..made), &error),
    }
    Tried::Done
}

/// One statement took all of the group with it: it is answered, the others are
/// tried again without it.
fn taken_back(
    core: &mut Core,
    waiting: &mut VecDeque<Write>,
    index: usize,
    result: Result<Written, EngineError>,
) -> Tried {
    core.rollback();
    let error = result
        .err()
        .unwrap_or_else(|| EngineError::Internal("the transaction ended by itself".to_owned()));
    if let Some(write) = waiting.remove(index) {
        let _ = write.answer.send(Err(error));
    }
    Tried::Done
}

fn answer_all(writes: impl Iterator<Item = Write>, error: &EngineError) {
    for write in writes {
        let _ = write.answer.send(Err(error.clone()));
    }
}
