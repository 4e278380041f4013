//! Streams to Hosts: calls and parts under a lease, over cuts.

use std::time::{Duration, Instant};

use gridmart_schemas::{
    id::{CallId, LeaseId},
    problem::{Code, Problem},
    wire::{
        MAJOR, MINOR,
        call::{Attach, Attached, CallCancel, CallOpen, PartOf, Resume, Step},
        queue::{CallOverdue, Lease, OverdueAnswer},
        record::CallEnd,
        staging::Staged,
    },
};
use gridmart_sdk::cores::{
    course::{After, Rerun},
    presence::{Dialled, Finding, REATTACH_GRACE, judge_dial, judge_probe},
    tries::Next,
};

use super::{
    Asked, Client, Conn, MILLI, Purpose, SECOND, Stage, Standing, Timer, Want, Work, short,
};
use crate::simulation::{message::Body, stage::Node};

const ATTACH_PATIENCE: u64 = 10 * SECOND;
const PROBE_PATIENCE: u64 = 30 * SECOND;
const ASK_INTERVAL: u64 = 2 * SECOND;
const ASK_AGAIN_MIN: Duration = Duration::from_millis(500);

impl Client {
    // === dial, attach, again after a cut ===

    pub(super) fn dial_host(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get(&lease) else {
            return;
        };
        if link.conn.is_some() {
            return;
        }
        let Some(host) = self.hosts.get(&link.lease.host) else {
            return;
        };
        let number = alive.desk.number();
        alive.dials.insert(number, Purpose::Link(lease));
        let key = Some(alive.key.clone());
        stage.dial(node, Node::Host(*host), key, number);
    }

    pub(super) fn on_host_line(&mut self, stage: &mut Stage, lease: LeaseId, conn: Conn) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive
            .links
            .get_mut(&lease)
            .filter(|link| link.conn.is_none())
        else {
            return stage.close(conn, node);
        };
        link.conn = Some(conn);
        let attach = Attach {
            ticket: link.lease.ticket.clone(),
            v: [MAJOR, MINOR],
        };
        let asked = Asked::Attach(lease);
        let body = Body::Attach(attach);
        alive
            .desk
            .ask(stage, node, conn, ATTACH_PATIENCE, body, asked);
    }

    /// The Host cannot be dialled, or does not take the lease.
    pub(super) fn on_undialled(&mut self, stage: &mut Stage, lease: LeaseId, problem: Problem) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        if let Some(conn) = link.conn.take() {
            stage.close(conn, node);
        }
        let (Some(was), Some(deadline)) = (link.was, link.deadline) else {
            return self.on_host_unreached(stage, lease, problem);
        };
        link.failures += 1;
        let wait = ((100 * MILLI) << link.failures.min(5)).min(2 * SECOND);
        let wait = stage.dice.between(wait / 2, wait);
        let next = now + Duration::from_micros(wait);
        match judge_dial(Err(&problem), was, &link.lease.host_name, next, deadline) {
            Dialled::Lost(problem) => self.bury(stage, lease, &problem),
            _ => stage.timer(node, wait, Timer::Reattach(lease)),
        }
    }

    /// A new lease whose Host cannot be reached: it goes back, and another one
    /// is looked for.
    fn on_host_unreached(&mut self, stage: &mut Stage, lease: LeaseId, problem: Problem) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.remove(&lease) else {
            return;
        };
        self.release(stage, link.element, lease);
        match link.want {
            Want::Call(call) => {
                let Some(alive) = &mut self.alive else { return };
                let Some(waiting) = alive.calls.get_mut(&call).filter(|call| call.on.is_none())
                else {
                    return;
                };
                match waiting.tries.on_unusable(&problem, now) {
                    Next::Elsewhere => {
                        waiting.avoid.push(link.lease.host);
                        self.place(stage, call);
                    }
                    Next::Anew => self.place_later(stage, call),
                    Next::Over => self.on_over(stage, call, Err(problem)),
                }
            }
            Want::Map => self.on_seat_undialled(stage, link.lease.host, &problem),
        }
    }

    pub(super) fn on_attached(&mut self, stage: &mut Stage, lease: LeaseId, attached: &Attached) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        let incarnation = attached.incarnation;
        let (was, deadline) = (link.was, link.deadline.unwrap_or(now));
        link.was = Some(was.unwrap_or(incarnation));
        (link.sign, link.ask_after) = (now, None);
        link.failures = 0;
        if let Some(was) = was {
            let name = &link.lease.host_name;
            if let Dialled::Lost(problem) = judge_dial(Ok(incarnation), was, name, now, deadline) {
                return self.bury(stage, lease, &problem);
            }
            link.deadline = None;
            link.attached = true;
            return self.resume(stage, lease, &attached.held);
        }
        link.attached = true;
        link.idle_since = now;
        match link.want {
            Want::Call(call) => {
                let waits = alive.calls.get(&call).is_some_and(|call| call.on.is_none());
                if waits {
                    self.send_call(stage, call, lease);
                } else {
                    self.hand_out(stage, lease);
                }
            }
            Want::Map => self.on_seat(stage, lease),
        }
    }

    /// The stream is lost: attached again, if something runs on it.
    pub(super) fn on_cut(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        link.conn = None;
        if !link.attached {
            let problem = Problem::new(Code::HostDown, "the Host closed the stream");
            return self.on_undialled(stage, lease, problem);
        }
        link.attached = false;
        if link.work.is_empty() {
            let problem = Problem::new(Code::HostDown, "the stream to the Host is lost");
            return self.bury(stage, lease, &problem);
        }
        link.deadline = Some(now + REATTACH_GRACE);
        stage.timer(node, ASK_INTERVAL, Timer::AskAfter(lease));
        self.dial_host(stage, lease);
    }

    /// Goes on with everything on the new stream.
    fn resume(&mut self, stage: &mut Stage, lease: LeaseId, held: &[CallId]) {
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        let nothing = Resume {
            stdout: 0,
            stderr: 0,
        };
        let mut opens = Vec::new();
        for (channel, work) in &mut link.work {
            match work {
                Work::Call(id) => {
                    let Some(call) = alive.calls.get_mut(id) else {
                        continue;
                    };
                    let again = call.course.on_reattached(held.contains(id), false);
                    opens.push((*channel, *id, again.then_some(nothing)));
                }
                Work::Part(part) => {
                    let is_held = held.contains(&part.call);
                    if !is_held {
                        part.call = stage.ids.call();
                        stage.ledger.on_part(part.call);
                    }
                    opens.push((*channel, part.call, is_held.then_some(nothing)));
                }
            }
        }
        for (channel, _, resume) in opens {
            self.open(stage, lease, channel, resume);
        }
    }

    // === calls and parts on it ===

    /// Gives a call a channel of an attached lease.
    pub(super) fn send_call(&mut self, stage: &mut Stage, id: CallId, lease: LeaseId) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let (Some(link), Some(call)) = (alive.links.get_mut(&lease), alive.calls.get_mut(&id))
        else {
            return;
        };
        link.last_channel += 1;
        let channel = link.last_channel;
        link.work.insert(channel, Work::Call(id));
        call.on = Some((lease, channel));
        call.course.on_placed();
        (call.sign, call.ask_after) = (now, None);
        if let Some(search) = call.search.take() {
            self.leave(stage, search);
        }
        self.open(stage, lease, channel, None);
    }

    pub(super) fn open(
        &mut self,
        stage: &mut Stage,
        lease: LeaseId,
        channel: u32,
        resume: Option<Resume>,
    ) {
        let node = self.node();
        let Some(alive) = &self.alive else { return };
        let Some(link) = alive.links.get(&lease) else {
            return;
        };
        let Some(conn) = link.conn else { return };
        let job = alive.map.as_ref().map(|map| map.job);
        let (call, arguments, part_of, cancelled) = match link.work.get(&channel) {
            Some(Work::Call(id)) => {
                let Some(call) = alive.calls.get(id) else {
                    return;
                };
                let cancelled = call.course.is_cancelled();
                (*id, call.arguments.clone(), None, cancelled)
            }
            Some(Work::Part(part)) => {
                let Some(job) = job else { return };
                let number = part.assignment.part;
                let part_of = PartOf {
                    job,
                    part: Some(number),
                    attempt: part.assignment.attempt,
                };
                // Some parts take long, some fail at first.
                let long = if number.is_multiple_of(7) { 4_000 } else { 60 };
                let fails = number.is_multiple_of(5) && part.assignment.attempt == 1;
                let arguments = vec![long.to_string(), u64::from(fails).to_string()];
                (part.call, arguments, Some(part_of), part.cancelled)
            }
            None => return,
        };
        let open = CallOpen {
            call,
            arguments,
            environment: std::collections::BTreeMap::new(),
            step: Step::Run,
            part_of,
            request: None,
            wall_seconds_max: None,
            staged: Staged::default(),
            resume,
        };
        stage.tell(node, conn, Body::Open(channel, Box::new(open)));
        if cancelled {
            let reason = "cancelled by its caller".to_owned();
            stage.tell(node, conn, Body::Cancel(channel, CallCancel { reason }));
        }
    }

    /// A frame of a Host.
    pub(super) fn on_frame(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let found = alive
            .links
            .iter_mut()
            .find(|(_, link)| link.conn == Some(conn));
        let Some((lease, link)) = found else { return };
        let lease = *lease;
        (link.sign, link.ask_after) = (now, None);
        match body {
            Body::Started(channel, _) => {
                if let Some(Work::Call(id)) = link.work.get(&channel)
                    && let Some(call) = alive.calls.get_mut(id)
                {
                    call.course.on_sign();
                    call.course.on_started();
                    (call.sign, call.ask_after) = (now, None);
                }
            }
            Body::Ended(channel, end) => self.on_end(stage, lease, channel, *end),
            Body::CallRefused(channel, problem) => {
                self.on_work_refused(stage, lease, channel, &problem);
            }
            Body::StreamRefused(problem) => self.bury(stage, lease, &problem),
            _ => {}
        }
    }

    fn on_end(&mut self, stage: &mut Stage, lease: LeaseId, channel: u32, end: CallEnd) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        match link.work.get(&channel) {
            Some(Work::Call(id)) => {
                let id = *id;
                if let Some(conn) = link.conn {
                    stage.tell(node, conn, Body::Close(channel));
                }
                self.on_over(stage, id, Ok(end));
            }
            Some(Work::Part(_)) => self.on_part_end(stage, lease, channel, &end),
            None => {}
        }
    }

    fn on_work_refused(
        &mut self,
        stage: &mut Stage,
        lease: LeaseId,
        channel: u32,
        problem: &Problem,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let work = alive
            .links
            .get_mut(&lease)
            .and_then(|link| link.work.remove(&channel));
        match work {
            Some(Work::Call(id)) => {
                let began = alive
                    .calls
                    .get(&id)
                    .is_some_and(|call| call.course.may_have_begun());
                self.on_call_failed(stage, id, problem, began, lease);
                self.hand_out(stage, lease);
            }
            Some(Work::Part(part)) => self.on_part_refused(stage, lease, &part, problem),
            None => {}
        }
    }

    /// A call was refused or lost: it runs again elsewhere, or that is its end.
    fn on_call_failed(
        &mut self,
        stage: &mut Stage,
        id: CallId,
        problem: &Problem,
        began: bool,
        lease: LeaseId,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let host = alive.links.get(&lease).map(|link| link.lease.host);
        let Some(call) = alive.calls.get_mut(&id) else {
            return;
        };
        let (retryable, attempts_max) = call.rerun;
        let rerun = Rerun {
            retryable,
            attempts_max,
            untouched: true,
        };
        call.on = None;
        match call.course.on_failed(problem, began, rerun, host) {
            After::Nothing => {}
            After::Over => self.on_over(stage, id, Err(problem.clone())),
            After::Anew => {
                stage.note("a call is placed anew", short(id.as_uuid()), 0, || {
                    format!("call {}: {}", short(id.as_uuid()), problem.code)
                });
                self.place(stage, id);
            }
        }
    }

    /// A channel has become free.
    pub(super) fn free(&mut self, stage: &mut Stage, lease: LeaseId, channel: u32) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        if let Some(link) = alive.links.get_mut(&lease) {
            link.work.remove(&channel);
            link.idle_since = now;
        }
        self.hand_out(stage, lease);
    }

    /// A slot of a lease is free: for the first call that waits, or back.
    pub(super) fn hand_out(&mut self, stage: &mut Stage, lease: LeaseId) {
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get(&lease) else {
            return;
        };
        if link.seat.is_some() || !link.attached {
            return;
        }
        if link.recalled {
            if link.work.is_empty() {
                self.drop_link(stage, lease);
            }
            return;
        }
        let room = (link.work.len() as u64) < u64::from(link.lease.slots);
        let waiting = alive
            .calls
            .iter()
            .find(|(_, call)| call.on.is_none() && call.app == link.app && call.search.is_some())
            .map(|(id, _)| *id);
        if let Some(id) = waiting.filter(|_| room) {
            self.send_call(stage, id, lease);
        }
    }

    // === its end ===

    /// Nothing runs on it: the lease goes back.
    pub(super) fn drop_link(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        if let Some(link) = alive.links.remove(&lease) {
            if let Some(conn) = link.conn {
                stage.close(conn, node);
            }
            self.release(stage, link.element, lease);
        }
    }

    /// The lease or its Host is lost, and what ran there with it.
    pub(super) fn bury(&mut self, stage: &mut Stage, lease: LeaseId, problem: &Problem) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        stage.note("a link is buried", short(lease.as_uuid()), 0, || {
            format!("lease {}: {}", short(lease.as_uuid()), problem.code)
        });
        let work = std::mem::take(&mut link.work);
        link.attached = false;
        if let Some(conn) = link.conn.take() {
            stage.close(conn, node);
        }
        let (element, seat, want) = (link.element, link.seat, link.want);
        for work in work.into_values() {
            if let Work::Call(id) = work {
                self.on_call_failed(stage, id, problem, true, lease);
            }
        }
        if let Some(alive) = &mut self.alive {
            alive.links.remove(&lease);
        }
        self.release(stage, element, lease);
        match (want, seat) {
            (Want::Map, Some(seat)) => self.on_seat_lost(stage, seat),
            (Want::Map, None) => self.enter_map(stage),
            // It waited for this lease's Host.
            (Want::Call(call), _) => {
                let waits = self.alive.as_ref().is_some_and(|alive| {
                    let call = alive.calls.get(&call);
                    call.is_some_and(|call| call.on.is_none() && call.search.is_none())
                });
                if waits {
                    self.place(stage, call);
                }
            }
        }
    }

    pub(super) fn on_stream_refused(&mut self, stage: &mut Stage, conn: Conn, problem: &Problem) {
        let lease = self.alive.as_ref().and_then(|alive| {
            let mut links = alive.links.iter();
            links
                .find(|(_, link)| link.conn == Some(conn))
                .map(|(lease, _)| *lease)
        });
        if let Some(lease) = lease {
            self.bury(stage, lease, problem);
        }
    }

    pub(super) fn on_lease_over(&mut self, stage: &mut Stage, lease: LeaseId, problem: &Problem) {
        let of_map = self.alive.as_ref().and_then(|alive| {
            let link = alive.links.get(&lease)?;
            Some(link.seat.is_some())
        });
        self.bury(stage, lease, problem);
        // Of a whole map, only `kill` ends leases with this code.
        if of_map == Some(true) && problem.code == Code::Terminated {
            self.end_map(stage, false);
        }
    }

    pub(super) fn on_recalled(&mut self, stage: &mut Stage, lease: LeaseId) {
        let Some(alive) = &mut self.alive else { return };
        if let Some(link) = alive.links.get_mut(&lease) {
            link.recalled = true;
            if link.seat.is_some() {
                self.give_back_if_spent(stage, lease);
            } else {
                self.hand_out(stage, lease);
            }
        }
    }

    pub(super) fn on_renewed(&mut self, stage: &mut Stage, lease: LeaseId, renewed: Lease) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        let wait = u64::from(renewed.expires_in) * SECOND * 6 / 10;
        link.lease = renewed;
        stage.timer(node, wait, Timer::Renew(lease));
        if let Some(conn) = link.conn.filter(|_| link.attached) {
            let attach = Attach {
                ticket: link.lease.ticket.clone(),
                v: [MAJOR, MINOR],
            };
            let body = Body::Attach(attach);
            let asked = Asked::Shown;
            alive
                .desk
                .ask(stage, node, conn, ATTACH_PATIENCE, body, asked);
        }
    }

    // === silence ===

    /// Asks the Element about Hosts that were silent for too long.
    pub(super) fn look_for_silence(&mut self, stage: &mut Stage) {
        let now = stage.instant(self.node());
        let Some(alive) = &self.alive else { return };
        let silent: Vec<LeaseId> = alive
            .links
            .iter()
            .filter(|(_, link)| link.attached && !link.work.is_empty() && !link.probing)
            .filter(|(_, link)| {
                let after = Duration::from_millis(link.lease.overdue_after_ms);
                now >= link.ask_after.unwrap_or(link.sign + after)
            })
            .map(|(lease, _)| *lease)
            .collect();
        for lease in silent {
            self.probe(stage, lease);
        }
    }

    fn probe(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        if link.probing {
            return;
        }
        let element = link.element;
        let first = link.work.values().next().map(|work| match work {
            Work::Call(id) => *id,
            Work::Part(part) => part.call,
        });
        let Some(call) = first else { return };
        let session = alive.sessions.get(&element);
        let open = session.filter(|session| session.standing == Standing::Open);
        let Some(conn) = open.and_then(|session| session.conn) else {
            self.dial_session(stage, element, None);
            return self.on_probed(stage, lease, None);
        };
        link.probing = true;
        let body = Body::Overdue(CallOverdue { lease, call });
        let asked = Asked::Probe(lease);
        alive
            .desk
            .ask(stage, node, conn, PROBE_PATIENCE, body, asked);
    }

    pub(super) fn on_probed(
        &mut self,
        stage: &mut Stage,
        lease: LeaseId,
        answer: Option<&OverdueAnswer>,
    ) {
        let now: Instant = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        link.probing = false;
        let Some(was) = link.was else { return };
        let again = match judge_probe(answer, was, &link.lease.host_name) {
            Finding::There(again) => again,
            Finding::Unknown => Duration::from_millis(link.lease.overdue_after_ms),
            Finding::Lost(problem) => return self.bury(stage, lease, &problem),
        };
        link.ask_after = Some(now + again.max(ASK_AGAIN_MIN));
    }

    /// While a cut stream is dialled again, the Element is asked as well.
    pub(super) fn ask_after(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let cut = self.alive.as_ref().is_some_and(|alive| {
            let link = alive.links.get(&lease);
            link.is_some_and(|link| link.was.is_some() && !link.attached)
        });
        if cut {
            self.probe(stage, lease);
            stage.timer(node, ASK_INTERVAL, Timer::AskAfter(lease));
        }
    }
}
