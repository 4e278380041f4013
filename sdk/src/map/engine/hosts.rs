//! Leases of a running map: asked for, dialled, cut, lost, given back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{
        queue::OverdueAnswer,
        staging::{AccessQuestion, QUESTIONS_MAX},
    },
};

use super::{
    Engine, Side,
    lines::{SeatEvent, lease_states, messages},
};
use crate::{
    error::Error,
    grid::{
        CallsStream, Demand, LeaseHold, LeaseState, Outbox, Placement, ROUND_INTERVAL, Waited,
        attach, attach_frame, grants,
        presence::{Finding, judge_probe},
        reattach,
        tries::Next,
    },
    map::{core::Seat, seat::MapSeat},
};

/// A refused entry is tried again after this, while Hosts are at work.
const ENTER_INTERVAL: Duration = Duration::from_secs(5);
/// A silent Host is not asked about again before this.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(500);
/// Hosts that cannot be dialled, while none is at work, before it is given up.
pub(super) const UNDIALLED_MAX: usize = 5;

impl Engine<'_> {
    /// Asks for slots, if there are parts for more than there are.
    pub(super) fn enter_queue(&mut self) {
        let counts = self.core.counts();
        let again = self.enter_after.is_none_or(|when| Instant::now() >= when);
        if self.waited.is_some() || counts.pending == 0 || !again {
            return;
        }
        let held = self.lines.slots_held();
        let unfinished = u32::try_from(counts.pending + counts.running).unwrap_or(u32::MAX);
        let wanted = self
            .plan
            .slots
            .min(unfinished)
            .saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        let hosts_max = self
            .plan
            .hosts_max
            .map(|max| max.saturating_sub(self.host_count()));
        if wanted == 0 || hosts_max == Some(0) {
            return;
        }
        self.enter_after = None;
        let demand = Demand {
            need: self.plan.need.clone(),
            slots: wanted,
            job: Some(self.plan.job),
            hosts_max,
            avoid: self.avoid.clone(),
            priority: self.plan.priority,
            request: self.plan.request,
        };
        self.waited = Some(Waited::spawn(Arc::clone(&self.grid), demand));
    }

    fn host_count(&self) -> u32 {
        let hosts: std::collections::HashSet<_> =
            self.lines.seats.values().map(|seat| seat.host).collect();
        u32::try_from(hosts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn on_placement(
        &mut self,
        placement: Option<Result<Placement, Error>>,
    ) -> Result<(), Error> {
        match placement {
            Some(Ok(Placement::Position(position))) => self.position = Some(position),
            Some(Ok(Placement::Lease(hold))) => {
                self.position = None;
                let tls = self.grid.tls().clone();
                let staged = self.plan.open.staged.clone();
                self.sides.push(Box::pin(async move {
                    let stream = attach(&tls, &hold.lease()).await.and_then(|stream| {
                        grants::require_staging(&staged, hold.host(), stream.attached.v)?;
                        Ok(stream)
                    });
                    Side::Dialled { hold, stream }
                }));
            }
            Some(Err(error)) => {
                self.leave_queue();
                let killed = error.code() == Some(Code::Terminated);
                if killed || (self.lines.seats.is_empty() && self.sides.is_empty()) {
                    return Err(error);
                }
                tracing::debug!(job.id = %self.plan.job, %error, "no more slots for a map at present");
            }
            // All that was wanted is granted; not so soon again.
            None => self.leave_queue(),
        }
        Ok(())
    }

    fn leave_queue(&mut self) {
        self.waited = None;
        self.position = None;
        self.enter_after = Some(Instant::now() + ENTER_INTERVAL);
    }

    pub(super) fn on_side(&mut self, side: Side) -> Result<(), Error> {
        match side {
            Side::Dialled {
                hold,
                stream: Ok(stream),
            } => self.seat_added(hold, stream),
            Side::Dialled {
                hold,
                stream: Err(problem),
            } => return self.on_undialled(&hold, problem),
            Side::Reattached {
                seat,
                stream: Ok(stream),
            } => self.on_reattached(seat, stream),
            Side::Reattached {
                seat,
                stream: Err(problem),
            } => self.on_lost(seat, &problem),
            Side::Probed { seat, verdict } => self.on_probed(seat, verdict.ok().as_ref()),
            Side::Answered { seat, frame } => {
                if let Some(seat) = self.lines.seats.get_mut(&seat) {
                    seat.questions = seat.questions.saturating_sub(1);
                    seat.push(&frame);
                }
            }
        }
        Ok(())
    }

    /// A Host wants to use a bucket for the files of its parts.
    pub(super) fn on_question(&mut self, id: Seat, question: AccessQuestion) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        let staged = &self.plan.open.staged;
        if !staged.needs(&question.bucket, &question.operations) {
            return seat.push(&grants::unneeded(&question));
        }
        if seat.questions >= QUESTIONS_MAX {
            return seat.push(&grants::too_many(&question));
        }
        seat.questions += 1;
        let plane = Arc::clone(self.grid.storage());
        self.sides.push(Box::pin(async move {
            let frame = grants::answer(plane, question).await;
            Side::Answered { seat: id, frame }
        }));
    }

    fn on_undialled(&mut self, hold: &LeaseHold, problem: Problem) -> Result<(), Error> {
        let next = self.tries.on_unusable(&problem, Instant::now());
        // Of an old Host there is nothing to wait for.
        let hopeless = next == Next::Over || problem.code == Code::VersionUnsupported;
        if hopeless && self.lines.seats.is_empty() {
            return Err(problem.into());
        }
        // The queue is entered again: without that Host, or a moment later.
        self.waited = None;
        self.enter_after = match next {
            Next::Anew => Some(Instant::now() + ROUND_INTERVAL),
            Next::Elsewhere | Next::Over => {
                self.avoid.add(hold.host());
                None
            }
        };
        tracing::debug!(job.id = %self.plan.job, node.id = %hold.host(), %problem, "a Host cannot be reached");
        Ok(())
    }

    fn seat_added(&mut self, hold: Arc<LeaseHold>, stream: CallsStream) {
        self.tries.on_attached();
        self.last_seat += 1;
        let seat = self.last_seat;
        let CallsStream {
            sink,
            source,
            attached,
        } = stream;
        self.lines.streams.push(messages(seat, source));
        self.lines.streams.push(lease_states(seat, hold.watch()));
        self.core.on_seat_added(seat, hold.host());
        self.lines.seats.insert(
            seat,
            MapSeat::new(seat, hold, Outbox::new(sink), attached.incarnation),
        );
    }

    pub(super) fn on_seat_event(&mut self, seat: Seat, event: SeatEvent) -> Result<(), Error> {
        match event {
            SeatEvent::Message(message) => {
                let Some(seat) = self.lines.seats.get_mut(&seat) else {
                    return Ok(());
                };
                let id = seat.id;
                let mut news = std::mem::take(&mut self.news);
                let read = seat.on_message(&message, &mut news);
                self.on_news(id, &mut news);
                self.news = news;
                if let Err(problem) = read {
                    self.on_lost(id, &problem);
                }
            }
            SeatEvent::Cut => self.on_cut(seat),
            SeatEvent::Lease(state) => return self.on_lease_state(seat, *state),
        }
        Ok(())
    }

    fn on_lease_state(&mut self, id: Seat, state: LeaseState) -> Result<(), Error> {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return Ok(());
        };
        if let Some(problem) = state.over {
            self.on_lost(id, &problem);
            // Of a whole map, only `kill` ends leases with this code.
            return if problem.code == Code::Terminated {
                Err(problem.into())
            } else {
                Ok(())
            };
        }
        seat.spent |= state.recalled;
        if state.lease.ticket != seat.ticket {
            seat.push(&attach_frame(&state.lease.ticket).unwrap_or_default());
            seat.ticket = state.lease.ticket;
        }
        self.give_back_if_spent(id);
        Ok(())
    }

    pub(super) fn give_back_if_spent(&mut self, id: Seat) {
        if self
            .lines
            .seats
            .get(&id)
            .is_some_and(|seat| seat.spent && seat.is_empty())
        {
            self.core.on_seat_lost(id);
            self.lines.seats.remove(&id);
            // Others were waiting: they go first.
            self.enter_after = Some(Instant::now() + ENTER_INTERVAL / 5);
        }
    }

    fn on_cut(&mut self, id: Seat) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        let call = seat.attempts().next().map(|attempt| attempt.call);
        let Some(call) = call else {
            return self.on_lost(
                id,
                &Problem::new(Code::HostDown, "the stream to the Host is lost"),
            );
        };
        seat.on_cut();
        let (hold, was, tls) = (
            Arc::clone(&seat.hold),
            seat.incarnation,
            self.grid.tls().clone(),
        );
        tracing::debug!(job.id = %self.plan.job, lease.id = %hold.id(), "the stream to a Host is cut; attaching again");
        self.sides.push(Box::pin(async move {
            let stream = reattach(&tls, &hold, was, call).await;
            Side::Reattached { seat: id, stream }
        }));
    }

    fn on_reattached(&mut self, id: Seat, stream: CallsStream) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        let unread = seat.on_reattached(
            &stream,
            Outbox::new(stream.sink.clone()),
            &mut self.plan.open,
        );
        self.lines.streams.push(messages(id, stream.source));
        for channel in unread {
            self.read_on(id, channel);
        }
    }

    /// The Host or the lease is gone: what it had runs elsewhere.
    pub(super) fn on_lost(&mut self, id: Seat, problem: &Problem) {
        let Some(seat) = self.lines.seats.remove(&id) else {
            return;
        };
        tracing::info!(job.id = %self.plan.job, node.id = %seat.host, %problem, "a map has lost a lease");
        for (part, attempts) in self.core.on_seat_lost(id) {
            self.fail(part, attempts, None, problem.to_string(), String::new());
        }
        self.enter_after = None;
    }

    /// Asks the Element about Hosts that were silent for too long.
    pub(super) fn probe_silent(&mut self) {
        let now = Instant::now();
        for seat in self
            .lines
            .seats
            .values_mut()
            .filter(|seat| !seat.is_cut() && !seat.probing)
        {
            let after = Duration::from_millis(seat.hold.lease().overdue_after_ms);
            let due = seat.ask_after.unwrap_or(seat.last_sign + after);
            let oldest = seat
                .attempts()
                .min_by_key(|attempt| attempt.opened)
                .map(|attempt| attempt.call);
            let Some(call) = oldest.filter(|_| now >= due) else {
                continue;
            };
            seat.probing = true;
            let (id, hold) = (seat.id, Arc::clone(&seat.hold));
            self.sides.push(Box::pin(async move {
                Side::Probed {
                    seat: id,
                    verdict: hold.overdue(call).await,
                }
            }));
        }
    }

    fn on_probed(&mut self, id: Seat, verdict: Option<&OverdueAnswer>) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        seat.probing = false;
        let again = match judge_probe(verdict, seat.incarnation, &seat.host_name) {
            Finding::There(again) => again,
            Finding::Lost(problem) => return self.on_lost(id, &problem),
            Finding::Unknown => Duration::from_millis(seat.hold.lease().overdue_after_ms),
        };
        seat.ask_after = Some(Instant::now() + again.max(ASK_AGAIN_MIN));
    }
}
