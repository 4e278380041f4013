//! The runner's one loop: messages from the Host, signals and pipes in;
//! output and ends out.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process,
    time::{Duration, Instant},
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    folders::Folders,
    process::{OUTBOX_BYTES_MAX, Process, limit_self},
    protocol::{
        CALLS_AHEAD_MAX, CALLS_WAITING_CALM, DATA_BYTES_MAX, EndCause, EndedBy, Kind, Message,
        ProcessEnd, ProtocolError, Setup, Start,
    },
    tree::Tree,
};

/// Room that is made for each read of the socket.
const READ_BYTES: usize = 64 * 1024;
/// Output is sent at once when it has grown to this size.
const LINGER_BYTES_MAX: usize = 32 * 1024;

/// Why the runner ends with an error.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunnerError {
    #[error("{0} failed: {1}")]
    System(&'static str, #[source] io::Error),
    #[error("the Host broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
}

fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> RunnerError {
    move |error| RunnerError::System(what, error.into())
}

/// A call that waits for the one before it.
struct Waiting {
    call: u32,
    start: Start,
}

struct Server {
    socket: io::Stdin,
    signals: SignalFd,
    null: OwnedFd,
    tree: Tree,
    folders: Folders,
    setup: Setup,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Since when the outbox waits for more.
    lingering: Option<Instant>,
    waiting: VecDeque<Waiting>,
    process: Option<Process>,
    /// A process was started, and may have ended without a signal.
    unlooked: bool,
    /// Something of an earlier call could not be cleared away: no more calls.
    spoiled: bool,
    /// What pipes are read into.
    scratch: Box<[u8]>,
    /// CPU of all children reaped so far, microseconds.
    cpu_us: u64,
}

/// What one `poll` has found.
#[derive(Clone, Copy)]
struct Events {
    socket: PollFlags,
    signals: PollFlags,
    stdin: PollFlags,
    stdout: PollFlags,
    stderr: PollFlags,
}

/// Serves until the Host closes its end.
pub(super) fn serve() -> Result<(), RunnerError> {
    // Children must not be able to trace pid 1 or look into its memory.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(failed("hiding the runner"))?;
    if process::id() == 1 {
        // With the sandbox's outer process, which a Host ends. A Host that
        // cannot closes its end of the socket.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .map_err(failed("tying the runner to its sandbox"))?;
    }
    // Fails where the sandbox has made a session already.
    let _ = rustix::process::setsid();
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(failed("blocking SIGCHLD"))?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&mask, flags).map_err(failed("watching SIGCHLD"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("opening /dev/null"))?;
    let socket = io::stdin();
    rustix::io::ioctl_fionbio(&socket, true).map_err(failed("preparing the socket"))?;
    let mut server = Server {
        socket,
        signals,
        null,
        tree: Tree::adopt().map_err(failed("adopting orphans"))?,
        folders: Folders::default(),
        setup: Setup::default(),
        inbox: Vec::with_capacity(READ_BYTES),
        outbox: Vec::with_capacity(READ_BYTES),
        lingering: None,
        waiting: VecDeque::new(),
        process: None,
        unlooked: false,
        spoiled: false,
        scratch: vec![0; DATA_BYTES_MAX].into_boxed_slice(),
        cpu_us: 0,
    };
    let ended = server.run();
    // As pid 1 the kernel does the same when the runner ends.
    server.tree.clear();
    ended
}

impl Server {
    fn run(&mut self) -> Result<(), RunnerError> {
        loop {
            let events = self.poll()?;
            if !events
                .socket
                .intersection(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
                .is_empty()
                && !self.read()?
            {
                return Ok(());
            }
            self.pump(events);
            let unlooked = std::mem::take(&mut self.unlooked);
            if unlooked || events.signals.contains(PollFlags::IN) {
                self.on_child_signal()?;
            }
            if self
                .process
                .as_ref()
                .and_then(|process| process.deadline)
                .is_some_and(|at| at <= Instant::now())
            {
                self.end_process(EndedBy::WallTime);
            }
            // The next process is on its way before the Host hears of the last
            // one's end: both work at the same time.
            self.start_next();
            if !self.flush()? {
                return Ok(());
            }
        }
    }

    // === waiting ===

    fn poll(&self) -> Result<Events, RunnerError> {
        // One moment for all: by two, pipes could be left alone as for a while,
        // and the end of the while not be waited for.
        let now = Instant::now();
        let mut fds = Vec::with_capacity(5);
        let mut socket = PollFlags::IN;
        if !self.outbox.is_empty() && self.lingering.is_none() {
            socket |= PollFlags::OUT;
        }
        fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), socket));
        let mut places = [None; 4];
        if let Some(process) = &self.process {
            let read = self.outbox.len() < OUTBOX_BYTES_MAX && process.quiet_until(now).is_none();
            let pipes = [
                Some((self.signals.as_fd(), PollFlags::IN)),
                process
                    .stdin
                    .as_ref()
                    .filter(|_| process.stdin_blocked())
                    .map(|fd| (fd.as_fd(), PollFlags::OUT)),
                process
                    .stdout
                    .wanted()
                    .filter(|_| read)
                    .map(|fd| (fd.as_fd(), PollFlags::IN)),
                process
                    .stderr
                    .wanted()
                    .filter(|_| read)
                    .map(|fd| (fd.as_fd(), PollFlags::IN)),
            ];
            for (place, pipe) in places.iter_mut().zip(pipes) {
                if let Some((fd, flags)) = pipe {
                    *place = Some(fds.len());
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                }
            }
        }
        let timeout = self.timeout(now);
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed("waiting")(error)),
        }
        let found =
            |place: Option<usize>| place.map_or(PollFlags::empty(), |place| fds[place].revents());
        Ok(Events {
            socket: fds[0].revents(),
            signals: found(places[0]),
            stdin: found(places[1]),
            stdout: found(places[2]),
            stderr: found(places[3]),
        })
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let process = self.process.as_ref()?;
        if self.unlooked {
            return Some(Timespec::default());
        }
        let linger = self.lingering.map(|since| since + process.linger);
        let at = [process.deadline, linger, process.quiet_until(now)]
            .into_iter()
            .flatten()
            .min()?;
        let left = at.saturating_duration_since(now);
        Some(Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        })
    }

    // === from the Host ===

    /// Reads what the Host has sent; `false` if it is gone.
    fn read(&mut self) -> Result<bool, RunnerError> {
        self.inbox.reserve(READ_BYTES);
        match rustix::io::read(&self.socket, spare_capacity(&mut self.inbox)) {
            Ok(0) | Err(Errno::CONNRESET) => return Ok(false),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(error) => return Err(failed("reading the socket")(error)),
        }
        let inbox = std::mem::take(&mut self.inbox);
        let mut taken = 0;
        while let Some((message, length)) = Message::take(&inbox[taken..])? {
            self.on_message(message)?;
            taken += length;
        }
        self.inbox = inbox;
        self.inbox.drain(..taken);
        if self.inbox.is_empty() {
            self.inbox.shrink_to(4 * READ_BYTES);
        }
        Ok(true)
    }

    fn on_message(&mut self, message: Message<'_>) -> Result<(), RunnerError> {
        match message.kind {
            Kind::Setup => return self.on_setup(message.payload),
            Kind::Start => return self.on_start(message),
            Kind::Kill => self.on_kill(message.call),
            Kind::Recall => self.on_recall(message.call),
            Kind::Stdin | Kind::StdinEnd | Kind::StdoutCredit | Kind::StderrCredit => {
                if let Some(process) = self
                    .process
                    .as_mut()
                    .filter(|process| process.call == message.call)
                {
                    on_process_message(process, message)?;
                } else if let Some(waiting) = self
                    .waiting
                    .iter_mut()
                    .find(|waiting| waiting.call == message.call)
                {
                    match message.kind {
                        Kind::Stdin => waiting.start.stdin.extend_from_slice(message.payload),
                        Kind::StdinEnd => waiting.start.stdin_ended = true,
                        _ => {}
                    }
                }
                // Else the call has ended meanwhile.
            }
            kind => return Err(ProtocolError::Unexpected(kind).into()),
        }
        Ok(())
    }

    fn on_setup(&mut self, payload: &[u8]) -> Result<(), RunnerError> {
        let setup: Setup =
            serde_json::from_slice(payload).map_err(|_| ProtocolError::Payload(Kind::Setup))?;
        std::env::set_current_dir(&setup.work).map_err(failed("entering the work folder"))?;
        self.folders = Folders::open(&setup.emptied, self.tree == Tree::Namespace)
            .map_err(failed("opening the folders"))?;
        limit_self(&setup.limits).map_err(failed("setting limits"))?;
        self.setup = setup;
        super::protocol::push(&mut self.outbox, Kind::Ready, 0, &[]);
        Ok(())
    }

    fn on_start(&mut self, message: Message<'_>) -> Result<(), RunnerError> {
        if self.waiting.len() >= CALLS_AHEAD_MAX {
            return Err(ProtocolError::Unexpected(Kind::Start).into());
        }
        let start = Start::read(message.payload)?;
        self.waiting.push_back(Waiting {
            call: message.call,
            start,
        });
        self.start_next();
        Ok(())
    }

    fn on_kill(&mut self, call: u32) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.call == call)
        {
            self.end_process(EndedBy::Host);
        } else {
            self.on_recall(call);
        }
    }

    /// Gives a call back that waits. One that runs by now is not touched.
    fn on_recall(&mut self, call: u32) {
        let place = self.waiting.iter().position(|waiting| waiting.call == call);
        if place.and_then(|place| self.waiting.remove(place)).is_some() {
            let error = io::Error::from(io::ErrorKind::Interrupted);
            not_started(EndedBy::Host, &error).push(&mut self.outbox, call);
        }
    }

    // === the process ===

    fn start_next(&mut self) {
        while self.process.is_none() && !self.spoiled {
            let Some(Waiting { call, start }) = self.waiting.pop_front() else {
                return;
            };
            match Process::spawn(call, start, &self.null, &self.setup) {
                Ok(process) => {
                    self.process = Some(process);
                    self.unlooked = true;
                }
                Err(error) => {
                    let mut end = not_started(EndedBy::Itself, &error);
                    end.spoiled = !self.folders.clear();
                    self.spoiled |= end.spoiled;
                    end.push(&mut self.outbox, call);
                }
            }
        }
    }

    /// Kills the process and its tree; the signal of its end follows.
    fn end_process(&mut self, by: EndedBy) {
        if let Some(process) = &mut self.process {
            if process.by == EndedBy::Itself {
                process.by = by;
            }
            process.deadline = None;
            self.tree.kill();
        }
    }

    fn pump(&mut self, events: Events) {
        let Some(process) = &mut self.process else {
            return;
        };
        let before = self.outbox.len();
        if !events.stdin.is_empty() {
            process.write_stdin();
        }
        if !events.stdout.is_empty() {
            process
                .stdout
                .pump(process.call, &mut self.scratch, &mut self.outbox);
        }
        if !events.stderr.is_empty() {
            process
                .stderr
                .pump(process.call, &mut self.scratch, &mut self.outbox);
        }
        if before == 0 && !self.outbox.is_empty() && !process.linger.is_zero() {
            self.lingering = Some(Instant::now());
        }
        process.push_stdin_credit(&mut self.outbox);
    }

    fn on_child_signal(&mut self) -> Result<(), RunnerError> {
        let _ = self.signals.read_signal();
        let Some(process) = self.process.take_if(|process| Tree::has_ended(process.pid)) else {
            if let Some(process) = &self.process {
                Tree::reap_orphans(process.pid);
            }
            return Ok(());
        };
        self.finish(process)
    }

    /// Leaves nothing of the call behind, and tells the Host of its end.
    fn finish(&mut self, process: Process) -> Result<(), RunnerError> {
        let (call, keep) = (process.call, process.keep);
        let (mut end, outputs) = process.reap();
        if !Tree::is_alone() {
            // That may take its time: earlier ends do not wait for it.
            self.lingering = None;
            self.flush()?;
            self.tree.clear();
        }
        for output in outputs {
            output.drain(call, &mut self.scratch, &mut self.outbox);
        }
        // What the main process has waited for itself is in its own numbers;
        // orphans are only in the runner's.
        let cpu_us = children_cpu_us();
        end.cpu_us = end.cpu_us.max(cpu_us.saturating_sub(self.cpu_us));
        self.cpu_us = cpu_us;
        end.spoiled |= keep || !self.folders.clear();
        self.spoiled |= end.spoiled;
        end.push(&mut self.outbox, call);
        if self.spoiled || self.waiting.len() <= CALLS_WAITING_CALM {
            self.lingering = None;
        } else {
            self.lingering.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    // === to the Host ===

    /// Sends what is due; `false` if the Host is gone.
    fn flush(&mut self) -> Result<bool, RunnerError> {
        if self.outbox.is_empty() {
            return Ok(true);
        }
        if let (Some(since), Some(process)) = (self.lingering, &self.process)
            && self.outbox.len() < LINGER_BYTES_MAX
            && since.elapsed() < process.linger
        {
            return Ok(true);
        }
        self.lingering = None;
        let mut sent = 0;
        while sent < self.outbox.len() {
            match rustix::io::write(&self.socket, &self.outbox[sent..]) {
                Ok(written) => sent += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
                Err(error) => return Err(failed("writing the socket")(error)),
            }
        }
        self.outbox.drain(..sent);
        if self.outbox.is_empty() {
            self.outbox.shrink_to(4 * READ_BYTES);
        }
        Ok(true)
    }
}

fn on_process_message(process: &mut Process, message: Message<'_>) -> Result<(), ProtocolError> {
    match message.kind {
        Kind::Stdin => process.on_stdin(message.payload),
        Kind::StdinEnd => process.on_stdin_end(),
        Kind::StdoutCredit => process.stdout.on_credit(message.credit()?),
        Kind::StderrCredit => process.stderr.on_credit(message.credit()?),
        kind => return Err(ProtocolError::Unexpected(kind)),
    }
    Ok(())
}

fn not_started(by: EndedBy, error: &io::Error) -> ProcessEnd {
    ProcessEnd {
        cause: EndCause::NotStarted,
        by,
        spoiled: false,
        value: error.raw_os_error().unwrap_or_default(),
        wall_us: 0,
        cpu_us: 0,
        max_resident_bytes: 0,
        message: error.to_string(),
    }
}

fn children_cpu_us() -> u64 {
    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    };
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        let total = usage.user_time() + usage.system_time();
        Duration::from_micros(u64::try_from(total.num_microseconds()).unwrap_or_default())
            .as_micros()
            .try_into()
            .unwrap_or(u64::MAX)
    })
}
