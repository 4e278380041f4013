//! The calls of one lease, over one stream to its Host.
//!
//! One task reads. After a cut the reader
//! attaches again and goes on with every call; if it cannot, every call fails
//! with the reason, and the link is dead.
//!
//! Locks: a call's own lock may be held when the link's is taken, never the
//! other way round.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, OptionFuture};
use gridmart_fabric::{frames::FrameSource, tls::ClientTls};
use gridmart_schemas::{
    id::{CallId, Incarnation, LeaseId, NodeId},
    problem::{Code, Problem},
    wire::{
        frame::{Frames, Kind, push},
        staging::{AccessQuestion, QUESTIONS_MAX, Staged},
    },
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::MissedTickBehavior,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    grants,
    outbox::Outbox,
    pool::Pool,
    presence::{Finding, judge_probe},
    session::LeaseHold,
    stream::{CallsStream, attach, attach_frame, reattach},
};
use crate::call::CallShared;

/// How long cancelled calls may take to end when the link closes.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// How often running calls are looked at for signs of life.
const LIFE_INTERVAL: Duration = Duration::from_millis(500);

/// A handle on the stream; clones are the same link.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    hold: Mutex<Option<Arc<LeaseHold>>>,
    lease: LeaseId,
    host: NodeId,
    slots: u32,
    incarnation: Incarnation,
    /// The version that the Host speaks.
    version: [u16; 2],
    /// Taken while a question of the Host is being answered.
    questions: Arc<Semaphore>,
    tls: ClientTls,
    pool: Weak<Pool>,
    state: Mutex<State>,
    /// Close when the last call has ended.
    closing: Notify,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Absent: cut, or closed.
    outbox: Option<Outbox>,
    channels: HashMap<u32, Arc<CallShared>>,
    last_channel: u32,
    dead: bool,
}

/// Why the reader stopped.
enum Stopped {
    Closed,
    Cut,
    Over(Problem),
}

impl Link {
    /// Dials the lease's Host.
    pub(crate) async fn open(
        tls: &ClientTls,
        hold: Arc<LeaseHold>,
        pool: Weak<Pool>,
        tasks: &TaskTracker,
    ) -> Result<Self, Problem> {
        let lease = hold.lease();
        let CallsStream {
            sink,
            source,
            attached,
        } = attach(tls, &lease).await?;
        let link = Self(Arc::new(Inner {
            lease: lease.lease,
            host: lease.host,
            slots: lease.slots.max(1),
            incarnation: attached.incarnation,
            version: attached.v,
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            tls: tls.clone(),
            pool,
            state: Mutex::new(State {
                outbox: Some(Outbox::new(sink)),
                ..State::default()
            }),
            closing: Notify::new(),
            stop: CancellationToken::new(),
            hold: Mutex::new(Some(Arc::clone(&hold))),
        }));
        tasks.spawn(read(link.clone(), hold, source));
        Ok(link)
    }

    pub(crate) fn id(&self) -> LeaseId {
        self.0.lease
    }

    pub(crate) fn host(&self) -> NodeId {
        self.0.host
    }

    pub(crate) fn slots(&self) -> u32 {
        self.0.slots
    }

    /// Refuses calls whose files the Host would not bring.
    pub(crate) fn require_staging(&self, staged: &Staged) -> Result<(), Problem> {
        grants::require_staging(staged, self.0.host, self.0.version)
    }

    /// Takes new calls.
    pub(crate) fn is_usable(&self) -> bool {
        !self.0.state.lock().dead
            && self
                .0
                .hold
                .lock()
                .as_ref()
                .is_some_and(|hold| !hold.is_spent())
    }

    /// Gives a call a channel; none: the link died meanwhile.
    pub(crate) fn register(&self, call: &Arc<CallShared>) -> Option<u32> {
        let mut state = self.0.state.lock();
        if state.dead {
            return None;
        }
        state.last_channel = state.last_channel.wrapping_add(1).max(1);
        let channel = state.last_channel;
        state.channels.insert(channel, Arc::clone(call));
        Some(channel)
    }

    /// Sends frames, as soon as there is room. While the stream is cut they
    /// are dropped: what matters is said again when it is attached.
    pub(crate) fn push(&self, frames: Vec<u8>) {
        if frames.is_empty() {
            return;
        }
        if let Some(outbox) = &self.0.state.lock().outbox {
            outbox.push(frames);
        }
    }

    fn calls(&self) -> Vec<(u32, Arc<CallShared>)> {
        self.0
            .state
            .lock()
            .channels
            .iter()
            .map(|(channel, call)| (*channel, Arc::clone(call)))
            .collect()
    }

    fn call(&self, channel: u32) -> Option<Arc<CallShared>> {
        self.0.state.lock().channels.get(&channel).cloned()
    }

    fn is_dead(&self) -> bool {
        self.0.state.lock().dead
    }

    fn is_idle(&self) -> bool {
        self.0.state.lock().channels.is_empty()
    }

    /// Ends what runs, then gives the lease back: now, if nothing runs, else
    /// when the Host has told the ends, or takes too long.
    pub(crate) fn close(&self) {
        self.0.state.lock().dead = true;
        for (channel, call) in self.calls() {
            if !call.has_ended() {
                self.push(call.cancel_frame(channel, "the client closes"));
            }
        }
        if self.is_idle() {
            self.0.stop.cancel();
            self.bury(&closed());
        }
        self.0.closing.notify_one();
    }

    fn detach(&self) {
        self.0.state.lock().outbox = None;
    }

    /// Fails all calls and releases the lease. Only the first time counts.
    fn bury(&self, problem: &Problem) {
        let (outbox, calls) = {
            let mut state = self.0.state.lock();
            state.dead = true;
            (state.outbox.take(), std::mem::take(&mut state.channels))
        };
        if let Some(outbox) = outbox {
            outbox.close();
        }
        self.0.hold.lock().take();
        for call in calls.into_values() {
            call.on_failed(problem.clone(), true);
        }
    }

    fn on_message(&self, message: &Bytes) -> Result<(), Problem> {
        for frame in Frames::of(message) {
            let frame = frame?;
            if frame.channel == 0 {
                match frame.kind {
                    Kind::Refused => return Err(frame.json::<Problem>()?),
                    Kind::AccessQuestion => self.on_question(frame.json()?),
                    _ => {}
                }
                continue;
            }
            // A call that was closed here may still get late frames.
            let Some(call) = self.call(frame.channel) else {
                continue;
            };
            let done = call.on_frame(
                frame.kind,
                frame.channel,
                message.slice_ref(frame.payload),
                self,
            )?;
            if done {
                self.0.state.lock().channels.remove(&frame.channel);
            }
        }
        Ok(())
    }

    /// The Host wants to use a bucket; after a cut it asks again.
    fn on_question(&self, question: AccessQuestion) {
        let needed = self.calls().into_iter().find(|(_, call)| {
            let staged = call.staged();
            staged.needs(&question.bucket, &question.operations)
        });
        let Some((_, call)) = needed else {
            return self.push(grants::unneeded(&question));
        };
        let Ok(open) = Arc::clone(&self.0.questions).try_acquire_owned() else {
            return self.push(grants::too_many(&question));
        };
        let (link, grid) = (self.clone(), Arc::clone(call.grid()));
        grid.tasks().spawn({
            let plane = Arc::clone(grid.storage());
            async move {
                link.push(grants::answer(plane, question).await);
                drop(open);
            }
        });
    }

    /// Goes on with every call on the new stream.
    fn resume(&self, stream: CallsStream) -> FrameSource {
        let CallsStream {
            sink,
            source,
            attached,
        } = stream;
        self.0.state.lock().outbox = Some(Outbox::new(sink));
        for (channel, call) in self.calls() {
            self.push(call.resume_frames(channel, &attached.held));
        }
        source
    }
}

async fn read(link: Link, hold: Arc<LeaseHold>, source: FrameSource) {
    let problem = tokio::select! {
        problem = carry(&link, &hold, source) => problem,
        () = closing_too_long(&link) => closed(),
    };
    drop(hold);
    link.bury(&problem);
    link.0.stop.cancel();
    if let Some(pool) = link.0.pool.upgrade() {
        pool.on_dead(link.id());
    }
}

async fn closing_too_long(link: &Link) {
    link.0.closing.notified().await;
    tokio::time::sleep(CLOSE_PATIENCE).await;
}

fn closed() -> Problem {
    Problem::new(Code::Terminated, "the client was closed while the call ran")
}

/// Carries calls over one stream after the other; tells why there is no more.
async fn carry(link: &Link, hold: &Arc<LeaseHold>, mut source: FrameSource) -> Problem {
    loop {
        match serve(link, hold, &mut source).await {
            Stopped::Closed => return closed(),
            Stopped::Over(problem) => return problem,
            Stopped::Cut => {}
        }
        link.detach();
        let call = link.calls().into_iter().next();
        let Some((_, call)) = call.filter(|_| !link.is_dead()) else {
            return Problem::new(Code::HostDown, "the stream to the Host is lost");
        };
        tracing::debug!(lease.id = %link.id(), "the stream to a Host is cut; attaching again");
        match reattach(&link.0.tls, hold, link.0.incarnation, call.id()).await {
            Ok(stream) => source = link.resume(stream),
            Err(problem) => return problem,
        }
    }
}

async fn serve(link: &Link, hold: &Arc<LeaseHold>, source: &mut FrameSource) -> Stopped {
    let mut watch = hold.watch();
    let mut ticket = watch.borrow_and_update().lease.ticket.clone();
    let mut life = tokio::time::interval(LIFE_INTERVAL);
    life.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probe: OptionFuture<BoxFuture<'static, (Arc<CallShared>, Option<Problem>)>> =
        None.into();
    let mut probing = false;
    loop {
        tokio::select! {
            message = source.next() => match message {
                Some(Ok(message)) => {
                    if let Err(problem) = link.on_message(&message) {
                        return Stopped::Over(problem);
                    }
                    if link.is_dead() && link.is_idle() {
                        return Stopped::Closed;
                    }
                }
                Some(Err(_)) | None => return Stopped::Cut,
            },
            () = link.0.stop.cancelled() => return Stopped::Closed,
            changed = watch.changed() => {
                let state = watch.borrow_and_update().clone();
                if let Some(problem) = state.over {
                    return Stopped::Over(problem);
                }
                if changed.is_err() {
                    return Stopped::Closed;
                }
                if state.lease.ticket != ticket {
                    ticket = state.lease.ticket;
                    link.push(attach_frame(&ticket).unwrap_or_default());
                }
                if state.recalled && let Some(pool) = link.0.pool.upgrade() {
                    pool.on_spent(link.id());
                }
            },
            _ = life.tick(), if !probing && !link.is_idle() => {
                let after = Duration::from_millis(hold.lease().overdue_after_ms);
                if let Some(call) = overdue(link, after) {
                    probe = Some(ask(Arc::clone(hold), call, link.0.incarnation, after)).into();
                    probing = true;
                }
            },
            Some((call, verdict)) = &mut probe, if probing => {
                probing = false;
                if let Some(problem) = verdict {
                    tracing::debug!(call.id = %call.id(), %problem, "a call was overdue");
                    return Stopped::Over(problem);
                }
            },
        }
    }
}

fn overdue(link: &Link, after: Duration) -> Option<Arc<CallShared>> {
    let now = Instant::now();
    link.calls()
        .into_iter()
        .map(|(_, call)| call)
        .find(|call| call.is_overdue(now, after))
}

/// Has the Element probe the Host; a problem means that its calls are lost.
fn ask(
    hold: Arc<LeaseHold>,
    call: Arc<CallShared>,
    was: Incarnation,
    after: Duration,
) -> BoxFuture<'static, (Arc<CallShared>, Option<Problem>)> {
    Box::pin(async move {
        let id: CallId = call.id();
        let answer = hold.overdue(id).await.ok();
        let name = hold.lease().host_name;
        let again = match judge_probe(answer.as_ref(), was, &name) {
            Finding::Lost(problem) => return (call, Some(problem)),
            Finding::There(again) => again,
            Finding::Unknown => after,
        };
        call.ask_again(Instant::now() + again.max(LIFE_INTERVAL));
        (call, None)
    })
}

/// Makes a frame without payload.
pub(crate) fn bare(kind: Kind, channel: u32) -> Vec<u8> {
    let mut message = Vec::new();
    push(&mut message, kind, channel, &[]);
    message
}
