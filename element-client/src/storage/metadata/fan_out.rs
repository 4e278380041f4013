//! Bringing records to all replicas at once.
//!
//! Each replica has a thread that brings it the newest records, and those that
//! it has missed out of the store's own log. A slow one skips what was asked
//! meanwhile: nobody waits for it, and it has caught up before it takes newer
//! ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridmart_fabric::fault::FaultPoint;
use gridmart_schemas::id::NodeId;
use parking_lot::{Condvar, Mutex};

use super::{
    membership::Membership,
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
    round: Mutex<Round>,
}

/// Who is brought records, and who of them must have them.
#[derive(Default)]
struct Round {
    feeds: Vec<Feed>,
    membership: Membership,
}

/// How a replica follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// On which Host it is.
    pub host: NodeId,
    /// The last record that it is known to have; nothing in this run: the start.
    pub taken: Position,
    /// It misses more than the store's log has.
    pub needs_snapshot: bool,
    /// Why it has not taken what it was brought last, if so.
    pub trouble: Option<String>,
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
    outcome: Mutex<Outcome>,
}

/// What became of what was brought.
#[derive(Default)]
struct Outcome {
    taken: Position,
    needs_snapshot: bool,
    trouble: Option<String>,
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
    durable: BTreeSet<NodeId>,
    failed: BTreeSet<NodeId>,
    /// Who has heard of which newer epoch.
    superseded: BTreeMap<NodeId, Epoch>,
    why: String,
}

impl FanOut {
    /// Without replicas yet. Records have to be durable within `patience`.
    pub fn new(readers: Readers, patience: Duration) -> Self {
        Self {
            readers,
            patience,
            round: Mutex::default(),
        }
    }

    /// Brings records to these replicas from now on; enough of each set of the
    /// membership must have them before anything is acknowledged. Replicas that
    /// are no members only follow. Blocks until the threads of those that are
    /// left out have ended.
    ///
    /// Whoever rebuilds has to know all replicas that may hold acknowledged
    /// records: see [`Membership`] for the order of steps.
    pub fn members_set(&self, replicas: Vec<Arc<dyn Replica>>, membership: Membership) {
        let mut round = self.round.lock();
        let mut before = std::mem::take(&mut round.feeds);
        for replica in replicas {
            let host = replica.host();
            let feed = match before.iter().position(|feed| feed.host == host) {
                Some(at) => before.swap_remove(at),
                None => Feed::start(replica, self.readers.clone()),
            };
            round.feeds.push(feed);
        }
        round.membership = membership;
        drop(round);
        // Their threads are awaited while nobody is kept waiting.
        drop(before);
    }

    /// Who must have records now.
    pub fn membership(&self) -> Membership {
        self.round.lock().membership.clone()
    }

    /// How each replica follows.
    pub fn following(&self) -> Vec<Following> {
        let round = self.round.lock();
        round.feeds.iter().map(Feed::following).collect()
    }

    /// The Hosts that miss more than the store's log has: they need a snapshot.
    pub fn behind(&self) -> Vec<NodeId> {
        let following = self.following().into_iter();
        let behind = following.filter(|one| one.needs_snapshot);
        behind.map(|one| one.host).collect()
    }
}

impl Replicas for FanOut {
    fn append(&self, append: Append) -> Result<(), NotDurable> {
        let append = Arc::new(append);
        let tally = Arc::new(Tally::default());
        let deadline = Instant::now() + self.patience;
        let (asked, membership) = {
            let round = self.round.lock();
            for feed in &round.feeds {
                feed.desk.put(Errand {
                    append: Arc::clone(&append),
                    tally: Arc::clone(&tally),
                });
            }
            let asked = round.feeds.iter().map(|feed| feed.host);
            (asked.collect(), round.membership.clone())
        };
        tally.wait(&asked, &membership, deadline)
    }
}

impl Tally {
    fn vote(&self, host: NodeId, result: Result<(), &Refused>) {
        let mut votes = self.votes.lock();
        match result {
            Ok(()) => {
                votes.durable.insert(host);
            }
            Err(refused) => {
                votes.failed.insert(host);
                if let Some(newest) = refused.stale() {
                    votes.superseded.insert(host, newest);
                }
                let why = format!("{}{refused}; ", votes.why);
                votes.why = why.chars().take(WHY_CHARACTERS).collect();
            }
        }
        self.changed.notify_all();
    }

    fn wait(
        &self,
        asked: &BTreeSet<NodeId>,
        membership: &Membership,
        deadline: Instant,
    ) -> Result<(), NotDurable> {
        let mut votes = self.votes.lock();
        loop {
            // Only members can let another writer in.
            let members = membership.hosts();
            let heard = votes.superseded.iter();
            let heard = heard.filter(|(host, _)| members.contains(host));
            if let Some(newest) = heard.map(|(_, newest)| *newest).max() {
                return Err(NotDurable::Superseded { newest });
            }
            let Some(missing) = membership.missing(&votes.durable, |set| set.wanted) else {
                return require_members(membership);
            };
            let hopeful = asked.difference(&votes.failed).copied().collect();
            let is_hopeless = membership.missing(&hopeful, |set| set.wanted).is_some();
            if is_hopeless || self.changed.wait_until(&mut votes, deadline).timed_out() {
                let answered = votes.durable.union(&votes.failed).count();
                return Err(NotDurable::TooFew {
                    have: missing.count(&votes.durable),
                    wanted: missing.wanted,
                    why: format!(
                        "{}{} of {} have not answered",
                        votes.why,
                        asked.len().saturating_sub(answered),
                        asked.len()
                    ),
                });
            }
        }
    }
}

/// Nobody has anything where there are no members.
fn require_members(membership: &Membership) -> Result<(), NotDurable> {
    if !membership.sets().is_empty() {
        return Ok(());
    }
    Err(NotDurable::TooFew {
        have: 0,
        wanted: 1,
        why: "no Host holds the log yet".to_owned(),
    })
}

impl Outcome {
    fn note(&mut self, brought: Position, result: &Result<(), Refused>) {
        self.needs_snapshot = matches!(result, Err(Refused::NeedsSnapshot));
        self.trouble = result.as_ref().err().map(ToString::to_string);
        if result.is_ok() {
            self.taken = brought;
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

    fn following(&self) -> Following {
        let outcome = self.desk.outcome.lock();
        Following {
            host: self.host,
            taken: outcome.taken,
            needs_snapshot: outcome.needs_snapshot,
            trouble: outcome.trouble.clone(),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(Errand { tally, .. }) = self.desk.close() {
            let why = "it keeps the log no longer".to_owned();
            tally.vote(self.host, Err(&ReplicaError::Away(why).into()));
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
        let host = self.replica.host();
        while let Some(Errand { append, tally }) = desk.take() {
            let result = self.bring(&append);
            if let Err(refused) = &result {
                tracing::debug!(%host, %refused, "a replica has not taken records");
            }
            if result.is_ok() {
                FaultPoint::MetadataTaken.pass_or_die();
            }
            desk.outcome.lock().note(append.last(), &result);
            tally.vote(host, result.as_ref().map(drop));
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
