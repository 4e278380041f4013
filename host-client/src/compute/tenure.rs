//! One lease on this Host, without I/O: its calls in line, its slots, its
//! connections, and when it is over by itself.
//!
//! Invariants: a call is in line, with a slot, or has ended; no more slots are
//! made than the lease has; a lease that closes takes no new calls; one that
//! nobody is attached to is over after the grace.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::LeaseClaims;
use gridmart_schemas::{
    id::CallId,
    problem::{Code, Problem},
    wire::{call::CallOpen, element_host::HeldLease},
};
use time::OffsetDateTime;

/// Calls of one lease that may be open (waiting, running, or ended and not
/// closed): a program opens parts of a map far ahead of the slots.
pub const OPEN_CALLS_MAX: usize = 1024;

/// A call, as far as its lease has to know it.
pub trait Work: Clone {
    /// Which.
    fn id(&self) -> CallId;
    /// Whether a slot has it.
    fn is_running(&self) -> bool;
    /// Whether its end is reached.
    fn has_ended(&self) -> bool;
}

/// The state of one lease.
#[derive(Debug)]
pub struct Tenure<W> {
    calls: HashMap<CallId, W>,
    queue: VecDeque<W>,
    /// Slots that may be made.
    slots: u32,
    /// Slots that exist, and those of them that wait for work.
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

impl<W: Work> Tenure<W> {
    /// A lease that begins now.
    pub fn new(claims: &LeaseClaims, now: Instant) -> Self {
        Self {
            calls: HashMap::new(),
            queue: VecDeque::new(),
            slots: claims.slots.max(1),
            slots_made: 0,
            slots_idle: 0,
            connections: 0,
            detached: Some(now),
            expires: claims.exp,
            closing: None,
        }
    }

    // === connections ===

    /// A connection is attached. Gives the calls that the lease holds, and how
    /// many slots are to be made: the first one's sandbox is made while the
    /// first call is on its way.
    pub fn on_attached(&mut self, expires: i64) -> (Vec<CallId>, u32) {
        self.connections += 1;
        self.detached = None;
        self.on_renewed(expires);
        let made = if self.slots_made == 0 {
            self.make_slots(1)
        } else {
            0
        };
        let mut held: Vec<_> = self.calls.keys().copied().collect();
        held.sort_unstable();
        (held, made)
    }

    /// A renewed ticket was shown.
    pub fn on_renewed(&mut self, expires: i64) {
        self.expires = self.expires.max(expires);
    }

    /// A connection is gone.
    pub fn on_detached(&mut self, now: Instant) {
        self.connections = self.connections.saturating_sub(1);
        if self.connections == 0 {
            self.detached = Some(now);
        }
    }

    // === calls ===

    /// Finds the call to go on with; `None`: a new one may be made, which
    /// [`Self::on_opened`] takes. `serving` is what was said about the Host and
    /// the application.
    pub fn judge_open(
        &self,
        open: &CallOpen,
        serving: impl FnOnce() -> Result<(), Problem>,
        now: OffsetDateTime,
    ) -> Result<Option<W>, Problem> {
        if let Some(call) = self.calls.get(&open.call) {
            return Ok(Some(call.clone()));
        }
        if open.resume.is_some() {
            return Err(Problem::new(
                Code::UnknownCall,
                format!("The Host holds no call {}.", open.call),
            ));
        }
        if let Some(problem) = &self.closing {
            return Err(problem.clone());
        }
        serving()?;
        if self.expires < now.unix_timestamp() {
            return Err(Problem::new(
                Code::TicketExpired,
                "The lease's ticket has expired and was not renewed.",
            ));
        }
        if self.calls.len() >= OPEN_CALLS_MAX {
            let detail = format!("The lease has {OPEN_CALLS_MAX} open calls already.");
            return Err(Problem::new(Code::Busy, detail));
        }
        Ok(None)
    }

    /// A new call was made; it waits until [`Self::enqueue`].
    pub fn on_opened(&mut self, call: W) {
        self.calls.insert(call.id(), call);
    }

    /// Puts calls in line; gives how many slots are to be made for them.
    pub fn enqueue(&mut self, calls: impl IntoIterator<Item = W>) -> u32 {
        self.queue.extend(calls);
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let lacking = waiting.saturating_sub(self.slots_idle);
        self.make_slots(lacking.min(self.slots.saturating_sub(self.slots_made)))
    }

    /// A new slot counts as idle until it takes its first call.
    fn make_slots(&mut self, count: u32) -> u32 {
        self.slots_made += count;
        self.slots_idle += count;
        count
    }

    /// Puts a call back to the front that a slot had and did not start; gives
    /// how many slots are to be made.
    pub fn requeue(&mut self, call: W) -> u32 {
        self.queue.push_front(call);
        self.enqueue([])
    }

    /// The next call for a slot, which is counted as idle while there is none.
    pub fn next_call(&mut self, counted_idle: &mut bool) -> Option<W> {
        if let Some(call) = self.queue.pop_front() {
            if std::mem::take(counted_idle) {
                self.slots_idle = self.slots_idle.saturating_sub(1);
            }
            return Some(call);
        }
        if !std::mem::replace(counted_idle, true) {
            self.slots_idle += 1;
        }
        None
    }

    /// The next call for a slot that has work, if one waits and `may` take it.
    pub fn next_call_if(&mut self, may: impl FnOnce(&W, usize) -> bool) -> Option<W> {
        let first = self.queue.front()?;
        if may(first, self.queue.len()) {
            self.queue.pop_front()
        } else {
            None
        }
    }

    /// Takes a call out of the line; `None`: it does not wait any more.
    pub fn leave_queue(&mut self, id: CallId) -> Option<W> {
        let place = self.queue.iter().position(|waiting| waiting.id() == id)?;
        self.queue.remove(place)
    }

    /// The program has the call's end: its output is not needed any more.
    pub fn on_closed(&mut self, call: &W) {
        if call.has_ended() {
            self.calls.remove(&call.id());
        }
    }

    /// Finds a call.
    pub fn call(&self, id: CallId) -> Option<W> {
        self.calls.get(&id).cloned()
    }

    /// All calls that have not ended, in the order of their ids.
    pub fn live_calls(&self) -> Vec<W> {
        let mut live: Vec<W> = self
            .calls
            .values()
            .filter(|call| !call.has_ended())
            .cloned()
            .collect();
        live.sort_unstable_by_key(Work::id);
        live
    }

    // === its end ===

    /// Takes no new calls from now on; the first reason counts.
    pub fn close(&mut self, problem: Problem) {
        self.closing.get_or_insert(problem);
    }

    /// Why it takes no calls any more.
    pub const fn closing(&self) -> Option<&Problem> {
        self.closing.as_ref()
    }

    /// Whether all that it had to do is done.
    pub fn is_idle(&self) -> bool {
        self.calls.values().all(Work::has_ended)
    }

    /// Why it is over by itself, if it is.
    pub fn outlived(
        &self,
        grace: Duration,
        now: Instant,
        date: OffsetDateTime,
    ) -> Option<&'static str> {
        let detached = self
            .detached
            .is_some_and(|since| now.saturating_duration_since(since) >= grace);
        if detached {
            return Some("its caller went away and did not come back");
        }
        if self.closing.is_some() && self.is_idle() {
            return Some("it was given back");
        }
        let expired = self.expires.saturating_add_unsigned(grace.as_secs()) < date.unix_timestamp();
        (expired && self.calls.is_empty()).then_some("its ticket has expired")
    }

    /// As the Element is told of it.
    pub fn held(&self, claims: &LeaseClaims) -> HeldLease {
        let mut running: Vec<_> = self
            .calls
            .values()
            .filter(|call| call.is_running())
            .map(Work::id)
            .collect();
        running.sort_unstable();
        HeldLease {
            lease: claims.lease,
            owner: claims.sub.clone(),
            digest: claims.application.digest.clone(),
            application: claims.application.name.clone(),
            slots: claims.slots,
            running,
            attached: self.connections > 0,
        }
    }
}
