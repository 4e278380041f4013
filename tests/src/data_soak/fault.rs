//! Roles are killed and halted, and come back.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use rand::{RngExt as _, rngs::StdRng};

use super::{HOSTS, ledger::Ledger};
use crate::{
    processes::{self, Identity},
    soak::Plan,
    supermarket::Supermarket,
    wait::{LONG, is_interrupted, wait_for},
};

/// Longest time for which a role is halted, in seconds.
const LENGTH_MAX: f64 = 5.0;
/// Longest pause between two faults, in seconds.
const PAUSE_MAX: f64 = 2.0;
/// Faults between two words about how far it is.
const TOLD_EVERY: u32 = 10;
/// Writes between two faults at least, so that each meets some.
const WRITES_BETWEEN: usize = 20;

/// Inflicts all faults; gives back when all roles are there again.
pub(super) fn inflict(market: &Supermarket, ledger: &Ledger, plan: Plan, mut dice: StdRng) {
    for number in 1..=plan.faults {
        if ledger.is_broken() || is_interrupted() {
            return;
        }
        let role = match dice.random_range(0..10) {
            0 => "control".to_owned(),
            1..4 => "de-1".to_owned(),
            _ => format!("data-{}", dice.random_range(1..=HOSTS)),
        };
        let is_killed = dice.random_ratio(3, 4);
        // Mostly short, so that what is under way is met by its return.
        let part: f64 = dice.random_range(0.0..1.0);
        let lasts = Duration::from_secs_f64(LENGTH_MAX * part * part);
        hit(market, ledger, &role, is_killed, lasts);
        thread::sleep(Duration::from_secs_f64(dice.random_range(0.0..PAUSE_MAX)));
        let before = ledger.acknowledged();
        wait_for(LONG, "writes go on after a fault", || {
            let now = ledger.acknowledged();
            if now >= before + WRITES_BETWEEN || ledger.is_broken() {
                Ok(())
            } else {
                Err(format!("{} since {role} was hit", now - before))
            }
        });
        if number.is_multiple_of(TOLD_EVERY) {
            eprintln!("data soak: {number} of {} faults", plan.faults);
        }
    }
}

fn hit(market: &Supermarket, ledger: &Ledger, role: &str, is_killed: bool, lasts: Duration) {
    let pid = market.role_pid(role);
    if !is_killed {
        ledger.count(format!("fault: {role} halted"));
        processes::signal(pid, Signal::SIGSTOP);
        thread::sleep(lasts);
        processes::signal(pid, Signal::SIGCONT);
        return;
    }
    ledger.count(format!("fault: {role} killed"));
    processes::signal(pid, Signal::SIGKILL);
    wait_for(LONG, &format!("{role} is there again"), || {
        match market.try_role_pid(role) {
            Some(now) if now != pid && Identity::of(now).is_some() => Ok(()),
            other => Err(format!("the ready file names process {other:?}")),
        }
    });
}
