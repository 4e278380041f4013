//! The run queue: who waits, who holds slots, which Host serves whom.
//!
//! A plain state with reaction functions (`on_*`): no I/O, no clock (the time
//! is passed in). What has to be done comes out as a list of [`Effect`]s, in
//! the order in which it was decided. Same events, same decisions: nothing
//! depends on the order of a hash, and new leases' ids come from outside.
//!
//! Invariants:
//! - slots are counted from the moment they are given out until the lease is
//!   out of the table: on the Host, on the person, and in total;
//! - a Host is never given more leases' slots than it has, except those that
//!   were in force already when it was heard of;
//! - an entry waits in its application's queue exactly while slots are missing;
//! - what is granted goes to the highest priority, then to who has least, then
//!   to who was served longest ago, then to who came first.

pub mod application;
pub mod choice;
pub mod effect;
pub mod entry;
mod grant;
pub mod host;
mod index;
pub mod limit;
mod place;
pub mod pool;
mod recall;
mod session;
mod turn;
mod waiting;
mod wish;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, KeyHash, LeaseId, NodeId, PersonName},
    wire::desired::Wish,
};

use self::{
    application::PoolApplication,
    effect::Effect,
    entry::{Entry, EntryKey, Epochs, SessionId},
    host::PoolHost,
    limit::{Lengths, Limits},
};
use super::{
    lease::{LeaseState, LeaseTable, Stage},
    need::Offered,
};

/// The most slots that one entry may ask for.
pub const ENTRY_SLOTS_MAX: u32 = 100_000;
/// How long a client has to give a recalled lease back before its Host is told
/// to take no new calls under it, and before it counts as supply no more.
const RECALL_PATIENCE: Duration = Duration::from_secs(10);

/// How the queue works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Limits of the Policy.
    pub limits: Limits,
    /// How long a lost client may take to come back.
    pub reattach_grace: Duration,
    /// A call is never overdue before this.
    pub response_time_floor: Duration,
}

/// What one person has and wants.
#[derive(Debug, Default)]
struct Person {
    held: u32,
    /// Slots of these in leases that were recalled.
    recalled: u32,
    /// Their turn, see [`turn`].
    turn: u64,
    awaited: BTreeSet<Digest>,
}

impl Person {
    fn kept(&self) -> u32 {
        self.held.saturating_sub(self.recalled)
    }
}

/// The queue of one Element.
#[derive(Debug)]
pub struct Queue {
    settings: Settings,
    wish: Wish,
    hosts: BTreeMap<NodeId, PoolHost>,
    applications: BTreeMap<Digest, PoolApplication>,
    /// Applications that somebody waits for.
    awaited: BTreeSet<Digest>,
    offered: Offered,
    entries: BTreeMap<EntryKey, Entry>,
    people: BTreeMap<PersonName, Person>,
    turns: turn::Turns,
    /// People by the slots that nobody has asked back yet; those who hold any.
    holders: BTreeSet<(u32, PersonName)>,
    leases: LeaseTable,
    /// Recalled leases that were not given back yet.
    recalled: BTreeSet<LeaseId>,
    sessions: BTreeMap<SessionId, KeyHash>,
    sequence: u64,
    in_use: u32,
    /// Entries that wait and have nothing yet.
    waiting: u32,
    /// Places may have changed since they were last told.
    moved: bool,
    /// When they may be told again.
    positions_due: Option<Instant>,
    /// How far they were told; 0: to the end.
    told_to: u32,
    effects: Vec<Effect>,
    lease_ids: LeaseIds,
}

/// Where ids of new leases come from.
pub struct LeaseIds(Box<dyn FnMut() -> LeaseId + Send>);

impl LeaseIds {
    /// From this source; none may come twice.
    pub fn from_source(source: impl FnMut() -> LeaseId + Send + 'static) -> Self {
        Self(Box::new(source))
    }

    fn next(&mut self) -> LeaseId {
        (self.0)()
    }
}

impl Default for LeaseIds {
    fn default() -> Self {
        Self::from_source(LeaseId::generate)
    }
}

impl std::fmt::Debug for LeaseIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseIds")
    }
}

/// Numbers of the queue, for the Element's State.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Slots in leases that clients have.
    pub running_slots: u32,
    /// Slots in leases whose application is on its way.
    pub staging_slots: u32,
    /// Entries that wait and have nothing yet.
    pub waiting_entries: u32,
    /// Slots that are missing to all entries.
    pub requested_slots: u32,
}

impl Queue {
    /// An empty queue of an Element without Hosts.
    pub fn new(settings: Settings) -> Self {
        Self::with_lease_ids(settings, LeaseIds::default())
    }

    /// The same, with ids of leases from elsewhere.
    pub fn with_lease_ids(settings: Settings, lease_ids: LeaseIds) -> Self {
        Self {
            settings,
            wish: Wish::default(),
            hosts: BTreeMap::new(),
            applications: BTreeMap::new(),
            awaited: BTreeSet::new(),
            offered: Offered::default(),
            entries: BTreeMap::new(),
            people: BTreeMap::new(),
            turns: turn::Turns::default(),
            holders: BTreeSet::new(),
            leases: LeaseTable::default(),
            recalled: BTreeSet::new(),
            sessions: BTreeMap::new(),
            sequence: 0,
            in_use: 0,
            waiting: 0,
            moved: false,
            positions_due: None,
            told_to: 0,
            effects: Vec::new(),
            lease_ids,
        }
    }

    /// What the Element itself offers around its Hosts (`NAME` or
    /// `NAME/VERSION`); told before anything is asked.
    pub fn on_element_offers<'a>(&mut self, capabilities: impl IntoIterator<Item = &'a str>) {
        for capability in capabilities {
            self.offered.add_token(capability);
        }
    }

    /// Takes what has to be done, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Changes the settings, from the next decision on.
    pub fn on_settings(&mut self, settings: Settings, now: Instant) {
        self.settings = settings;
        let people: Vec<PersonName> = self.people.keys().cloned().collect();
        for person in people {
            self.rerank(&person);
        }
        self.dispatch(now);
    }

    /// The same, where nothing may have changed.
    pub fn on_settings_if_changed(&mut self, settings: Settings, now: Instant) {
        if settings != self.settings {
            self.on_settings(settings, now);
        }
    }

    /// Lets time pass: call it about once a second.
    pub fn on_tick(&mut self, now: Instant) {
        self.age_hosts(now);
        self.forgive_placements(now);
        self.end_orphans(now);
        self.enforce_recalls(now);
        self.recall_stopped(now);
        self.leases.on_tick(now);
        self.drop_idle_indexes(now);
        self.dispatch(now);
        self.tell_positions(now);
    }

    /// What the Element should be.
    pub fn wish(&self) -> Wish {
        self.wish
    }

    /// The Hosts of the pool.
    pub fn hosts(&self) -> impl Iterator<Item = &PoolHost> {
        self.hosts.values()
    }

    /// One Host.
    pub fn host(&self, id: NodeId) -> Option<&PoolHost> {
        self.hosts.get(&id)
    }

    /// One application.
    pub fn application(&self, digest: &Digest) -> Option<&PoolApplication> {
        self.applications.get(digest)
    }

    /// The digest of a version that is offered here.
    pub fn application_named(&self, name: &str, version: &str) -> Option<Digest> {
        self.applications
            .values()
            .find(|application| application.name == name && application.version == version)
            .map(|application| application.digest.clone())
    }

    /// The leases in force.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }

    /// How long the queue is.
    pub fn lengths(&self) -> Lengths {
        Lengths {
            running: self.in_use,
            waiting: self.waiting,
        }
    }

    /// How many more slots the limits let be in use.
    pub fn running_room(&self) -> u32 {
        self.settings
            .limits
            .running
            .map_or(u32::MAX, |limit| limit.saturating_sub(self.in_use))
    }

    /// Numbers for the Element's State.
    pub fn counts(&self) -> QueueCounts {
        let staging = self
            .leases
            .iter()
            .filter(|lease| lease.stage == Stage::Staging)
            .fold(0u32, |sum, lease| sum.saturating_add(lease.slots));
        let requested = self
            .entries
            .values()
            .fold(0u32, |sum, entry| sum.saturating_add(entry.missing()));
        QueueCounts {
            running_slots: self.in_use.saturating_sub(staging),
            staging_slots: staging,
            waiting_entries: self.waiting,
            requested_slots: requested,
        }
    }

    /// The longest time limit of the calls present; absent if one has none.
    pub fn longest_limit(&self) -> Option<Duration> {
        let running = self.leases.iter().map(|lease| &lease.digest);
        let present: BTreeSet<&Digest> = running.chain(&self.awaited).collect();
        let limit = |digest: &Digest| self.applications.get(digest)?.manifest.as_ref()?.wall_limit;
        let limits: Option<Vec<Duration>> = present.into_iter().map(limit).collect();
        limits?.into_iter().max()
    }

    /// Whether nothing waits and nothing is held.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.leases.is_empty()
    }

    /// The epochs under which work on a Host is begun now; a ticket may know
    /// of a newer epoch than this Element has heard of.
    fn present_epochs(&self, host: NodeId, digest: &Digest, ticket: Epochs) -> Epochs {
        let application = self.applications.get(digest).map_or(0, |application| {
            let wish = application.wish;
            self.hosts
                .get(&host)
                .map_or(wish, |host| host.application_wish(digest, wish))
                .cut_epoch
        });
        Epochs {
            element: ticket.element.max(self.wish.cut_epoch),
            host: self.hosts.get(&host).map_or(0, |host| host.wish.cut_epoch),
            application: ticket.application.max(application),
        }
    }

    // === counting ===

    /// Counts slots as given out.
    fn hold(&mut self, host: NodeId, person: &PersonName, slots: u32) {
        self.in_use = self.in_use.saturating_add(slots);
        if let Some(host) = self.hosts.get_mut(&host) {
            host.held = host.held.saturating_add(slots);
        }
        self.count(person, |entry| {
            entry.held = entry.held.saturating_add(slots);
        });
        self.reindex(host);
        self.rerank(person);
    }

    /// Counts slots as given back.
    fn unhold(&mut self, host: NodeId, person: &PersonName, slots: u32) {
        self.in_use = self.in_use.saturating_sub(slots);
        if let Some(host) = self.hosts.get_mut(&host) {
            host.held = host.held.saturating_sub(slots);
        }
        self.count(person, |entry| {
            entry.held = entry.held.saturating_sub(slots);
        });
        self.reindex(host);
        self.rerank(person);
        self.drop_person_if_gone(person);
    }

    /// Changes what a person has.
    fn count(&mut self, person: &PersonName, change: impl FnOnce(&mut Person)) {
        let entry = self.people.entry(person.clone()).or_default();
        let before = entry.kept();
        change(entry);
        let kept = entry.kept();
        if before != kept {
            self.holders.remove(&(before, person.clone()));
            if kept > 0 {
                self.holders.insert((kept, person.clone()));
            }
        }
    }

    fn drop_person_if_gone(&mut self, person: &PersonName) {
        if self
            .people
            .get(person)
            .is_some_and(|entry| entry.held == 0 && entry.awaited.is_empty())
        {
            self.people.remove(person);
        }
    }

    /// Puts the person where they belong in the order of every application
    /// that they wait for.
    fn rerank(&mut self, person: &PersonName) {
        let Some(entry) = self.people.get(person) else {
            return;
        };
        let standing = self
            .settings
            .limits
            .person_has_room(entry.held)
            .then_some((entry.held, entry.turn));
        for digest in &entry.awaited {
            if let Some(application) = self.applications.get_mut(digest) {
                application.rerank(person, standing);
            }
        }
        self.moved = true;
    }

    /// Puts a lease in force whose slots are not counted yet.
    fn adopt(&mut self, lease: LeaseState) {
        self.hold(lease.host, &lease.person.clone(), lease.slots);
        self.effects.push(Effect::Remember { lease: lease.id });
        self.leases.insert(lease);
    }

    /// Takes a lease out of force, whatever its stage.
    fn drop_lease(&mut self, id: LeaseId, now: Instant) -> Option<LeaseState> {
        let lease = self.leases.remove(id, now)?;
        if self.recalled.remove(&id) {
            self.count(&lease.person, |entry| {
                entry.recalled = entry.recalled.saturating_sub(lease.slots);
            });
        }
        self.unhold(lease.host, &lease.person, lease.slots);
        if lease.stage == Stage::Staging {
            self.take_back(&lease);
        } else {
            self.effects.push(Effect::Forget { lease: id });
        }
        Some(lease)
    }
}

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod return_tests;
#[cfg(test)]
pub(crate) mod scene;
