//! Making the store anew from its replicas, when the Element's disk is lost.
//!
//! As many replicas have to answer that one of them must have each acknowledged
//! record. First they are made to heed a new epoch, so that a writer that lives
//! after all gets nothing acknowledged any more. Then the one whose last record
//! is of the newest epoch, and of those the longest, has all that was
//! acknowledged: whoever wrote in its last epoch had it all.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::id::NodeId;
use rusqlite::Connection;

use super::{
    position::{Epoch, Position, WriterMark},
    recovery::{RecoveryError, follow},
    replica::{Replica, ReplicaError, Tail, ask_all},
    snapshot::snapshot_read,
    store::{During as _, StoreError, open_writer, query},
};

/// How many replicas there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// All that may hold acknowledged records.
    pub members: usize,
    /// On how many a record was before it was acknowledged.
    pub wanted: usize,
}

impl Quorum {
    /// How many have to answer, so that each acknowledged record is on one.
    pub const fn needed(self) -> usize {
        (self.members + 1).saturating_sub(self.wanted)
    }
}

/// Whether acknowledged records may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No.
    Refuse,
    /// The operator has said so: what answers is all that there will be.
    Accept,
}

/// What was rebuilt.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The last record.
    pub position: Position,
    /// The record at which the snapshot ended that it began with; 0: none.
    pub snapshot: u64,
    /// Replicas that have answered.
    pub answered: usize,
    /// How many had to, for all that was acknowledged to be there.
    pub needed: usize,
    /// Those that have not answered, and why.
    pub away: Vec<(NodeId, ReplicaError)>,
}

/// Why the store was not rebuilt. Nothing is left of the try.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A store is there.
    #[error("{0} is there: move it away before it is rebuilt")]
    NotEmpty(String),
    /// Too few replicas have answered.
    #[error(
        "{answered} of {members} Hosts with the log have answered; {needed} are needed to be sure \
         of every acknowledged change. Bring Hosts back, or accept the loss of what only the \
         others have"
    )]
    TooFew {
        /// How many have.
        answered: usize,
        /// How many have to.
        needed: usize,
        /// How many there are.
        members: usize,
    },
    /// None of those that have answered gave a whole log.
    #[error("no Host gave a whole log: {0}")]
    NoLog(String),
    /// The log does not make a store.
    #[error(transparent)]
    Log(#[from] RecoveryError),
    /// The new file.
    #[error("the file {path} cannot be written")]
    File {
        /// Which one.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Log(error.into())
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> RebuildError {
    let path = path.display().to_string();
    move |source| RebuildError::File { path, source }
}

struct Answer<'a> {
    tail: Tail,
    replica: &'a dyn Replica,
}

/// Makes the store at `path`, where none is, from replicas. A crash leaves
/// nothing there, or the whole store. Then [`super::recover`] makes it ready.
pub fn rebuild(
    path: &Path,
    replicas: &[Arc<dyn Replica>],
    quorum: Quorum,
    loss: Loss,
    mark: WriterMark,
) -> Result<Rebuilt, RebuildError> {
    if path.exists() {
        return Err(RebuildError::NotEmpty(path.display().to_string()));
    }
    let (epoch, mut answers, away) = claim(replicas, mark);
    let (answered, needed) = (answers.len(), quorum.needed());
    if answered < needed && (loss == Loss::Refuse || answered == 0) {
        return Err(RebuildError::TooFew {
            answered,
            needed: needed.max(1),
            members: quorum.members,
        });
    }
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.tail.last));
    let work = beside(path, ".rebuilding");
    let (position, snapshot) = assemble(&work, epoch, &answers, loss)?;
    std::fs::rename(&work, path).map_err(file_error(path))?;
    sync_folder(path).map_err(file_error(path))?;
    Ok(Rebuilt {
        position,
        snapshot,
        answered,
        needed,
        away,
    })
}

/// Makes all replicas that answer heed a new epoch, and asks how far they are.
fn claim(
    replicas: &[Arc<dyn Replica>],
    mark: WriterMark,
) -> (Epoch, Vec<Answer<'_>>, Vec<(NodeId, ReplicaError)>) {
    let tails = ask_all(replicas, |replica| replica.tail());
    let newest = tails.iter().flatten().map(|tail| tail.newest).max();
    let epoch = newest.unwrap_or_default().leap(mark);
    let (mut answers, mut away) = (Vec::new(), Vec::new());
    for (replica, claim) in replicas
        .iter()
        .zip(ask_all(replicas, |replica| replica.claim(epoch)))
    {
        match claim {
            Ok(tail) => answers.push(Answer {
                tail,
                replica: replica.as_ref(),
            }),
            Err(error) => away.push((replica.host(), error)),
        }
    }
    (epoch, answers, away)
}

/// Builds the store in a file of its own: the newest snapshot that can be
/// continued, then the records after it. `answers`: the best first.
fn assemble(
    work: &Path,
    epoch: Epoch,
    answers: &[Answer<'_>],
    loss: Loss,
) -> Result<(Position, u64), RebuildError> {
    let mut why = String::new();
    let best = answers.first().map(|answer| answer.tail.last);
    for log in answers {
        // A shorter log lacks what was acknowledged.
        if Some(log.tail.last) != best && loss == Loss::Refuse {
            break;
        }
        // Its own snapshot first; another's will do, if its log goes on there.
        let own_first = std::iter::once(log).chain(answers);
        for base in own_first {
            match attempt(work, epoch, base.replica, log)? {
                Ok(done) => return Ok(done),
                Err(error) => {
                    why = format!("{why}{} on {}; ", error, base.replica.host());
                }
            }
        }
    }
    discard(work);
    Err(RebuildError::NoLog(why))
}

/// One try with one snapshot and one log. The inner error is a replica's.
fn attempt(
    work: &Path,
    epoch: Epoch,
    base: &dyn Replica,
    log: &Answer<'_>,
) -> Result<Result<(Position, u64), ReplicaError>, RebuildError> {
    discard(work);
    if let Err(error) = fetch(work, base)? {
        return Ok(Err(error));
    }
    let mut connection = open_writer(work)?;
    let snapshot = query::ledger(&connection)?.last;
    if snapshot > log.tail.last {
        let why = format!("its snapshot goes on to {snapshot}");
        return Ok(Err(ReplicaError::Failed(why)));
    }
    // The store's own copy of the log begins anew.
    query::log_cut(&connection, snapshot.sequence)?;
    if let Err(error) = follow(&mut connection, log.replica, log.tail.last, None)? {
        return Ok(Err(error));
    }
    let position = query::ledger(&connection)?.last;
    if position != log.tail.last {
        let why = format!(
            "it announced {}, and its log leads to {position}",
            log.tail.last
        );
        return Ok(Err(ReplicaError::Failed(why)));
    }
    // What replicas that are away have of an older one is not adopted.
    query::epoch_put(&connection, epoch)?;
    settle(connection)?;
    Ok(Ok((position, snapshot.sequence)))
}

/// Brings a replica's snapshot here; without one, nothing is there.
fn fetch(work: &Path, base: &dyn Replica) -> Result<Result<(), ReplicaError>, RebuildError> {
    let mut file = File::create(work).map_err(file_error(work))?;
    match base.snapshot_get(&mut file) {
        Ok(Some(head)) => {
            file.sync_all().map_err(file_error(work))?;
            if let Err(error) = snapshot_read(work, &head) {
                return Ok(Err(ReplicaError::Failed(error.to_string())));
            }
        }
        Ok(None) => discard(work),
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

/// Brings all of the write-ahead log into the file, which is then whole by
/// itself.
fn settle(connection: Connection) -> Result<(), RebuildError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))
        .during("checkpoint")?;
    tracing::debug!(mode, "a rebuilt store is whole");
    connection
        .close()
        .map_err(|(_, error)| error)
        .during("close")?;
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes what an earlier try has left. A best effort: what stays in the way is
/// reported when the next file is made.
fn discard(work: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(beside(work, suffix));
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
