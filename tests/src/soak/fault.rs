//! What is done to the roles, and when it is put right.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use rand::{RngExt as _, rngs::StdRng};

use super::{Plan, dice, ledger::Ledger};
use crate::{
    processes::{self, Identity},
    supermarket::Supermarket,
    wait::is_interrupted,
};

/// Faults that may be there at the same time.
const LANES: u64 = 2;
/// Longest time for which a role is dead or halted.
const LENGTH_MAX: f64 = 4.0;
/// Longest pause of a lane between two faults.
const PAUSE_MAX: f64 = 1.0;
/// Faults between two words about how far it is.
const TOLD_EVERY: u32 = 25;

/// What is done.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// SIGKILL; started again after a while.
    Killed,
    /// SIGSTOP; SIGCONT after a while.
    Halted,
    /// One process below a Host is killed: a sandbox, its runner, a program.
    Robbed,
}

#[derive(Debug)]
struct Fault {
    kind: Kind,
    role: String,
    lasts: Duration,
    pause: Duration,
    /// Which of the processes below a Host.
    which: usize,
}

impl Fault {
    fn draw(dice: &mut StdRng) -> Self {
        let role = match dice.random_range(0..6) {
            0 => "control".to_owned(),
            1 => "ce-1".to_owned(),
            _ => format!("host-{}", dice.random_range(1..=super::HOSTS)),
        };
        let kind = match dice.random_range(0..5) {
            0 | 1 => Kind::Killed,
            2 | 3 => Kind::Halted,
            _ => Kind::Robbed,
        };
        // Mostly short, so that what is under way is met by its return.
        let part: f64 = dice.random_range(0.0..1.0);
        Self {
            role: match kind {
                Kind::Robbed => format!("host-{}", dice.random_range(1..=super::HOSTS)),
                Kind::Killed | Kind::Halted => role,
            },
            kind,
            lasts: Duration::from_secs_f64(LENGTH_MAX * part * part),
            pause: Duration::from_secs_f64(dice.random_range(0.0..PAUSE_MAX)),
            which: dice.random_range(0..1000),
        }
    }
}

/// Roles that have a fault now, and the number of faults that were begun.
struct State {
    taken: BTreeSet<String>,
    begun: u32,
}

/// Inflicts all faults; gives back when the last was put right.
pub(super) fn inflict(market: &Supermarket, ledger: &Ledger, plan: Plan) {
    let state = Mutex::new(State {
        taken: BTreeSet::new(),
        begun: 0,
    });
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (mut dice, state) = (dice(plan.seed, 40 + lane), &state);
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
    // The other lanes never hold all of the roles.
    let fault = loop {
        let fault = Fault::draw(dice);
        if state.taken.insert(fault.role.clone()) {
            break fault;
        }
    };
    state.begun += 1;
    if state.begun.is_multiple_of(TOLD_EVERY) {
        let seconds = ledger.elapsed().as_secs();
        eprintln!(
            "soak: {} of {} faults, {seconds} s",
            state.begun, plan.faults
        );
    }
    Some(fault)
}

fn hit(market: &Supermarket, ledger: &Ledger, fault: &Fault) {
    let Fault { kind, role, .. } = fault;
    ledger.count(format!("fault: {role} {kind:?}"));
    match kind {
        Kind::Killed => {
            market.kill9(role);
            thread::sleep(fault.lasts);
            let began = Instant::now();
            market.restart(role);
            let seconds = began.elapsed().as_secs();
            if seconds >= 10 {
                ledger.count(format!("restart of {role} took over 10 s"));
            }
        }
        Kind::Halted => {
            market.freeze(role);
            thread::sleep(fault.lasts);
            market.thaw(role);
        }
        Kind::Robbed => {
            let host = market.role_pid(role);
            let below = processes::tree(host)
                .into_iter()
                .filter(|it| it.pid != host);
            let below: Vec<Identity> = below.collect();
            if !below.is_empty() {
                processes::signal(below[fault.which % below.len()].pid, Signal::SIGKILL);
            }
        }
    }
}
