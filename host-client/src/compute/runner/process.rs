//! The main process of one call, and its three pipes.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, Signal};
use rustix::{
    io::Errno,
    pipe::PipeFlags,
    process::{Pid, Resource, Rlimit},
};
use wait4::Wait4 as _;

use super::protocol::{self, EndCause, EndedBy, Kind, ProcessEnd, ProcessLimit, Setup, Start};

/// Stdin that was taken is credited in steps of this size.
const STDIN_CREDIT_STEP: usize = 32 * 1024;
/// No more output is read while so much of it waits to be sent.
pub(super) const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// A limit on address space or data below this could stop the runner itself:
/// it is set on the child alone, moments after its start.
const OWN_SPACE_BYTES: u64 = 512 * 1024 * 1024;
/// Calls that let their output wait so long are not watched for output at all
/// for that time.
const QUIET_LINGER: Duration = Duration::from_millis(1);
/// Descriptors that the runner itself needs.
const OWN_DESCRIPTORS: u64 = 32;

/// Starts a process that is told of its children's ends. The runner blocks that
/// signal for itself, and a process inherits what is blocked: a shell would wait
/// for its children for ever. An end that falls in here is not signalled to the
/// runner, which has to look by itself.
fn spawn_unmasked(command: &mut Command) -> io::Result<Child> {
    let mask = SigSet::from(Signal::SIGCHLD);
    mask.thread_unblock()?;
    let child = command.spawn();
    mask.thread_block()?;
    child
}

/// One end of a pipe to the process.
pub(super) struct Output {
    kind: Kind,
    fd: Option<OwnedFd>,
    credit: u64,
}

/// The process and what is on its way to and from it.
pub(super) struct Process {
    pub(super) call: u32,
    child: Child,
    pub(super) pid: Pid,
    pub(super) stdin: Option<OwnedFd>,
    /// Stdin that its pipe did not take yet, from `stdin_sent` on.
    stdin_waiting: Vec<u8>,
    stdin_sent: usize,
    stdin_ended: bool,
    stdin_uncredited: usize,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    started: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) linger: Duration,
    pub(super) by: EndedBy,
    /// What it leaves is wanted.
    pub(super) keep: bool,
}

impl Process {
    /// Starts the process of a call.
    pub(super) fn spawn(
        call: u32,
        start: Start,
        null: &OwnedFd,
        setup: &Setup,
    ) -> io::Result<Self> {
        let (program, arguments) = start
            .arguments
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let has_stdin = !(start.stdin_ended && start.stdin.is_empty());
        let (stdin_read, stdin) = if has_stdin {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&write, true)?;
            (read, Some(write))
        } else {
            (rustix::io::fcntl_dupfd_cloexec(null, 3)?, None)
        };
        let (stdout, stdout_write) = output_pipe(Kind::Stdout, start.window)?;
        let (stderr, stderr_write) = output_pipe(Kind::Stderr, start.window)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(stdin_read))
            .stdout(Stdio::from(stdout_write))
            .stderr(Stdio::from(stderr_write))
            // Nothing here may need a step between fork and exec: only then
            // is posix_spawn used, which does not copy the runner's memory.
            .process_group(0);
        if !start.folder.is_empty() {
            command.current_dir(folder(&start.folder, &setup.work)?);
        }
        let started = Instant::now();
        let child = spawn_unmasked(&mut command)?;
        let pid = Pid::from_child(&child);
        limit_child(pid, &setup.limits);
        let mut process = Self {
            call,
            child,
            pid,
            stdin,
            stdin_waiting: start.stdin,
            stdin_sent: 0,
            stdin_ended: start.stdin_ended,
            stdin_uncredited: 0,
            stdout,
            stderr,
            started,
            deadline: (start.wall_ms > 0).then(|| started + Duration::from_millis(start.wall_ms)),
            linger: Duration::from_micros(u64::from(start.linger_us)),
            by: EndedBy::Itself,
            keep: start.keep,
        };
        process.write_stdin();
        Ok(process)
    }

    /// Takes stdin from the Host.
    pub(super) fn on_stdin(&mut self, bytes: &[u8]) {
        if self.stdin.is_none() {
            // Nobody reads it any more: taken, and dropped.
            self.stdin_uncredited += bytes.len();
            return;
        }
        self.stdin_waiting.extend_from_slice(bytes);
        self.write_stdin();
    }

    /// Takes the end of stdin from the Host.
    pub(super) fn on_stdin_end(&mut self) {
        self.stdin_ended = true;
        self.write_stdin();
    }

    /// Tells whether stdin waits for room in its pipe.
    pub(super) fn stdin_blocked(&self) -> bool {
        self.stdin.is_some() && self.stdin_sent < self.stdin_waiting.len()
    }

    /// Gives the process as much stdin as its pipe takes.
    pub(super) fn write_stdin(&mut self) {
        let Some(pipe) = &self.stdin else { return };
        while self.stdin_sent < self.stdin_waiting.len() {
            match rustix::io::write(pipe, &self.stdin_waiting[self.stdin_sent..]) {
                Ok(written) => {
                    self.stdin_sent += written;
                    self.stdin_uncredited += written;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.stdin_uncredited += self.stdin_waiting.len() - self.stdin_sent;
                    self.stdin = None;
                    self.stdin_waiting = Vec::new();
                    self.stdin_sent = 0;
                    return;
                }
            }
        }
        self.stdin_waiting.clear();
        self.stdin_sent = 0;
        if self.stdin_ended {
            self.stdin = None;
        }
    }

    /// Appends a credit for stdin when it is worth a message.
    pub(super) fn push_stdin_credit(&mut self, outbox: &mut Vec<u8>) {
        if self.stdin_uncredited >= STDIN_CREDIT_STEP && !self.stdin_ended {
            let bytes = u32::try_from(self.stdin_uncredited).unwrap_or(u32::MAX);
            protocol::push(outbox, Kind::StdinCredit, self.call, &bytes.to_le_bytes());
            self.stdin_uncredited = 0;
        }
    }

    /// Reaps the main process, which has ended, and tells how. What is left in
    /// its pipes is drained, and the rest of its tree cleared, by the caller.
    pub(super) fn reap(self) -> (ProcessEnd, [Output; 2]) {
        use std::os::unix::process::ExitStatusExt as _;
        let wall = self.started.elapsed();
        let mut end = ProcessEnd {
            cause: EndCause::Exited,
            by: self.by,
            spoiled: false,
            value: 0,
            wall_us: micros(wall),
            cpu_us: 0,
            max_resident_bytes: 0,
            message: String::new(),
        };
        match self.child.wait4() {
            Ok(usage) => {
                end.cpu_us = micros(usage.rusage.utime + usage.rusage.stime);
                end.max_resident_bytes = usage.rusage.maxrss;
                if let Some(signal) = usage.status.signal() {
                    end.cause = EndCause::Signalled;
                    end.value = signal;
                } else {
                    end.value = usage.status.code().unwrap_or_default();
                }
            }
            Err(error) => {
                end.spoiled = true;
                end.message = error.to_string();
            }
        }
        (end, [self.stdout, self.stderr])
    }

    /// Until when the pipes are left alone, if they still are at this moment:
    /// most parts of maps end before, and their output is drained with their end.
    pub(super) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        let until = self.started + self.linger;
        (self.linger >= QUIET_LINGER && until > now).then_some(until)
    }
}

impl Output {
    /// The pipe, while it is to be polled: open, and with credit left.
    pub(super) fn wanted(&self) -> Option<&OwnedFd> {
        self.fd.as_ref().filter(|_| self.credit > 0)
    }

    /// Takes credit from the Host.
    pub(super) fn on_credit(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(u64::from(bytes));
    }

    /// Moves what is in the pipe into the outbox, as far as the credit goes.
    pub(super) fn pump(&mut self, call: u32, scratch: &mut [u8], outbox: &mut Vec<u8>) {
        while self.credit > 0 && outbox.len() < OUTBOX_BYTES_MAX {
            let most = usize::try_from(self.credit)
                .unwrap_or(usize::MAX)
                .min(scratch.len());
            match self.read(call, &mut scratch[..most], outbox) {
                Some(read) => self.credit = self.credit.saturating_sub(read as u64),
                None => return,
            }
        }
    }

    /// Moves all that is in the pipe into the outbox: nobody writes any more.
    pub(super) fn drain(mut self, call: u32, scratch: &mut [u8], outbox: &mut Vec<u8>) {
        while self.read(call, scratch, outbox).is_some() {}
    }

    /// One read, one message; `None` if there is nothing now, or no more.
    fn read(&mut self, call: u32, buffer: &mut [u8], outbox: &mut Vec<u8>) -> Option<usize> {
        let pipe = self.fd.as_ref()?;
        let read = loop {
            match rustix::io::read(pipe, &mut *buffer) {
                Err(Errno::INTR) => {}
                read => break read,
            }
        };
        match read {
            Ok(read) if read > 0 => {
                protocol::push(outbox, self.kind, call, &buffer[..read]);
                Some(read)
            }
            Err(Errno::AGAIN) => None,
            _ => {
                self.fd = None;
                None
            }
        }
    }
}

fn output_pipe(kind: Kind, window: u32) -> io::Result<(Output, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((
        Output {
            kind,
            fd: Some(read),
            credit: u64::from(window),
        },
        write,
    ))
}

/// A folder below the work folder, made if it is not there.
fn folder(wanted: &OsStr, work: &Path) -> io::Result<std::path::PathBuf> {
    let folder = work.join(wanted);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Sets on the runner itself, once, what its children shall inherit: nothing
/// can be done before a limit holds.
pub(super) fn limit_self(limits: &[(ProcessLimit, u64)]) -> io::Result<()> {
    // Message queues would outlive the call, and cannot be listed.
    rustix::process::setrlimit(Resource::Msgqueue, hard(0))?;
    for (limit, value) in limits {
        if let Some((resource, value)) = inherited(*limit, *value) {
            let present = rustix::process::getrlimit(resource)
                .maximum
                .unwrap_or(u64::MAX);
            rustix::process::setrlimit(resource, hard(value.min(present)))?;
        }
    }
    Ok(())
}

/// Sets on the child what the runner could not bear itself.
fn limit_child(pid: Pid, limits: &[(ProcessLimit, u64)]) {
    for (limit, value) in limits {
        if inherited(*limit, *value).is_some() {
            continue;
        }
        let rlimit = match limit {
            // SIGXCPU first; SIGKILL a second later.
            ProcessLimit::CpuSeconds => Rlimit {
                current: Some(*value),
                maximum: Some(value.saturating_add(1)),
            },
            _ => hard(*value),
        };
        // A process that has ended already needs no limit.
        let _ = rustix::process::prlimit(Some(pid), resource(*limit), rlimit);
    }
}

const fn hard(value: u64) -> Rlimit {
    Rlimit {
        current: Some(value),
        maximum: Some(value),
    }
}

/// The limit as the runner can set it on itself, if it can.
fn inherited(limit: ProcessLimit, value: u64) -> Option<(Resource, u64)> {
    let bearable = match limit {
        ProcessLimit::AddressSpace | ProcessLimit::Data => value >= OWN_SPACE_BYTES,
        ProcessLimit::Stack => value >= 1024 * 1024,
        ProcessLimit::OpenFiles => value >= OWN_DESCRIPTORS,
        ProcessLimit::CpuSeconds => false,
        ProcessLimit::LockedMemory
        | ProcessLimit::FileSize
        | ProcessLimit::CoreDump
        | ProcessLimit::Processes => true,
    };
    // The runner is one process more.
    let value = if limit == ProcessLimit::Processes {
        value.saturating_add(1)
    } else {
        value
    };
    bearable.then(|| (resource(limit), value))
}

const fn resource(limit: ProcessLimit) -> Resource {
    match limit {
        ProcessLimit::AddressSpace => Resource::As,
        ProcessLimit::Data => Resource::Data,
        ProcessLimit::Stack => Resource::Stack,
        ProcessLimit::LockedMemory => Resource::Memlock,
        ProcessLimit::FileSize => Resource::Fsize,
        ProcessLimit::CoreDump => Resource::Core,
        ProcessLimit::OpenFiles => Resource::Nofile,
        ProcessLimit::Processes => Resource::Nproc,
        ProcessLimit::CpuSeconds => Resource::Cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_that_are_left_alone_are_watched_from_the_moment_that_is_waited_for() {
        let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let of = |linger_us: u32| {
            let start = Start {
                arguments: vec!["/bin/true".into()],
                linger_us,
                stdin_ended: true,
                ..Start::default()
            };
            Process::spawn(1, start, &null, &Setup::default()).unwrap()
        };
        let mut part = of(2_000);
        let until = part.quiet_until(part.started).unwrap();
        assert_eq!(until - part.started, Duration::from_millis(2));
        let before = until.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(part.quiet_until(before), Some(until));
        // Neither left alone nor waited for: a full pipe would hold for ever.
        assert_eq!(part.quiet_until(until), None);
        let mut call = of(300);
        assert_eq!(call.quiet_until(call.started), None);
        for process in [&mut part, &mut call] {
            process.child.wait().unwrap();
        }
    }
}
