//! Storage as the goods of an Element: the room on the disks of its Hosts.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{Request, Response},
    identity::{DoorName, NodeIdentity, PeerIdentity},
    stream::{Incoming, reply},
    ticket::VerifyingKeys,
};
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    problem::Problem,
    resource::{
        any::{AnyElement, AnyElementState},
        host::{StorageHost, StorageHostState},
        se_doc::SeDocument,
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
use parking_lot::{Mutex, RwLock};
use serde_json::value::RawValue;

use super::{
    Se,
    care::{self, Collection},
    document::first_document,
    keys::SealingKey,
    measure::Measures,
    pool::Pool,
    s3::{self, S3Standing},
    service::{Errand, Log, LogMeasures, RebuildOrder, Service, keep, open_store, require_lost},
    state::{element_state, host_counts},
    transfers::{Transfers, keep_records},
};
use crate::{
    config::Config,
    element::{
        goods::{Goods, KnownHost, Opening},
        probe::Verdict,
        record::RecordDesk,
        start::disk_fault,
    },
    run::ElementError,
};

/// What a Storage Element has besides what every Element has.
pub(crate) struct Storage {
    pub(super) pool: Arc<Mutex<Pool>>,
    pub(super) log: Arc<Log>,
    /// Those with which Hosts sign receipts.
    pub(super) host_keys: RwLock<VerifyingKeys>,
    /// The S3 door, and what it goes by.
    pub(super) s3: S3Standing,
    pub(super) collection: Collection,
    /// What an applied layout waits for.
    pub(super) carrying: Mutex<Option<String>>,
    /// What is under way.
    pub(super) transfers: Arc<Transfers>,
    /// What has ended, on its way to the controller.
    pub(super) records: RecordDesk,
    pub(super) metrics: Measures,
    pub(super) log_metrics: LogMeasures,
}

impl Storage {
    /// For an Element that runs only to make its lost store anew.
    pub(super) fn to_rebuild(
        opening: &Opening<'_, SeDocument>,
        order: RebuildOrder,
    ) -> Result<Self, ElementError> {
        require_lost(opening.folder)?;
        // A key that is gone with the store is missed by the next start.
        let sealing = SealingKey::find_or_pass(opening.folder)?;
        Self::opened(opening, sealing, Errand::Rebuild(order))
    }

    fn opened(
        opening: &Opening<'_, SeDocument>,
        sealing: SealingKey,
        errand: Errand,
    ) -> Result<Self, ElementError> {
        let pool: Arc<Mutex<Pool>> = Arc::default();
        let folder = opening.folder;
        let element = opening.identity.current().node();
        let transfers = Transfers::open(element, Arc::clone(&pool), folder);
        let records_path = folder.join("records.journal");
        let records = RecordDesk::open(&records_path);
        Ok(Self {
            transfers: transfers.map_err(disk_fault("read", folder))?,
            records: records.map_err(disk_fault("open", &records_path))?,
            pool,
            log: Arc::new(Log::new(errand)),
            host_keys: RwLock::default(),
            s3: S3Standing::open(opening, sealing)?,
            carrying: Mutex::default(),
            collection: Collection::after(opening.config.collect_after),
            metrics: Measures::register(opening.registry),
            log_metrics: LogMeasures::register(opening.registry),
        })
    }

    /// What serves buckets and objects, once the log of the metadata is assured.
    pub(super) fn service(&self) -> Result<Arc<Service>, Problem> {
        self.log.service()
    }
}

impl Goods for Storage {
    const KIND: NodeKind = NodeKind::StorageElement;
    const HOST_KIND: NodeKind = NodeKind::StorageHost;
    const ELEMENT: &'static str = "Storage Element";
    const HOSTS: &'static str = "storage Hosts";
    const LIB_FILE: &'static str = "SEDoc.xml";
    const RELAYS: bool = false;
    type Document = SeDocument;

    fn first_document(
        config: &Config,
        identity: &NodeIdentity,
    ) -> Result<SeDocument, ElementError> {
        first_document(config, identity)
    }

    fn open(opening: &Opening<'_, SeDocument>) -> Result<Self, ElementError> {
        let store = open_store(opening.folder, opening.document)?;
        let is_in_use = || Ok::<_, ElementError>(s3::is_sealed_under_element(&store)?);
        let sealing = SealingKey::open(opening.folder, is_in_use)?;
        Self::opened(opening, sealing, Errand::Serve(store))
    }

    fn take_up(se: &Arc<Se>, hosts: Vec<KnownHost<StorageHost>>, desired: &ElementDesired) {
        let mut pool = se.goods.pool.lock();
        for known in hosts {
            pool.on_host_known(known.id, Arc::new(known.host), Instant::now());
        }
        pool.on_desired(desired);
        drop(pool);
        se.goods.s3.people.on_desired(desired);
        se.s3_show();
    }

    fn tasks(se: &Arc<Se>) -> Vec<BoxFuture<'static, ()>> {
        vec![
            keep(Arc::clone(se)).boxed(),
            care::keep(Arc::clone(se)).boxed(),
            s3::serve(Arc::clone(se)).boxed(),
            keep_records(Arc::clone(se)).boxed(),
            send_records(Arc::clone(se)).boxed(),
        ]
    }

    fn on_tick(se: &Arc<Se>) {
        se.goods.transfers.on_tick();
        let floor = se.base.read().configuration.common.response_time_floor;
        let due = {
            let mut pool = se.goods.pool.lock();
            pool.on_tick(floor.to_duration(), Instant::now())
        };
        for host in due {
            let (se, tasks) = (Arc::clone(se), se.tasks.clone());
            tasks.spawn(async move {
                // The Element ends: nobody waits for the answer any more.
                let Ok(verdict) = se.probe(host).await else {
                    return;
                };
                let alive = matches!(verdict, Verdict::Alive(_));
                se.goods.pool.lock().on_probed(host, alive, Instant::now());
            });
        }
    }

    fn observe(se: &Se, state: &AnyElementState) {
        let counts = host_counts(&se.goods.pool.lock());
        se.metrics.observe_hosts(counts.all, counts.unavailable);
        se.goods.log_metrics.observe(se.goods.log.facts());
        if let AnyElementState::Storage(state) = state {
            se.goods.metrics.observe(state);
        }
    }

    fn doors(&self) -> Vec<(&'static str, String)> {
        vec![("s3", self.s3.endpoint.clone())]
    }

    fn door_names(&self) -> Vec<DoorName> {
        self.s3.names.clone()
    }

    fn describe(se: &Se) -> AnyElement {
        se.base.read().element.clone().into()
    }

    fn state(se: &Se, validity: Seconds) -> AnyElementState {
        let log = se.goods.log.shown();
        let is_idle = se.goods.transfers.is_idle();
        let pool = se.goods.pool.lock();
        element_state(&pool, &log, is_idle, se.started_at, validity).into()
    }

    fn on_desired(se: &Arc<Se>, desired: &ElementDesired) {
        se.goods.pool.lock().on_desired(desired);
        se.goods.transfers.on_desired();
        se.goods.s3.people.on_desired(desired);
    }

    fn on_host_met(se: &Arc<Se>, id: NodeId, host: &StorageHost) {
        if se.goods.pool.lock().host(id).is_some() {
            return;
        }
        let apart = se.desired_apart(id);
        let mut pool = se.goods.pool.lock();
        pool.on_host_known(id, Arc::new(host.clone()), Instant::now());
        if let Some(desired) = &apart {
            pool.on_desired(desired);
        }
    }

    fn on_host_arrived(
        se: &Arc<Se>,
        id: NodeId,
        host: StorageHost,
        hello: HostHello,
    ) -> Vec<LeaseId> {
        se.goods.pool.lock().on_host_arrived(
            id,
            Arc::new(host),
            hello.endpoints,
            hello.incarnation,
            Instant::now(),
        );
        se.tell_killed(id);
        // Storage is not leased: whatever a Host holds is none of this Element's.
        hello.leases.into_iter().map(|held| held.lease).collect()
    }

    fn on_host_heard(se: &Arc<Se>, id: NodeId, state: &StorageHostState, _: &[HeldLease]) {
        let mut pool = se.goods.pool.lock();
        pool.on_host_heard(id, state.clone(), Instant::now());
    }

    fn on_host_changed(se: &Arc<Se>, id: NodeId, host: StorageHost, _: &[Deployment]) {
        let mut pool = se.goods.pool.lock();
        pool.on_host_changed(id, Arc::new(host), Instant::now());
    }

    fn on_host_lost(se: &Arc<Se>, id: NodeId) {
        se.goods.pool.lock().on_host_lost(id);
    }

    fn on_host_down(se: &Arc<Se>, id: NodeId) {
        se.goods.pool.lock().on_host_down(id);
    }

    fn on_host_key(se: &Arc<Se>, id: NodeId, spki_pem: &str) {
        if let Err(problem) = se.goods.host_keys.write().insert(id, spki_pem) {
            tracing::error!(node.id = %id, %problem, "receipts of a Host cannot be verified");
        }
    }

    async fn on_visit(
        se: &Arc<Se>,
        peer: PeerIdentity,
        _: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        se.on_visit(peer, request)
    }

    async fn on_controller_request(
        se: &Arc<Se>,
        incoming: Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        if let Some(answered) = se.on_bucket_request(&incoming).await {
            return answered;
        }
        if let Some(answered) = se.on_key_request(&incoming).await {
            return answered;
        }
        if let Some(answered) = se.on_layout_request(&incoming).await {
            return answered;
        }
        if let Some(answered) = se.on_transfer_request(&incoming).await {
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
async fn send_records(se: Arc<Se>) {
    se.goods.records.send(&se.stop, &se.links).await;
}
