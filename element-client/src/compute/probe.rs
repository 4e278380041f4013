//! Timeout probes: is that Host there?
//!
//! At most one probe is on its way to a Host; all who ask meanwhile share its
//! answer. No answer means that the Host is down; only this says so, a lost
//! stream by itself does not.

use std::{collections::HashMap, sync::Arc};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    wire::element_host::Probe,
};
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::element::Ce;

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The Host answers, as this start of its process.
    Alive(Incarnation),
    /// It does not.
    Down,
}

/// Probes on their way, with who waits for them.
#[derive(Debug)]
pub struct Probes<W> {
    waiting: HashMap<NodeId, Vec<W>>,
}

impl<W> Default for Probes<W> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
        }
    }
}

impl<W> Probes<W> {
    /// Somebody wants to know. Answers whether a probe has to be sent.
    pub fn on_asked(&mut self, host: NodeId, who: W) -> bool {
        let waiting = self.waiting.entry(host).or_default();
        waiting.push(who);
        waiting.len() == 1
    }

    /// The probe is over; answers with who waited for it.
    pub fn on_verdict(&mut self, host: NodeId) -> Vec<W> {
        self.waiting.remove(&host).unwrap_or_default()
    }
}

/// Probes of the Element, on real streams.
pub(crate) type ProbeDesk = Mutex<Probes<oneshot::Sender<Verdict>>>;

impl Ce {
    /// Probes a Host, or waits for the probe that is on its way.
    pub(crate) async fn probe(self: &Arc<Self>, host: NodeId) -> Result<Verdict, Problem> {
        let (who, verdict) = oneshot::channel();
        if self.probes.lock().on_asked(host, who) {
            let ce = Arc::clone(self);
            // In a task of its own: who asked first may go away.
            self.tasks.spawn(async move {
                let verdict = ce.probe_now(host).await;
                ce.metrics.probes.inc();
                if verdict == Verdict::Down {
                    tracing::warn!(node.id = %host, "the Host does not answer a probe and counts as down");
                    ce.metrics.hosts_down.inc();
                    ce.decide(|queue, now| queue.on_host_down(host, now));
                }
                for who in ce.probes.lock().on_verdict(host) {
                    // Who asked may be gone.
                    let _ = who.send(verdict);
                }
            });
        }
        verdict
            .await
            .map_err(|_| Problem::new(Code::Unavailable, "The Element is going down."))
    }

    async fn probe_now(&self, host: NodeId) -> Verdict {
        let configured = self.base.read().configuration.probe_timeout.to_duration();
        // After the Element's own start its Hosts are on their way back.
        let deadline = (Instant::now() + configured).max(self.started + self.return_time);
        while Instant::now() < deadline {
            let changed = self.links.changed();
            tokio::pin!(changed);
            // Enabled before looking, so that a return in between is seen.
            changed.as_mut().enable();
            let Some(peer) = self.links.host(host) else {
                // Its stream is lost: it may be back in time.
                let _ = timeout_at(deadline, changed).await;
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match peer.ask(&Probe {}, left.min(configured)).await {
                Ok(answer) => return Verdict::Alive(answer.incarnation),
                // A stream that stands and does not answer is an answer.
                Err(_) if !peer.is_closed() => return Verdict::Down,
                Err(_) => {
                    let _ = timeout_at(deadline, changed).await;
                }
            }
        }
        Verdict::Down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_serves_all_who_ask() {
        let mut probes = Probes::default();
        let (one, other) = (NodeId::generate(), NodeId::generate());
        assert!(probes.on_asked(one, 1));
        assert!(!probes.on_asked(one, 2));
        assert!(probes.on_asked(other, 3));
        assert!(!probes.on_asked(one, 4));
        assert_eq!(probes.on_verdict(one), [1, 2, 4]);
        assert!(probes.on_asked(one, 5), "the next question is a new probe");
        assert_eq!(probes.on_verdict(other), [3]);
        assert!(probes.on_verdict(other).is_empty());
    }
}
