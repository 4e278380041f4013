//! A simulated Element: it speaks the real protocol over real mutual TLS, and
//! does at once whatever it is told.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::{IdentityCell, NewKey, NodeIdentity},
    join,
    stream::{Handler, Incoming, Peer, StreamLimits, dial, reply},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    api::explain::Explanation,
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    resource::{
        ce::{CeInfo, CePolicy, CeState, ComputingElement},
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState},
        enumeration::{HealthState, LrmsType, OsFamily, Platform, ServingState},
        host::{
            Architecture, ComputeHost, HostInfo, HostPolicy, HostState, MainMemory, OperatingSystem,
        },
    },
    role::NodeKind,
    scalar::{Seconds, Uri, UtcTime},
    wire::{
        Request as _,
        control_element::{
            Activities, Activity, ActivityList, CallTerminate, ElementApplied, ElementDesire,
            ElementHello, ElementWelcome, Explain, HostSummary, HostsChanged, JoinTokenCreate,
            JoinTokenMade, LogRead, LogsRead, Subject, Terminated,
        },
        desired::ElementDesired,
        element_host::LogAnswer,
        enrol::HostVouch,
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::grid::{DEADLINE, Grid, wait_for};

const SHORT: Duration = Duration::from_secs(5);

/// An Element that has joined.
pub(crate) struct SimElement {
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) mind: Arc<Mind>,
    pub(crate) hosts: Vec<NodeId>,
    pub(crate) welcome: Option<ElementWelcome>,
    pub(crate) peer: Option<Peer>,
}

/// What it was told.
#[derive(Default)]
pub(crate) struct Mind {
    pub(crate) desires: Mutex<Vec<ElementDesired>>,
    pub(crate) running: Mutex<Vec<Activity>>,
    /// Wishes are recorded but not answered while this is set.
    pub(crate) mute: Mutex<bool>,
}

impl Handler for Mind {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move { self.answer(&incoming) }.boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

impl Mind {
    fn answer(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            ElementDesire::KIND => {
                let ElementDesire { desired } = incoming.read()?;
                let generation = desired.wish.generation;
                self.desires.lock().push(desired);
                if *self.mute.lock() {
                    return Err(Problem::new(Code::Busy, "not now"));
                }
                reply(&ElementApplied { generation })
            }
            JoinTokenCreate::KIND => {
                let JoinTokenCreate { kind, .. } = incoming.read()?;
                assert_eq!(kind, NodeKind::ComputeHost);
                reply(&JoinTokenMade {
                    token: "gmj1.simulated".to_owned(),
                    endpoint: "ce:1".to_owned(),
                })
            }
            CallTerminate::KIND => {
                let CallTerminate { call, .. } = incoming.read()?;
                let mut running = self.running.lock();
                let before = running.len();
                running.retain(|activity| activity.id != call.to_string());
                reply(&Terminated {
                    ended: (before - running.len()) as u64,
                })
            }
            ActivityList::KIND => reply(&Activities {
                activities: self.running.lock().clone(),
            }),
            Explain::KIND => {
                let Explain { subject } = incoming.read()?;
                match subject {
                    Subject::Lease(_) => Ok(reply(&Explanation {
                        question: "why?".to_owned(),
                        outcome: "because".to_owned(),
                        candidates: Vec::new(),
                    })?),
                    _ => Err(Problem::new(Code::NotFound, "unknown here")),
                }
            }
            LogRead::KIND => {
                let LogRead { owner, cursors, .. } = incoming.read()?;
                let cursor = cursors.values().next().copied().unwrap_or(0) + 1;
                let gap = owner.is_some();
                let hosts = BTreeMap::from([(
                    NodeId::from_uuid(uuid::Uuid::nil()),
                    LogAnswer {
                        cursor,
                        lines: Vec::new(),
                        gap,
                    },
                )]);
                reply(&LogsRead { hosts })
            }
            _ => Err(incoming.unknown()),
        }
    }
}

fn everybody() -> AccessControlBase {
    AccessControlBase::from_rules(vec![AccessRule::new("ALL".parse().unwrap())])
}

fn well() -> CommonState {
    CommonState::new(ServingState::Production, HealthState::Ok)
}

fn uri(id: NodeId) -> Uri {
    Uri::from_uuid(id.as_uuid())
}

pub(crate) fn description(id: NodeId, name: &str, slots: u32) -> ComputingElement {
    let common = CommonInfo::new(name.parse().unwrap(), "lab".parse().unwrap());
    let mut state = CeState::new(UtcTime::now(), Seconds::from_secs(60), well());
    state.total_slots = slots;
    state.free_job_slots = slots;
    ComputingElement {
        id: uri(id),
        info: CeInfo::new(common, LrmsType::Fork, "localhost".parse().unwrap()),
        state: Some(state),
        policy: CePolicy::default(),
        access: everybody(),
    }
}

pub(crate) fn host(id: NodeId, element: NodeId, name: &str, generation: u64) -> HostSummary {
    let common = CommonInfo::new(name.parse().unwrap(), "lab".parse().unwrap());
    let info = HostInfo::new(
        common,
        uri(element),
        "localhost".parse().unwrap(),
        Architecture {
            platform_type: Platform::Amd64,
            smp_size: NonZeroU32::new(2).unwrap(),
        },
        MainMemory {
            ram_size: 4 << 30,
            virtual_size: None,
        },
        OperatingSystem {
            family: OsFamily::Linux,
            name: "debian".parse().unwrap(),
            release: None,
            version: None,
        },
    );
    let state = HostState::new(UtcTime::now(), Seconds::from_secs(60), well(), 2);
    HostSummary {
        host: ComputeHost {
            id: uri(id),
            info,
            state: Some(state),
            policy: HostPolicy::default(),
            access: everybody(),
        }
        .into(),
        id,
        connected: true,
        generation,
        deployments: Vec::new(),
    }
}

impl SimElement {
    /// Joins with a new token, and dials in with one Host.
    pub(crate) async fn join(grid: &Grid, name: &str) -> Self {
        let token = grid.join_token(1, 600).await;
        let identity = join::enrol(std::slice::from_ref(&grid.nodes), &token, name)
            .await
            .unwrap();
        let mut element = Self::of(identity);
        element.dial(grid, name).await.unwrap();
        element.add_host("h1").await;
        element
    }

    pub(crate) fn of(identity: NodeIdentity) -> Self {
        Self {
            identity: IdentityCell::new(identity),
            mind: Arc::default(),
            hosts: Vec::new(),
            welcome: None,
            peer: None,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.identity.current().node()
    }

    pub(crate) fn tls(&self) -> ClientTls {
        ClientTls::node(Arc::clone(&self.identity), Revocations::new()).unwrap()
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.peer.as_ref().unwrap()
    }

    /// Opens the control stream without saying hello.
    pub(crate) async fn open(&self, grid: &Grid) -> Result<Peer, Problem> {
        let expected = (grid.node, NodeKind::Control);
        let handler: Arc<dyn Handler> = Arc::clone(&self.mind) as _;
        dial(
            std::slice::from_ref(&grid.nodes),
            expected,
            &self.tls(),
            "/v1/control",
            handler,
            StreamLimits::default(),
        )
        .await
    }

    /// Opens the control stream and says hello, as it remembers what it was told.
    pub(crate) async fn dial(&mut self, grid: &Grid, name: &str) -> Result<(), Problem> {
        let peer = self.open(grid).await?;
        let last = self.mind.desires.lock().last().cloned();
        let generation = last.map_or(0, |desired| desired.wish.generation);
        let hosts = self
            .hosts
            .iter()
            .map(|id| host(*id, self.id(), "h1", 0))
            .collect();
        let hello = ElementHello {
            incarnation: Incarnation::generate(),
            software: "simulated".to_owned(),
            element: description(self.id(), name, 2).into(),
            endpoints: vec!["127.0.0.1:1".to_owned()],
            hosts,
            deployments: Vec::new(),
            generation,
        };
        let welcome = peer.ask(&hello, SHORT).await?;
        self.welcome = Some(welcome);
        self.peer = Some(peer);
        Ok(())
    }

    /// Vouches for a Host and tells of it.
    pub(crate) async fn add_host(&mut self, name: &str) -> NodeId {
        let csr_pem = NewKey::generate().unwrap().csr_pem().unwrap();
        let vouch = HostVouch {
            name: name.to_owned(),
            csr_pem,
        };
        let certificate = self.peer().ask(&vouch, SHORT).await.unwrap();
        self.hosts.push(certificate.node);
        self.tell_host(host(certificate.node, self.id(), name, 0))
            .await;
        certificate.node
    }

    pub(crate) async fn tell_host(&self, summary: HostSummary) {
        self.peer()
            .tell(&HostsChanged {
                hosts: vec![summary],
                deployments: None,
            })
            .await
            .unwrap();
    }

    /// Waits until it was told something.
    pub(crate) async fn told(
        &self,
        what: &str,
        good: impl Fn(&ElementDesired) -> bool,
    ) -> ElementDesired {
        let mind = &self.mind;
        let good = &good;
        wait_for(what, || async move {
            let desires = mind.desires.lock();
            desires
                .iter()
                .rev()
                .find(|desired| good(desired))
                .cloned()
                .ok_or_else(|| format!("{:?}", desires.last()))
        })
        .await
    }

    pub(crate) async fn closed(&self) {
        tokio::time::timeout(DEADLINE, self.peer().closed())
            .await
            .unwrap();
    }
}
