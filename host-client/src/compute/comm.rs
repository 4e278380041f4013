//! The Host's stream to its Element: it dials, says what it is and holds, and
//! does what the Element asks. A lost stream is dialled again; what happened
//! meanwhile is told as a whole, not replayed.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    identity::IdentityCell,
    stream::{Handler, Incoming, Peer, reply},
    tls::Revocations,
};
use gridmart_schemas::{
    id::LeaseId,
    problem::{Code, Problem},
    wire::{
        Done, Request as _,
        control_element::Terminated,
        desired::HostDesired,
        element_host::{
            ApplicationEnsure, HostApplied, HostCallTerminate, HostChanged, HostDesire,
            HostHeartbeat, HostHello, HostJobTerminate, HostLogRead, HostWelcome, LeaseEnd,
            LeasesEnded, Probe, ProbeAnswer, RelayDial,
        },
        enrol::CertificateRenew,
    },
};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    deploy::Deployer,
    description::Description,
    leases::{LeaseTrust, Leases},
    relay::Relay,
    services::Services,
};

/// The Element has so long to answer the hello.
const HELLO_TIME_MAX: Duration = Duration::from_secs(15);
/// A certificate comes from the controller, through the Element.
const RENEWAL_TIME_MAX: Duration = Duration::from_secs(30);
/// Heartbeats are never further apart, nor closer, whatever the Element says.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
const HEARTBEAT_MAX: Duration = Duration::from_mins(1);
/// Changes are gathered for a moment before they are told.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);

/// The Host's side of the stream.
pub(crate) struct Comm {
    pub(crate) services: Arc<Services>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) description: Arc<Description>,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) identity_folder: PathBuf,
    pub(crate) revocations: Revocations,
    pub(crate) endpoints: Vec<String>,
    /// How programs come, if not by dialling.
    relay: Option<Arc<Relay>>,
    /// The stream that stands, if one does.
    pub(crate) element: watch::Sender<Option<Peer>>,
    /// Something in the description has changed.
    pub(crate) changed: Notify,
    heartbeat_ms: AtomicU64,
}

/// What [`Comm`] is made of.
pub(crate) struct CommParts {
    pub(crate) services: Arc<Services>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) description: Arc<Description>,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) identity_folder: PathBuf,
    pub(crate) revocations: Revocations,
    pub(crate) endpoints: Vec<String>,
    pub(crate) relay: Option<Arc<Relay>>,
}

impl Comm {
    pub(crate) fn new(parts: CommParts) -> Arc<Self> {
        Arc::new(Self {
            services: parts.services,
            leases: parts.leases,
            deployer: parts.deployer,
            description: parts.description,
            identity: parts.identity,
            identity_folder: parts.identity_folder,
            revocations: parts.revocations,
            endpoints: parts.endpoints,
            relay: parts.relay,
            element: watch::Sender::new(None),
            changed: Notify::new(),
            heartbeat_ms: AtomicU64::new(5000),
        })
    }

    /// Says hello on a new stream, and does what the welcome says.
    pub(crate) async fn hello(self: Arc<Self>, peer: Peer) -> Result<(), Problem> {
        if let Some(relay) = &self.relay {
            relay.ask(&peer).await?;
        }
        let hello = HostHello {
            incarnation: self.services.incarnation,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.description.host(self.heartbeat()).into(),
            endpoints: self.endpoints.clone(),
            relayed: self.relay.is_some(),
            leases: self.leases.held(),
            deployments: self.description.deployments(),
            generation: self.description.generation(),
        };
        let welcome: HostWelcome = peer.ask(&hello, HELLO_TIME_MAX).await?;
        let interval = Duration::from_secs(u64::from(welcome.heartbeat_interval))
            .clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        self.heartbeat_ms.store(
            u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        let trust = LeaseTrust {
            lease_key: welcome.lease_key,
            reattach_grace: welcome.reattach_grace,
        };
        self.leases.parent_clock.on_welcome(welcome.time);
        let comm = Arc::clone(&self);
        blocking(move || comm.leases.on_trust(trust)).await?;
        self.revocations.replace(welcome.revoked);
        match self.apply(welcome.desired).await {
            // What was in force stays so until the disk takes the new; a Host
            // that is cut off for that would help nobody.
            Err(problem) if problem.code == Code::StorageFailed => {
                tracing::error!(%problem, hint = problem.hint, "what the Element says is not applied yet, trying again");
            }
            applied => applied?,
        }
        for lease in welcome.ended_leases {
            self.leases
                .end(lease, true, "the Element does not know it any more");
        }
        self.element.send_replace(Some(peer));
        // What changed since the hello was made may have been told before it.
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until the stream's welcome is applied: what the Element asks may
    /// overtake it.
    async fn welcomed(&self) -> Result<(), Problem> {
        let mut element = self.element.subscribe();
        let standing = element.wait_for(|peer| peer.as_ref().is_some_and(|peer| !peer.is_closed()));
        match tokio::time::timeout(HELLO_TIME_MAX, standing).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Problem::new(
                Code::Unavailable,
                "The Host has not been welcomed by its Element yet.",
            )),
        }
    }

    fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.load(Ordering::Relaxed))
    }

    // === the tasks ===

    /// Tells the Element how the Host is, as long as a stream stands.
    pub(crate) async fn tell_state(self: Arc<Self>, stop: CancellationToken) {
        let mut element = self.element.subscribe();
        let mut sequence = 0;
        let mut renewal_due = tokio::time::Instant::now();
        loop {
            let peer = element
                .borrow_and_update()
                .clone()
                .filter(|peer| !peer.is_closed());
            let Some(peer) = peer else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = element.changed() => if changed.is_err() { return } else { continue },
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = peer.closed() => { self.forget(&peer); continue }
                _ = element.changed() => { sequence = 0; continue }
                () = tokio::time::sleep(self.heartbeat()) => {}
            }
            sequence += 1;
            self.look_at_disk().await;
            self.apply_unkept().await;
            let state = self.description.state(self.heartbeat());
            let told = peer
                .tell(&HostHeartbeat {
                    sequence,
                    state: state.into(),
                    leases: self.leases.held(),
                })
                .await;
            if let Err(problem) = told {
                tracing::debug!(%problem, "a heartbeat did not leave");
            }
            if renewal_due <= tokio::time::Instant::now() {
                self.renew_certificate(&peer).await;
                let pause = self
                    .identity
                    .current()
                    .renewal_pause(OffsetDateTime::now_utc());
                renewal_due = tokio::time::Instant::now() + pause;
            }
        }
    }

    async fn look_at_disk(&self) {
        let watch = Arc::clone(&self.services.disk_watch);
        if watch.is_failing() {
            // It fails only by a panic, and then the next heartbeat tries again.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
    }

    /// Tells the Element what has changed, shortly after it has.
    pub(crate) async fn tell_changes(self: Arc<Self>, stop: CancellationToken) {
        let mut served = self.description.serving_state();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = self.services.disk_watch.changed.notified() => {}
                () = self.deployer.changed.notified() => {}
                // A stopped Host ends to drain without anybody saying so.
                () = tokio::time::sleep(Duration::from_millis(500)), if is_draining(served) => {
                    if self.description.serving_state() == served {
                        continue;
                    }
                }
            }
            tokio::time::sleep(CHANGE_PAUSE).await;
            served = self.description.serving_state();
            let Some(peer) = self.element.borrow().clone() else {
                continue;
            };
            let changed = HostChanged {
                host: self.description.host(self.heartbeat()).into(),
                deployments: self.description.deployments(),
                generation: self.description.generation(),
            };
            if let Err(problem) = peer.tell(&changed).await {
                // The next hello tells all of it.
                tracing::debug!(%problem, "a change was not told");
            }
        }
    }

    /// Tells the Element of leases that ended by themselves.
    pub(crate) async fn tell_ended(self: Arc<Self>, mut ended: mpsc::UnboundedReceiver<LeaseId>) {
        let mut leases = Vec::new();
        while ended.recv_many(&mut leases, 1000).await > 0 {
            let leases = std::mem::take(&mut leases);
            let peer = self.element.borrow().clone();
            if let Some(peer) = peer
                && let Err(problem) = peer.tell(&LeasesEnded { leases }).await
            {
                tracing::debug!(%problem, "ended leases were not told");
            }
        }
    }

    fn forget(&self, peer: &Peer) {
        self.element.send_if_modified(|present| {
            let is_this = present
                .as_ref()
                .is_some_and(|present| present.is_same(peer));
            if is_this {
                *present = None;
            }
            is_this
        });
    }

    async fn renew_certificate(&self, peer: &Peer) {
        let identity = self.identity.current();
        if !identity.needs_renewal(OffsetDateTime::now_utc()) {
            return;
        }
        let renewed = async {
            let fault = |error: gridmart_fabric::identity::IdentityError| {
                Problem::new(Code::Internal, error.to_string())
            };
            let request = CertificateRenew {
                node: identity.node(),
                csr_pem: identity.csr_pem().map_err(fault)?,
            };
            let certificate = peer.ask(&request, RENEWAL_TIME_MAX).await?;
            let renewed = identity.renewed(&certificate).map_err(fault)?;
            let folder = self.identity_folder.clone();
            blocking(move || renewed.save(&folder).map(|()| renewed).map_err(fault)).await
        };
        match renewed.await {
            Ok(renewed) => {
                tracing::info!(not_after = %renewed.not_after(), "the certificate is renewed");
                self.identity.replace(renewed);
            }
            Err(problem) => {
                tracing::warn!(%problem, "the certificate could not be renewed, trying again later");
            }
        }
    }

    // === what the Element asks ===

    /// Records what should be, ends what was killed, removes what is not
    /// wished any more.
    async fn apply(self: &Arc<Self>, desired: HostDesired) -> Result<(), Problem> {
        let comm = Arc::clone(self);
        blocking(move || {
            comm.services.commands.record(desired)?;
            comm.follow_wishes();
            Ok(())
        })
        .await
    }

    /// The same for what was told last, if the disk has refused it.
    async fn apply_unkept(self: &Arc<Self>) {
        if !self.services.commands.has_unkept() {
            return;
        }
        let comm = Arc::clone(self);
        let applied = blocking(move || {
            if comm.services.commands.record_unkept() {
                tracing::info!("what the Element says is applied now");
                comm.follow_wishes();
            }
            Ok(())
        });
        if let Err(problem) = applied.await {
            tracing::error!(%problem, "what the Element says is not applied yet");
        }
    }

    /// Does what the wishes in force mean; blocks for the disk.
    fn follow_wishes(&self) {
        self.leases.end_cut();
        self.sweep_applications();
        self.changed.notify_one();
    }

    /// Removes applications that nobody wishes; blocks for the disk.
    pub(crate) fn sweep_applications(&self) {
        let wished: HashSet<_> = self
            .services
            .commands
            .applications()
            .into_iter()
            .map(|wish| wish.digest)
            .collect();
        for digest in self.deployer.sweep(&wished, &self.leases.applications()) {
            self.services.logs.remove(&digest);
        }
    }

    async fn answer(self: &Arc<Self>, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            Probe::KIND => reply(&ProbeAnswer {
                incarnation: self.services.incarnation,
            }),
            RelayDial::KIND => {
                let relay = self.relay.as_ref().ok_or_else(|| {
                    Problem::new(Code::InvalidRequest, "This Host is dialled by programs.")
                })?;
                relay.dial(incoming.read()?).await?;
                reply(&Done {})
            }
            HostDesire::KIND => {
                let HostDesire { desired, revoked } = incoming.read()?;
                self.revocations.replace(revoked);
                self.apply(desired).await?;
                reply(&HostApplied {
                    generation: self.description.generation(),
                })
            }
            ApplicationEnsure::KIND => {
                let ApplicationEnsure { digest, size } = incoming.read()?;
                self.welcomed().await?;
                self.deployer.ensure(&digest, size).await?;
                reply(&self.description.deployment(&digest))
            }
            LeaseEnd::KIND => {
                let LeaseEnd {
                    lease,
                    kill,
                    reason,
                } = incoming.read()?;
                self.leases.end(lease, kill, &reason);
                reply(&Done {})
            }
            HostCallTerminate::KIND => {
                let HostCallTerminate { call, by } = incoming.read()?;
                reply(&Terminated {
                    ended: self.leases.end_call(call, &by),
                })
            }
            HostJobTerminate::KIND => {
                let HostJobTerminate { job, by } = incoming.read()?;
                reply(&Terminated {
                    ended: self.leases.end_job(job, &by),
                })
            }
            HostLogRead::KIND => {
                let read: HostLogRead = incoming.read()?;
                let comm = Arc::clone(self);
                reply(&blocking(move || comm.read_log(&read)).await?)
            }
            _ => Err(incoming.unknown()),
        }
    }

    fn read_log(
        &self,
        read: &HostLogRead,
    ) -> Result<gridmart_schemas::wire::element_host::LogAnswer, Problem> {
        let answer = self.services.logs.read(read);
        answer.map_err(|error| {
            tracing::warn!(%error, digest = %read.digest, "an application's log cannot be read");
            Problem::new(
                Code::StorageFailed,
                "The application's log cannot be read on the Host.",
            )
        })
    }
}

const fn is_draining(state: gridmart_schemas::resource::enumeration::ServingState) -> bool {
    matches!(
        state,
        gridmart_schemas::resource::enumeration::ServingState::Draining
    )
}

/// Runs what waits for the disk beside the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::Internal, "A task of the Host failed.")))
}

/// The stream's handler; the stream holds it, it holds the Host's side.
pub(crate) struct CommHandler(pub(crate) Arc<Comm>);

impl Handler for CommHandler {
    fn on_request<'a>(
        &'a self,
        _peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(self.0.answer(incoming))
    }

    fn on_notice<'a>(&'a self, _peer: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        tracing::debug!(
            kind = incoming.kind,
            "a notice of an unknown kind is ignored"
        );
        Box::pin(async {})
    }

    fn on_closed<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, ()> {
        self.0.forget(peer);
        Box::pin(async {})
    }
}
