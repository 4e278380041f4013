//! An Element's streams: to its controller, of its Hosts, of programs.

use std::{sync::Arc, time::Duration};

use gridmart_element::{
    compute::{
        admit,
        lease::prove,
        queue::{entry::EntryKey, pool::HostArrival},
        state::{ServiceTimes, element_state},
    },
    element::probe::{Course, Verdict},
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    resource::{
        any::AnyHost,
        enumeration::AppEnvState,
        host::{ComputeHost, HostState},
    },
    role::Operation,
    scalar::{Seconds, UtcTime},
    wire::{
        control_element::{
            CallTerminate, ElementApplied, ElementHeartbeat, ElementHello, HostsChanged,
            JobTerminate,
        },
        element_host::{HostCallTerminate, HostHello, HostJobTerminate, HostWelcome},
        queue::{CallOverdue, LeaseRenew, QueueEnter, QueueEntered, SessionOpen, SessionOpened},
    },
};

use super::{
    Asked, Conn, Element, Ending, GRACE, Node, SECOND, SessionId, Stage, Terminated, Timer,
    WISH_PATIENCE, Waiter, Wanted, host_desired,
};
use crate::simulation::{
    audit::Before,
    controller::HEARTBEAT,
    dice::short,
    message::{Body, Message},
};

/// Seconds between two heartbeats of a Host.
const HOST_HEARTBEAT: u32 = 5;

fn compute_host(host: AnyHost) -> Result<ComputeHost, Problem> {
    ComputeHost::try_from(host).map_err(|error| refusal(Code::InvalidDocument, &error.to_string()))
}

fn refusal(code: Code, detail: &str) -> Problem {
    Problem::new(code, detail)
}

impl Element {
    /// A dial has come to an end.
    pub(crate) fn on_dialled(&mut self, stage: &mut Stage, dialled: Result<Conn, ()>) {
        let node = self.node();
        let Ok(conn) = dialled else {
            return self.redial_later(stage);
        };
        if !stage.believes(conn, node) {
            return self.redial_later(stage);
        }
        let Some(alive) = &mut self.alive else { return };
        alive.control = Some(conn);
        alive.greeted = false;
        let mut element = self.description.clone();
        element.state = Some(state(alive));
        let hello = ElementHello {
            incarnation: alive.incarnation,
            software: String::new(),
            element: element.into(),
            endpoints: vec!["e:1".to_owned()],
            hosts: alive.monitor.all(),
            deployments: Vec::new(),
            generation: alive.standing.get().desired.wish.generation,
        };
        let body = Body::ElementHello(Box::new(hello));
        alive
            .desk
            .ask(stage, node, conn, 30 * SECOND, body, Asked::Hello);
    }

    /// A connection is over.
    pub(crate) fn on_closed(&mut self, stage: &mut Stage, conn: Conn) {
        let Some(alive) = &mut self.alive else { return };
        let lost = alive.desk.on_closed(conn);
        if alive.control == Some(conn) {
            alive.control = None;
            alive.greeted = false;
            self.redial_later(stage);
        } else if let Some((session, _)) = alive.sessions.remove(&conn) {
            alive.entering.retain(|(there, ..)| *there != conn);
            self.decide(stage, |queue, now| queue.on_session_lost(session, now));
        } else {
            let gone = alive.hosts.iter().find(|(_, (there, _))| *there == conn);
            if let Some(host) = gone.map(|(host, _)| *host) {
                alive.hosts.remove(&host);
                alive.monitor.on_lost(host);
                self.decide(stage, |queue, now| queue.on_host_lost(host, now));
            }
        }
        for asked in lost {
            self.on_lost_question(stage, &asked);
        }
    }

    /// A question whose stream is gone.
    fn on_lost_question(&mut self, stage: &mut Stage, asked: &Asked) {
        match *asked {
            // The loss of the stream says all there is to say.
            Asked::Hello | Asked::Ensure(..) | Asked::LeaseEnd | Asked::Desire(_) => {}
            Asked::Probe(host) => self.probe(stage, host),
            Asked::Records => {
                if let Some(alive) = &mut self.alive {
                    alive.sending_records = false;
                }
            }
            Asked::Ended(ending) => self.on_ended_some(stage, ending, 0),
        }
    }

    /// A question that was not answered in time, on a stream that stands.
    pub(super) fn on_unanswered(&mut self, stage: &mut Stage, conn: Conn, asked: Asked) {
        match asked {
            Asked::Hello => stage.close(conn, self.node()),
            Asked::Ensure(host, digest) => {
                let problem = refusal(Code::TimedOut, "the Host does not say");
                self.decide(stage, |queue, now| {
                    queue.on_ensured(host, &digest, Err(problem), now);
                });
            }
            Asked::Probe(host) => self.on_probe_problem(stage, conn, host, Code::TimedOut),
            Asked::Desire(host) => {
                if let Some(alive) = &mut self.alive {
                    alive.untold.insert(host);
                }
            }
            other => self.on_lost_question(stage, &other),
        }
        // A hello that failed: this end closes, and dials again.
        if let Some(alive) = &mut self.alive
            && alive.control == Some(conn)
            && !stage.believes(conn, self.node())
        {
            self.on_closed(stage, conn);
        }
    }

    fn on_probe_problem(&mut self, stage: &mut Stage, conn: Conn, host: NodeId, problem: Code) {
        let stands = stage.believes(conn, self.node());
        let standing = self
            .alive
            .as_ref()
            .and_then(|alive| alive.hosts.get(&host))
            .filter(|(there, _)| stands && *there == conn)
            .map(|(_, incarnation)| *incarnation);
        match Course::on_problem(problem, standing) {
            Some(verdict) => self.on_verdict(stage, host, verdict),
            None => self.probe(stage, host),
        }
    }

    /// A message arrives.
    pub(crate) fn on_message(&mut self, stage: &mut Stage, conn: Conn, message: Message) {
        let from = stage.dialler(conn);
        match (message, from) {
            (Message::Answer(number, answer), _) => self.on_answer(stage, number, answer),
            (Message::Ask(number, body), Some(Node::Host(_))) => {
                let answer = self.answer_host(stage, conn, body);
                stage.send(self.node(), conn, Message::Answer(number, answer));
            }
            (Message::Ask(number, body), Some(Node::Client(_))) => {
                self.ask_of_client(stage, conn, number, body);
            }
            (Message::Ask(number, body), _) => self.ask_of_control(stage, conn, number, body),
            (Message::Tell(body), Some(Node::Host(_))) => self.notice_of_host(stage, conn, body),
            (Message::Tell(body), Some(Node::Client(_))) => {
                self.notice_of_client(stage, conn, body);
            }
            (Message::Tell(_), _) => {}
        }
    }

    fn on_answer(&mut self, stage: &mut Stage, number: u64, answer: Result<Body, Problem>) {
        let Some(alive) = &mut self.alive else { return };
        let Some((conn, asked)) = alive.desk.take(number) else {
            return;
        };
        match (asked, answer) {
            (Asked::Hello, Ok(Body::ElementWelcome(welcome))) => {
                alive.greeted = true;
                alive.failures = 0;
                stage.timer(Node::Element(self.number), 0, Timer::Beat(conn));
                // What a disk refuses is told again.
                let _ = self.apply(stage, welcome.desired);
                self.send_records(stage);
            }
            (Asked::Ensure(host, digest), answer) => {
                let verified = AppEnvState::Installedverified.as_str();
                let result = match answer {
                    Ok(Body::Deployment(told)) if told.state == verified => Ok(()),
                    Ok(_) => Err(refusal(Code::StagingFailed, "it is not installed")),
                    Err(problem) => Err(problem),
                };
                self.decide(stage, |queue, now| {
                    queue.on_ensured(host, &digest, result, now);
                });
            }
            (Asked::Probe(host), Ok(Body::ProbeAnswer(answer))) => {
                self.on_verdict(stage, host, Verdict::Alive(answer.incarnation));
            }
            (Asked::Probe(host), Err(problem)) => {
                self.on_probe_problem(stage, conn, host, problem.code);
            }
            (Asked::Desire(host), Ok(Body::HostApplied(applied))) => {
                alive.monitor.on_applied(host, applied.generation);
            }
            (Asked::Records, Ok(_)) => {
                alive.sending_records = false;
                if alive.records.acknowledged().is_err() {
                    stage.ledger.fail("a journal cannot be written");
                }
                self.send_records(stage);
            }
            (Asked::Ended(ending), Ok(Body::Terminated(Terminated { ended }))) => {
                self.on_ended_some(stage, ending, ended);
            }
            (Asked::LeaseEnd, _) => {}
            (asked, _) => self.on_unanswered(stage, conn, asked),
        }
    }

    // === the controller ===

    pub(super) fn beat(&mut self, stage: &mut Stage, conn: Conn) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        if alive.control != Some(conn) || !alive.greeted {
            return;
        }
        let hosts = alive.monitor.changed(500);
        if !hosts.is_empty() {
            let changed = HostsChanged {
                hosts,
                deployments: None,
            };
            stage.tell(node, conn, Body::HostsChanged(Box::new(changed)));
        }
        alive.sequence += 1;
        let beat = ElementHeartbeat {
            sequence: alive.sequence,
            state: state(alive).into(),
            hosts: alive.monitor.deltas(now),
        };
        stage.tell(node, conn, Body::ElementHeartbeat(Box::new(beat)));
        stage.timer(node, u64::from(HEARTBEAT) * SECOND, Timer::Beat(conn));
    }

    fn ask_of_control(&mut self, stage: &mut Stage, conn: Conn, number: u64, body: Body) {
        let node = self.node();
        match body {
            Body::ElementDesire(desire) => {
                let applied = self.apply(stage, desire.desired);
                let answer =
                    applied.map(|generation| Body::ElementApplied(ElementApplied { generation }));
                stage.send(node, conn, Message::Answer(number, answer));
            }
            Body::CallTerminate(CallTerminate { call, by }) => {
                let told = || {
                    Body::HostCallTerminate(HostCallTerminate {
                        call,
                        by: by.clone(),
                    })
                };
                self.end_everywhere(stage, (conn, number), told, None);
            }
            Body::JobTerminate(JobTerminate { job, by }) => {
                let told = || {
                    Body::HostJobTerminate(HostJobTerminate {
                        job,
                        by: by.clone(),
                    })
                };
                self.end_everywhere(stage, (conn, number), told, Some((job, by.clone())));
            }
            _ => {}
        }
    }

    fn end_everywhere(
        &mut self,
        stage: &mut Stage,
        (conn, number): (Conn, u64),
        told: impl Fn() -> Body,
        job: Option<(gridmart_schemas::id::JobId, String)>,
    ) {
        let Some(alive) = &mut self.alive else { return };
        alive.last_ending += 1;
        let id = alive.last_ending;
        let hosts: Vec<NodeId> = alive.hosts.keys().copied().collect();
        let ending = Ending {
            conn,
            number,
            open: hosts.len() + 1,
            ended: 0,
            job,
        };
        alive.endings.insert(id, ending);
        for host in hosts {
            self.ask_host(stage, host, told(), Asked::Ended(Some(id)), 10);
        }
        self.on_ended_some(stage, Some(id), 0);
    }

    fn on_ended_some(&mut self, stage: &mut Stage, id: Option<u64>, ended: u64) {
        let node = self.node();
        let Some((id, alive)) = id.zip(self.alive.as_mut()) else {
            return;
        };
        let Some(ending) = alive.endings.get_mut(&id) else {
            return;
        };
        ending.ended += ended;
        ending.open -= 1;
        if ending.open > 0 {
            return;
        }
        let Some(ending) = alive.endings.remove(&id) else {
            return;
        };
        let mut ended = ending.ended;
        if let Some((job, by)) = ending.job {
            let leases = self.decide(stage, |queue, now| queue.on_job_terminated(job, &by, now));
            ended = ended.max(leases.unwrap_or(0));
        }
        let answer = Ok(Body::Terminated(Terminated { ended }));
        stage.send(node, ending.conn, Message::Answer(ending.number, answer));
    }

    // === Hosts ===

    fn answer_host(&mut self, stage: &mut Stage, conn: Conn, body: Body) -> Result<Body, Problem> {
        match body {
            Body::HostHello(hello) => self.on_host_hello(stage, conn, *hello),
            Body::Records(batch) => {
                let alive = self.alive.as_mut();
                let alive = alive.ok_or_else(|| refusal(Code::Unavailable, "gone"))?;
                let told = alive.hosts.iter().find(|(_, (there, _))| *there == conn);
                let Some((host, (_, incarnation))) = told else {
                    return Err(refusal(Code::Unavailable, "the stream was replaced"));
                };
                let kept = alive.records.keep(vec![(*host, *incarnation, *batch)]);
                kept.into_iter().next().unwrap_or(Ok(()))?;
                self.send_records(stage);
                Ok(Body::Done)
            }
            _ => Err(refusal(Code::InvalidRequest, "unknown")),
        }
    }

    fn on_host_hello(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        hello: HostHello,
    ) -> Result<Body, Problem> {
        let now = stage.instant(self.node());
        let id = hello.host.id().as_str().trim_start_matches("urn:uuid:");
        let id: NodeId = id
            .parse()
            .map_err(|_| refusal(Code::InvalidDocument, "who?"))?;
        let alive = self.alive.as_mut();
        let alive = alive.ok_or_else(|| refusal(Code::Unavailable, "gone"))?;
        // A newer stream takes the place of an older one, which is closed.
        if let Some((old, _)) = alive.hosts.insert(id, (conn, hello.incarnation)) {
            stage.close(old, Node::Element(self.number));
            let lost = alive.desk.on_closed(old);
            for asked in lost {
                self.on_lost_question(stage, &asked);
            }
        }
        let Some(alive) = &mut self.alive else {
            return Err(refusal(Code::Unavailable, "gone"));
        };
        let deployments = hello.deployments.clone();
        let generation = hello.generation;
        alive
            .monitor
            .on_told(id, hello.host.clone(), deployments, generation, now);
        let arrival = HostArrival {
            id,
            incarnation: hello.incarnation,
            description: Arc::new(compute_host(hello.host)?),
            endpoints: hello.endpoints,
            relayed: false,
            leases: hello.leases,
            deployments: hello.deployments,
        };
        stage.note("a Host comes", short(id.as_uuid()), 0, || {
            format!("host {} says hello", short(id.as_uuid()))
        });
        let ended = self.decide(stage, |queue, now| queue.on_host_arrived(arrival, now));
        self.look_at_returned(stage, id);
        let desired = self.alive.as_ref().map(|alive| {
            let standing = alive.standing.get();
            host_desired(&standing.desired, id)
        });
        Ok(Body::HostWelcome(Box::new(HostWelcome {
            heartbeat_interval: HOST_HEARTBEAT,
            lease_key: String::new(),
            reattach_grace: u32::try_from(GRACE.as_secs()).unwrap_or(u32::MAX),
            desired: desired.unwrap_or_default(),
            ended_leases: ended.unwrap_or_default(),
            revoked: Vec::new(),
            time: None,
        })))
    }

    /// A probe that waited for this Host's return goes on.
    fn look_at_returned(&mut self, stage: &mut Stage, host: NodeId) {
        self.probe(stage, host);
    }

    fn notice_of_host(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let told = alive.hosts.iter().find(|(_, (there, _))| *there == conn);
        let Some(id) = told.map(|(id, _)| *id) else {
            return;
        };
        match body {
            Body::HostHeartbeat(beat) => {
                let Ok(told) = HostState::try_from(beat.state.clone()) else {
                    return;
                };
                alive.monitor.on_heard(id, beat.state, now);
                self.decide(stage, |queue, now| {
                    queue.on_host_heard(id, &told, &beat.leases, now);
                });
            }
            Body::HostChanged(changed) => {
                let Ok(description) = compute_host(changed.host.clone()) else {
                    return;
                };
                let description = Arc::new(description);
                let deployments = changed.deployments.clone();
                let generation = changed.generation;
                alive
                    .monitor
                    .on_told(id, changed.host, changed.deployments, generation, now);
                self.decide(stage, |queue, now| {
                    queue.on_host_changed(id, description, &deployments, now);
                });
            }
            Body::LeasesEnded(ended) => {
                self.decide(stage, |queue, now| {
                    queue.on_leases_ended(id, &ended.leases, now);
                });
            }
            _ => {}
        }
    }

    // === programs ===

    fn session(&mut self, stage: &mut Stage, conn: Conn) -> Option<SessionId> {
        let key = stage.key_of(conn)?;
        let alive = self.alive.as_mut()?;
        if let Some((session, _)) = alive.sessions.get(&conn) {
            return Some(*session);
        }
        alive.last_session += 1;
        let session = SessionId(alive.last_session);
        alive.sessions.insert(conn, (session, key.clone()));
        self.decide(stage, |queue, _| queue.on_session_opened(session, key));
        Some(session)
    }

    fn ask_of_client(&mut self, stage: &mut Stage, conn: Conn, number: u64, body: Body) {
        let node = self.node();
        let Some(session) = self.session(stage, conn) else {
            return;
        };
        let answer = match body {
            Body::SessionOpen(open) => self.on_session_open(stage, conn, session, open),
            Body::Enter(enter) => match self.admit(stage, conn, session, *enter) {
                Ok(wanted) => {
                    let deadline = stage.instant(node) + WISH_PATIENCE;
                    return self.enter(stage, conn, number, wanted, deadline);
                }
                Err(problem) => Err(problem),
            },
            Body::Renew(renew) => self.on_renew(stage, conn, session, &renew),
            Body::Overdue(overdue) => {
                return self.on_overdue(stage, (conn, number), session, &overdue);
            }
            _ => Err(refusal(Code::InvalidRequest, "unknown")),
        };
        stage.send(node, conn, Message::Answer(number, answer));
    }

    fn on_session_open(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        session: SessionId,
        open: SessionOpen,
    ) -> Result<Body, Problem> {
        let gone = || refusal(Code::Unavailable, "gone");
        let presenter = stage.key_of(conn).ok_or_else(gone)?;
        let date = stage.date(self.node());
        let alive = self.alive.as_ref().ok_or_else(gone)?;
        let proven = open
            .leases
            .into_iter()
            .filter_map(|resumed| {
                let verified = stage.vault.lease(&resumed.ticket).and_then(|claims| {
                    claims.judge(claims.aud, &presenter, date)?;
                    Ok(claims)
                });
                let known = alive.queue.leases().get(resumed.lease);
                prove(resumed.lease, verified, known, &presenter)
            })
            .collect();
        let leases = self.decide(stage, |queue, now| {
            queue.on_session_resumed(session, proven, now)
        });
        Ok(Body::SessionOpened(SessionOpened {
            element: self.id,
            leases: leases.unwrap_or_default(),
            reattach_grace: u32::try_from(GRACE.as_secs()).unwrap_or(u32::MAX),
        }))
    }

    fn admit(
        &self,
        stage: &Stage,
        conn: Conn,
        session: SessionId,
        enter: QueueEnter,
    ) -> Result<Wanted, Problem> {
        let presenter = stage
            .key_of(conn)
            .ok_or_else(|| refusal(Code::Unavailable, "gone"))?;
        let claims = stage.vault.access(&enter.ticket)?;
        claims.judge(self.id, &presenter, stage.date(self.node()))?;
        if !claims.operations.contains(&Operation::Call) || claims.iss != self.control {
            return Err(refusal(Code::NotAuthorized, "not for calls"));
        }
        let application = claims.application.clone();
        let application = application.ok_or_else(|| refusal(Code::TicketForeign, "of what?"))?;
        let key = EntryKey {
            session,
            entry: enter.entry,
        };
        admit::wanted(key, &presenter, enter, claims, application, None)
    }

    pub(super) fn enter(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        number: u64,
        wanted: Wanted,
        deadline: std::time::Instant,
    ) {
        let node = self.node();
        let now = stage.instant(node);
        let limits = self.limits();
        let Some(alive) = &mut self.alive else { return };
        // What it grants is told after the answer of those who asked first.
        alive.priorities.insert(wanted.key, wanted.priority);
        let before = Before::of(&alive.queue);
        let entered = alive.queue.on_enter(wanted.clone(), now);
        alive.watch(stage, limits, &before);
        let full = alive.queue.lengths().waiting;
        // One that is served at once finds no place too few: a lease that could
        // not be staged may have sent its entry back to those that wait.
        let waits = entered.as_ref().is_ok_and(|position| *position > 0);
        if waits && limits.waiting.is_some_and(|most| full > most) {
            stage.ledger.fail("more entries wait than MaxWaitingJobs");
        }
        if let Err(problem) = &entered
            && problem.code == Code::UnknownApplication
            && now < deadline
        {
            alive.entering.push((conn, number, wanted, deadline));
            return self.act(stage);
        }
        self.act(stage);
        let answer = entered.map(|position| Body::Entered(QueueEntered { position }));
        stage.send(node, conn, Message::Answer(number, answer));
    }

    fn on_renew(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        session: SessionId,
        renew: &LeaseRenew,
    ) -> Result<Body, Problem> {
        let gone = || refusal(Code::LeaseUnknown, "not in force");
        let presenter = stage.key_of(conn).ok_or_else(gone)?;
        let claims = stage.vault.access(&renew.ticket)?;
        claims.judge(self.id, &presenter, stage.date(self.node()))?;
        let alive = self.alive.as_ref().ok_or_else(gone)?;
        let lease = alive.queue.lease_of(session, renew.lease)?;
        let digest = claims.application.map(|application| application.digest);
        if lease.person != claims.sub || digest.as_ref() != Some(&lease.digest) {
            return Err(refusal(Code::TicketForeign, "of another lease"));
        }
        let lease = self.lease_message(stage, renew.lease).ok_or_else(gone)?;
        Ok(Body::Lease(Box::new(lease)))
    }

    fn on_overdue(
        &mut self,
        stage: &mut Stage,
        (conn, number): (Conn, u64),
        session: SessionId,
        overdue: &CallOverdue,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let asked = alive
            .queue
            .lease_of(session, overdue.lease)
            .map(|lease| lease.host);
        let host = match asked {
            Ok(host) => host,
            Err(problem) => {
                return stage.send(
                    Node::Element(self.number),
                    conn,
                    Message::Answer(number, Err(problem)),
                );
            }
        };
        let again = alive
            .queue
            .host(host)
            .map_or(Duration::from_secs(1), |host| host.overdue_after)
            .max(Duration::from_secs(1));
        let waiter = Waiter {
            conn,
            number,
            again,
        };
        if alive.probes.on_asked(host, waiter) {
            self.begin_probe(stage, host);
        }
    }

    fn notice_of_client(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        let Some(session) = self.session(stage, conn) else {
            return;
        };
        match body {
            Body::Leave(leave) => {
                let key = EntryKey {
                    session,
                    entry: leave.entry,
                };
                self.decide(stage, |queue, now| queue.on_leave(key, now));
            }
            Body::Release(release) => {
                self.decide(stage, |queue, now| {
                    queue.on_released(session, release.lease, now);
                });
            }
            _ => {}
        }
    }
}

/// The Element's State now.
fn state(alive: &super::Alive) -> gridmart_schemas::resource::ce::CeState {
    let validity = Seconds::from_secs(u64::from(HEARTBEAT) * 3);
    element_state(
        &alive.queue,
        &ServiceTimes::default(),
        None,
        UtcTime::now(),
        validity,
    )
}
