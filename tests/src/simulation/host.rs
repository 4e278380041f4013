//! A Host: the real roll of leases, tenures, fates and orders; its slots,
//! programs and streams are simulated.
//!
//! What survives a crash: the desired state, the packages, and the journal of
//! records; what was gathered for it and not written is lost.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use gridmart_fabric::ticket::LeaseClaims;
use gridmart_host::{
    compute::{
        Cut,
        fate::{Fate, unstarted},
        roll::{End, Roll, Tenant},
        tenure::{Tenure, Work},
    },
    member::orders,
};
use gridmart_schemas::{
    id::{CallId, Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId},
    problem::{Code, Problem},
    resource::host::ComputeHost,
    wire::{
        call::CallOpen,
        desired::HostDesired,
        record::{CallEnd, CallRecord, CallRecords, CallState, JobProgress},
    },
};
use time::OffsetDateTime;

use super::{
    desk::Desk,
    dice::short,
    message::Body,
    stage::{Conn, MILLI, Node, SECOND, Stage, Time},
    timer::Timer,
};

mod stream;

/// How often leases that are over by themselves are looked for.
const TICK: Time = SECOND;
const GATHER: Time = 200 * MILLI;
const RECORDS_PATIENCE: Time = 15 * SECOND;
/// A killed process is gone by then.
const KILL_TIME: Time = 5 * MILLI;

pub(super) enum Asked {
    Hello,
    Records,
}

macro_rules! shared {
    ($(#[$doc:meta])* $name:ident, $what:ty) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $name(Rc<$what>);

        impl $name {
            pub(super) fn new(what: $what) -> Self {
                Self(Rc::new(what))
            }

            pub(super) fn is(&self, other: &Self) -> bool {
                Rc::ptr_eq(&self.0, &other.0)
            }
        }

        impl std::ops::Deref for $name {
            type Target = $what;

            fn deref(&self) -> &$what {
                &self.0
            }
        }
    };
}

shared!(
    /// A handle on a call.
    CallRef,
    RunCall
);
shared!(
    /// A handle on a lease.
    TenancyRef,
    Tenancy
);

/// A call on this Host.
pub(crate) struct RunCall {
    id: CallId,
    open: CallOpen,
    accepted: OffsetDateTime,
    fate: RefCell<Fate>,
    /// Where its end is to be told.
    attachment: Cell<Option<(Conn, u32)>>,
}

impl Work for CallRef {
    fn id(&self) -> CallId {
        self.id
    }

    fn is_running(&self) -> bool {
        self.fate.borrow().is_running()
    }

    fn has_ended(&self) -> bool {
        self.fate.borrow().end().is_some()
    }
}

/// A lease on this Host.
pub(crate) struct Tenancy {
    /// What its ticket says.
    pub claims: LeaseClaims,
    tenure: RefCell<Tenure<CallRef>>,
    over: Cell<bool>,
}

impl Tenant for TenancyRef {
    fn claims(&self) -> &LeaseClaims {
        &self.claims
    }

    fn is_idle(&self) -> bool {
        self.tenure.borrow().is_idle()
    }
}

enum SlotState {
    /// Looks for work.
    Idle,
    /// Has a call, and waits for one of the Host's slots.
    Waits(CallRef),
    /// Runs it.
    Runs(CallRef),
}

struct Slot {
    lease: TenancyRef,
    counted_idle: bool,
    state: SlotState,
}

struct Attachment {
    lease: TenancyRef,
    presenter: KeyHash,
    channels: BTreeMap<u32, CallRef>,
}

/// What a start of the process has in memory.
pub(crate) struct Alive {
    /// This start.
    pub incarnation: Incarnation,
    /// The real roll.
    pub roll: Roll<TenancyRef>,
    slots: BTreeMap<u64, Slot>,
    last_slot: u64,
    /// The Host's slots that no call has, and who waits for one.
    permits: u32,
    waiting: VecDeque<u64>,
    connections: BTreeMap<Conn, Attachment>,
    element: Option<Conn>,
    welcomed: bool,
    failures: u32,
    sequence: u64,
    next_batch: u64,
    gathered: Vec<CallRecord>,
    jobs: BTreeMap<JobId, JobProgress>,
    telling: bool,
    desk: Desk<Asked>,
}

/// See the module.
pub(crate) struct Host {
    number: usize,
    /// Which.
    pub id: NodeId,
    /// Its Element's number and id.
    pub element: (usize, NodeId),
    /// How many calls may run.
    pub slots: u32,
    description: ComputeHost,
    /// Survives: what should be.
    pub desired: HostDesired,
    packages: BTreeSet<Digest>,
    journal: VecDeque<CallRecords>,
    /// What this start has in memory; absent: it does not run.
    pub alive: Option<Alive>,
}

impl Host {
    /// One that has joined and never run.
    pub(crate) fn new(
        number: usize,
        id: NodeId,
        element: (usize, NodeId),
        slots: u32,
        description: ComputeHost,
    ) -> Self {
        Self {
            number,
            id,
            element,
            slots,
            description,
            desired: HostDesired::default(),
            packages: BTreeSet::new(),
            journal: VecDeque::new(),
            alive: None,
        }
    }

    /// Where it lives.
    pub(crate) const fn node(&self) -> Node {
        Node::Host(self.number)
    }

    /// The process begins, with what is on the disk.
    pub(crate) fn boot(&mut self, stage: &mut Stage) {
        let node = self.node();
        let incarnation = stage.ids.incarnation();
        self.alive = Some(Alive {
            incarnation,
            roll: Roll::new(incarnation),
            slots: BTreeMap::new(),
            last_slot: 0,
            permits: self.slots,
            waiting: VecDeque::new(),
            connections: BTreeMap::new(),
            element: None,
            welcomed: false,
            failures: 0,
            sequence: 0,
            next_batch: self.journal.back().map_or(1, |last| last.sequence + 1),
            gathered: Vec::new(),
            jobs: BTreeMap::new(),
            telling: false,
            desk: Desk::default(),
        });
        stage.timer(node, 0, Timer::Redial);
        stage.timer(node, TICK, Timer::Tick);
    }

    /// The process is gone, with all that ran; `power`: and what was unpacked
    /// may be torn, so that it is fetched again.
    pub(crate) fn die(&mut self, stage: &mut Stage, power: bool) {
        if power {
            self.packages.clear();
        }
        if let Some(alive) = self.alive.take() {
            for tenant in alive.roll.present() {
                for call in tenant.tenure.borrow().live_calls() {
                    stage.ledger.on_host_died(call.id);
                }
            }
            for record in &alive.gathered {
                stage.ledger.on_host_died(record.call);
            }
        }
    }

    // === timers ===

    /// A timer rings.
    pub(crate) fn on_timer(&mut self, stage: &mut Stage, timer: &Timer) {
        let node = self.node();
        match timer {
            Timer::Tick => {
                self.sweep(stage);
                stage.timer(node, TICK, Timer::Tick);
            }
            Timer::Redial => self.dial(stage),
            Timer::Beat(conn) => self.beat(stage, *conn),
            Timer::Gather => self.keep_records(stage),
            Timer::TellRecords => self.tell_records(stage),
            Timer::CallEnds(slot) => self.on_call_ends(stage, *slot, None),
            Timer::Installed(conn, number, digest) => {
                self.on_installed(stage, *conn, *number, digest);
            }
            Timer::Farewell(conn, tries) => self.on_farewell(stage, *conn, *tries),
            Timer::Patience(number) => {
                let taken = self
                    .alive
                    .as_mut()
                    .and_then(|alive| alive.desk.take(*number));
                if let Some((conn, asked)) = taken {
                    self.on_unanswered(stage, conn, &asked);
                }
            }
            _ => {}
        }
    }

    /// Ends leases that are over by themselves.
    fn sweep(&mut self, stage: &mut Stage) {
        let node = self.node();
        let (now, date) = (stage.instant(node), stage.date(node));
        let Some(alive) = &mut self.alive else { return };
        let outlived: Vec<_> = alive
            .roll
            .present()
            .filter_map(|tenant| {
                let grace = super::element::GRACE;
                let reason = tenant.tenure.borrow().outlived(grace, now, date)?;
                Some((tenant.clone(), reason))
            })
            .collect();
        alive.roll.forget(now);
        let mut leases = Vec::new();
        for (tenant, reason) in outlived {
            let detail = format!("The lease is over: {reason}.");
            let problem = Problem::new(Code::LeaseEnded, detail);
            let cut = Cut::Terminated(reason.to_owned());
            self.finish(stage, &tenant, problem, &cut);
            leases.push(tenant.claims.lease);
        }
        self.tell_ended(stage, leases);
    }

    // === leases ===

    /// A lease is over.
    fn finish(&mut self, stage: &mut Stage, tenant: &TenancyRef, problem: Problem, cut: &Cut) {
        let now = stage.instant(self.node());
        if let Some(alive) = &mut self.alive {
            alive
                .roll
                .on_over(tenant.claims.lease, problem.clone(), now);
        }
        self.end_now(stage, tenant, problem, cut);
    }

    fn end_now(&mut self, stage: &mut Stage, tenant: &TenancyRef, problem: Problem, cut: &Cut) {
        stage.note(
            "a lease is over on its Host",
            short(tenant.claims.lease.as_uuid()),
            0,
            || {
                format!(
                    "lease {}: {}",
                    short(tenant.claims.lease.as_uuid()),
                    problem.detail
                )
            },
        );
        tenant.tenure.borrow_mut().close(problem);
        let live = tenant.tenure.borrow().live_calls();
        for call in live {
            self.cut_call(stage, tenant, &call, cut.clone());
        }
        tenant.over.set(true);
        let node = self.node();
        if let Some(alive) = &self.alive {
            for (conn, attachment) in &alive.connections {
                if attachment.lease.is(tenant) {
                    stage.timer(node, 10 * MILLI, Timer::Farewell(*conn, 0));
                }
            }
        }
        self.pump(stage);
    }

    /// The Element ends a lease.
    fn end(&mut self, stage: &mut Stage, id: LeaseId, kill: bool, reason: &str) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        match alive.roll.end(id, kill, reason, now) {
            End::Over(tenant, problem) => {
                let cut = Cut::Terminated(reason.to_owned());
                self.end_now(stage, &tenant, problem, &cut);
            }
            End::Closing(tenant, problem) => tenant.tenure.borrow_mut().close(problem),
            End::Unknown => {}
        }
    }

    /// Takes what should be, and ends what kills have passed.
    fn apply(&mut self, stage: &mut Stage, told: HostDesired) -> Result<(), Problem> {
        self.desired = orders::merge(&self.desired, told)?;
        let desired = self.desired.clone();
        let Some(alive) = &self.alive else {
            return Ok(());
        };
        let cut = alive
            .roll
            .cut(|claims| orders::cut(&desired, &claims.application.digest));
        let mut leases = Vec::new();
        for tenant in cut {
            let problem = Problem::new(Code::LeaseEnded, "It was killed.");
            let cut = Cut::Terminated("killed".to_owned());
            self.finish(stage, &tenant, problem, &cut);
            leases.push(tenant.claims.lease);
        }
        self.tell_ended(stage, leases);
        Ok(())
    }

    // === calls ===

    /// Ends a call, wherever it is; tells whether there was something to end.
    fn cut_call(
        &mut self,
        stage: &mut Stage,
        tenant: &TenancyRef,
        call: &CallRef,
        cut: Cut,
    ) -> bool {
        let waiting = tenant.tenure.borrow_mut().leave_queue(call.id);
        if let Some(call) = waiting {
            self.on_end(stage, tenant, &call, unstarted(&cut));
            return true;
        }
        let is_first = call.fate.borrow_mut().cut(cut);
        let node = self.node();
        if is_first
            && call.is_running()
            && let Some(alive) = &self.alive
        {
            let slot = alive.slots.iter().find(
                |(_, slot)| matches!(&slot.state, SlotState::Runs(running) if running.is(call)),
            );
            if let Some((slot, _)) = slot {
                stage.timer(node, KILL_TIME, Timer::CallEnds(*slot));
            }
        }
        is_first
    }

    /// A call has ended: it is recorded, and its caller hears of it.
    fn on_end(&mut self, stage: &mut Stage, tenant: &TenancyRef, call: &CallRef, end: CallEnd) {
        let node = self.node();
        call.fate.borrow_mut().finish(end.clone());
        stage.note(
            "a call ends on its Host",
            short(call.id.as_uuid()),
            end.state as u64,
            || format!("call {} {:?}", short(call.id.as_uuid()), end.state),
        );
        let record = CallRecord {
            call: call.id,
            job: call.open.part_of.map(|part| part.job),
            part: call.open.part_of.and_then(|part| part.part),
            owner: tenant.claims.sub.clone(),
            application: tenant.claims.application.name.clone(),
            version: tenant.claims.application.version.clone(),
            digest: tenant.claims.application.digest.clone(),
            host: self.id,
            lease: Some(tenant.claims.lease),
            request: None,
            submitted: call.accepted,
            ended: stage.date(node),
            end: end.clone(),
        };
        self.record(stage, record);
        if let Some((conn, channel)) = call.attachment.get() {
            stage.tell(node, conn, Body::Ended(channel, Box::new(end)));
        }
    }

    fn record(&mut self, stage: &mut Stage, record: CallRecord) {
        let node = self.node();
        let host = self.id;
        let Some(alive) = &mut self.alive else { return };
        let succeeded = record.end.succeeded();
        if let Some(job) = record.job {
            let progress = alive.jobs.entry(job).or_insert_with(|| JobProgress {
                report: None,
                lease: None,
                ended: None,
                job,
                owner: record.owner.clone(),
                application: record.application.clone(),
                version: record.version.clone(),
                host,
                finished: 0,
                failed: 0,
                wall_us: 0,
                cpu_us: 0,
            });
            progress.finished += u64::from(succeeded);
            progress.failed += u64::from(!succeeded);
        }
        if record.job.is_none() || !succeeded {
            alive.gathered.push(record);
        }
        stage.timer(node, GATHER, Timer::Gather);
    }

    /// Lets slots take work, and run what the Host has room for.
    fn pump(&mut self, stage: &mut Stage) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        for (number, slot) in &mut alive.slots {
            if !matches!(slot.state, SlotState::Idle) || slot.lease.over.get() {
                continue;
            }
            let next = slot
                .lease
                .tenure
                .borrow_mut()
                .next_call(&mut slot.counted_idle);
            if let Some(call) = next {
                slot.state = SlotState::Waits(call);
                alive.waiting.push_back(*number);
            }
        }
        alive
            .slots
            .retain(|_, slot| !(matches!(slot.state, SlotState::Idle) && slot.lease.over.get()));
        while alive.permits > 0
            && let Some(number) = alive.waiting.pop_front()
        {
            let Some(slot) = alive.slots.get_mut(&number) else {
                continue;
            };
            if let SlotState::Waits(call) = &slot.state {
                let call = call.clone();
                alive.permits -= 1;
                begin(stage, node, number, slot, call);
            }
        }
    }

    /// The call of a slot has ended, by itself or because it was cut.
    fn on_call_ends(&mut self, stage: &mut Stage, number: u64, end: Option<CallEnd>) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(slot) = alive.slots.get_mut(&number) else {
            return;
        };
        let SlotState::Runs(call) = &slot.state else {
            return;
        };
        let (call, tenant) = (call.clone(), slot.lease.clone());
        let cut = call.fate.borrow().cut_reason().cloned();
        let end = end.unwrap_or_else(|| cut.map_or_else(|| finished(&call), |cut| unstarted(&cut)));
        slot.state = SlotState::Idle;
        // The next one of its lease first, with the same slot of the Host.
        let next = tenant.tenure.borrow_mut().next_call_if(|_, _| true);
        match next {
            Some(next) if !tenant.over.get() => begin(stage, node, number, slot, next),
            _ => alive.permits += 1,
        }
        self.on_end(stage, &tenant, &call, end);
        self.pump(stage);
    }

    // === records ===

    fn keep_records(&mut self, stage: &mut Stage) {
        let Some(alive) = &mut self.alive else { return };
        if alive.gathered.is_empty() && alive.jobs.is_empty() {
            return;
        }
        let mut jobs: Vec<_> = std::mem::take(&mut alive.jobs).into_values().collect();
        for job in &mut jobs {
            let report = gridmart_schemas::id::ReportId::from_uuid(*stage.ids.request().as_uuid());
            job.report = Some(report);
        }
        let sequence = alive.next_batch;
        alive.next_batch += 1;
        self.journal.push_back(CallRecords {
            sequence,
            told: None,
            records: std::mem::take(&mut alive.gathered),
            jobs,
            ..CallRecords::default()
        });
        self.tell_records(stage);
    }

    fn tell_records(&mut self, stage: &mut Stage) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(conn) = alive.element.filter(|_| alive.welcomed && !alive.telling) else {
            return;
        };
        if let Some(batch) = self.journal.front() {
            alive.telling = true;
            let body = Body::Records(Box::new(batch.clone()));
            let patience = RECORDS_PATIENCE;
            alive
                .desk
                .ask(stage, node, conn, patience, body, Asked::Records);
        }
    }

    // === what is asked about it ===

    /// Whether nothing is left to do or to tell.
    pub(crate) fn is_idle(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| {
            alive.roll.is_empty()
                && alive.slots.is_empty()
                && alive.gathered.is_empty()
                && alive.jobs.is_empty()
        }) && self.journal.is_empty()
    }

    /// Calls that run, with what their tickets say.
    pub(crate) fn running(&self) -> Vec<(CallId, TenancyRef)> {
        let slots = self.alive.iter().flat_map(|alive| alive.slots.values());
        slots
            .filter_map(|slot| match &slot.state {
                SlotState::Runs(call) => Some((call.id, slot.lease.clone())),
                _ => None,
            })
            .collect()
    }

    /// Whether a running call is to be ended already.
    pub(crate) fn is_being_ended(&self, call: CallId) -> bool {
        let slots = self.alive.iter().flat_map(|alive| alive.slots.values());
        slots.into_iter().any(|slot| {
            matches!(&slot.state, SlotState::Runs(there) if there.id == call
                && there.fate.borrow().cut_reason().is_some())
        })
    }

    /// What keeps it busy, for people.
    pub(crate) fn describe(&self) -> String {
        let Some(alive) = &self.alive else {
            return "does not run".to_owned();
        };
        format!(
            "leases {}, slots {}, records {} and {}, welcomed {}",
            alive.roll.len(),
            alive.slots.len(),
            alive.gathered.len(),
            self.journal.len(),
            alive.welcomed
        )
    }
}

/// A slot of the Host runs a call.
fn begin(stage: &mut Stage, node: Node, number: u64, slot: &mut Slot, call: CallRef) {
    call.fate.borrow_mut().begin();
    stage.note("a call runs", short(call.id.as_uuid()), number, || {
        format!("call {} on {node:?}", short(call.id.as_uuid()))
    });
    stage.ledger.on_run(call.id, &call.open);
    let is_cut = call.fate.borrow().cut_reason().is_some();
    let wait = if is_cut { KILL_TIME } else { duration(&call) };
    slot.state = SlotState::Runs(call);
    stage.timer(node, wait, Timer::CallEnds(number));
}

/// How long a call's program runs: its first argument, in milliseconds.
fn duration(call: &RunCall) -> Time {
    let argument = call.open.arguments.first();
    argument.and_then(|text| text.parse().ok()).unwrap_or(1) * MILLI
}

/// The end of a program that ended by itself: with its second argument.
fn finished(call: &RunCall) -> CallEnd {
    let argument = call.open.arguments.get(1);
    CallEnd {
        state: CallState::Finished,
        exit_code: argument.and_then(|text| text.parse().ok()).or(Some(0)),
        signal: None,
        code: None,
        reason: None,
        wall_us: duration(call),
        cpu_us: 1,
        max_resident_bytes: 0,
        stdout_bytes: 0,
        stderr_bytes: 0,
        staged_in_bytes: 0,
        staged_out_bytes: 0,
    }
}

/// Three heartbeats.
const VALIDITY: Duration = Duration::from_secs(15);
