//! Data as the goods of an Element: the databases on its Hosts.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{Request, Response},
    identity::{DoorName, NodeIdentity, PeerIdentity},
    stream::{Incoming, reply},
    ticket::VerifyingKeys,
};
use gridmart_schemas::{
    id::{KeyHash, LeaseId, NodeId},
    problem::Problem,
    resource::{
        any::{AnyElement, AnyElementState},
        de_doc::DeDocument,
        enumeration::HealthState,
        host::{DataHost, DataHostState},
    },
    role::NodeKind,
    scalar::Seconds,
    wire::{
        Request as _,
        control_element::{Activities, ActivityList, Deployment},
        desired::ElementDesired,
        element_host::{HeldLease, HostHello},
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{
    De,
    checks::{Checks, keep_checking},
    document::first_document,
    gates::Gates,
    hosts::Hosts,
    keep::{Making, keep},
    keys::Keys,
    limits::Slots,
    pool::Pool,
    postgres::{self, PostgresStanding},
    schemas::Schemas,
    sessions::{Sessions, keep_records},
    state::{Doing, element_state, stray},
};
use crate::{
    config::Config,
    element::{
        goods::{Goods, KnownHost, Opening},
        probe::Verdict,
        record::RecordDesk,
        start::disk_fault,
    },
    public::people::People,
    run::ElementError,
};

/// What a Data Element has besides what every Element has.
pub(crate) struct Data {
    pub(super) pool: Mutex<Pool>,
    pub(super) hosts: Hosts,
    pub(super) schemas: Schemas,
    /// The hashes of the keys with which Hosts open TLS.
    pub(super) host_keys: Mutex<HashMap<NodeId, KeyHash>>,
    /// Hosts have to be told anew what their copies are.
    pub(super) followed: Notify,
    pub(super) making: Making,
    pub(super) gates: Gates,
    pub(super) checks: Checks,
    /// Who may use keys, and what they may be.
    pub(super) people: People,
    pub(super) keys: Keys,
    pub(super) postgres: PostgresStanding,
    pub(super) sessions: Arc<Sessions>,
    /// Statements that run at a time.
    pub(super) slots: Slots,
    /// For statements that may be given up.
    pub(super) marks: AtomicU64,
    /// What has ended, on its way to the controller.
    pub(super) records: RecordDesk,
}

impl Goods for Data {
    const KIND: NodeKind = NodeKind::DataElement;
    const HOST_KIND: NodeKind = NodeKind::DataHost;
    const ELEMENT: &'static str = "Data Element";
    const HOSTS: &'static str = "data Hosts";
    const LIB_FILE: &'static str = "DEDoc.xml";
    const RELAYS: bool = false;
    type Document = DeDocument;

    fn first_document(
        config: &Config,
        identity: &NodeIdentity,
    ) -> Result<DeDocument, ElementError> {
        first_document(config, identity)
    }

    fn open(opening: &Opening<'_, DeDocument>) -> Result<Self, ElementError> {
        let records_path = opening.folder.join("records.journal");
        let records = RecordDesk::open(&records_path);
        Ok(Self {
            pool: Mutex::default(),
            hosts: Hosts::default(),
            schemas: Schemas::default(),
            host_keys: Mutex::default(),
            followed: Notify::new(),
            making: Making::default(),
            gates: Gates::default(),
            checks: Checks::register(opening.registry),
            people: People::default(),
            keys: Keys::open(opening.folder)?,
            postgres: PostgresStanding::open(opening)?,
            sessions: Sessions::new(opening.identity.current().node()),
            slots: Slots::of(&opening.document.element.policy),
            marks: AtomicU64::new(1),
            records: records.map_err(disk_fault("open", &records_path))?,
        })
    }

    fn take_up(de: &Arc<De>, hosts: Vec<KnownHost<DataHost>>, desired: &ElementDesired) {
        let mut pool = de.goods.pool.lock();
        for known in hosts {
            pool.on_host_known(known.id, &known.host, Instant::now());
        }
        pool.on_desired(desired);
        drop(pool);
        de.goods.people.on_desired(desired);
        de.postgres_show();
    }

    fn tasks(de: &Arc<De>) -> Vec<BoxFuture<'static, ()>> {
        vec![
            keep(Arc::clone(de)).boxed(),
            keep_checking(Arc::clone(de)).boxed(),
            postgres::serve(Arc::clone(de)).boxed(),
            keep_records(Arc::clone(de)).boxed(),
            send_records(Arc::clone(de)).boxed(),
        ]
    }

    fn doors(&self) -> Vec<(&'static str, String)> {
        vec![("postgres", self.postgres.endpoint.clone())]
    }

    fn door_names(&self) -> Vec<DoorName> {
        self.postgres.names.clone()
    }

    fn on_tick(de: &Arc<De>) {
        let floor = de.base.read().configuration.common.response_time_floor;
        let due = {
            let mut pool = de.goods.pool.lock();
            pool.on_tick(floor.to_duration(), Instant::now())
        };
        for host in due {
            let (de, tasks) = (Arc::clone(de), de.tasks.clone());
            tasks.spawn(async move {
                // The Element ends: nobody waits for the answer any more.
                let Ok(verdict) = de.probe(host).await else {
                    return;
                };
                let alive = matches!(verdict, Verdict::Alive(_));
                de.goods.pool.lock().on_probed(host, alive, Instant::now());
            });
        }
    }

    fn observe(_: &De, _: &AnyElementState) {}

    fn describe(de: &De) -> AnyElement {
        de.base.read().element.clone().into()
    }

    fn state(de: &De, validity: Seconds) -> AnyElementState {
        let sessions = &de.goods.sessions;
        let doing = Doing {
            statements: sessions.statements(),
            waiting: de.goods.slots.waiting(),
            sessions: sessions.len(),
        };
        let pool = de.goods.pool.lock();
        let mut state = element_state(&pool, doing, de.started_at, validity);
        if let Some(stray) = stray(&pool, &de.base.read()) {
            if state.common.health_state == HealthState::Ok {
                state.common.health_state = HealthState::Warning;
            }
            state.common.health_state_info = stray.parse().ok();
        }
        state.into()
    }

    fn on_desired(de: &Arc<De>, desired: &ElementDesired) {
        let is_cut = {
            let mut pool = de.goods.pool.lock();
            let before = pool.wish().cut_epoch;
            pool.on_desired(desired);
            pool.wish().cut_epoch > before
        };
        de.postgres_desired(desired, is_cut);
    }

    fn on_host_met(de: &Arc<De>, id: NodeId, host: &DataHost) {
        if de.goods.pool.lock().host(id).is_some() {
            return;
        }
        let apart = de.desired_apart(id);
        let mut pool = de.goods.pool.lock();
        pool.on_host_known(id, host, Instant::now());
        if let Some(desired) = &apart {
            pool.on_desired(desired);
        }
    }

    fn on_host_arrived(de: &Arc<De>, id: NodeId, host: DataHost, hello: HostHello) -> Vec<LeaseId> {
        let now = Instant::now();
        let mut pool = de.goods.pool.lock();
        pool.on_host_arrived(id, &host, hello.endpoints, now);
        drop(pool);
        de.goods.followed.notify_one();
        // Databases are not leased: whatever a Host holds is none of this Element's.
        hello.leases.into_iter().map(|held| held.lease).collect()
    }

    fn on_host_heard(de: &Arc<De>, id: NodeId, state: &DataHostState, _: &[HeldLease]) {
        let mut pool = de.goods.pool.lock();
        pool.on_host_heard(id, state.clone(), Instant::now());
    }

    fn on_host_changed(de: &Arc<De>, id: NodeId, host: DataHost, _: &[Deployment]) {
        let mut pool = de.goods.pool.lock();
        pool.on_host_changed(id, &host, Instant::now());
    }

    fn on_host_lost(de: &Arc<De>, id: NodeId) {
        de.goods.pool.lock().on_host_lost(id);
    }

    fn on_host_down(de: &Arc<De>, id: NodeId) {
        de.goods.pool.lock().on_host_down(id);
    }

    fn on_host_key(de: &Arc<De>, id: NodeId, spki_pem: &str) {
        match VerifyingKeys::default().insert(id, spki_pem) {
            Ok(hash) => drop(de.goods.host_keys.lock().insert(id, hash)),
            Err(problem) => {
                tracing::error!(node.id = %id, %problem, "the key of a Host cannot be read");
            }
        }
    }

    async fn on_visit(
        de: &Arc<De>,
        peer: PeerIdentity,
        _: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        de.on_visit(peer, request)
    }

    async fn on_controller_request(
        de: &Arc<De>,
        incoming: Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        if let Some(answered) = de.on_database_request(&incoming).await {
            return answered;
        }
        if let Some(answered) = de.on_key_request(&incoming).await {
            return answered;
        }
        if let Some(answered) = de.on_session_request(&incoming) {
            return answered;
        }
        match incoming.kind.as_str() {
            // The question is for all Elements: no calls run or wait here.
            ActivityList::KIND => reply(&Activities::default()),
            _ => Err(incoming.unknown()),
        }
    }
}

/// Sends on records of what has ended.
async fn send_records(de: Arc<De>) {
    de.goods.records.send(&de.stop, &de.links).await;
}
