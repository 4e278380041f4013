//! Roles are killed and halted, and come back.

use std::{collections::BTreeSet, thread, time::Duration};

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use rand::{RngExt as _, rngs::StdRng};

use super::{HOSTS, ledger::Ledger};
use crate::{
    processes::{self, Identity},
    soak::{Plan, dice},
    supermarket::Supermarket,
    wait::{LONG, is_interrupted, wait_for},
};

/// Faults that may be there at the same time: no more than objects bear.
const LANES: u64 = 2;
/// Longest time for which a role is halted, in seconds: longer than Hosts are
/// waited for before they are given up.
const LENGTH_MAX: f64 = 7.0;
/// Longest pause of a lane between two faults.
const PAUSE_MAX: f64 = 2.0;
/// Faults between two words about how far it is.
const TOLD_EVERY: u32 = 10;

struct Fault {
    role: String,
    /// SIGKILL, and `up` starts it again; or SIGSTOP, and SIGCONT after a while.
    is_killed: bool,
    lasts: Duration,
    pause: Duration,
}

impl Fault {
    fn draw(dice: &mut StdRng) -> Self {
        let role = match dice.random_range(0..10) {
            0 => "control".to_owned(),
            1..4 => "se-1".to_owned(),
            _ => format!("storage-{}", dice.random_range(1..=HOSTS)),
        };
        // Mostly short, so that what is under way is met by its return.
        let part: f64 = dice.random_range(0.0..1.0);
        Self {
            role,
            is_killed: dice.random(),
            lasts: Duration::from_secs_f64(LENGTH_MAX * part * part),
            pause: Duration::from_secs_f64(dice.random_range(0.0..PAUSE_MAX)),
        }
    }
}

struct State {
    taken: BTreeSet<String>,
    begun: u32,
}

/// Inflicts all faults; gives back when all roles are there again.
pub(super) fn inflict(market: &Supermarket, ledger: &Ledger, plan: Plan) {
    let state = Mutex::new(State {
        taken: BTreeSet::new(),
        begun: 0,
    });
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (mut dice, state) = (dice(plan.seed, 140 + lane), &state);
            scope.spawn(move || {
                while let Some(fault) = begin(ledger, plan, state, &mut dice) {
                    hit(market, ledger, &fault);
                    state.lock().taken.remove(&fault.role);
                    thread::sleep(fault.pause);
                }
            });
        }
    });
}

fn begin(ledger: &Ledger, plan: Plan, state: &Mutex<State>, dice: &mut StdRng) -> Option<Fault> {
    let mut state = state.lock();
    if state.begun >= plan.faults || ledger.is_broken() || is_interrupted() {
        return None;
    }
    let fault = loop {
        let fault = Fault::draw(dice);
        if state.taken.insert(fault.role.clone()) {
            break fault;
        }
    };
    state.begun += 1;
    if state.begun.is_multiple_of(TOLD_EVERY) {
        let seconds = ledger.seconds();
        eprintln!(
            "storage soak: {} of {} faults, {seconds} s",
            state.begun, plan.faults
        );
    }
    Some(fault)
}

fn hit(market: &Supermarket, ledger: &Ledger, fault: &Fault) {
    let role = &fault.role;
    let pid = market.role_pid(role);
    if fault.is_killed {
        ledger.count(format!("fault: {role} killed"));
        kill(market, role, pid);
    } else {
        ledger.count(format!("fault: {role} halted"));
        processes::signal(pid, Signal::SIGSTOP);
        thread::sleep(fault.lasts);
        processes::signal(pid, Signal::SIGCONT);
    }
}

/// Kills a role, and waits until `up` has started it again.
fn kill(market: &Supermarket, role: &str, pid: u32) {
    processes::signal(pid, Signal::SIGKILL);
    wait_for(LONG, &format!("{role} is there again"), || {
        match market.try_role_pid(role) {
            Some(now) if now != pid && Identity::of(now).is_some() => Ok(()),
            other => Err(format!("the ready file names process {other:?}")),
        }
    });
}
