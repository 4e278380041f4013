//! A client: opens a queue stream, asks for slots, notes what it is told.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::EphemeralKey,
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
    tunnel::Tunnel,
};
use gridmart_schemas::{
    id::{EntryId, KeyHash, LeaseId, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        Notice as _,
        queue::{
            Lease, LeaseGranted, LeaseOver, LeaseRecalled, QueueEnter, QueueRefused, ResumedLease,
            SessionOpen, SessionOpened,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{Element, PATIENCE, wait_for};

#[derive(Default)]
pub(crate) struct Heard {
    pub granted: Vec<Lease>,
    pub recalled: Vec<LeaseId>,
    pub over: Vec<(LeaseId, Code)>,
    pub refused: Vec<Code>,
}

pub(crate) struct Client {
    key: EphemeralKey,
    root: String,
    peer: Mutex<Option<Peer>>,
    pub heard: Arc<Mutex<Heard>>,
}

struct Ear(Arc<Mutex<Heard>>);

impl Client {
    pub(crate) fn new(root: String) -> Self {
        Self {
            key: EphemeralKey::generate().unwrap(),
            root,
            peer: Mutex::default(),
            heard: Arc::default(),
        }
    }

    pub(crate) fn key(&self) -> &KeyHash {
        self.key.key_hash()
    }

    /// Asks for a Host that cannot be dialled.
    pub(crate) async fn tunnel(
        &self,
        lease: &Lease,
        host: NodeId,
        ticket: Option<&str>,
    ) -> Result<Tunnel, Problem> {
        let tls = ClientTls::ephemeral(&self.root, &self.key).unwrap();
        let relay = lease.relay.as_ref().unwrap();
        let element = (relay.element, NodeKind::ComputingElement);
        let path = format!("/v1/relay/{host}");
        Tunnel::dial(&relay.endpoints, element, &tls, &path, ticket).await
    }

    /// Opens the stream, bringing along all leases that it has heard of.
    pub(crate) async fn connect(&self, element: &Element) -> SessionOpened {
        let tls = ClientTls::ephemeral(&self.root, &self.key).unwrap();
        let expected = (element.id, NodeKind::ComputingElement);
        let endpoints = [element.door.clone()];
        let ear = Arc::new(Ear(self.heard.clone()));
        let peer = dial(
            &endpoints,
            expected,
            &tls,
            "/v1/queue",
            ear,
            StreamLimits::default(),
        )
        .await
        .unwrap();
        let brought = |lease: &Lease| ResumedLease {
            lease: lease.lease,
            ticket: lease.ticket.clone(),
        };
        let leases = self.heard.lock().granted.iter().map(brought).collect();
        let opened = peer.ask(&SessionOpen { leases }, PATIENCE).await.unwrap();
        *self.peer.lock() = Some(peer);
        opened
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer.lock().clone().unwrap()
    }

    pub(crate) async fn enter(&self, ticket: String, slots: u32) -> Result<u32, Problem> {
        let enter = QueueEnter {
            ticket,
            entry: EntryId::generate(),
            slots,
            job: None,
            hosts_max: None,
            avoid: Vec::new(),
            priority: 0,
        };
        self.peer()
            .ask(&enter, PATIENCE)
            .await
            .map(|entered| entered.position)
    }

    /// The lease granted last, when there are so many.
    pub(crate) async fn granted(&self, count: usize) -> Lease {
        wait_for("a lease", || {
            let heard = self.heard.lock();
            heard.granted.get(count - 1).cloned().ok_or(format!(
                "{} leases, refused {:?}",
                heard.granted.len(),
                heard.refused
            ))
        })
        .await
    }
}

impl Client {
    /// Waits until it was told that a lease is over, for this reason.
    pub(crate) async fn wait_over(&self, lease: LeaseId, code: Code) {
        wait_for("the end of the lease", || {
            let over = self.heard.lock().over.clone();
            over.contains(&(lease, code)).then_some(()).ok_or(over)
        })
        .await;
    }
}

impl Handler for Ear {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move { Err(incoming.unknown()) }.boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        let mut heard = self.0.lock();
        match incoming.kind.as_str() {
            LeaseGranted::KIND => heard
                .granted
                .push(incoming.read::<LeaseGranted>().unwrap().lease),
            LeaseRecalled::KIND => heard
                .recalled
                .push(incoming.read::<LeaseRecalled>().unwrap().lease),
            LeaseOver::KIND => {
                let over: LeaseOver = incoming.read().unwrap();
                heard.over.push((over.lease, over.problem.code));
            }
            QueueRefused::KIND => heard
                .refused
                .push(incoming.read::<QueueRefused>().unwrap().problem.code),
            _ => {}
        }
        async {}.boxed()
    }
}
