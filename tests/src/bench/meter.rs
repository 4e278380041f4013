//! CPU time of everything that has to do with a piece of work: the client,
//! the roles, the sandboxes and what ran in them.

use std::{process::id, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        prctl::set_child_subreaper,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
};

use super::machine::own_and_childrens_cpu;
use crate::{
    Supermarket,
    processes::{tree, tree_cpu},
    wait::{SHORT, wait_for},
};

/// Makes this program the parent of processes whose own parent has died.
///
/// A process's CPU time is told to whoever waits for it. That is a sandbox's
/// Host mostly, but what is left of a sandbox that was killed would be told to
/// the system's first process, and be lost to us.
pub(super) fn adopt_orphans() -> anyhow::Result<()> {
    Ok(set_child_subreaper(true)?)
}

/// Measures from its start to its end. Nothing else may run meanwhile.
pub(super) struct Meter<'a> {
    market: &'a Supermarket,
    before: Duration,
}

impl<'a> Meter<'a> {
    pub(super) fn start(market: &'a Supermarket) -> anyhow::Result<Self> {
        settle(market)?;
        let before = used(market);
        Ok(Self { market, before })
    }

    /// Waits until all that worked has gone, and tells what it has used.
    pub(super) fn stop(self) -> anyhow::Result<Duration> {
        settle(self.market)?;
        Ok(used(self.market).saturating_sub(self.before))
    }
}

/// Waits until there are only this program, the supervisor and the roles.
fn settle(market: &Supermarket) -> anyhow::Result<()> {
    let quiet = market.role_names().len() + 2;
    wait_for(SHORT, "the sandboxes have gone", || {
        let processes = tree(id());
        if processes.len() <= quiet {
            Ok(())
        } else {
            Err(format!("{processes:?}"))
        }
    });
    bury_orphans(market.pid())
}

fn used(market: &Supermarket) -> Duration {
    own_and_childrens_cpu() + tree_cpu(market.pid())
}

/// Waits for all children that have ended, but not for the supervisor: that
/// one's end is for the supermarket to see.
fn bury_orphans(supervisor: u32) -> anyhow::Result<()> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        let ended = match waitid(Id::All, look) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(status) => status.pid(),
            Err(error) => return Err(error.into()),
        };
        match ended {
            Some(pid) if u32::try_from(pid.as_raw()) != Ok(supervisor) => waitpid(pid, None)?,
            _ => return Ok(()),
        };
    }
}
