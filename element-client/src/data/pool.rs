//! The Hosts of a Data Element, as a plain state: events and the time go in; which
//! Hosts count, and which have to be probed, comes out.
//!
//! A Host that is silent for too long is probed; only a probe calls it down, and
//! whatever is heard of it makes it alive again.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{DatabaseId, NodeId},
    resource::{
        enumeration::{DataEngine, HealthState, ReplicaRole, ServingState},
        host::{DataHost, DataHostState, ReplicaState},
    },
    role::Desired,
    scalar::Uri,
    wire::desired::{ElementDesired, Wish},
};

/// A Host of the pool.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each of them shown by its name"
)]
pub struct PoolHost {
    /// Its name, for people.
    pub name: String,
    /// `HOST:PORT` of its door.
    pub endpoints: Vec<String>,
    /// What can keep databases there.
    pub engines: Vec<DataEngine>,
    /// Its State as last told.
    pub state: Option<DataHostState>,
    /// What it should be.
    pub wish: Wish,
    /// Its certificate is refused.
    pub revoked: bool,
    /// Its stream stands.
    pub connected: bool,
    /// A probe found it dead; until it is heard.
    pub down: bool,
    /// When it told its State.
    heard: Option<Instant>,
    /// When it was last heard, or has answered a probe; at first, since when it is
    /// waited for.
    quiet_since: Instant,
    /// A probe is on its way.
    asked: bool,
}

impl PoolHost {
    fn new(description: &DataHost, now: Instant) -> Self {
        Self {
            name: description.info.common.name.to_string(),
            endpoints: Vec::new(),
            engines: engines(description),
            state: None,
            wish: Wish::default(),
            revoked: false,
            connected: false,
            down: false,
            heard: None,
            quiet_since: now,
            asked: false,
        }
    }

    /// Whether it is there and does what it is asked: its copies can be read, and its
    /// cores written.
    pub fn is_usable(&self) -> bool {
        self.connected
            && !self.down
            && !self.revoked
            && self.wish.desired == Desired::Production
            && self
                .state
                .as_ref()
                .is_some_and(|state| state.common.serving_state == ServingState::Production)
    }

    /// Whether that engine can keep a database there.
    pub fn has(&self, engine: &DataEngine) -> bool {
        self.engines.contains(engine)
    }

    /// Whether new databases may be put on it.
    fn is_open(&self) -> bool {
        let is_well = |state: &DataHostState| state.common.health_state != HealthState::Critical;
        self.is_usable() && self.state.as_ref().is_some_and(is_well)
    }

    /// What it has told of its copy of a database, if that is a fact still.
    pub fn replica(&self, database: DatabaseId, now: Instant) -> Option<&ReplicaState> {
        let state = self.state.as_ref()?;
        let age = now.saturating_duration_since(self.heard?);
        if age > state.validity.to_duration() {
            return None;
        }
        let id = Uri::from_uuid(database.as_uuid());
        state.replicas.iter().find(|replica| replica.database == id)
    }

    /// What it told last of its copy of a database, however long ago.
    pub fn told(&self, database: DatabaseId) -> Option<&ReplicaState> {
        let id = Uri::from_uuid(database.as_uuid());
        let mut replicas = self.state.iter().flat_map(|state| &state.replicas);
        replicas.find(|replica| replica.database == id)
    }

    /// Statements that run on it, as last told.
    pub fn load(&self) -> u32 {
        self.state
            .as_ref()
            .map_or(0, |state| state.running_requests)
    }

    fn copies(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.replicas.len())
    }

    fn cores(&self) -> usize {
        let replicas = self.state.iter().flat_map(|state| &state.replicas);
        replicas
            .filter(|replica| replica.role == ReplicaRole::Core)
            .count()
    }

    fn hear(&mut self, state: DataHostState, now: Instant) {
        self.quiet_since = now;
        self.heard = Some(now);
        self.down = false;
        self.state = Some(state);
    }

    fn validity(&self) -> Duration {
        let validity = self.state.as_ref().map(|state| state.validity);
        validity.map_or(
            Duration::ZERO,
            gridmart_schemas::scalar::Seconds::to_duration,
        )
    }
}

fn engines(description: &DataHost) -> Vec<DataEngine> {
    let engines = description.info.engines.iter();
    engines.map(|engine| engine.name.clone()).collect()
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

    /// Hosts for the copies of a new database on an engine, that for the core first, with
    /// its shadows on another: those with the fewest copies. `None`: there are not so many.
    pub fn places(
        &self,
        count: usize,
        engine: &DataEngine,
        of_shadows: &DataEngine,
    ) -> Option<Vec<NodeId>> {
        let open = || self.hosts().filter(|(_, host)| host.is_open());
        let core = open().filter(|(_, host)| host.has(engine));
        let core = core.min_by_key(|(id, host)| (host.cores(), host.copies(), *id))?;
        let shadows = open().filter(|(id, host)| *id != core.0 && host.has(of_shadows));
        let mut shadows: Vec<_> = shadows.collect();
        shadows.sort_by_key(|(id, host)| (host.copies(), *id));
        let chosen = std::iter::once(&core).chain(&shadows).map(|(id, _)| *id);
        let chosen: Vec<NodeId> = chosen.take(count).collect();
        (chosen.len() == count).then_some(chosen)
    }

    /// A Host for one more copy of a database on an engine: of those that have none the one
    /// with the fewest copies, then with the most room.
    pub fn place(&self, engine: &DataEngine, has_copy: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let open = self.hosts().filter(|(_, host)| host.is_open());
        let open = open.filter(|(_, host)| host.has(engine));
        let free = open.filter(|(id, _)| !has_copy(*id));
        let room = |host: &PoolHost| host.state.as_ref().map(|state| state.available_space);
        free.min_by_key(|(id, host)| (host.copies(), Reverse(room(host)), *id))
            .map(|(id, _)| id)
    }

    /// A Host of the Host table, not heard yet in this run.
    pub fn on_host_known(&mut self, id: NodeId, description: &DataHost, now: Instant) {
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
        description: &DataHost,
        endpoints: Vec<String>,
        now: Instant,
    ) {
        self.on_host_changed(id, description, now);
        if let Some(host) = self.hosts.get_mut(&id) {
            host.endpoints = endpoints;
            host.connected = true;
            host.down = false;
            host.quiet_since = now;
            if let Some(state) = description.state.clone() {
                host.hear(state, now);
            }
        }
    }

    /// A Host describes itself anew; with a State, which tells of a change at once.
    pub fn on_host_changed(&mut self, id: NodeId, description: &DataHost, now: Instant) {
        let known = self.hosts.entry(id);
        let host = known.or_insert_with(|| PoolHost::new(description, now));
        host.name = description.info.common.name.to_string();
        host.engines = engines(description);
        if let Some(state) = description.state.clone() {
            host.hear(state, now);
        }
    }

    /// A Host's heartbeat.
    pub fn on_host_heard(&mut self, id: NodeId, state: DataHostState, now: Instant) {
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

    /// A probe is over. One that was answered buys the Host time.
    pub fn on_probed(&mut self, id: NodeId, alive: bool, now: Instant) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.asked = false;
            if alive {
                host.quiet_since = now;
            }
        }
    }

    /// Time passes. Gives the Hosts that have to be probed: those that were silent for
    /// longer than their State is a fact, and than `floor`.
    pub fn on_tick(&mut self, floor: Duration, now: Instant) -> Vec<NodeId> {
        let mut due = Vec::new();
        for (id, host) in &mut self.hosts {
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
pub(super) mod tests {
    use gridmart_schemas::{
        resource::{
            Extensions,
            common::{AccessControlBase, CommonInfo, CommonState},
            enumeration::{OsFamily, Platform, SyncState},
            host::{Architecture, DataHostInfo, DataHostPolicy, EngineInfo, OperatingSystem},
        },
        scalar::{Seconds, UtcTime},
        wire::desired::HostWish,
    };

    use super::*;

    const VALIDITY: u64 = 15;

    /// The State of a Host with these copies.
    pub(in crate::data) fn state(
        replicas: &[(DatabaseId, ReplicaRole, SyncState, u64)],
    ) -> DataHostState {
        let replicas = replicas
            .iter()
            .map(|(database, role, sync_state, position)| ReplicaState {
                filter_version: None,
                log_room: None,
                database: Uri::from_uuid(database.as_uuid()),
                role: *role,
                sync_state: *sync_state,
                log_position: *position,
                epoch: 1,
                used_size: 1000,
                check: None,
                set_aside: Vec::new(),
            });
        DataHostState {
            creation_time: UtcTime::now(),
            validity: Seconds::from_secs(VALIDITY),
            common: CommonState::new(ServingState::Production, HealthState::Ok),
            available_space: 9000,
            used_space: 1000,
            running_requests: 0,
            replicas: replicas.collect(),
            worst_response_time: None,
            last_heartbeat: UtcTime::now(),
            extensions: Extensions::default(),
        }
    }

    pub(in crate::data) fn host(id: NodeId, state: DataHostState) -> DataHost {
        let info = DataHostInfo {
            common: CommonInfo::new("h1".parse().unwrap(), "lab".parse().unwrap()),
            element: NodeId::generate().to_urn().parse().unwrap(),
            host_name: "localhost".parse().unwrap(),
            architecture: Architecture {
                platform_type: Platform::Amd64,
                smp_size: 2.try_into().unwrap(),
            },
            operating_system: OperatingSystem {
                family: OsFamily::Linux,
                name: "debian".parse().unwrap(),
                release: None,
                version: None,
            },
            network_adapters: Vec::new(),
            engines: vec![EngineInfo {
                name: DataEngine::Sqlite,
                version: "3".parse().unwrap(),
            }],
            extensions: Extensions::default(),
        };
        DataHost {
            id: id.to_urn().parse().unwrap(),
            info,
            state: Some(state),
            policy: DataHostPolicy::default(),
            access: AccessControlBase::default(),
        }
    }

    /// A Host comes.
    pub(in crate::data) fn arrive(pool: &mut Pool, state: DataHostState, now: Instant) -> NodeId {
        let id = NodeId::generate();
        pool.on_host_arrived(id, &host(id, state), vec!["h:1".to_owned()], now);
        id
    }

    #[test]
    fn a_silent_host_is_probed_once_and_down_until_it_is_heard() {
        let (mut pool, now) = (Pool::default(), Instant::now());
        let id = arrive(&mut pool, state(&[]), now);
        let floor = Duration::from_secs(5);
        assert!(
            pool.on_tick(floor, now + Duration::from_secs(VALIDITY))
                .is_empty()
        );
        let late = now + Duration::from_secs(VALIDITY + 1);
        assert_eq!(pool.on_tick(floor, late), [id]);
        assert!(pool.on_tick(floor, late).is_empty(), "one is on its way");
        pool.on_host_down(id);
        pool.on_probed(id, false, late);
        assert!(!pool.host(id).unwrap().is_usable());
        pool.on_host_heard(id, state(&[]), late);
        assert!(pool.host(id).unwrap().is_usable());
    }

    #[test]
    fn copies_go_to_hosts_that_have_the_fewest_and_each_to_its_own() {
        let (mut pool, now) = (Pool::default(), Instant::now());
        let database = DatabaseId::generate();
        let full = arrive(
            &mut pool,
            state(&[(database, ReplicaRole::Core, SyncState::Synchronised, 1)]),
            now,
        );
        let (free, stopped) = (
            arrive(&mut pool, state(&[]), now),
            arrive(&mut pool, state(&[]), now),
        );
        let mut desired = ElementDesired::default();
        desired.hosts.push(HostWish {
            host: stopped,
            wish: Wish {
                desired: Desired::Closed,
                ..Wish::default()
            },
            applications: Vec::new(),
        });
        pool.on_desired(&desired);
        let sqlite = DataEngine::Sqlite;
        let places = |pool: &Pool, count| pool.places(count, &sqlite, &sqlite);
        assert_eq!(places(&pool, 1), Some(vec![free]));
        assert_eq!(places(&pool, 2), Some(vec![free, full]));
        assert_eq!(places(&pool, 3), None);
        assert_eq!(pool.place(&DataEngine::Sqlite, |_| false), Some(free));
        assert_eq!(
            pool.place(&DataEngine::Sqlite, |host| host == free),
            Some(full)
        );
        assert_eq!(
            pool.place(&DataEngine::Sqlite, |host| host == free || host == full),
            None
        );
        let elsewhere = DataEngine::Postgresql;
        assert_eq!(
            pool.places(1, &elsewhere, &DataEngine::Sqlite),
            None,
            "nobody has it"
        );
        pool.on_host_lost(full);
        assert_eq!(places(&pool, 2), None);
    }
}
