//! Leases: the right of one person's program to use slots of this Host for
//! one application.
//!
//! A lease begins when its ticket is first shown and is over when the Element
//! ends it, its caller stays away beyond the grace, or a kill passes its
//! epochs. Its slots are tasks, made when they are needed, each with a sandbox
//! of its own. The Host's slots in total are a semaphore over all leases.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::LeaseClaims;
use gridmart_schemas::{
    id::{CallId, LeaseId},
    problem::{Code, Problem},
    wire::{
        call::CallOpen,
        element_host::HeldLease,
        record::{CallEnd, CallRecord, CallState},
    },
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    call::Call, command::is_cut, deploy::Application, limits::Limits, services::Services, slot,
    verdict::Cut,
};

/// Calls of one lease that may be open (waiting, running, or ended and not
/// closed): a program opens parts of a map far ahead of the slots.
pub(crate) const OPEN_CALLS_MAX: usize = 1024;
/// Calls shorter than this are given to runners ahead of time.
const QUICK_CALL_US: u64 = 10_000;
/// A runner has no more work ahead than this, beyond a few calls: another slot
/// may be free of work sooner.
const AHEAD_WORK_US: u64 = 20_000;
const AHEAD_FEW: u64 = 4;

struct State {
    calls: HashMap<CallId, Arc<Call>>,
    queue: VecDeque<Arc<Call>>,
    /// Slot tasks that exist, and those of them that wait for work.
    slots_made: u32,
    slots_idle: u32,
    connections: u32,
    /// Since when nobody is attached.
    detached: Option<Instant>,
    /// The newest ticket's expiry, seconds since 1970.
    expires: i64,
    /// No new calls any more, and why.
    closing: Option<Problem>,
}

impl State {
    /// A new slot counts as idle until it takes its first call.
    fn make_slot(&mut self, lease: &Arc<Lease>) {
        self.slots_made += 1;
        self.slots_idle += 1;
        slot::spawn(Arc::clone(lease));
    }
}

/// One lease.
pub(crate) struct Lease {
    pub(crate) claims: LeaseClaims,
    pub(crate) application: Arc<Application>,
    pub(crate) limits: Limits,
    pub(crate) services: Arc<Services>,
    /// Cancelled when the lease is over: its slots end.
    pub(crate) over: CancellationToken,
    work: Notify,
    /// Sliding mean of the wall time of its calls, microseconds; 0: none yet.
    mean_us: AtomicU64,
    state: Mutex<State>,
}

impl Lease {
    pub(crate) fn new(
        claims: LeaseClaims,
        application: Arc<Application>,
        services: Arc<Services>,
    ) -> Arc<Self> {
        let limits = Limits::of(
            &application.manifest.policy,
            &services.policy,
            services.enforceable,
        );
        let expires = claims.exp;
        Arc::new(Self {
            claims,
            application,
            limits,
            services,
            over: CancellationToken::new(),
            work: Notify::new(),
            mean_us: AtomicU64::new(0),
            state: Mutex::new(State {
                calls: HashMap::new(),
                queue: VecDeque::new(),
                slots_made: 0,
                slots_idle: 0,
                connections: 0,
                detached: Some(Instant::now()),
                expires,
                closing: None,
            }),
        })
    }

    pub(crate) const fn id(&self) -> LeaseId {
        self.claims.lease
    }

    // === connections ===

    /// A connection is attached; the calls that the lease holds.
    pub(crate) fn on_attach(self: &Arc<Self>, expires: i64) -> Vec<CallId> {
        let mut state = self.state.lock();
        state.connections += 1;
        state.detached = None;
        state.expires = state.expires.max(expires);
        if state.slots_made == 0 {
            // The first sandbox is made while the first call is on its way.
            state.make_slot(self);
        }
        let mut held: Vec<_> = state.calls.keys().copied().collect();
        held.sort_unstable();
        held
    }

    /// A renewed ticket was shown.
    pub(crate) fn on_renewal(&self, expires: i64) {
        let mut state = self.state.lock();
        state.expires = state.expires.max(expires);
    }

    /// A connection is gone.
    pub(crate) fn on_detach(&self) {
        let mut state = self.state.lock();
        state.connections = state.connections.saturating_sub(1);
        if state.connections == 0 {
            state.detached = Some(Instant::now());
        }
    }

    // === calls ===

    /// Finds the call to go on with, or makes a new one, which waits until
    /// [`Self::enqueue`]. The flag tells whether it is new.
    pub(crate) fn open(&self, open: CallOpen) -> Result<(Arc<Call>, bool), Problem> {
        let mut state = self.state.lock();
        if let Some(call) = state.calls.get(&open.call) {
            return Ok((Arc::clone(call), false));
        }
        if open.resume.is_some() {
            return Err(Problem::new(
                Code::UnknownCall,
                format!("The Host holds no call {}.", open.call),
            ));
        }
        if let Some(problem) = &state.closing {
            return Err(problem.clone());
        }
        self.services
            .commands
            .require_serving(&self.application.digest)?;
        if state.expires < OffsetDateTime::now_utc().unix_timestamp() {
            return Err(Problem::new(
                Code::TicketExpired,
                "The lease's ticket has expired and was not renewed.",
            ));
        }
        if state.calls.len() >= OPEN_CALLS_MAX {
            let detail = format!("The lease has {OPEN_CALLS_MAX} open calls already.");
            return Err(Problem::new(Code::Busy, detail));
        }
        let log = self
            .services
            .logs
            .writer(&self.application.digest, open.call, &self.claims.sub);
        let call = Call::new(open, self.services.incarnation, &self.services.spools, log);
        state.calls.insert(call.id, Arc::clone(&call));
        Ok((call, true))
    }

    /// Puts new calls in line, and sees that there are slots for them.
    pub(crate) fn enqueue(self: &Arc<Self>, calls: impl IntoIterator<Item = Arc<Call>>) {
        let mut state = self.state.lock();
        state.queue.extend(calls);
        let wanted = u32::try_from(state.queue.len()).unwrap_or(u32::MAX);
        while state.slots_idle < wanted && state.slots_made < self.claims.slots.max(1) {
            state.make_slot(self);
        }
        drop(state);
        self.work.notify_waiters();
    }

    /// Puts calls back to the front that a runner had and did not start.
    pub(crate) fn requeue(self: &Arc<Self>, call: Arc<Call>) {
        self.state.lock().queue.push_front(call);
        self.enqueue([]);
    }

    /// The program has the call's end: its output is not needed any more.
    pub(crate) fn close_call(&self, call: &Call) {
        if call.has_ended() {
            self.state.lock().calls.remove(&call.id);
        }
    }

    /// Ends a call, wherever it is; tells whether there was something to end:
    /// one that is being ended already is not ended twice.
    pub(crate) fn cut_call(self: &Arc<Self>, call: &Arc<Call>, cut: Cut) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            let place = state.queue.iter().position(|waiting| waiting.id == call.id);
            place.and_then(|place| state.queue.remove(place))
        };
        if let Some(call) = waiting {
            self.finish(&call, unstarted(&cut));
            return true;
        }
        call.cut(cut)
    }

    /// Finds a call.
    pub(crate) fn call(&self, id: CallId) -> Option<Arc<Call>> {
        self.state.lock().calls.get(&id).cloned()
    }

    /// All calls that have not ended.
    pub(crate) fn live_calls(&self) -> Vec<Arc<Call>> {
        self.state
            .lock()
            .calls
            .values()
            .filter(|call| !call.has_ended())
            .cloned()
            .collect()
    }

    /// A call has ended: it is recorded, and its caller hears of it.
    pub(crate) fn finish(&self, call: &Arc<Call>, end: CallEnd) {
        let services = &self.services;
        let end = call.finish(end);
        if let (Some(code), Some(reason)) = (end.code, &end.reason) {
            services.logs.note(
                &self.application.digest,
                call.id,
                &self.claims.sub,
                &format!("[{code}] {reason}"),
            );
        }
        if end.wall_us > 0 {
            let mean = self.mean_us.load(Ordering::Relaxed);
            let mean = if mean == 0 {
                end.wall_us
            } else {
                (mean * 7 + end.wall_us) / 8
            };
            self.mean_us.store(mean.max(1), Ordering::Relaxed);
        }
        services.recent.on_end(&end);
        services.metrics.on_end(end.state);
        tracing::debug!(
            call.id = %call.id, lease.id = %self.id(), state = ?end.state, exit_code = end.exit_code,
            reason = end.reason.as_deref(), wall_us = end.wall_us, "a call has ended"
        );
        services.recorder.add(CallRecord {
            call: call.id,
            job: call.open.part_of.map(|part| part.job),
            part: call.open.part_of.and_then(|part| part.part),
            owner: self.claims.sub.clone(),
            application: self.claims.application.name.clone(),
            version: self.claims.application.version.clone(),
            digest: self.application.digest.clone(),
            host: services.host,
            request: call.open.request,
            submitted: call.accepted,
            ended: OffsetDateTime::now_utc(),
            end,
        });
    }

    // === slots ===

    /// Waits for a call; `None` when the lease is over.
    pub(crate) async fn next_call(&self, counted_idle: &mut bool) -> Option<Arc<Call>> {
        loop {
            let notified = self.work.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut state = self.state.lock();
                if self.over.is_cancelled() {
                    return None;
                }
                if let Some(call) = state.queue.pop_front() {
                    if std::mem::take(counted_idle) {
                        state.slots_idle = state.slots_idle.saturating_sub(1);
                    }
                    return Some(call);
                }
                if !std::mem::replace(counted_idle, true) {
                    state.slots_idle += 1;
                }
            }
            tokio::select! {
                () = notified => {}
                () = self.over.cancelled() => return None,
            }
        }
    }

    /// Takes the next call, if one waits.
    pub(crate) fn try_next_call(&self) -> Option<Arc<Call>> {
        self.state.lock().queue.pop_front()
    }

    /// Takes a call that a busy runner with so many calls can have ahead of
    /// time: only where calls are short, and more of them wait than there are
    /// slots.
    pub(crate) fn try_call_ahead(&self, in_flight: usize) -> Option<Arc<Call>> {
        let mean = self.mean_us.load(Ordering::Relaxed);
        let in_flight = in_flight as u64;
        if mean == 0
            || mean > QUICK_CALL_US
            || (in_flight >= AHEAD_FEW && in_flight * mean > AHEAD_WORK_US)
        {
            return None;
        }
        let mut state = self.state.lock();
        if state.queue.len() < self.claims.slots as usize || !state.queue.front()?.can_go_ahead() {
            return None;
        }
        state.queue.pop_front()
    }

    // === its end ===

    /// Takes no new calls from now on.
    pub(crate) fn close(&self, problem: Problem) {
        self.state.lock().closing.get_or_insert(problem);
    }

    /// Why it takes no calls any more.
    pub(crate) fn closing_problem(&self) -> Problem {
        let closing = self.state.lock().closing.clone();
        closing.unwrap_or_else(|| Problem::new(Code::LeaseEnded, "The lease is over."))
    }

    /// Ends all of its calls.
    pub(crate) fn cut_all(self: &Arc<Self>, cut: &Cut) -> u64 {
        self.live_calls()
            .iter()
            .map(|call| u64::from(self.cut_call(call, cut.clone())))
            .sum()
    }

    /// Tells whether all that it had to do is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.live_calls().is_empty()
    }

    /// Why it is over by itself at this moment, if it is.
    pub(crate) fn outlived(&self, grace: Duration, now: OffsetDateTime) -> Option<&'static str> {
        let idle = self.is_idle();
        let state = self.state.lock();
        let detached = state.detached.is_some_and(|since| since.elapsed() >= grace);
        if detached {
            return Some("its caller went away and did not come back");
        }
        if state.closing.is_some() && idle {
            return Some("it was given back");
        }
        let expired = state.expires.saturating_add_unsigned(grace.as_secs()) < now.unix_timestamp();
        (expired && idle && state.calls.is_empty()).then_some("its ticket has expired")
    }

    /// Tells whether a kill has passed it.
    pub(crate) fn is_cut(&self) -> bool {
        is_cut(
            self.claims.cut,
            self.services.commands.cut(&self.application.digest),
        )
    }

    /// As the Element is told of it.
    pub(crate) fn held(&self) -> HeldLease {
        let state = self.state.lock();
        let mut running: Vec<_> = state
            .calls
            .values()
            .filter(|call| call.is_running())
            .map(|call| call.id)
            .collect();
        running.sort_unstable();
        HeldLease {
            lease: self.id(),
            owner: self.claims.sub.clone(),
            digest: self.application.digest.clone(),
            application: self.claims.application.name.clone(),
            slots: self.claims.slots,
            running,
            attached: state.connections > 0,
        }
    }
}

/// The end of a call that never ran.
fn unstarted(cut: &Cut) -> CallEnd {
    let (state, code, reason) = match cut {
        Cut::Terminated(reason) => (CallState::Terminated, Code::Terminated, reason.clone()),
        Cut::Limit(name) => (
            CallState::Failed,
            Code::LimitExceeded,
            format!("the call went over its {name}"),
        ),
        Cut::HostDown => (
            CallState::Failed,
            Code::HostDown,
            "the Host went down".to_owned(),
        ),
    };
    failed(state, code, reason)
}

/// An end without a process.
pub(crate) const fn failed(state: CallState, code: Code, reason: String) -> CallEnd {
    CallEnd {
        state,
        exit_code: None,
        signal: None,
        code: Some(code),
        reason: Some(reason),
        wall_us: 0,
        cpu_us: 0,
        max_resident_bytes: 0,
        stdout_bytes: 0,
        stderr_bytes: 0,
    }
}
