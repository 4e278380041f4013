//! The Computing Element as one value: its state, its streams, and how a
//! decision of the queue becomes deeds.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use gridmart_fabric::{
    clock::ParentClock,
    fault::FaultPoint,
    identity::IdentityCell,
    telemetry::Metrics,
    throttle::Throttle,
    ticket::VerifyingKeys,
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::{Incarnation, LeaseId, NodeId},
    problem::Problem,
    resource::ce_doc::CeDocument,
    scalar::UtcTime,
    wire::{
        Notice,
        element_host::LeaseEnd,
        queue::{LeaseGranted, LeaseOver, LeaseRecalled, QueuePosition, QueueRefused},
    },
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    comm::controller::Beat,
    command::Told,
    deploy::Shelf,
    explain::EndedCalls,
    journal::lease::LeaseJournal,
    late::Late,
    link::Links,
    measure::Measures,
    probe::ProbeDesk,
    queue::{
        Queue,
        effect::Effect,
        entry::{EntryKey, SessionId},
    },
    record::RecordDesk,
    relay::RelayDesk,
    standing::StandingFile,
    state::ServiceTimes,
};
use crate::{group::Group, info_base::InfoBase, monitor::Monitor};

/// How long a Host may take to acknowledge the end of a lease.
const LEASE_END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running Computing Element.
pub(crate) struct Ce {
    pub(crate) id: NodeId,
    pub(crate) controller: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) data_dir: PathBuf,
    /// `HOST:PORT` of the door, most preferred first.
    pub(crate) endpoints: Vec<String>,
    pub(crate) controller_endpoints: Vec<String>,
    pub(crate) base: InfoBase<CeDocument>,
    pub(crate) standing: Mutex<StandingFile>,
    pub(crate) ticket_keys: RwLock<VerifyingKeys>,
    /// For the Element's own leases, when they are brought back.
    pub(crate) own_keys: RwLock<VerifyingKeys>,
    pub(crate) revocations: Revocations,
    pub(crate) tls: ClientTls,
    /// For those who try join tokens.
    pub(crate) throttle: Throttle,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) lease_journal: Mutex<LeaseJournal>,
    pub(crate) records: RecordDesk,
    pub(crate) service_times: Mutex<ServiceTimes>,
    pub(crate) ended_calls: Mutex<EndedCalls>,
    pub(crate) shelf: Shelf,
    pub(crate) probes: ProbeDesk,
    pub(crate) relays: Arc<RelayDesk>,
    pub(crate) links: Links,
    pub(crate) monitor: Monitor,
    /// Heartbeats to the controller.
    pub(crate) beat: Mutex<Beat>,
    pub(crate) metrics: Measures,
    pub(crate) registry: Metrics,
    /// One wish is applied at a time, so that the newest is applied last; it
    /// stays here until it is.
    pub(crate) applying: tokio::sync::Mutex<Option<Told>>,
    pub(crate) parent_clock: ParentClock,
    pub(crate) late: Mutex<Late>,
    /// Held while the controller is told what has changed, so that each change
    /// goes over the stream that counts.
    pub(crate) telling: tokio::sync::Mutex<()>,
    /// The first welcome of the controller is applied.
    pub(crate) welcomed: CancellationToken,
    /// Hosts that were vouched for and are being noted.
    pub(crate) vouching: Group<NodeId, Result<(), String>>,
    /// Hosts that have not applied what they were told: told again next time.
    pub(crate) untold: Mutex<HashSet<NodeId>>,
    /// Something that the controller should hear soon.
    pub(crate) news: Notify,
    /// What should be has changed, or an application has become known.
    pub(crate) desired_changed: Notify,
    pub(crate) started: tokio::time::Instant,
    pub(crate) started_at: UtcTime,
    /// How long Hosts may take to return after this Element's start.
    pub(crate) return_time: Duration,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl std::fmt::Debug for Ce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ce")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Ce {
    /// Lets the queue decide and does what follows, in the order decided. The
    /// deeds themselves never wait: what takes long gets a task of its own.
    pub(crate) fn decide<T>(
        self: &Arc<Self>,
        decision: impl FnOnce(&mut Queue, std::time::Instant) -> T,
    ) -> T {
        let mut queue = self.queue.lock();
        let outcome = decision(&mut queue, std::time::Instant::now());
        for effect in queue.take_effects() {
            self.act(&queue, effect);
        }
        outcome
    }

    fn act(self: &Arc<Self>, queue: &Queue, effect: Effect) {
        match effect {
            Effect::Granted { entry, lease } => self.tell_granted(queue, entry, lease),
            Effect::Recalled { session, lease } => {
                self.metrics.recalls.inc();
                self.tell_client(session, &LeaseRecalled { lease });
            }
            Effect::Over {
                session,
                lease,
                problem,
            } => {
                tracing::info!(lease.id = %lease, %problem, "a lease has ended");
                self.tell_client(session, &LeaseOver { lease, problem });
            }
            Effect::Refused { entry, problem } => {
                tracing::info!(%problem, "a queue entry is refused");
                self.metrics.refusals.inc();
                self.tell_client(
                    entry.session,
                    &QueueRefused {
                        entry: entry.entry,
                        problem,
                    },
                );
            }
            Effect::Position { entry, position } => {
                let told = QueuePosition {
                    entry: entry.entry,
                    position,
                };
                // Who is behind with reading misses a place, and will have another.
                if let Some(peer) = self.links.client(entry.session) {
                    let _ = peer.try_tell(&told);
                }
            }
            Effect::Ensure { host, digest } => self.spawn_ensure(host, digest),
            Effect::Fetch { digest } => self.spawn_fetch(digest),
            Effect::EndOnHost {
                host,
                lease,
                kill,
                reason,
            } => self.end_on_host(
                host,
                LeaseEnd {
                    lease,
                    kill,
                    reason,
                },
            ),
            Effect::Remember { lease } => {
                if let Some(lease) = queue.leases().get(lease) {
                    FaultPoint::LeaseGranted.pass_or_die();
                    self.lease_journal.lock().begun(lease);
                    FaultPoint::LeaseRecorded.pass_or_die();
                }
            }
            Effect::Forget { lease } => self.lease_journal.lock().ended(lease),
        }
    }

    fn tell_granted(self: &Arc<Self>, queue: &Queue, entry: EntryKey, lease: LeaseId) {
        // Gone again in the same breath: then its end is told next.
        let Some(state) = queue.leases().get(lease) else {
            return;
        };
        let message = match self.lease_message(queue, state) {
            Ok(message) => message,
            Err(problem) => {
                tracing::error!(%problem, lease.id = %lease, "a lease cannot be told, its client is cut");
                self.cut_client(entry.session);
                return;
            }
        };
        tracing::debug!(lease.id = %lease, node.id = %state.host, slots = state.slots, person = %state.person, "a lease was granted");
        self.metrics.grants.inc();
        self.metrics.slots_granted.inc_by(u64::from(state.slots));
        self.tell_client(
            entry.session,
            &LeaseGranted {
                entry: entry.entry,
                lease: message,
            },
        );
    }

    /// A client that does not read is cut; it may come back for its leases.
    fn tell_client<N: Notice>(&self, session: SessionId, notice: &N) {
        let Some(peer) = self.links.client(session) else {
            return;
        };
        if let Err(problem) = peer.try_tell(notice)
            && !peer.is_closed()
        {
            tracing::warn!(%problem, "a client does not read its queue stream and is cut");
            peer.close();
        }
    }

    fn cut_client(&self, session: SessionId) {
        if let Some(peer) = self.links.client(session) {
            peer.close();
        }
    }

    fn end_on_host(self: &Arc<Self>, host: NodeId, end: LeaseEnd) {
        tracing::info!(lease.id = %end.lease, node.id = %host, reason = end.reason, "a lease has ended");
        // A Host that is away hears of it in the answer to its hello.
        let Some(peer) = self.links.host(host) else {
            return;
        };
        let ce = Arc::clone(self);
        self.tasks.spawn(async move {
            match peer.ask(&end, LEASE_END_TIMEOUT).await {
                Ok(_) => ce.decide(|queue, now| queue.on_lease_gone(host, end.lease, now)),
                // Its next heartbeat tells whether it holds the lease.
                Err(problem) if !peer.is_closed() => {
                    tracing::warn!(%problem, node.id = %host, lease.id = %end.lease, "the Host has not ended a lease");
                }
                Err(_) => {}
            }
        });
    }

    /// Runs what blocks for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let ce = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&ce))
            .await
            .map_err(|error| {
                tracing::error!(%error, "work for the disk has failed");
                Problem::new(
                    gridmart_schemas::problem::Code::Internal,
                    "The Element failed to do its work for the disk.",
                )
            })
    }
}
