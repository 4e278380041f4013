//! Attempts of a running map: given out, ended, refused, doubled.

use std::time::{Duration, Instant};

use gridmart_schemas::{
    problem::{Code, Problem},
    wire::record::CallEnd,
};

use super::Engine;
use crate::{
    error::describe,
    map::{
        attempt::{Attempt, Spill},
        core::{Assignment, Outcome, Seat, is_lease_over},
        disk::Wanted,
        report::{FailedPart, HostShare},
        results::Record,
        seat::News,
    },
};

/// A part is late when it runs for so long, and twice as long as the mean.
const LATE_MIN: Duration = Duration::from_secs(1);

impl Engine<'_> {
    /// Gives pending parts to seats that have room.
    pub(super) fn fill(&mut self) {
        let pending = usize::try_from(self.core.counts().pending).unwrap_or(usize::MAX);
        if pending == 0 {
            return;
        }
        let slots = self.lines.slots_held();
        let rooms: Vec<_> = self
            .lines
            .seats
            .values()
            .map(|seat| {
                (
                    seat.id,
                    seat.room(pending.saturating_mul(seat.slots) / slots.max(1)),
                )
            })
            .filter(|(_, room)| *room > 0)
            .collect();
        for (seat, room) in rooms {
            for _ in 0..room {
                let Some(assignment) = self.core.assign(seat) else {
                    return;
                };
                self.begin(seat, assignment);
            }
        }
    }

    fn begin(&mut self, id: Seat, assignment: Assignment) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        self.last_serial = self.last_serial.wrapping_add(1);
        let range = self.parts.range(assignment.part);
        let channel = seat.add(Attempt::new(assignment, self.last_serial, range));
        self.read_on(id, channel);
    }

    /// Has the disk read what the attempt's window allows. A part without
    /// input needs no disk.
    pub(super) fn read_on(&mut self, id: Seat, channel: u32) {
        let Some(seat) = self.lines.seats.get_mut(&id) else {
            return;
        };
        let Some(attempt) = seat.attempt_mut(channel) else {
            return;
        };
        match attempt.input_wanted() {
            Some((at, len)) => self.reads.push(Wanted {
                seat: id,
                channel,
                at,
                len,
            }),
            None if !attempt.open_sent || attempt.lacks_end() => {
                let at = attempt.input_at();
                seat.send_input(channel, at, &[], &mut self.plan.open);
            }
            None => {}
        }
    }

    pub(super) fn on_news(&mut self, seat: Seat, news: &mut Vec<News>) {
        for item in news.drain(..) {
            match item {
                News::Spilled {
                    assignment,
                    serial,
                    spill,
                } => self.record(assignment, serial, spill, false),
                News::Input { channel } => self.read_on(seat, channel),
                News::Question(question) => self.on_question(seat, question),
                News::Refused {
                    assignment,
                    problem,
                } => self.on_refused(seat, assignment, &problem),
                News::Ended {
                    channel,
                    assignment,
                    serial,
                    end,
                    rest,
                    stderr,
                } => {
                    self.count(seat, &end);
                    if end.succeeded() {
                        self.on_succeeded(seat, channel, assignment, serial, rest);
                    } else {
                        self.close_channel(seat, channel);
                        self.on_part_failed(seat, assignment, end, stderr);
                    }
                }
            }
        }
        self.give_back_if_spent(seat);
    }

    fn record(&mut self, assignment: Assignment, serial: u32, spill: Spill, last: bool) {
        let Spill { at, data } = spill;
        self.record_bytes += data.len();
        self.records.push(Record {
            part: assignment.part,
            attempt: serial,
            at,
            last,
            data,
        });
    }

    fn on_succeeded(
        &mut self,
        seat: Seat,
        channel: u32,
        assignment: Assignment,
        serial: u32,
        rest: Spill,
    ) {
        let Outcome::First { others } = self.core.on_done(seat, assignment.part) else {
            return self.close_channel(seat, channel);
        };
        self.record(assignment, serial, rest, true);
        // Closed when the result is in the file.
        self.kept.push((seat, channel));
        if let Some(share) = self.share(seat) {
            share.parts += 1;
        }
        for other in others {
            if let Some(seat) = self.lines.seats.get_mut(&other) {
                seat.cancel_part(assignment.part, "another attempt was faster");
            }
        }
    }

    fn close_channel(&mut self, seat: Seat, channel: u32) {
        if let Some(seat) = self.lines.seats.get_mut(&seat) {
            seat.close_channel(channel);
        }
    }

    fn on_part_failed(&mut self, seat: Seat, assignment: Assignment, end: CallEnd, stderr: String) {
        // What a person ended is not begun again.
        let hopeless = end.code == Some(Code::Terminated);
        if let Outcome::Failed { attempts } =
            self.core.on_part_failed(seat, assignment.part, hopeless)
        {
            let reason = describe(&end);
            self.fail(assignment.part, attempts, Some(end), reason, stderr);
        }
    }

    fn on_refused(&mut self, id: Seat, assignment: Assignment, problem: &Problem) {
        let part = assignment.part;
        let outcome = if is_lease_over(problem.code) {
            if let Some(seat) = self.lines.seats.get_mut(&id) {
                seat.spent = true;
            }
            self.core.on_not_begun(id, part)
        } else {
            self.core.on_part_failed(id, part, !problem.retryable)
        };
        if let Outcome::Failed { attempts } = outcome {
            self.fail(part, attempts, None, problem.to_string(), String::new());
        }
    }

    pub(super) fn fail(
        &mut self,
        part: u64,
        attempts: u32,
        end: Option<CallEnd>,
        reason: String,
        stderr: String,
    ) {
        self.summary.failed.insert(
            part,
            FailedPart {
                part,
                attempts,
                end,
                reason,
                stderr,
            },
        );
    }

    fn share(&mut self, seat: Seat) -> Option<&mut HostShare> {
        let seat = self.lines.seats.get(&seat)?;
        let fresh = || HostShare {
            id: seat.host,
            name: seat.host_name.clone(),
            parts: 0,
            busy_seconds: 0.0,
        };
        Some(self.summary.shares.entry(seat.host).or_insert_with(fresh))
    }

    fn count(&mut self, seat: Seat, end: &CallEnd) {
        if let Some(share) = self.share(seat) {
            share.busy_seconds += Duration::from_micros(end.wall_us).as_secs_f64();
        }
    }

    /// Runs late parts a second time where there is room, when nothing else is
    /// left to do.
    pub(super) fn speculate(&mut self) {
        if self.core.counts().pending > 0 || self.core.counts().running == 0 {
            return;
        }
        let now = Instant::now();
        let mean = self
            .lines
            .seats
            .values()
            .filter_map(super::MapSeat::mean_wall)
            .max()
            .unwrap_or_default();
        let late_after = (mean * 2).max(LATE_MIN);
        let mut late: Vec<_> = self
            .lines
            .seats
            .values()
            .flat_map(|seat| {
                seat.attempts()
                    .map(|attempt| (attempt.opened, attempt.assignment.part))
            })
            .filter(|(opened, _)| now.duration_since(*opened) >= late_after)
            .collect();
        late.sort_unstable();
        let free: Vec<_> = self
            .lines
            .seats
            .values()
            .filter(|seat| seat.has_free_slot())
            .map(|seat| seat.id)
            .collect();
        for seat in free {
            if let Some(assignment) = self
                .core
                .speculate(seat, late.iter().map(|(_, part)| *part))
            {
                self.begin(seat, assignment);
            }
        }
    }
}
