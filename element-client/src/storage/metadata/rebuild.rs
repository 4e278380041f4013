//! Making the store anew from its replicas, when the Element's disk is lost.
//!
//! First all Hosts that answer are made to heed a new epoch, so that a writer that
//! lives after all gets nothing acknowledged any more. Then the one whose last
//! record is of the newest epoch, and of those the longest, has all that was
//! acknowledged, if enough of the members that it names have answered: why, is
//! said at [`Membership`].

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::id::NodeId;
use rusqlite::Connection;

use super::{
    membership::{MemberSet, Membership},
    position::{Epoch, Position, WriterMark},
    recovery::{RecoveryError, follow},
    replica::{Replica, ReplicaError, Tail, ask_all},
    snapshot::snapshot_read,
    store::{During as _, StoreError, open_writer, query},
};

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
    /// The members of the log, as the rebuilt store names them.
    pub membership: Membership,
    /// Whether all that was acknowledged is there for certain.
    pub is_whole: bool,
    /// Those that have not answered, and why.
    pub away: Vec<(NodeId, ReplicaError)>,
}

/// Why the store was not rebuilt. Nothing is left of the try.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A store is there.
    #[error("{0} is there: move it away before it is rebuilt")]
    NotEmpty(String),
    /// Too few members of the log have answered.
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
    /// What has answered names no members: it is no log at all, or its very
    /// beginning.
    #[error(
        "none of the {answered} Hosts that have answered has a log that says which Hosts hold it. \
         Bring Hosts back, or accept that the store begins with what they have"
    )]
    NoMembers {
        /// How many have.
        answered: usize,
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

/// A store in the making.
struct Made {
    position: Position,
    snapshot: u64,
    membership: Membership,
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
    loss: Loss,
    mark: WriterMark,
) -> Result<Rebuilt, RebuildError> {
    if path.exists() {
        return Err(RebuildError::NotEmpty(path.display().to_string()));
    }
    let (epoch, mut answers, away) = claim(replicas, mark);
    if answers.is_empty() {
        return Err(RebuildError::NoMembers { answered: 0 });
    }
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.tail.last));
    let work = beside(path, ".rebuilding");
    let made = assemble(&work, epoch, &answers, loss).and_then(|made| {
        let is_whole = match require_enough(&made.membership, &answers) {
            Err(refusal) if loss == Loss::Refuse => return Err(refusal),
            enough => enough.is_ok(),
        };
        // What an older store has left would be taken for this one's.
        leftovers_remove(path).map_err(file_error(path))?;
        std::fs::rename(&work, path).map_err(file_error(path))?;
        sync_folder(path).map_err(file_error(path))?;
        Ok((made, is_whole))
    });
    // After a rename there is nothing of it.
    discard(&work);
    let (made, is_whole) = made?;
    Ok(Rebuilt {
        position: made.position,
        snapshot: made.snapshot,
        answered: answers.len(),
        membership: made.membership,
        is_whole,
        away,
    })
}

/// Whether, of each set that the last log names, enough have answered.
fn require_enough(membership: &Membership, answers: &[Answer<'_>]) -> Result<(), RebuildError> {
    let answered: BTreeSet<NodeId> = answers.iter().map(|one| one.replica.host()).collect();
    if membership.sets().is_empty() {
        return Err(RebuildError::NoMembers {
            answered: answered.len(),
        });
    }
    match membership.missing(&answered, MemberSet::needed) {
        None => Ok(()),
        Some(set) => Err(RebuildError::TooFew {
            answered: set.count(&answered),
            needed: set.needed(),
            members: set.hosts.len(),
        }),
    }
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
) -> Result<Made, RebuildError> {
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
    Err(RebuildError::NoLog(why))
}

/// One try with one snapshot and one log. The inner error is a replica's.
fn attempt(
    work: &Path,
    epoch: Epoch,
    base: &dyn Replica,
    log: &Answer<'_>,
) -> Result<Result<Made, ReplicaError>, RebuildError> {
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
    let membership = Membership::read(&connection)?;
    settle(connection)?;
    Ok(Ok(Made {
        position,
        snapshot: snapshot.sequence,
        membership,
    }))
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

/// Removes the write-ahead log of a store whose file is gone.
fn leftovers_remove(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
