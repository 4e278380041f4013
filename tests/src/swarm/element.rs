//! A simulated Element: one real stream to the controller, and Hosts that are
//! no more than their descriptions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use gridmart_fabric::{
    identity::NewKey,
    stream::{Handler, Incoming, Peer, reply},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    resource::host::ComputeHost,
    role::NodeKind,
    wire::{
        Request as _,
        control_element::{
            ElementApplied, ElementDesire, ElementHeartbeat, ElementHello, ElementWelcome,
            HostDelta, HostSummary, HostsChanged,
        },
        desired::{ElementDesired, Wish},
        enrol::HostVouch,
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Arrivals, PATIENCE, description, membership::Membership};

/// As a real Element: Hosts in one message, and how long changes are gathered.
const HOSTS_PER_MESSAGE: usize = 500;
const NEWS_GATHERING: Duration = Duration::from_millis(200);
/// Hosts that join an Element at a time.
const JOINING_AT_A_TIME: usize = 32;
/// How often Hosts tell their Element something new; with its own heartbeats,
/// every two seconds, half of them have.
const HOST_INTERVAL: Duration = Duration::from_secs(5);
const SLOTS: u32 = 4;

/// A Host that exists as its description.
struct Member {
    id: NodeId,
    description: ComputeHost,
    wish: Wish,
    whole_due: bool,
}

/// A simulated Element. Dropping it ends its stream.
pub struct SimulatedElement {
    /// Its node id.
    pub id: NodeId,
    inner: Arc<Inner>,
    stop: CancellationToken,
}

struct Inner {
    id: NodeId,
    name: String,
    domain: String,
    incarnation: Incarnation,
    members: Mutex<Vec<Member>>,
    desired: Mutex<ElementDesired>,
    peer: watch::Sender<Option<Peer>>,
    news: Notify,
    beats: AtomicU64,
    heartbeat_bytes: AtomicU64,
    vouched: AtomicUsize,
    arrivals: Arc<Arrivals>,
}

impl SimulatedElement {
    /// Joins the controller whose nodes' door is at `door`, and keeps a stream
    /// to it from then on. Returns when it was welcomed.
    pub async fn join(
        door: &str,
        token: &str,
        name: &str,
        arrivals: Arc<Arrivals>,
    ) -> Result<Self, Problem> {
        let membership = Membership::join(door, token, name).await?;
        let id = membership.id;
        let inner = Arc::new(Inner {
            id,
            name: name.to_owned(),
            domain: membership.domain.clone(),
            incarnation: Incarnation::generate(),
            members: Mutex::default(),
            desired: Mutex::default(),
            peer: watch::Sender::new(None),
            news: Notify::new(),
            beats: AtomicU64::new(0),
            heartbeat_bytes: AtomicU64::new(0),
            vouched: AtomicUsize::new(0),
            arrivals,
        });
        let greeting = Arc::clone(&inner);
        let stop = membership.keep_stream(
            NodeKind::Control,
            Arc::new(End(Arc::clone(&inner))),
            move |peer| Arc::clone(&greeting).greet(peer).boxed(),
        );
        let element = Self { id, inner, stop };
        element.inner.peer().await?;
        Ok(element)
    }

    /// Lets so many Hosts join: each makes a key, the Element vouches for it,
    /// the controller signs.
    pub async fn join_hosts(&self, count: usize) -> Result<(), Problem> {
        let inner = &self.inner;
        let first = inner.members.lock().len();
        let mut joining = stream::iter(first..first + count)
            .map(|number| inner.join_host(number))
            .buffer_unordered(JOINING_AT_A_TIME);
        while let Some(joined) = joining.next().await {
            joined?;
        }
        Ok(())
    }

    /// Gives the ids of its Hosts, as they joined.
    pub fn hosts(&self) -> Vec<NodeId> {
        let members = self.inner.members.lock();
        members.iter().map(|member| member.id).collect()
    }

    /// Tells how many of its Hosts should be closed now, as it has heard.
    pub fn hosts_closed(&self) -> usize {
        let members = self.inner.members.lock();
        let closed =
            |member: &&Member| member.wish.desired == gridmart_schemas::role::Desired::Closed;
        members.iter().filter(closed).count()
    }

    /// Bytes of the heartbeats that it has sent, as JSON.
    pub fn heartbeat_bytes(&self) -> u64 {
        self.inner.heartbeat_bytes.load(Ordering::Relaxed)
    }

    /// How many of its Hosts have a certificate so far.
    pub fn vouched(&self) -> usize {
        self.inner.vouched.load(Ordering::Relaxed)
    }
}

impl Drop for SimulatedElement {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inner {
    /// Waits for a stream that was welcomed.
    async fn peer(&self) -> Result<Peer, Problem> {
        let mut peers = self.peer.subscribe();
        let standing = peers.wait_for(|peer| peer.as_ref().is_some_and(|peer| !peer.is_closed()));
        let peer = tokio::time::timeout(PATIENCE, standing).await;
        let peer = peer.ok().and_then(Result::ok).and_then(|peer| peer.clone());
        peer.ok_or_else(|| Problem::new(Code::TimedOut, "The controller does not welcome."))
    }

    async fn join_host(&self, number: usize) -> Result<(), Problem> {
        let fault = |error: gridmart_fabric::identity::IdentityError| {
            Problem::new(Code::Internal, error.to_string())
        };
        let name = format!("{}-host-{number}", self.name);
        let key = NewKey::generate().map_err(fault)?;
        let vouch = HostVouch {
            name: name.clone(),
            csr_pem: key.csr_pem().map_err(fault)?,
        };
        let certificate = self.peer().await?.ask(&vouch, PATIENCE).await?;
        let id = key.into_identity(&certificate).map_err(fault)?.node();
        self.vouched.fetch_add(1, Ordering::Relaxed);
        self.members.lock().push(Member {
            id,
            description: description::host(id, &name, &self.domain, self.id),
            wish: Wish::default(),
            whole_due: true,
        });
        self.news.notify_one();
        Ok(())
    }

    /// Says hello, as a real Element does, and begins to report.
    async fn greet(self: Arc<Self>, peer: Peer) -> Result<(), Problem> {
        let mut hosts = self.due(|_| true);
        let rest = hosts.split_off(hosts.len().min(HOSTS_PER_MESSAGE));
        let mut element = description::element(self.id, &self.name, &self.domain);
        element.state = Some(self.state());
        let hello = ElementHello {
            incarnation: self.incarnation,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            element: element.into(),
            endpoints: vec!["127.0.0.1:9".to_owned()],
            hosts,
            deployments: Vec::new(),
            generation: self.desired.lock().wish.generation,
        };
        let welcome: ElementWelcome = peer.ask(&hello, PATIENCE).await?;
        for hosts in rest.chunks(HOSTS_PER_MESSAGE) {
            peer.tell(&HostsChanged {
                hosts: hosts.to_vec(),
                deployments: None,
            })
            .await?;
        }
        self.apply(welcome.desired);
        let interval = Duration::from_secs(u64::from(welcome.heartbeat_interval.max(1)));
        tokio::spawn(Arc::clone(&self).report(peer.clone(), interval));
        self.arrivals.note();
        self.peer.send_replace(Some(peer));
        Ok(())
    }

    async fn report(self: Arc<Self>, peer: Peer, interval: Duration) {
        // Elements that were started together do not beat together.
        let phase = interval.mul_f64(rand_share(self.id));
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + phase, interval);
        loop {
            let said = tokio::select! {
                () = peer.closed() => return,
                _ = beat.tick() => peer.tell(&self.heartbeat(interval)).await,
                () = self.news.notified() => {
                    tokio::time::sleep(NEWS_GATHERING).await;
                    self.tell_changes(&peer).await
                }
            };
            if said.is_err() {
                return;
            }
        }
    }

    async fn tell_changes(&self, peer: &Peer) -> Result<(), Problem> {
        let changed = self.due(|member| member.whole_due);
        for hosts in changed.chunks(HOSTS_PER_MESSAGE) {
            peer.tell(&HostsChanged {
                hosts: hosts.to_vec(),
                deployments: None,
            })
            .await?;
        }
        Ok(())
    }

    fn state(&self) -> gridmart_schemas::resource::ce::CeState {
        let hosts = u32::try_from(self.members.lock().len()).unwrap_or(u32::MAX);
        description::element_state(hosts, hosts.saturating_mul(SLOTS))
    }

    fn heartbeat(&self, interval: Duration) -> ElementHeartbeat {
        let sequence = self.beats.fetch_add(1, Ordering::Relaxed) + 1;
        // Hosts tell in turns, all of them once in their interval.
        let turns = (HOST_INTERVAL.as_millis() / interval.as_millis().max(1)).max(1);
        let state = self.state();
        let members = self.members.lock();
        let turn = |number: usize| {
            (number as u64 + sequence).is_multiple_of(u64::try_from(turns).unwrap_or(1))
        };
        let delta = |(number, member): (usize, &Member)| HostDelta {
            id: member.id,
            connected: true,
            state: turn(number)
                .then(|| description::host_state(member.wish.desired, SLOTS, sequence).into()),
            age_ms: 2_000,
        };
        let heartbeat = ElementHeartbeat {
            sequence,
            state: state.into(),
            hosts: members.iter().enumerate().map(delta).collect(),
        };
        drop(members);
        let bytes = serde_json::to_vec(&heartbeat).map_or(0, |bytes| bytes.len());
        self.heartbeat_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        heartbeat
    }

    /// Takes over what should be; Hosts whose wish is another apply it.
    fn apply(&self, desired: ElementDesired) {
        let wishes: std::collections::HashMap<NodeId, Wish> = desired
            .hosts
            .iter()
            .map(|host| (host.host, host.wish))
            .collect();
        for member in self.members.lock().iter_mut() {
            let wish = wishes.get(&member.id).copied().unwrap_or_default();
            if wish != member.wish {
                member.wish = wish;
                member.whole_due = true;
            }
        }
        *self.desired.lock() = desired;
        self.news.notify_one();
    }

    /// Hosts to be told whole.
    fn due(&self, which: impl Fn(&Member) -> bool) -> Vec<HostSummary> {
        let mut members = self.members.lock();
        let due = members.iter_mut().filter(|member| which(member));
        due.map(|member| {
            member.whole_due = false;
            let mut host = member.description.clone();
            host.state = Some(description::host_state(member.wish.desired, SLOTS, 0));
            HostSummary {
                host: host.into(),
                id: member.id,
                connected: true,
                generation: member.wish.generation,
                deployments: Vec::new(),
            }
        })
        .collect()
    }
}

/// A share from 0 to 1 that differs from node to node.
fn rand_share(id: NodeId) -> f64 {
    let last = id.as_uuid().as_bytes()[15];
    f64::from(last) / 256.0
}

/// This end of the stream.
struct End(Arc<Inner>);

impl Handler for End {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            match incoming.kind.as_str() {
                ElementDesire::KIND => {
                    let ElementDesire { desired } = incoming.read()?;
                    let generation = desired.wish.generation;
                    self.0.apply(desired);
                    reply(&ElementApplied { generation })
                }
                _ => Err(incoming.unknown()),
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

impl std::fmt::Debug for SimulatedElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedElement")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
