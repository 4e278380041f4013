//! A simulated Host: its own mutual-TLS stream to a real Element, and nothing
//! behind it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::stream::{Handler, Incoming, Peer, reply};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::Problem,
    resource::host::ComputeHost,
    role::{Desired, NodeKind},
    wire::{
        Done, Request as _,
        control_element::Deployment,
        desired::{HostDesired, Wish},
        element_host::{
            ApplicationEnsure, HostApplied, HostChanged, HostDesire, HostHeartbeat, HostHello,
            HostWelcome, LeaseEnd, Probe, ProbeAnswer,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{Arrivals, PATIENCE, description, membership::Membership};

/// Changes are gathered for a moment before they are told, as real Hosts do.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

/// A simulated Host. Dropping it ends its stream.
pub struct SimulatedHost {
    /// Its node id.
    pub id: NodeId,
    inner: Arc<Inner>,
    stop: CancellationToken,
}

struct Inner {
    slots: u32,
    description: ComputeHost,
    incarnation: Incarnation,
    wish: Mutex<Wish>,
    deployments: Mutex<Vec<Deployment>>,
    bytes: AtomicU64,
    desires: AtomicU64,
    arrivals: Arc<Arrivals>,
}

impl SimulatedHost {
    /// Joins the Element whose door is at `door`, and keeps a stream to it
    /// from then on; `arrivals` notes each welcome.
    pub async fn join(
        door: &str,
        token: &str,
        name: &str,
        slots: u32,
        arrivals: Arc<Arrivals>,
    ) -> Result<Self, Problem> {
        let membership = Membership::join(door, token, name).await?;
        let (id, element) = (membership.id, membership.parent);
        let description = description::host(id, name, &membership.domain, element);
        let inner = Arc::new(Inner {
            slots,
            description,
            incarnation: Incarnation::generate(),
            wish: Mutex::default(),
            deployments: Mutex::default(),
            bytes: AtomicU64::new(0),
            desires: AtomicU64::new(0),
            arrivals,
        });
        let greeting = Arc::clone(&inner);
        let stop = membership.keep_stream(
            NodeKind::ComputingElement,
            Arc::new(End(Arc::clone(&inner))),
            move |peer| Arc::clone(&greeting).greet(peer).boxed(),
        );
        Ok(Self { id, inner, stop })
    }

    /// Bytes of the heartbeats that it has sent, as JSON.
    pub fn heartbeat_bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// What it should be, as it has heard.
    pub fn desired(&self) -> Desired {
        self.inner.wish.lock().desired
    }

    /// How often it was told what it should be.
    pub fn desires_told(&self) -> u64 {
        self.inner.desires.load(Ordering::Relaxed)
    }
}

impl Drop for SimulatedHost {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for SimulatedHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedHost")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Says hello, as a real Host does, and begins to beat.
    async fn greet(self: Arc<Self>, peer: Peer) -> Result<(), Problem> {
        let hello = HostHello {
            incarnation: self.incarnation,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.host().into(),
            endpoints: vec!["127.0.0.1:9".to_owned()],
            relayed: false,
            leases: Vec::new(),
            deployments: self.deployments.lock().clone(),
            generation: self.wish.lock().generation,
        };
        let welcome: HostWelcome = peer.ask(&hello, PATIENCE).await?;
        self.apply(&welcome.desired);
        self.arrivals.note();
        let interval = Duration::from_secs(u64::from(welcome.heartbeat_interval.max(1)));
        tokio::spawn(Arc::clone(&self).beat(peer.clone(), interval));
        // As a real Host: what it was told has changed its description.
        tokio::spawn(self.tell_change(peer));
        Ok(())
    }

    fn host(&self) -> ComputeHost {
        let mut host = self.description.clone();
        let desired = self.wish.lock().desired;
        host.state = Some(description::host_state(desired, self.slots, 0));
        host
    }

    async fn beat(self: Arc<Self>, peer: Peer, interval: Duration) {
        let mut sequence = 0;
        loop {
            tokio::select! {
                () = peer.closed() => return,
                () = tokio::time::sleep(interval) => {}
            }
            sequence += 1;
            let desired = self.wish.lock().desired;
            let heartbeat = HostHeartbeat {
                sequence,
                state: description::host_state(desired, self.slots, sequence).into(),
                leases: Vec::new(),
            };
            let bytes = serde_json::to_vec(&heartbeat).map_or(0, |bytes| bytes.len());
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            if peer.tell(&heartbeat).await.is_err() {
                return;
            }
        }
    }

    fn apply(&self, desired: &HostDesired) {
        *self.wish.lock() = desired.wish;
        self.desires.fetch_add(1, Ordering::Relaxed);
    }

    async fn tell_change(self: Arc<Self>, peer: Peer) {
        tokio::time::sleep(CHANGE_PAUSE).await;
        let changed = HostChanged {
            host: self.host().into(),
            deployments: self.deployments.lock().clone(),
            generation: self.wish.lock().generation,
        };
        // The next hello tells all of it.
        let _ = peer.tell(&changed).await;
    }

    fn ensure(&self, ensure: ApplicationEnsure) -> Deployment {
        let deployment = Deployment {
            digest: ensure.digest,
            state: "installedverified".to_owned(),
            generation: self.wish.lock().generation,
            serving: Desired::Production,
            reason: None,
        };
        let mut deployments = self.deployments.lock();
        deployments.retain(|known| known.digest != deployment.digest);
        deployments.push(deployment.clone());
        deployment
    }
}

/// This end of the stream.
struct End(Arc<Inner>);

impl Handler for End {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            let host = &self.0;
            match incoming.kind.as_str() {
                Probe::KIND => reply(&ProbeAnswer {
                    incarnation: host.incarnation,
                }),
                HostDesire::KIND => {
                    let HostDesire { desired, .. } = incoming.read()?;
                    host.apply(&desired);
                    tokio::spawn(Arc::clone(host).tell_change(peer.clone()));
                    reply(&HostApplied {
                        generation: desired.wish.generation,
                    })
                }
                ApplicationEnsure::KIND => reply(&host.ensure(incoming.read()?)),
                LeaseEnd::KIND => reply(&Done {}),
                _ => Err(incoming.unknown()),
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}
