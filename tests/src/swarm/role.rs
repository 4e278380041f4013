//! A controller or an Element as a process of its own, without `up`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use gridmart_fabric::ready::{self, Ready};
use nix::sys::signal::Signal;

use crate::{
    binary::gridmart,
    processes::{self, Identity, Memory},
    wait::{LONG, wait_for},
};

/// A role's process; dropping it kills it.
#[derive(Debug)]
pub struct Role {
    folder: PathBuf,
    log: PathBuf,
    words: Vec<String>,
    child: Child,
    ready: Ready,
}

impl Role {
    /// Starts a controller that keeps everything in this folder.
    #[track_caller]
    pub fn control(folder: &Path) -> Self {
        let words = [
            "control",
            "--people-listen",
            "127.0.0.1:0",
            "--nodes-listen",
            "127.0.0.1:0",
        ];
        Self::start(folder, &words)
    }

    /// Starts an Element; `token` is its join token.
    #[track_caller]
    pub fn element(folder: &Path, controller: &str, token: &str) -> Self {
        let words = [
            "element",
            "compute",
            "--controller",
            controller,
            "--join-token",
            token,
            "--name",
            "real",
            "--listen",
            "127.0.0.1:0",
        ];
        Self::start(folder, &words)
    }

    #[track_caller]
    fn start(folder: &Path, words: &[&str]) -> Self {
        fs::create_dir_all(folder).expect("a folder can be made");
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        let log = folder.with_extension("log");
        let child = spawn(folder, &log, &words);
        let ready = wait_ready(folder, &log, child.id());
        Self {
            folder: folder.to_owned(),
            log,
            words,
            child,
            ready,
        }
    }

    /// Kills it, as a power cut does.
    pub fn kill(&mut self) {
        processes::signal(self.child.id(), Signal::SIGKILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`kill`](Self::kill), with its doors where they
    /// were, and waits until it is ready.
    #[track_caller]
    pub fn restart(&mut self) {
        for (flag, door) in [
            ("--people-listen", "people"),
            ("--nodes-listen", "nodes"),
            ("--listen", "door"),
        ] {
            if let Some(at) = self.words.iter().position(|word| word == flag) {
                self.words[at + 1] = self.address(door);
            }
        }
        self.child = spawn(&self.folder, &self.log, &self.words);
        self.ready = wait_ready(&self.folder, &self.log, self.child.id());
    }

    /// Gives the address of a door: `people`, `nodes` or `door`.
    #[track_caller]
    pub fn address(&self, door: &str) -> String {
        let address = self.ready.addresses.get(door);
        address
            .unwrap_or_else(|| panic!("there is no door {door:?}"))
            .clone()
    }

    /// Gives its node id.
    pub fn node(&self) -> gridmart_schemas::id::NodeId {
        self.ready.node.expect("a role that is ready has joined")
    }

    /// Gives its data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives the token of the first admin, of a controller.
    pub fn admin_token(&self) -> String {
        let text = fs::read_to_string(self.folder.join("first-admin.json"))
            .expect("the first admin's file is there");
        let value: serde_json::Value =
            serde_json::from_str(&text).expect("the first admin's file is JSON");
        value["token"]
            .as_str()
            .expect("the first admin has a token")
            .to_owned()
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        self.identity().map_or(Duration::ZERO, Identity::cpu)
    }

    /// Its memory.
    pub fn memory(&self) -> Memory {
        self.identity()
            .and_then(Identity::memory)
            .unwrap_or_default()
    }

    /// Gives what it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn identity(&self) -> Option<Identity> {
        Identity::of(self.child.id())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        processes::signal(self.child.id(), Signal::SIGKILL);
        // It may have been waited for already.
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(2_000);
            eprintln!(
                "--- {} ---\n{}",
                self.folder.display(),
                log.get(from..).unwrap_or_default()
            );
        }
    }
}

fn spawn(folder: &Path, log: &Path, words: &[String]) -> Child {
    let mut command = Command::new(gridmart());
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("a log can be opened");
    command
        .args(words)
        // A line per Host and return would be a figure of its own.
        .args(["--log-level", "warn", "--parent-pid"])
        .arg(std::process::id().to_string())
        .arg("--data-dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log);
    processes::spawn(command).expect("a role can be started")
}

#[track_caller]
fn wait_ready(folder: &Path, log: &Path, pid: u32) -> Ready {
    wait_for(LONG, "a role is ready", || match ready::read(folder) {
        Ok(Some(ready)) if ready.pid == pid => Ok(ready),
        _ if Identity::of(pid).is_none() => panic!(
            "a role has ended: {}",
            fs::read_to_string(log).unwrap_or_default()
        ),
        other => Err(format!("{other:?}")),
    })
}
