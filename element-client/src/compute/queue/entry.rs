//! Who waits, and for what.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use gridmart_fabric::need::Need;
use gridmart_schemas::{
    id::{Digest, EntryId, JobId, KeyHash, NodeId, PersonName, RequestId},
    role::Role,
};

/// One queue stream of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// An entry; clients number their own, so the session belongs to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// Whose.
    pub session: SessionId,
    /// The client's own number.
    pub entry: EntryId,
}

/// Who asks, as a verified ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The person.
    pub person: PersonName,
    /// The person's role.
    pub role: Role,
    /// The person's site.
    pub domain: Option<String>,
    /// The key with which the client opens TLS.
    pub presenter: KeyHash,
    /// What a Host has to be for them, over and above what the application
    /// needs.
    pub needs: Vec<Need>,
}

/// The cut epochs under which something was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Epochs {
    /// Of the Element.
    pub element: u64,
    /// Of the Host; 0 before one is chosen.
    pub host: u64,
    /// Of the application.
    pub application: u64,
}

/// What a client wants, checked.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which entry.
    pub key: EntryKey,
    /// Who.
    pub asker: Arc<Asker>,
    /// What is to be called.
    pub digest: Digest,
    /// Epochs that the access ticket names.
    pub cut: Epochs,
    /// How many slots.
    pub slots: u32,
    /// For which map.
    pub job: Option<JobId>,
    /// On how many Hosts at most.
    pub hosts_max: Option<u32>,
    /// Hosts to avoid.
    pub avoid: BTreeSet<NodeId>,
    /// Higher goes first.
    pub priority: i32,
    /// The request behind it.
    pub request: Option<RequestId>,
}

/// Order within one person's entries: priority, then first come.
pub(super) type Rank = (Reverse<i32>, u64);

/// A waiting entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) wanted: Wanted,
    /// First come, first served.
    pub(super) sequence: u64,
    pub(super) since: Instant,
    /// Slots in leases made for it, staging ones included.
    pub(super) granted: u32,
    /// Slots of these that stage still.
    pub(super) staging: u32,
    /// On which Hosts.
    pub(super) hosts: BTreeMap<NodeId, u32>,
    /// The place last told.
    pub(super) position: u32,
}

impl Entry {
    pub(super) fn new(wanted: Wanted, sequence: u64, since: Instant) -> Self {
        Self {
            wanted,
            sequence,
            since,
            granted: 0,
            staging: 0,
            hosts: BTreeMap::new(),
            position: 0,
        }
    }

    pub(super) fn rank(&self) -> Rank {
        (Reverse(self.wanted.priority), self.sequence)
    }

    /// Slots that it waits for.
    pub(super) fn missing(&self) -> u32 {
        self.wanted.slots.saturating_sub(self.granted)
    }

    /// Whether it may use that Host: one that it uses, or one more.
    pub(super) fn may_use(&self, host: NodeId) -> bool {
        let most = self.wanted.hosts_max.map_or(usize::MAX, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        });
        self.hosts.len() < most || self.hosts.contains_key(&host)
    }

    /// Takes back a slot given before, on a Host that did not work out.
    pub(super) fn ungrant(&mut self, host: NodeId, slots: u32) {
        self.granted = self.granted.saturating_sub(slots);
        if let Some(there) = self.hosts.get_mut(&host) {
            *there = there.saturating_sub(slots);
            if *there == 0 {
                self.hosts.remove(&host);
            }
        }
    }
}
