//! A sandbox: namespaces made by bubblewrap around one resident runner.
//!
//! What can be seen inside is a white list: the system's programs and
//! libraries and a few files of `/etc`, read-only; the application at `/app`,
//! read-only; an empty `/tmp`; the private work folder. There is no network,
//! no other process, no capability, and nothing of gridmart but the program
//! that runs the runner: no keys, no data folder.

use std::{
    ffi::OsString,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixStream, unix::pipe},
    time::timeout,
};

use super::{
    cgroup::{Cgroup, CgroupHits, CgroupLimits, Cgroups},
    launcher::{Launched, Launcher, Remains},
    runner::protocol::{self, Kind, Message, ProcessLimit, Setup},
};

/// Where the application lies in the sandbox.
const APP: &str = "/app";
/// The work folder in the sandbox.
const WORK: &str = "/work";
/// The only other folder that can be written.
const TMP: &str = "/tmp";
/// Where the runner lies in the sandbox.
const RUNNER: &str = "/.runner";
/// Bytes that `/tmp` may hold; they are memory.
const TMP_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// "nobody": the sandbox's only user and group. Outside it is the Host's own.
const SANDBOX_ID: &str = "65534";
/// A sandbox that is not ready by then will not be.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// So much of what a failed sandbox printed is shown.
const ERROR_BYTES_MAX: u64 = 2048;

/// Folders of programs and libraries besides `/usr`, as far as they are there.
const SYSTEM_FOLDERS: [&str; 7] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
];
/// What programs read of `/etc` and is no secret.
const ETC_FILES: [&str; 19] = [
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/group",
    "/etc/java",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    // Shared memory is a file: it is cleared away with the others.
    ("/tmp", "/dev/shm"),
];

/// What shuts calls in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// bubblewrap, the program at this path.
    Bubblewrap(PathBuf),
    /// Nothing: the owner of the machine has allowed that.
    Unconfined,
}

/// The program that is the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerProgram {
    /// Its file.
    pub path: PathBuf,
    /// Arguments that make it the runner.
    pub arguments: Vec<OsString>,
}

impl RunnerProgram {
    /// This very program, with the hidden command `runner`.
    pub fn own() -> io::Result<Self> {
        Ok(Self {
            path: std::env::current_exe()?,
            arguments: vec!["runner".into()],
        })
    }
}

/// What a new sandbox is made of.
#[derive(Clone, Debug)]
pub(crate) struct SandboxPlan {
    /// Name of the sandbox, unique on this Host.
    pub(crate) name: String,
    /// The unpacked application, if any.
    pub(crate) application: Option<PathBuf>,
    /// A new folder of the sandbox's own, outside.
    pub(crate) folder: PathBuf,
    /// Limits of the tree.
    pub(crate) tree_limits: CgroupLimits,
    /// Limits of each process.
    pub(crate) process_limits: Vec<(ProcessLimit, u64)>,
}

/// Makes sandboxes.
#[derive(Clone, Debug)]
pub(crate) struct SandboxMaker {
    pub(crate) confinement: Confinement,
    pub(crate) runner: RunnerProgram,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) launcher: Launcher,
}

/// Where things lie, as a call sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) application: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) temporary: PathBuf,
}

/// A sandbox that is ready for calls. Dropping it ends all that is in it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Messages to and from its runner.
    pub(crate) socket: UnixStream,
    pub(crate) layout: Layout,
    /// The work folder as the Host sees it.
    pub(crate) work_folder: PathBuf,
    group: Option<Cgroup>,
    remains: Option<Remains>,
    launcher: Launcher,
    /// What bubblewrap tells of its state; complaints.
    outputs: (Option<pipe::Receiver>, Option<pipe::Receiver>),
}

/// A sandbox that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// The system refuses.
    #[error("{action} for the sandbox failed: {source}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    /// It ended, or said nothing, before it was ready.
    #[error("the sandbox did not get ready: {0}")]
    NotReady(String),
}

impl SandboxError {
    fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// The disk's refusal, if that is what it was.
    pub(crate) fn refusal_of_disk(&self) -> Option<&io::Error> {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::System { source, .. } => {
                let kind = source.kind();
                matches!(kind, StorageFull | ReadOnlyFilesystem | QuotaExceeded).then_some(source)
            }
            Self::NotReady(_) => None,
        }
    }
}

/// The line of bubblewrap's status that counts.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    child_pid: u32,
}

// === impl SandboxMaker ===

impl SandboxMaker {
    /// Makes a sandbox and waits until its runner is ready. It is made to its
    /// end even if nobody waits any more: who has it then ends it.
    pub(crate) async fn make(&self, plan: &SandboxPlan) -> Result<Sandbox, SandboxError> {
        let (maker, plan) = (self.clone(), plan.clone());
        let making = tokio::spawn(async move { maker.make_whole(&plan).await });
        making
            .await
            .map_err(|error| SandboxError::system("making it")(io::Error::other(error)))?
    }

    async fn make_whole(&self, plan: &SandboxPlan) -> Result<Sandbox, SandboxError> {
        let layout = self.layout(plan);
        let own = Layout {
            work: plan.folder.join("work"),
            temporary: plan.folder.join("tmp"),
            ..layout.clone()
        };
        make_folders(&own).map_err(SandboxError::system("making folders"))?;
        let group = match &self.cgroups {
            Some(cgroups) => Some(
                cgroups
                    .make(&plan.name, plan.tree_limits)
                    .map_err(SandboxError::system("making a control group"))?,
            ),
            None => None,
        };
        let launched = match self.launcher.launch(self.command(plan, &own)).await {
            Ok(launched) => launched,
            Err(error) => {
                // Nothing was in it: it can be removed at once.
                let _ = group.map(|group| group.remove());
                return Err(SandboxError::system("starting the runner")(error));
            }
        };
        let mut sandbox = self.adopt(launched, layout, plan, group)?;
        match timeout(START_TIME_MAX, sandbox.get_ready(plan)).await {
            Ok(Ok(())) => Ok(sandbox),
            Ok(Err(error)) => Err(SandboxError::NotReady(sandbox.complaint(&error).await)),
            Err(_) => Err(SandboxError::NotReady("it took too long".to_owned())),
        }
    }

    fn layout(&self, plan: &SandboxPlan) -> Layout {
        match self.confinement {
            Confinement::Bubblewrap(_) => Layout {
                application: APP.into(),
                work: WORK.into(),
                temporary: TMP.into(),
            },
            Confinement::Unconfined => Layout {
                application: plan
                    .application
                    .clone()
                    .unwrap_or_else(|| plan.folder.join("app")),
                work: plan.folder.join("work"),
                temporary: plan.folder.join("tmp"),
            },
        }
    }

    fn command(&self, plan: &SandboxPlan, own: &Layout) -> Command {
        match &self.confinement {
            Confinement::Unconfined => {
                let mut command = Command::new(&self.runner.path);
                command.args(&self.runner.arguments).env_clear();
                command
            }
            Confinement::Bubblewrap(program) => {
                let mut command = Command::new(program);
                command.env_clear();
                confine(&mut command);
                bind_system(&mut command);
                command.arg("--ro-bind").arg(&self.runner.path).arg(RUNNER);
                if let Some(application) = &plan.application {
                    command.arg("--ro-bind").arg(application).arg(APP);
                }
                command
                    .arg("--bind")
                    .arg(&own.work)
                    .args([WORK, "--chdir", WORK]);
                command
                    .args(["--remount-ro", "/", "--", RUNNER])
                    .args(&self.runner.arguments);
                command
            }
        }
    }

    fn adopt(
        &self,
        launched: Launched,
        layout: Layout,
        plan: &SandboxPlan,
        group: Option<Cgroup>,
    ) -> Result<Sandbox, SandboxError> {
        let Launched {
            child,
            socket,
            stdout,
            stderr,
        } = launched;
        let receiver = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd).ok();
        let remains = Remains {
            child,
            group: None,
            folders: vec![plan.folder.clone()],
            leaves_by_itself: self.confinement == Confinement::Unconfined,
        };
        match UnixStream::from_std(socket) {
            Ok(socket) => Ok(Sandbox {
                socket,
                layout,
                work_folder: plan.folder.join("work"),
                group,
                remains: Some(remains),
                launcher: self.launcher.clone(),
                outputs: (receiver(stdout), receiver(stderr)),
            }),
            Err(error) => {
                self.launcher.bury(Remains { group, ..remains });
                Err(SandboxError::system("opening the socket")(error))
            }
        }
    }
}

fn make_folders(own: &Layout) -> io::Result<()> {
    fs::create_dir_all(&own.work)?;
    fs::create_dir_all(&own.temporary)
}

/// Namespaces, no capabilities, an own session. Not `--die-with-parent`: the
/// launcher says why.
fn confine(command: &mut Command) {
    command.args([
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--as-pid-1",
        "--new-session",
        "--clearenv",
    ]);
    command.args([
        "--cap-drop",
        "ALL",
        "--uid",
        SANDBOX_ID,
        "--gid",
        SANDBOX_ID,
        "--hostname",
        "sandbox",
    ]);
    // Its first line tells the runner's process id, as it is outside.
    command.args(["--json-status-fd", "1"]);
}

/// The folder of the system that sandboxes see and that `folder` lies in, if
/// there is one: nothing that a sandbox may not read may lie there.
pub(crate) fn seen_through(folder: &Path) -> Option<&'static str> {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    std::iter::once("/usr")
        .chain(SYSTEM_FOLDERS)
        .chain(ETC_FILES)
        .find(|shown| fs::canonicalize(shown).is_ok_and(|shown| real.starts_with(shown)))
}

fn bind_system(command: &mut Command) {
    command.args(["--ro-bind", "/usr", "/usr"]);
    for folder in SYSTEM_FOLDERS {
        if let Ok(target) = fs::read_link(folder) {
            command.arg("--symlink").arg(target).arg(folder);
        } else if Path::new(folder).is_dir() {
            command.args(["--ro-bind", folder, folder]);
        }
    }
    for file in ETC_FILES {
        command.args(["--ro-bind-try", file, file]);
    }
    command.args(["--proc", "/proc"]);
    for device in DEVICES {
        command.args(["--dev-bind", device, device]);
    }
    for (target, link) in DEVICE_LINKS {
        command.args(["--symlink", target, link]);
    }
    command.args(["--size", &TMP_BYTES_MAX.to_string(), "--tmpfs", TMP]);
}

// === impl Sandbox ===

impl Sandbox {
    /// How often the limits of the whole tree were hit so far.
    pub(crate) fn hits(&self) -> Option<CgroupHits> {
        self.group.as_ref().map(Cgroup::hits)
    }

    async fn get_ready(&mut self, plan: &SandboxPlan) -> io::Result<()> {
        let pid = self.runner_pid().await?;
        if let Some(group) = &self.group {
            // Before the first call: everything that calls start is inside.
            group.add(pid)?;
        }
        let setup = Setup {
            work: self.layout.work.clone(),
            emptied: vec![self.layout.work.clone(), self.layout.temporary.clone()],
            limits: plan.process_limits.clone(),
        };
        let mut message = Vec::new();
        protocol::push(&mut message, Kind::Setup, 0, &serde_json::to_vec(&setup)?);
        self.socket.write_all(&message).await?;
        let mut answer = vec![0; protocol::message_bytes(0)];
        self.socket.read_exact(&mut answer).await?;
        match Message::take(&answer) {
            Ok(Some((
                Message {
                    kind: Kind::Ready, ..
                },
                _,
            ))) => Ok(()),
            _ => Err(io::Error::other(
                "the runner says something else than that it is ready",
            )),
        }
    }

    /// The runner's process id outside of the sandbox.
    async fn runner_pid(&mut self) -> io::Result<u32> {
        let own = self
            .remains
            .as_ref()
            .map(|remains| (remains.child.id(), remains.leaves_by_itself));
        let Some((own, unconfined)) = own else {
            return Err(io::Error::other("the sandbox is over"));
        };
        if unconfined {
            return Ok(own);
        }
        let status = self
            .outputs
            .0
            .as_mut()
            .ok_or_else(|| io::Error::other("there is no status"))?;
        let mut line = Vec::new();
        while !line.contains(&b'\n') {
            if line.len() > 4096 || status.read_buf(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let end = line
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(line.len());
        let status: Status = serde_json::from_slice(&line[..end])?;
        Ok(status.child_pid)
    }

    /// What bubblewrap or the runner printed, else the error itself.
    async fn complaint(&mut self, error: &io::Error) -> String {
        let mut printed = Vec::new();
        if let Some(stderr) = self.outputs.1.take() {
            let read = stderr.take(ERROR_BYTES_MAX);
            tokio::pin!(read);
            let _ = timeout(Duration::from_millis(200), read.read_to_end(&mut printed)).await;
        }
        let printed = String::from_utf8_lossy(&printed).trim().replace('\n', "; ");
        if printed.is_empty() {
            error.to_string()
        } else {
            printed
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut remains) = self.remains.take() {
            remains.group = self.group.take();
            // A runner without a sandbox goes when its socket is closed.
            let _ = nix::sys::socket::shutdown(
                std::os::fd::AsRawFd::as_raw_fd(&self.socket),
                nix::sys::socket::Shutdown::Both,
            );
            self.launcher.bury(remains);
        }
    }
}

/// Finds bubblewrap on the machine.
pub(crate) fn find_bubblewrap() -> Option<PathBuf> {
    ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::{process::Child, thread, time::Instant};

    use super::{super::launcher::launch, *};

    const LIVES: u64 = 150;
    /// A sandbox is made in less.
    const LIFE_MAX: Duration = Duration::from_millis(12);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Starts a sandbox in which `cat` stands for the runner, and lets go of it
    /// after `life` as a Host does that is killed: its threads are gone and its
    /// ends of socket and pipes closed, but nobody ends the sandbox.
    fn abandoned(bubblewrap: PathBuf, folder: &Path, life: Duration) -> Child {
        let (launcher, _) = Launcher::start().unwrap();
        let runner = RunnerProgram {
            path: "/bin/cat".into(),
            arguments: Vec::new(),
        };
        let maker = SandboxMaker {
            confinement: Confinement::Bubblewrap(bubblewrap),
            runner,
            cgroups: None,
            launcher,
        };
        let plan = SandboxPlan {
            name: "lost".to_owned(),
            application: None,
            folder: folder.to_owned(),
            tree_limits: CgroupLimits::default(),
            process_limits: Vec::new(),
        };
        let own = Layout {
            work: folder.join("work"),
            temporary: folder.join("tmp"),
            ..maker.layout(&plan)
        };
        make_folders(&own).unwrap();
        let command = maker.command(&plan, &own);
        let host = thread::spawn(move || {
            let begun = launch(command).unwrap();
            thread::sleep(life);
            begun.child
        });
        host.join().unwrap()
    }

    /// Processes with that path in their command lines.
    fn processes(mark: &Path) -> Vec<i32> {
        let mark = mark.to_str().unwrap();
        let names = fs::read_dir("/proc").unwrap().flatten();
        names
            .filter(|entry| {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(mark)
            })
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    #[test]
    fn a_sandbox_ends_by_itself_whenever_its_host_is_killed() {
        let Some(bubblewrap) = find_bubblewrap() else {
            return;
        };
        let place = tempfile::tempdir().unwrap();
        let lost = (0..LIVES).map(|number| {
            let life = LIFE_MAX * u32::try_from(number).unwrap() / u32::try_from(LIVES).unwrap();
            abandoned(bubblewrap.clone(), place.path(), life)
        });
        let lost: Vec<_> = lost.collect();
        let deadline = Instant::now() + PATIENCE;
        while !processes(place.path()).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let left = processes(place.path());
        for pid in &left {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(*pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
        for mut child in lost {
            child.wait().unwrap();
        }
        assert!(left.is_empty(), "{} stay: {left:?}", left.len());
    }

    #[test]
    fn folders_that_applications_see_are_known() {
        assert_eq!(seen_through(Path::new("/usr/local")), Some("/usr"));
        assert_eq!(seen_through(Path::new("/bin")), Some("/usr"));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(seen_through(folder.path()), None);
    }
}
