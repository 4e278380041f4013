//! What is known of a running call: shared by its caller, who reads and writes
//! its streams, and the link that carries it.
//!
//! Invariants: once `end` is set nothing changes it; a slot is passed on only
//! outside the lock; a call that is lost runs again only if nothing of it was
//! handed out and running twice is allowed.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_schemas::{
    id::{CallId, RequestId},
    problem::{Code, Problem},
    wire::{
        call::{CallCancel, CallOpen, CallStarted, Resume},
        frame::{Kind, push_json},
        record::CallEnd,
        staging::Staged,
    },
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    core::{Core, Stream, set_waker},
    course::{After, Rerun},
    flow::{FlowError, InputFlow},
};
use crate::{
    error::{Error, describe},
    grid::{Grid, Link, Need, Slot, Wanted, bare},
};

/// What is to be called, and how.
pub(crate) struct CallPlan {
    pub(crate) need: Need,
    pub(crate) open: CallOpen,
    pub(crate) retry: bool,
    pub(crate) priority: i32,
    pub(crate) request: RequestId,
}

/// A call.
pub(crate) struct CallShared {
    plan: CallPlan,
    grid: Arc<Grid>,
    core: Mutex<Core>,
    /// The caller has gone, or cancels.
    gone: CancellationToken,
}

// === What the caller does ===

impl CallShared {
    pub(crate) fn new(grid: Arc<Grid>, plan: CallPlan, input: InputFlow) -> Arc<Self> {
        Arc::new(Self {
            plan,
            grid,
            core: Mutex::new(Core::new(input)),
            gone: CancellationToken::new(),
        })
    }

    pub(crate) const fn id(&self) -> CallId {
        self.plan.open.call
    }

    /// The files that it takes from buckets and leaves in them.
    pub(crate) const fn staged(&self) -> &Staged {
        &self.plan.open.staged
    }

    pub(crate) const fn grid(&self) -> &Arc<Grid> {
        &self.grid
    }

    pub(crate) const fn request(&self) -> RequestId {
        self.plan.request
    }

    /// Finds a slot and sends the call there.
    pub(crate) async fn place(self: &Arc<Self>) -> Result<(), Error> {
        loop {
            let avoid = self.core.lock().course.avoid().to_vec();
            let wanted = Wanted {
                need: &self.plan.need,
                job: self.plan.open.part_of.map(|part| part.job),
                avoid: &avoid,
                priority: self.plan.priority,
                request: self.plan.request,
            };
            let slot = self.grid.slot(&wanted).await?;
            let link = slot.link().clone();
            link.require_staging(self.staged())?;
            let mut core = self.core.lock();
            if core.course.has_ended() {
                drop(core);
                return Ok(());
            }
            let Some(channel) = link.register(self) else {
                drop(core);
                continue;
            };
            core.line = Some((link.clone(), channel));
            core.slot = Some(slot);
            core.course.on_placed();
            core.last_sign = Instant::now();
            core.ask_after = None;
            let frames = self.open_frames(&mut core, channel, None);
            link.push(frames);
            return Ok(());
        }
    }

    fn open_frames(&self, core: &mut Core, channel: u32, resume: Option<Resume>) -> Vec<u8> {
        let mut frames = Vec::new();
        let mut open = self.plan.open.clone();
        if let Some(part) = &mut open.part_of {
            part.attempt = core.course.attempts().max(1);
        }
        open.resume = resume;
        if let Err(error) = push_json(&mut frames, Kind::Open, channel, &open) {
            // Strings and numbers are always written.
            tracing::error!(%error, "a call could not be written down");
        }
        core.input_frames(channel, &mut frames);
        if core.course.is_cancelled() {
            frames.extend(self.cancel_frame(channel, "cancelled by its caller"));
        }
        frames
    }

    pub(crate) fn cancel_frame(&self, channel: u32, reason: &str) -> Vec<u8> {
        let mut frames = Vec::new();
        let cancel = CallCancel {
            reason: reason.to_owned(),
        };
        if let Err(error) = push_json(&mut frames, Kind::Cancel, channel, &cancel) {
            tracing::error!(call.id = %self.id(), %error, "a cancel could not be written down");
        }
        frames
    }

    /// Ends the process tree; its end arrives as of any call.
    pub(crate) fn cancel(&self) {
        let mut core = self.core.lock();
        if !core.course.on_cancelled() {
            return;
        }
        core.stdout.discard();
        core.stderr.discard();
        if let Some((link, channel)) = core.line.clone() {
            link.push(self.cancel_frame(channel, "cancelled by its caller"));
            core.credit_frame(Stream::Stdout);
            core.credit_frame(Stream::Stderr);
        }
        drop(core);
        self.gone.cancel();
    }

    /// Bytes of stdin that may be written now.
    pub(crate) fn poll_input_room(&self, waker: &Waker) -> Result<Option<usize>, Problem> {
        let mut core = self.core.lock();
        match core.course.end() {
            Some(Err(problem)) => return Err(problem.clone()),
            Some(Ok(_)) => {
                return Err(Problem::new(
                    Code::Terminated,
                    "the call has ended and reads no more input",
                ));
            }
            None => {}
        }
        let room = core.input.room();
        if room == 0 {
            set_waker(&mut core.wakers.input, waker);
            return Ok(None);
        }
        Ok(Some(room))
    }

    pub(crate) fn input_push(&self, data: Bytes) {
        let mut core = self.core.lock();
        core.input.push(data);
        core.send_input();
    }

    pub(crate) fn input_end(&self) {
        let mut core = self.core.lock();
        core.input.end();
        core.send_input();
    }

    /// Gives the next output; `Ok(None)` at its end; nothing yet: `waker` is
    /// woken when there is.
    pub(crate) fn poll_output(
        &self,
        stream: Stream,
        max: usize,
        waker: &Waker,
    ) -> Option<Result<Option<Bytes>, Problem>> {
        let mut core = self.core.lock();
        if let Some(data) = core.output(stream).take(max) {
            core.credit_frame(stream);
            return Some(Ok(Some(data)));
        }
        match core.course.end() {
            Some(Ok(_)) => Some(Ok(None)),
            Some(Err(problem)) => Some(Err(problem.clone())),
            None => {
                let place = match stream {
                    Stream::Stdout => &mut core.wakers.stdout,
                    Stream::Stderr => &mut core.wakers.stderr,
                };
                set_waker(place, waker);
                None
            }
        }
    }

    /// Nobody reads this output.
    pub(crate) fn output_discard(&self, stream: Stream) {
        let mut core = self.core.lock();
        core.output(stream).discard();
        core.credit_frame(stream);
    }

    pub(crate) fn poll_end(&self, waker: &Waker) -> Option<Result<CallEnd, Problem>> {
        let mut core = self.core.lock();
        if !core.course.has_ended() {
            set_waker(&mut core.wakers.end, waker);
        }
        core.course.end().cloned()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.core.lock().course.has_ended()
    }
}

// === What the link does ===

impl CallShared {
    /// Takes a frame; true: the channel is done with.
    pub(crate) fn on_frame(
        self: &Arc<Self>,
        kind: Kind,
        channel: u32,
        payload: Bytes,
        link: &Link,
    ) -> Result<bool, Problem> {
        let mut core = self.core.lock();
        core.last_sign = Instant::now();
        core.ask_after = None;
        if kind != Kind::Refused {
            core.course.on_sign();
        }
        match kind {
            Kind::Stdout | Kind::Stderr => {
                let stream = if kind == Kind::Stdout {
                    Stream::Stdout
                } else {
                    Stream::Stderr
                };
                core.output(stream).on_data(payload).map_err(broken)?;
                core.credit_frame(stream);
                let waker = match stream {
                    Stream::Stdout => core.wakers.stdout.take(),
                    Stream::Stderr => core.wakers.stderr.take(),
                };
                drop(core);
                waker.inspect(Waker::wake_by_ref);
            }
            Kind::StdinCredit => {
                let credit = frame(kind, channel, &payload).credit()?;
                core.input.on_credit(credit).map_err(broken)?;
                core.send_input();
                core.wakers.input.take().inspect(Waker::wake_by_ref);
            }
            Kind::Started => {
                let started: CallStarted = frame(kind, channel, &payload).json()?;
                if core.course.on_started() {
                    let CallStarted {
                        stdin, stdin_taken, ..
                    } = started;
                    core.input.on_resumed(stdin, stdin_taken).map_err(broken)?;
                    core.send_input();
                }
            }
            Kind::Ended => {
                let end: CallEnd = frame(kind, channel, &payload).json()?;
                link.push(bare(Kind::Close, channel));
                match lost(&end) {
                    None => Self::finish(core, Ok(end)),
                    Some(problem) => self.settle(core, &problem, true, Ok(end)),
                }
                return Ok(true);
            }
            Kind::Refused => {
                let problem: Problem = frame(kind, channel, &payload).json()?;
                let begun = core.course.may_have_begun();
                drop(core);
                self.on_failed(problem, begun);
                return Ok(true);
            }
            // Of a newer Host: what it may say without being asked is optional.
            _ => {}
        }
        Ok(false)
    }

    fn finish(mut core: parking_lot::MutexGuard<'_, Core>, end: Result<CallEnd, Problem>) {
        core.course.on_ended(end);
        core.line = None;
        let slot = core.slot.take();
        core.wakers.wake_all();
        drop(core);
        drop(slot);
    }

    /// The call was refused (`began`: false) or lost (`began`: perhaps).
    pub(crate) fn on_failed(self: &Arc<Self>, problem: Problem, began: bool) {
        let core = self.core.lock();
        self.settle(core, &problem.clone(), began, Err(problem));
    }

    /// Has it run again after this problem, or ends it with `end`.
    fn settle(
        self: &Arc<Self>,
        mut core: parking_lot::MutexGuard<'_, Core>,
        problem: &Problem,
        began: bool,
        end: Result<CallEnd, Problem>,
    ) {
        let rerun = self.rerun(&core);
        let host = core.line.as_ref().map(|(link, _)| link.host());
        match core.course.on_failed(problem, began, rerun, host) {
            After::Nothing => return,
            After::Over => return Self::finish(core, end),
            After::Anew => {}
        }
        core.input.restart();
        core.stdout.restart();
        core.stderr.restart();
        core.line = None;
        let slot = core.slot.take();
        drop(core);
        drop(slot);
        tracing::debug!(call.id = %self.id(), %problem, "a call is placed anew");
        tokio::spawn(place_again(Arc::clone(self)));
    }

    fn rerun(&self, core: &Core) -> Rerun {
        let application = core.slot.as_ref().map(Slot::application);
        Rerun {
            retryable: self.plan.retry
                || application.is_some_and(|application| application.retryable),
            attempts_max: application.map_or(1, |application| application.attempts_max),
            untouched: !core.stdout.handed_out()
                && !core.stderr.handed_out()
                && core.input.replayable(),
        }
    }

    /// Makes the frames that go on with the call on a new stream.
    pub(crate) fn resume_frames(&self, channel: u32, held: &[CallId]) -> Vec<u8> {
        let mut core = self.core.lock();
        core.last_sign = Instant::now();
        core.ask_after = None;
        let is_held = held.contains(&self.id());
        // Its opening never arrived, if nothing came back; else it is gone,
        // which the Host will say.
        let heard = !is_held && core.input.on_resumed(0, 0).is_err();
        let resume = core.course.on_reattached(is_held, heard).then(|| Resume {
            stdout: core.stdout.received(),
            stderr: core.stderr.received(),
        });
        if is_held {
            core.stdout.on_resumed();
            core.stderr.on_resumed();
        }
        self.open_frames(&mut core, channel, resume)
    }

    pub(crate) fn is_overdue(&self, now: Instant, after: Duration) -> bool {
        let core = self.core.lock();
        let due = core.ask_after.unwrap_or(core.last_sign + after);
        !core.course.has_ended() && now >= due
    }

    pub(crate) fn ask_again(&self, when: Instant) {
        self.core.lock().ask_after = Some(when);
    }
}

async fn place_again(call: Arc<CallShared>) {
    let placed = tokio::select! {
        () = call.gone.cancelled() => Err(Error::refused(Code::Terminated, "cancelled by its caller")),
        placed = call.place() => placed,
    };
    if let Err(error) = placed {
        let core = call.core.lock();
        CallShared::finish(core, Err(error.to_problem()));
    }
}

fn frame(kind: Kind, channel: u32, payload: &Bytes) -> gridmart_schemas::wire::frame::Frame<'_> {
    gridmart_schemas::wire::frame::Frame {
        kind,
        channel,
        payload,
    }
}

/// An end that is not the program's: what it ran in was lost.
fn lost(end: &CallEnd) -> Option<Problem> {
    let code = end.code.filter(|code| *code == Code::SandboxLost)?;
    Some(Problem::new(code, describe(end)))
}

fn broken(error: FlowError) -> Problem {
    Problem::new(Code::InvalidRequest, error.to_string())
}
