//! One role's process: started, watched, started again, ended.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gridmart_fabric::ready::{self, Ready};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Child, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{crash::Crashes, memory::port_of, plan::RoleSpec};
use crate::failure::Failure;

/// How often the ready file is looked for while a role starts.
const READY_POLL: Duration = Duration::from_millis(10);
/// How long a role may take to be ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// How long a role may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(8);
/// How much of a log is shown after a death.
const TAIL_BYTES: u64 = 8 * 1024;
/// How many lines of it.
const TAIL_LINES: usize = 15;
/// A log larger than this is put aside at a start.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a role stands.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    /// Not ready yet.
    Starting,
    /// Ready.
    Ready(Ready),
    /// It died before it was ready, and will not be started again.
    Failed(String),
}

/// A role that is looked after.
#[derive(Debug)]
pub(crate) struct Role {
    /// Its name.
    pub(crate) name: String,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    hurry: CancellationToken,
    task: JoinHandle<()>,
}

impl Role {
    /// Starts a role and looks after it.
    pub(crate) fn start(spec: RoleSpec, restart: bool) -> Self {
        let (sender, status) = watch::channel(Status::Starting);
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Keeper {
            spec,
            restart,
            status: sender,
            stop: stop.clone(),
            hurry: hurry.clone(),
        };
        Self {
            name: keeper.spec.name.clone(),
            status,
            stop,
            hurry,
            task: tokio::spawn(keeper.keep()),
        }
    }

    /// Waits until the role is ready for the first time.
    pub(crate) async fn ready(&mut self) -> Result<Ready, Failure> {
        let status = self
            .status
            .wait_for(|status| !matches!(status, Status::Starting))
            .await
            .map_err(|_| Failure::local(format!("nobody looks after {} any more", self.name)))?;
        match &*status {
            Status::Ready(ready) => Ok(ready.clone()),
            Status::Failed(why) => Err(Failure::local(why)),
            Status::Starting => Err(Failure::local(format!("{} is not ready", self.name))),
        }
    }

    /// Asks the role to end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Gives what ends the patience with a role that was asked to end.
    pub(crate) fn hurry_handle(&self) -> CancellationToken {
        self.hurry.clone()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) {
        // The task only fails by a panic, and then the child is dropped and killed.
        let _ = (&mut self.task).await;
    }
}

struct Keeper {
    spec: RoleSpec,
    restart: bool,
    status: watch::Sender<Status>,
    stop: CancellationToken,
    hurry: CancellationToken,
}

impl Keeper {
    async fn keep(mut self) {
        let mut crashes = Crashes::default();
        let mut was_ready = false;
        loop {
            let began = Instant::now();
            let end = self.live(&mut was_ready).await;
            let Some(end) = end else { return };
            if !was_ready {
                let tail = tail(&self.spec.log);
                let why = format!(
                    "{} {end} before it was ready; the end of {}:\n{tail}",
                    self.spec.name,
                    self.spec.log.display()
                );
                self.status.send_replace(Status::Failed(why));
                return;
            }
            if !self.restart {
                say(&format!(
                    "{} {end} and stays dead (--no-restart)",
                    self.spec.name
                ));
                return;
            }
            let verdict = crashes.judge(began.elapsed());
            say(&format!(
                "{} {end}; it is started again in {:.1} s",
                self.spec.name,
                verdict.pause.as_secs_f64()
            ));
            if let Some(deaths) = verdict.looping {
                let log = self.spec.log.display();
                say(&format!(
                    "{} has died {deaths} times in a row; the end of {log}:\n{}",
                    self.spec.name,
                    tail(&self.spec.log)
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(verdict.pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// One life of the process; gives how it died, or nothing if it was asked to end.
    async fn live(&mut self, was_ready: &mut bool) -> Option<String> {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return Some(format!("cannot be started: {error:#}")),
        };
        let pid = child.id().unwrap_or_default();
        let folder = self.spec.folder.clone();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.end(&mut child).await;
                return None;
            }
            ready = ready_of(&folder, pid) => {
                let Some(ready) = ready else {
                    self.end(&mut child).await;
                    return Some(format!("was not ready within {} s", READY_MAX.as_secs()));
                };
                self.keep_ports(&ready);
                *was_ready = true;
                self.status.send_replace(Status::Ready(ready));
            }
            status = child.wait() => return Some(describe(status.ok())),
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.end(&mut child).await;
                None
            }
            status = child.wait() => Some(describe(status.ok())),
        }
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = open_log(&self.spec.log)?;
        let program = program()?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(self.spec.command_line())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("the log cannot be shared")?)
            .stderr(log)
            .env_remove("GRIDMART_TOKEN")
            .env_remove("GRIDMART_JOIN_TOKEN")
            // Ctrl-C of the terminal is for the supervisor alone.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(token) = &self.spec.join_token {
            command.env("GRIDMART_JOIN_TOKEN", token);
        }
        command.spawn().context("the program cannot be started")
    }

    /// A role that comes back has to be found where it was.
    fn keep_ports(&mut self, ready: &Ready) {
        for door in &mut self.spec.doors {
            if let Some(port) = ready
                .addresses
                .get(door.name)
                .and_then(|address| port_of(address))
            {
                door.address.set_port(port);
            }
        }
    }

    async fn end(&self, child: &mut Child) {
        let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return;
        };
        // It may have ended by itself meanwhile; wait() tells.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        tokio::select! {
            _ = child.wait() => return,
            () = tokio::time::sleep(END_MAX) => say(&format!("{} does not end; it is killed", self.spec.name)),
            () = self.hurry.cancelled() => {}
        }
        // Killing fails only when it has ended already.
        let _ = child.kill().await;
    }
}

/// Gives the program to start: this one. Where an update has taken its file
/// away, the running image serves; where it has put a new one, that is meant.
fn program() -> anyhow::Result<PathBuf> {
    const IMAGE: &str = "/proc/self/exe";
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = if let Some(path) = PATH.get() {
        path
    } else {
        let path = std::env::current_exe().context("the path of this program is not known")?;
        PATH.get_or_init(|| path)
    };
    Ok(if path.exists() {
        path.clone()
    } else {
        PathBuf::from(IMAGE)
    })
}

/// Waits for the ready file of this very process.
async fn ready_of(folder: &Path, pid: u32) -> Option<Ready> {
    let deadline = Instant::now() + READY_MAX;
    while Instant::now() < deadline {
        // A file that is half there is not one yet.
        if let Ok(Some(ready)) = ready::read(folder)
            && ready.pid == pid
        {
            return Some(ready);
        }
        tokio::time::sleep(READY_POLL).await;
    }
    None
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("ended with exit code {code}"),
        Some((None, Some(signal))) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            format!("was ended by signal {signal} ({name})")
        }
        _ => "ended".to_owned(),
    }
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if std::fs::metadata(path).is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))
            .with_context(|| format!("{} cannot be put aside", path.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("the log {} cannot be opened", path.display()))
}

/// Gives the last lines of a log.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    shown
        .iter()
        .map(|line| format!("  {}", crate::output::plain(line)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Says something to whoever watches the supervisor.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    // Nothing can be done when stderr is gone.
    let _ = writeln!(std::io::stderr(), "gridmart up: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_described() {
        assert_eq!(
            describe(Some(ExitStatus::from_raw(3 << 8))),
            "ended with exit code 3"
        );
        assert_eq!(
            describe(Some(ExitStatus::from_raw(9))),
            "was ended by signal 9 (SIGKILL)"
        );
    }

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("role.log");
        let lines: Vec<String> = (0..2000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, lines.concat()).unwrap();
        let shown = tail(&path);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 1999"), "{shown}");
    }
}
