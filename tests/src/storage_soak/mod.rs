//! Bad weather over objects: programs put, get, delete and list through the SDK
//! while the controller, the Storage Element and its Hosts are killed and
//! halted under a seed, while an operator drains Hosts and thinks better of it,
//! and a ledger of what was acknowledged.
//!
//! What is checked while it lasts: whatever is read is whole, and something that
//! may be there; nothing hangs. What is checked when it is calm again: two Hosts
//! go for good, and every acknowledged object is there and right at once; all of
//! them are made whole on the others, and are there with any two more halted;
//! deleted ones stay deleted; each Host has the blocks that the metadata say,
//! each of them whole, and no other.
//!
//! The seed fixes the order, the kinds and the lengths of the faults and what is
//! put; what a fault hits is up to the machine. Dead roles are started again by
//! `up`, as in an operator's market.

mod calm;
mod content;
mod fault;
mod ledger;
mod load;
mod operator;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

pub use self::calm::disk_faults;
use self::ledger::Ledger;
use crate::{
    soak::{Plan, dice},
    supermarket::Supermarket,
};

/// Storage Hosts: as many as objects need when some were drained and two have
/// died.
const HOSTS: u32 = 10;
/// Hosts that may be drained to the end.
const GONE_MAX: usize = 2;
/// Programs that put and get at the same time.
const LANES: u64 = 3;
/// The buckets, and how they are kept: two Hosts may be lost of either.
const BUCKETS: [(&str, &str); 2] = [("striped", "rs(4,2)"), ("copied", "replica(3)")];

/// Lets bad weather be, and panics at everything that is not as promised.
pub fn run(plan: Plan) {
    eprintln!("storage soak: SEED={} FAULTS={}", plan.seed, plan.faults);
    let folder = TempDir::with_prefix("gridmart-soak-").expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(HOSTS)
        // Hosts that are away for long are given up: repair is in the weather.
        .repair_delay("4s")
        // Longer than any put lasts.
        .collect_after("5m")
        .restarting()
        .folder(&data)
        .start();
    calm::make_buckets(&market);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Whatever ends the faults ends the load.
        let _end = End(&over);
        for lane in 0..LANES {
            let dice = dice(plan.seed, 110 + lane);
            let (market, ledger, over) = (&market, &ledger, &over);
            scope.spawn(move || load::go_on(market, ledger, over, lane, dice));
        }
        let dice = dice(plan.seed, 120);
        scope.spawn(|| operator::go_on(&market, &ledger, &over, dice));
        fault::inflict(&market, &ledger, plan);
    });
    calm::settle(&market);
    operator::settle(&market);
    calm::compare(&market, &ledger, dice(plan.seed, 130));
    market.stop();
    // Started anew, with everything as it is left, it collects what is nobody's.
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(HOSTS)
        .collect_after("1s")
        .restarting()
        .folder(&data)
        .start();
    let hosts = calm::collected(&market);
    market.stop();
    for fault in disk_faults(&data, &hosts) {
        ledger.broken(fault);
    }
    eprintln!("{}", ledger.summary());
    let found = ledger.found();
    if !found.is_empty() {
        eprintln!(
            "storage soak: all of it is left in {}",
            folder.keep().display()
        );
    }
    assert!(
        found.is_empty(),
        "SEED={} FAULTS={}: {} promises were broken:\n{}",
        plan.seed,
        plan.faults,
        found.len(),
        found.join("\n")
    );
}

/// Names of the roles that faults hit.
fn roles() -> impl Iterator<Item = String> {
    let hosts = (1..=HOSTS).map(|number| format!("storage-{number}"));
    ["control".to_owned(), "se-1".to_owned()]
        .into_iter()
        .chain(hosts)
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
