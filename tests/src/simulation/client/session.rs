//! Queue streams to Elements, and the leases that they grant.

use gridmart_schemas::{
    id::LeaseId,
    problem::{Code, Problem},
    wire::queue::{LeaseGranted, LeaseRelease, LeaseRenew, ResumedLease, SessionOpen},
};

use super::{
    Asked, Client, Conn, Link, Purpose, SECOND, Session, Stage, Standing, Timer, Want, short,
};
use crate::simulation::{
    element::backoff,
    message::{Body, Message},
    stage::Node,
};

const ANSWER_PATIENCE: u64 = 10 * SECOND;

fn away() -> Problem {
    Problem::new(Code::ElementDown, "the Element is away")
}

impl Client {
    /// Dials an Element, for a search or for the leases that it granted.
    pub(super) fn dial_session(&mut self, stage: &mut Stage, element: usize, search: Option<u64>) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let session = alive.sessions.entry(element).or_insert(Session {
            standing: Standing::Away,
            conn: None,
            waiting: Vec::new(),
            failures: 0,
        });
        session.waiting.extend(search);
        if session.standing != Standing::Away {
            return;
        }
        session.standing = Standing::Dialling;
        let number = alive.desk.number();
        alive.dials.insert(number, Purpose::Session(element));
        let key = Some(alive.key.clone());
        stage.dial(node, Node::Element(element), key, number);
    }

    /// A lost Element is dialled while leases of it are held.
    pub(super) fn come_back(&mut self, stage: &mut Stage, element: usize) {
        let Some(alive) = &self.alive else { return };
        if alive.links.values().any(|link| link.element == element) {
            self.dial_session(stage, element, None);
        }
    }

    /// A dial has come to an end.
    pub(crate) fn on_dialled(&mut self, stage: &mut Stage, number: u64, dialled: Result<Conn, ()>) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(purpose) = alive.dials.remove(&number) else {
            return;
        };
        let conn = dialled.ok().filter(|conn| stage.believes(*conn, node));
        match (purpose, conn) {
            (Purpose::Access(app), Some(conn)) => self.on_access_line(stage, app, conn),
            (Purpose::Access(app), None) => {
                let problem = Problem::new(Code::Unavailable, "the controller is away");
                self.on_decision(stage, app, Err(problem));
            }
            (Purpose::Session(element), Some(conn)) => self.on_session_line(stage, element, conn),
            (Purpose::Session(element), None) => self.on_session_lost(stage, element),
            (Purpose::Link(lease), Some(conn)) => self.on_host_line(stage, lease, conn),
            (Purpose::Link(lease), None) => {
                let problem = Problem::new(Code::HostDown, "the Host cannot be dialled");
                self.on_undialled(stage, lease, problem);
            }
        }
    }

    fn on_session_line(&mut self, stage: &mut Stage, element: usize, conn: Conn) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let leases = alive
            .links
            .values()
            .filter(|link| link.element == element)
            .map(|link| ResumedLease {
                lease: link.lease.lease,
                ticket: link.lease.ticket.clone(),
            })
            .collect();
        if let Some(session) = alive.sessions.get_mut(&element) {
            session.standing = Standing::Opening;
            session.conn = Some(conn);
        }
        let body = Body::SessionOpen(SessionOpen { leases });
        let asked = Asked::Session(element);
        alive
            .desk
            .ask(stage, node, conn, ANSWER_PATIENCE, body, asked);
    }

    fn on_session_opened(&mut self, stage: &mut Stage, element: usize, in_force: &[LeaseId]) {
        let Some(alive) = &mut self.alive else { return };
        let Some(session) = alive.sessions.get_mut(&element) else {
            return;
        };
        session.standing = Standing::Open;
        session.failures = 0;
        let waiting = std::mem::take(&mut session.waiting);
        let gone: Vec<LeaseId> = alive
            .links
            .iter()
            .filter(|(id, link)| link.element == element && !in_force.contains(id))
            .map(|(id, _)| *id)
            .collect();
        let dropped: Vec<LeaseId> = in_force
            .iter()
            .filter(|id| !alive.links.contains_key(id))
            .copied()
            .collect();
        // None of them takes calls any more: those of the first are not for the
        // next.
        for lease in &gone {
            if let Some(link) = alive.links.get_mut(lease) {
                link.recalled = true;
            }
        }
        for lease in dropped {
            self.release(stage, element, lease);
        }
        for lease in gone {
            let problem = Problem::new(Code::LeaseEnded, "it did not outlast the lost stream");
            self.bury(stage, lease, &problem);
        }
        for search in waiting {
            self.on_session(stage, search, element, None);
        }
    }

    /// The queue stream of an Element is lost, or never stood.
    fn on_session_lost(&mut self, stage: &mut Stage, element: usize) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(session) = alive.sessions.get_mut(&element) else {
            return;
        };
        session.standing = Standing::Away;
        session.conn = None;
        session.failures += 1;
        let failures = session.failures;
        let waiting = std::mem::take(&mut session.waiting);
        let entered: Vec<u64> = alive
            .searches
            .iter()
            .filter(|(id, search)| {
                search.entry.is_some_and(|(there, _)| there == element) && !waiting.contains(id)
            })
            .map(|(id, _)| *id)
            .collect();
        if alive.links.values().any(|link| link.element == element) {
            let wait = backoff(stage, failures.min(5));
            stage.timer(node, wait, Timer::Session(element));
        }
        for search in waiting {
            self.on_session(stage, search, element, Some(away()));
        }
        for search in entered {
            self.on_entry_lost(stage, search, away());
        }
    }

    /// A connection is over.
    pub(crate) fn on_closed(&mut self, stage: &mut Stage, conn: Conn) {
        let Some(alive) = &mut self.alive else { return };
        let lost = alive.desk.on_closed(conn);
        let session = alive
            .sessions
            .iter()
            .find(|(_, session)| session.conn == Some(conn))
            .map(|(element, _)| *element);
        let link = alive
            .links
            .iter()
            .find(|(_, link)| link.conn == Some(conn))
            .map(|(lease, _)| *lease);
        if let Some(element) = session {
            self.on_session_lost(stage, element);
        } else if let Some(lease) = link {
            self.on_cut(stage, lease);
        }
        let problem = Problem::new(Code::Unavailable, "the stream is lost");
        for asked in lost {
            self.on_lost_question(stage, &asked, problem.clone());
        }
    }

    pub(super) fn on_failed_question(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        asked: Asked,
        problem: Problem,
    ) {
        match asked {
            // A stream that does not open is closed.
            Asked::Session(element) => {
                stage.close(conn, self.node());
                self.on_session_lost(stage, element);
            }
            Asked::Attach(lease) => {
                stage.close(conn, self.node());
                if let Some(alive) = &mut self.alive
                    && let Some(link) = alive.links.get_mut(&lease)
                {
                    link.conn = None;
                }
                self.on_undialled(stage, lease, problem);
            }
            Asked::Access(app) => {
                stage.close(conn, self.node());
                self.on_decision(stage, app, Err(problem));
            }
            asked => self.on_lost_question(stage, &asked, problem),
        }
    }

    fn on_lost_question(&mut self, stage: &mut Stage, asked: &Asked, problem: Problem) {
        match *asked {
            Asked::Access(app) => self.on_decision(stage, app, Err(problem)),
            Asked::Enter(search) => {
                let element = self.alive.as_ref().and_then(|alive| {
                    let search = alive.searches.get(&search)?;
                    search.entry.map(|(element, _)| element)
                });
                if let Some(element) = element {
                    self.on_refused(stage, search, element, problem);
                }
            }
            Asked::Renewed(lease) => stage.timer(self.node(), 5 * SECOND, Timer::Renew(lease)),
            Asked::Probe(lease) => self.on_probed(stage, lease, None),
            // The loss of their streams was told already.
            Asked::Session(_) | Asked::Attach(_) | Asked::Shown => {}
        }
    }

    /// A message arrives.
    pub(crate) fn on_message(&mut self, stage: &mut Stage, conn: Conn, message: Message) {
        match message {
            Message::Answer(number, answer) => {
                let taken = self
                    .alive
                    .as_mut()
                    .and_then(|alive| alive.desk.take(number));
                if let Some((conn, asked)) = taken {
                    self.on_answer(stage, conn, asked, answer);
                }
            }
            Message::Tell(body) => self.on_notice(stage, conn, body),
            Message::Ask(..) => {}
        }
    }

    fn on_answer(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        asked: Asked,
        answer: Result<Body, Problem>,
    ) {
        match (asked, answer) {
            (Asked::Access(app), Ok(Body::Decision(decision))) => {
                stage.close(conn, self.node());
                self.on_decision(stage, app, Ok(*decision));
            }
            (Asked::Session(element), Ok(Body::SessionOpened(opened))) => {
                self.on_session_opened(stage, element, &opened.leases);
            }
            (Asked::Enter(search), Ok(_)) => self.on_entered(search),
            (Asked::Attach(lease), Ok(Body::Attached(attached))) => {
                self.on_attached(stage, lease, &attached);
            }
            (Asked::Renewed(lease), Ok(Body::Lease(renewed))) => {
                self.on_renewed(stage, lease, *renewed);
            }
            (Asked::Probe(lease), Ok(Body::OverdueAnswer(answer))) => {
                self.on_probed(stage, lease, Some(&answer));
            }
            (Asked::Shown, Ok(_)) => {}
            (Asked::Shown, Err(problem)) => self.on_stream_refused(stage, conn, &problem),
            (asked, Err(problem)) => self.on_failed_question(stage, conn, asked, problem),
            (asked, Ok(_)) => {
                let problem = Problem::new(Code::InvalidRequest, "what?");
                self.on_failed_question(stage, conn, asked, problem);
            }
        }
    }

    fn on_notice(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        match body {
            Body::Granted(granted) => self.on_granted(stage, conn, *granted),
            Body::Refused(refused) => {
                let search = self
                    .alive
                    .as_ref()
                    .and_then(|alive| alive.entries.get(&refused.entry).copied());
                if let Some(search) = search {
                    self.on_entry_lost(stage, search, refused.problem);
                }
            }
            Body::Recalled(recalled) => self.on_recalled(stage, recalled.lease),
            Body::Over(over) => {
                self.on_lease_over(stage, over.lease, &over.problem);
            }
            body => self.on_frame(stage, conn, body),
        }
    }

    // === leases ===

    fn on_granted(&mut self, stage: &mut Stage, conn: Conn, granted: LeaseGranted) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let LeaseGranted { entry, lease } = granted;
        let id = lease.lease;
        let found = alive.entries.get(&entry).copied();
        let search = found.and_then(|search| Some((search, alive.searches.get_mut(&search)?)));
        let Some((search, wanted)) = search else {
            // Nobody waits for it any more: it goes back.
            return stage.tell(node, conn, Body::Release(LeaseRelease { lease: id }));
        };
        wanted.granted += lease.slots;
        let (want, app) = (wanted.want, wanted.app);
        let Some((element, _)) = wanted.entry else {
            return;
        };
        let satisfied = wanted.granted >= wanted.slots;
        stage.note("a client has a lease", short(id.as_uuid()), search, || {
            format!("lease {} for {node:?}", short(id.as_uuid()))
        });
        let renewed_after = u64::from(lease.expires_in) * SECOND * 6 / 10;
        stage.timer(node, renewed_after, Timer::Renew(id));
        let link = Link {
            was: None,
            element,
            app,
            want,
            recalled: false,
            conn: None,
            attached: false,
            work: std::collections::BTreeMap::new(),
            last_channel: 0,
            deadline: None,
            failures: 0,
            idle_since: now,
            sign: now,
            ask_after: None,
            probing: false,
            seat: None,
            lease,
        };
        alive.links.insert(id, link);
        if satisfied {
            alive.searches.remove(&search);
            alive.entries.remove(&entry);
            if let Want::Call(call) = want
                && let Some(call) = alive.calls.get_mut(&call)
            {
                call.search = None;
            }
            if want == Want::Map
                && let Some(map) = &mut alive.map
            {
                map.search = None;
            }
        }
        self.dial_host(stage, id);
    }

    /// A lease goes back to its Element.
    pub(super) fn release(&mut self, stage: &mut Stage, element: usize, lease: LeaseId) {
        let node = self.node();
        let Some(alive) = &self.alive else { return };
        let conn = alive
            .sessions
            .get(&element)
            .filter(|session| session.standing == Standing::Open)
            .and_then(|session| session.conn);
        if let Some(conn) = conn {
            stage.tell(node, conn, Body::Release(LeaseRelease { lease }));
        }
    }

    pub(super) fn renew(&mut self, stage: &mut Stage, lease: LeaseId) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get(&lease) else {
            return;
        };
        let (app, element) = (link.app, link.element);
        let access = alive.access.get(&app).filter(|access| now < access.until);
        let ticket = access.and_then(|access| {
            let elements = access.decision.elements.iter();
            let mut mine = elements.filter(|there| there.element == self.elements[element]);
            mine.next().map(|there| there.ticket.clone())
        });
        let session = alive.sessions.get(&element);
        let open = session.filter(|session| session.standing == Standing::Open);
        match (ticket, open.and_then(|session| session.conn)) {
            (Some(ticket), Some(conn)) => {
                let body = Body::Renew(LeaseRenew { lease, ticket });
                let asked = Asked::Renewed(lease);
                alive
                    .desk
                    .ask(stage, node, conn, ANSWER_PATIENCE, body, asked);
            }
            (None, _) => {
                // With a decision of its own; the next try uses it.
                let idle = !alive.asking.contains_key(&app);
                if idle {
                    alive.asking.insert(app, Vec::new());
                    let number = alive.desk.number();
                    alive.dials.insert(number, Purpose::Access(app));
                    stage.dial(node, Node::Control, None, number);
                }
                stage.timer(node, 5 * SECOND, Timer::Renew(lease));
            }
            (_, None) => {
                self.dial_session(stage, element, None);
                stage.timer(node, 5 * SECOND, Timer::Renew(lease));
            }
        }
    }
}
