//! Chance under a seed, and ids that are the same under the same seed.

use gridmart_schemas::id::{
    CallId, EntryId, Incarnation, JobId, KeyHash, LeaseId, NodeId, RequestId,
};
use uuid::Uuid;

/// A small generator (`SplitMix64`): what it gives depends on the seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// Of a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub(crate) const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// A place in a list that is not empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.number() % (length as u64)).unwrap_or(0)
    }

    /// Yes, so many times in a hundred.
    pub(crate) const fn chance(&mut self, percent: u64) -> bool {
        self.number() % 100 < percent
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() {
            return None;
        }
        let at = self.index(of.len());
        of.get(at).copied()
    }
}

/// Makes ids, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    last: u64,
}

impl Ids {
    const fn next(&mut self) -> Uuid {
        self.last += 1;
        Uuid::from_u64_pair(1, self.last)
    }

    /// A node.
    pub(crate) const fn node(&mut self) -> NodeId {
        NodeId::from_uuid(self.next())
    }

    /// A start of a process.
    pub(crate) const fn incarnation(&mut self) -> Incarnation {
        Incarnation::from_uuid(self.next())
    }

    /// A call.
    pub(crate) const fn call(&mut self) -> CallId {
        CallId::from_uuid(self.next())
    }

    /// A map.
    pub(crate) const fn job(&mut self) -> JobId {
        JobId::from_uuid(self.next())
    }

    /// A place in a queue.
    pub(crate) const fn entry(&mut self) -> EntryId {
        EntryId::from_uuid(self.next())
    }

    /// A request.
    pub(crate) const fn request(&mut self) -> RequestId {
        RequestId::from_uuid(self.next())
    }

    /// The key of a start of a program.
    ///
    /// # Panics
    ///
    /// Never: 64 hex digits are a key's hash.
    pub(crate) fn key(&mut self) -> KeyHash {
        self.last += 1;
        format!("{:064x}", self.last)
            .parse()
            .expect("64 hex digits")
    }
}

/// Ids of an Element's leases: by Element, its start, and a count.
pub(crate) fn lease_ids(element: usize, start: u64) -> impl FnMut() -> LeaseId + Send + 'static {
    let high = (2 << 56) | ((element as u64) << 40) | start;
    let mut count = 0;
    move || {
        count += 1;
        LeaseId::from_uuid(Uuid::from_u64_pair(high, count))
    }
}

/// The short form of an id, for the log: its last part.
pub(crate) fn short(uuid: &Uuid) -> u64 {
    uuid.as_u64_pair().1
}
