//! One slot of a lease: a task that owns one sandbox and runs calls in it,
//! one after the other.
//!
//! Short parts of maps are given to the runner a few at a time, so that the
//! next one starts while this side still works on the last one's end; when the
//! first turns out to be long, the others are taken back.

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
    room,
    runner::protocol::{
        self, CALLS_AHEAD_MAX, EndCause, EndedBy, Kind, Message, ProcessEnd, ProtocolError, Start,
    },
    sandbox::{Sandbox, SandboxError, SandboxPlan},
    verdict::{Cut, judge},
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

    // === the clock ===

    fn deadline(&self) -> Option<Instant> {
        let head = self.in_flight.front()?;
        let wall = (head.wall_ms > 0)
            .then(|| self.head_since + Duration::from_millis(head.wall_ms) + WALL_GRACE);
        let ahead = self.in_flight.iter().skip(1).any(|flying| !flying.recalled);
        let recall = ahead.then(|| self.head_since + AHEAD_TIME_MAX);
        [wall, recall, self.kill_deadline, Some(self.look_at)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Another call is the first one now.
    fn begin_head(&mut self) {
        self.head_since = Instant::now();
        self.look_at = self.head_since + room::LOOK_INTERVAL;
    }

    /// Ends the first call if it takes room that the Host needs.
    fn look_after_room(&mut self, sandbox: &Sandbox) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + room::LOOK_INTERVAL;
        let services = &self.lease.services;
        let low = room::low(&sandbox.work_folder, services.slots_total).unwrap_or_else(|error| {
            tracing::debug!(%error, "the room on the disk cannot be looked at");
            None
        });
        let (Some(share), Some(head)) = (low, self.in_flight.front()) else {
            return;
        };
        // Counting may take its time: one call after the other, on a thread for it.
        let Ok(counting) = Arc::clone(&services.counting).try_acquire_owned() else {
            return;
        };
        let (lease, call) = (Arc::clone(&self.lease), Arc::clone(&head.call));
        let folder = sandbox.work_folder.clone();
        tokio::task::spawn_blocking(move || {
            if room::is_over(&folder, share) {
                tracing::warn!(call.id = %call.id, "a call fills the Host's disk and is ended");
                lease.cut_call(&call, Cut::Limit(room::LIMIT));
            }
            drop(counting);
        });
    }

    fn on_deadline(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        if self.kill_deadline.is_some_and(|at| at <= now) {
            return Err(Broken::Late);
        }
        if let Some(head) = self.in_flight.front()
            && head.wall_ms > 0
            && now >= self.head_since + Duration::from_millis(head.wall_ms) + WALL_GRACE
        {
            return Err(Broken::Late);
        }
        if now < self.head_since + AHEAD_TIME_MAX {
            return Ok(());
        }
        for flying in self
            .in_flight
            .iter_mut()
            .skip(1)
            .filter(|flying| !flying.recalled)
        {
            flying.recalled = true;
            protocol::push(&mut self.outbox, Kind::Recall, flying.number, &[]);
        }
        Ok(())
    }

    // === a lost sandbox ===

    /// The sandbox is not used any more: its first call has ended with it, the
    /// others go elsewhere. Where it is not known which call it ended with,
    /// since ends may have been kept back, all go elsewhere, once.
    fn lose(&mut self, sandbox: &Sandbox, broken: &Broken) {
        self.outbox.clear();
        self.inbox.clear();
        self.kill_deadline = None;
        self.on_left_lost(broken);
        let mut flying = std::mem::take(&mut self.in_flight);
        let head = match broken {
            // After a spoiled call the runner starts no other.
            Broken::Spoiled | Broken::Staged => None,
            Broken::Gone(_) if may_all_run_again(&flying) => {
                self.is_cautious = true;
                None
            }
            _ => flying.pop_front(),
        };
        for follower in flying.into_iter().rev() {
            if let Err(error) = self.give_back(follower) {
                tracing::error!(%error, "a call that did not start cannot be given back");
            }
        }
        tracing::info!(lease.id = %self.lease.id(), reason = %broken, "a sandbox is replaced");
        let Some(head) = head else { return };
        let end = ProcessEnd {
            cause: EndCause::Signalled,
            by: EndedBy::Host,
            spoiled: false,
            value: 9,
            wall_us: u64::try_from(self.head_since.elapsed().as_micros()).unwrap_or(u64::MAX),
            cpu_us: 0,
            max_resident_bytes: 0,
            message: String::new(),
        };
        let hits = self.new_hits(sandbox, &end);
        let cut = head.call.cut_reason().or_else(|| {
            let over_time = head.wall_ms > 0 && matches!(broken, Broken::Late);
            over_time.then_some(Cut::Limit("WallTimeLimit"))
        });
        let judged = if cut.is_some() || hits.memory > 0 {
            judge(&end, cut.as_ref(), hits, &self.lease.limits)
        } else {
            failed(
                CallState::Failed,
                Code::SandboxLost,
                format!("the sandbox was lost while the call ran: {broken}"),
            )
        };
        self.lease.finish(&head.call, judged);
    }
}

/// Tells whether there are several calls that can be given back, none of which
/// is to be ended.
fn may_all_run_again(flying: &VecDeque<InFlight>) -> bool {
    flying.len() > 1
        && flying
            .iter()
            .all(|flying| flying.stdin.is_some() && flying.call.cut_reason().is_none())
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
