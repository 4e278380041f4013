//! How a decision of the queue becomes deeds.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::fault::FaultPoint;
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    wire::{
        Notice,
        element_host::LeaseEnd,
        queue::{LeaseGranted, LeaseOver, LeaseRecalled, QueuePosition, QueueRefused},
    },
};

use super::{
    Ce,
    queue::{
        Queue,
        effect::Effect,
        entry::{EntryKey, SessionId},
    },
};

/// How long a Host may take to acknowledge the end of a lease.
const LEASE_END_TIMEOUT: Duration = Duration::from_secs(10);

impl Ce {
    /// Lets the queue decide and does what follows, in the order decided. The
    /// deeds themselves never wait: what takes long gets a task of its own.
    pub(crate) fn decide<T>(
        self: &Arc<Self>,
        decision: impl FnOnce(&mut Queue, std::time::Instant) -> T,
    ) -> T {
        let mut queue = self.goods.queue.lock();
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
                self.goods.metrics.recalls.inc();
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
                self.goods.metrics.refusals.inc();
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
                if let Some(peer) = self.goods.clients.get(entry.session) {
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
                    self.goods.lease_journal.lock().begun(lease);
                    FaultPoint::LeaseRecorded.pass_or_die();
                }
            }
            Effect::Forget { lease } => self.goods.lease_journal.lock().ended(lease),
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
        self.goods.metrics.grants.inc();
        self.goods
            .metrics
            .slots_granted
            .inc_by(u64::from(state.slots));
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
        let Some(peer) = self.goods.clients.get(session) else {
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
        if let Some(peer) = self.goods.clients.get(session) {
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
}
