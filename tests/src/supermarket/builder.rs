//! How a supermarket is to be, and its start.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::{
    Ready, Roles, Supermarket,
    disk::{SmallDisk, wrapped},
    end::MARK,
    fault::{FAULTS, require_fault_points},
    make_strange,
};
use crate::{binary::gridmart, clock::Clock, processes};

/// How long a supermarket may take to be ready.
const READY_MAX: Duration = Duration::from_mins(1);

/// Describes a supermarket: two Hosts of two slots, where roles that die stay
/// dead, unless something else is said.
#[derive(Clone, Debug)]
#[must_use]
pub struct SupermarketBuilder {
    hosts: u32,
    storage_hosts: u32,
    data_hosts: u32,
    repair_delay: Option<String>,
    repair_rate: Option<String>,
    collect_after: Option<String>,
    scrub_time: Option<String>,
    slots: Option<u32>,
    restart: bool,
    folder: Option<PathBuf>,
    log_level: String,
    certificate_lifetime: Option<String>,
    environment: Vec<(OsString, OsString)>,
    kept: Vec<(OsString, OsString)>,
    disks: Vec<SmallDisk>,
    faults: Option<String>,
}

impl Default for SupermarketBuilder {
    fn default() -> Self {
        Self {
            hosts: 2,
            storage_hosts: 0,
            data_hosts: 0,
            repair_delay: None,
            repair_rate: None,
            collect_after: None,
            scrub_time: None,
            slots: Some(2),
            restart: false,
            folder: None,
            log_level: "info".to_owned(),
            certificate_lifetime: None,
            environment: Vec::new(),
            kept: Vec::new(),
            disks: Vec::new(),
            faults: None,
        }
    }
}

impl SupermarketBuilder {
    /// Sets the number of Hosts.
    pub const fn hosts(mut self, hosts: u32) -> Self {
        self.hosts = hosts;
        self
    }

    /// Sets the number of storage Hosts: none, unless something is said.
    pub const fn storage_hosts(mut self, hosts: u32) -> Self {
        self.storage_hosts = hosts;
        self
    }

    /// Sets the number of data Hosts: none, unless something is said.
    pub const fn data_hosts(mut self, hosts: u32) -> Self {
        self.data_hosts = hosts;
        self
    }

    /// Sets how long a silent storage Host is waited for: `2s`.
    pub fn repair_delay(mut self, period: &str) -> Self {
        self.repair_delay = Some(period.to_owned());
        self
    }

    /// Sets how fast what is lost is made anew: `1GiB` a second.
    pub fn repair_rate(mut self, size: &str) -> Self {
        self.repair_rate = Some(size.to_owned());
        self
    }

    /// Sets how long blocks stay on storage Hosts that nothing names: `2m`.
    pub fn collect_after(mut self, period: &str) -> Self {
        self.collect_after = Some(period.to_owned());
        self
    }

    /// Sets in which time storage Hosts read every block again: `5s`.
    pub fn scrub_time(mut self, period: &str) -> Self {
        self.scrub_time = Some(period.to_owned());
        self
    }

    /// Sets the slots of each Host; none: one per CPU.
    pub const fn slots(mut self, slots: Option<u32>) -> Self {
        self.slots = slots;
        self
    }

    /// Lets dead roles be started again.
    pub const fn restarting(mut self) -> Self {
        self.restart = true;
        self
    }

    /// Uses a data folder from before, which is left when all is over.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Sets the filter of the roles' logs.
    pub fn log_level(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log_level);
        self
    }

    /// Sets how long certificates live: `20s`.
    pub fn certificate_lifetime(mut self, period: &str) -> Self {
        self.certificate_lifetime = Some(period.to_owned());
        self
    }

    /// Lets all of it live by this clock.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.environment.extend(clock.variables());
        self
    }

    /// Sets a variable of the environment of all roles.
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same for roles that are started again as well.
    pub fn lasting_variable(
        mut self,
        name: impl Into<OsString>,
        value: impl Into<OsString>,
    ) -> Self {
        let variable = (name.into(), value.into());
        self.kept.push(variable.clone());
        self.environment.push(variable);
        self
    }

    /// Gives a folder of the data folder, as `control`, a disk of its own.
    pub fn small_disk(mut self, folder: &str, mebibytes: u64) -> Self {
        self.disks.push(SmallDisk {
            folder: folder.to_owned(),
            bytes: mebibytes * 1024 * 1024,
        });
        self
    }

    /// Arms fault points in all roles: `control.store.shown=return(kill)`. They
    /// do something between [`Supermarket::faults_begin`] and
    /// [`Supermarket::faults_end`]. The binary must have been built with them.
    #[track_caller]
    pub fn faults(mut self, faults: &str) -> Self {
        require_fault_points();
        self.faults = Some(faults.to_owned());
        self
    }

    /// Gives the command that starts it.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(gridmart());
        command.args([
            "up",
            "--json",
            "--port-base",
            "0",
            "--listen",
            "127.0.0.1",
            "--log-level",
            &self.log_level,
        ]);
        command.args([
            "--compute-hosts",
            &self.hosts.to_string(),
            "--storage-hosts",
            &self.storage_hosts.to_string(),
            "--data-hosts",
            &self.data_hosts.to_string(),
            "--parent-pid",
            &std::process::id().to_string(),
        ]);
        command.arg("--data-dir").arg(folder);
        command.envs(self.environment.iter().cloned());
        if let Some(slots) = self.slots {
            command.args(["--slots", &slots.to_string()]);
        }
        for (flag, period) in [
            ("--repair-delay", &self.repair_delay),
            ("--repair-rate", &self.repair_rate),
            ("--collect-after", &self.collect_after),
            ("--scrub-time", &self.scrub_time),
        ] {
            if let Some(period) = period {
                command.args([flag, period]);
            }
        }
        if let Some(lifetime) = &self.certificate_lifetime {
            command.args(["--certificate-lifetime", lifetime]);
        }
        if !self.restart {
            command.arg("--no-restart");
        }
        if self.disks.is_empty() {
            command
        } else {
            wrapped(&command, folder, &self.disks)
        }
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Supermarket {
        let scratch =
            TempDir::with_prefix("gridmart-test-").expect("a temporary folder can be made");
        fs::create_dir(scratch.path().join("home")).expect("a folder can be made");
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| scratch.path().join("data"));
        let mark = uuid::Uuid::new_v4().to_string();
        let mut command = self.command(&folder);
        make_strange(&mut command, scratch.path());
        if let Some(faults) = &self.faults {
            command
                .env("FAILPOINTS", faults)
                .env("GRIDMART_FAULTS_WHILE", scratch.path().join(FAULTS));
        }
        command
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let mut up = processes::spawn(command).expect("gridmart up can be started");
        let line = first_line(up.stdout.take().expect("stdout is a pipe"));
        let said = listen(&mut up);
        // From here on, whatever fails is cleared up.
        let mut market = Supermarket {
            ready: Ready {
                url: String::new(),
                nodes: String::new(),
                element: String::new(),
                hosts: Vec::new(),
                join_command: None,
            },
            took: Duration::ZERO,
            token: String::new(),
            scratch,
            folder,
            mark,
            has_small_disks: !self.disks.is_empty(),
            environment: self.kept,
            up: Some(up),
            said,
            roles: Mutex::new(Roles::default()),
        };
        let line = line
            .recv_timeout(READY_MAX)
            .unwrap_or_else(|error| panic!("no ready line: {error}; stderr: {}", market.said()));
        market.took = began.elapsed();
        market.ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the ready line is not understood ({error}): {line}"));
        market.token = first_token(&market.seen("control/first-admin.json"));
        market
    }
}

/// Gives the first line of stdout, and reads on so that nobody is held up.
fn first_line(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Only the first is waited for.
            let _ = sender.send(line);
        }
    });
    line
}

/// Gathers what is said on stderr.
fn listen(up: &mut Child) -> Arc<Mutex<String>> {
    let said = Arc::new(Mutex::new(String::new()));
    let (heard, stderr) = (
        Arc::clone(&said),
        up.stderr.take().expect("stderr is a pipe"),
    );
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = heard.lock();
            text.push_str(&line);
            text.push('\n');
        }
    });
    said
}

fn first_token(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the first admin's file is there");
    let value: serde_json::Value =
        serde_json::from_str(&text).expect("the first admin's file is JSON");
    value["token"]
        .as_str()
        .expect("the first admin has a token")
        .to_owned()
}
