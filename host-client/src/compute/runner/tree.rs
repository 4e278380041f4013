//! All processes of a call: what is left of them is found, killed and reaped.

use std::{fs, io, process};

use nix::{sys::signal::Signal, unistd::Pid};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions};

/// How stray processes are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// The runner is pid 1: everything it can see is the call's.
    Namespace,
    /// The runner is a subreaper: orphans become its children.
    Subreaper,
}

impl Tree {
    /// Takes charge of all processes that the runner will start.
    pub(super) fn adopt() -> io::Result<Self> {
        if process::id() == 1 {
            return Ok(Self::Namespace);
        }
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self::Subreaper)
    }

    /// Kills everything but the runner, and waits for none of it.
    pub(super) fn kill(self) {
        match self {
            Self::Namespace => {
                // The kernel holds off forks meanwhile: nothing slips through.
                let _ = nix::sys::signal::kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            Self::Subreaper => {
                for child in children() {
                    let _ = nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL);
                }
            }
        }
    }

    /// Tells whether the runner is alone. The main process has been reaped
    /// before: whatever else there is has a parent among the rest or is, when
    /// that ends, the runner's child, so no child means nothing at all.
    pub(super) fn is_alone() -> bool {
        !has_children()
    }

    /// Kills and reaps until the runner is alone.
    pub(super) fn clear(self) {
        // The children of what was killed arrive one by one.
        while !Self::is_alone() {
            self.kill();
            if rustix::process::wait(WaitOptions::empty()).is_err() {
                return;
            }
        }
    }

    /// Reaps orphans while the main process `main` runs; leaves that alone.
    pub(super) fn reap_orphans(main: rustix::process::Pid) {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while let Ok(Some(status)) = rustix::process::waitid(WaitId::All, peek) {
            let _ = status;
            // The peek does not say whose status it is: wait for each child
            // that has ended, except the main one.
            let ended: Vec<_> = children()
                .into_iter()
                .filter_map(rustix::process::Pid::from_raw)
                .filter(|pid| *pid != main)
                .filter(|pid| {
                    matches!(
                        rustix::process::waitpid(Some(*pid), WaitOptions::NOHANG),
                        Ok(Some(_))
                    )
                })
                .collect();
            if ended.is_empty() {
                return;
            }
        }
    }

    /// Tells whether `main` has ended; it stays to be reaped.
    pub(super) fn has_ended(main: rustix::process::Pid) -> bool {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(rustix::process::waitid(WaitId::Pid(main), peek), Ok(None))
    }
}

fn has_children() -> bool {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, peek).is_ok()
}

fn children() -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/self/task/{}/children", process::id()));
    listed
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
