//! Timeout probes: is that Host there?
//!
//! At most one probe is on its way to a Host; all who ask meanwhile share its
//! answer. No answer means that the Host is down; only this says so, a lost
//! stream by itself does not. Any answer is life, a refusal as well.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    wire::element_host::Probe,
};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout_at};

use super::{
    Element,
    goods::{ElementDocument as _, Goods},
};

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
    waiting: BTreeMap<NodeId, Vec<W>>,
}

impl<W> Default for Probes<W> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
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

/// What to do next for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask on the stream that stands, and wait so long for the answer.
    Ask(Duration),
    /// Its stream is lost; it may be back by then.
    AwaitReturn(Instant),
    /// The time is over.
    Over,
}

/// One probe on its way: what silence means, and for how long a Host whose
/// stream is lost is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    patience: Duration,
    deadline: Instant,
}

impl Course {
    /// A probe that may take so long; after the Element's own start its Hosts
    /// are on their way back until `returned`.
    pub fn new(patience: Duration, returned: Instant, now: Instant) -> Self {
        Self {
            patience,
            deadline: (now + patience).max(returned),
        }
    }

    /// What to do now. The deadline is for the return: a Host that is back by
    /// then has as much time to answer as one that was never away.
    pub fn step(&self, has_stream: bool, now: Instant) -> Step {
        if now >= self.deadline {
            Step::Over
        } else if has_stream {
            Step::Ask(self.patience)
        } else {
            Step::AwaitReturn(self.deadline)
        }
    }

    /// What it means that a probe came to this `problem`, where the stream that
    /// still stands is of that start of the Host: silence, that the Host is
    /// down; a refusal (a Host may be `busy`), that it lives. A lost stream
    /// says nothing.
    pub const fn on_problem(problem: Code, standing: Option<Incarnation>) -> Option<Verdict> {
        match (standing, problem) {
            (None, _) => None,
            (Some(_), Code::TimedOut) => Some(Verdict::Down),
            (Some(incarnation), _) => Some(Verdict::Alive(incarnation)),
        }
    }
}

/// Probes of the Element, on real streams.
pub(crate) type ProbeDesk = Mutex<Probes<oneshot::Sender<Verdict>>>;

impl<G: Goods> Element<G> {
    /// Probes a Host, or waits for the probe that is on its way.
    pub(crate) async fn probe(self: &Arc<Self>, host: NodeId) -> Result<Verdict, Problem> {
        let (who, verdict) = oneshot::channel();
        if self.probes.lock().on_asked(host, who) {
            let element = Arc::clone(self);
            // In a task of its own: who asked first may go away.
            self.tasks.spawn(async move {
                let verdict = element.probe_now(host).await;
                element.metrics.probes.inc();
                if verdict == Verdict::Down {
                    tracing::warn!(node.id = %host, "the Host does not answer a probe and counts as down");
                    element.metrics.hosts_down.inc();
                    G::on_host_down(&element, host);
                }
                for who in element.probes.lock().on_verdict(host) {
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
        let configured = self
            .base
            .read()
            .common_configuration()
            .probe_timeout
            .to_duration();
        let returned = (self.started + self.return_time).into_std();
        let course = Course::new(configured, returned, Instant::now());
        loop {
            let changed = self.links.changed();
            tokio::pin!(changed);
            // Enabled before looking, so that a return in between is seen.
            changed.as_mut().enable();
            let link = self.links.host_link(host);
            match (course.step(link.is_some(), Instant::now()), link) {
                (Step::Ask(patience), Some((peer, incarnation))) => {
                    let problem = match peer.ask(&Probe {}, patience).await {
                        Ok(answer) => return Verdict::Alive(answer.incarnation),
                        Err(problem) => problem,
                    };
                    tracing::debug!(%problem, node.id = %host, "a probe was not answered as it should be");
                    let standing = (!peer.is_closed()).then_some(incarnation);
                    if let Some(verdict) = Course::on_problem(problem.code, standing) {
                        return verdict;
                    }
                    let _ = timeout_at(course.deadline.into(), changed).await;
                }
                (Step::AwaitReturn(until), _) => {
                    let _ = timeout_at(until.into(), changed).await;
                }
                _ => return Verdict::Down,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_on_a_standing_stream_is_down() {
        let incarnation = Incarnation::generate();
        for problem in [Code::Busy, Code::InvalidRequest, Code::Unavailable] {
            let verdict = Course::on_problem(problem, Some(incarnation));
            assert_eq!(verdict, Some(Verdict::Alive(incarnation)), "{problem}");
            assert_eq!(Course::on_problem(problem, None), None, "{problem}");
        }
        let silence = Code::TimedOut;
        let verdict = Course::on_problem(silence, Some(incarnation));
        assert_eq!(verdict, Some(Verdict::Down));
        assert_eq!(Course::on_problem(silence, None), None);
    }

    #[test]
    fn a_host_that_returns_in_time_has_as_long_to_answer_as_any() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let course = Course::new(3 * second, now, now);
        assert_eq!(course.step(true, now), Step::Ask(3 * second));
        assert_eq!(course.step(true, now + 2 * second), Step::Ask(3 * second));
        assert_eq!(course.step(true, now + 3 * second), Step::Over);
        let waits = Step::AwaitReturn(now + 3 * second);
        assert_eq!(course.step(false, now + second), waits);
        assert_eq!(course.step(false, now + 3 * second), Step::Over);
        // Just started: nobody is called down before all could be back.
        let course = Course::new(3 * second, now + 20 * second, now);
        let waits = Step::AwaitReturn(now + 20 * second);
        assert_eq!(course.step(false, now + 10 * second), waits);
        assert_eq!(course.step(true, now), Step::Ask(3 * second));
    }

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
