//! An Element: the real queue, probes, journal of call records, standing file
//! and monitor; its streams are simulated.
//!
//! What survives a crash: what was synced. The journal of leases is not, so it
//! outlives a killed process and not a power cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_element::{
    compute::{
        lease::LeaseState,
        queue::{
            LeaseIds, Queue, Settings,
            application::Manifest,
            effect::Effect,
            entry::{EntryKey, SessionId, Wanted},
            limit::Limits,
        },
    },
    element::{
        probe::{Course, Probes},
        record::journal::RecordJournal,
        standing::{HostWishes, StandingFile, host_desired, merge},
    },
    monitor::Monitor,
};
use gridmart_fabric::disk::test_disk::TestDisk;
use gridmart_schemas::{
    id::{Digest, Incarnation, KeyHash, LeaseId, NodeId},
    problem::{Code, Problem},
    resource::{ce::ComputingElement, host::ComputeHost},
    wire::{
        control_element::Terminated,
        desired::{ElementDesired, Wish},
    },
};

use super::{
    audit::{self, Before},
    desk::Desk,
    dice::lease_ids,
    stage::{Conn, MILLI, Node, SECOND, Stage, Time},
    timer::Timer,
};

mod deed;
mod stream;

/// How long a probe may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// How long Hosts may take to return after a start.
const RETURN_TIME: Duration = Duration::from_secs(20);
/// How often the queue is told that time passes.
const TICK: Time = SECOND;
/// A ticket may be ahead of the wish that offers its application for so long.
const WISH_PATIENCE: Duration = Duration::from_secs(3);
/// Of leases.
const LEASE_LIFE: Duration = Duration::from_mins(2);
/// How long a lost client may take to come back.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

pub(super) enum Asked {
    Hello,
    Ensure(NodeId, Digest),
    Probe(NodeId),
    Desire(NodeId),
    Records,
    Ended(Option<u64>),
    LeaseEnd,
}

/// Who waits for a probe.
pub(super) struct Waiter {
    conn: Conn,
    number: u64,
    again: Duration,
}

/// Somebody waits for Hosts to end something.
pub(super) struct Ending {
    conn: Conn,
    number: u64,
    open: usize,
    ended: u64,
    job: Option<(gridmart_schemas::id::JobId, String)>,
}

/// What a start of the process has in memory.
pub(crate) struct Alive {
    incarnation: Incarnation,
    started: Instant,
    /// The real queue.
    pub queue: Queue,
    standing: StandingFile,
    records: RecordJournal,
    sending_records: bool,
    monitor: Monitor,
    probes: Probes<Waiter>,
    courses: BTreeMap<NodeId, Course>,
    control: Option<Conn>,
    greeted: bool,
    failures: u32,
    sequence: u64,
    /// Streams of Hosts that have said hello.
    pub hosts: BTreeMap<NodeId, (Conn, Incarnation)>,
    sessions: BTreeMap<Conn, (SessionId, KeyHash)>,
    last_session: u64,
    untold: BTreeSet<NodeId>,
    entering: Vec<(Conn, u64, Wanted, Instant)>,
    endings: BTreeMap<u64, Ending>,
    last_ending: u64,
    desk: Desk<Asked>,
    effects: Vec<Effect>,
    /// Of entries, for those who watch.
    priorities: BTreeMap<EntryKey, i32>,
}

/// See the module.
pub(crate) struct Element {
    number: usize,
    /// Which.
    pub id: NodeId,
    control: NodeId,
    description: ComputingElement,
    disk: TestDisk,
    /// Survive: the Host table, the packages, and the leases of an unsynced
    /// journal.
    table: BTreeMap<NodeId, ComputeHost>,
    packages: BTreeSet<Digest>,
    journal: BTreeMap<LeaseId, LeaseState>,
    /// What this start has in memory; absent: it does not run.
    pub alive: Option<Alive>,
}

impl Element {
    /// One that has joined and never run.
    pub(crate) fn new(
        number: usize,
        id: NodeId,
        control: NodeId,
        description: ComputingElement,
    ) -> Self {
        Self {
            number,
            id,
            control,
            description,
            disk: TestDisk::new(),
            table: BTreeMap::new(),
            packages: BTreeSet::new(),
            journal: BTreeMap::new(),
            alive: None,
        }
    }

    /// Where it lives.
    pub(crate) const fn node(&self) -> Node {
        Node::Element(self.number)
    }

    /// A Host joins through it.
    pub(crate) fn on_host_joined(&mut self, id: NodeId, description: ComputeHost) {
        self.table.insert(id, description);
    }

    /// What its Policy says of the queue.
    pub(crate) fn limits(&self) -> Limits {
        Limits::of(&self.description.policy)
    }

    /// The process begins, with what is on the disk.
    pub(crate) fn boot(&mut self, stage: &mut Stage) {
        let node = self.node();
        let now = stage.instant(node);
        let settings = Settings {
            limits: self.limits(),
            reattach_grace: GRACE,
            response_time_floor: Duration::from_secs(5),
        };
        let ids = lease_ids(self.number, stage.life(node).into());
        let mut queue = Queue::with_lease_ids(settings, LeaseIds::from_source(ids));
        for lease in self.journal.values() {
            queue.on_lease_remembered(lease.clone(), now);
        }
        let disk = Arc::new(self.disk.clone());
        let standing = StandingFile::open(disk.clone(), Path::new("/e/controller.json"));
        let records = RecordJournal::open(disk, Path::new("/e/records.journal"));
        let (Ok(standing), Ok(records)) = (standing, records) else {
            return stage
                .ledger
                .fail("an Element cannot read what it has synced");
        };
        let monitor = Monitor::default();
        let desired = standing.get().desired.clone();
        for (id, host) in &self.table {
            monitor.on_known(*id, host.clone().into());
            queue.on_host_known(*id, Arc::new(host.clone()), Wish::default(), false);
        }
        queue.on_desired(&desired, now);
        self.alive = Some(Alive {
            incarnation: stage.ids.incarnation(),
            started: now,
            queue,
            standing,
            records,
            sending_records: false,
            monitor,
            probes: Probes::default(),
            courses: BTreeMap::new(),
            control: None,
            greeted: false,
            failures: 0,
            sequence: 0,
            hosts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
            untold: BTreeSet::new(),
            entering: Vec::new(),
            endings: BTreeMap::new(),
            last_ending: 0,
            desk: Desk::default(),
            effects: Vec::new(),
            priorities: BTreeMap::new(),
        });
        stage.timer(node, TICK, Timer::Tick);
        stage.timer(node, 0, Timer::Redial);
        self.act(stage);
    }

    /// The process is gone; `power`: and with it what was not synced.
    pub(crate) fn die(&mut self, power: bool) {
        self.alive = None;
        if power {
            self.disk.restart();
            self.journal.clear();
        }
    }

    /// Lets the queue decide, and does what follows.
    fn decide<T>(
        &mut self,
        stage: &mut Stage,
        decision: impl FnOnce(&mut Queue, Instant) -> T,
    ) -> Option<T> {
        let now = stage.instant(self.node());
        let limits = self.limits();
        let alive = self.alive.as_mut()?;
        let before = Before::of(&alive.queue);
        let outcome = decision(&mut alive.queue, now);
        alive.watch(stage, limits, &before);
        self.act(stage);
        Some(outcome)
    }

    /// What it has recorded.
    pub(crate) fn desired(&self) -> Option<ElementDesired> {
        let alive = self.alive.as_ref()?;
        Some(alive.standing.get().desired.clone())
    }

    // === timers ===

    /// A timer rings.
    pub(crate) fn on_timer(&mut self, stage: &mut Stage, timer: &Timer) {
        let node = self.node();
        match timer {
            Timer::Tick => {
                self.decide(stage, Queue::on_tick);
                self.enter_again(stage);
                self.send_records(stage);
                stage.timer(node, TICK, Timer::Tick);
            }
            Timer::Redial => self.dial_control(stage),
            Timer::Beat(conn) => self.beat(stage, *conn),
            Timer::Fetched(digest) => self.on_fetched(stage, digest),
            Timer::Patience(number) => {
                let taken = self
                    .alive
                    .as_mut()
                    .and_then(|alive| alive.desk.take(*number));
                if let Some((conn, asked)) = taken {
                    self.on_unanswered(stage, conn, asked);
                }
            }
            Timer::ProbeReturn(host) => self.probe(stage, *host),
            _ => {}
        }
    }

    fn dial_control(&mut self, stage: &mut Stage) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        if alive.control.is_none() {
            let number = alive.desk.number();
            stage.dial(node, Node::Control, None, number);
        }
    }

    fn redial_later(&mut self, stage: &mut Stage) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        alive.failures += 1;
        let wait = backoff(stage, alive.failures);
        stage.timer(node, wait, Timer::Redial);
    }

    /// A package has been asked for: it is here, or the controller gives it.
    fn on_fetched(&mut self, stage: &mut Stage, digest: &Digest) {
        let reachable = stage.is_up(Node::Control)
            && self
                .alive
                .as_ref()
                .and_then(|alive| alive.control)
                .is_some_and(|conn| stage.is_open(conn));
        if reachable {
            self.packages.insert(digest.clone());
        }
        let problem = Problem::new(Code::StagingFailed, "The package cannot be fetched.");
        let here = self.packages.contains(digest);
        self.decide(stage, |queue, now| {
            if here {
                queue.on_application_known(digest, Manifest::default(), now);
            } else {
                queue.on_application_failed(digest, &problem, now);
            }
        });
    }

    // === what should be ===

    /// Records what should be, then applies it.
    fn apply(&mut self, stage: &mut Stage, desired: ElementDesired) -> Result<u64, Problem> {
        let gone = || Problem::new(Code::Unavailable, "gone");
        let alive = self.alive.as_mut().ok_or_else(gone)?;
        let before = alive.standing.get().desired.clone();
        let desired = merge(&before, desired);
        let recorded = alive
            .standing
            .update(|standing| standing.desired = desired.clone());
        if recorded.is_err() {
            return Err(Problem::new(Code::StorageFailed, "the disk refuses"));
        }
        let generation = desired.wish.generation;
        stage.note(
            "an Element records what should be",
            self.number as u64,
            generation,
            || format!("element {} generation {generation}", self.number),
        );
        self.decide(stage, |queue, now| queue.on_desired(&desired, now));
        self.enter_again(stage);
        self.tell_hosts(stage, &before, &desired);
        Ok(generation)
    }

    fn tell_hosts(&mut self, stage: &mut Stage, before: &ElementDesired, desired: &ElementDesired) {
        let Some(alive) = &mut self.alive else { return };
        let (old, new) = (HostWishes::of(before), HostWishes::of(desired));
        let told: Vec<_> = alive
            .hosts
            .iter()
            .filter(|(host, _)| {
                before.revoked != desired.revoked
                    || old.host(**host) != new.host(**host)
                    || alive.untold.contains(*host)
            })
            .map(|(host, _)| (*host, new.host(*host)))
            .collect();
        for (host, _) in &told {
            alive.untold.remove(host);
        }
        for (host, desired) in told {
            self.tell_host(stage, host, desired);
        }
    }

    /// Entries that wait for the wish that offers their application.
    fn enter_again(&mut self, stage: &mut Stage) {
        let Some(alive) = &mut self.alive else { return };
        for (conn, number, wanted, deadline) in std::mem::take(&mut alive.entering) {
            self.enter(stage, conn, number, wanted, deadline);
        }
    }

    // === records ===

    fn send_records(&mut self, stage: &mut Stage) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(conn) = alive.control.filter(|_| alive.greeted) else {
            return;
        };
        if alive.sending_records {
            return;
        }
        if let Some(batch) = alive.records.due() {
            alive.sending_records = true;
            let body = super::message::Body::Records(Box::new(batch));
            let patience = 30 * SECOND;
            alive
                .desk
                .ask(stage, node, conn, patience, body, Asked::Records);
        }
    }

    /// Whether nothing is left to do or to tell.
    pub(crate) fn is_idle(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| {
            alive.queue.is_idle() && alive.records.is_empty() && alive.entering.is_empty()
        })
    }

    /// What keeps it busy, for people.
    pub(crate) fn describe(&self) -> String {
        let Some(alive) = &self.alive else {
            return "does not run".to_owned();
        };
        let leases: Vec<String> = alive
            .queue
            .leases()
            .iter()
            .map(|lease| {
                format!(
                    "{:?} slots {} host {} session {:?} orphan {} attached {}",
                    lease.stage,
                    lease.slots,
                    super::dice::short(lease.host.as_uuid()),
                    lease.session,
                    lease.orphan_until.is_some(),
                    lease.attached
                )
            })
            .collect();
        format!(
            "entries {}, records {}, leases {leases:?}",
            alive.queue.waiting_entries().len(),
            alive.records.len()
        )
    }
}

impl Alive {
    /// Looks at what the queue has just decided.
    fn watch(&mut self, stage: &mut Stage, limits: Limits, before: &Before) {
        self.effects = self.queue.take_effects();
        let given: BTreeMap<LeaseId, EntryKey> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Granted { entry, lease } => Some((*lease, *entry)),
                _ => None,
            })
            .collect();
        let priority = |lease: &LeaseState| {
            let key = lease.entry.or_else(|| given.get(&lease.id).copied())?;
            self.priorities.get(&key).copied()
        };
        audit::decision(stage, &self.queue, limits, before, priority);
    }
}

/// A pause that grows, as the dialler of streams does it.
pub(crate) fn backoff(stage: &mut Stage, failures: u32) -> Time {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = ((200 * MILLI) << doublings).min(15 * SECOND);
    stage.dice.between(whole / 2, whole)
}
