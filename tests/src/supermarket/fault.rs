//! Fault points of the roles: when they do something, and what is left then.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use super::Supermarket;
use crate::{
    binary::gridmart,
    processes::{self, Identity},
    wait::{LONG, wait_for},
};

/// Faults happen while this file of the test's folder is there.
pub(super) const FAULTS: &str = "faults";
/// What the binary says of itself.
const BUILT_IN: &str = "with fault points";

/// Demands a binary with fault points.
#[track_caller]
pub(super) fn require_fault_points() {
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = VERSION.get_or_init(|| {
        let said = Command::new(gridmart()).arg("--version").output();
        String::from_utf8_lossy(&said.expect("gridmart can be started").stdout).into_owned()
    });
    assert!(
        version.contains(BUILT_IN),
        "this test needs a binary with fault points: run \
         `cargo build -p gridmart --features gridmart/fault-points` (it says {version:?})"
    );
}

impl Supermarket {
    /// From here on, what was armed happens.
    pub fn faults_begin(&self) {
        fs::write(self.faults_file(), "").expect("a file can be made");
    }

    /// From here on, nothing does.
    pub fn faults_end(&self) {
        fs::remove_file(self.faults_file()).expect("faults had begun");
    }

    /// Gives a command that meets the faults that are given, from now on, if
    /// the binary has fault points.
    #[track_caller]
    pub fn command_with_faults(&self, words: &[&str], faults: &str) -> Command {
        require_fault_points();
        let mut command = self.command(words);
        command.env("FAILPOINTS", faults);
        command
    }

    fn faults_file(&self) -> PathBuf {
        self.scratch.path().join(FAULTS)
    }

    /// Does something of which a role dies at a fault point, and waits until
    /// it is dead. It can be started again then, without faults.
    #[track_caller]
    pub fn dies_of<T>(&self, role: &str, point: &str, act: impl FnOnce() -> T) -> T {
        let pid = self.role_pid(role);
        let identity = Identity::of(pid).unwrap_or_else(|| panic!("{role} does not run"));
        let mut roles = self.roles.lock();
        roles
            .lines
            .insert(role.to_owned(), processes::command_line(pid));
        drop(roles);
        self.faults_begin();
        let outcome = act();
        let mut orphans = processes::tree(pid);
        wait_for(LONG, &format!("{role} dies at {point}"), || {
            orphans.extend(processes::tree(pid));
            (!identity.lives())
                .then_some(())
                .ok_or_else(|| "it lives".to_owned())
        });
        self.faults_end();
        let mut roles = self.roles.lock();
        roles.orphans.extend(orphans);
        // One that the test has started before is its child.
        if let Some(mut child) = roles.restarted.remove(role) {
            child.wait().expect("a child can be waited for");
        }
        drop(roles);
        let log = self.log(role);
        let told = format!("point=\"{point}\"");
        assert!(log.contains(&told), "{role} did not die at {point}: {log}");
        outcome
    }
}
