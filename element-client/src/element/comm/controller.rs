//! The stream to the controller. Without it the Element works on with what was
//! said last; when it is back, everything is told anew.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::{DoorName, IdentityError, NodeIdentity},
    stream::{Backoff, Dialer, Handler, Incoming, Peer, StreamLimits, reply},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    resource::any::AnyElementState,
    role::NodeKind,
    scalar::Seconds,
    wire::{
        Request as _,
        control_element::{
            Deployment, ElementApplied, ElementDesire, ElementHeartbeat, ElementHello,
            ElementWelcome, HostDelta, HostSummary, HostsChanged, JoinTokenCreate,
        },
        desired::ElementDesired,
        enrol::CertificateRenew,
    },
};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::element::{Element, goods::Goods};

/// How long the controller may take to welcome the Element.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// The most Hosts that are told in one message, so that it stays within the
/// bound of messages.
const HOSTS_PER_MESSAGE: usize = 500;
/// How long the controller may take to sign the next certificate.
const RENEW_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before the controller is asked again for the names of the doors, which
/// programs wait for.
const NAMES_PAUSE: Duration = Duration::from_millis(500);
/// A State is a fact for so many heartbeats.
const HEARTBEATS_VALID: u32 = 3;
/// Changes are told together if they come within this time.
const NEWS_GATHERING: Duration = Duration::from_millis(200);
/// Heartbeats before the controller's first welcome has said how often.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);

/// How far the heartbeats of the present stream are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    sequence: u64,
    interval: Duration,
}

impl Default for Beat {
    fn default() -> Self {
        Self {
            sequence: 0,
            interval: FIRST_INTERVAL,
        }
    }
}

/// This end of the stream.
struct ControllerStream<G: Goods> {
    element: Arc<Element<G>>,
}

impl<G: Goods> Handler for ControllerStream<G> {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            let element = &self.element;
            match incoming.kind.as_str() {
                ElementDesire::KIND => {
                    let desire: ElementDesire = incoming.read()?;
                    let applied = element.apply(desire.desired, None).await;
                    let generation = applied.inspect_err(|problem| {
                        tracing::error!(%problem, hint = problem.hint, "what should be is not applied yet, trying again");
                    })?;
                    // Before the answer: who acts on it then sees the new State.
                    peer.tell(&element.heartbeat()).await?;
                    reply(&ElementApplied { generation })
                }
                JoinTokenCreate::KIND => reply(&element.create_join_token(incoming.read()?).await?),
                _ => G::on_controller_request(element, incoming).await,
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        tracing::debug!(problem = %incoming.unknown(), "a notice of the controller is left out");
        async {}.boxed()
    }
}

impl<G: Goods> Element<G> {
    /// Keeps the stream to the controller until the Element ends.
    pub(crate) async fn keep_controller(self: Arc<Self>) {
        let dialer = Dialer {
            endpoints: self.controller_endpoints.clone(),
            expected: (self.controller, NodeKind::Control),
            tls: self.tls.clone(),
            path: "/v1/control".to_owned(),
            handler: Arc::new(ControllerStream {
                element: Arc::clone(&self),
            }),
            limits: StreamLimits::default(),
            backoff: Backoff::default(),
        };
        let stop = self.stop.clone();
        dialer
            .keep_connected(move |peer| Arc::clone(&self).greet(peer).boxed(), stop)
            .await;
    }

    /// Says who it is and takes what should be.
    async fn greet(self: Arc<Self>, peer: Peer) -> Result<(), Problem> {
        let (desired, ticket_keys) = self.be_welcomed(peer).await?;
        // What was in force stays so until the disk takes the new; an Element
        // that is cut off for that would help nobody.
        if let Err(problem) = self.apply(desired, Some(ticket_keys)).await {
            tracing::error!(%problem, hint = problem.hint, "what the controller says is not applied yet, trying again");
        }
        self.welcomed.cancel();
        Ok(())
    }

    /// Says who it is. From the welcome on, the controller is told on this
    /// stream; gives what should be, and the keys that sign access tickets.
    async fn be_welcomed(
        self: &Arc<Self>,
        peer: Peer,
    ) -> Result<(ElementDesired, BTreeMap<String, String>), Problem> {
        // Changes that an older stream is told meanwhile would be lost.
        let _telling = self.telling.lock().await;
        let (hosts, deployments) = (self.monitor.all(), G::deployments(self));
        let said = self.say_hello(&peer, &hosts, &deployments).await;
        let welcome = said.inspect_err(|_| {
            self.monitor.untold(&hosts);
            self.news.notify_one();
        })?;
        self.parent_clock.on_welcome(welcome.time);
        let interval = Duration::from_secs(u64::from(welcome.heartbeat_interval.max(1)));
        *self.beat.lock() = Beat {
            sequence: 0,
            interval,
        };
        self.links.set_controller(peer.clone());
        self.tasks
            .spawn(Arc::clone(self).report(peer, interval, deployments));
        Ok((welcome.desired, welcome.ticket_keys))
    }

    async fn say_hello(
        &self,
        peer: &Peer,
        hosts: &[HostSummary],
        deployments: &[Deployment],
    ) -> Result<ElementWelcome, Problem> {
        let (first, rest) = hosts.split_at(hosts.len().min(HOSTS_PER_MESSAGE));
        let interval = self.beat.lock().interval;
        let mut element = G::describe(self);
        // The State is of the Element's own kind.
        let _ = element.set_state(self.state(interval));
        let hello = ElementHello {
            incarnation: self.incarnation,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            element,
            endpoints: self.endpoints.clone(),
            hosts: first.to_vec(),
            deployments: deployments.to_vec(),
            generation: self.standing.lock().get().desired.wish.generation,
        };
        let welcome = peer.ask(&hello, HELLO_TIMEOUT).await?;
        for hosts in rest.chunks(HOSTS_PER_MESSAGE) {
            peer.tell(&HostsChanged {
                hosts: hosts.to_vec(),
                deployments: None,
            })
            .await?;
        }
        Ok(welcome)
    }

    /// Heartbeats and changes, as long as the stream stands and no other has
    /// succeeded it.
    async fn report(self: Arc<Self>, peer: Peer, interval: Duration, mut told: Vec<Deployment>) {
        let mut beat = tokio::time::interval(interval);
        let mut has_news = false;
        loop {
            tokio::select! {
                () = peer.closed() => return,
                () = self.stop.cancelled() => return,
                _ = beat.tick() => {}
                () = self.news.notified() => {
                    tokio::time::sleep(NEWS_GATHERING).await;
                    beat.reset();
                    has_news = true;
                }
            }
            let said = match self.telling.try_lock() {
                Ok(_telling) if self.links.is_controller(&peer) => {
                    self.tell(&peer, std::mem::take(&mut has_news), &mut told)
                        .await
                }
                Ok(_) => {
                    // What was to be told here is the successor's to tell.
                    self.news.notify_one();
                    return;
                }
                // A successor says hello, and the controller may take its time:
                // until then this stream shows that the Element is there.
                Err(_) => peer.tell(&self.heartbeat_of(Vec::new())).await,
            };
            if said.is_err() {
                return;
            }
        }
    }

    async fn tell(
        &self,
        peer: &Peer,
        has_news: bool,
        told: &mut Vec<Deployment>,
    ) -> Result<(), Problem> {
        if has_news {
            self.tell_changes(peer, told).await?;
        }
        // What has changed shows in the numbers as well.
        peer.tell(&self.heartbeat()).await
    }

    /// The next heartbeat.
    fn heartbeat(&self) -> ElementHeartbeat {
        self.heartbeat_of(self.monitor.deltas(Instant::now()))
    }

    fn heartbeat_of(&self, hosts: Vec<HostDelta>) -> ElementHeartbeat {
        let Beat { sequence, interval } = {
            let mut beat = self.beat.lock();
            beat.sequence += 1;
            *beat
        };
        ElementHeartbeat {
            sequence,
            state: self.state(interval),
            hosts,
        }
    }

    async fn tell_changes(&self, peer: &Peer, told: &mut Vec<Deployment>) -> Result<(), Problem> {
        let now = G::deployments(self);
        let mut deployments = (now != *told).then(|| now.clone());
        loop {
            let hosts = self.monitor.changed(HOSTS_PER_MESSAGE);
            if hosts.is_empty() && deployments.is_none() {
                return Ok(());
            }
            let changed = HostsChanged {
                hosts,
                deployments: deployments.take(),
            };
            if let Err(problem) = peer.tell(&changed).await {
                self.monitor.untold(&changed.hosts);
                return Err(problem);
            }
            told.clone_from(&now);
        }
    }

    /// The Element's State now; heartbeats come at this interval.
    pub(in crate::element) fn state(&self, interval: Duration) -> AnyElementState {
        let validity = Seconds::from_duration(interval.saturating_mul(HEARTBEATS_VALID));
        G::state(self, validity)
    }

    /// Gets the next certificate when half the life of this one is over, and at
    /// once where this one lacks a name of the Element's doors.
    pub(crate) async fn keep_certificate(self: Arc<Self>) {
        let names = self.goods.door_names();
        let lacks = |identity: &NodeIdentity| {
            let carried = identity.door_names();
            names.iter().any(|name| !carried.contains(name))
        };
        // What the controller does not grant is asked for once.
        let mut asked = false;
        loop {
            let identity = self.identity.current();
            let is_due = identity.needs_renewal(OffsetDateTime::now_utc());
            if is_due || (!asked && lacks(&identity)) {
                match self.renew(&names).await {
                    Ok(()) => {
                        asked = true;
                        tracing::info!("the certificate was renewed");
                        if lacks(&self.identity.current()) {
                            tracing::warn!(names = ?names, "the controller does not certify all names of this Element's doors: programs that verify them will not trust the others; choose other names with --advertise");
                        }
                    }
                    Err(problem) => {
                        tracing::warn!(%problem, until = %identity.not_after(), "the certificate cannot be renewed yet");
                    }
                }
            }
            let identity = self.identity.current();
            let pause = if !asked && lacks(&identity) {
                NAMES_PAUSE
            } else {
                identity.renewal_pause(OffsetDateTime::now_utc())
            };
            let pause = tokio::time::sleep(pause);
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    async fn renew(self: &Arc<Self>, names: &[DoorName]) -> Result<(), Problem> {
        let unusable = |error: IdentityError| {
            Problem::new(
                Code::CertificateRefused,
                format!("The certificate cannot be used: {error}."),
            )
        };
        let identity = self.identity.current();
        let renew = CertificateRenew {
            node: self.id,
            csr_pem: identity.csr_pem().map_err(unusable)?,
            names: names.iter().map(ToString::to_string).collect(),
        };
        let certificate = self
            .links
            .require_controller()?
            .ask(&renew, RENEW_TIMEOUT)
            .await?;
        let next = identity.renewed(&certificate).map_err(unusable)?;
        self.blocking(move |element| {
            next.save(&element.data_dir).map_err(unusable)?;
            element.identity.replace(next);
            Ok(())
        })
        .await?
    }
}
