//! From a call or a map to slots: access, Elements in turn, the queue.

use std::time::Duration;

use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccessRequest},
    id::CallId,
    problem::{Code, Problem},
    role::Operation,
    wire::queue::{QueueEnter, QueueLeave},
};
use gridmart_sdk::cores::rounds::{Refusal, Rounds};

use super::{
    Access, Asked, Client, Conn, MILLI, Purpose, SECOND, Search, Stage, Standing, Timer, Want,
};
use crate::simulation::{message::Body, stage::Node};

/// A ticket is used no more so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(15);
pub(super) const ROUND_INTERVAL: u64 = 500 * MILLI;
const ANSWER_PATIENCE: u64 = 10 * SECOND;

impl Client {
    /// Finds a slot for a call: one of a kept lease, or of the queue.
    pub(super) fn place(&mut self, stage: &mut Stage, id: CallId) {
        let Some(alive) = &mut self.alive else { return };
        let Some(call) = alive.calls.get(&id) else {
            return;
        };
        let avoid = [call.course.avoid(), &call.avoid].concat();
        let (app, priority) = (call.app, call.priority);
        let kept = alive.links.iter().find(|(_, link)| {
            link.attached
                && link.seat.is_none()
                && link.app == app
                && !link.recalled
                && (link.work.len() as u64) < u64::from(link.lease.slots)
                && !avoid.contains(&link.lease.host)
        });
        if let Some(lease) = kept.map(|(lease, _)| *lease) {
            return self.send_call(stage, id, lease);
        }
        if let Some(search) = self.search_for(id, app, avoid, priority) {
            self.advance(stage, search);
        }
    }

    /// Asks for a slot after a moment; one that comes free meanwhile serves.
    pub(super) fn place_later(&mut self, stage: &mut Stage, id: CallId) {
        let node = self.node();
        let call = self.alive.as_ref().and_then(|alive| alive.calls.get(&id));
        let Some(call) = call else { return };
        let avoid = [call.course.avoid(), &call.avoid].concat();
        let (app, priority) = (call.app, call.priority);
        if let Some(search) = self.search_for(id, app, avoid, priority) {
            stage.timer(node, ROUND_INTERVAL, Timer::Search(search));
        }
    }

    fn search_for(
        &mut self,
        id: CallId,
        app: usize,
        avoid: Vec<gridmart_schemas::id::NodeId>,
        priority: i32,
    ) -> Option<u64> {
        let search = self.search(Want::Call(id), app, 1, avoid, priority);
        let call = self.alive.as_mut()?.calls.get_mut(&id)?;
        call.search = search;
        search
    }

    pub(super) fn search(
        &mut self,
        want: Want,
        app: usize,
        slots: u32,
        avoid: Vec<gridmart_schemas::id::NodeId>,
        priority: i32,
    ) -> Option<u64> {
        let alive = self.alive.as_mut()?;
        let job = match want {
            Want::Map => alive.map.as_ref().map(|map| map.job),
            Want::Call(_) => None,
        };
        alive.last_search += 1;
        let search = Search {
            want,
            app,
            slots,
            granted: 0,
            job,
            avoid,
            priority,
            rounds: Rounds::default(),
            entry: None,
        };
        alive.searches.insert(alive.last_search, search);
        Some(alive.last_search)
    }

    /// Goes on with a search: the next Element of the decision is asked.
    pub(super) fn advance(&mut self, stage: &mut Stage, id: u64) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        if search.entry.is_some() {
            return;
        }
        let app = search.app;
        let Some(access) = alive.access.get(&app).filter(|access| now < access.until) else {
            return self.ask_access(stage, app, id);
        };
        let elements = access.decision.elements.iter();
        let next = elements
            .filter_map(|element| self.elements.iter().position(|id| *id == element.element))
            .find(|number| !search.rounds.has_failed(self.elements[*number]));
        if let Some(element) = next {
            return self.enter(stage, id, element);
        }
        alive.access.remove(&app);
        let nobody = || Problem::new(Code::NotAccepting, "nobody");
        match search.rounds.on_round_over(nobody, now) {
            Ok(()) => stage.timer(node, ROUND_INTERVAL, Timer::Search(id)),
            Err(problem) => self.on_search_failed(stage, id, problem),
        }
    }

    fn ask_access(&mut self, stage: &mut Stage, app: usize, search: u64) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let waiting = alive.asking.entry(app).or_default();
        waiting.push(search);
        if waiting.len() == 1 {
            let number = alive.desk.number();
            alive.dials.insert(number, Purpose::Access(app));
            stage.dial(node, Node::Control, None, number);
        }
    }

    pub(super) fn on_access_line(&mut self, stage: &mut Stage, app: usize, conn: Conn) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let request = ApplicationAccessRequest {
            application: Some(self.apps[app].name.clone()),
            needs: Vec::new(),
            operations: vec![Operation::Call],
            presenter: alive.key.clone(),
            avoid: Vec::new(),
        };
        let body = Body::Access(Box::new(request));
        let asked = Asked::Access(app);
        alive
            .desk
            .ask(stage, node, conn, ANSWER_PATIENCE, body, asked);
    }

    pub(super) fn on_decision(
        &mut self,
        stage: &mut Stage,
        app: usize,
        decided: Result<AccessDecision, Problem>,
    ) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let waiting = alive.asking.remove(&app).unwrap_or_default();
        match decided {
            Ok(decision) => {
                let life = Duration::from_secs(decision.expires_in.into());
                let until = now + life.saturating_sub(EXPIRY_MARGIN.min(life / 4));
                alive.access.insert(app, Access { decision, until });
                for search in waiting {
                    self.advance(stage, search);
                }
            }
            Err(problem) => {
                for search in waiting {
                    self.on_undecided(stage, search, problem.clone());
                }
            }
        }
    }

    fn on_undecided(&mut self, stage: &mut Stage, id: u64, problem: Problem) {
        let node = self.node();
        let now = stage.instant(node);
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        if search.rounds.on_undecided(&problem, now) {
            stage.timer(node, ROUND_INTERVAL, Timer::Search(id));
        } else {
            self.on_search_failed(stage, id, problem);
        }
    }

    fn enter(&mut self, stage: &mut Stage, id: u64, element: usize) {
        let node = self.node();
        let key = stage.ids.entry();
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        search.entry = Some((element, key));
        let session = alive.sessions.get(&element);
        let open = session.filter(|session| session.standing == Standing::Open);
        let Some(conn) = open.and_then(|session| session.conn) else {
            return self.dial_session(stage, element, Some(id));
        };
        let ticket = alive.access.get(&search.app).and_then(|access| {
            let elements = access.decision.elements.iter();
            let mut mine = elements.filter(|there| there.element == self.elements[element]);
            mine.next().map(|there| there.ticket.clone())
        });
        let enter = QueueEnter {
            ticket: ticket.unwrap_or_default(),
            entry: key,
            slots: search.slots.saturating_sub(search.granted).max(1),
            job: search.job,
            hosts_max: None,
            avoid: search.avoid.clone(),
            priority: search.priority,
        };
        alive.entries.insert(key, id);
        let body = Body::Enter(Box::new(enter));
        let asked = Asked::Enter(id);
        alive
            .desk
            .ask(stage, node, conn, ANSWER_PATIENCE, body, asked);
    }

    /// The stream to the Element that a search waits for stands, or does not.
    pub(super) fn on_session(
        &mut self,
        stage: &mut Stage,
        id: u64,
        element: usize,
        problem: Option<Problem>,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        // It may have gone on to another Element meanwhile, and wait there.
        if search.entry.is_none_or(|(there, _)| there != element) {
            return;
        }
        search.entry = None;
        match problem {
            None => self.enter(stage, id, element),
            Some(problem) => self.on_refused(stage, id, element, problem),
        }
    }

    /// An Element has refused the entry, or is away.
    pub(super) fn on_refused(
        &mut self,
        stage: &mut Stage,
        id: u64,
        element: usize,
        problem: Problem,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        if let Some((_, key)) = search.entry.take() {
            alive.entries.remove(&key);
        }
        if search.rounds.on_refused(self.elements[element], problem) == Refusal::AskAnew {
            alive.access.remove(&search.app);
        }
        self.advance(stage, id);
    }

    /// The entry was taken and is lost, or was refused later.
    pub(super) fn on_entry_lost(&mut self, stage: &mut Stage, id: u64, problem: Problem) {
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.get_mut(&id) else {
            return;
        };
        if let Some((element, key)) = search.entry.take() {
            alive.entries.remove(&key);
            search.rounds.on_failed(self.elements[element], problem);
        }
        self.advance(stage, id);
    }

    pub(super) fn on_entered(&mut self, id: u64) {
        if let Some(alive) = &mut self.alive
            && let Some(search) = alive.searches.get_mut(&id)
        {
            search.rounds.on_entered();
        }
    }

    fn on_search_failed(&mut self, stage: &mut Stage, id: u64, problem: Problem) {
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.remove(&id) else {
            return;
        };
        match search.want {
            Want::Call(call) => {
                if let Some(call) = alive.calls.get_mut(&call) {
                    call.search = None;
                }
                self.on_over(stage, call, Err(problem));
            }
            Want::Map => self.on_map_refused(stage, &problem),
        }
    }

    /// Nobody waits for it any more: leases that it got stay.
    pub(super) fn leave(&mut self, stage: &mut Stage, id: u64) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(search) = alive.searches.remove(&id) else {
            return;
        };
        if let Some((element, entry)) = search.entry {
            let known = alive.entries.remove(&entry).is_some();
            let session = alive.sessions.get(&element);
            let conn = session
                .filter(|session| session.standing == Standing::Open)
                .and_then(|session| session.conn);
            if let Some(conn) = conn.filter(|_| known) {
                stage.tell(node, conn, Body::Leave(QueueLeave { entry }));
            }
        }
    }
}
