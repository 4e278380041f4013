//! How a decision of the queue becomes deeds.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::fault::FaultPoint;
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    problem::{Code, Problem},
    wire::{
        element_host::LeaseEnd,
        queue::{LeaseGranted, LeaseOver, LeaseRecalled, QueuePosition, QueueRefused},
    },
};

use super::{
    Ce,
    clients::Client,
    queue::{
        Queue,
        effect::Effect,
        entry::{EntryKey, SessionId},
    },
    untold::{Kept, Message, News, UNREAD_MAX, tell_in_turn},
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
                self.tell_client(queue, session, News::Recalled(LeaseRecalled { lease }));
            }
            Effect::Over {
                session,
                lease,
                problem,
            } => {
                tracing::info!(lease.id = %lease, %problem, "a lease has ended");
                self.tell_client(queue, session, News::Over(LeaseOver { lease, problem }));
            }
            Effect::Refused { entry, problem } => {
                tracing::info!(%problem, "a queue entry is refused");
                self.goods.metrics.refusals.inc();
                let refused = QueueRefused {
                    entry: entry.entry,
                    problem,
                };
                self.tell_client(queue, entry.session, News::Refused(refused));
            }
            Effect::Position { entry, position } => {
                let told = QueuePosition {
                    entry: entry.entry,
                    position,
                };
                // Who is behind with reading misses a place, and will have another.
                if let Some(client) = self.goods.clients.get(entry.session)
                    && client.untold.lock().is_empty()
                {
                    let _ = client.peer.try_tell(&told);
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
        tracing::debug!(lease.id = %lease, node.id = %state.host, slots = state.slots, person = %state.person, "a lease was granted");
        self.goods.metrics.grants.inc();
        self.goods
            .metrics
            .slots_granted
            .inc_by(u64::from(state.slots));
        let news = News::Granted(entry, Box::new(state.clone()));
        self.tell_client(queue, entry.session, news);
    }

    /// Tells a client, now or when its stream has room again. One that is too
    /// far behind is cut; it may come back for its leases.
    fn tell_client(self: &Arc<Self>, queue: &Queue, session: SessionId, news: News) {
        let Some(client) = self.goods.clients.get(session) else {
            return;
        };
        if client.peer.is_closed() {
            return;
        }
        let mut untold = client.untold.lock();
        if untold.is_empty() {
            match self.message(queue, &news) {
                Ok(message) if message.try_tell(&client.peer).is_ok() => return,
                Ok(_) => {}
                Err(problem) => return cut(&client, &problem),
            }
        }
        match untold.keep(news) {
            Kept::Behind => {}
            Kept::First => {
                let telling = Arc::clone(self).tell_untold(Arc::clone(&client));
                self.tasks.spawn(telling);
            }
            Kept::TooMany => {
                let problem = Problem::new(Code::Busy, "Too much waits to be told.");
                cut(&client, &problem);
            }
        }
    }

    /// Tells a client what had no room, as it reads.
    async fn tell_untold(self: Arc<Self>, client: Arc<Client>) {
        let tell = |news| {
            let message = self.message(&self.goods.queue.lock(), &news);
            let peer = client.peer.clone();
            async move { message?.tell(&peer).await }
        };
        if let Err(problem) = tell_in_turn(&client.untold, UNREAD_MAX, tell).await {
            cut(&client, &problem);
        }
    }

    /// Makes what is sent of a decision; a lease is told as it is now.
    fn message(&self, queue: &Queue, news: &News) -> Result<Message, Problem> {
        Ok(match news {
            News::Granted(key, granted) => {
                let lease = queue.leases().get(granted.id).unwrap_or(granted);
                Message::Granted(Box::new(LeaseGranted {
                    entry: key.entry,
                    lease: self.lease_message(queue, lease)?,
                }))
            }
            News::Recalled(recalled) => Message::Recalled(recalled.clone()),
            News::Over(over) => Message::Over(over.clone()),
            News::Refused(refused) => Message::Refused(refused.clone()),
        })
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

/// Ends the stream of a client that cannot be told what it has to know.
fn cut(client: &Client, problem: &Problem) {
    if !client.peer.is_closed() {
        tracing::warn!(%problem, "a client cannot be told of its leases and is cut");
        client.peer.close();
    }
}
