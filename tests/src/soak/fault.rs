//! What is done to the roles, and when it is put right.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use rand::{RngExt as _, rngs::StdRng};

use super::{Plan, Wires, dice, ledger::Ledger};
use crate::{
    processes::{self, Identity},
    proxy::{Cut, Direction, Way},
    supermarket::Supermarket,
    wait::is_interrupted,
};

/// Faults that may be there at the same time.
const LANES: u64 = 2;
/// Longest time for which a role is dead or halted.
const LENGTH_MAX: f64 = 4.0;
/// Longest pause of a lane between two faults.
const PAUSE_MAX: f64 = 1.0;
/// Delay of a slow wire, each way.
const SLOW_DELAY: Duration = Duration::from_millis(80);
/// Bytes a second of a slow wire, each way.
const SLOW_BYTES: u32 = 200_000;
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
    /// Its disk is full for a while.
    Filled,
    /// What goes through a wire is cut, at once.
    Cut,
    /// Nothing arrives for a while in one direction, and then all of it.
    Silent,
    /// A wire is slow for a while.
    Slow,
    /// A wire resets everything for a while.
    Down,
}

#[derive(Debug)]
struct Fault {
    kind: Kind,
    /// What it hits: the name of a role or of a wire.
    target: String,
    lasts: Duration,
    pause: Duration,
    /// Which of the processes below a Host.
    which: usize,
}

impl Fault {
    fn draw(dice: &mut StdRng, wires: &Wires) -> Self {
        let kind = match dice.random_range(0..10) {
            0 | 1 => Kind::Killed,
            2 | 3 => Kind::Halted,
            4 => Kind::Robbed,
            5 => Kind::Filled,
            6 => Kind::Cut,
            7 => Kind::Silent,
            8 => Kind::Slow,
            _ => Kind::Down,
        };
        let host = format!("host-{}", dice.random_range(1..=super::HOSTS));
        let role = match dice.random_range(0..6) {
            0 => "control".to_owned(),
            1 => "ce-1".to_owned(),
            _ => host.clone(),
        };
        let wire = &wires.0[dice.random_range(0..wires.0.len())];
        // Mostly short, so that what is under way is met by its return.
        let part: f64 = dice.random_range(0.0..1.0);
        Self {
            target: match kind {
                Kind::Robbed => host,
                Kind::Killed | Kind::Halted | Kind::Filled => role,
                Kind::Cut | Kind::Silent | Kind::Slow | Kind::Down => wire.name.clone(),
            },
            kind,
            lasts: Duration::from_secs_f64(LENGTH_MAX * part * part),
            pause: Duration::from_secs_f64(dice.random_range(0.0..PAUSE_MAX)),
            which: dice.random_range(0..1000),
        }
    }
}

/// Roles and wires that have a fault now, and the number of faults that were begun.
struct State {
    taken: BTreeSet<String>,
    begun: u32,
}

/// Inflicts all faults; gives back when the last was put right.
pub(super) fn inflict(market: &Supermarket, wires: &Wires, ledger: &Ledger, plan: Plan) {
    let state = Mutex::new(State {
        taken: BTreeSet::new(),
        begun: 0,
    });
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (mut dice, state) = (dice(plan.seed, 40 + lane), &state);
            scope.spawn(move || {
                while let Some(fault) = begin(ledger, plan, state, wires, &mut dice) {
                    hit(market, wires, ledger, &fault);
                    state.lock().taken.remove(&fault.target);
                    thread::sleep(fault.pause);
                }
            });
        }
    });
}

fn begin(
    ledger: &Ledger,
    plan: Plan,
    state: &Mutex<State>,
    wires: &Wires,
    dice: &mut StdRng,
) -> Option<Fault> {
    let mut state = state.lock();
    if state.begun >= plan.faults || ledger.is_broken() || is_interrupted() {
        return None;
    }
    // The other lanes never hold all of the roles.
    let fault = loop {
        let fault = Fault::draw(dice, wires);
        if state.taken.insert(fault.target.clone()) {
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

fn hit(market: &Supermarket, wires: &Wires, ledger: &Ledger, fault: &Fault) {
    let Fault { kind, target, .. } = fault;
    ledger.count(format!("fault: {target} {kind:?}"));
    match kind {
        Kind::Killed => {
            market.kill9(target);
            thread::sleep(fault.lasts);
            let began = Instant::now();
            market.restart(target);
            let seconds = began.elapsed().as_secs();
            if seconds >= 10 {
                ledger.count(format!("restart of {target} took over 10 s"));
            }
        }
        Kind::Halted => {
            market.freeze(target);
            thread::sleep(fault.lasts);
            market.thaw(target);
        }
        Kind::Robbed => rob(market, fault),
        Kind::Filled => {
            market.fill(target);
            thread::sleep(fault.lasts);
            market.make_room(target);
        }
        Kind::Cut | Kind::Silent | Kind::Slow | Kind::Down => disturb(wires, fault),
    }
}

fn rob(market: &Supermarket, fault: &Fault) {
    let host = market.role_pid(&fault.target);
    let below = processes::tree(host)
        .into_iter()
        .filter(|it| it.pid != host);
    let below: Vec<Identity> = below.collect();
    if !below.is_empty() {
        processes::signal(below[fault.which % below.len()].pid, Signal::SIGKILL);
    }
}

fn disturb(wires: &Wires, fault: &Fault) {
    let Some(wire) = wires.0.iter().find(|wire| wire.name == fault.target) else {
        return;
    };
    let proxy = &wire.proxy;
    let direction = Direction::BOTH[fault.which % 2];
    match fault.kind {
        Kind::Silent => proxy.way(direction, Way::good().silent()),
        Kind::Slow => proxy.ways(Way::good().delay(SLOW_DELAY).rate(SLOW_BYTES)),
        Kind::Down => proxy.down(),
        _ => {
            let end = if fault.which % 4 < 2 {
                Cut::Reset
            } else {
                Cut::Fin
            };
            for connection in proxy.connections() {
                connection.cut(end);
            }
            return;
        }
    }
    thread::sleep(fault.lasts);
    proxy.up();
}
