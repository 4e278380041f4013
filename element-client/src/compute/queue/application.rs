//! An application as the queue sees it, and the two indexes that make a grant
//! cheap: who waits for it, and which Hosts could serve it.
//!
//! Invariant: `index` holds exactly the Hosts that fit and offer a slot;
//! `flows` holds exactly one place per person who waits and may have more.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use gridmart_fabric::need::Need;
use gridmart_schemas::{
    id::{Digest, NodeId, PersonName},
    resource::ae::Capability,
    wire::desired::Wish,
};

use super::entry::{EntryKey, Rank};

/// Where a person stands among those who wait for one application. In the order
/// of the fields: priority first, then who has least, then whose turn it is,
/// then who came first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    /// Of their first entry.
    pub(super) priority: Reverse<i32>,
    /// Slots that they have.
    pub(super) held: u32,
    /// See [`super::turn`].
    pub(super) turn: u64,
    /// Of their first entry.
    pub(super) sequence: u64,
    pub(super) person: PersonName,
}

/// What an application's package says that the queue has to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// How long a call may take.
    pub wall_limit: Option<std::time::Duration>,
    /// What it needs of a Host.
    pub needs: Vec<Need>,
    /// What it does for others.
    pub capabilities: Vec<Capability>,
}

/// An application that the Element offers.
#[derive(Debug)]
pub struct PoolApplication {
    /// Content hash of its package.
    pub digest: Digest,
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
    /// What it should be on the Element.
    pub wish: Wish,
    /// Absent until the package was fetched and read.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether the package is being fetched.
    pub(super) fetching: bool,
    pub(super) index: Option<Index>,
    pub(super) waiting: BTreeMap<PersonName, BTreeMap<Rank, EntryKey>>,
    pub(super) flows: BTreeSet<Flow>,
    /// The flow under which each person stands in `flows`.
    pub(super) placed: BTreeMap<PersonName, Flow>,
}

/// Hosts that fit, by free slots.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Hosts that fit, whatever their state.
    pub(super) fitting: BTreeSet<NodeId>,
    /// Those of them that offer slots.
    pub(super) candidates: BTreeSet<(u32, NodeId)>,
    /// When it was last of use.
    pub(super) used: Option<Instant>,
}

impl PoolApplication {
    pub(super) fn new(digest: Digest, name: String, version: String, wish: Wish) -> Self {
        Self {
            digest,
            name,
            version,
            wish,
            manifest: None,
            fetching: false,
            index: None,
            waiting: BTreeMap::new(),
            flows: BTreeSet::new(),
            placed: BTreeMap::new(),
        }
    }

    /// Whether somebody waits and a Host could serve.
    pub(super) fn is_ready(&self) -> bool {
        !self.flows.is_empty()
            && self
                .index
                .as_ref()
                .is_some_and(|index| !index.candidates.is_empty())
    }

    /// Whether anybody waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many entries of a person wait for it.
    pub(super) fn waiting_of(&self, person: &PersonName) -> usize {
        self.waiting.get(person).map_or(0, BTreeMap::len)
    }

    pub(super) fn add_waiting(&mut self, person: &PersonName, rank: Rank, key: EntryKey) {
        self.waiting
            .entry(person.clone())
            .or_default()
            .insert(rank, key);
    }

    pub(super) fn remove_waiting(&mut self, person: &PersonName, rank: Rank) {
        if let Some(entries) = self.waiting.get_mut(person) {
            entries.remove(&rank);
            if entries.is_empty() {
                self.waiting.remove(person);
            }
        }
    }

    /// Puts the person where they belong now: by what they have and their turn,
    /// absent if they may not have more.
    pub(super) fn rerank(&mut self, person: &PersonName, standing: Option<(u32, u64)>) {
        let first = self
            .waiting
            .get(person)
            .and_then(|entries| entries.keys().next().copied());
        let flow = first
            .zip(standing)
            .map(|((priority, sequence), (held, turn))| Flow {
                priority,
                held,
                turn,
                sequence,
                person: person.clone(),
            });
        if self.placed.get(person) == flow.as_ref() {
            return;
        }
        if let Some(old) = self.placed.remove(person) {
            self.flows.remove(&old);
        }
        if let Some(flow) = flow {
            self.flows.insert(flow.clone());
            self.placed.insert(person.clone(), flow);
        }
    }
}
