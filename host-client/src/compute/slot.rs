//! One slot of a lease: a task that owns one sandbox and runs calls in it,
//! one after the other.
//!
//! Short parts of maps are given to the runner a few at a time, so that the
//! next one starts while this side still works on the last one's end; when the
//! first turns out to be long, the others are taken back.

mod clock;
mod lost;
mod staged;

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    problem::Code,
    wire::{
        frame::WINDOW_BYTES,
        record::{CallEnd, CallState},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{
    call::{Call, SlotLink, Stream},
    cgroup::CgroupHits,
    fate::failed,
    invocation,
    lease::Lease,
    runner::protocol::{
        CALLS_AHEAD_MAX, EndCause, EndedBy, Kind, Message, ProcessEnd, ProtocolError, Start,
    },
    sandbox::{Sandbox, SandboxError, SandboxPlan},
    verdict::judge,
};

/// Output of a call may wait this long for its end, to leave with it.
const LINGER_CALL: Duration = Duration::from_micros(300);
/// Output of a part is not wanted before its end anyway.
const LINGER_PART: Duration = Duration::from_millis(2);
/// A call that runs longer gives back those that wait behind it.
const AHEAD_TIME_MAX: Duration = Duration::from_millis(50);
/// A runner that does not report the end of a killed call by then is ended.
const KILL_TIME_MAX: Duration = Duration::from_secs(2);
/// The runner keeps wall time; so much later the sandbox is ended anyway.
const WALL_GRACE: Duration = Duration::from_secs(5);
/// A sandbox that was idle this long is looked at before it is used.
const IDLE_TRUST: Duration = Duration::from_millis(50);
/// Calls shorter than this, and successful, cannot have hit a group's limit
/// that matters: its counters are not read.
const UNWATCHED_US: u64 = 2_000;
/// Pause after a sandbox could not be made.
const SANDBOX_PAUSE: Duration = Duration::from_millis(500);
/// Bytes that one read of the runner's socket makes room for.
const READ_BYTES: usize = 32 * 1024;

/// Starts the task of a new slot.
pub(crate) fn spawn(lease: Arc<Lease>) {
    let tasks = lease.services.tasks.clone();
    tasks.spawn(async move { Slot::new(lease).run().await });
}

/// A call that the runner has.
struct InFlight {
    call: Arc<Call>,
    number: u32,
    /// Its whole input, where it can be given back.
    stdin: Option<Vec<u8>>,
    wall_ms: u64,
    recalled: bool,
}

/// Why a sandbox cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The runner runs nothing more in it.
    #[error("a call left something behind that cannot be cleared away")]
    Spoiled,
    /// A call had files of buckets in it: what is left of them goes with it.
    #[error("a call's files lie in it")]
    Staged,
    /// A killed call, or one over its time, was not reported as ended.
    #[error("its runner did not end a call in time")]
    Late,
    /// It is gone.
    #[error("it ended: {0}")]
    Gone(#[from] io::Error),
    /// It does not keep to the protocol.
    #[error("its runner is not to be trusted: {0}")]
    Protocol(#[from] ProtocolError),
}

/// Why a sandbox is not used any more.
enum Over {
    /// The lease is over.
    Lease,
    /// The sandbox is: calls go on in another one.
    Sandbox,
}

struct Slot {
    lease: Arc<Lease>,
    in_flight: VecDeque<InFlight>,
    next_number: u32,
    pokes: mpsc::UnboundedReceiver<u32>,
    poke: mpsc::UnboundedSender<u32>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Since when the first call in flight runs.
    head_since: Instant,
    /// When the room that the first call takes is looked at next.
    look_at: Instant,
    /// When the runner has to have reported the end of a kill.
    kill_deadline: Option<Instant>,
    hits: CgroupHits,
    counted_idle: bool,
    /// A call that went well, whose files are to be stored.
    leaving: Option<(Arc<Call>, CallEnd)>,
    /// A sandbox was lost with several calls in it: from now on its runners
    /// have one at a time, so that it is known which one it was.
    is_cautious: bool,
}

impl Slot {
    fn new(lease: Arc<Lease>) -> Self {
        let (poke, pokes) = mpsc::unbounded_channel();
        Self {
            lease,
            in_flight: VecDeque::new(),
            next_number: 1,
            pokes,
            poke,
            inbox: Vec::with_capacity(READ_BYTES),
            outbox: Vec::new(),
            head_since: Instant::now(),
            look_at: Instant::now(),
            kill_deadline: None,
            hits: CgroupHits::default(),
            counted_idle: true,
            leaving: None,
            is_cautious: false,
        }
    }

    async fn run(mut self) {
        loop {
            let made = tokio::select! {
                made = self.make_sandbox() => made,
                () = self.lease.over.cancelled() => return,
            };
            match made {
                Ok(mut sandbox) => {
                    self.hits = CgroupHits::default();
                    match self.serve(&mut sandbox).await {
                        Over::Lease => return,
                        Over::Sandbox => {}
                    }
                }
                Err(error) => {
                    tracing::error!(lease.id = %self.lease.id(), %error, "a sandbox cannot be made");
                    let Some(call) = self.lease.next_call(&mut self.counted_idle).await else {
                        return;
                    };
                    let code = match error.refusal_of_disk() {
                        Some(refusal) => {
                            self.lease.services.member.disk_watch.on_failure(refusal);
                            Code::StorageFailed
                        }
                        None => Code::SandboxUnavailable,
                    };
                    let end = failed(CallState::Failed, code, error.to_string());
                    self.lease.finish(&call, end);
                    tokio::time::sleep(SANDBOX_PAUSE).await;
                }
            }
        }
    }

    async fn make_sandbox(&self) -> Result<Sandbox, SandboxError> {
        let services = &self.lease.services;
        let maker = services
            .sandboxes
            .as_ref()
            .map_err(|reason| SandboxError::NotReady(reason.clone()))?;
        let name = services.sandbox_name();
        let plan = SandboxPlan {
            folder: services.sandbox_folder.join(&name),
            name,
            application: Some(self.lease.application.folder.clone()),
            tree_limits: self.lease.limits.tree,
            process_limits: self.lease.limits.processes.clone(),
        };
        let sandbox = maker.make(&plan).await?;
        services.metrics.sandboxes.inc();
        Ok(sandbox)
    }

    /// Runs calls until the lease or the sandbox is over.
    async fn serve(&mut self, sandbox: &mut Sandbox) -> Over {
        loop {
            let idle_since = Instant::now();
            let Some(call) = self.lease.next_call(&mut self.counted_idle).await else {
                return Over::Lease;
            };
            if idle_since.elapsed() > IDLE_TRUST && !is_alive(sandbox) {
                self.lease.requeue(call);
                return Over::Sandbox;
            }
            let slots = Arc::clone(&self.lease.services.slots);
            // Nobody closes the semaphore.
            let Ok(permit) = slots.acquire().await else {
                return Over::Lease;
            };
            self.lease.services.metrics.running.inc();
            let ran = self.run_calls(sandbox, call).await;
            self.lease.services.metrics.running.dec();
            drop(permit);
            if let Err(broken) = ran {
                self.lose(sandbox, &broken);
                return Over::Sandbox;
            }
            if self.lease.over.is_cancelled() {
                return Over::Lease;
            }
        }
    }

    /// Runs `first`, and whatever waits behind it, until nothing waits.
    async fn run_calls(&mut self, sandbox: &mut Sandbox, first: Arc<Call>) -> Result<(), Broken> {
        self.begin(sandbox, first).await?;
        loop {
            if let Some((call, end)) = self.leaving.take() {
                self.leave(sandbox, call, end).await;
                return Err(Broken::Staged);
            }
            if self.in_flight.is_empty() {
                match self.lease.try_next_call() {
                    Some(call) => self.begin(sandbox, call).await?,
                    None => return Ok(()),
                }
            }
            while !self.is_cautious
                && !self.has_staged()
                && self.in_flight.len() < CALLS_AHEAD_MAX
                && let Some(call) = self.lease.try_call_ahead(self.in_flight.len())
            {
                self.start(sandbox, call)?;
            }
            if !self.outbox.is_empty() {
                sandbox.socket.write_all(&self.outbox).await?;
                self.outbox.clear();
            }
            self.wait(sandbox).await?;
        }
    }

    /// Waits for the runner, a call or the clock, and does what it asks.
    async fn wait(&mut self, sandbox: &mut Sandbox) -> Result<(), Broken> {
        let deadline = self.deadline();
        self.inbox.reserve(READ_BYTES);
        tokio::select! {
            biased;
            read = sandbox.socket.read_buf(&mut self.inbox) => {
                if read? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                self.on_runner(sandbox)
            }
            number = self.pokes.recv() => {
                let mut next = number;
                while let Some(number) = next {
                    self.on_poke(number)?;
                    next = self.pokes.try_recv().ok();
                }
                Ok(())
            }
            () = sleep_until(deadline) => {
                self.look_after_room(sandbox);
                self.on_deadline()
            }
        }
    }

    /// Whether the first call has files of buckets: it is alone in its sandbox.
    fn has_staged(&self) -> bool {
        let first = self.in_flight.front();
        first.is_some_and(|flying| !flying.call.open.staged.is_empty())
    }

    // === to the runner ===

    fn start(&mut self, sandbox: &Sandbox, call: Arc<Call>) -> Result<(), Broken> {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let (stdin, stdin_ended) = call.begin(SlotLink {
            pokes: self.poke.clone(),
            number,
        })?;
        self.lease.services.recent.on_start(call.waited());
        let ahead = !self.in_flight.is_empty();
        if !ahead {
            self.begin_head();
        }
        let command = &self.lease.application.manifest.command;
        let linger = if call.is_part() {
            LINGER_PART
        } else {
            LINGER_CALL
        };
        let start = Start {
            arguments: invocation::arguments(command, &call.open, &sandbox.layout),
            environment: invocation::environment(command, &call.open, &sandbox.layout),
            folder: invocation::folder(command),
            wall_ms: self.lease.limits.wall_ms(call.open.wall_seconds_max),
            window: u32::try_from(WINDOW_BYTES).unwrap_or(u32::MAX),
            linger_us: u32::try_from(linger.as_micros()).unwrap_or(u32::MAX),
            stdin_ended,
            keep: !call.open.staged.outputs.is_empty(),
            stdin,
        };
        start.push(&mut self.outbox, number);
        // Of a part it is one piece at most.
        let stdin = (call.is_part() && stdin_ended).then_some(start.stdin);
        self.in_flight.push_back(InFlight {
            call,
            number,
            stdin,
            wall_ms: start.wall_ms,
            recalled: false,
        });
        // What came between: a cancel, or more input.
        self.on_poke(number)
    }

    fn on_poke(&mut self, number: u32) -> Result<(), Broken> {
        let Some(flying) = self.in_flight.iter().find(|flying| flying.number == number) else {
            return Ok(());
        };
        if flying.call.push_to_runner(&mut self.outbox)? {
            self.kill_deadline
                .get_or_insert(Instant::now() + KILL_TIME_MAX);
        }
        Ok(())
    }

    // === from the runner ===

    fn on_runner(&mut self, sandbox: &Sandbox) -> Result<(), Broken> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut taken = 0;
        while let Some((message, length)) = Message::take(&inbox[taken..])? {
            self.on_message(sandbox, message)?;
            taken += length;
        }
        self.inbox = inbox;
        self.inbox.drain(..taken);
        Ok(())
    }

    fn on_message(&mut self, sandbox: &Sandbox, message: Message<'_>) -> Result<(), Broken> {
        let place = self
            .in_flight
            .iter()
            .position(|flying| flying.number == message.call);
        let Some(place) = place else {
            return Err(ProtocolError::Unexpected(message.kind).into());
        };
        let call = &self.in_flight[place].call;
        match message.kind {
            Kind::Stdout => self.on_output(place, Stream::Stdout, message.payload),
            Kind::Stderr => self.on_output(place, Stream::Stderr, message.payload),
            Kind::StdinCredit => call.on_stdin_taken(message.credit()?),
            Kind::Exited => {
                let end = ProcessEnd::read(message.payload)?;
                return self.on_exited(sandbox, place, &end);
            }
            kind => return Err(ProtocolError::Unexpected(kind).into()),
        }
        Ok(())
    }

    fn on_output(&self, place: usize, stream: Stream, bytes: &[u8]) {
        let call = &self.in_flight[place].call;
        let limit = self.lease.limits.output_bytes;
        if let Err(cut) = call.on_output(stream, bytes, limit) {
            call.cut_for_lost_bytes(cut);
        }
    }

    fn on_exited(
        &mut self,
        sandbox: &Sandbox,
        place: usize,
        end: &ProcessEnd,
    ) -> Result<(), Broken> {
        let Some(flying) = self.in_flight.remove(place) else {
            return Ok(());
        };
        self.kill_deadline = None;
        self.begin_head();
        let cut = flying.call.cut_reason();
        if flying.recalled
            && end.cause == EndCause::NotStarted
            && end.by == EndedBy::Host
            && cut.is_none()
        {
            return Ok(self.give_back(flying)?);
        }
        let hits = self.new_hits(sandbox, end);
        let judged = judge(end, cut.as_ref(), hits, &self.lease.limits);
        if judged.succeeded() && !flying.call.open.staged.outputs.is_empty() {
            self.leaving = Some((flying.call, judged));
            return Ok(());
        }
        self.lease.finish(&flying.call, judged);
        if end.spoiled {
            Err(Broken::Spoiled)
        } else {
            Ok(())
        }
    }

    fn give_back(&self, flying: InFlight) -> io::Result<()> {
        let stdin = flying.stdin.unwrap_or_default();
        flying.call.give_back(&stdin, &self.lease.services.spools)?;
        self.lease.requeue(flying.call);
        Ok(())
    }

    /// What the group's limits were hit while this call ran.
    fn new_hits(&mut self, sandbox: &Sandbox, end: &ProcessEnd) -> CgroupHits {
        let succeeded = end.cause == EndCause::Exited && end.value == 0;
        if succeeded && end.wall_us < UNWATCHED_US {
            return CgroupHits::default();
        }
        let Some(hits) = sandbox.hits() else {
            return CgroupHits::default();
        };
        let new = CgroupHits {
            memory: hits.memory.saturating_sub(self.hits.memory),
            tasks: hits.tasks.saturating_sub(self.hits.tasks),
        };
        self.hits = hits;
        new
    }
}

/// Tells whether the runner is still there; it says nothing by itself.
fn is_alive(sandbox: &Sandbox) -> bool {
    let mut byte = [0];
    matches!(sandbox.socket.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
