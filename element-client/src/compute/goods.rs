//! Compute as the goods of an Element: one queue for the slots of its Hosts.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    disk::RealDisk,
    door::{Request, Response},
    identity::{NodeIdentity, PeerIdentity},
    stream::{Incoming, reply},
};
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    problem::Problem,
    resource::{
        any::{AnyElement, AnyElementState},
        ce_doc::CeDocument,
        host::{ComputeHost, HostState},
    },
    role::NodeKind,
    scalar::{Seconds, Token},
    wire::{
        Notice as _, Request as _,
        control_element::{
            ActivityList, CallTerminate, Deployment, Explain, JobTerminate, LogRead,
        },
        desired::{ElementDesired, Wish},
        element_host::{HeldLease, HostHello, LeasesEnded},
        record::CallRecords,
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{
    Ce,
    clients::Clients,
    deploy::Shelf,
    document::{described, first_document, settings_of},
    explain::EndedCalls,
    journal::lease::LeaseJournal,
    late::Late,
    measure::Measures,
    queue::{Queue, pool::HostArrival},
    relay::RelayDesk,
    state::{ServiceTimes, element_state},
};
use crate::{
    config::Config,
    element::{
        goods::{Goods, KnownHost, Opening},
        record::RecordDesk,
        start::disk_fault,
    },
    run::ElementError,
};

/// What a Computing Element has besides what every Element has.
pub(crate) struct Compute {
    pub(crate) queue: Mutex<Queue>,
    pub(crate) lease_journal: Mutex<LeaseJournal>,
    pub(crate) records: RecordDesk,
    pub(crate) service_times: Mutex<ServiceTimes>,
    pub(crate) ended_calls: Mutex<EndedCalls>,
    pub(crate) shelf: Shelf,
    pub(crate) relays: Arc<RelayDesk>,
    pub(crate) clients: Clients,
    pub(crate) metrics: Measures,
    pub(crate) late: Mutex<Late>,
}

impl Goods for Compute {
    const KIND: NodeKind = NodeKind::ComputingElement;
    const HOST_KIND: NodeKind = NodeKind::ComputeHost;
    const ELEMENT: &'static str = "Computing Element";
    const HOSTS: &'static str = "compute Hosts";
    const LIB_FILE: &'static str = "CEDoc.xml";
    const RELAYS: bool = true;
    type Document = CeDocument;

    fn first_document(
        config: &Config,
        identity: &NodeIdentity,
    ) -> Result<CeDocument, ElementError> {
        first_document(config, identity)
    }

    fn open(opening: &Opening<'_, CeDocument>) -> Result<Self, ElementError> {
        let records_path = opening.folder.join("records.journal");
        let records = RecordDesk::open(&records_path).map_err(disk_fault("open", &records_path))?;
        let leases_path = opening.folder.join("leases.journal");
        let (lease_journal, leases) =
            LeaseJournal::open(Arc::new(RealDisk), &leases_path, Instant::now())
                .map_err(disk_fault("open", &leases_path))?;
        let shelf = Shelf::open(opening.folder).map_err(disk_fault("open", opening.folder))?;
        let mut queue = Queue::new(settings_of(opening.document));
        let capabilities = &opening.document.element.info.common.capabilities;
        queue.on_element_offers(capabilities.iter().map(Token::as_str));
        for lease in leases {
            queue.on_lease_remembered(lease, Instant::now());
        }
        Ok(Self {
            queue: Mutex::new(queue),
            lease_journal: Mutex::new(lease_journal),
            records,
            service_times: Mutex::default(),
            ended_calls: Mutex::default(),
            shelf,
            relays: Arc::default(),
            clients: Clients::default(),
            metrics: Measures::register(opening.registry),
            late: Mutex::default(),
        })
    }

    fn take_up(ce: &Arc<Ce>, hosts: Vec<KnownHost<ComputeHost>>, desired: &ElementDesired) {
        ce.decide(|queue, now| {
            for known in hosts {
                queue.on_host_known(known.id, Arc::new(known.host), known.wish, known.revoked);
            }
            queue.on_desired(desired, now);
        });
    }

    fn tasks(ce: &Arc<Ce>) -> Vec<BoxFuture<'static, ()>> {
        vec![
            Arc::clone(ce).keep_records().boxed(),
            Arc::clone(ce).send_records().boxed(),
        ]
    }

    fn on_tick(ce: &Arc<Ce>) {
        let settings = settings_of(&ce.base.read());
        ce.decide(|queue, now| {
            queue.on_settings_if_changed(settings, now);
            queue.on_tick(now);
        });
    }

    fn observe(ce: &Ce, state: &AnyElementState) {
        if let AnyElementState::Computing(state) = state {
            ce.metrics
                .observe_hosts(state.total_instances, state.unavailable_instances);
            ce.goods.metrics.observe(state);
        }
        let waiting = i64::try_from(ce.goods.records.len()).unwrap_or(i64::MAX);
        ce.goods.metrics.records_waiting.set(waiting);
    }

    fn flush(&self) {
        self.lease_journal.lock().on_tick();
    }

    fn close(&self) {
        self.clients.close_all();
    }

    fn describe(ce: &Ce) -> AnyElement {
        described(&ce.base.read()).into()
    }

    fn state(ce: &Ce, validity: Seconds) -> AnyElementState {
        let queue = ce.goods.queue.lock();
        let limit = queue.longest_limit();
        let times = ce.goods.service_times.lock();
        element_state(&queue, &times, limit, ce.started_at, validity).into()
    }

    fn deployments(ce: &Ce) -> Vec<Deployment> {
        ce.deployments()
    }

    fn on_desired(ce: &Arc<Ce>, desired: &ElementDesired) {
        ce.decide(|queue, now| queue.on_desired(desired, now));
    }

    fn keep_only(&self, desired: &ElementDesired) {
        let wishes = desired.applications.iter();
        self.shelf
            .keep_only(&wishes.map(|wish| wish.digest.clone()).collect());
    }

    fn on_host_met(ce: &Arc<Ce>, id: NodeId, host: &ComputeHost) {
        // One that is new to the queue enters it with the wishes that stand.
        if ce.goods.queue.lock().host(id).is_some() {
            return;
        }
        let apart = ce.desired_apart(id);
        let description = Arc::new(host.clone());
        ce.decide(|queue, now| {
            queue.on_host_known(id, description, Wish::default(), false);
            if let Some(desired) = &apart {
                queue.on_desired(desired, now);
            }
        });
    }

    fn on_host_arrived(
        ce: &Arc<Ce>,
        id: NodeId,
        host: ComputeHost,
        hello: HostHello,
    ) -> Vec<LeaseId> {
        let arrival = HostArrival {
            id,
            incarnation: hello.incarnation,
            description: Arc::new(host),
            endpoints: hello.endpoints,
            relayed: hello.relayed,
            leases: hello.leases,
            deployments: hello.deployments,
        };
        ce.decide(|queue, now| queue.on_host_arrived(arrival, now))
    }

    fn on_host_heard(ce: &Arc<Ce>, id: NodeId, state: &HostState, leases: &[HeldLease]) {
        ce.decide(|queue, now| queue.on_host_heard(id, state, leases, now));
    }

    fn on_host_changed(ce: &Arc<Ce>, id: NodeId, host: ComputeHost, deployments: &[Deployment]) {
        let description = Arc::new(host);
        ce.decide(|queue, now| queue.on_host_changed(id, description, deployments, now));
    }

    fn on_host_lost(ce: &Arc<Ce>, id: NodeId) {
        ce.decide(|queue, now| queue.on_host_lost(id, now));
    }

    fn on_host_down(ce: &Arc<Ce>, id: NodeId) {
        ce.decide(|queue, now| {
            let mut late = ce.goods.late.lock();
            late.on_down(queue.leases().of_host(id), now);
            queue.on_host_down(id, now);
        });
    }

    async fn on_controller_request(
        ce: &Arc<Ce>,
        incoming: Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            CallTerminate::KIND => reply(&ce.terminate_call(incoming.read()?).await),
            JobTerminate::KIND => reply(&ce.terminate_job(incoming.read()?).await),
            Explain::KIND => reply(&ce.explain(&incoming.read::<Explain>()?.subject)?),
            ActivityList::KIND => reply(&ce.activities(incoming.read::<ActivityList>()?.limit)),
            LogRead::KIND => reply(&ce.read_logs(incoming.read()?).await),
            _ => Err(incoming.unknown()),
        }
    }

    async fn on_host_request(
        ce: &Arc<Ce>,
        host: NodeId,
        incoming: Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            CallRecords::KIND => reply(&ce.on_records(host, incoming.read()?).await?),
            _ => Err(incoming.unknown()),
        }
    }

    fn on_host_notice(ce: &Arc<Ce>, host: NodeId, incoming: Incoming) -> Result<(), Problem> {
        if incoming.kind != LeasesEnded::KIND {
            return Err(incoming.unknown());
        }
        let ended: LeasesEnded = incoming.read()?;
        ce.decide(|queue, now| queue.on_leases_ended(host, &ended.leases, now));
        Ok(())
    }

    async fn on_visit(
        ce: &Arc<Ce>,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        ce.on_visit(peer, remote, request).await
    }
}
