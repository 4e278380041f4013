//! A Host: joins, says hello, beats, and remembers what it was asked.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::fetch,
    identity::{IdentityCell, NodeIdentity},
    join::enrol,
    stream::{Handler, Incoming, Peer, StreamLimits, dial, reply},
    ticket::VerifyingKeys,
    tls::{ClientTls, Revocations},
    tunnel::Tunnel,
};
use gridmart_schemas::{
    id::{Incarnation, KeyHash, NodeId, RelayNonce},
    problem::{Code, Problem},
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{HealthState, OsFamily, Platform, ServingState},
        host::{
            Architecture, ComputeHost, HostInfo, HostPolicy, HostState, MainMemory, OperatingSystem,
        },
    },
    role::{Desired, NodeKind},
    scalar::{Seconds, UtcTime},
    wire::{
        Done, Request as _,
        control_element::{Deployment, Terminated},
        desired::HostDesired,
        element_host::{
            ApplicationEnsure, HeldLease, HostApplied, HostCallTerminate, HostDesire,
            HostHeartbeat, HostHello, HostJobTerminate, HostWelcome, LeaseEnd, Probe, ProbeAnswer,
            RelayAsk, RelayDial,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::PATIENCE;

pub(crate) struct Host {
    pub id: NodeId,
    element: NodeId,
    door: String,
    tls: ClientTls,
    slots: u32,
    pub incarnation: Mutex<Incarnation>,
    peer: Mutex<Option<Peer>>,
    pub leases: Mutex<Vec<HeldLease>>,
    pub held: Mutex<Vec<Deployment>>,
    pub ended: Mutex<Vec<LeaseEnd>>,
    pub desired: Mutex<HostDesired>,
    keys: Mutex<VerifyingKeys>,
    pub probes: Mutex<u32>,
    /// Does not answer probes.
    pub mute: Mutex<bool>,
    /// It cannot be dialled, and dials when it is told to.
    pub relayed: Mutex<bool>,
    /// Does not dial when it is told to, and says why.
    pub stuck: Mutex<bool>,
    /// Thinks about it for as long as this is set.
    pub slow: Mutex<bool>,
    /// What it was told to dial, and the other ends.
    pub told: Mutex<Vec<RelayNonce>>,
    pub tunnels: Mutex<Vec<Tunnel>>,
}

impl Host {
    /// Joins with a token.
    pub(crate) async fn join(door: &str, token: &str, slots: u32) -> Result<Arc<Self>, Problem> {
        let token = token.parse().unwrap();
        let identity: NodeIdentity = enrol(&[door.to_owned()], &token, "host").await?;
        let element = identity.parent();
        let id = identity.node();
        let cell = IdentityCell::new(identity);
        Ok(Arc::new(Self {
            id,
            element,
            door: door.to_owned(),
            tls: ClientTls::node(cell, Revocations::new()).unwrap(),
            slots,
            incarnation: Mutex::new(Incarnation::generate()),
            peer: Mutex::default(),
            leases: Mutex::default(),
            held: Mutex::default(),
            ended: Mutex::default(),
            desired: Mutex::default(),
            keys: Mutex::default(),
            probes: Mutex::default(),
            mute: Mutex::default(),
            relayed: Mutex::default(),
            stuck: Mutex::default(),
            slow: Mutex::default(),
            told: Mutex::default(),
            tunnels: Mutex::default(),
        }))
    }

    /// Dials and says hello.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<HostWelcome, Problem> {
        let expected = (self.element, NodeKind::ComputingElement);
        let handler = Arc::new(HostEnd(self.clone()));
        let peer = dial(
            std::slice::from_ref(&self.door),
            expected,
            &self.tls,
            "/v1/control",
            handler,
            StreamLimits::default(),
        )
        .await?;
        if *self.relayed.lock() {
            peer.ask(&RelayAsk {}, PATIENCE).await?;
        }
        let hello = HostHello {
            incarnation: *self.incarnation.lock(),
            software: "test".into(),
            host: self.description().into(),
            endpoints: vec!["127.0.0.1:9".into()],
            relayed: *self.relayed.lock(),
            leases: self.leases.lock().clone(),
            deployments: self.held.lock().clone(),
            generation: 0,
        };
        let welcome = peer.ask(&hello, PATIENCE).await?;
        let mut keys = VerifyingKeys::default();
        keys.insert(self.element, &welcome.lease_key).unwrap();
        *self.keys.lock() = keys;
        *self.desired.lock() = welcome.desired.clone();
        *self.peer.lock() = Some(peer);
        Ok(welcome)
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer.lock().clone().unwrap()
    }

    /// Its stream breaks.
    pub(crate) fn disconnect(&self) {
        self.peer().close();
    }

    pub(crate) async fn beat(&self, sequence: u64) {
        let leases = self.leases.lock().clone();
        self.peer()
            .tell(&HostHeartbeat {
                sequence,
                state: self.state().into(),
                leases,
            })
            .await
            .unwrap();
    }

    /// Judges a lease ticket as a Host does.
    pub(crate) fn verify(
        &self,
        ticket: &str,
        presenter: &KeyHash,
    ) -> Result<gridmart_fabric::ticket::LeaseClaims, Problem> {
        self.keys
            .lock()
            .verify_lease(ticket, self.id, presenter, time::OffsetDateTime::now_utc())
    }

    fn state(&self) -> HostState {
        let common = CommonState::new(ServingState::Production, HealthState::Ok);
        HostState::new(UtcTime::now(), Seconds::from_secs(60), common, self.slots)
    }

    fn description(&self) -> ComputeHost {
        let common = CommonInfo::new("h1".parse().unwrap(), "lab".parse().unwrap());
        let info = HostInfo::new(
            common,
            self.element.to_urn().parse().unwrap(),
            "localhost".parse().unwrap(),
            Architecture {
                platform_type: Platform::Amd64,
                smp_size: 2.try_into().unwrap(),
            },
            MainMemory {
                ram_size: 1 << 30,
                virtual_size: None,
            },
            OperatingSystem {
                family: OsFamily::Linux,
                name: "debian".parse().unwrap(),
                release: None,
                version: None,
            },
        );
        ComputeHost {
            id: self.id.to_urn().parse().unwrap(),
            info,
            state: Some(self.state()),
            policy: HostPolicy::default(),
            access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
        }
    }

    /// Dials the Element for a program.
    pub(crate) async fn dial(&self, nonce: RelayNonce) -> Result<Tunnel, Problem> {
        let expected = (self.element, NodeKind::ComputingElement);
        let path = format!("/v1/data/{nonce}");
        let endpoints = std::slice::from_ref(&self.door);
        Tunnel::dial(endpoints, expected, &self.tls, &path, None).await
    }

    async fn on_relay(&self, dial: RelayDial) -> Result<(), Problem> {
        self.told.lock().push(dial.nonce);
        if *self.stuck.lock() {
            return Err(Problem::new(Code::Unavailable, "The way is barred."));
        }
        while *self.slow.lock() {
            tokio::task::yield_now().await;
        }
        let tunnel = self.dial(dial.nonce).await?;
        self.tunnels.lock().push(tunnel);
        Ok(())
    }

    async fn ensure(&self, ensure: ApplicationEnsure) -> Result<Deployment, Problem> {
        let path = format!("/v1/packages/{}", ensure.digest.hex());
        let expected = (self.element, NodeKind::ComputingElement);
        let mut fetched =
            fetch(std::slice::from_ref(&self.door), expected, &self.tls, &path).await?;
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = fetched.chunk().await? {
            hasher.update(&chunk);
        }
        assert_eq!(
            gridmart_schemas::id::Digest::from_blake3(*hasher.finalize().as_bytes()),
            ensure.digest
        );
        let deployment = Deployment {
            digest: ensure.digest,
            state: "installedverified".into(),
            generation: 1,
            serving: Desired::Production,
            reason: None,
        };
        self.held.lock().push(deployment.clone());
        Ok(deployment)
    }
}

struct HostEnd(Arc<Host>);

impl Handler for HostEnd {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            let host = &self.0;
            match incoming.kind.as_str() {
                ApplicationEnsure::KIND => reply(&host.ensure(incoming.read()?).await?),
                Probe::KIND => {
                    *host.probes.lock() += 1;
                    if *host.mute.lock() {
                        tokio::time::sleep(Duration::from_mins(1)).await;
                    }
                    reply(&ProbeAnswer {
                        incarnation: *host.incarnation.lock(),
                    })
                }
                RelayDial::KIND => {
                    host.on_relay(incoming.read()?).await?;
                    reply(&Done {})
                }
                LeaseEnd::KIND => {
                    let end: LeaseEnd = incoming.read()?;
                    host.leases.lock().retain(|lease| lease.lease != end.lease);
                    host.ended.lock().push(end);
                    reply(&Done {})
                }
                HostDesire::KIND => {
                    let desire: HostDesire = incoming.read()?;
                    let generation = desire.desired.wish.generation;
                    *host.desired.lock() = desire.desired;
                    reply(&HostApplied { generation })
                }
                HostCallTerminate::KIND | HostJobTerminate::KIND => reply(&Terminated { ended: 1 }),
                _ => Err(Problem::new(Code::UnknownMessage, incoming.kind)),
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}
