//! Bad weather for a long time: a whole supermarket under a mixed load, while
//! its roles are killed, halted and robbed of their children, its streams cut,
//! slowed and silenced, and its disks filled under a seed, and a ledger of
//! everything that was promised.
//!
//! What is checked while it lasts: every answer is the right one or a refusal
//! that names the fault; nothing hangs. What is checked when it is calm again:
//! everything acknowledged is there, every call is told once and as its caller
//! saw it, nothing runs or waits that nobody asked for, and no role has panicked
//! or grown.
//!
//! The seed fixes the order, the kinds and the lengths of the faults, not what
//! they hit: that is up to the machine.

mod calls;
mod calm;
mod fault;
mod ledger;
mod maps;
mod operator;
mod wires;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Context as _;
use rand::{SeedableRng as _, rngs::StdRng};

pub use self::ledger::Ledger;
use self::wires::Wires;
use crate::{application::Application, supermarket::Supermarket};

/// Hosts of the supermarket.
const HOSTS: u32 = 3;
/// Slots of each.
const SLOTS: u32 = 2;
/// Room on the disk of each role.
const DISK_MEBIBYTES: u64 = 128;
/// What callers call: it gives back its argument and its input.
const MIRROR: &str = "mirror";
/// The same, and may be called again when its Host is lost.
const MIRROR_AGAIN: &str = "mirror-again";
/// What is mapped.
const STEADY: &str = "steady";

/// How bad it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the faults are drawn from.
    pub seed: u64,
    /// How many there are.
    pub faults: u32,
}

impl Plan {
    /// Reads `SEED` and `FAULTS` from the environment.
    pub fn from_environment(default: Self) -> anyhow::Result<Self> {
        Ok(Self {
            seed: number("SEED")?.unwrap_or(default.seed),
            faults: number("FAULTS")?.unwrap_or(default.faults),
        })
    }
}

fn number<T: std::str::FromStr>(name: &str) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let Ok(text) = std::env::var(name) else {
        return Ok(None);
    };
    text.trim()
        .parse()
        .map(Some)
        .with_context(|| format!("{name}={text} is not a number"))
}

/// Lets bad weather be, and panics at everything that is not as promised.
pub fn run(plan: Plan) {
    eprintln!("soak: SEED={} FAULTS={}", plan.seed, plan.faults);
    let builder = Supermarket::builder().hosts(HOSTS).slots(Some(SLOTS));
    let builder = roles().fold(builder, |builder, role| {
        builder.small_disk(&role, DISK_MEBIBYTES)
    });
    let market = builder.start();
    let wires = Wires::lay(&market);
    for application in applications() {
        market.upload(&application);
    }
    let ledger = Ledger::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Whatever ends the faults ends the load.
        let _end = End(&over);
        for lane in 0..3 {
            let dice = dice(plan.seed, 10 + lane);
            let (market, ledger, over) = (&market, &ledger, &over);
            scope.spawn(move || calls::go_on(market, ledger, over, dice));
        }
        scope.spawn(|| operator::go_on(&market, &ledger, &over, dice(plan.seed, 20)));
        scope.spawn(|| maps::go_on(&market, &ledger, &over, dice(plan.seed, 30)));
        fault::inflict(&market, &wires, &ledger, plan);
    });
    calm::settle(&market, &ledger);
    calm::compare(&market, &ledger);
    eprintln!("{}", ledger.summary(&market));
    let faults = ledger.faults_found();
    assert!(
        faults.is_empty(),
        "SEED={} FAULTS={}: {} promises were broken:\n{}",
        plan.seed,
        plan.faults,
        faults.len(),
        faults.join("\n")
    );
    market.stop();
}

/// Each who draws has dice of their own, so that who is slow changes nobody
/// else's.
pub(crate) fn dice(seed: u64, who: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(who))
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Names of the roles, which their folders have as well.
fn roles() -> impl Iterator<Item = String> {
    let hosts = (1..=HOSTS).map(|number| format!("host-{number}"));
    ["control".to_owned(), "ce-1".to_owned()]
        .into_iter()
        .chain(hosts)
}

fn applications() -> [Application; 3] {
    // $1 is given back before the input, after $2 seconds.
    let mirror = "sleep \"$2\"; echo \"$1\"; cat";
    let steady = "read n; sleep 0.0$((n % 7)); echo \"part $n\"; head -c $((n * 37)) /dev/zero | tr '\\0' x; echo";
    [
        Application::script(MIRROR, mirror),
        Application::script(MIRROR_AGAIN, mirror).retryable(20),
        Application::script(STEADY, steady)
            .split("cat")
            .merge("cat")
            .retryable(50),
    ]
}
