//! The Host's stream to its Element: it dials, says what it is and holds, and
//! does what the Element asks. A lost stream is dialled again; what happened
//! meanwhile is told as a whole, not replayed.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_fabric::stream::{Handler, Incoming, Peer, reply};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{
        Done, Request as _,
        desired::HostDesired,
        element_host::{
            HostApplied, HostDesire, HostHello, HostWelcome, Probe, ProbeAnswer, RelayDial,
        },
    },
};
use serde_json::value::RawValue;

use super::{goods::Goods, member::Member, trust::Told};

/// The Element has so long to answer the hello.
pub(super) const HELLO_TIME_MAX: Duration = Duration::from_secs(15);

/// The Host's side of the stream.
pub(super) struct Comm {
    pub(super) member: Arc<Member>,
    pub(super) goods: Arc<dyn Goods>,
}

impl Comm {
    /// Says hello on a new stream, and does what the welcome says.
    pub(super) async fn hello(self: Arc<Self>, peer: Peer) -> Result<(), Problem> {
        let member = &self.member;
        if let Some(relay) = &member.relay {
            relay.ask(&peer).await?;
        }
        let hello = HostHello {
            incarnation: member.incarnation,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.goods.host(),
            endpoints: member.profile.endpoints.clone(),
            relayed: member.relay.is_some(),
            leases: self.goods.leases(),
            deployments: self.goods.deployments(),
            generation: self.generation(),
        };
        let welcome = peer.ask(&hello, HELLO_TIME_MAX).await?;
        self.on_welcome(welcome).await?;
        member.link.send_replace(Some(peer));
        // What changed since the hello was made may have been told before it.
        member.changed.notify_one();
        Ok(())
    }

    async fn on_welcome(self: &Arc<Self>, welcome: HostWelcome) -> Result<(), Problem> {
        let member = &self.member;
        member.on_heartbeat_interval(welcome.heartbeat_interval);
        let told = Told {
            lease_key: welcome.lease_key,
            reattach_grace: welcome.reattach_grace,
        };
        member.trust.clock.on_welcome(welcome.time);
        let trusting = Arc::clone(member);
        blocking(move || trusting.trust.on_told(told)).await?;
        member.revocations.replace(welcome.revoked);
        match self.apply(welcome.desired).await {
            // What was in force stays so until the disk takes the new; a Host
            // that is cut off for that would help nobody.
            Err(problem) if problem.code == Code::StorageFailed => {
                tracing::error!(%problem, hint = problem.hint, "what the Element says is not applied yet, trying again");
            }
            applied => applied?,
        }
        self.goods.end_leases(welcome.ended_leases);
        Ok(())
    }

    /// Generation of the Host's own wish that is in force.
    pub(super) fn generation(&self) -> u64 {
        self.member.commands.host().generation
    }

    // === what the Element asks ===

    /// Records what should be, and does what it means.
    async fn apply(self: &Arc<Self>, desired: HostDesired) -> Result<(), Problem> {
        let comm = Arc::clone(self);
        blocking(move || {
            comm.member.commands.record(desired)?;
            comm.follow_wishes();
            Ok(())
        })
        .await
    }

    /// The same for what was told last, if the disk has refused it.
    pub(super) async fn apply_unkept(self: &Arc<Self>) {
        if !self.member.commands.has_unkept() {
            return;
        }
        let comm = Arc::clone(self);
        let applied = blocking(move || {
            if comm.member.commands.record_unkept() {
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
        self.goods.follow_wishes();
        self.member.changed.notify_one();
    }

    async fn answer(self: &Arc<Self>, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            Probe::KIND => reply(&ProbeAnswer {
                incarnation: self.member.incarnation,
            }),
            RelayDial::KIND => {
                let relay = self.member.relay.as_ref().ok_or_else(|| {
                    Problem::new(Code::InvalidRequest, "This Host is dialled by programs.")
                })?;
                relay.dial(incoming.read()?).await?;
                reply(&Done {})
            }
            HostDesire::KIND => {
                let HostDesire { desired, revoked } = incoming.read()?;
                self.member.revocations.replace(revoked);
                self.apply(desired).await?;
                reply(&HostApplied {
                    generation: self.generation(),
                })
            }
            _ => self.goods.on_request(incoming).await,
        }
    }
}

/// Runs what waits for the disk beside the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::Internal, "A task of the Host failed.")))
}

/// The stream's handler; the stream holds it, it holds the Host's side.
pub(super) struct CommHandler(pub(super) Arc<Comm>);

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
        self.0.member.forget(peer);
        Box::pin(async {})
    }
}
