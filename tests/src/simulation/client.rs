//! A person's program: the real course of calls, rounds over Elements, presence
//! of Hosts and core of maps; its streams, and what it has in mind, are
//! simulated.
//!
//! What survives a crash: a map's results. Calls die with their caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::access::AccessDecision,
    id::{CallId, EntryId, Incarnation, JobId, KeyHash, LeaseId, NodeId},
    problem::Problem,
    wire::{call::CallCancel, queue::Lease},
};
use gridmart_sdk::cores::{
    course::Course,
    map::{Assignment, Core, Rules, Seat},
    rounds::Rounds,
    tries::Tries,
};

use super::{
    desk::Desk,
    dice::short,
    message::Body,
    stage::{Conn, MILLI, Node, SECOND, Stage},
    timer::Timer,
};

mod link;
mod map;
mod search;
mod session;

const TICK: u64 = SECOND;
/// An idle lease is kept for the next call so long.
const IDLE_KEPT: Duration = Duration::from_secs(30);
/// Hosts that cannot be reached, before a call is given up.
const UNREACHED_MAX: usize = 3;
/// Calls and maps that a program has at a time.
const CALLS_MAX: usize = 6;

pub(super) enum Asked {
    Access(usize),
    Session(usize),
    Enter(u64),
    Attach(LeaseId),
    Renewed(LeaseId),
    Probe(LeaseId),
    Shown,
}

/// What a dial is for.
#[derive(Clone, Copy)]
enum Purpose {
    Access(usize),
    Session(usize),
    Link(LeaseId),
}

struct Access {
    decision: AccessDecision,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Away,
    Dialling,
    Opening,
    Open,
}

struct Session {
    standing: Standing,
    conn: Option<Conn>,
    waiting: Vec<u64>,
    failures: u32,
}

/// For whom slots are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Call(CallId),
    Map,
}

struct Search {
    want: Want,
    app: usize,
    slots: u32,
    granted: u32,
    job: Option<JobId>,
    avoid: Vec<NodeId>,
    priority: i32,
    rounds: Rounds,
    /// The Element that was asked, and whether it has taken the entry.
    entry: Option<(usize, EntryId)>,
}

struct Call {
    course: Course,
    app: usize,
    arguments: Vec<String>,
    on: Option<(LeaseId, u32)>,
    tries: Tries,
    avoid: Vec<NodeId>,
    search: Option<u64>,
    priority: i32,
    rerun: (bool, u32),
    sign: Instant,
    ask_after: Option<Instant>,
}

struct Part {
    assignment: Assignment,
    call: CallId,
    opened: Instant,
    cancelled: bool,
}

enum Work {
    Call(CallId),
    Part(Part),
}

/// A lease, and the stream to its Host.
struct Link {
    lease: Lease,
    element: usize,
    app: usize,
    want: Want,
    recalled: bool,
    conn: Option<Conn>,
    attached: bool,
    was: Option<Incarnation>,
    work: BTreeMap<u32, Work>,
    last_channel: u32,
    deadline: Option<Instant>,
    failures: u32,
    idle_since: Instant,
    sign: Instant,
    ask_after: Option<Instant>,
    probing: bool,
    seat: Option<Seat>,
}

struct MapRun {
    job: JobId,
    app: usize,
    core: Core,
    slots: u32,
    search: Option<u64>,
    enter_after: Option<Instant>,
    avoid: Vec<NodeId>,
    last_seat: Seat,
    tries: Tries,
}

/// A map, as its folder on the disk keeps it.
struct Folder {
    job: JobId,
    app: usize,
    total: u64,
    rules: Rules,
    results: BTreeSet<u64>,
    over: bool,
}

struct Alive {
    key: KeyHash,
    access: BTreeMap<usize, Access>,
    asking: BTreeMap<usize, Vec<u64>>,
    sessions: BTreeMap<usize, Session>,
    dials: BTreeMap<u64, Purpose>,
    searches: BTreeMap<u64, Search>,
    last_search: u64,
    entries: BTreeMap<EntryId, u64>,
    links: BTreeMap<LeaseId, Link>,
    calls: BTreeMap<CallId, Call>,
    map: Option<MapRun>,
    desk: Desk<Asked>,
}

/// See the module.
pub(crate) struct Client {
    number: usize,
    elements: Vec<NodeId>,
    hosts: BTreeMap<NodeId, usize>,
    apps: Vec<App>,
    folder: Option<Folder>,
    alive: Option<Alive>,
}

/// An application, as callers know it.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// `NAME`.
    pub name: String,
    /// Whether calls may run twice.
    pub retryable: bool,
    /// How often at most.
    pub attempts_max: u32,
}

impl Client {
    /// One that has never run.
    pub(crate) fn new(
        number: usize,
        elements: Vec<NodeId>,
        hosts: BTreeMap<NodeId, usize>,
        apps: Vec<App>,
    ) -> Self {
        Self {
            number,
            elements,
            hosts,
            apps,
            folder: None,
            alive: None,
        }
    }

    const fn node(&self) -> Node {
        Node::Client(self.number)
    }

    /// The process begins.
    pub(crate) fn boot(&mut self, stage: &mut Stage) {
        let node = self.node();
        self.alive = Some(Alive {
            key: stage.ids.key(),
            access: BTreeMap::new(),
            asking: BTreeMap::new(),
            sessions: BTreeMap::new(),
            dials: BTreeMap::new(),
            searches: BTreeMap::new(),
            last_search: 0,
            entries: BTreeMap::new(),
            links: BTreeMap::new(),
            calls: BTreeMap::new(),
            map: None,
            desk: Desk::default(),
        });
        stage.timer(node, TICK, Timer::Tick);
        let wait = stage.dice.between(0, 2 * SECOND);
        stage.timer(node, wait, Timer::Act);
        // A map that was interrupted goes on where it was, or is given up.
        if let Some(folder) = &self.folder
            && !folder.over
        {
            if stage.dice.chance(80) {
                self.resume_map(stage);
            } else {
                stage.ledger.on_map_abandoned(folder.job);
                self.folder = None;
            }
        }
    }

    /// The process is gone, and with it what it waited for.
    pub(crate) fn die(&mut self, stage: &mut Stage) {
        if let Some(alive) = self.alive.take() {
            for call in alive.calls.keys() {
                stage.ledger.on_caller_gone(*call);
            }
        }
    }

    /// A timer rings.
    pub(crate) fn on_timer(&mut self, stage: &mut Stage, timer: &Timer) {
        match timer {
            Timer::Tick => self.tick(stage),
            Timer::Act => self.act(stage),
            Timer::Search(search) => self.advance(stage, *search),
            Timer::Session(element) => self.come_back(stage, *element),
            Timer::Reattach(lease) => self.dial_host(stage, *lease),
            Timer::AskAfter(lease) => self.ask_after(stage, *lease),
            Timer::Renew(lease) => self.renew(stage, *lease),
            Timer::MapEnter => self.enter_map(stage),
            Timer::Patience(number) => {
                let taken = self
                    .alive
                    .as_mut()
                    .and_then(|alive| alive.desk.take(*number));
                if let Some((conn, asked)) = taken {
                    let late = Problem::new(gridmart_schemas::problem::Code::TimedOut, "late");
                    self.on_failed_question(stage, conn, asked, late);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, stage: &mut Stage) {
        let node = self.node();
        let now = stage.instant(node);
        self.look_for_silence(stage);
        // A program that has nothing more in mind closes soon.
        let kept = if stage.ledger.is_quiet() {
            IDLE_KEPT / 10
        } else {
            IDLE_KEPT
        };
        let Some(alive) = &mut self.alive else { return };
        let idle: Vec<LeaseId> = alive
            .links
            .iter()
            .filter(|(_, link)| {
                let idle = now.saturating_duration_since(link.idle_since);
                link.attached && link.seat.is_none() && link.work.is_empty() && idle >= kept
            })
            .map(|(id, _)| *id)
            .collect();
        for lease in idle {
            self.drop_link(stage, lease);
        }
        self.speculate(stage);
        self.enter_map(stage);
        stage.timer(node, TICK, Timer::Tick);
    }

    /// Does the next thing that it has in mind.
    fn act(&mut self, stage: &mut Stage) {
        let node = self.node();
        if stage.ledger.is_quiet() {
            return;
        }
        let wait = stage.dice.between(100 * MILLI, 4 * SECOND);
        stage.timer(node, wait, Timer::Act);
        let Some(alive) = &self.alive else { return };
        let busy = alive.calls.len() >= CALLS_MAX;
        match stage.dice.between(0, 9) {
            0..=5 if !busy => {
                for _ in 0..stage.dice.between(1, 3) {
                    self.begin_call(stage);
                }
            }
            6 | 7 if alive.map.is_none() => self.begin_map(stage),
            8 => {
                let calls: Vec<CallId> = alive.calls.keys().copied().collect();
                if let Some(call) = stage.dice.pick(&calls) {
                    self.cancel(stage, call);
                }
            }
            _ => {}
        }
    }

    // === calls ===

    fn begin_call(&mut self, stage: &mut Stage) {
        let node = self.node();
        let now = stage.instant(node);
        let app = stage.dice.index(self.apps.len());
        let longest = if stage.dice.chance(15) { 40_000 } else { 1_500 };
        let arguments = vec![
            stage.dice.between(1, longest).to_string(),
            u64::from(stage.dice.chance(8)).to_string(),
        ];
        let id = stage.ids.call();
        let App {
            retryable,
            attempts_max,
            ..
        } = self.apps[app];
        let priority = if stage.dice.chance(10) { 50 } else { 0 };
        let call = Call {
            course: Course::default(),
            app,
            arguments,
            on: None,
            tries: Tries::new(UNREACHED_MAX),
            avoid: Vec::new(),
            search: None,
            priority,
            rerun: (retryable, attempts_max),
            sign: now,
            ask_after: None,
        };
        stage.ledger.on_asked(id, retryable);
        stage.note("a call is wanted", short(id.as_uuid()), app as u64, || {
            format!("call {} of {app} by {node:?}", short(id.as_uuid()))
        });
        if let Some(alive) = &mut self.alive {
            alive.calls.insert(id, call);
            self.place(stage, id);
        }
    }

    fn cancel(&mut self, stage: &mut Stage, id: CallId) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(call) = alive.calls.get_mut(&id) else {
            return;
        };
        if !call.course.on_cancelled() {
            return;
        }
        if let Some((lease, channel)) = call.on {
            let reason = "cancelled by its caller".to_owned();
            if let Some(conn) = alive.links.get(&lease).and_then(|link| link.conn) {
                stage.tell(node, conn, Body::Cancel(channel, CallCancel { reason }));
            }
        } else {
            let code = gridmart_schemas::problem::Code::Terminated;
            self.on_over(stage, id, Err(Problem::new(code, "cancelled")));
        }
    }

    /// A call has come to its end.
    fn on_over(
        &mut self,
        stage: &mut Stage,
        id: CallId,
        end: Result<gridmart_schemas::wire::record::CallEnd, Problem>,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let Some(mut call) = alive.calls.remove(&id) else {
            return;
        };
        call.course.on_ended(end);
        stage.note(
            "a caller knows the end",
            short(id.as_uuid()),
            u64::from(call.course.end().is_some_and(Result::is_ok)),
            || format!("call {}: {:?}", short(id.as_uuid()), call.course.end()),
        );
        if let Some(end) = call.course.end() {
            stage.ledger.on_outcome(id, end);
        }
        let (search, on) = (call.search, call.on);
        if let Some(search) = search {
            self.leave(stage, search);
        }
        if let Some((lease, channel)) = on {
            self.free(stage, lease, channel);
        }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| {
            alive.calls.is_empty() && alive.map.is_none() && alive.links.is_empty()
        })
    }

    /// Maps that run.
    pub(crate) fn job(&self) -> Option<JobId> {
        self.alive.as_ref()?.map.as_ref().map(|map| map.job)
    }

    /// Calls that are not over.
    pub(crate) fn calls(&self) -> Vec<CallId> {
        self.alive
            .iter()
            .flat_map(|alive| alive.calls.keys().copied())
            .collect()
    }

    /// What keeps it busy, for people.
    pub(crate) fn describe(&self) -> String {
        let Some(alive) = &self.alive else {
            return "does not run".to_owned();
        };
        let calls: Vec<_> = alive
            .calls
            .iter()
            .map(|(id, call)| (short(id.as_uuid()), call.on.is_some(), call.search))
            .collect();
        let links: Vec<_> = alive
            .links
            .iter()
            .map(|(id, link)| {
                (
                    short(id.as_uuid()),
                    link.attached,
                    link.work.len(),
                    link.recalled,
                )
            })
            .collect();
        let map = alive
            .map
            .as_ref()
            .map(|map| (map.core.counts(), map.search));
        format!("calls {calls:?}, links {links:?}, map {map:?}")
    }
}
