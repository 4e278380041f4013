//! A Host's control stream.

use std::{sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::PeerNode,
    stream::{Handler, Incoming, Peer, reply},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    resource::{
        Document as _,
        any::{AnyHost, OtherKind},
        ce_doc::HostEntry,
        host::{ComputeHost, HostState},
    },
    scalar::UtcTime,
    wire::{
        Done, Notice as _, Request as _,
        desired::Wish,
        element_host::{HostChanged, HostHeartbeat, HostHello, HostWelcome, LeasesEnded, RelayAsk},
        enrol::{Certificate, CertificateRenew},
        record::CallRecords,
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::compute::{element::Ce, queue::pool::HostArrival};

/// How long the controller may take to sign a Host's next certificate.
const RENEW_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// One Host's stream.
pub(crate) struct HostStream {
    ce: Arc<Ce>,
    node: PeerNode,
    /// It has said hello.
    greeted: Mutex<bool>,
}

impl HostStream {
    pub(crate) fn new(ce: Arc<Ce>, node: PeerNode) -> Self {
        Self {
            ce,
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
        let id = self.node.id;
        let now = Instant::now();
        if *self.greeted.lock() {
            let detail = "There was a hello on this stream already.";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let host = self.ce.checked_host(id, hello.host)?;
        self.ce.enter_host_table(id, &host).await?;
        self.ce.know_host(id, &host);
        let description = Arc::new(host.clone());
        let older = self.ce.links.set_host(id, peer, hello.incarnation);
        if let Some((older, its_start)) = older {
            peer.succeed(older, its_start == hello.incarnation, &self.ce.stop);
        }
        self.ce.monitor.on_told(
            id,
            host.into(),
            hello.deployments.clone(),
            hello.generation,
            now,
        );
        let arrival = HostArrival {
            id,
            incarnation: hello.incarnation,
            description,
            endpoints: hello.endpoints,
            relayed: hello.relayed,
            leases: hello.leases,
            deployments: hello.deployments,
        };
        *self.greeted.lock() = true;
        let ended_leases = self
            .ce
            .decide(|queue, now| queue.on_host_arrived(arrival, now));
        tracing::info!(node.id = %id, "a Host has come");
        self.ce.news.notify_one();
        let (desired, revoked) = self.ce.told_to_host(id);
        let configuration = self.ce.base.read().configuration.clone();
        let seconds = |time: gridmart_schemas::scalar::Seconds| {
            u32::try_from(time.to_duration().as_secs())
                .unwrap_or(u32::MAX)
                .max(1)
        };
        Ok(HostWelcome {
            heartbeat_interval: seconds(configuration.common.heartbeat_interval),
            lease_key: self
                .ce
                .identity
                .current()
                .signing_key()
                .spki_pem()
                .to_owned(),
            reattach_grace: seconds(configuration.reattach_grace),
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
            .ce
            .links
            .require_controller()?
            .ask(&renew, RENEW_TIMEOUT)
            .await?;
        Ok(Certificate {
            parent: self.ce.id,
            ..certificate
        })
    }

    async fn on_records(&self, mut batch: CallRecords) -> Result<Done, Problem> {
        self.ce.late.lock().judge(&mut batch, Instant::now());
        let incarnation = self
            .ce
            .links
            .host_incarnation(self.node.id)
            .ok_or_else(|| {
                Problem::new(
                    Code::Unavailable,
                    "The Host's stream was replaced by another.",
                )
            })?;
        self.ce
            .records
            .take(self.node.id, incarnation, batch)
            .await?;
        Ok(Done {})
    }

    fn on_heartbeat(&self, heartbeat: HostHeartbeat) -> Result<(), Problem> {
        let state = HostState::try_from(heartbeat.state)
            .map_err(|error| other_kind(self.node.id, error))?;
        let state = heard_now(state);
        self.ce
            .decide(|queue, now| queue.on_host_heard(self.node.id, &state, &heartbeat.leases, now));
        self.ce
            .monitor
            .on_heard(self.node.id, state.into(), Instant::now());
        self.ce.tell_again(self.node.id);
        Ok(())
    }

    fn on_changed(&self, changed: HostChanged) -> Result<(), Problem> {
        let host = self.ce.checked_host(self.node.id, changed.host)?;
        self.ce.observe_host(&host);
        let description = Arc::new(host.clone());
        self.ce.decide(|queue, now| {
            queue.on_host_changed(self.node.id, description, &changed.deployments, now);
        });
        self.ce.monitor.on_told(
            self.node.id,
            host.into(),
            changed.deployments,
            changed.generation,
            Instant::now(),
        );
        self.ce.news.notify_one();
        Ok(())
    }
}

fn other_kind(host: gridmart_schemas::id::NodeId, error: OtherKind) -> Problem {
    Problem::new(
        Code::InvalidDocument,
        format!("The Host {host} describes something else: {error}."),
    )
}

/// `LastHeartbeat` is by the Element's clock.
fn heard_now(state: HostState) -> HostState {
    HostState {
        last_heartbeat: UtcTime::now(),
        ..state
    }
}

impl Ce {
    /// Checks that a Host describes itself, as one of this Element's.
    fn checked_host(
        &self,
        id: gridmart_schemas::id::NodeId,
        host: AnyHost,
    ) -> Result<ComputeHost, Problem> {
        let refusal = |detail: String| Err(Problem::new(Code::InvalidDocument, detail));
        let host = ComputeHost::try_from(host).map_err(|error| other_kind(id, error))?;
        if host.id.as_str() != id.to_urn() {
            return refusal(format!("The Host {id} describes itself as {}.", host.id));
        }
        if host.info.element.as_str() != self.id.to_urn() {
            return refusal(format!(
                "The Host {id} says that its Element is {}, not {}.",
                host.info.element,
                self.id.to_urn()
            ));
        }
        if let Err(violations) = host.validate() {
            return refusal(format!(
                "The Host {id} describes itself wrongly: {violations}."
            ));
        }
        let state = host.state.map(heard_now);
        Ok(ComputeHost { state, ..host })
    }

    /// A Host that this Element has vouched for enters the Host table at its
    /// first hello; one that nobody vouched for is refused.
    async fn enter_host_table(
        self: &Arc<Self>,
        id: gridmart_schemas::id::NodeId,
        host: &ComputeHost,
    ) -> Result<(), Problem> {
        if self
            .base
            .read()
            .host_table
            .hosts
            .iter()
            .any(|entry| entry.host.id == host.id)
        {
            self.observe_host(host);
            return Ok(());
        }
        if !self.standing.lock().get().vouched.contains(&id) {
            return Err(Problem::new(
                Code::NotAuthorized,
                format!("The Host {id} has not joined through this Element; join it again."),
            ));
        }
        let entry = HostEntry::new(
            ComputeHost {
                state: None,
                ..host.clone()
            },
            UtcTime::now(),
        );
        let entered = self.blocking(move |ce| {
            ce.base.update_together(move |document| {
                if !document
                    .host_table
                    .hosts
                    .iter()
                    .any(|there| there.host.id == entry.host.id)
                {
                    document.host_table.hosts.push(entry.clone());
                }
                Ok(())
            })?;
            ce.standing.lock().forget_vouched(id);
            Ok(())
        });
        entered.await?.map_err(|error: crate::info_base::LibError| {
            tracing::error!(%error, node.id = %id, "a Host cannot enter the Host table");
            error.to_problem()
        })
    }

    /// A Host that is new to the queue enters it with the wishes that stand.
    fn know_host(self: &Arc<Self>, id: gridmart_schemas::id::NodeId, host: &ComputeHost) {
        if self.queue.lock().host(id).is_some() {
            return;
        }
        // Only a Host with a wish of its own has to be told apart.
        let apart = {
            let standing = self.standing.lock();
            let desired = &standing.get().desired;
            let named = desired.hosts.iter().any(|wish| wish.host == id);
            (named || desired.revoked.contains(&id)).then(|| desired.clone())
        };
        let description = Arc::new(host.clone());
        self.decide(|queue, now| {
            queue.on_host_known(id, description, Wish::default(), false);
            if let Some(desired) = &apart {
                queue.on_desired(desired, now);
            }
        });
    }

    /// Shows a Host's present description in the information base.
    fn observe_host(&self, host: &ComputeHost) {
        let told = ComputeHost {
            state: None,
            ..host.clone()
        };
        let document = self.base.read();
        let known = document
            .host_table
            .hosts
            .iter()
            .find(|entry| entry.host.id == told.id);
        let is_new = known.is_some_and(|entry| entry.host != told);
        // Whoever holds the document while it is changed has it copied, whole.
        drop(document);
        if is_new {
            self.base.observe(move |document| {
                if let Some(entry) = document
                    .host_table
                    .hosts
                    .iter_mut()
                    .find(|entry| entry.host.id == told.id)
                {
                    entry.host = told.clone();
                }
            });
        }
    }
}

impl Handler for HostStream {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            if incoming.kind == HostHello::KIND {
                return reply(&self.on_hello(peer, incoming.read()?).await?);
            }
            if incoming.kind == RelayAsk::KIND {
                return reply(&Done {});
            }
            self.require_greeted()?;
            match incoming.kind.as_str() {
                CallRecords::KIND => reply(&self.on_records(incoming.read()?).await?),
                CertificateRenew::KIND => reply(&self.on_renew(incoming.read()?).await?),
                _ => Err(incoming.unknown()),
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
                    LeasesEnded::KIND => incoming.read().map(|ended: LeasesEnded| {
                        self.ce.decide(|queue, now| {
                            queue.on_leases_ended(self.node.id, &ended.leases, now);
                        });
                    }),
                    _ => Err(incoming.unknown()),
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
        if self.ce.links.remove_host(id, peer) {
            tracing::info!(node.id = %id, "a Host's stream is lost");
            self.ce.decide(|queue, now| queue.on_host_lost(id, now));
            self.ce.monitor.on_lost(id);
            self.ce.news.notify_one();
        }
        async {}.boxed()
    }
}
