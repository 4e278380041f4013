//! The stage on which all nodes act: time, the network, processes, and the log
//! of what happened.
//!
//! Invariants: what happens depends on the seed alone; messages of a
//! connection arrive in order, or not at all; a process that is stopped or dead
//! does nothing, and a dead one's timers never ring in its next life.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::{AccessClaims, LeaseClaims};
use gridmart_schemas::{
    id::KeyHash,
    problem::{Code, Problem},
};
use time::OffsetDateTime;

use super::{
    dice::{Dice, Ids},
    ledger::Ledger,
    message::{Body, Message},
    timer::Timer,
};

/// Microseconds since the history began.
pub(crate) type Time = u64;
/// One second.
pub(crate) const SECOND: Time = 1_000_000;
/// One millisecond.
pub(crate) const MILLI: Time = 1_000;
/// A peer that is silent for this long is cut, as real streams do it.
const SILENCE: Time = 30 * SECOND;
/// A dial is given up after this.
const DIAL_PATIENCE: Time = 10 * SECOND;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The controller.
    Control,
    /// An Element.
    Element(usize),
    /// A Host.
    Host(usize),
    /// A person's program.
    Client(usize),
}

/// A connection.
pub(crate) type Conn = u64;

/// What is to happen.
pub(crate) enum Event {
    /// A message arrives.
    Deliver(Conn, Node, Message),
    /// A side learns that a connection is over.
    Closed(Conn, Node),
    /// A dial has come to an end; the number is the dialler's own.
    Dialled(Node, u64, Result<Conn, ()>),
    /// A timer rings, in the life that set it.
    Timer(Node, u32, Timer),
    /// A silent peer is noticed: if it was not heard since.
    Silence(Conn, Node, u32),
    /// The world does something.
    World(u32),
    /// A process starts.
    Boot(Node),
    /// A stopped process goes on.
    Thaw(Node, u32),
}

struct Line {
    dialler: Node,
    server: Node,
    /// With which key the dialler opened TLS, if it is a program.
    key: Option<KeyHash>,
    /// Which side still believes in it.
    open: [bool; 2],
    /// Nothing gets through any more, though nobody has noticed.
    broken: bool,
    delay: Time,
    /// When the last message each way arrives.
    last: [Time; 2],
}

/// What is known of a process.
#[derive(Default)]
struct Process {
    up: bool,
    life: u32,
    frozen: Option<u32>,
    freezes: u32,
    /// What happened while it was frozen.
    held: Vec<(u64, Event)>,
    /// Its clock against the true one: microseconds, and millionths.
    offset: i64,
    drift: i64,
}

/// Tickets: who holds a number holds a signed ticket.
#[derive(Default)]
pub(crate) struct Vault {
    access: Vec<AccessClaims>,
    leases: Vec<LeaseClaims>,
}

impl Vault {
    /// Signs.
    pub(crate) fn sign_access(&mut self, claims: AccessClaims) -> String {
        self.access.push(claims);
        format!("A{}", self.access.len() - 1)
    }

    /// Signs.
    pub(crate) fn sign_lease(&mut self, claims: LeaseClaims) -> String {
        self.leases.push(claims);
        format!("L{}", self.leases.len() - 1)
    }

    /// Checks the signature.
    pub(crate) fn access(&self, ticket: &str) -> Result<AccessClaims, Problem> {
        found(&self.access, 'A', ticket)
    }

    /// Checks the signature.
    pub(crate) fn lease(&self, ticket: &str) -> Result<LeaseClaims, Problem> {
        found(&self.leases, 'L', ticket)
    }
}

fn found<T: Clone>(of: &[T], kind: char, ticket: &str) -> Result<T, Problem> {
    ticket
        .strip_prefix(kind)
        .and_then(|number| of.get(number.parse::<usize>().ok()?).cloned())
        .ok_or_else(|| Problem::new(Code::TicketInvalid, "no such ticket"))
}

/// See the module.
pub(crate) struct Stage {
    /// Chance.
    pub dice: Dice,
    /// Ids.
    pub ids: Ids,
    /// Signed tickets.
    pub vault: Vault,
    /// What the world knows to be true.
    pub ledger: Ledger,
    /// The true time.
    pub now: Time,
    /// How many events there were.
    pub steps: u64,
    /// Of all that happened.
    pub hash: u64,
    epoch: Instant,
    events: BTreeMap<(Time, u64), Event>,
    order: u64,
    lines: BTreeMap<Conn, Line>,
    last_conn: Conn,
    processes: BTreeMap<Node, Process>,
    /// Pairs between which nothing gets through.
    parted: BTreeSet<(Node, Node)>,
    /// Pairs between which everything is slow, and how slow.
    slow: BTreeMap<(Node, Node), Time>,
    /// The last lines, and how many are kept.
    shown: VecDeque<String>,
    shown_max: usize,
}

fn pair(one: Node, other: Node) -> (Node, Node) {
    (one.min(other), one.max(other))
}

impl Stage {
    /// An empty one; so many of the last lines of the log are kept.
    pub(crate) fn new(seed: u64, shown_max: usize) -> Self {
        Self {
            dice: Dice::new(seed),
            ids: Ids::default(),
            vault: Vault::default(),
            ledger: Ledger::default(),
            now: 0,
            steps: 0,
            hash: 0xCBF2_9CE4_8422_2325,
            epoch: Instant::now(),
            events: BTreeMap::new(),
            order: 0,
            lines: BTreeMap::new(),
            last_conn: 0,
            processes: BTreeMap::new(),
            parted: BTreeSet::new(),
            slow: BTreeMap::new(),
            shown: VecDeque::new(),
            shown_max,
        }
    }

    // === the log ===

    /// Something happened: into the hash, and into the log if there is one.
    pub(crate) fn note(
        &mut self,
        what: &str,
        one: u64,
        other: u64,
        words: impl FnOnce() -> String,
    ) {
        for part in [self.now, one, other] {
            self.mix(part);
        }
        for byte in what.bytes() {
            self.mix(byte.into());
        }
        if self.shown_max > 0 {
            if self.shown.len() == self.shown_max {
                self.shown.pop_front();
            }
            #[expect(clippy::cast_precision_loss, reason = "shown to people")]
            let seconds = self.now as f64 / 1e6;
            let line = format!("{seconds:>10.3} s  {what}: {}", words());
            self.shown.push_back(line);
        }
    }

    const fn mix(&mut self, part: u64) {
        self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01B3);
    }

    /// The last lines.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.shown.iter().cloned().collect()
    }

    // === time ===

    /// What a node's steady clock shows.
    pub(crate) fn instant(&self, node: Node) -> Instant {
        let drift = self.processes.get(&node).map_or(0, |process| process.drift);
        let drifted = i128::from(self.now) + i128::from(self.now) * i128::from(drift) / 1_000_000;
        self.epoch + Duration::from_micros(u64::try_from(drifted).unwrap_or(0))
    }

    /// What a node's wall clock shows.
    pub(crate) fn date(&self, node: Node) -> OffsetDateTime {
        let offset = self
            .processes
            .get(&node)
            .map_or(0, |process| process.offset);
        let begin = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        begin + time::Duration::microseconds(self.now.cast_signed().saturating_add(offset))
    }

    /// Sets a node's clock.
    pub(crate) fn set_clock(&mut self, node: Node, offset: i64, drift: i64) {
        let process = self.processes.entry(node).or_default();
        (process.offset, process.drift) = (offset, drift);
    }

    /// Lets a node's wall clock jump.
    pub(crate) fn jump_clock(&mut self, node: Node, by: i64) {
        let process = self.processes.entry(node).or_default();
        process.offset = process.offset.saturating_add(by);
    }

    /// A node's wall clock is off by no more than this again.
    pub(crate) fn right_clock(&mut self, node: Node, offset: i64) {
        self.processes.entry(node).or_default().offset = offset;
    }

    /// A stopped process goes on, if it is stopped.
    pub(crate) fn thaw(&mut self, node: Node) {
        let frozen = self.processes.get(&node).and_then(|process| process.frozen);
        if let Some(freeze) = frozen {
            self.after(0, Event::Thaw(node, freeze));
        }
    }

    // === events ===

    /// Has something happen after `wait`.
    pub(crate) fn after(&mut self, wait: Time, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.events.insert((time, self.order), event);
    }

    /// Lets a timer of a node ring after `wait`, if the node lives on.
    pub(crate) fn timer(&mut self, node: Node, wait: Time, timer: Timer) {
        let life = self.life(node);
        self.after(wait, Event::Timer(node, life, timer));
    }

    /// The next event that concerns somebody who is there to see it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let ((time, order), event) = self.events.pop_first()?;
            self.now = time;
            if let Some(event) = self.admit(event, order) {
                self.steps += 1;
                return Some(event);
            }
        }
    }

    /// Whether the event happens now; a frozen process has it later.
    fn admit(&mut self, event: Event, order: u64) -> Option<Event> {
        let node = match &event {
            Event::Deliver(conn, to, _) => {
                let line = self.lines.get(conn)?;
                if line.broken || !line.open[side(line, *to)] {
                    return None;
                }
                *to
            }
            Event::Closed(conn, to) => {
                let line = self.lines.get(conn)?;
                if !line.open[side(line, *to)] {
                    return None;
                }
                *to
            }
            Event::Dialled(node, ..) => *node,
            Event::Timer(node, life, _) => {
                if self.life(*node) != *life {
                    return None;
                }
                *node
            }
            Event::Silence(conn, node, freeze) => {
                let frozen = self.processes.get(node)?.frozen == Some(*freeze);
                if frozen {
                    let line = self.lines.get(conn)?;
                    let other = if line.dialler == *node {
                        line.server
                    } else {
                        line.dialler
                    };
                    self.break_line(*conn);
                    self.after(0, Event::Closed(*conn, other));
                    self.after(0, Event::Closed(*conn, *node));
                }
                return None;
            }
            Event::World(_) | Event::Boot(_) => return Some(event),
            Event::Thaw(node, freeze) => {
                let process = self.processes.get_mut(node)?;
                if process.frozen != Some(*freeze) {
                    return None;
                }
                process.frozen = None;
                let held = std::mem::take(&mut process.held);
                // With the order that they had: nothing of a stream overtakes.
                for (order, event) in held {
                    self.events.insert((self.now, order), event);
                }
                return Some(event);
            }
        };
        let process = self.processes.get_mut(&node)?;
        if !process.up {
            return None;
        }
        if process.frozen.is_some() {
            process.held.push((order, event));
            return None;
        }
        if let Event::Closed(conn, to) = &event {
            self.forget_side(*conn, *to);
        }
        Some(event)
    }

    // === processes ===

    /// Which life of a process this is.
    pub(crate) fn life(&self, node: Node) -> u32 {
        self.processes.get(&node).map_or(0, |process| process.life)
    }

    /// Whether it runs, stopped or not.
    pub(crate) fn is_up(&self, node: Node) -> bool {
        self.processes.get(&node).is_some_and(|process| process.up)
    }

    /// Whether it is stopped.
    pub(crate) fn is_frozen(&self, node: Node) -> bool {
        self.processes
            .get(&node)
            .is_some_and(|process| process.frozen.is_some())
    }

    /// A process begins.
    pub(crate) fn on_start(&mut self, node: Node) {
        let process = self.processes.entry(node).or_default();
        process.up = true;
        process.life += 1;
        process.frozen = None;
    }

    /// A process dies; `silent`: its machine with it, so that nobody is told.
    pub(crate) fn on_death(&mut self, node: Node, silent: bool) {
        let process = self.processes.entry(node).or_default();
        process.up = false;
        process.life += 1;
        process.frozen = None;
        process.held.clear();
        for conn in self.lines_of(node) {
            if silent {
                self.break_line(conn);
                let wait = self.dice.between(SECOND, SILENCE);
                if let Some(other) = self.other(conn, node) {
                    self.after(wait, Event::Closed(conn, other));
                }
                self.forget_side(conn, node);
            } else {
                self.close(conn, node);
            }
        }
    }

    /// A process is stopped for a while.
    pub(crate) fn freeze(&mut self, node: Node, wait: Time) {
        let process = self.processes.entry(node).or_default();
        process.freezes += 1;
        let freeze = process.freezes;
        process.frozen = Some(freeze);
        for conn in self.lines_of(node) {
            self.after(SILENCE, Event::Silence(conn, node, freeze));
        }
        self.after(wait, Event::Thaw(node, freeze));
    }

    // === the network ===

    fn lines_of(&self, node: Node) -> Vec<Conn> {
        self.lines
            .iter()
            .filter(|(_, line)| line.dialler == node || line.server == node)
            .map(|(conn, _)| *conn)
            .collect()
    }

    fn delay(&mut self, one: Node, other: Node) -> Time {
        let slow = self.slow.get(&pair(one, other)).copied().unwrap_or(0);
        self.dice.between(MILLI / 5, 3 * MILLI) + slow
    }

    fn is_parted(&self, one: Node, other: Node) -> bool {
        self.parted.contains(&pair(one, other))
    }

    /// Dials; the answer comes as [`Event::Dialled`] with this number.
    pub(crate) fn dial(&mut self, from: Node, to: Node, key: Option<KeyHash>, number: u64) {
        let delay = self.delay(from, to);
        if self.is_parted(from, to) || self.is_frozen(to) {
            return self.after(DIAL_PATIENCE, Event::Dialled(from, number, Err(())));
        }
        if !self.is_up(to) {
            return self.after(2 * delay, Event::Dialled(from, number, Err(())));
        }
        self.last_conn += 1;
        let conn = self.last_conn;
        let line = Line {
            dialler: from,
            server: to,
            key,
            open: [true, true],
            broken: false,
            delay,
            last: [0, 0],
        };
        self.lines.insert(conn, line);
        self.after(3 * delay, Event::Dialled(from, number, Ok(conn)));
    }

    /// Whether both ends believe in it, and it works.
    pub(crate) fn is_open(&self, conn: Conn) -> bool {
        self.lines
            .get(&conn)
            .is_some_and(|line| !line.broken && line.open == [true, true])
    }

    /// Whether this side believes in it.
    pub(crate) fn believes(&self, conn: Conn, node: Node) -> bool {
        self.lines
            .get(&conn)
            .is_some_and(|line| line.open[side(line, node)])
    }

    /// With which key its dialler came.
    pub(crate) fn key_of(&self, conn: Conn) -> Option<KeyHash> {
        self.lines.get(&conn)?.key.clone()
    }

    /// Who dialled.
    pub(crate) fn dialler(&self, conn: Conn) -> Option<Node> {
        self.lines.get(&conn).map(|line| line.dialler)
    }

    fn other(&self, conn: Conn, node: Node) -> Option<Node> {
        let line = self.lines.get(&conn)?;
        Some(if line.dialler == node {
            line.server
        } else {
            line.dialler
        })
    }

    /// Sends on a connection; what is sent on a lost one is lost.
    pub(crate) fn send(&mut self, from: Node, conn: Conn, message: Message) {
        let Some((one, other)) = self
            .lines
            .get(&conn)
            .map(|line| (line.dialler, line.server))
        else {
            return;
        };
        let jitter = self.dice.between(0, 300);
        let slow = self.slow.get(&pair(one, other)).copied().unwrap_or(0);
        let now = self.now;
        let Some(line) = self.lines.get_mut(&conn) else {
            return;
        };
        let mine = side(line, from);
        if !line.open[mine] {
            return;
        }
        let arrival = (now + line.delay.max(slow) + jitter).max(line.last[1 - mine] + 1);
        line.last[1 - mine] = arrival;
        let to = if mine == 0 { line.server } else { line.dialler };
        self.at(arrival, Event::Deliver(conn, to, message));
    }

    /// Tells, without an answer.
    pub(crate) fn tell(&mut self, from: Node, conn: Conn, body: Body) {
        self.send(from, conn, Message::Tell(body));
    }

    /// This side closes it; the other learns of it after all that was sent.
    pub(crate) fn close(&mut self, conn: Conn, node: Node) {
        let Some(other) = self.other(conn, node) else {
            return;
        };
        let Some(line) = self.lines.get(&conn) else {
            return;
        };
        if !line.open[side(line, node)] {
            return;
        }
        let theirs = side(line, other);
        let when = (self.now + line.delay).max(line.last[theirs] + 1);
        let (broken, open) = (line.broken, line.open[theirs]);
        self.forget_side(conn, node);
        if open && !broken {
            self.at(when, Event::Closed(conn, other));
        }
    }

    fn forget_side(&mut self, conn: Conn, node: Node) {
        if let Some(line) = self.lines.get_mut(&conn) {
            let mine = side(line, node);
            line.open[mine] = false;
            if line.open == [false, false] {
                self.lines.remove(&conn);
            }
        }
    }

    fn break_line(&mut self, conn: Conn) {
        if let Some(line) = self.lines.get_mut(&conn) {
            line.broken = true;
        }
    }

    /// Cuts one connection under its ends: what is on its way is lost, and each
    /// end learns so in its own time, `patience` at most.
    pub(crate) fn cut(&mut self, conn: Conn, patience: Time) {
        let Some((one, other)) = self
            .lines
            .get(&conn)
            .map(|line| (line.dialler, line.server))
        else {
            return;
        };
        self.break_line(conn);
        for node in [one, other] {
            let wait = self.dice.between(0, patience.min(SILENCE));
            self.after(wait, Event::Closed(conn, node));
        }
    }

    /// Cuts a pair of nodes off from each other.
    pub(crate) fn part(&mut self, one: Node, other: Node) {
        self.parted.insert(pair(one, other));
        for conn in self.lines_between(one, other) {
            self.cut(conn, SILENCE);
        }
    }

    /// All connections between two nodes.
    pub(crate) fn lines_between(&self, one: Node, other: Node) -> Vec<Conn> {
        self.lines
            .iter()
            .filter(|(_, line)| pair(line.dialler, line.server) == pair(one, other))
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// All connections.
    pub(crate) fn all_lines(&self) -> Vec<Conn> {
        self.lines.keys().copied().collect()
    }

    /// Makes everything between two nodes slow.
    pub(crate) fn slow_down(&mut self, one: Node, other: Node, by: Time) {
        self.slow.insert(pair(one, other), by);
    }

    /// The network is well again.
    pub(crate) fn heal(&mut self) {
        self.parted.clear();
        self.slow.clear();
    }
}

fn side(line: &Line, node: Node) -> usize {
    usize::from(line.dialler != node)
}
