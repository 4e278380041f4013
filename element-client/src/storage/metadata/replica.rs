//! The log's copies on Hosts, as the Element sees them.
//!
//! A replica keeps records as a follower in Raft does: what comes must follow
//! what it has; records of a newer epoch take the place of those of an older one
//! at the same sequence and all that came after them; and from the first word of
//! a newer epoch on, nothing of an older one is taken.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use gridmart_schemas::id::NodeId;

use super::position::{Entry, Epoch, Position};

/// Records for a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Under which epoch they are sent; their own may be older.
    pub epoch: Epoch,
    /// What must be before them.
    pub previous: Position,
    /// In order, without gaps; none: only whether all before is there.
    pub entries: Vec<Entry>,
}

impl Append {
    /// Where a replica is that has taken it.
    pub fn last(&self) -> Position {
        self.entries
            .last()
            .map_or(self.previous, |entry| entry.position)
    }
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The newest epoch that it has heard of.
    pub newest: Epoch,
    /// Its last record, or the end of its snapshot.
    pub last: Position,
}

/// A snapshot of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The last record that is in it.
    pub position: Position,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

/// Why a replica did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// It does not answer.
    #[error("the Host does not answer: {0}")]
    Away(String),
    /// Another writer has come.
    #[error("the Host has heard of epoch {newest}")]
    StaleEpoch {
        /// Which one it knows.
        newest: Epoch,
    },
    /// What must be before is not there. To a read: the records are only in its
    /// snapshot.
    #[error("the Host has the records up to {has}")]
    Gap {
        /// A position that it has: for an append, one before or at the gap; for
        /// a read, the end of its snapshot.
        has: Position,
    },
    /// Its disk refuses, or what it has is damaged.
    #[error("the Host refuses: {0}")]
    Failed(String),
}

/// One copy of the log. Every call blocks, and ends in a bounded time.
pub trait Replica: Send + Sync {
    /// On which Host it is.
    fn host(&self) -> NodeId;

    /// Tells how far it is.
    fn tail(&self) -> Result<Tail, ReplicaError>;

    /// Takes records only of this epoch or a newer one from now on; durable on
    /// return. Refused if it has heard of a newer one.
    fn claim(&self, epoch: Epoch) -> Result<Tail, ReplicaError>;

    /// Takes records; durable on return. Those that it has are skipped.
    fn append(&self, append: &Append) -> Result<(), ReplicaError>;

    /// Gives the records after a sequence, in order, until they have about so
    /// many bytes; one at least if there is one.
    fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<Entry>, ReplicaError>;

    /// Takes a snapshot in place of the records up to its position; durable, and
    /// its hash compared, on return.
    fn snapshot_put(
        &self,
        epoch: Epoch,
        head: &SnapshotHead,
        content: &mut dyn Read,
    ) -> Result<(), ReplicaError>;

    /// Gives its snapshot, if it has one.
    fn snapshot_get(&self, into: &mut dyn Write) -> Result<Option<SnapshotHead>, ReplicaError>;
}

/// Replicas that are asked at the same time, each on a thread of its own.
const ASKED_MAX: usize = 64;

/// Asks all replicas, many at the same time.
pub(super) fn ask_all<T: Send>(
    replicas: &[Arc<dyn Replica>],
    ask: impl Fn(&dyn Replica) -> Result<T, ReplicaError> + Sync,
) -> Vec<Result<T, ReplicaError>> {
    let ask = &ask;
    let mut answers = Vec::with_capacity(replicas.len());
    for some in replicas.chunks(ASKED_MAX) {
        std::thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|replica| scope.spawn(move || ask(replica.as_ref())))
                .collect();
            answers.extend(asked.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(ReplicaError::Failed("asking it panicked".to_owned())))
            }));
        });
    }
    answers
}

/// Why records are not durable on as many replicas as are wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// Too few have taken them in time.
    #[error("{have} of {wanted} Hosts have taken the records ({why})")]
    TooFew {
        /// How many have.
        have: usize,
        /// How many must.
        wanted: usize,
        /// What the others said.
        why: String,
    },
    /// One has heard of a newer writer.
    #[error("a Host has heard of the newer epoch {newest}")]
    Superseded {
        /// The newer writer's.
        newest: Epoch,
    },
}

/// All copies of the log together.
pub trait Replicas: Send + Sync {
    /// Returns when the records are durable on as many replicas as are wanted,
    /// or cannot be, in a bounded time.
    fn append(&self, append: Append) -> Result<(), NotDurable>;
}
