//! One call: what came for it, what it has said, and where that goes.
//!
//! Three parties meet here and none waits for another: the connection brings
//! input and credit, the slot runs the process, the connection's writer takes
//! what is ready. All is behind one lock that is held for copies only.
//!
//! Invariants: bytes are kept until they are credited, so that a channel can
//! be taken up again after a lost connection; the end is sent once per
//! attachment, after the last byte; output of a part of a map is kept back
//! until the part has ended.

mod collect;
mod moved;
mod outbound;
mod outlet;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::fault::FaultPoint;
use gridmart_schemas::{
    id::{CallId, Incarnation},
    problem::{Code, Problem},
    wire::{
        call::{CallOpen, Resume},
        frame::{DATA_BYTES_MAX, WINDOW_BYTES},
        record::CallEnd,
    },
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use self::outlet::Outlet;
pub(crate) use self::{
    moved::Moved,
    outbound::{Outbound, push_json},
};
use super::{
    fate::Fate,
    log::CallLog,
    runner::protocol,
    spool::{Spool, SpoolRoom},
    verdict::Cut,
};

/// Stdin that one call may have waiting here: a window, and one more after a
/// resume that lost credits on the way.
const STDIN_BYTES_MAX: u64 = 2 * WINDOW_BYTES as u64;
/// A part with more input is not given to a runner ahead of time.
const AHEAD_STDIN_MAX: u64 = DATA_BYTES_MAX as u64;

/// One of the two streams out of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Where a call's frames go.
struct Attachment {
    outbound: Arc<Outbound>,
    channel: u32,
}

/// The slot that runs a call, and the call's number with its runner.
pub(crate) struct SlotLink {
    pub(crate) pokes: mpsc::UnboundedSender<u32>,
    pub(crate) number: u32,
}

/// Stdin on its way to the process.
struct Inlet {
    spool: Spool,
    ended: bool,
    end_forwarded: bool,
    /// Bytes that the process has taken.
    taken: u64,
    /// Of these, credit that the caller is to get.
    credit: u32,
}

/// What a caller is told of its stdin when a channel begins.
#[derive(Clone, Copy)]
struct Received {
    had: u64,
    taken: u64,
}

impl Inlet {
    /// Takes the next bytes for the process; none: nothing waits.
    fn take_piece(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        let position = self.spool.base();
        self.spool.read(position, DATA_BYTES_MAX, &mut piece)?;
        self.spool.release(position + piece.len() as u64);
        Ok(piece)
    }

    fn is_empty(&self) -> bool {
        self.spool.base() == self.spool.length()
    }
}

/// What is between the call and its slot.
struct Running {
    slot: SlotLink,
    poked: bool,
    kill_forwarded: bool,
}

struct State {
    inlet: Inlet,
    outlets: [Outlet; 2],
    /// What is to be told with `Started`.
    started_due: Option<Received>,
    attachment: Option<Attachment>,
    /// It waits in its connection's list.
    is_ready: bool,
    /// Its slot, while one has it.
    running: Option<Running>,
    fate: Fate,
    end_sent: bool,
    /// Until it has ended.
    log: Option<CallLog>,
}

/// One call of a lease.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) open: CallOpen,
    pub(crate) accepted: OffsetDateTime,
    /// The same moment, by a clock that nobody sets.
    pub(crate) waiting_since: Instant,
    pub(crate) moved: Moved,
    incarnation: Incarnation,
    state: Mutex<State>,
}

// === impl Call ===

impl Call {
    pub(crate) fn new(
        open: CallOpen,
        incarnation: Incarnation,
        room: &Arc<SpoolRoom>,
        log: CallLog,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: open.call,
            accepted: OffsetDateTime::now_utc(),
            waiting_since: Instant::now(),
            moved: Moved::default(),
            incarnation,
            state: Mutex::new(State {
                inlet: Inlet {
                    spool: Spool::new(Arc::clone(room)),
                    ended: false,
                    end_forwarded: false,
                    taken: 0,
                    credit: 0,
                },
                outlets: [Outlet::new(room), Outlet::new(room)],
                started_due: None,
                attachment: None,
                is_ready: false,
                running: None,
                fate: Fate::default(),
                end_sent: false,
                log: Some(log),
            }),
            open,
        })
    }

    /// Tells whether it is a part of a map.
    pub(crate) const fn is_part(&self) -> bool {
        self.open.part_of.is_some()
    }

    /// Tells whether a runner may have it before it can run.
    pub(crate) fn can_go_ahead(&self) -> bool {
        let state = self.state.lock();
        self.is_part()
            && self.open.staged.is_empty()
            && state.inlet.ended
            && state.inlet.spool.length() <= AHEAD_STDIN_MAX
    }

    /// Tells whether its end has been reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().fate.end().is_some()
    }

    /// Tells whether a slot has it.
    pub(crate) fn is_running(&self) -> bool {
        self.state.lock().fate.is_running()
    }

    // === from the connection ===

    /// Sends its frames to a channel from now on; after a lost connection from
    /// where the caller stands.
    pub(crate) fn attach(
        self: &Arc<Self>,
        outbound: &Arc<Outbound>,
        channel: u32,
        resume: Option<Resume>,
    ) -> Result<(), Problem> {
        let mut state = self.state.lock();
        if let Some(resume) = resume {
            let positions = [resume.stdout, resume.stderr];
            for (outlet, position) in state.outlets.iter().zip(positions) {
                if !(outlet.spool.base()..=outlet.spool.length()).contains(&position) {
                    let detail =
                        format!("Output of the call cannot be sent from byte {position} on.");
                    return Err(Problem::new(Code::InvalidRequest, detail));
                }
            }
            for (outlet, position) in state.outlets.iter_mut().zip(positions) {
                outlet.take_up(position, self.is_part());
            }
            state.end_sent = false;
            // What was taken is told whole: nothing is credited twice.
            state.inlet.credit = 0;
        }
        if resume.is_some() || !self.is_part() {
            state.started_due = Some(Received {
                had: state.inlet.spool.length(),
                taken: state.inlet.taken,
            });
        }
        state.attachment = Some(Attachment {
            outbound: Arc::clone(outbound),
            channel,
        });
        state.is_ready = false;
        state.poke();
        self.make_ready(&mut state);
        Ok(())
    }

    /// Forgets the channel, if it is still that of this connection.
    pub(crate) fn detach(&self, outbound: &Outbound) {
        let mut state = self.state.lock();
        if state
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.outbound.number == outbound.number)
        {
            state.attachment = None;
        }
    }

    /// Takes stdin.
    pub(crate) fn on_stdin(&self, bytes: &[u8]) -> Result<(), Problem> {
        let mut state = self.state.lock();
        if state.inlet.ended {
            return Err(Problem::new(
                Code::InvalidRequest,
                "Stdin came after its end.",
            ));
        }
        if state.fate.end().is_some() {
            // Nobody reads it any more; the caller hears of the end.
            return Ok(());
        }
        let waiting = state.inlet.spool.length() - state.inlet.spool.base();
        if waiting.saturating_add(bytes.len() as u64) > STDIN_BYTES_MAX {
            return Err(Problem::new(
                Code::TooLarge,
                "More stdin came than its window allows.",
            ));
        }
        state.inlet.spool.append(bytes).map_err(|error| {
            Problem::new(
                Code::StorageFailed,
                format!("Stdin of the call cannot be kept: {error}."),
            )
        })?;
        state.poke();
        Ok(())
    }

    /// Takes the end of stdin.
    pub(crate) fn on_stdin_end(&self) {
        let mut state = self.state.lock();
        state.inlet.ended = true;
        state.poke();
    }

    /// Takes the caller's credit.
    pub(crate) fn on_credit(self: &Arc<Self>, stream: Stream, bytes: u32) {
        let mut state = self.state.lock();
        let is_part = self.is_part();
        let outlet = &mut state.outlets[stream as usize];
        outlet.on_credit(bytes, is_part);
        if outlet.runner_credit > 0 {
            state.poke();
        }
        self.make_ready(&mut state);
    }

    /// Ends it, if it has not ended; the first reason counts. Tells whether
    /// this was it.
    pub(crate) fn cut(&self, cut: Cut) -> bool {
        let mut state = self.state.lock();
        let is_first = state.fate.cut(cut);
        if is_first {
            self.moved.cut.cancel();
            state.poke();
        }
        is_first
    }

    /// Ends it because some of its output was not taken: the disk has refused
    /// it, or it is more than the limit. No reason that was said before counts
    /// beside that: what the call has said is not whole.
    pub(crate) fn cut_for_lost_bytes(&self, cut: Cut) {
        let mut state = self.state.lock();
        if state.fate.cut_above_all(cut) {
            self.moved.cut.cancel();
            state.poke();
        }
    }

    // === to and from the slot ===

    /// A slot takes it, and brings its files first.
    pub(crate) fn begin_staging(&self) {
        self.state.lock().fate.begin();
        let _ = self.moved.waited.set(self.waiting_since.elapsed());
    }

    /// How long it has waited for a slot.
    pub(crate) fn waited(&self) -> Duration {
        let waited = self.moved.waited.get().copied();
        waited.unwrap_or_else(|| self.waiting_since.elapsed())
    }

    /// A slot takes it; gives its first input, and whether that is all.
    pub(crate) fn begin(&self, slot: SlotLink) -> io::Result<(Vec<u8>, bool)> {
        let mut state = self.state.lock();
        state.fate.begin();
        state.running = Some(Running {
            slot,
            poked: false,
            kill_forwarded: false,
        });
        let stdin = state.inlet.take_piece()?;
        let ended = state.inlet.ended && state.inlet.is_empty();
        state.inlet.end_forwarded = ended;
        Ok((stdin, ended))
    }

    /// The slot gives back a part that did not start, or did in vain, with its
    /// input. Nothing of its output has left.
    pub(crate) fn give_back(&self, stdin: &[u8], room: &Arc<SpoolRoom>) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut restored = Spool::new(Arc::clone(room));
        restored.append(stdin)?;
        state.inlet.spool = restored;
        state.inlet.taken = 0;
        state.inlet.credit = 0;
        state.outlets = [Outlet::new(room), Outlet::new(room)];
        state.inlet.end_forwarded = false;
        state.running = None;
        state.fate.give_back();
        Ok(())
    }

    /// Appends what the runner is to hear; tells whether that is a kill.
    pub(crate) fn push_to_runner(&self, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut state = self.state.lock();
        let Some(running) = &mut state.running else {
            return Ok(false);
        };
        running.poked = false;
        let number = running.slot.number;
        while !state.inlet.is_empty() {
            let piece = state.inlet.take_piece()?;
            protocol::push(out, protocol::Kind::Stdin, number, &piece);
        }
        if state.inlet.ended && !state.inlet.end_forwarded {
            state.inlet.end_forwarded = true;
            protocol::push(out, protocol::Kind::StdinEnd, number, &[]);
        }
        let kinds = [protocol::Kind::StdoutCredit, protocol::Kind::StderrCredit];
        for (outlet, kind) in state.outlets.iter_mut().zip(kinds) {
            let credit = std::mem::take(&mut outlet.runner_credit);
            if credit > 0 {
                protocol::push(out, kind, number, &credit.to_le_bytes());
            }
        }
        if state.fate.cut_reason().is_none() {
            return Ok(false);
        }
        let forwarded = state
            .running
            .as_mut()
            .map(|running| std::mem::replace(&mut running.kill_forwarded, true));
        if forwarded == Some(false) {
            protocol::push(out, protocol::Kind::Kill, number, &[]);
        }
        Ok(forwarded == Some(false))
    }

    /// Takes output of the process. Fails when it cannot be kept.
    pub(crate) fn on_output(
        self: &Arc<Self>,
        stream: Stream,
        bytes: &[u8],
        output_max: Option<u64>,
    ) -> Result<(), Cut> {
        let mut state = self.state.lock();
        if stream == Stream::Stderr
            && let Some(log) = &mut state.log
        {
            log.push(bytes);
        }
        let total: u64 = state
            .outlets
            .iter()
            .map(|outlet| outlet.spool.length())
            .sum();
        let outlet = &mut state.outlets[stream as usize];
        if outlet.spool.is_sealed() {
            // Why was said when the first was lost; the call is being ended.
            return Ok(());
        }
        if output_max.is_some_and(|most| total.saturating_add(bytes.len() as u64) > most) {
            outlet.spool.seal();
            return Err(Cut::Limit("MaxOutputSize"));
        }
        if let Err(error) = outlet.spool.append(bytes) {
            tracing::warn!(call.id = %self.id, %error, "output of a call cannot be kept");
            return Err(Cut::BytesLost);
        }
        if self.is_part() {
            // Kept on this Host: the part goes on whatever its reader does.
            outlet.runner_credit = outlet
                .runner_credit
                .saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            if outlet.runner_credit as usize >= WINDOW_BYTES / 4 {
                state.poke();
            }
        } else {
            self.make_ready(&mut state);
        }
        Ok(())
    }

    /// The process has taken so much stdin.
    pub(crate) fn on_stdin_taken(self: &Arc<Self>, bytes: u32) {
        let mut state = self.state.lock();
        state.inlet.taken += u64::from(bytes);
        state.inlet.credit = state.inlet.credit.saturating_add(bytes);
        self.make_ready(&mut state);
    }

    /// Why it is to be ended, if it is.
    pub(crate) fn cut_reason(&self) -> Option<Cut> {
        self.state.lock().fate.cut_reason().cloned()
    }

    /// Gives the end with the bytes counted that have gone in and out.
    pub(crate) fn counted(&self, mut end: CallEnd) -> CallEnd {
        let state = self.state.lock();
        end.stdout_bytes = state.outlets[Stream::Stdout as usize].spool.length();
        end.stderr_bytes = state.outlets[Stream::Stderr as usize].spool.length();
        self.moved.count(&mut end);
        end
    }

    /// It has ended: from now on its caller hears of it.
    pub(crate) fn finish(self: &Arc<Self>, end: CallEnd) {
        if self.is_part() {
            FaultPoint::PartEnded.pass_or_die();
        }
        let mut state = self.state.lock();
        if let Some(log) = state.log.take() {
            log.finish();
        }
        state.running = None;
        let length = state.inlet.spool.length();
        state.inlet.spool.release(length);
        state.fate.finish(end);
        self.make_ready(&mut state);
    }
}

impl State {
    fn poke(&mut self) {
        if let Some(running) = &mut self.running
            && !running.poked
        {
            // A slot that is gone has finished, or will finish, the call.
            running.poked = running.slot.pokes.send(running.slot.number).is_ok();
        }
    }
}
