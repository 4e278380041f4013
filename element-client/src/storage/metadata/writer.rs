//! The one writer: changes that wait share one transaction and one round to the
//! replicas, each with a savepoint of its own.

mod core;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use gridmart_schemas::problem::Problem;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub(super) use self::core::Core;
#[cfg(test)]
pub(super) use self::core::Step;
use super::{
    apply::Applied,
    moment::Moment,
    position::{Epoch, Position},
    record::{Change, RecordError},
    recovery::Recovered,
    refusal::Refusal,
    replica::Replicas,
};

/// Changes that may wait for the writer.
const QUEUE_MAX: usize = 2048;

/// Changes that share one commit: enough for its cost to be small beside
/// theirs, and few enough for nobody to wait long for others' changes.
const GROUP_MAX: usize = 512;

/// A change that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// What it has done.
    pub applied: Applied,
    /// Its place in the log.
    pub position: Position,
    /// The time that it carries.
    pub time: Moment,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It does not fit what is there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its record would be too large.
    #[error("The change is too large to be recorded: {0}.")]
    TooLarge(String),
    /// Too few Hosts have it: nothing was changed.
    #[error("The change could not be made safe, and was taken back: {why}.")]
    Degraded {
        /// What is missing.
        why: String,
    },
    /// Another writer has taken over.
    #[error(
        "Another Element writes this pool's metadata (epoch {epoch}): this one takes no changes \
         until it is started anew."
    )]
    Superseded {
        /// The other's.
        epoch: String,
    },
    /// The Element's own disk refuses. Whether the change comes to be is open
    /// until the next start.
    #[error("The Element's metadata takes no change: {why}.")]
    Storage {
        /// What it said.
        why: String,
    },
    /// Too many wait.
    #[error("Too many changes of metadata wait.")]
    Busy,
    /// The Element is going down.
    #[error("The Element is going down.")]
    Stopping,
    /// A fault of gridmart itself.
    #[error("A change of metadata failed: {0}.")]
    Internal(String),
}

impl WriteError {
    /// Whether it is certain that the change was not made, and will not be.
    pub const fn is_definite(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge(_) | Self::Degraded { .. } | Self::Busy => true,
            Self::Superseded { .. } | Self::Storage { .. } | Self::Stopping | Self::Internal(_) => {
                false
            }
        }
    }
}

impl From<RecordError> for WriteError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::TooLarge(_) => Self::TooLarge(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

type Answer = oneshot::Sender<Result<Committed, WriteError>>;

enum Job {
    Change(Box<Change>, Answer),
    Task(Task, oneshot::Sender<Result<(), WriteError>>),
    Stop,
}

/// What the writer does beside changes.
enum Task {
    Assure,
    /// Cut the log up to a sequence that a snapshot on Hosts holds.
    Cut(u64),
}

/// The way to change the metadata. Cloning gives another handle to it.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    progress: Arc<Progress>,
}

/// How far the writer is, for whoever looks.
#[derive(Debug, Default)]
pub struct Progress {
    epoch: AtomicU64,
    sequence: AtomicU64,
    log_bytes: AtomicU64,
    settings: AtomicU64,
}

impl Progress {
    /// Under which epoch is written now.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Acquire))
    }

    /// The sequence of the last record.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// How often settings have changed: what was read after it was asked for is as
    /// it is until this is another number, which it is before a change of settings
    /// is answered.
    pub fn settings(&self) -> u64 {
        self.settings.load(Ordering::Acquire)
    }

    /// Bytes of records in the store's own log.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Acquire)
    }
}

/// The writer's thread; it ends with [`WriterThread::stop`].
pub struct WriterThread {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer's thread. The connection is the one that was recovered.
    pub fn start(
        connection: Connection,
        recovered: &Recovered,
        replicas: Arc<dyn Replicas>,
    ) -> Result<(Self, WriterThread), WriteError> {
        let core = Core::new(connection, recovered, replicas);
        let progress = core.progress();
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("metadata".to_owned())
            .spawn(move || run(core, queue))
            .map_err(|error| WriteError::Internal(error.to_string()))?;
        let writer = Self {
            jobs: jobs.clone(),
            progress,
        };
        Ok((writer, WriterThread { jobs, thread }))
    }

    /// Makes a change: durable here and on as many replicas as are wanted when
    /// this returns. It goes on if the caller leaves.
    pub async fn commit(&self, change: Change) -> Result<Committed, WriteError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Change(Box::new(change), answer))?;
        answered.await.map_err(|_| WriteError::Stopping)?
    }

    /// Drops the store's own log up to a sequence. Replicas that miss one of
    /// those records need a snapshot then.
    pub async fn log_cut(&self, through: u64) -> Result<(), WriteError> {
        self.task(Task::Cut(through)).await
    }

    /// Brings all that the store has to as many replicas as are wanted; those
    /// that lag catch up. At a start it is to be awaited before anything is read
    /// for people: until it has gone well, what was adopted may be on fewer, and
    /// a rebuild may bring back what was taken back.
    pub async fn assure(&self) -> Result<(), WriteError> {
        self.task(Task::Assure).await
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    async fn task(&self, task: Task) -> Result<(), WriteError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Task(task, answer))?;
        answered.await.map_err(|_| WriteError::Stopping)?
    }

    fn send(&self, job: Job) -> Result<(), WriteError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => WriteError::Stopping,
        })
    }
}

impl WriterThread {
    /// Ends the writer after the changes that wait. Blocks.
    pub fn stop(self) {
        // A writer that has ended needs no word.
        let _ = self.jobs.blocking_send(Job::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the writer of the metadata has panicked");
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        Self::from(&error)
    }
}

fn run(mut core: Core, mut queue: mpsc::Receiver<Job>) {
    let mut group = Group::default();
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Change(change, answer) => group.push(*change, answer),
                Job::Task(task, answer) => group.tasks.push((task, answer)),
                Job::Stop => {
                    group.make(&mut core);
                    return;
                }
            }
            if group.changes.len() < GROUP_MAX {
                next = queue.try_recv().ok();
            }
        }
        group.make(&mut core);
    }
}

/// What is done together.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
    answers: Vec<Answer>,
    tasks: Vec<(Task, oneshot::Sender<Result<(), WriteError>>)>,
}

impl Group {
    fn push(&mut self, change: Change, answer: Answer) {
        self.changes.push(change);
        self.answers.push(answer);
    }

    fn make(&mut self, core: &mut Core) {
        while !self.changes.is_empty() {
            let results = core.run(&self.changes);
            self.changes.drain(..results.len());
            for (answer, result) in self.answers.drain(..results.len()).zip(results) {
                // Whoever asked may have left; the change stands all the same.
                let _ = answer.send(result);
            }
        }
        for (task, answer) in self.tasks.drain(..) {
            let result = match task {
                Task::Assure => core.assure(),
                Task::Cut(through) => core.log_cut(through),
            };
            let _ = answer.send(result);
        }
    }
}
