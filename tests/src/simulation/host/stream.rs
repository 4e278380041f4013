//! A Host's streams: to its Element, and of programs.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use gridmart_host::{
    compute::{Cut, fate::Fate, tenure::Tenure},
    member::orders,
};
use gridmart_schemas::{
    id::{Digest, KeyHash, LeaseId},
    problem::{Code, Problem},
    resource::{
        common::CommonState,
        enumeration::{AppEnvState, HealthState, ServingState},
        host::{ComputeHost, HostState},
    },
    role::Desired,
    scalar::{Seconds, UtcTime},
    wire::{
        self,
        call::{Attach, Attached, CallOpen, CallStarted},
        control_element::{Deployment, Terminated},
        desired::Wish,
        element_host::{
            HeldLease, HostApplied, HostChanged, HostHeartbeat, HostHello, LeasesEnded, ProbeAnswer,
        },
    },
};

use super::{
    Asked, Attachment, CallRef, Conn, Host, MILLI, RunCall, SECOND, Slot, SlotState, Stage,
    Tenancy, TenancyRef, Timer, VALIDITY, short,
};
use crate::simulation::{
    element::backoff,
    message::{Body, Message},
    stage::Node,
};

const HEARTBEAT: u64 = 5 * SECOND;
/// A stream whose lease is over is closed after so many looks.
const FAREWELLS_MAX: u8 = 60;

impl Host {
    // === to the Element ===

    pub(super) fn dial(&mut self, stage: &mut Stage) {
        let node = self.node();
        let element = Node::Element(self.element.0);
        if let Some(alive) = &mut self.alive
            && alive.element.is_none()
        {
            let number = alive.desk.number();
            stage.dial(node, element, None, number);
        }
    }

    fn redial_later(&mut self, stage: &mut Stage) {
        let node = self.node();
        if let Some(alive) = &mut self.alive {
            alive.failures += 1;
            let wait = backoff(stage, alive.failures);
            stage.timer(node, wait, Timer::Redial);
        }
    }

    /// A dial has come to an end.
    pub(crate) fn on_dialled(&mut self, stage: &mut Stage, dialled: Result<Conn, ()>) {
        let node = self.node();
        let Some(conn) = dialled.ok().filter(|conn| stage.believes(*conn, node)) else {
            return self.redial_later(stage);
        };
        let (host, deployments) = (self.told(), self.deployments());
        let generation = self.desired.wish.generation;
        let leases = self.held();
        let Some(alive) = &mut self.alive else { return };
        alive.element = Some(conn);
        alive.welcomed = false;
        let hello = HostHello {
            incarnation: alive.incarnation,
            software: String::new(),
            host: host.into(),
            endpoints: vec!["h:1".to_owned()],
            relayed: false,
            leases,
            deployments,
            generation,
        };
        let body = Body::HostHello(Box::new(hello));
        let patience = 15 * SECOND;
        alive
            .desk
            .ask(stage, node, conn, patience, body, Asked::Hello);
    }

    fn told(&self) -> ComputeHost {
        ComputeHost {
            state: Some(self.state()),
            ..self.description.clone()
        }
    }

    fn state(&self) -> HostState {
        let idle = self.alive.as_ref().is_none_or(|alive| {
            alive
                .roll
                .present()
                .all(gridmart_host::compute::roll::Tenant::is_idle)
        });
        let serving = match (self.desired.wish.desired, idle) {
            (Desired::Production, _) => ServingState::Production,
            (Desired::Closed, false) => ServingState::Draining,
            (Desired::Closed, true) => ServingState::Closed,
        };
        let common = CommonState::new(serving, HealthState::Ok);
        let validity = Seconds::from_duration(VALIDITY);
        let mut state = HostState::new(UtcTime::now(), validity, common, self.slots);
        state.worst_response_time = Some(Seconds::from_secs(2));
        state
    }

    fn deployments(&self) -> Vec<Deployment> {
        let wishes = &self.desired.applications;
        let here = self.packages.iter();
        here.map(|digest| {
            let wish = wishes.iter().find(|wish| wish.digest == *digest);
            deployment(digest, wish.map(|wish| wish.wish).unwrap_or_default())
        })
        .collect()
    }

    fn held(&self) -> Vec<HeldLease> {
        let present = self.alive.iter().flat_map(|alive| alive.roll.present());
        present
            .map(|tenant| tenant.tenure.borrow().held(&tenant.claims))
            .collect()
    }

    pub(super) fn beat(&mut self, stage: &mut Stage, conn: Conn) {
        let node = self.node();
        let (told, leases) = (self.state(), self.held());
        let Some(alive) = &mut self.alive else { return };
        if alive.element != Some(conn) || !alive.welcomed {
            return;
        }
        alive.sequence += 1;
        let beat = HostHeartbeat {
            sequence: alive.sequence,
            state: told.into(),
            leases,
        };
        stage.tell(node, conn, Body::HostHeartbeat(Box::new(beat)));
        stage.timer(node, HEARTBEAT, Timer::Beat(conn));
    }

    fn tell_changed(&self, stage: &mut Stage) {
        let Some(alive) = &self.alive else { return };
        if let Some(conn) = alive.element.filter(|_| alive.welcomed) {
            let changed = HostChanged {
                host: self.told().into(),
                deployments: self.deployments(),
                generation: self.desired.wish.generation,
            };
            stage.tell(self.node(), conn, Body::HostChanged(Box::new(changed)));
        }
    }

    pub(super) fn tell_ended(&self, stage: &mut Stage, leases: Vec<LeaseId>) {
        if leases.is_empty() {
            return;
        }
        let Some(alive) = &self.alive else { return };
        if let Some(conn) = alive.element.filter(|_| alive.welcomed) {
            stage.tell(self.node(), conn, Body::LeasesEnded(LeasesEnded { leases }));
        }
    }

    /// A connection is over.
    pub(crate) fn on_closed(&mut self, stage: &mut Stage, conn: Conn) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        alive.desk.on_closed(conn);
        if alive.element == Some(conn) {
            alive.element = None;
            alive.welcomed = false;
            alive.telling = false;
            self.redial_later(stage);
        } else if let Some(attachment) = alive.connections.remove(&conn) {
            for call in attachment.channels.values() {
                detach(call, conn);
            }
            attachment.lease.tenure.borrow_mut().on_detached(now);
        }
    }

    pub(super) fn on_unanswered(&mut self, stage: &mut Stage, conn: Conn, asked: &Asked) {
        match asked {
            Asked::Hello => {
                stage.close(conn, self.node());
                self.on_closed(stage, conn);
            }
            Asked::Records => {
                if let Some(alive) = &mut self.alive {
                    alive.telling = false;
                }
                stage.timer(self.node(), SECOND, Timer::TellRecords);
            }
        }
    }

    /// A message arrives.
    pub(crate) fn on_message(&mut self, stage: &mut Stage, conn: Conn, message: Message) {
        match message {
            Message::Answer(number, answer) => self.on_answer(stage, number, answer),
            Message::Ask(number, body) => {
                if let Some(answer) = self.answer(stage, conn, number, body) {
                    stage.send(self.node(), conn, Message::Answer(number, answer));
                }
            }
            Message::Tell(body) => self.on_frame(stage, conn, body),
        }
    }

    fn on_answer(&mut self, stage: &mut Stage, number: u64, answer: Result<Body, Problem>) {
        let Some(alive) = &mut self.alive else { return };
        let Some((conn, asked)) = alive.desk.take(number) else {
            return;
        };
        match (asked, answer) {
            (Asked::Hello, Ok(Body::HostWelcome(welcome))) => {
                if self.apply(stage, welcome.desired).is_err() {
                    return self.on_unanswered(stage, conn, &Asked::Hello);
                }
                for lease in welcome.ended_leases {
                    let reason = "the Element does not know it any more";
                    self.end(stage, lease, true, reason);
                }
                let node = self.node();
                if let Some(alive) = &mut self.alive {
                    alive.welcomed = true;
                    alive.failures = 0;
                }
                self.tell_changed(stage);
                stage.timer(node, HEARTBEAT, Timer::Beat(conn));
                self.tell_records(stage);
            }
            (Asked::Records, Ok(_)) => {
                alive.telling = false;
                self.journal.pop_front();
                self.tell_records(stage);
            }
            (asked, _) => self.on_unanswered(stage, conn, &asked),
        }
    }

    fn answer(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        number: u64,
        body: Body,
    ) -> Option<Result<Body, Problem>> {
        let node = self.node();
        Some(Ok(match body {
            Body::Probe(_) => Body::ProbeAnswer(ProbeAnswer {
                incarnation: self.alive.as_ref()?.incarnation,
            }),
            Body::HostDesire(desire) => {
                if let Err(problem) = self.apply(stage, desire.desired) {
                    return Some(Err(problem));
                }
                self.tell_changed(stage);
                Body::HostApplied(HostApplied {
                    generation: self.desired.wish.generation,
                })
            }
            Body::Ensure(ensure) => {
                let wait = stage.dice.between(MILLI, 2 * SECOND);
                let wait = if self.packages.contains(&ensure.digest) {
                    MILLI
                } else {
                    wait
                };
                stage.timer(node, wait, Timer::Installed(conn, number, ensure.digest));
                return None;
            }
            Body::LeaseEnd(end) => {
                self.end(stage, end.lease, end.kill, &end.reason);
                Body::Done
            }
            Body::HostCallTerminate(told) => {
                let ended = self.end_calls(stage, &told.by, |call| call.id == told.call);
                Body::Terminated(Terminated { ended })
            }
            Body::HostJobTerminate(told) => {
                let ended = self.end_calls(stage, &told.by, |call| {
                    call.open.part_of.is_some_and(|part| part.job == told.job)
                });
                Body::Terminated(Terminated { ended })
            }
            Body::Attach(attach) => return Some(self.attach(stage, conn, &attach)),
            _ => return Some(Err(Problem::new(Code::InvalidRequest, "unknown"))),
        }))
    }

    pub(super) fn on_installed(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        number: u64,
        digest: &Digest,
    ) {
        let node = self.node();
        // The welcome comes first; what asks before that waits for it.
        if self
            .alive
            .as_ref()
            .is_some_and(|alive| alive.element == Some(conn) && !alive.welcomed)
        {
            let again = Timer::Installed(conn, number, digest.clone());
            return stage.timer(node, 50 * MILLI, again);
        }
        let answer = if stage.dice.chance(97) {
            self.packages.insert(digest.clone());
            Ok(Body::Deployment(deployment(digest, Wish::default())))
        } else {
            Err(Problem::new(Code::StagingFailed, "it cannot be unpacked"))
        };
        stage.send(node, conn, Message::Answer(number, answer));
    }

    fn end_calls(
        &mut self,
        stage: &mut Stage,
        by: &str,
        matches: impl Fn(&RunCall) -> bool,
    ) -> u64 {
        let Some(alive) = &self.alive else { return 0 };
        let found: Vec<_> = alive
            .roll
            .present()
            .flat_map(|tenant| {
                let live = tenant.tenure.borrow().live_calls();
                live.into_iter().map(move |call| (tenant.clone(), call))
            })
            .filter(|(_, call)| matches(call))
            .collect();
        let mut ended = 0;
        for (tenant, call) in found {
            let cut = Cut::Terminated(format!("ended by {by}"));
            ended += u64::from(self.cut_call(stage, &tenant, &call, cut));
        }
        self.pump(stage);
        ended
    }

    // === of programs ===

    /// Judges the ticket of a stream, or of its renewal.
    fn check_attach(
        &mut self,
        stage: &Stage,
        ticket: &str,
        presenter: &KeyHash,
    ) -> Result<(TenancyRef, i64), Problem> {
        let node = self.node();
        let claims = stage.vault.lease(ticket)?;
        claims.judge(self.id, presenter, stage.date(node))?;
        if claims.iss != self.element.1 {
            return Err(Problem::new(Code::TicketInvalid, "of another Element"));
        }
        let gone = || Problem::new(Code::Unavailable, "gone");
        let digest = claims.application.digest.clone();
        let expires = claims.exp;
        let alive = self.alive.as_mut().ok_or_else(gone)?;
        let in_force = orders::cut(&self.desired, &digest);
        if let Some(tenant) = alive.roll.judge(&claims, in_force)? {
            return Ok((tenant, expires));
        }
        orders::require_serving(&self.desired, &digest)?;
        if !self.packages.contains(&digest) {
            return Err(Problem::new(Code::StagingFailed, "it is not on this Host"));
        }
        let tenure = Tenure::new(&claims, stage.instant(node));
        let tenant = TenancyRef::new(Tenancy {
            claims,
            tenure: RefCell::new(tenure),
            over: Cell::new(false),
        });
        alive.roll.on_begun(tenant.clone());
        Ok((tenant, expires))
    }

    fn attach(&mut self, stage: &mut Stage, conn: Conn, attach: &Attach) -> Result<Body, Problem> {
        let gone = || Problem::new(Code::Unavailable, "gone");
        let presenter = stage.key_of(conn).ok_or_else(gone)?;
        let (tenant, expires) = self.check_attach(stage, &attach.ticket, &presenter)?;
        let known = self
            .alive
            .as_ref()
            .and_then(|alive| alive.connections.get(&conn));
        if let Some(known) = known {
            if known.lease.claims.lease != tenant.claims.lease || known.presenter != presenter {
                return Err(Problem::new(Code::TicketForeign, "of another lease"));
            }
            tenant.tenure.borrow_mut().on_renewed(expires);
            return Ok(Body::Done);
        }
        let (held, made) = tenant.tenure.borrow_mut().on_attached(expires);
        self.make_slots(&tenant, made);
        let alive = self.alive.as_mut().ok_or_else(gone)?;
        let attachment = Attachment {
            lease: tenant,
            presenter,
            channels: BTreeMap::new(),
        };
        alive.connections.insert(conn, attachment);
        Ok(Body::Attached(Attached {
            host: self.id,
            incarnation: alive.incarnation,
            held,
            v: [wire::MAJOR, wire::MINOR],
        }))
    }

    fn make_slots(&mut self, tenant: &TenancyRef, count: u32) {
        let Some(alive) = &mut self.alive else { return };
        for _ in 0..count {
            alive.last_slot += 1;
            let slot = Slot {
                lease: tenant.clone(),
                counted_idle: true,
                state: SlotState::Idle,
            };
            alive.slots.insert(alive.last_slot, slot);
        }
    }

    fn on_frame(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        let node = self.node();
        match body {
            Body::Open(channel, open) => {
                if let Err(problem) = self.open(stage, conn, channel, *open) {
                    stage.tell(node, conn, Body::CallRefused(channel, problem));
                }
            }
            Body::Cancel(channel, _) => {
                if let Some((tenant, call)) = self.on_channel(conn, channel) {
                    let cut = Cut::Terminated("cancelled by its caller".to_owned());
                    self.cut_call(stage, &tenant, &call, cut);
                    self.pump(stage);
                }
            }
            Body::Close(channel) => {
                if let Some((tenant, call)) = self.on_channel(conn, channel) {
                    detach(&call, conn);
                    tenant.tenure.borrow_mut().on_closed(&call);
                    let attachments = self.alive.as_mut().map(|alive| &mut alive.connections);
                    if let Some(there) = attachments.and_then(|all| all.get_mut(&conn)) {
                        there.channels.remove(&channel);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_channel(&self, conn: Conn, channel: u32) -> Option<(TenancyRef, CallRef)> {
        let attachment = self.alive.as_ref()?.connections.get(&conn)?;
        let call = attachment.channels.get(&channel)?;
        Some((attachment.lease.clone(), call.clone()))
    }

    fn open(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        channel: u32,
        open: CallOpen,
    ) -> Result<(), Problem> {
        let node = self.node();
        let gone = || Problem::new(Code::Unavailable, "gone");
        let alive = self.alive.as_ref().ok_or_else(gone)?;
        let incarnation = alive.incarnation;
        let attachment = alive.connections.get(&conn).ok_or_else(gone)?;
        let tenant = attachment.lease.clone();
        let digest = &tenant.claims.application.digest;
        let serving = || orders::require_serving(&self.desired, digest);
        let found = tenant
            .tenure
            .borrow()
            .judge_open(&open, serving, stage.date(node))?;
        let is_new = found.is_none();
        let call = found.unwrap_or_else(|| {
            CallRef::new(RunCall {
                id: open.call,
                accepted: stage.date(node),
                open,
                fate: RefCell::new(Fate::default()),
                attachment: Cell::new(None),
            })
        });
        call.attachment.set(Some((conn, channel)));
        let started = CallStarted {
            incarnation,
            stdin: 0,
            stdin_taken: 0,
        };
        if let Some(alive) = &mut self.alive
            && let Some(attachment) = alive.connections.get_mut(&conn)
        {
            attachment.channels.insert(channel, call.clone());
        }
        if !is_new || call.open.part_of.is_none() {
            stage.tell(node, conn, Body::Started(channel, started));
        }
        if is_new {
            stage.ledger.on_opened(call.id, &tenant.claims.sub);
            stage.note("a call is opened", short(call.id.as_uuid()), 0, || {
                format!("call {} on {node:?}", short(call.id.as_uuid()))
            });
            tenant.tenure.borrow_mut().on_opened(call.clone());
            let made = tenant.tenure.borrow_mut().enqueue([call]);
            self.make_slots(&tenant, made);
            self.pump(stage);
        } else if let Some(end) = call.fate.borrow().end().cloned() {
            // Once per attachment.
            stage.tell(node, conn, Body::Ended(channel, Box::new(end)));
        }
        Ok(())
    }

    pub(super) fn on_farewell(&mut self, stage: &mut Stage, conn: Conn, tries: u8) {
        let node = self.node();
        let Some(alive) = &self.alive else { return };
        let Some(attachment) = alive.connections.get(&conn) else {
            return;
        };
        let tenant = attachment.lease.clone();
        if !tenant.tenure.borrow().is_idle() && tries < FAREWELLS_MAX {
            return stage.timer(node, 50 * MILLI, Timer::Farewell(conn, tries + 1));
        }
        let problem = tenant.tenure.borrow().closing().cloned();
        let problem = problem.unwrap_or_else(|| Problem::new(Code::LeaseEnded, "over"));
        stage.tell(node, conn, Body::StreamRefused(problem));
        stage.close(conn, node);
        self.on_closed(stage, conn);
    }
}

fn detach(call: &RunCall, conn: Conn) {
    if call
        .attachment
        .get()
        .is_some_and(|(there, _)| there == conn)
    {
        call.attachment.set(None);
    }
}

fn deployment(digest: &Digest, wish: Wish) -> Deployment {
    Deployment {
        digest: digest.clone(),
        state: AppEnvState::Installedverified.as_str().to_owned(),
        generation: wish.generation,
        serving: wish.desired,
        reason: None,
    }
}
