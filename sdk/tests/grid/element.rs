//! An Element: a queue that grants leases of simulated Hosts.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response, Service, problem_response, upgrade},
    identity::PeerIdentity,
    socket::SocketLimits,
    stream::{Handler, Incoming, Peer, StreamLimits, reply, run_stream},
};
use gridmart_sdk::schemas::{
    api::access::ElementAccess,
    id::{EntryId, LeaseId, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        Notice as _, Request as _,
        queue::{
            CallOverdue, Lease, LeaseGranted, LeaseOver, LeaseRecalled, LeaseRelease, LeaseRenew,
            OverdueAnswer, QueueEnter, QueueEntered, QueueLeave, SessionOpen, SessionOpened,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::{host::Host, nodes::Site};

pub(crate) struct Element {
    id: NodeId,
    address: Mutex<Option<SocketAddr>>,
    hosts: Vec<Arc<Host>>,
    state: Mutex<State>,
    pub(crate) entered: AtomicU32,
    pub(crate) renewed: AtomicU32,
    pub(crate) overdue_after_ms: AtomicU32,
    pub(crate) lease_life: AtomicU32,
    /// Refuses new entries with `queue-full`.
    pub(crate) full: AtomicBool,
    stop: Mutex<CancellationToken>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    leases: HashMap<LeaseId, Held>,
    peers: Vec<Peer>,
}

struct Waiting {
    entry: EntryId,
    slots: u32,
    hosts_max: Option<u32>,
    avoid: Vec<NodeId>,
    peer: Peer,
    hosts: Vec<NodeId>,
}

struct Held {
    host: NodeId,
    slots: u32,
    peer: Peer,
}

impl Element {
    pub(crate) async fn start(site: &Site, hosts: &[Arc<Host>]) -> Arc<Self> {
        let element = Arc::new(Self {
            id: NodeId::generate(),
            address: Mutex::default(),
            hosts: hosts.to_vec(),
            state: Mutex::default(),
            entered: AtomicU32::new(0),
            renewed: AtomicU32::new(0),
            overdue_after_ms: AtomicU32::new(60_000),
            lease_life: AtomicU32::new(300),
            full: AtomicBool::new(false),
            stop: Mutex::new(CancellationToken::new()),
        });
        element.open(site, "127.0.0.1:0").await;
        element
    }

    async fn open(self: &Arc<Self>, site: &Site, listen: &str) {
        let stop = self.stop.lock().clone();
        let service = Arc::new(Door(Arc::clone(self)));
        let address = site
            .door(self.id, NodeKind::ComputingElement, listen, service, stop)
            .await;
        *self.address.lock() = Some(address);
    }

    pub(crate) fn access(&self) -> ElementAccess {
        ElementAccess {
            element: self.id,
            name: "element".to_owned(),
            endpoints: self
                .address
                .lock()
                .iter()
                .map(ToString::to_string)
                .collect(),
            ticket: "access-ticket".to_owned(),
        }
    }

    pub(crate) fn leases(&self) -> usize {
        self.state.lock().leases.len()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Cuts all queue streams.
    pub(crate) fn cut(&self) {
        for peer in self.state.lock().peers.drain(..) {
            peer.close();
        }
    }

    /// Asks for all leases back.
    pub(crate) fn recall(&self) {
        for (lease, held) in &self.state.lock().leases {
            held.peer
                .try_tell(&LeaseRecalled { lease: *lease })
                .unwrap();
        }
    }

    /// Ends all leases of a Host, or of all.
    pub(crate) fn end_leases(&self, host: Option<NodeId>, problem: &Problem) {
        let mut state = self.state.lock();
        let gone = state
            .leases
            .extract_if(|_, held| host.is_none_or(|host| held.host == host));
        for (lease, held) in gone.collect::<Vec<_>>() {
            let over = LeaseOver {
                lease,
                problem: problem.clone(),
            };
            let _ = held.peer.try_tell(&over);
        }
    }

    /// A Host has come or gone, or slots are free: grant what can be.
    pub(crate) fn grant(&self) {
        let mut state = self.state.lock();
        let mut waiting = std::mem::take(&mut state.waiting);
        waiting.retain_mut(|entry| {
            for host in &self.hosts {
                let used: u32 = state
                    .leases
                    .values()
                    .filter(|held| held.host == host.id)
                    .map(|held| held.slots)
                    .sum();
                let slots = host.slots.saturating_sub(used).min(entry.slots);
                let fits = entry.hosts_max.is_none_or(|max| {
                    entry.hosts.contains(&host.id) || entry.hosts.len() < max as usize
                });
                if slots == 0 || !fits || !host.is_up() || entry.avoid.contains(&host.id) {
                    continue;
                }
                let lease = self.lease(LeaseId::generate(), host, slots);
                let held = Held {
                    host: host.id,
                    slots,
                    peer: entry.peer.clone(),
                };
                state.leases.insert(lease.lease, held);
                entry.hosts.push(host.id);
                entry.slots -= slots;
                let _ = entry.peer.try_tell(&LeaseGranted {
                    entry: entry.entry,
                    lease,
                });
                if entry.slots == 0 {
                    return false;
                }
            }
            true
        });
        state.waiting = waiting;
    }

    fn lease(&self, lease: LeaseId, host: &Host, slots: u32) -> Lease {
        Lease {
            lease,
            host: host.id,
            host_name: host.name.clone(),
            endpoints: vec![host.address()],
            relay: None,
            slots,
            ticket: format!("lease {lease} {}", self.renewed.load(Ordering::SeqCst)),
            expires_in: self.lease_life.load(Ordering::SeqCst),
            overdue_after_ms: self.overdue_after_ms.load(Ordering::SeqCst).into(),
            incarnation: host.incarnation(),
        }
    }

    fn host_of(&self, lease: LeaseId) -> Option<(&Arc<Host>, u32)> {
        let state = self.state.lock();
        let held = state.leases.get(&lease)?;
        Some((
            self.hosts.iter().find(|host| host.id == held.host)?,
            held.slots,
        ))
    }

    fn answer(&self, peer: &Peer, request: &Incoming) -> Result<Box<RawValue>, Problem> {
        let unknown = || Problem::new(Code::LeaseUnknown, "no such lease");
        match request.kind.as_str() {
            SessionOpen::KIND => {
                let open: SessionOpen = request.read()?;
                let mut state = self.state.lock();
                state.peers.push(peer.clone());
                let mut leases = Vec::new();
                for resumed in open.leases {
                    if let Some(held) = state.leases.get_mut(&resumed.lease) {
                        held.peer = peer.clone();
                        leases.push(resumed.lease);
                    }
                }
                reply(&SessionOpened {
                    element: self.id,
                    leases,
                    reattach_grace: 30,
                })
            }
            QueueEnter::KIND => {
                let enter: QueueEnter = request.read()?;
                self.entered.fetch_add(1, Ordering::SeqCst);
                if self.full.load(Ordering::SeqCst) {
                    return Err(Problem::new(Code::QueueFull, "10 run, 5 wait, no more may"));
                }
                self.state.lock().waiting.push_back(Waiting {
                    entry: enter.entry,
                    slots: enter.slots,
                    hosts_max: enter.hosts_max,
                    avoid: enter.avoid,
                    peer: peer.clone(),
                    hosts: Vec::new(),
                });
                self.grant();
                reply(&QueueEntered { position: 0 })
            }
            LeaseRenew::KIND => {
                let renew: LeaseRenew = request.read()?;
                self.renewed.fetch_add(1, Ordering::SeqCst);
                let (host, slots) = self.host_of(renew.lease).ok_or_else(unknown)?;
                reply(&self.lease(renew.lease, host, slots))
            }
            CallOverdue::KIND => {
                let overdue: CallOverdue = request.read()?;
                let (host, _) = self.host_of(overdue.lease).ok_or_else(unknown)?;
                reply(&if host.is_up() {
                    OverdueAnswer::Alive {
                        incarnation: host.incarnation(),
                        again_after_ms: 200,
                    }
                } else {
                    OverdueAnswer::Down {}
                })
            }
            _ => Err(request.unknown()),
        }
    }

    fn hear(&self, notice: &Incoming) -> Result<(), Problem> {
        match notice.kind.as_str() {
            LeaseRelease::KIND => {
                let LeaseRelease { lease } = notice.read()?;
                self.state.lock().leases.remove(&lease);
                self.grant();
            }
            QueueLeave::KIND => {
                let QueueLeave { entry } = notice.read()?;
                self.state
                    .lock()
                    .waiting
                    .retain(|waiting| waiting.entry != entry);
            }
            other => panic!("unexpected notice {other}"),
        }
        Ok(())
    }
}

struct Door(Arc<Element>);

impl Service for Door {
    fn handle(
        &self,
        peer: PeerIdentity,
        _remote: SocketAddr,
        mut request: Request,
    ) -> BoxFuture<'_, Response> {
        let events = Arc::new(Events(Arc::clone(&self.0)));
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/v1/queue");
            match upgrade(&mut request, SocketLimits::ENVELOPES) {
                Ok((response, pending)) => {
                    tokio::spawn(async move {
                        let socket = pending.socket().await.unwrap();
                        run_stream(socket, peer, events, StreamLimits::default())
                    });
                    response
                }
                Err(problem) => problem_response(&problem),
            }
        })
    }
}

struct Events(Arc<Element>);

impl Handler for Events {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        request: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { self.0.answer(peer, &request) })
    }

    fn on_notice<'a>(&'a self, _peer: &'a Peer, notice: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.hear(&notice).unwrap() })
    }
}
