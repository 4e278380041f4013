//! One Element's control stream, as the controller handles it.
//!
//! Invariants: nothing but the hello is answered before the hello; what an
//! Element says changes only itself and its own Hosts.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::PeerNode,
    stream::{Handler, Incoming, Peer, reply},
};
use gridmart_schemas::{
    id::Incarnation,
    problem::{Code, Problem},
    wire::{
        Done, Notice as _, Request as _,
        control_element::{
            ElementChanged, ElementHeartbeat, ElementHello, ElementWelcome, HostSummary,
            HostsChanged,
        },
        enrol::{CertificateRenew, HostVouch},
        record::CallRecords,
    },
};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::{
    access::deployment::element_desired,
    app::{Control, activity, description, node},
    catalogue::observed::{ElementObserved, HostObserved, StreamNumber},
    failure::Failure,
    task::element_sync,
};

/// Records in one batch.
const BATCH_RECORDS_MAX: usize = 10_000;
/// Hosts in one message.
const HOSTS_MAX: usize = 10_000;
/// Applications on one node.
const DEPLOYMENTS_MAX: usize = 10_000;

/// The handler of one stream.
pub(super) struct ElementStream {
    control: Arc<Control>,
    element: PeerNode,
    number: StreamNumber,
    /// Set by the hello.
    incarnation: OnceLock<Incarnation>,
}

impl ElementStream {
    pub(super) fn new(control: Arc<Control>, element: PeerNode) -> Self {
        let number = control.streams.number();
        Self {
            control,
            element,
            number,
            incarnation: OnceLock::new(),
        }
    }

    async fn answer(&self, peer: &Peer, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        if incoming.kind == ElementHello::KIND {
            return reply(&self.on_hello(peer, incoming.read()?).await?);
        }
        let incarnation = *self.incarnation.get().ok_or_else(|| {
            Problem::new(
                Code::InvalidRequest,
                "The first message of a control stream is the hello.",
            )
        })?;
        let control = &self.control;
        match incoming.kind.as_str() {
            HostVouch::KIND => reply(&refused(
                node::host_vouch(control, &self.element, incoming.read()?).await,
            )?),
            CertificateRenew::KIND => reply(&refused(
                node::certificate_renew(control, &self.element, incoming.read()?).await,
            )?),
            CallRecords::KIND => {
                let batch: CallRecords = incoming.read()?;
                if batch.rows() > BATCH_RECORDS_MAX {
                    let detail = format!("A batch has {BATCH_RECORDS_MAX} records at most.");
                    return Err(Problem::new(Code::TooLarge, detail));
                }
                refused(
                    activity::record_batch(control, self.element.id, incarnation, batch).await,
                )?;
                reply(&Done {})
            }
            _ => Err(incoming.unknown()),
        }
    }

    async fn on_hello(&self, peer: &Peer, hello: ElementHello) -> Result<ElementWelcome, Problem> {
        let ElementHello {
            incarnation,
            software,
            element,
            endpoints,
            hosts,
            deployments,
            generation,
        } = hello;
        if self.incarnation.get().is_some() {
            return Err(Problem::new(
                Code::InvalidRequest,
                "There was a hello on this stream already.",
            ));
        }
        bounds_check(&hosts, deployments.len())?;
        let (control, id) = (&self.control, self.element.id);
        let state = element.state();
        refused(description::element_describe(control, id, Some(endpoints), element).await)?;
        refused(description::host_describe(control, id, &hosts).await)?;
        let catalogue = control.catalogue.snapshot();
        let desired = element_desired(&catalogue, id, OffsetDateTime::now_utc());
        // What it has not applied yet is sent again, to be acknowledged.
        let recorded = (generation >= desired.wish.generation).then(|| Arc::new(desired.clone()));
        let heard = ElementObserved {
            stream: self.number,
            connected: true,
            incarnation,
            software: software.chars().take(100).collect(),
            heard: Instant::now(),
            state,
            deployments,
            applied: generation,
            recorded,
        };
        let observed = &control.catalogue.observed;
        let its_start = observed.load().elements.get(&id).map(|was| was.incarnation);
        observed.on_hello(id, heard, self.own_hosts(hosts));
        if let Some(older) = control.streams.put(id, self.number, peer.clone()) {
            peer.succeed(older, its_start == Some(incarnation), &control.shutdown);
        }
        control
            .metrics
            .element_streams
            .set(count(control.streams.count()));
        // Only now: what came before was not this stream's to say.
        let _ = self.incarnation.set(incarnation);
        element_sync::spawn(control, id, self.number, peer.clone());
        tracing::info!(node.id = %id, incarnation = %incarnation, "an Element has dialled in");
        let key = &control.ticket_key;
        Ok(ElementWelcome {
            heartbeat_interval: control.heartbeat_interval,
            ticket_keys: [(key.kid().to_string(), key.spki_pem().to_owned())].into(),
            desired,
            time: Some(OffsetDateTime::now_utc().unix_timestamp()),
        })
    }

    /// What is observed of Hosts, as far as they are this Element's.
    fn own_hosts(
        &self,
        hosts: Vec<HostSummary>,
    ) -> Vec<(gridmart_schemas::id::NodeId, HostObserved)> {
        let catalogue = self.control.catalogue.snapshot();
        hosts
            .into_iter()
            .filter(|summary| {
                catalogue
                    .nodes
                    .get(&summary.id)
                    .is_some_and(|node| node.parent == self.element.id)
            })
            .map(|summary| {
                let HostSummary {
                    mut host,
                    id,
                    connected,
                    generation,
                    deployments,
                } = summary;
                let observed = HostObserved {
                    element: self.element.id,
                    connected,
                    stated_age: Duration::ZERO,
                    state: host.take_state(),
                    deployments,
                    applied: generation,
                };
                (id, observed)
            })
            .collect()
    }

    async fn take(&self, incoming: Incoming) -> Result<(), Problem> {
        if self.incarnation.get().is_none() {
            return Err(Problem::new(
                Code::InvalidRequest,
                "A notice came before the hello.",
            ));
        }
        let (observed, id) = (&self.control.catalogue.observed, self.element.id);
        match incoming.kind.as_str() {
            ElementHeartbeat::KIND => {
                let ElementHeartbeat {
                    sequence: _,
                    state,
                    hosts,
                } = incoming.read()?;
                observed.on_heartbeat(id, self.number, state, hosts, Instant::now());
                Ok(())
            }
            HostsChanged::KIND => {
                let HostsChanged { hosts, deployments } = incoming.read()?;
                bounds_check(&hosts, deployments.as_ref().map_or(0, Vec::len))?;
                refused(description::host_describe(&self.control, id, &hosts).await)?;
                observed.on_hosts_changed(id, self.number, self.own_hosts(hosts), deployments);
                Ok(())
            }
            ElementChanged::KIND => {
                let ElementChanged { element } = incoming.read()?;
                refused(description::element_describe(&self.control, id, None, element).await)
            }
            _ => Err(incoming.unknown()),
        }
    }
}

impl Handler for ElementStream {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        self.answer(peer, incoming).boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        async move {
            let kind = incoming.kind.clone();
            if let Err(problem) = self.take(incoming).await {
                tracing::warn!(node.id = %self.element.id, kind, problem = %problem, "a notice was refused");
            }
        }
        .boxed()
    }

    fn on_closed<'a>(&'a self, _: &'a Peer) -> BoxFuture<'a, ()> {
        async move {
            let (control, id) = (&self.control, self.element.id);
            control.streams.remove(id, self.number);
            control
                .metrics
                .element_streams
                .set(count(control.streams.count()));
            control.catalogue.observed.on_closed(id, self.number);
            tracing::info!(node.id = %id, "an Element's stream has ended");
        }
        .boxed()
    }
}

fn count(streams: usize) -> i64 {
    i64::try_from(streams).unwrap_or(i64::MAX)
}

fn bounds_check(hosts: &[HostSummary], deployments: usize) -> Result<(), Problem> {
    let too_many = |what: &str, limit: usize| {
        Err(Problem::new(
            Code::TooLarge,
            format!("An Element tells of {limit} {what} at most."),
        ))
    };
    if hosts.len() > HOSTS_MAX {
        return too_many("Hosts", HOSTS_MAX);
    }
    let most = hosts
        .iter()
        .map(|host| host.deployments.len())
        .max()
        .unwrap_or(0);
    if most.max(deployments) > DEPLOYMENTS_MAX {
        return too_many("applications per node", DEPLOYMENTS_MAX);
    }
    Ok(())
}

/// What the peer is told of a failure; faults are logged.
fn refused<T>(result: Result<T, Failure>) -> Result<T, Problem> {
    result.map_err(Failure::into_problem)
}
