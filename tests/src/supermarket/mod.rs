//! A whole supermarket: `gridmart up` in a temporary folder.

mod builder;
mod change;
mod disk;
mod end;
mod fault;
mod role;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use gridmart_sdk::{Client, Settings};
use parking_lot::Mutex;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpSocket;

pub use self::{builder::SupermarketBuilder, change::Change};
use crate::{
    application::Application,
    binary::gridmart,
    processes::{self, Identity},
    run::{Run, Running, Usage, measure},
    wait::{LONG, wait_for},
};

/// Variables that would lead a command to another supermarket.
const STRAY_VARIABLES: &[&str] = &[
    "GRIDMART_URL",
    "GRIDMART_TOKEN",
    "GRIDMART_CA",
    "GRIDMART_JOIN_TOKEN",
];

/// What the ready line says.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// The people's door.
    pub url: String,
    /// The nodes' door.
    pub nodes: String,
    /// The Element's door.
    pub element: String,
    /// The Hosts.
    pub hosts: Vec<String>,
    /// The line that joins another machine.
    pub join_command: Option<String>,
}

/// A running supermarket; dropping it ends it and demands that nothing is left.
#[derive(Debug)]
pub struct Supermarket {
    /// What the ready line said.
    pub ready: Ready,
    /// From the start to the ready line.
    pub took: Duration,
    /// The first admin's token.
    pub token: String,
    scratch: TempDir,
    folder: PathBuf,
    /// Value of the variable that marks all of its processes.
    mark: String,
    has_small_disks: bool,
    /// What roles that are started again have of the first start's environment.
    environment: Vec<(OsString, OsString)>,
    up: Option<Child>,
    said: Arc<Mutex<String>>,
    roles: Mutex<Roles>,
}

/// What the test has done with the roles.
#[derive(Debug, Default)]
struct Roles {
    /// Command lines of those that were ended.
    lines: BTreeMap<String, Vec<String>>,
    /// Ports of those that were ended.
    held: BTreeMap<String, Vec<TcpSocket>>,
    /// Those that were started again.
    restarted: BTreeMap<String, Child>,
    /// Processes that may have outlived the role that they belong to.
    orphans: BTreeSet<Identity>,
}

impl Supermarket {
    /// Begins to describe one.
    pub fn builder() -> SupermarketBuilder {
        SupermarketBuilder::default()
    }

    /// Gives the data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives a folder for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Tells what the supervisor has said on stderr.
    pub fn said(&self) -> String {
        self.said.lock().clone()
    }

    /// Gives the supervisor's process number.
    pub fn pid(&self) -> u32 {
        self.up
            .as_ref()
            .map(Child::id)
            .expect("the supervisor runs")
    }

    /// Gives all of its processes: the supervisor, the roles, their sandboxes
    /// and what runs in them.
    pub fn processes(&self) -> BTreeSet<Identity> {
        let up = self.up.iter().map(Child::id);
        let roots: Vec<u32> = up
            .chain(self.roles.lock().restarted.values().map(Child::id))
            .collect();
        roots.into_iter().flat_map(processes::tree).collect()
    }

    /// Makes a client of the SDK for the first admin; it keeps its jobs in the
    /// test's folder.
    pub fn client(&self) -> Client {
        Client::connect(self.settings()).expect("a client can be made")
    }

    /// Gives what a client of the SDK needs to know.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.ready.url, &self.token);
        settings.ca = Some(fs::read_to_string(self.ca()).expect("the CA's root is there"));
        settings.jobs = Some(self.scratch.path().join("jobs"));
        settings
    }

    /// Gives the file with the CA's root.
    pub fn ca(&self) -> PathBuf {
        self.seen("ca.pem")
    }

    /// Gives a command of the binary as the first admin would type it.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_as(&self.token, words)
    }

    /// Gives a command of the binary as the holder of a token would type it.
    pub fn command_as(&self, token: &str, words: &[&str]) -> Command {
        let mut command = Command::new(gridmart());
        make_strange(&mut command, self.scratch.path());
        command
            .args(words)
            .env("GRIDMART_URL", &self.ready.url)
            .env("GRIDMART_TOKEN", token)
            .env("GRIDMART_CA", self.ca())
            .current_dir(self.scratch.path());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> Run {
        Running::start(self.command(words), None).wait()
    }

    /// Runs a command to its end, as the holder of a token.
    #[track_caller]
    pub fn cli_as(&self, token: &str, words: &[&str]) -> Run {
        Running::start(self.command_as(token, words), None).wait()
    }

    /// Runs a command to its end with this stdin.
    #[track_caller]
    pub fn cli_with(&self, words: &[&str], stdin: impl Into<Vec<u8>>) -> Run {
        Running::start(self.command(words), Some(stdin.into())).wait()
    }

    /// Runs a command to its end with this stdin, as the holder of a token.
    #[track_caller]
    pub fn cli_with_as(&self, token: &str, words: &[&str], stdin: impl Into<Vec<u8>>) -> Run {
        Running::start(self.command_as(token, words), Some(stdin.into())).wait()
    }

    /// Runs a command to its end, and tells what it has used.
    #[track_caller]
    pub fn cli_measured(&self, words: &[&str]) -> (Run, Usage) {
        measure(self.command(words))
    }

    /// Starts a command in the background.
    pub fn cli_start(&self, words: &[&str]) -> Running {
        Running::start(self.command(words), None)
    }

    /// Uploads an application.
    #[track_caller]
    pub fn upload(&self, application: &Application) -> PathBuf {
        let folder = application.write(self.scratch.path());
        self.cli(&["upload", &folder.to_string_lossy()]).ok();
        folder
    }

    /// Shows a resource as JSON; none while it is not there.
    pub fn resource(&self, name: &str) -> Option<serde_json::Value> {
        let listing: serde_json::Value = self.cli(&["resources", "--json"]).ok().json();
        listing["items"]
            .as_array()?
            .iter()
            .find(|row| row["name"] == name)
            .cloned()
    }

    /// Waits until a resource looks as it should.
    #[track_caller]
    pub fn wait_resource(
        &self,
        name: &str,
        what: &str,
        good: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        wait_for(LONG, &format!("{name} is {what}"), || {
            match self.resource(name) {
                Some(row) if good(&row) => Ok(row),
                Some(row) => Err(row.to_string()),
                None => Err("it is not listed".to_owned()),
            }
        })
    }
}

/// Lets a command find nothing of the person who runs the tests.
fn make_strange(command: &mut Command, scratch: &Path) {
    let home = scratch.join("home");
    for (name, folder) in [
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "share"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
    ] {
        command.env(name, home.join(folder));
    }
    command.env("HOME", home);
    for name in STRAY_VARIABLES {
        command.env_remove(name);
    }
}
