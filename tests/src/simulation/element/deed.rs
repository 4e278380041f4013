//! What the queue decides becomes deeds.

use gridmart_element::{
    compute::{lease::Stage as LeaseStage, queue::effect::Effect},
    element::probe::{Course, Step, Verdict},
};
use gridmart_fabric::ticket::Times;
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    wire::{
        desired::HostDesired,
        element_host::{ApplicationEnsure, HostDesire, LeaseEnd, Probe},
        queue::{
            Lease, LeaseGranted, LeaseOver, LeaseRecalled, OverdueAnswer, QueuePosition,
            QueueRefused,
        },
    },
};

use super::{
    Asked, EntryKey, LEASE_LIFE, MILLI, PROBE_PATIENCE, RETURN_TIME, SECOND, SessionId, Stage,
    Timer,
};
use crate::simulation::{
    dice::short,
    message::{Body, Message},
};

impl super::Element {
    /// Does what the queue wants done.
    pub(super) fn act(&mut self, stage: &mut Stage) {
        let Some(alive) = &mut self.alive else { return };
        let mut effects = std::mem::take(&mut alive.effects);
        effects.extend(alive.queue.take_effects());
        for effect in effects {
            self.act_one(stage, effect);
        }
    }

    fn act_one(&mut self, stage: &mut Stage, effect: Effect) {
        let node = self.node();
        match effect {
            Effect::Granted { entry, lease } => self.tell_granted(stage, entry, lease),
            Effect::Recalled { session, lease } => {
                self.tell_client(stage, session, Body::Recalled(LeaseRecalled { lease }));
            }
            Effect::Over {
                session,
                lease,
                problem,
            } => self.tell_client(stage, session, Body::Over(LeaseOver { lease, problem })),
            Effect::Refused { entry, problem } => {
                let refused = QueueRefused {
                    entry: entry.entry,
                    problem,
                };
                self.tell_client(stage, entry.session, Body::Refused(refused));
            }
            Effect::Position { entry, position } => {
                let told = QueuePosition {
                    entry: entry.entry,
                    position,
                };
                self.tell_client(stage, entry.session, Body::Position(told));
            }
            Effect::Ensure { host, digest } => {
                let ensure = ApplicationEnsure {
                    digest: digest.clone(),
                    size: 1,
                };
                let asked = Asked::Ensure(host, digest);
                self.ask_host(stage, host, Body::Ensure(ensure), asked, 300);
            }
            Effect::Fetch { digest } => {
                let wait = stage.dice.between(MILLI, 100 * MILLI);
                stage.timer(node, wait, Timer::Fetched(digest));
            }
            Effect::EndOnHost {
                host,
                lease,
                kill,
                reason,
            } => {
                let end = LeaseEnd {
                    lease,
                    kill,
                    reason,
                };
                self.ask_host(stage, host, Body::LeaseEnd(end), Asked::LeaseEnd, 10);
            }
            Effect::Remember { lease } => {
                let queue = self.alive.as_ref().map(|alive| &alive.queue);
                if let Some(lease) = queue.and_then(|queue| queue.leases().get(lease)) {
                    self.journal.insert(lease.id, lease.clone());
                }
            }
            Effect::Forget { lease } => {
                self.journal.remove(&lease);
            }
        }
    }

    pub(super) fn ask_host(
        &mut self,
        stage: &mut Stage,
        host: NodeId,
        body: Body,
        asked: Asked,
        seconds: u64,
    ) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        if let Some((conn, _)) = alive.hosts.get(&host) {
            let patience = seconds * SECOND;
            alive.desk.ask(stage, node, *conn, patience, body, asked);
        }
    }

    pub(super) fn tell_host(&mut self, stage: &mut Stage, host: NodeId, desired: HostDesired) {
        let revoked = Vec::new();
        let body = Body::HostDesire(Box::new(HostDesire { desired, revoked }));
        self.ask_host(stage, host, body, Asked::Desire(host), 30);
    }

    fn tell_client(&self, stage: &mut Stage, session: SessionId, body: Body) {
        let node = self.node();
        let Some(alive) = &self.alive else { return };
        let conn = alive
            .sessions
            .iter()
            .find(|(_, (there, _))| *there == session)
            .map(|(conn, _)| *conn);
        if let Some(conn) = conn {
            stage.tell(node, conn, body);
        }
    }

    fn tell_granted(&mut self, stage: &mut Stage, entry: EntryKey, id: LeaseId) {
        // Gone again in the same breath: then its end is told next.
        let Some(lease) = self.lease_message(stage, id) else {
            return;
        };
        stage.note(
            "a lease is granted",
            short(id.as_uuid()),
            lease.slots.into(),
            || {
                format!(
                    "lease {} of {} slots on host {}",
                    short(id.as_uuid()),
                    lease.slots,
                    short(lease.host.as_uuid())
                )
            },
        );
        stage.ledger.on_granted(id, lease.host);
        let granted = LeaseGranted {
            entry: entry.entry,
            lease,
        };
        self.tell_client(stage, entry.session, Body::Granted(Box::new(granted)));
    }

    /// The message that tells a client of its lease, with a new ticket.
    pub(super) fn lease_message(&self, stage: &mut Stage, id: LeaseId) -> Option<Lease> {
        let alive = self.alive.as_ref()?;
        let lease = alive.queue.leases().get(id)?;
        if lease.stage == LeaseStage::Staging {
            return None;
        }
        let host = alive.queue.host(lease.host)?;
        let times = Times::starting(stage.date(self.node()), LEASE_LIFE);
        let claims = lease.claims(self.id, lease.presenter.clone()?, times);
        Some(Lease {
            lease: lease.id,
            host: lease.host,
            host_name: host.name().to_owned(),
            endpoints: host.endpoints.clone(),
            relay: None,
            slots: lease.slots,
            ticket: stage.vault.sign_lease(claims),
            expires_in: u32::try_from(times.exp - times.iat).unwrap_or(0),
            overdue_after_ms: u64::try_from(host.overdue_after.as_millis()).unwrap_or(u64::MAX),
            incarnation: lease.incarnation.or(host.incarnation)?,
        })
    }

    // === probes ===

    /// Goes on with a probe.
    pub(super) fn probe(&mut self, stage: &mut Stage, host: NodeId) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(course) = alive.courses.get(&host).copied() else {
            return;
        };
        match course.step(alive.hosts.contains_key(&host), now) {
            Step::Ask(patience) => {
                let micros = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
                let Some((conn, _)) = alive.hosts.get(&host) else {
                    return;
                };
                let asked = Asked::Probe(host);
                let body = Body::Probe(Probe {});
                alive.desk.ask(stage, node, *conn, micros, body, asked);
            }
            Step::AwaitReturn(until) => {
                let wait = until.saturating_duration_since(now).as_micros();
                let wait = u64::try_from(wait).unwrap_or(u64::MAX) + MILLI;
                stage.timer(node, wait, Timer::ProbeReturn(host));
            }
            Step::Over => self.on_verdict(stage, host, Verdict::Down),
        }
    }

    pub(super) fn begin_probe(&mut self, stage: &mut Stage, host: NodeId) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let returned = alive.started + RETURN_TIME;
        let course = Course::new(PROBE_PATIENCE, returned, now);
        alive.courses.insert(host, course);
        self.probe(stage, host);
    }

    pub(super) fn on_verdict(&mut self, stage: &mut Stage, host: NodeId, verdict: Verdict) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        if alive.courses.remove(&host).is_none() {
            return;
        }
        if verdict == Verdict::Down {
            stage.note("a Host is down", short(host.as_uuid()), 0, || {
                format!("host {} does not answer a probe", short(host.as_uuid()))
            });
            self.decide(stage, |queue, now| queue.on_host_down(host, now));
        }
        let waiters = self
            .alive
            .as_mut()
            .map(|alive| alive.probes.on_verdict(host))
            .unwrap_or_default();
        for waiter in waiters {
            let answer = match verdict {
                Verdict::Alive(incarnation) => OverdueAnswer::Alive {
                    incarnation,
                    again_after_ms: u64::try_from(waiter.again.as_millis()).unwrap_or(u64::MAX),
                },
                Verdict::Down => OverdueAnswer::Down {},
            };
            let answer = Message::Answer(waiter.number, Ok(Body::OverdueAnswer(answer)));
            stage.send(node, waiter.conn, answer);
        }
    }
}
