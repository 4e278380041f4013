//! The Hosts of a Storage Element, as a plain state: events and the time go in;
//! which Hosts count, and which have to be probed, comes out.
//!
//! A Host that is silent for too long is probed, whether its stream stands or
//! not; only a probe calls it down, and whatever is heard of it makes it alive
//! again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    resource::{
        enumeration::{HealthState, ServingState},
        host::{StorageDeviceState, StorageHost, StorageHostState},
    },
    role::Desired,
    scalar::Seconds,
    wire::desired::{ElementDesired, Wish},
};

use super::placement::{Candidate, Standing};

/// A Host of the pool.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each of them shown by its name"
)]
pub struct PoolHost {
    /// Its description as last told.
    pub description: Arc<StorageHost>,
    /// `HOST:PORT` of its door.
    pub endpoints: Vec<String>,
    /// Its present start; absent until it was heard.
    pub incarnation: Option<Incarnation>,
    /// Its State as last told.
    pub state: Option<StorageHostState>,
    /// What it should be.
    pub wish: Wish,
    /// Its certificate is refused.
    pub revoked: bool,
    /// Its stream stands.
    pub connected: bool,
    /// A probe found it dead; until it is heard.
    pub down: bool,
    /// Its State is not older than its validity.
    pub fresh: bool,
    /// When it told its State.
    heard: Option<Instant>,
    /// When it was last heard, or has answered a probe; at first, since when it
    /// is waited for.
    quiet_since: Instant,
    /// A probe is on its way.
    asked: bool,
}

impl PoolHost {
    fn new(description: Arc<StorageHost>, now: Instant) -> Self {
        Self {
            description,
            endpoints: Vec::new(),
            incarnation: None,
            state: None,
            wish: Wish::default(),
            revoked: false,
            connected: false,
            down: false,
            fresh: false,
            heard: None,
            quiet_since: now,
            asked: false,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        self.description.info.common.name.as_str()
    }

    /// Its State, if it is a fact and blocks can be read there.
    pub fn readable(&self) -> Option<&StorageHostState> {
        let there = self.connected && self.fresh && !self.down && !self.revoked;
        self.state
            .as_ref()
            .filter(|state| there && state.common.serving_state.is_usable())
    }

    /// Its State, if blocks can be written there as well.
    pub fn writable(&self) -> Option<&StorageHostState> {
        self.readable().filter(|state| {
            self.wish.desired == Desired::Production
                && state.common.serving_state == ServingState::Production
                && state.common.health_state != HealthState::Critical
        })
    }

    /// As placement sees it.
    fn candidate(&self, host: NodeId) -> Candidate {
        let mut candidate = Candidate {
            host,
            standing: Standing::Stale,
            free: 0,
            used: 0,
            labels: self.description.info.failure_labels.clone(),
        };
        let Some(state) = self.readable() else {
            return candidate;
        };
        let devices = &state.storage_devices;
        let sum = |of: fn(&StorageDeviceState) -> u64| {
            devices.iter().map(of).fold(0, u64::saturating_add)
        };
        candidate.free = sum(|device| device.available_space);
        candidate.used = sum(|device| device.used_space);
        candidate.standing = if self.writable().is_none() {
            Standing::Closed
        } else if devices.iter().all(|device| device.read_only) {
            Standing::ReadOnly
        } else {
            Standing::Open
        };
        candidate
    }

    fn hear(&mut self, state: StorageHostState, now: Instant) {
        self.quiet_since = now;
        self.heard = Some(now);
        self.fresh = true;
        self.down = false;
        self.state = Some(state);
    }

    /// How long its State is a fact.
    fn validity(&self) -> Duration {
        let validity = self.state.as_ref().map(|state| state.validity);
        validity.map_or(Duration::ZERO, Seconds::to_duration)
    }

    fn age(&mut self, now: Instant) {
        let age = self.heard.map(|heard| now.saturating_duration_since(heard));
        self.fresh &= age.is_some_and(|age| age <= self.validity());
    }
}

/// The pool.
#[derive(Debug, Default)]
pub struct Pool {
    wish: Wish,
    hosts: BTreeMap<NodeId, PoolHost>,
}

impl Pool {
    /// What the Element should be.
    pub fn wish(&self) -> Wish {
        self.wish
    }

    /// All Hosts, revoked ones as well.
    pub fn hosts(&self) -> impl Iterator<Item = (NodeId, &PoolHost)> {
        self.hosts.iter().map(|(id, host)| (*id, host))
    }

    /// Gives a Host.
    pub fn host(&self, id: NodeId) -> Option<&PoolHost> {
        self.hosts.get(&id)
    }

    /// The Hosts that are not revoked, as placement sees them.
    pub fn candidates(&self) -> Vec<Candidate> {
        self.hosts()
            .filter(|(_, host)| !host.revoked)
            .map(|(id, host)| host.candidate(id))
            .collect()
    }

    /// Hosts whose blocks are to be made anew: revoked ones, and those that
    /// cannot be read and were silent for so long.
    pub fn given_up(&self, delay: Duration, now: Instant) -> Vec<NodeId> {
        self.hosts()
            .filter(|(_, host)| {
                let silent = now.saturating_duration_since(host.quiet_since);
                host.revoked || (host.readable().is_none() && silent >= delay)
            })
            .map(|(id, _)| id)
            .collect()
    }

    /// A Host of the Host table, not heard yet in this run.
    pub fn on_host_known(&mut self, id: NodeId, description: Arc<StorageHost>, now: Instant) {
        self.hosts
            .entry(id)
            .or_insert_with(|| PoolHost::new(description, now));
    }

    /// Takes over what should be, whole.
    pub fn on_desired(&mut self, desired: &ElementDesired) {
        self.wish = desired.wish;
        let wishes = desired.hosts.iter().map(|wish| (wish.host, wish.wish));
        let wishes: HashMap<NodeId, Wish> = wishes.collect();
        let revoked: HashSet<NodeId> = desired.revoked.iter().copied().collect();
        for (id, host) in &mut self.hosts {
            host.wish = wishes.get(id).copied().unwrap_or_default();
            host.revoked = revoked.contains(id);
        }
    }

    /// A Host's stream stands, and it has told what it is.
    pub fn on_host_arrived(
        &mut self,
        id: NodeId,
        description: Arc<StorageHost>,
        endpoints: Vec<String>,
        incarnation: Incarnation,
        now: Instant,
    ) {
        let state = description.state.clone();
        self.on_host_changed(id, description, now);
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.endpoints = endpoints;
        host.incarnation = Some(incarnation);
        host.connected = true;
        host.down = false;
        host.quiet_since = now;
        if let Some(state) = state {
            host.hear(state, now);
        }
    }

    /// A Host describes itself anew. Its State is told with its heartbeats.
    pub fn on_host_changed(&mut self, id: NodeId, description: Arc<StorageHost>, now: Instant) {
        let known = self.hosts.entry(id);
        let host = known.or_insert_with(|| PoolHost::new(Arc::clone(&description), now));
        host.description = description;
    }

    /// A Host's heartbeat.
    pub fn on_host_heard(&mut self, id: NodeId, state: StorageHostState, now: Instant) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.hear(state, now);
        }
    }

    /// A Host's stream is lost; that says nothing of the Host.
    pub fn on_host_lost(&mut self, id: NodeId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.connected = false;
        }
    }

    /// A Host does not answer a probe.
    pub fn on_host_down(&mut self, id: NodeId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.down = true;
        }
    }

    /// A probe is over. One that was answered buys the Host time; its State
    /// gets no younger by it.
    pub fn on_probed(&mut self, id: NodeId, alive: bool, now: Instant) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.asked = false;
            if alive {
                host.quiet_since = now;
            }
        }
    }

    /// Time passes. Gives the Hosts that have to be probed: those that were
    /// silent for longer than their State is a fact, and than `floor`.
    pub fn on_tick(&mut self, floor: Duration, now: Instant) -> Vec<NodeId> {
        let mut due = Vec::new();
        for (id, host) in &mut self.hosts {
            host.age(now);
            let silent = now.saturating_duration_since(host.quiet_since);
            if !host.asked && !host.down && !host.revoked && silent > host.validity().max(floor) {
                host.asked = true;
                due.push(*id);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::wire::desired::HostWish;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::scene::{self, VALIDITY, arrive, pool};

    const FLOOR: Duration = Duration::from_secs(5);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_silent_host_is_probed_once_and_is_down_until_it_is_heard() {
        let now = Instant::now();
        let (mut pool, ids) = pool(&[(1, 0, 0), (1, 0, 0)], now);
        let (silent, other) = (ids[0], ids[1]);
        assert!(pool.on_tick(FLOOR, now + seconds(VALIDITY)).is_empty());
        let late = now + seconds(VALIDITY + 1);
        pool.on_host_heard(other, scene::state((1, 0, 0)), late);
        assert_eq!(pool.on_tick(FLOOR, late), [silent]);
        assert!(pool.on_tick(FLOOR, late).is_empty(), "one is on its way");
        assert!(pool.host(silent).unwrap().readable().is_none());
        pool.on_host_down(silent);
        pool.on_probed(silent, false, late);
        let later = late + seconds(VALIDITY);
        assert!(pool.on_tick(FLOOR, later).is_empty());
        pool.on_host_heard(silent, scene::state((1, 0, 0)), later);
        assert!(pool.host(silent).unwrap().writable().is_some());
    }

    #[test]
    fn an_answered_probe_buys_time_and_makes_no_state_younger() {
        let now = Instant::now();
        let (mut pool, ids) = pool(&[(1, 0, 0)], now);
        let late = now + seconds(VALIDITY + 1);
        assert_eq!(pool.on_tick(FLOOR, late), ids);
        pool.on_probed(ids[0], true, late);
        assert!(pool.on_tick(FLOOR, late + seconds(VALIDITY)).is_empty());
        assert!(pool.host(ids[0]).unwrap().readable().is_none());
        let again = late + seconds(VALIDITY + 1);
        assert_eq!(pool.on_tick(FLOOR, again), ids);
    }

    #[test]
    fn a_host_that_does_not_come_back_is_probed() {
        let (mut pool, now) = (Pool::default(), Instant::now());
        let id = NodeId::generate();
        pool.on_host_known(id, Arc::new(scene::host(id, None)), now);
        assert!(pool.on_tick(FLOOR, now + FLOOR).is_empty());
        assert_eq!(pool.on_tick(FLOOR, now + FLOOR + seconds(1)), [id]);
        pool.on_host_down(id);
        pool.on_probed(id, false, now + FLOOR);
        arrive(&mut pool, id, (1, 0, 0), now + FLOOR);
        assert!(pool.host(id).unwrap().writable().is_some());
    }

    #[test]
    fn a_stopped_host_is_read_and_a_revoked_one_is_not() {
        let now = Instant::now();
        let (mut pool, ids) = pool(&[(1, 0, 0), (1, 0, 0)], now);
        let closed = Wish {
            desired: Desired::Closed,
            ..Wish::default()
        };
        let mut desired = ElementDesired {
            revoked: vec![ids[1]],
            ..ElementDesired::default()
        };
        desired.hosts.push(HostWish {
            host: ids[0],
            wish: closed,
            applications: Vec::new(),
        });
        pool.on_desired(&desired);
        let stopped = pool.host(ids[0]).unwrap();
        assert!(stopped.readable().is_some() && stopped.writable().is_none());
        assert!(pool.host(ids[1]).unwrap().readable().is_none());
        // What is not named any more is as by default.
        pool.on_desired(&ElementDesired::default());
        assert!(
            ids.iter()
                .all(|id| pool.host(*id).unwrap().writable().is_some())
        );
    }

    /// What may happen to a Host.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Arrives,
        Beats,
        Lost,
        Answers,
        Silent,
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Arrives),
            Just(Event::Beats),
            Just(Event::Lost),
            Just(Event::Answers),
            Just(Event::Silent),
            (1..VALIDITY * 2).prop_map(Event::Wait),
        ]
    }

    proptest! {
        #[test]
        fn one_probe_at_a_time_and_nothing_is_believed_that_is_old(
            events in proptest::collection::vec(event(), 0..60)
        ) {
            let mut now = Instant::now();
            let (mut pool, ids) = pool(&[(1, 0, 0)], now);
            let (id, mut heard, mut asked) = (ids[0], now, false);
            for event in events {
                match event {
                    Event::Arrives => arrive(&mut pool, id, (1, 0, 0), now),
                    Event::Beats => pool.on_host_heard(id, scene::state((1, 0, 0)), now),
                    Event::Lost => pool.on_host_lost(id),
                    Event::Answers | Event::Silent if !asked => {}
                    Event::Answers => pool.on_probed(id, true, now),
                    Event::Silent => {
                        pool.on_host_down(id);
                        pool.on_probed(id, false, now);
                    }
                    Event::Wait(time) => now += seconds(time),
                }
                match event {
                    Event::Arrives | Event::Beats => heard = now,
                    Event::Answers | Event::Silent => asked = false,
                    Event::Lost | Event::Wait(_) => {}
                }
                let due = pool.on_tick(FLOOR, now);
                prop_assert!(due.is_empty() || !asked);
                asked |= !due.is_empty();
                let host = pool.host(id).unwrap();
                if host.readable().is_some() {
                    prop_assert!(host.connected && !host.down);
                    prop_assert!(now - heard <= seconds(VALIDITY));
                }
                // Nobody is away for long and neither asked nor called down.
                let quiet = now.saturating_duration_since(heard) > seconds(VALIDITY);
                if quiet && !asked && !host.down {
                    prop_assert!(now - host.quiet_since <= seconds(VALIDITY));
                }
            }
        }
    }
}
