//! The queue stream to one Element, and the leases that it granted.
//!
//! The stream is dialled when it is used. When it is lost, waiting entries are
//! told so at once (their owners enter again, here or elsewhere); leases stay,
//! and are brought along when the Element can be reached again.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    api::access::ElementAccess,
    id::{CallId, EntryId, LeaseId, NodeId, RequestId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        Notice,
        queue::{
            CallOverdue, Lease, LeaseGranted, LeaseOver, LeaseRecalled, LeaseRelease, LeaseRenew,
            OverdueAnswer, QueueEnter, QueueEntered, QueueLeave, QueuePosition, QueueRefused,
            ResumedLease, SessionOpen,
        },
    },
};
use parking_lot::Mutex;
use rand::RngExt as _;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::entry::{EntryEvent, EntryTeller, entry_events};

/// The Element's door for queues.
const QUEUE_PATH: &str = "/v1/queue";
/// Time for an answer of the Element.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the answer about an overdue call: the Element probes the Host.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// Waits between dials while leases are held and the Element is away.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What is known of a lease; watched by whoever uses it.
#[derive(Clone)]
pub(crate) struct LeaseState {
    /// With the newest ticket.
    pub(crate) lease: Lease,
    /// Others wait: give it back when idle.
    pub(crate) recalled: bool,
    /// It is over.
    pub(crate) over: Option<Problem>,
}

/// One Element's queue stream.
pub(crate) struct Session {
    element: NodeId,
    tls: ClientTls,
    stop: CancellationToken,
    /// Name and addresses, as the newest access decision tells them.
    address: Mutex<(String, Vec<String>)>,
    peer: Mutex<Option<Peer>>,
    dialling: tokio::sync::Mutex<()>,
    entries: Mutex<HashMap<EntryId, EntryTeller>>,
    leases: Mutex<HashMap<LeaseId, watch::Sender<LeaseState>>>,
}

impl Session {
    pub(crate) fn new(
        element: &ElementAccess,
        tls: ClientTls,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            element: element.element,
            tls,
            stop,
            address: Mutex::new((element.name.clone(), element.endpoints.clone())),
            peer: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
            entries: Mutex::default(),
            leases: Mutex::default(),
        })
    }

    pub(crate) fn update(&self, element: &ElementAccess) {
        let mut address = self.address.lock();
        if address.1 != element.endpoints {
            *address = (element.name.clone(), element.endpoints.clone());
        }
    }

    fn connected(&self) -> Option<Peer> {
        self.peer.lock().clone().filter(|peer| !peer.is_closed())
    }

    async fn peer(self: &Arc<Self>) -> Result<Peer, Problem> {
        if let Some(peer) = self.connected() {
            return Ok(peer);
        }
        let _one_at_a_time = self.dialling.lock().await;
        if let Some(peer) = self.connected() {
            return Ok(peer);
        }
        let (name, endpoints) = self.address.lock().clone();
        let handler = Arc::new(QueueEvents(Arc::downgrade(self)));
        let expected = (self.element, NodeKind::ComputingElement);
        let dialled = dial(
            &endpoints,
            expected,
            &self.tls,
            QUEUE_PATH,
            handler,
            StreamLimits::default(),
        )
        .await;
        let peer = dialled.map_err(|problem| match problem.code {
            Code::CertificateRefused | Code::NodeRevoked => problem,
            _ => Problem::new(
                Code::ElementDown,
                format!("Element {name} cannot be reached: {}", problem.detail),
            ),
        })?;
        let in_force = self.open(&peer).await?;
        *self.peer.lock() = Some(peer.clone());
        self.give_back_dropped(&peer, in_force);
        Ok(peer)
    }

    /// Brings the held leases along; ends those that are not in force, and
    /// gives the others.
    async fn open(&self, peer: &Peer) -> Result<Vec<LeaseId>, Problem> {
        let leases: Vec<_> = self
            .leases
            .lock()
            .iter()
            .map(|(id, state)| ResumedLease {
                lease: *id,
                ticket: state.borrow().lease.ticket.clone(),
            })
            .collect();
        let brought: Vec<_> = leases.iter().map(|resumed| resumed.lease).collect();
        let opened = peer.ask(&SessionOpen { leases }, ANSWER_TIMEOUT).await?;
        let problem = Problem::new(
            Code::LeaseEnded,
            "the lease did not outlast the lost stream to its Element",
        );
        let held = self.leases.lock();
        let gone = brought.iter().filter(|id| !opened.leases.contains(id));
        end_together(gone.filter_map(|id| held.get(id)), &problem);
        Ok(opened.leases)
    }

    /// A lease that was dropped while it was brought along could not be given
    /// back: there was no stream yet.
    fn give_back_dropped(&self, peer: &Peer, in_force: Vec<LeaseId>) {
        let held = self.leases.lock();
        for lease in in_force {
            if !held.contains_key(&lease) {
                tell_soon(peer.clone(), LeaseRelease { lease });
            }
        }
    }

    /// Takes a place in the queue; events follow until the entry is dropped.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        enter: QueueEnter,
        request: RequestId,
    ) -> Result<QueueEntry, Problem> {
        let peer = self.peer().await?.with_request_id(request);
        let (teller, events) = entry_events(enter.slots);
        let id = enter.entry;
        self.entries.lock().insert(id, teller);
        let entry = QueueEntry {
            session: Arc::clone(self),
            id,
            events,
        };
        // Dropping the entry, here too, leaves the queue.
        let QueueEntered { position } =
            peer.ask(&enter, ANSWER_TIMEOUT).await.map_err(|problem| {
                if peer.is_closed() {
                    element_lost(&self.address.lock().0)
                } else {
                    problem
                }
            })?;
        if position > 0 {
            self.tell_entry(id, EntryEvent::Position(position));
        }
        Ok(entry)
    }

    fn tell_entry(&self, id: EntryId, event: EntryEvent) {
        let teller = self.entries.lock().get(&id).cloned();
        if let Some(teller) = teller {
            teller.tell(event);
        }
    }

    fn on_granted(self: &Arc<Self>, granted: LeaseGranted) {
        let LeaseGranted { entry, lease } = granted;
        let id = lease.lease;
        let (sender, state) = watch::channel(LeaseState {
            lease,
            recalled: false,
            over: None,
        });
        self.leases.lock().insert(id, sender);
        let hold = LeaseHold {
            session: Arc::clone(self),
            id,
            state,
        };
        if self.entries.lock().contains_key(&entry) {
            self.tell_entry(entry, EntryEvent::Granted(hold));
        }
    }

    fn on_over(&self, lease: LeaseId, problem: &Problem) {
        end_together(self.leases.lock().get(&lease), problem);
    }

    fn on_notice(self: &Arc<Self>, notice: &Incoming) -> Result<(), Problem> {
        match notice.kind.as_str() {
            LeaseGranted::KIND => self.on_granted(notice.read()?),
            QueuePosition::KIND => {
                let QueuePosition { entry, position } = notice.read()?;
                self.tell_entry(entry, EntryEvent::Position(position));
            }
            QueueRefused::KIND => {
                let QueueRefused { entry, problem } = notice.read()?;
                self.tell_entry(entry, EntryEvent::Refused(problem));
            }
            LeaseRecalled::KIND => {
                let LeaseRecalled { lease } = notice.read()?;
                if let Some(state) = self.leases.lock().get(&lease) {
                    state.send_modify(|state| state.recalled = true);
                }
            }
            LeaseOver::KIND => {
                let LeaseOver { lease, problem } = notice.read()?;
                self.on_over(lease, &problem);
            }
            other => tracing::debug!(kind = other, "a notice of a newer Element is ignored"),
        }
        Ok(())
    }

    fn on_closed(self: &Arc<Self>) {
        let lost: Vec<_> = self
            .entries
            .lock()
            .drain()
            .map(|(_, teller)| teller)
            .collect();
        for teller in lost {
            teller.tell(EntryEvent::Lost);
        }
        if !self.leases.lock().is_empty() && !self.stop.is_cancelled() {
            tokio::spawn(come_back(Arc::downgrade(self), self.stop.clone()));
        }
    }

    fn release(&self, lease: LeaseId) {
        let state = self.leases.lock().remove(&lease);
        let over = state.is_none_or(|state| state.borrow().over.is_some());
        if !over && let Some(peer) = self.connected() {
            tell_soon(peer, LeaseRelease { lease });
        }
    }

    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let peer = self.peer.lock().take();
        let leases: Vec<_> = self.leases.lock().drain().map(|(id, _)| id).collect();
        if let Some(peer) = peer {
            for lease in leases {
                let _ = peer.tell(&LeaseRelease { lease }).await;
            }
            peer.close();
            peer.finished().await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.lock().take() {
            peer.close();
        }
    }
}

/// Ends leases. None takes calls any more before anybody hears of it: what ran
/// under the first would be sent to the next, and lost once more.
pub(super) fn end_together<'a>(
    leases: impl IntoIterator<Item = &'a watch::Sender<LeaseState>>,
    problem: &Problem,
) {
    let ended: Vec<_> = leases
        .into_iter()
        .inspect(|state| {
            state.send_if_modified(|state| {
                state.over = Some(problem.clone());
                false
            });
        })
        .collect();
    for state in ended {
        state.send_modify(|_| {});
    }
}

fn element_lost(name: &str) -> Problem {
    Problem::new(
        Code::ElementDown,
        format!("the stream to Element {name} is lost"),
    )
}

/// Tells without waiting; a full stream is waited for in the background, since
/// a release that is lost would hold slots for nothing.
fn tell_soon<N: Notice>(peer: Peer, notice: N) {
    if peer.try_tell(&notice).is_err() && !peer.is_closed() {
        tokio::spawn(async move { peer.tell(&notice).await });
    }
}

/// Dials a lost Element while leases of it are held.
async fn come_back(session: Weak<Session>, stop: CancellationToken) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.mul_f64(jitter)) => {}
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
        let Some(session) = session.upgrade() else {
            return;
        };
        if session.leases.lock().is_empty() || session.peer().await.is_ok() {
            return;
        }
    }
}

/// What the Element says on its own account.
struct QueueEvents(Weak<Session>);

impl Handler for QueueEvents {
    fn on_request<'a>(
        &'a self,
        _peer: &'a Peer,
        request: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { Err(request.unknown()) })
    }

    fn on_notice<'a>(&'a self, peer: &'a Peer, notice: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(session) = self.0.upgrade() else {
                return peer.close();
            };
            if let Err(problem) = session.on_notice(&notice) {
                tracing::warn!(kind = notice.kind, %problem, "a notice of the Element cannot be read");
            }
        })
    }

    fn on_closed<'a>(&'a self, _peer: &'a Peer) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(session) = self.0.upgrade() {
                session.on_closed();
            }
        })
    }
}

/// A place in the queue; dropping it leaves the queue (leases stay).
pub(crate) struct QueueEntry {
    session: Arc<Session>,
    id: EntryId,
    events: mpsc::Receiver<EntryEvent>,
}

impl QueueEntry {
    /// Waits for what happens next.
    pub(crate) async fn next(&mut self) -> EntryEvent {
        self.events.recv().await.unwrap_or(EntryEvent::Lost)
    }

    pub(crate) fn element(&self) -> NodeId {
        self.session.element
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        let known = self.session.entries.lock().remove(&self.id).is_some();
        if known && let Some(peer) = self.session.connected() {
            tell_soon(peer, QueueLeave { entry: self.id });
        }
    }
}

/// A lease in force; dropping it gives it back.
pub(crate) struct LeaseHold {
    session: Arc<Session>,
    id: LeaseId,
    state: watch::Receiver<LeaseState>,
}

impl LeaseHold {
    pub(crate) const fn id(&self) -> LeaseId {
        self.id
    }

    /// The lease with its newest ticket.
    pub(crate) fn lease(&self) -> Lease {
        self.state.borrow().lease.clone()
    }

    pub(crate) fn host(&self) -> NodeId {
        self.state.borrow().lease.host
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LeaseState> {
        self.state.clone()
    }

    /// Takes no new calls.
    pub(crate) fn is_spent(&self) -> bool {
        let state = self.state.borrow();
        state.recalled || state.over.is_some()
    }

    /// Asks the Element to probe the Host. An Element that is away cannot.
    pub(crate) async fn overdue(&self, call: CallId) -> Result<OverdueAnswer, Problem> {
        let peer = self.session.peer().await?;
        peer.ask(
            &CallOverdue {
                lease: self.id,
                call,
            },
            PROBE_TIMEOUT,
        )
        .await
    }

    /// Gets a new lease ticket for a valid access ticket.
    pub(crate) async fn renew(&self, access_ticket: String) -> Result<(), Problem> {
        let peer = self.session.peer().await?;
        let renewed = peer
            .ask(
                &LeaseRenew {
                    lease: self.id,
                    ticket: access_ticket,
                },
                ANSWER_TIMEOUT,
            )
            .await?;
        if let Some(state) = self.session.leases.lock().get(&self.id) {
            state.send_modify(|state| state.lease = renewed);
        }
        Ok(())
    }

    pub(crate) fn element(&self) -> NodeId {
        self.session.element
    }
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        self.session.release(self.id);
    }
}
