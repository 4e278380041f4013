//! The thread that starts sandboxes and buries them: it ends and reaps them,
//! removes their groups and their folders.
//!
//! A sandbox outlives no Host, however that ends: its runner ends when the
//! Host's end of the socket is closed, and everything in the sandbox with it.
//! Until there is a runner nothing may end bubblewrap's first process alone:
//! its second would wait for a word of it for ever. So bubblewrap is not told
//! to die with its parent, none of its pipes ever breaks, and whoever ends it
//! ends its whole process group.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use rustix::pipe::PipeFlags;

use super::{cgroup::Cgroup, folder::folder_removed};

/// How often dying sandboxes are looked at.
const GRAVE_INTERVAL: Duration = Duration::from_millis(20);
/// A runner without a sandbox gets so long to end its processes by itself.
const LEAVE_TIME: Duration = Duration::from_millis(800);
/// After so long a group or folder that cannot be removed is left behind.
const GRAVE_TIME_MAX: Duration = Duration::from_secs(30);

/// A started sandbox: its process and the ends of its pipes.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) socket: std::os::unix::net::UnixStream,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// A sandbox that is over.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) child: Child,
    pub(crate) group: Option<Cgroup>,
    /// Folders to remove.
    pub(crate) folders: Vec<PathBuf>,
    /// Its process ends by itself when its socket is closed, and has to: the
    /// kernel would not take its children with it.
    pub(crate) leaves_by_itself: bool,
}

enum Order {
    Launch(
        Box<Command>,
        tokio::sync::oneshot::Sender<io::Result<Launched>>,
    ),
    Bury(Remains),
}

/// Gives orders to the thread.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    orders: mpsc::Sender<Order>,
}

/// Ends when the last [`Launcher`] is gone and all remains are buried.
pub(crate) type LauncherThread = thread::JoinHandle<()>;

impl Launcher {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<(Self, LauncherThread)> {
        let (orders, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || run(&received))?;
        Ok((Self { orders }, thread))
    }

    /// Starts a program whose standard input is one end of a socket.
    pub(crate) async fn launch(&self, command: Command) -> io::Result<Launched> {
        let gone = || io::Error::other("the launcher thread is gone");
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.orders
            .send(Order::Launch(Box::new(command), answer))
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Ends a sandbox and clears away what belongs to it; returns at once.
    pub(crate) fn bury(&self, remains: Remains) {
        if let Err(mpsc::SendError(Order::Bury(mut remains))) =
            self.orders.send(Order::Bury(remains))
        {
            end(&mut remains.child);
        }
    }
}

/// Ends a sandbox with all that is not in it yet. It may have ended by itself;
/// its number is its own until it is reaped.
fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        end_group(child.id());
    }
}

fn end_group(leader: u32) {
    if let Ok(leader) = i32::try_from(leader) {
        let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

fn run(orders: &mpsc::Receiver<Order>) {
    let mut graves: Vec<Grave> = Vec::new();
    // Started, and not given back: ended with this thread.
    let mut living: Vec<u32> = Vec::new();
    loop {
        let order = if graves.is_empty() {
            orders
                .recv()
                .map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            orders.recv_timeout(GRAVE_INTERVAL)
        };
        match order {
            Ok(Order::Launch(command, answer)) => {
                let launched = launch(*command);
                living.extend(launched.as_ref().map(|launched| launched.child.id()));
                // Nobody waits any more: the socket is dropped, the child ends.
                let _ = answer.send(launched);
            }
            Ok(Order::Bury(remains)) => {
                living.retain(|leader| *leader != remains.child.id());
                graves.push(Grave::new(remains));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                living.drain(..).for_each(end_group);
                if graves.is_empty() {
                    return;
                }
                thread::sleep(GRAVE_INTERVAL);
            }
        }
        graves.retain_mut(|grave| !grave.is_closed());
    }
}

pub(super) fn launch(mut command: Command) -> io::Result<Launched> {
    let (socket, inner) = std::os::unix::net::UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let (stdout, stdout_write) = lasting_pipe()?;
    let (stderr, stderr_write) = lasting_pipe()?;
    command
        .stdin(OwnedFd::from(inner))
        .stdout(Stdio::from(stdout_write))
        .stderr(Stdio::from(stderr_write))
        .process_group(0);
    Ok(Launched {
        child: command.spawn()?,
        socket,
        stdout,
        stderr,
    })
}

/// A pipe that does not break when its reader goes: who writes to it has it
/// open for reading as well.
fn lasting_pipe() -> io::Result<(OwnedFd, File)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let again = format!("/proc/self/fd/{}", write.as_raw_fd());
    let write = File::options().read(true).write(true).open(again)?;
    Ok((read, write))
}

struct Grave {
    remains: Remains,
    since: Instant,
    reaped: bool,
}

impl Grave {
    fn new(mut remains: Remains) -> Self {
        if !remains.leaves_by_itself {
            end(&mut remains.child);
        }
        Self {
            remains,
            since: Instant::now(),
            reaped: false,
        }
    }

    fn is_closed(&mut self) -> bool {
        if !self.reaped {
            self.reaped = !matches!(self.remains.child.try_wait(), Ok(None));
        }
        if !self.reaped {
            if self.since.elapsed() > LEAVE_TIME {
                end(&mut self.remains.child);
            }
            return false;
        }
        if let Some(group) = &self.remains.group {
            group.kill();
        }
        let group_removed = self
            .remains
            .group
            .as_ref()
            .is_none_or(|group| group.remove().is_ok());
        let folders_removed = self
            .remains
            .folders
            .iter()
            .all(|folder| folder_removed(folder).is_ok());
        (group_removed && folders_removed) || self.since.elapsed() > GRAVE_TIME_MAX
    }
}
