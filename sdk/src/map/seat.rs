//! One lease of a map: its stream, and the attempts on it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::Problem,
    wire::{
        call::{CallCancel, CallOpen, CallStarted, PartOf, Resume},
        frame::{DATA_BYTES_MAX, Frame, Frames, Kind, push, push_json},
        queue::Lease,
        record::CallEnd,
        staging::AccessQuestion,
    },
};

use super::{
    attempt::{Attempt, Spill},
    core::{Assignment, Seat},
};
use crate::grid::{CallsStream, LeaseHold, Outbox};

/// Parts are opened ahead of free slots for so much work, so that a slot never
/// waits for the network; longer parts are not, so that they spread evenly.
const AHEAD: Duration = Duration::from_millis(100);
/// Parts per slot opened ahead, at most: what a slot's runner takes ahead, and
/// as many that wait for it or are on their way.
const SLOT_AHEAD_MAX: usize = 12;
/// Bytes of input that wait on one seat, at most (one part may be larger).
const INPUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Weight of the newest part in the mean wall time.
const MEAN_WEIGHT: f64 = 0.2;

/// What a message brought.
#[derive(Debug)]
pub(crate) enum News {
    /// Output to be put on disk before the attempt ends.
    Spilled {
        assignment: Assignment,
        serial: u32,
        spill: Spill,
    },
    Ended {
        channel: u32,
        assignment: Assignment,
        serial: u32,
        end: CallEnd,
        rest: Spill,
        stderr: String,
    },
    Refused {
        assignment: Assignment,
        problem: Problem,
    },
    /// Input may be read on.
    Input { channel: u32 },
    /// The Host wants to use a bucket.
    Question(AccessQuestion),
}

/// A lease in use by a map.
pub(crate) struct MapSeat {
    pub(crate) id: Seat,
    pub(crate) hold: Arc<LeaseHold>,
    pub(crate) host: NodeId,
    pub(crate) host_name: String,
    pub(crate) slots: usize,
    pub(crate) incarnation: Incarnation,
    /// Takes no new parts; given back when empty.
    pub(crate) spent: bool,
    pub(crate) ticket: String,
    pub(crate) last_sign: Instant,
    pub(crate) ask_after: Option<Instant>,
    pub(crate) probing: bool,
    /// Questions of the Host that are being answered.
    pub(crate) questions: usize,
    /// Absent: the stream is cut.
    outbox: Option<Outbox>,
    attempts: HashMap<u32, Attempt>,
    last_channel: u32,
    /// Frames of this round.
    frames: Vec<u8>,
    input_held: usize,
    mean_wall_us: Option<f64>,
}

impl MapSeat {
    pub(crate) fn new(
        id: Seat,
        hold: Arc<LeaseHold>,
        outbox: Outbox,
        incarnation: Incarnation,
    ) -> Self {
        let Lease {
            host,
            host_name,
            slots,
            ticket,
            ..
        } = hold.lease();
        Self {
            id,
            hold,
            host,
            host_name,
            slots: slots.max(1) as usize,
            incarnation,
            spent: false,
            ticket,
            last_sign: Instant::now(),
            ask_after: None,
            probing: false,
            questions: 0,
            outbox: Some(outbox),
            attempts: HashMap::new(),
            last_channel: 0,
            frames: Vec::new(),
            input_held: 0,
            mean_wall_us: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.outbox.is_none()
    }

    pub(crate) fn has_free_slot(&self) -> bool {
        let spent = self.spent || self.hold.is_spent();
        !spent && !self.is_cut() && self.attempts.len() < self.slots
    }

    pub(crate) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values()
    }

    pub(crate) fn attempt_mut(&mut self, channel: u32) -> Option<&mut Attempt> {
        self.attempts.get_mut(&channel)
    }

    pub(crate) fn mean_wall(&self) -> Option<Duration> {
        self.mean_wall_us
            .map(|us| Duration::from_secs_f64(us / 1e6))
    }

    /// How many parts it takes now; `share`: how many pending parts there are
    /// for it, if they are spread evenly.
    pub(crate) fn room(&self, share: usize) -> usize {
        if self.spent || self.is_cut() || self.input_held >= INPUT_BYTES_MAX {
            return 0;
        }
        let ahead = self.ahead().min(share);
        let room = (self.slots + ahead).saturating_sub(self.attempts.len());
        // In steps, so that one message opens several parts.
        if self.attempts.len() < self.slots || room * 2 >= ahead {
            room
        } else {
            0
        }
    }

    fn ahead(&self) -> usize {
        let Some(mean) = self.mean_wall() else {
            return 0;
        };
        if mean >= AHEAD {
            return 0;
        }
        let rounds = (AHEAD.as_micros() / mean.as_micros().max(1)).min(1000);
        let rounds = usize::try_from(rounds).unwrap_or(1);
        (rounds * self.slots).min(self.slots * SLOT_AHEAD_MAX + 8)
    }

    /// Puts an attempt on a new channel; nothing is sent yet.
    pub(crate) fn add(&mut self, attempt: Attempt) -> u32 {
        if self.attempts.is_empty() {
            // Silence counts from here.
            (self.last_sign, self.ask_after) = (Instant::now(), None);
        }
        self.last_channel = self.last_channel.wrapping_add(1).max(1);
        self.input_held += attempt.input_held();
        self.attempts.insert(self.last_channel, attempt);
        self.last_channel
    }

    fn remove(&mut self, channel: u32) -> Option<Attempt> {
        let attempt = self.attempts.remove(&channel)?;
        self.input_held = self.input_held.saturating_sub(attempt.input_held());
        Some(attempt)
    }

    /// Sends a piece of input, read from `at` in the file, after the opening
    /// if that was not sent.
    pub(crate) fn send_input(&mut self, channel: u32, at: u64, data: &[u8], open: &mut CallOpen) {
        let Some(attempt) = self.attempts.get_mut(&channel) else {
            return;
        };
        // After a cut it is read again.
        if self.outbox.is_none() || !attempt.on_input_read(at, data.len()) {
            return;
        }
        if !attempt.open_sent {
            attempt.open_sent = true;
            push_open(&mut self.frames, channel, attempt, open, None);
            if attempt.cancelled {
                push_cancel(&mut self.frames, channel, "cancelled before it was sent");
            }
        }
        for piece in data.chunks(DATA_BYTES_MAX) {
            push(&mut self.frames, Kind::Stdin, channel, piece);
        }
        if attempt.input_ends() {
            push(&mut self.frames, Kind::StdinEnd, channel, &[]);
        }
    }

    pub(crate) fn close_channel(&mut self, channel: u32) {
        push(&mut self.frames, Kind::Close, channel, &[]);
    }

    /// Ends the attempt of a part that another attempt has won.
    pub(crate) fn cancel_part(&mut self, part: u64, reason: &str) {
        let running = self
            .attempts
            .iter_mut()
            .filter(|(_, attempt)| attempt.assignment.part == part);
        for (channel, attempt) in running {
            attempt.cancelled = true;
            push_cancel(&mut self.frames, *channel, reason);
        }
    }

    /// Nothing of this map is to run on.
    pub(crate) fn cancel_all(&mut self, reason: &str) {
        for (channel, attempt) in &mut self.attempts {
            if !std::mem::replace(&mut attempt.cancelled, true) && attempt.open_sent {
                push_cancel(&mut self.frames, *channel, reason);
            }
        }
        // What the Host never heard of has no end to wait for.
        self.attempts.retain(|_, attempt| attempt.open_sent);
    }

    pub(crate) fn push(&mut self, frames: &[u8]) {
        self.frames.extend_from_slice(frames);
    }

    /// Sends what has gathered, as one message.
    pub(crate) fn flush(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.frames);
        if let Some(outbox) = &self.outbox {
            outbox.push(frames);
        }
    }

    /// Takes one message of the Host.
    pub(crate) fn on_message(
        &mut self,
        message: &Bytes,
        news: &mut Vec<News>,
    ) -> Result<(), Problem> {
        (self.last_sign, self.ask_after) = (Instant::now(), None);
        for frame in Frames::of(message) {
            let frame = frame?;
            match (frame.kind, frame.channel) {
                (Kind::Refused, 0) => return Err(frame.json::<Problem>()?),
                (Kind::AccessQuestion, 0) => news.push(News::Question(frame.json()?)),
                (_, 0) => {}
                (Kind::Ended, _) => self.on_ended(frame, news)?,
                (Kind::Refused, channel) => {
                    if let Some(attempt) = self.remove(channel) {
                        news.push(News::Refused {
                            assignment: attempt.assignment,
                            problem: frame.json()?,
                        });
                    }
                }
                _ => self.on_flow(frame, news)?,
            }
        }
        Ok(())
    }

    fn on_ended(&mut self, frame: Frame<'_>, news: &mut Vec<News>) -> Result<(), Problem> {
        let end: CallEnd = frame.json()?;
        let Some(mut attempt) = self.remove(frame.channel) else {
            return Ok(());
        };
        #[expect(clippy::cast_precision_loss, reason = "a mean of microseconds")]
        let wall = end.wall_us as f64;
        self.mean_wall_us = Some(
            self.mean_wall_us
                .map_or(wall, |mean| mean + (wall - mean) * MEAN_WEIGHT),
        );
        let stderr = if end.succeeded() {
            String::new()
        } else {
            attempt.stderr_tail()
        };
        news.push(News::Ended {
            channel: frame.channel,
            assignment: attempt.assignment,
            serial: attempt.serial,
            end,
            rest: attempt.finish(),
            stderr,
        });
        Ok(())
    }

    fn on_flow(&mut self, frame: Frame<'_>, news: &mut Vec<News>) -> Result<(), Problem> {
        let channel = frame.channel;
        let Some(attempt) = self.attempts.get_mut(&channel) else {
            return Ok(());
        };
        match frame.kind {
            Kind::Stdout if attempt.cancelled => {}
            Kind::Stdout => {
                if let Some(spill) = attempt.on_stdout(frame.payload)? {
                    news.push(News::Spilled {
                        assignment: attempt.assignment,
                        serial: attempt.serial,
                        spill,
                    });
                }
            }
            Kind::Stderr => attempt.on_stderr(frame.payload)?,
            Kind::StdinCredit => {
                attempt.on_input_credit(frame.credit()?)?;
                news.push(News::Input { channel });
            }
            Kind::Started if attempt.resuming => {
                let CallStarted {
                    stdin, stdin_taken, ..
                } = frame.json()?;
                attempt.on_resumed(stdin, stdin_taken)?;
                news.push(News::Input { channel });
            }
            _ => {}
        }
        let (stdout, stderr) = attempt.credits();
        for (kind, credit) in [(Kind::StdoutCredit, stdout), (Kind::StderrCredit, stderr)] {
            if credit > 0 {
                push(&mut self.frames, kind, channel, &credit.to_le_bytes());
            }
        }
        Ok(())
    }

    /// The stream is lost; what was to be sent is said again on the next.
    pub(crate) fn on_cut(&mut self) {
        self.outbox = None;
        self.frames.clear();
    }

    /// Goes on with every attempt on a new stream; gives the channels whose
    /// input is to be read from the start.
    pub(crate) fn on_reattached(
        &mut self,
        stream: &CallsStream,
        outbox: Outbox,
        open: &mut CallOpen,
    ) -> Vec<u32> {
        self.outbox = Some(outbox);
        self.ticket = self.hold.lease().ticket;
        (self.last_sign, self.ask_after) = (Instant::now(), None);
        let mut unread = Vec::new();
        for (channel, attempt) in &mut self.attempts {
            if stream.attached.held.contains(&attempt.call) {
                attempt.on_cut();
                let (stdout, stderr) = attempt.received();
                push_open(
                    &mut self.frames,
                    *channel,
                    attempt,
                    open,
                    Some(Resume { stdout, stderr }),
                );
                if attempt.cancelled {
                    push_cancel(
                        &mut self.frames,
                        *channel,
                        "cancelled before the stream was cut",
                    );
                }
            } else {
                attempt.restart();
                unread.push(*channel);
            }
        }
        unread
    }
}

impl Drop for MapSeat {
    fn drop(&mut self) {
        self.cancel_all("the map was stopped");
        self.flush();
        if let Some(outbox) = self.outbox.take() {
            outbox.close();
        }
    }
}

fn push_open(
    frames: &mut Vec<u8>,
    channel: u32,
    attempt: &Attempt,
    open: &mut CallOpen,
    resume: Option<Resume>,
) {
    open.call = attempt.call;
    open.resume = resume;
    if let Some(PartOf {
        part,
        attempt: number,
        ..
    }) = &mut open.part_of
    {
        *part = Some(attempt.assignment.part);
        *number = attempt.assignment.attempt;
    }
    if open.staged.outputs.is_empty() {
        return write(frames, Kind::Open, channel, open);
    }
    let of_part = open.staged.of_part(attempt.assignment.part);
    let of_all = std::mem::replace(&mut open.staged, of_part);
    write(frames, Kind::Open, channel, open);
    open.staged = of_all;
}

fn push_cancel(frames: &mut Vec<u8>, channel: u32, reason: &str) {
    write(
        frames,
        Kind::Cancel,
        channel,
        &CallCancel {
            reason: reason.to_owned(),
        },
    );
}

fn write(frames: &mut Vec<u8>, kind: Kind, channel: u32, payload: &impl serde::Serialize) {
    if let Err(error) = push_json(frames, kind, channel, payload) {
        // Strings and numbers are always written.
        tracing::error!(%error, ?kind, "a frame could not be written down");
    }
}
