//! A Host's control stream.

use std::{sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::PeerNode,
    stream::{Handler, Incoming, Peer, reply},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    scalar::{Seconds, UtcTime},
    wire::{
        Done, Notice as _, Request as _,
        element_host::{HostChanged, HostHeartbeat, HostHello, HostWelcome, RelayAsk},
        enrol::{Certificate, CertificateRenew},
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::element::{
    Element,
    goods::{ElementDocument as _, Goods, HostStateOf},
    host_table::other_kind,
};

/// How long the controller may take to sign a Host's next certificate.
const RENEW_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// One Host's stream.
pub(crate) struct HostStream<G: Goods> {
    element: Arc<Element<G>>,
    node: PeerNode,
    /// It has said hello.
    greeted: Mutex<bool>,
}

impl<G: Goods> HostStream<G> {
    pub(crate) fn new(element: Arc<Element<G>>, node: PeerNode) -> Self {
        Self {
            element,
            node,
            greeted: Mutex::new(false),
        }
    }

    fn require_greeted(&self) -> Result<(), Problem> {
        if *self.greeted.lock() {
            return Ok(());
        }
        Err(Problem::new(
            Code::InvalidRequest,
            "The first message of a Host is its hello.",
        ))
    }

    async fn on_hello(&self, peer: &Peer, hello: HostHello) -> Result<HostWelcome, Problem> {
        let (id, element) = (self.node.id, &self.element);
        let now = Instant::now();
        if *self.greeted.lock() {
            let detail = "There was a hello on this stream already.";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let host = element.checked_host(id, hello.host.clone())?;
        element.enter_host_table(id, &host).await?;
        G::on_host_met(element, id, &host);
        let older = element.links.set_host(id, peer, hello.incarnation);
        if let Some((older, its_start)) = older {
            peer.succeed(older, its_start == hello.incarnation, &element.stop);
        }
        element.monitor.on_told(
            id,
            host.clone().into(),
            hello.deployments.clone(),
            hello.generation,
            now,
        );
        *self.greeted.lock() = true;
        G::on_host_key(element, id, &self.node.spki_pem);
        let ended_leases = G::on_host_arrived(element, id, host, hello);
        tracing::info!(node.id = %id, "a Host has come");
        element.news.notify_one();
        let (desired, revoked) = element.told_to_host(id);
        let document = element.base.read();
        let identity = element.identity.current();
        Ok(HostWelcome {
            heartbeat_interval: whole_seconds(document.common_configuration().heartbeat_interval),
            lease_key: identity.signing_key().spki_pem().to_owned(),
            reattach_grace: whole_seconds(document.reattach_grace()),
            desired,
            ended_leases,
            revoked,
            time: Some(time::OffsetDateTime::now_utc().unix_timestamp()),
        })
    }

    async fn on_renew(&self, renew: CertificateRenew) -> Result<Certificate, Problem> {
        if renew.node != self.node.id {
            return Err(Problem::new(
                Code::NotAuthorized,
                "A Host asks for its own certificate only.",
            ));
        }
        let certificate = self
            .element
            .links
            .require_controller()?
            .ask(&renew, RENEW_TIMEOUT)
            .await?;
        Ok(Certificate {
            parent: self.element.id,
            ..certificate
        })
    }

    fn on_heartbeat(&self, heartbeat: HostHeartbeat) -> Result<(), Problem> {
        let id = self.node.id;
        let mut state = heartbeat.state;
        state.set_last_heartbeat(UtcTime::now());
        let state = HostStateOf::<G>::try_from(state).map_err(|error| other_kind(id, error))?;
        G::on_host_heard(&self.element, id, &state, &heartbeat.leases);
        let now = Instant::now();
        self.element.monitor.on_heard(id, state.into(), now);
        self.element.tell_again(id);
        Ok(())
    }

    fn on_changed(&self, changed: HostChanged) -> Result<(), Problem> {
        let (id, element) = (self.node.id, &self.element);
        let host = element.checked_host(id, changed.host)?;
        element.observe_host(&host);
        G::on_host_changed(element, id, host.clone(), &changed.deployments);
        element.monitor.on_told(
            id,
            host.into(),
            changed.deployments,
            changed.generation,
            Instant::now(),
        );
        element.news.notify_one();
        Ok(())
    }
}

/// One second at least: what is told in whole seconds must not become none.
fn whole_seconds(time: Seconds) -> u32 {
    let seconds = time.to_duration().as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

impl<G: Goods> Handler for HostStream<G> {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            if incoming.kind == HostHello::KIND {
                return reply(&self.on_hello(peer, incoming.read()?).await?);
            }
            if G::RELAYS && incoming.kind == RelayAsk::KIND {
                return reply(&Done {});
            }
            self.require_greeted()?;
            match incoming.kind.as_str() {
                CertificateRenew::KIND => reply(&self.on_renew(incoming.read()?).await?),
                _ => G::on_host_request(&self.element, self.node.id, incoming).await,
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        async move {
            let taken = self
                .require_greeted()
                .and_then(|()| match incoming.kind.as_str() {
                    HostHeartbeat::KIND => incoming
                        .read()
                        .and_then(|heartbeat| self.on_heartbeat(heartbeat)),
                    HostChanged::KIND => {
                        incoming.read().and_then(|changed| self.on_changed(changed))
                    }
                    _ => G::on_host_notice(&self.element, self.node.id, incoming),
                });
            if let Err(problem) = taken {
                tracing::warn!(%problem, node.id = %self.node.id, "a Host's notice is left out");
            }
        }
        .boxed()
    }

    fn on_closed<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, ()> {
        let id = self.node.id;
        // A newer stream of the same Host may stand already.
        if self.element.links.remove_host(id, peer) {
            tracing::info!(node.id = %id, "a Host's stream is lost");
            G::on_host_lost(&self.element, id);
            self.element.monitor.on_lost(id);
            self.element.news.notify_one();
        }
        async {}.boxed()
    }
}
