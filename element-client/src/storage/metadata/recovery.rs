//! The start of an Element whose store is there.
//!
//! What was acknowledged is in the store. What its last run gave to replicas
//! and could not commit any more may be on some: it is adopted, for it may be
//! what a caller believes done. What was taken back is of a spent epoch, and is
//! not adopted.

use std::sync::Arc;

use gridmart_schemas::id::NodeId;
use rusqlite::{Connection, TransactionBehavior};

use super::{
    apply::{ApplyError, admit},
    position::{Entry, Epoch, Position, WriterMark},
    record::{Record, RecordError},
    replica::{Replica, ReplicaError, Tail, ask_all},
    store::{During as _, StoreError, query},
};

/// Bytes of records that are read, and applied in one transaction.
pub(super) const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// What a start has found.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The epoch of the writer that starts now; durable.
    pub epoch: Epoch,
    /// The last record.
    pub position: Position,
    /// Records that replicas had, and the store had not.
    pub adopted: u64,
    /// Replicas that have answered, and heed the new epoch.
    pub answered: usize,
    /// Those that have not, and why.
    pub away: Vec<(NodeId, ReplicaError)>,
    pub(super) mark: WriterMark,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A replica has a log that does not begin as the store's does.
    #[error(
        "the log on the Host {host} is another than this store's from record {at} on: another \
         writer has taken over; move the store away and rebuild it from the Hosts"
    )]
    Diverged {
        /// On which Host.
        host: NodeId,
        /// Where.
        at: u64,
    },
    /// A replica has records after the store's, but not those that come next.
    #[error(
        "the store ends at record {own}, and the Host {host} keeps single records from {theirs} \
         on only: this store is old; move it away and rebuild it from the Hosts"
    )]
    Behind {
        /// On which Host.
        host: NodeId,
        /// The store's last.
        own: u64,
        /// Where the replica's log begins.
        theirs: u64,
    },
    /// A record cannot be read.
    #[error("record {at} cannot be read")]
    Record {
        /// Where it is.
        at: u64,
        /// Why.
        source: RecordError,
    },
    /// A record does not fit what the ones before have made.
    #[error("record {at} does not fit the store: the store is damaged; rebuild it")]
    Unfit {
        /// Where it is.
        at: u64,
        /// Why.
        source: ApplyError,
    },
    /// A replica sends what is no log.
    #[error("the log that was read goes from record {previous} to {next}")]
    Torn {
        /// The record before.
        previous: Position,
        /// The one that came.
        next: Position,
    },
}

/// Makes a store ready for a new writer: adopts what its replicas have beyond
/// it, and raises the epoch. Replicas that are away do not matter: whatever was
/// acknowledged is in the store.
///
/// What was adopted may be on fewer replicas than are wanted, until
/// [`super::Writer::assure`] or the first commit has gone well.
pub fn recover(
    connection: &mut Connection,
    replicas: &[Arc<dyn Replica>],
    mark: WriterMark,
) -> Result<Recovered, RecoveryError> {
    let before = query::ledger(connection)?;
    let mut away = Vec::new();
    let mut tails: Vec<(Tail, &Arc<dyn Replica>)> = Vec::new();
    for (replica, tail) in replicas
        .iter()
        .zip(ask_all(replicas, |replica| replica.tail()))
    {
        match tail {
            Ok(tail) => tails.push((tail, replica)),
            Err(error) => away.push((replica.host(), error)),
        }
    }
    let newest = tails.iter().map(|(tail, _)| tail.newest).max();
    // Of the newest epoch first, then the longest: what it lacks of another one
    // was never acknowledged.
    tails.sort_by_key(|(tail, _)| std::cmp::Reverse(tail.last));
    let ahead: Vec<_> = tails
        .iter()
        .filter(|(tail, _)| tail.last > before.last && tail.last.epoch >= before.epoch)
        .collect();
    for (tail, replica) in ahead {
        let own = query::ledger(connection)?.last;
        if tail.last <= own {
            break;
        }
        if let Err(error) = adopt(connection, replica.as_ref(), *tail, before.epoch)? {
            away.push((replica.host(), error));
        }
    }
    let position = query::ledger(connection)?.last;
    let epoch = newest.unwrap_or_default().max(before.epoch).next(mark);
    query::epoch_put(connection, epoch)?;
    let claimed = ask_all(replicas, |replica| replica.claim(epoch));
    Ok(Recovered {
        epoch,
        position,
        adopted: position.sequence - before.last.sequence,
        answered: claimed.iter().filter(|claim| claim.is_ok()).count(),
        away,
        mark,
    })
}

/// Applies what a replica has beyond the store. The inner error is the
/// replica's: another one may have the same.
fn adopt(
    connection: &mut Connection,
    replica: &dyn Replica,
    tail: Tail,
    epoch: Epoch,
) -> Result<Result<(), ReplicaError>, RecoveryError> {
    let own = query::ledger(connection)?.last;
    let host = replica.host();
    let diverged = || RecoveryError::Diverged {
        host,
        at: own.sequence,
    };
    if tail.last.sequence < own.sequence {
        return Err(diverged());
    }
    match common(replica, own) {
        Ok(true) => {}
        Ok(false) => return Err(diverged()),
        Err(ReplicaError::Gap { has }) => {
            return Err(RecoveryError::Behind {
                host,
                own: own.sequence,
                theirs: has.sequence,
            });
        }
        Err(error) => return Ok(Err(error)),
    }
    follow(connection, replica, tail.last, Some(epoch))
}

/// Whether a replica has the same record at this position.
fn common(replica: &dyn Replica, own: Position) -> Result<bool, ReplicaError> {
    if own.sequence == 0 {
        return Ok(true);
    }
    match replica.read(own.sequence - 1, 1) {
        Ok(entries) => Ok(entries.first().is_some_and(|entry| entry.position == own)),
        Err(ReplicaError::Gap { has }) if has.sequence == own.sequence => Ok(has == own),
        Err(error) => Err(error),
    }
}

/// Applies a replica's records from the store's end up to a position; none of an
/// epoch before `since`.
pub(super) fn follow(
    connection: &mut Connection,
    replica: &dyn Replica,
    until: Position,
    since: Option<Epoch>,
) -> Result<Result<(), ReplicaError>, RecoveryError> {
    loop {
        let own = query::ledger(connection)?.last;
        if own.sequence >= until.sequence {
            return Ok(Ok(()));
        }
        let entries = match replica.read(own.sequence, CHUNK_BYTES) {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        if entries.is_empty() {
            let why = format!("it ends at record {}, before {until}", own.sequence);
            return Ok(Err(ReplicaError::Failed(why)));
        }
        if let Some(since) = since
            && entries.iter().any(|entry| entry.position.epoch < since)
        {
            let why = "its next records are of a spent epoch".to_owned();
            return Ok(Err(ReplicaError::Failed(why)));
        }
        apply_all(connection, own, &entries)?;
    }
}

fn apply_all(
    connection: &mut Connection,
    mut previous: Position,
    entries: &[Entry],
) -> Result<(), RecoveryError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .during("begin")?;
    for entry in entries {
        let next = entry.position;
        if next.sequence != previous.sequence + 1 || next.epoch < previous.epoch {
            return Err(RecoveryError::Torn { previous, next });
        }
        let at = next.sequence;
        let record =
            Record::decode(&entry.bytes).map_err(|source| RecoveryError::Record { at, source })?;
        admit(&transaction, entry, &record)
            .map_err(|source| RecoveryError::Unfit { at, source })?;
        previous = next;
    }
    transaction.commit().during("commit")?;
    Ok(())
}
