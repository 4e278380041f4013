//! Leases: the right of one person's program to use slots of this Host for
//! one application.
//!
//! A lease begins when its ticket is first shown and is over when the Element
//! ends it, its caller stays away beyond the grace, or a kill passes its
//! epochs. Its slots are tasks, made when they are needed, each with a sandbox
//! of its own. The Host's slots in total are a semaphore over all leases.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::{LEEWAY, LIFE_MAX, LeaseClaims};
use gridmart_schemas::{
    id::{CallId, LeaseId},
    problem::{Code, Problem},
    wire::{
        call::CallOpen,
        element_host::HeldLease,
        record::{CallEnd, CallRecord},
    },
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    call::Call,
    deploy::Application,
    fate::unstarted,
    limits::Limits,
    roll::Tenant,
    services::Services,
    slot,
    staging::Staging,
    tenure::{Tenure, Work},
    verdict::Cut,
};
use crate::member::COMPLAINT;

/// Calls shorter than this are given to runners ahead of time.
const QUICK_CALL_US: u64 = 10_000;
/// A runner has no more work ahead than this, beyond a few calls: another slot
/// may be free of work sooner.
const AHEAD_WORK_US: u64 = 20_000;
const AHEAD_FEW: u64 = 4;

impl Work for Arc<Call> {
    fn id(&self) -> CallId {
        self.id
    }

    fn is_running(&self) -> bool {
        Call::is_running(self)
    }

    fn has_ended(&self) -> bool {
        Call::has_ended(self)
    }
}

/// One lease.
pub(crate) struct Lease {
    pub(crate) claims: LeaseClaims,
    pub(crate) application: Arc<Application>,
    pub(crate) limits: Limits,
    pub(crate) services: Arc<Services>,
    pub(crate) staging: Staging,
    /// Cancelled when the lease is over: its slots end.
    pub(crate) over: CancellationToken,
    work: Notify,
    /// Sliding mean of the wall time of its calls, microseconds; 0: none yet.
    mean_us: AtomicU64,
    tenure: Mutex<Tenure<Arc<Call>>>,
}

impl Tenant for Arc<Lease> {
    fn claims(&self) -> &LeaseClaims {
        &self.claims
    }

    fn is_idle(&self) -> bool {
        Lease::is_idle(self)
    }
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
        let steady = LeaseClaims {
            exp: steady_expiry(claims.exp),
            ..claims.clone()
        };
        let tenure = Tenure::new(&steady, Instant::now());
        Arc::new(Self {
            claims,
            application,
            limits,
            staging: Staging::new(
                services.member.tls.clone(),
                services.memory.clone(),
                services.tasks.clone(),
            ),
            services,
            over: CancellationToken::new(),
            work: Notify::new(),
            mean_us: AtomicU64::new(0),
            tenure: Mutex::new(tenure),
        })
    }

    pub(crate) const fn id(&self) -> LeaseId {
        self.claims.lease
    }

    // === connections ===

    /// A connection is attached, with a ticket that expires then; gives the
    /// calls that the lease holds.
    pub(crate) fn on_attach(self: &Arc<Self>, expires: i64) -> Vec<CallId> {
        let (held, made) = self.tenure.lock().on_attached(steady_expiry(expires));
        self.make_slots(made);
        held
    }

    /// A renewed ticket was shown.
    pub(crate) fn on_renewal(&self, expires: i64) {
        self.tenure.lock().on_renewed(steady_expiry(expires));
    }

    /// A connection is gone.
    pub(crate) fn on_detach(&self) {
        self.tenure.lock().on_detached(Instant::now());
    }

    // === calls ===

    /// Finds the call to go on with, or makes a new one, which waits until
    /// [`Self::enqueue`]. The flag tells whether it is new.
    pub(crate) fn open(&self, open: CallOpen) -> Result<(Arc<Call>, bool), Problem> {
        let mut tenure = self.tenure.lock();
        let serving = || {
            let member = &self.services.member;
            member.commands.require_serving(&self.application.digest)?;
            if open.part_of.is_some() && member.disk_watch.is_failing() {
                return Err(Problem::new(
                    Code::NotAccepting,
                    format!("The Host takes no parts of maps: {COMPLAINT}."),
                ));
            }
            Ok(())
        };
        if let Some(call) = tenure.judge_open(&open, serving, steady_date())? {
            return Ok((call, false));
        }
        let log = self
            .services
            .logs
            .writer(&self.application.digest, open.call, &self.claims.sub);
        let call = Call::new(
            open,
            self.services.member.incarnation,
            &self.services.spools,
            log,
        );
        tenure.on_opened(Arc::clone(&call));
        Ok((call, true))
    }

    /// Puts new calls in line, and sees that there are slots for them.
    pub(crate) fn enqueue(self: &Arc<Self>, calls: impl IntoIterator<Item = Arc<Call>>) {
        let made = self.tenure.lock().enqueue(calls);
        self.make_slots(made);
        self.work.notify_waiters();
    }

    fn make_slots(self: &Arc<Self>, count: u32) {
        for _ in 0..count {
            slot::spawn(Arc::clone(self));
        }
    }

    /// Puts calls back to the front that a runner had and did not start.
    pub(crate) fn requeue(self: &Arc<Self>, call: Arc<Call>) {
        let made = self.tenure.lock().requeue(call);
        self.make_slots(made);
        self.work.notify_waiters();
    }

    /// The program has the call's end: its output is not needed any more.
    pub(crate) fn close_call(&self, call: &Arc<Call>) {
        self.tenure.lock().on_closed(call);
    }

    /// Ends a call, wherever it is; tells whether there was something to end:
    /// one that is being ended already is not ended twice.
    pub(crate) fn cut_call(self: &Arc<Self>, call: &Arc<Call>, cut: Cut) -> bool {
        let waiting = self.tenure.lock().leave_queue(call.id);
        if let Some(call) = waiting {
            self.finish(&call, unstarted(&cut));
            return true;
        }
        call.cut(cut)
    }

    /// Finds a call.
    pub(crate) fn call(&self, id: CallId) -> Option<Arc<Call>> {
        self.tenure.lock().call(id)
    }

    /// All calls that have not ended.
    pub(crate) fn live_calls(&self) -> Vec<Arc<Call>> {
        self.tenure.lock().live_calls()
    }

    /// A call has ended: it is recorded, and its caller hears of it.
    pub(crate) fn finish(&self, call: &Arc<Call>, end: CallEnd) {
        let services = &self.services;
        let end = call.counted(end);
        // First: who has heard of the end will find its record.
        services.recorder.add(self.record_of(call, end.clone()));
        call.finish(end.clone());
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
    }

    fn record_of(&self, call: &Call, end: CallEnd) -> CallRecord {
        CallRecord {
            call: call.id,
            job: call.open.part_of.map(|part| part.job),
            part: call.open.part_of.and_then(|part| part.part),
            owner: self.claims.sub.clone(),
            application: self.claims.application.name.clone(),
            version: self.claims.application.version.clone(),
            digest: self.application.digest.clone(),
            host: self.services.member.node,
            lease: Some(self.id()),
            request: call.open.request,
            submitted: call.accepted,
            ended: OffsetDateTime::now_utc(),
            end,
        }
    }

    // === slots ===

    /// Waits for a call; `None` when the lease is over.
    pub(crate) async fn next_call(&self, counted_idle: &mut bool) -> Option<Arc<Call>> {
        loop {
            let notified = self.work.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut tenure = self.tenure.lock();
                if self.over.is_cancelled() {
                    return None;
                }
                if let Some(call) = tenure.next_call(counted_idle) {
                    return Some(call);
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
        self.tenure.lock().next_call_if(|_, _| true)
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
        let slots = self.claims.slots as usize;
        self.tenure
            .lock()
            .next_call_if(|first, waiting| waiting >= slots && first.can_go_ahead())
    }

    // === its end ===

    /// Takes no new calls from now on.
    pub(crate) fn close(&self, problem: Problem) {
        self.tenure.lock().close(problem);
    }

    /// Why it takes no calls any more.
    pub(crate) fn closing_problem(&self) -> Problem {
        let closing = self.tenure.lock().closing().cloned();
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
        self.tenure.lock().is_idle()
    }

    /// Why it is over by itself at this moment, if it is.
    pub(crate) fn outlived(&self, grace: Duration) -> Option<&'static str> {
        self.tenure
            .lock()
            .outlived(grace, Instant::now(), steady_date())
    }

    /// As the Element is told of it.
    pub(crate) fn held(&self) -> HeldLease {
        self.tenure.lock().held(&self.claims)
    }
}

/// A date that nobody sets: the machine's when it was asked for first, and what
/// has passed since. Leases last by it, whatever becomes of the machine's clock.
fn steady_date() -> OffsetDateTime {
    static BEGIN: LazyLock<(Instant, OffsetDateTime)> =
        LazyLock::new(|| (Instant::now(), OffsetDateTime::now_utc()));
    let (begin, date) = *BEGIN;
    date + begin.elapsed()
}

/// When a ticket that was judged to be good just now expires, by the steady date.
fn steady_expiry(expiry: i64) -> i64 {
    let left = expiry - OffsetDateTime::now_utc().unix_timestamp();
    let longest = i64::try_from(LIFE_MAX.as_secs()).unwrap_or(i64::MAX);
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or_default();
    steady_date().unix_timestamp() + left.clamp(0, longest) + leeway
}
