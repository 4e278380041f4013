//! Whole cluster histories in milliseconds: the real cores of all roles under a
//! simulated clock and network, driven by a seed.
//!
//! One controller, one to three Elements, two to six Hosts each, programs of
//! several people. What decides is the product's own code; what is simulated is
//! around it: streams, disks, processes, time. A history has a time of faults
//! (crashes, power cuts, stopped processes, partitions, cut and slow streams,
//! clocks that jump, commands, callers who vanish), then a time in which all is
//! well and everything has to come to its end.
//!
//! After each step the invariants are checked (`audit`, `ledger`): no slot is
//! given out twice, no result counts twice, no accepted call is lost, no call
//! that may run once runs twice, nothing outlives a kill, quotas, priorities and
//! fair shares hold. The same seed gives the same history; one that fails is
//! told with its last events and the command that replays it.
//!
//! - `stage`: time, network, processes, the log; `dice`: chance and ids;
//! - `controller`, `element`, `host`, `client`: the roles, with the real cores;
//! - `world`: who is there; `fault`: what goes wrong;
//! - `ledger`, `audit`: what must hold.

mod audit;
mod client;
mod controller;
mod desk;
mod dice;
mod element;
mod fault;
mod host;
mod ledger;
mod message;
mod stage;
mod timer;
mod world;

use std::fmt;

use self::{
    stage::{SECOND, Time},
    world::World,
};

/// Everything has come to its end so long after the last fault.
const DRAIN: Time = 600 * SECOND;
/// And nothing but heartbeats happens for so long, before it is believed.
const SETTLE: Time = 6 * SECOND;
/// Events that a failing history shows, if nothing else is asked for.
const SHOWN: usize = 40;
/// A history with more events does not come to an end.
const STEPS_MAX: u64 = 2_000_000;

/// What a history was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Of all events.
    pub hash: u64,
    /// How many events there were.
    pub steps: u64,
    /// Simulated seconds.
    pub seconds: u64,
    /// Calls, maps and leases.
    pub sizes: (usize, usize, usize),
}

/// A history in which something was as it must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Under which seed.
    pub seed: u64,
    /// After how many events.
    pub step: u64,
    /// What.
    pub what: String,
    /// The last events.
    pub events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.what)?;
        write!(f, "replay: make simulate SEED={} HISTORIES=1", self.seed)
    }
}

/// Plays the history of a seed.
pub fn play(seed: u64) -> Result<History, Failure> {
    match run(seed, 0) {
        Ok(history) => Ok(history),
        // Once more, to tell how it came to that.
        Err(quiet) => {
            let asked = std::env::var("EVENTS").ok();
            let shown = asked.and_then(|text| text.parse().ok());
            Err(run(seed, shown.unwrap_or(SHOWN)).err().unwrap_or(quiet))
        }
    }
}

fn run(seed: u64, shown: usize) -> Result<History, Failure> {
    let mut world = World::new(seed, shown);
    let mut calm_since = None;
    let mut idle_since = None;
    loop {
        let more = world.step();
        if let Some(what) = world.stage.ledger.failure() {
            let what = what.clone();
            return Err(failure(&world, seed, what));
        }
        let now = world.stage.now;
        if world.calm {
            let calm = *calm_since.get_or_insert(now);
            if world.is_idle() && world.pending().is_none() {
                let idle = *idle_since.get_or_insert(now);
                if now - idle >= SETTLE {
                    break;
                }
            } else {
                idle_since = None;
                if now - calm > DRAIN {
                    let mut what = world.describe();
                    what.extend(world.pending());
                    let what = format!("not all has come to an end: {}", what.join("; "));
                    return Err(failure(&world, seed, what));
                }
            }
        }
        if !more || world.stage.steps > STEPS_MAX {
            let what = "the history has no end".to_owned();
            return Err(failure(&world, seed, what));
        }
    }
    world.stage.ledger.close();
    if let Some(what) = world.stage.ledger.failure() {
        let what = what.clone();
        return Err(failure(&world, seed, what));
    }
    Ok(History {
        hash: world.stage.hash,
        steps: world.stage.steps,
        seconds: world.stage.now / SECOND,
        sizes: world.stage.ledger.sizes(),
    })
}

fn failure(world: &World, seed: u64, what: String) -> Failure {
    Failure {
        seed,
        step: world.stage.steps,
        what,
        events: world.stage.last_lines(),
    }
}
