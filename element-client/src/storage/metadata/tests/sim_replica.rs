//! A replica in memory that fails as Hosts do: away, answers that are lost,
//! syncs that fail, power cuts that take what was not synced.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::Arc,
};

use gridmart_schemas::id::NodeId;
use parking_lot::Mutex;

use crate::storage::metadata::{
    fan_out::Courier,
    position::{Entry, Epoch, Position},
    replica::{Append, NotDurable, Replica, ReplicaError, Replicas, SnapshotHead, Tail},
    store::Readers,
};

/// What becomes of the next append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Fate {
    /// All is well.
    Well,
    /// The request is lost.
    Lost,
    /// It is written and synced, and the answer is lost.
    Unanswered,
    /// It is written, and the sync fails.
    Unsynced,
}

#[derive(Clone, Default)]
struct Copy {
    newest: Epoch,
    base: Position,
    log: Vec<Entry>,
    snapshot: Option<(SnapshotHead, Arc<[u8]>)>,
}

#[derive(Default)]
struct State {
    is_away: bool,
    fates: VecDeque<Fate>,
    /// What it answers from, and what a power cut leaves.
    written: Copy,
    synced: Copy,
}

pub(in crate::storage) struct SimReplica {
    host: NodeId,
    state: Mutex<State>,
}

impl SimReplica {
    pub(in crate::storage) fn new(host: NodeId) -> Arc<Self> {
        Arc::new(Self {
            host,
            state: Mutex::default(),
        })
    }

    pub(in crate::storage) fn away(&self, is_away: bool) {
        self.state.lock().is_away = is_away;
    }

    pub(in crate::storage) fn fate(&self, fate: Fate) {
        self.state.lock().fates.push_back(fate);
    }

    pub(in crate::storage) fn power_cut(&self) {
        let mut state = self.state.lock();
        state.written = state.synced.clone();
    }

    /// Flips a bit of what its snapshot holds.
    pub(in crate::storage) fn snapshot_damage(&self) {
        let mut state = self.state.lock();
        if let Some((_, bytes)) = &mut state.written.snapshot {
            let mut damaged = bytes.to_vec();
            damaged[5000] ^= 1;
            *bytes = damaged.into();
        }
    }

    fn reach<T>(
        &self,
        act: impl FnOnce(&mut State) -> Result<T, ReplicaError>,
    ) -> Result<T, ReplicaError> {
        let mut state = self.state.lock();
        if state.is_away {
            return Err(away());
        }
        act(&mut state)
    }
}

fn away() -> ReplicaError {
    ReplicaError::Away("no answer".to_owned())
}

impl Copy {
    fn last(&self) -> Position {
        self.log.last().map_or(self.base, |entry| entry.position)
    }

    /// The position at a sequence; what the snapshot covers is taken to agree.
    fn at(&self, sequence: u64) -> Option<Position> {
        let index = sequence.checked_sub(self.base.sequence + 1);
        match index {
            None => Some(self.base),
            Some(index) => self
                .log
                .get(usize::try_from(index).unwrap())
                .map(|entry| entry.position),
        }
    }

    fn heed(&mut self, epoch: Epoch) -> Result<(), ReplicaError> {
        if epoch < self.newest {
            return Err(ReplicaError::StaleEpoch {
                newest: self.newest,
            });
        }
        self.newest = epoch;
        Ok(())
    }

    fn append(&mut self, append: &Append) -> Result<(), ReplicaError> {
        self.heed(append.epoch)?;
        let previous = append.previous;
        match self.at(previous.sequence) {
            None => return Err(ReplicaError::Gap { has: self.last() }),
            Some(_) if previous.sequence < self.base.sequence => {}
            Some(found) if found == previous => {}
            Some(_) => {
                let before = self.at(previous.sequence.saturating_sub(1));
                let has = before.unwrap_or(self.base);
                return Err(ReplicaError::Gap { has });
            }
        }
        for entry in &append.entries {
            let sequence = entry.position.sequence;
            if sequence <= self.base.sequence || self.at(sequence) == Some(entry.position) {
                continue;
            }
            let keep = usize::try_from(sequence - self.base.sequence - 1).unwrap();
            self.log.truncate(keep);
            self.log.push(entry.clone());
        }
        Ok(())
    }
}

impl Replica for SimReplica {
    fn host(&self) -> NodeId {
        self.host
    }

    fn tail(&self) -> Result<Tail, ReplicaError> {
        self.reach(|state| {
            Ok(Tail {
                newest: state.written.newest,
                last: state.written.last(),
            })
        })
    }

    fn claim(&self, epoch: Epoch) -> Result<Tail, ReplicaError> {
        self.reach(|state| {
            state.written.heed(epoch)?;
            state.synced = state.written.clone();
            Ok(Tail {
                newest: epoch,
                last: state.written.last(),
            })
        })
    }

    fn append(&self, append: &Append) -> Result<(), ReplicaError> {
        self.reach(|state| {
            let fate = state.fates.pop_front().unwrap_or(Fate::Well);
            if fate == Fate::Lost {
                return Err(away());
            }
            state.written.append(append)?;
            if fate == Fate::Unsynced {
                return Err(ReplicaError::Failed("the sync failed".to_owned()));
            }
            state.synced = state.written.clone();
            if fate == Fate::Unanswered {
                return Err(away());
            }
            Ok(())
        })
    }

    fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<Entry>, ReplicaError> {
        self.reach(|state| {
            let copy = &state.written;
            let Some(skip) = after.checked_sub(copy.base.sequence) else {
                return Err(ReplicaError::Gap { has: copy.base });
            };
            let mut bytes = 0;
            let entries = copy.log.iter().skip(usize::try_from(skip).unwrap());
            Ok(entries
                .take_while(|entry| {
                    let takes = bytes < bytes_max;
                    bytes += entry.bytes.len();
                    takes
                })
                .cloned()
                .collect())
        })
    }

    fn snapshot_put(
        &self,
        epoch: Epoch,
        head: &SnapshotHead,
        content: &mut dyn Read,
    ) -> Result<(), ReplicaError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        self.reach(|state| {
            let copy = &mut state.written;
            copy.heed(epoch)?;
            if head.position.sequence <= copy.base.sequence {
                return Ok(());
            }
            if copy.at(head.position.sequence) == Some(head.position) {
                copy.log
                    .retain(|entry| entry.position.sequence > head.position.sequence);
            } else {
                copy.log.clear();
            }
            copy.base = head.position;
            copy.snapshot = Some((*head, bytes.into()));
            state.synced = state.written.clone();
            Ok(())
        })
    }

    fn snapshot_get(&self, into: &mut dyn Write) -> Result<Option<SnapshotHead>, ReplicaError> {
        self.reach(|state| {
            let Some((head, bytes)) = &state.written.snapshot else {
                return Ok(None);
            };
            into.write_all(bytes).unwrap();
            Ok(Some(*head))
        })
    }
}

/// Replicas that are asked one after the other, so that a history is the same
/// each time; each catches up as with [`super::super::FanOut`].
pub(in crate::storage) struct InTurn {
    couriers: Vec<Courier>,
    wanted: usize,
}

impl InTurn {
    pub(in crate::storage) fn new(
        replicas: &[Arc<SimReplica>],
        readers: &Readers,
        wanted: usize,
    ) -> Arc<Self> {
        let couriers = replicas.iter().map(|replica| Courier {
            replica: Arc::clone(replica) as Arc<dyn Replica>,
            readers: readers.clone(),
        });
        Arc::new(Self {
            couriers: couriers.collect(),
            wanted,
        })
    }
}

impl Replicas for InTurn {
    fn append(&self, append: Append) -> Result<(), NotDurable> {
        let results: Vec<_> = self
            .couriers
            .iter()
            .map(|courier| courier.bring(&append).map_err(|refused| refused.stale()))
            .collect();
        if let Some(newest) = results
            .iter()
            .filter_map(|result| result.err().flatten())
            .max()
        {
            return Err(NotDurable::Superseded { newest });
        }
        let have = results.iter().filter(|result| result.is_ok()).count();
        if have < self.wanted {
            return Err(NotDurable::TooFew {
                have,
                wanted: self.wanted,
                why: String::new(),
            });
        }
        Ok(())
    }
}
