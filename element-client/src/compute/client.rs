//! A client's queue stream.

use std::sync::{Arc, OnceLock};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    stream::{Handler, Incoming, Peer, reply},
    telemetry::LineGate,
};
use gridmart_schemas::{
    id::{KeyHash, PersonName, RequestId},
    problem::{Code, Problem},
    wire::{
        Notice as _, Request as _,
        queue::{
            CallOverdue, Lease, LeaseRelease, LeaseRenew, QueueEnter, QueueEntered, QueueLeave,
            SessionOpen, SessionOpened,
        },
    },
};
use serde_json::value::RawValue;

use super::{
    Ce,
    queue::entry::{EntryKey, SessionId},
};

/// A ticket may be a moment ahead of the wish that offers its application: so
/// long an entry waits for it.
const WISH_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);
/// The most leases that a client brings along.
const LEASES_MAX: usize = 10_000;

/// One client's stream.
pub(crate) struct ClientStream {
    ce: Arc<Ce>,
    session: SessionId,
    presenter: KeyHash,
    opened: OnceLock<()>,
}

impl ClientStream {
    pub(crate) fn new(ce: Arc<Ce>, presenter: KeyHash) -> Self {
        let session = ce.goods.clients.new_session();
        Self {
            ce,
            session,
            presenter,
            opened: OnceLock::new(),
        }
    }

    fn open(&self, peer: &Peer) {
        self.opened.get_or_init(|| {
            self.ce.goods.clients.set(self.session, peer.clone());
            self.ce
                .decide(|queue, _| queue.on_session_opened(self.session, self.presenter.clone()));
        });
    }

    fn on_session_open(&self, open: SessionOpen) -> Result<SessionOpened, Problem> {
        if open.leases.len() > LEASES_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("At most {LEASES_MAX} leases may be brought along."),
            ));
        }
        let leases = self.ce.decide(|queue, now| {
            let proven = self.ce.prove(queue, &self.presenter, open.leases);
            queue.on_session_resumed(self.session, proven, now)
        });
        let grace = self
            .ce
            .base
            .read()
            .configuration
            .reattach_grace
            .to_duration()
            .as_secs();
        Ok(SessionOpened {
            element: self.ce.id,
            leases,
            reattach_grace: u32::try_from(grace).unwrap_or(u32::MAX),
        })
    }

    async fn on_enter(
        &self,
        enter: QueueEnter,
        request: Option<RequestId>,
    ) -> Result<QueueEntered, Problem> {
        let admitted = self.ce.admit(self.session, &self.presenter, enter, request);
        let wanted = admitted.inspect_err(|problem| self.log_refusal(problem, request, None))?;
        let deadline = tokio::time::Instant::now() + WISH_PATIENCE;
        loop {
            let changed = self.ce.desired_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let entered = self
                .ce
                .decide(|queue, now| queue.on_enter(wanted.clone(), now));
            match entered {
                Ok(position) => return Ok(QueueEntered { position }),
                Err(problem) if problem.code == Code::UnknownApplication => {
                    if tokio::time::timeout_at(deadline, changed).await.is_err() {
                        self.log_refusal(&problem, wanted.request, Some(&wanted.asker.person));
                        return Err(problem);
                    }
                }
                Err(problem) => {
                    self.log_refusal(&problem, wanted.request, Some(&wanted.asker.person));
                    return Err(problem);
                }
            }
        }
    }

    /// Who is refused may be anybody: the log takes only so many lines of it.
    fn log_refusal(
        &self,
        problem: &Problem,
        request: Option<RequestId>,
        person: Option<&PersonName>,
    ) {
        static LINES: LineGate = LineGate::new();
        self.ce.goods.metrics.refusals.inc();
        let Some(left_out) = LINES.admit() else {
            return;
        };
        tracing::info!(
            code = %problem.code,
            detail = problem.detail,
            request.id = request.map(tracing::field::display),
            person = person.map(tracing::field::display),
            presenter = %self.presenter,
            left_out,
            "refused at the queue"
        );
    }

    fn on_renew(&self, renew: &LeaseRenew) -> Result<Lease, Problem> {
        let (claims, application) = self.ce.judge_access(&renew.ticket, &self.presenter)?;
        self.ce.decide(|queue, _| {
            let lease = queue.lease_of(self.session, renew.lease)?;
            if lease.person != claims.sub || lease.digest != application.digest {
                return Err(Problem::new(
                    Code::TicketForeign,
                    "The ticket is for another person or application than the lease.",
                ));
            }
            self.ce.lease_message(queue, lease)
        })
    }

    fn key(&self, leave: &QueueLeave) -> EntryKey {
        EntryKey {
            session: self.session,
            entry: leave.entry,
        }
    }
}

impl Handler for ClientStream {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        self.open(peer);
        async move {
            match incoming.kind.as_str() {
                SessionOpen::KIND => reply(&self.on_session_open(incoming.read()?)?),
                QueueEnter::KIND => {
                    reply(&self.on_enter(incoming.read()?, incoming.request).await?)
                }
                LeaseRenew::KIND => reply(&self.on_renew(&incoming.read()?)?),
                CallOverdue::KIND => {
                    reply(&self.ce.on_overdue(self.session, &incoming.read()?).await?)
                }
                _ => Err(incoming.unknown()),
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, peer: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        self.open(peer);
        async move {
            let taken = match incoming.kind.as_str() {
                QueueLeave::KIND => incoming.read().map(|leave| {
                    self.ce
                        .decide(|queue, now| queue.on_leave(self.key(&leave), now));
                }),
                LeaseRelease::KIND => incoming.read().map(|release: LeaseRelease| {
                    self.ce
                        .decide(|queue, now| queue.on_released(self.session, release.lease, now));
                }),
                _ => Err(incoming.unknown()),
            };
            if let Err(problem) = taken {
                tracing::debug!(%problem, "a client's notice is left out");
            }
        }
        .boxed()
    }

    fn on_closed<'a>(&'a self, _: &'a Peer) -> BoxFuture<'a, ()> {
        self.ce.goods.clients.remove(self.session);
        self.ce
            .decide(|queue, now| queue.on_session_lost(self.session, now));
        async {}.boxed()
    }
}
