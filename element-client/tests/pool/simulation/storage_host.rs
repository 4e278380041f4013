//! A storage Host: joins, says hello, beats, and remembers what it was told.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::fetch,
    identity::{IdentityCell, NodeIdentity},
    join::enrol,
    stream::{Handler, Incoming, Peer, StreamLimits, dial, reply},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{HealthState, OsFamily, Platform, ServingState, StorageDeviceType},
        host::{
            Architecture, OperatingSystem, StorageDevice, StorageDeviceState, StorageHost,
            StorageHostInfo, StorageHostPolicy, StorageHostState,
        },
    },
    role::NodeKind,
    scalar::{Seconds, UtcTime},
    wire::{
        Request as _,
        desired::HostDesired,
        element_host::{
            HostApplied, HostDesire, HostHeartbeat, HostHello, HostWelcome, Probe, ProbeAnswer,
            RelayAsk,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{PATIENCE, ledger::LedgerDoor};

/// Bytes of its disk.
const DISK_BYTES: u64 = 10_000;

pub(crate) struct StorageHostEnd {
    pub id: NodeId,
    element: NodeId,
    door: String,
    tls: ClientTls,
    incarnation: Incarnation,
    ledger: LedgerDoor,
    peer: Mutex<Option<Peer>>,
    pub desired: Mutex<HostDesired>,
    /// Does not answer probes.
    pub mute: Mutex<bool>,
    /// Bytes that further blocks can take, and that blocks take.
    pub room: Mutex<(u64, u64)>,
    /// Seconds that its State is a fact.
    pub validity: Mutex<u64>,
}

impl StorageHostEnd {
    /// Joins with a token.
    pub(crate) async fn join(door: &str, token: &str) -> Result<Arc<Self>, Problem> {
        let token = token.parse().unwrap();
        let identity: NodeIdentity = enrol(&[door.to_owned()], &token, "host").await?;
        assert_eq!(identity.kind(), NodeKind::StorageHost);
        let (id, element) = (identity.node(), identity.parent());
        let cell = IdentityCell::new(identity);
        Ok(Arc::new(Self {
            id,
            element,
            door: door.to_owned(),
            ledger: LedgerDoor::open(Arc::clone(&cell)).await,
            tls: ClientTls::node(cell, Revocations::new()).unwrap(),
            incarnation: Incarnation::generate(),
            peer: Mutex::default(),
            desired: Mutex::default(),
            mute: Mutex::default(),
            room: Mutex::new((1_000, 200)),
            validity: Mutex::new(60),
        }))
    }

    /// Dials and says hello.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<HostWelcome, Problem> {
        let peer = dial(
            std::slice::from_ref(&self.door),
            (self.element, NodeKind::StorageElement),
            &self.tls,
            "/v1/control",
            Arc::new(Stream(self.clone())),
            StreamLimits::default(),
        )
        .await?;
        let refused = peer.ask(&RelayAsk {}, PATIENCE).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidRequest);
        let hello = HostHello {
            incarnation: self.incarnation,
            software: "test".into(),
            host: self.description().into(),
            endpoints: vec![self.ledger.address.clone()],
            relayed: false,
            leases: Vec::new(),
            deployments: Vec::new(),
            generation: 0,
        };
        let welcome = peer.ask(&hello, PATIENCE).await?;
        *self.desired.lock() = welcome.desired.clone();
        *self.peer.lock() = Some(peer);
        Ok(welcome)
    }

    fn peer(&self) -> Peer {
        self.peer.lock().clone().unwrap()
    }

    /// Its stream breaks.
    pub(crate) fn disconnect(&self) {
        self.peer().close();
    }

    pub(crate) async fn beat(&self, sequence: u64) {
        let beat = HostHeartbeat {
            sequence,
            state: self.state().into(),
            leases: Vec::new(),
        };
        self.peer().tell(&beat).await.unwrap();
    }

    /// What the Element's metrics say.
    pub(crate) async fn metrics(&self) -> String {
        let expected = (self.element, NodeKind::StorageElement);
        let endpoints = std::slice::from_ref(&self.door);
        let mut answer = fetch(endpoints, expected, &self.tls, "/metrics")
            .await
            .unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).unwrap()
    }

    fn state(&self) -> StorageHostState {
        let (available_space, used_space) = *self.room.lock();
        let device = StorageDeviceState {
            name: "disk".parse().unwrap(),
            available_space,
            used_space,
            reserved_space: 0,
            read_only: false,
        };
        let common = CommonState::new(ServingState::Production, HealthState::Ok);
        let validity = Seconds::from_secs(*self.validity.lock());
        StorageHostState::new(UtcTime::now(), validity, common, vec![device])
    }

    fn description(&self) -> StorageHost {
        let info = StorageHostInfo::new(
            CommonInfo::new("h1".parse().unwrap(), "lab".parse().unwrap()),
            self.element.to_urn().parse().unwrap(),
            "localhost".parse().unwrap(),
            Architecture {
                platform_type: Platform::Amd64,
                smp_size: 2.try_into().unwrap(),
            },
            OperatingSystem {
                family: OsFamily::Linux,
                name: "debian".parse().unwrap(),
                release: None,
                version: None,
            },
            StorageDevice {
                name: "disk".parse().unwrap(),
                kind: StorageDeviceType::Disk,
                root: "/data".parse().unwrap(),
                size: DISK_BYTES,
                transfer_rate: None,
            },
        );
        StorageHost {
            id: self.id.to_urn().parse().unwrap(),
            info,
            state: Some(self.state()),
            policy: StorageHostPolicy::default(),
            access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
        }
    }
}

struct Stream(Arc<StorageHostEnd>);

impl Handler for Stream {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            let host = &self.0;
            match incoming.kind.as_str() {
                Probe::KIND => {
                    if *host.mute.lock() {
                        tokio::time::sleep(Duration::from_mins(1)).await;
                    }
                    reply(&ProbeAnswer {
                        incarnation: host.incarnation,
                    })
                }
                HostDesire::KIND => {
                    let desire: HostDesire = incoming.read()?;
                    let generation = desire.desired.wish.generation;
                    *host.desired.lock() = desire.desired;
                    reply(&HostApplied { generation })
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
