//! A program that asks an Element for slots, as the SDK does.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, bail};
use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    identity::EphemeralKey,
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccessRequest, ElementAccess},
    id::{EntryId, LeaseId},
    problem::Problem,
    role::{NodeKind, Operation},
    wire::{
        Notice as _,
        queue::{
            LeaseGranted, LeaseOver, LeaseRecalled, LeaseRelease, QueueEnter, QueueRefused,
            SessionOpen,
        },
    },
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{PATIENCE, Person};

/// What an Element has told a client, and when.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Slots of one Host.
    Granted(LeaseId, u32, Instant),
    /// A lease is asked back.
    Recalled(LeaseId, Instant),
    /// A lease is over, or an entry is refused.
    Refused(String),
}

/// A program with its own key and one queue stream.
pub struct QueueClient {
    access: ElementAccess,
    peer: Peer,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl QueueClient {
    /// Asks the controller for access to an application, and opens a queue
    /// stream to the Element that it names.
    pub async fn open(
        person: &mut Person,
        root_pem: &str,
        application: &str,
    ) -> anyhow::Result<Self> {
        let key = EphemeralKey::generate()?;
        let tls = ClientTls::ephemeral(root_pem, &key)?;
        let decision: AccessDecision =
            person.post("/api/v1/access/applications", &request(application, &key))?;
        let access = decision.elements.into_iter().next().context("no Element")?;
        let (sender, heard) = mpsc::unbounded_channel();
        let peer = dial(
            &access.endpoints,
            (access.element, NodeKind::ComputingElement),
            &tls,
            "/v1/queue",
            Arc::new(Ear(sender)),
            StreamLimits::default(),
        )
        .await
        .map_err(|problem| told(&problem))?;
        peer.ask(&SessionOpen { leases: Vec::new() }, PATIENCE)
            .await
            .map_err(|problem| told(&problem))?;
        Ok(Self {
            access,
            peer,
            heard,
        })
    }

    /// Enters the queue for so many slots; gives the place.
    pub async fn enter(&self, slots: u32) -> anyhow::Result<u32> {
        self.enter_with(slots, 0).await
    }

    /// The same with a priority.
    pub async fn enter_with(&self, slots: u32, priority: i32) -> anyhow::Result<u32> {
        let enter = QueueEnter {
            ticket: self.access.ticket.clone(),
            entry: EntryId::generate(),
            slots,
            job: None,
            hosts_max: None,
            avoid: Vec::new(),
            priority,
        };
        let entered = self
            .peer
            .ask(&enter, PATIENCE)
            .await
            .map_err(|problem| told(&problem))?;
        Ok(entered.position)
    }

    /// Gives a lease back.
    pub async fn release(&self, lease: LeaseId) -> anyhow::Result<()> {
        self.peer
            .tell(&LeaseRelease { lease })
            .await
            .map_err(|problem| told(&problem))
    }

    /// Waits for what is told next.
    pub async fn heard(&mut self) -> anyhow::Result<Heard> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard
            .context("nothing is heard of the Element")?
            .context("the stream has ended")
    }

    /// Waits for a lease.
    pub async fn granted(&mut self) -> anyhow::Result<(LeaseId, u32, Instant)> {
        match self.heard().await? {
            Heard::Granted(lease, slots, at) => Ok((lease, slots, at)),
            other => bail!("a lease was awaited, not {other:?}"),
        }
    }
}

impl Drop for QueueClient {
    fn drop(&mut self) {
        self.peer.close();
    }
}

impl std::fmt::Debug for QueueClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueClient").finish_non_exhaustive()
    }
}

fn request(application: &str, key: &EphemeralKey) -> ApplicationAccessRequest {
    ApplicationAccessRequest {
        application: Some(application.to_owned()),
        needs: Vec::new(),
        operations: vec![Operation::Call],
        presenter: key.key_hash().clone(),
        avoid: Vec::new(),
    }
}

fn told(problem: &Problem) -> anyhow::Error {
    anyhow::anyhow!("{problem}")
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Handler for Ear {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move { Err(incoming.unknown()) }.boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        let now = Instant::now();
        let heard = match incoming.kind.as_str() {
            LeaseGranted::KIND => incoming.read().map(|granted: LeaseGranted| {
                Heard::Granted(granted.lease.lease, granted.lease.slots, now)
            }),
            LeaseRecalled::KIND => incoming
                .read()
                .map(|recalled: LeaseRecalled| Heard::Recalled(recalled.lease, now)),
            LeaseOver::KIND => incoming
                .read()
                .map(|over: LeaseOver| Heard::Refused(over.problem.to_string())),
            QueueRefused::KIND => incoming
                .read()
                .map(|refused: QueueRefused| Heard::Refused(refused.problem.to_string())),
            _ => return async {}.boxed(),
        };
        let heard = heard.unwrap_or_else(|problem| Heard::Refused(problem.to_string()));
        // The client may be gone.
        let _ = self.0.send(heard);
        async {}.boxed()
    }
}
