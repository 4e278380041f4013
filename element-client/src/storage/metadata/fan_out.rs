//! Bringing records to all replicas at once.
//!
//! Each replica has a thread that brings it the newest records, and those that
//! it has missed out of the store's own log. A slow one skips what was asked
//! meanwhile: nobody waits for it, and it has caught up before it takes newer
//! ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridmart_schemas::id::NodeId;
use parking_lot::{Condvar, Mutex};

use super::{
    position::{Epoch, Position},
    replica::{Append, NotDurable, Replica, ReplicaError, Replicas},
    store::{Readers, StoreError, query},
};

/// Bytes of missed records that are sent at one go.
const CATCH_UP_BYTES: usize = 4 * 1024 * 1024;

/// Characters of what replicas said that are told.
const WHY_CHARACTERS: usize = 400;

/// The replicas of an Element's log.
pub struct FanOut {
    readers: Readers,
    patience: Duration,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    feeds: Vec<Feed>,
    wanted: usize,
}

struct Feed {
    host: NodeId,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where a replica's thread finds what to bring: the newest alone.
#[derive(Default)]
struct Desk {
    slot: Mutex<Slot>,
    filled: Condvar,
    needs_snapshot: AtomicBool,
}

#[derive(Default)]
struct Slot {
    errand: Option<Errand>,
    closed: bool,
}

struct Errand {
    append: Arc<Append>,
    tally: Arc<Tally>,
}

/// How many have taken an append.
#[derive(Default)]
struct Tally {
    votes: Mutex<Votes>,
    changed: Condvar,
}

#[derive(Default)]
struct Votes {
    durable: usize,
    failed: usize,
    superseded: Option<Epoch>,
    why: String,
}

impl FanOut {
    /// Without replicas yet. Records have to be durable within `patience`.
    pub fn new(readers: Readers, patience: Duration) -> Self {
        Self {
            readers,
            patience,
            members: Mutex::default(),
        }
    }

    /// Brings records to these replicas from now on; `wanted` of them must have
    /// them before anything is acknowledged. Waits for the threads of those that
    /// are left out.
    ///
    /// Whoever rebuilds has to know all replicas that may hold acknowledged
    /// records: one is left out only when enough others have caught up.
    pub fn members_set(&self, replicas: Vec<Arc<dyn Replica>>, wanted: usize) {
        let start = |replica| Feed::start(replica, self.readers.clone());
        let feeds = replicas.into_iter().map(start).collect();
        let members = Members { feeds, wanted };
        let before = std::mem::replace(&mut *self.members.lock(), members);
        // Their threads are awaited while nobody is kept waiting.
        drop(before);
    }

    /// The Hosts that miss more than the store's log has: they need a snapshot.
    pub fn behind(&self) -> Vec<NodeId> {
        let members = self.members.lock();
        let behind = members
            .feeds
            .iter()
            .filter(|feed| feed.desk.needs_snapshot.load(Ordering::Acquire));
        behind.map(|feed| feed.host).collect()
    }
}

impl Replicas for FanOut {
    fn append(&self, append: Append) -> Result<(), NotDurable> {
        let append = Arc::new(append);
        let tally = Arc::new(Tally::default());
        let (count, wanted) = {
            let members = self.members.lock();
            for feed in &members.feeds {
                feed.desk.put(Errand {
                    append: Arc::clone(&append),
                    tally: Arc::clone(&tally),
                });
            }
            (members.feeds.len(), members.wanted)
        };
        tally.wait(count, wanted, Instant::now() + self.patience)
    }
}

impl Tally {
    fn vote(&self, result: Result<(), Refused>) {
        let mut votes = self.votes.lock();
        match result {
            Ok(()) => votes.durable += 1,
            Err(refused) => {
                votes.failed += 1;
                votes.superseded = votes.superseded.max(refused.stale());
                let why = format!("{}{refused}; ", votes.why);
                votes.why = why.chars().take(WHY_CHARACTERS).collect();
            }
        }
        self.changed.notify_all();
    }

    fn wait(&self, count: usize, wanted: usize, deadline: Instant) -> Result<(), NotDurable> {
        let mut votes = self.votes.lock();
        loop {
            if let Some(newest) = votes.superseded {
                return Err(NotDurable::Superseded { newest });
            }
            if votes.durable >= wanted {
                return Ok(());
            }
            let is_hopeless = count - votes.failed < wanted;
            if is_hopeless || self.changed.wait_until(&mut votes, deadline).timed_out() {
                let missing = count - votes.failed - votes.durable;
                return Err(NotDurable::TooFew {
                    have: votes.durable,
                    wanted,
                    why: format!("{}{missing} of {count} have not answered", votes.why),
                });
            }
        }
    }
}

impl Desk {
    fn put(&self, errand: Errand) {
        let mut slot = self.slot.lock();
        // Whoever waited for the one before has given it up.
        slot.errand = Some(errand);
        self.filled.notify_one();
    }

    /// Ends the thread; gives what it has not begun.
    fn close(&self) -> Option<Errand> {
        let mut slot = self.slot.lock();
        slot.closed = true;
        self.filled.notify_one();
        slot.errand.take()
    }

    fn take(&self) -> Option<Errand> {
        let mut slot = self.slot.lock();
        loop {
            if slot.closed {
                return None;
            }
            if let Some(errand) = slot.errand.take() {
                return Some(errand);
            }
            self.filled.wait(&mut slot);
        }
    }
}

impl Feed {
    fn start(replica: Arc<dyn Replica>, readers: Readers) -> Self {
        let desk = Arc::new(Desk::default());
        let host = replica.host();
        let (courier, own_desk) = (Courier { replica, readers }, Arc::clone(&desk));
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || courier.run(&own_desk))
            .inspect_err(|error| tracing::error!(%host, %error, "no thread for a replica"))
            .ok();
        Self { host, desk, thread }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(Errand { tally, .. }) = self.desk.close() {
            let why = "it keeps the log no longer".to_owned();
            tally.vote(Err(ReplicaError::Away(why).into()));
        }
        if let Some(thread) = self.thread.take() {
            // A panic of it was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// Why a replica did not get it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the Host needs a snapshot")]
    NeedsSnapshot,
}

impl Refused {
    /// The newer epoch that the replica has heard of, if that is why.
    pub(super) const fn stale(&self) -> Option<Epoch> {
        match self {
            Self::Replica(ReplicaError::StaleEpoch { newest }) => Some(*newest),
            _ => None,
        }
    }
}

/// Brings one replica what it should have.
pub(super) struct Courier {
    pub(super) replica: Arc<dyn Replica>,
    pub(super) readers: Readers,
}

impl Courier {
    fn run(&self, desk: &Desk) {
        while let Some(Errand { append, tally }) = desk.take() {
            let result = self.bring(&append);
            let needs_snapshot = matches!(result, Err(Refused::NeedsSnapshot));
            desk.needs_snapshot.store(needs_snapshot, Ordering::Release);
            if let Err(refused) = &result {
                let host = self.replica.host();
                tracing::debug!(%host, %refused, "a replica has not taken records");
            }
            tally.vote(result);
        }
    }

    pub(super) fn bring(&self, append: &Append) -> Result<(), Refused> {
        match self.replica.append(append) {
            Err(ReplicaError::Gap { has }) => {
                self.catch_up(append, has)?;
                Ok(self.replica.append(append)?)
            }
            other => Ok(other?),
        }
    }

    /// Brings what comes before an append. Where the replica has other records
    /// than we do, it looks further and further back for the last common one.
    fn catch_up(&self, append: &Append, has: Position) -> Result<(), Refused> {
        let mut step = 1;
        let mut from = self.own_at_or_before(append.previous.sequence, has)?;
        while from.sequence < append.previous.sequence {
            let entries = self
                .readers
                .read_here(|store| query::entries_after(store, from.sequence, CATCH_UP_BYTES))?;
            let chunk = Append {
                epoch: append.epoch,
                previous: from,
                entries,
            };
            if chunk.entries.is_empty() {
                return Err(Refused::NeedsSnapshot);
            }
            from = match self.replica.append(&chunk) {
                Ok(()) => chunk.last(),
                Err(ReplicaError::Gap { has }) => {
                    let limit = from.sequence.saturating_sub(step);
                    step *= 2;
                    self.own_at_or_before(limit, has)?
                }
                Err(other) => return Err(other.into()),
            };
        }
        Ok(())
    }

    /// Our own position where the replica may agree: at what it has, but not
    /// after `limit`.
    fn own_at_or_before(&self, limit: u64, has: Position) -> Result<Position, Refused> {
        let sequence = has.sequence.min(limit);
        self.readers
            .read_here(|store| query::position_of(store, sequence))?
            .ok_or(Refused::NeedsSnapshot)
    }
}
