//! Bad weather over a database: programs write and read through the SDK while the
//! controller, the Data Element and its Hosts (that of the core and those of two shadows)
//! are killed and halted under a seed; and a ledger of what was acknowledged.
//!
//! What is checked while it lasts: whoever reads, of whatever copy, sees what was
//! acknowledged up to the position that the answer names, and nothing of what came later;
//! nothing hangs. What is checked when it is calm again: what was acknowledged is there,
//! once; nothing is there that nobody wrote; shadows are what the core is; and the logs
//! of all copies, on their disks, are the same entries in the same order.
//!
//! A branch holds a part of the database: the numbers of one writer. Which one is changed
//! again and again; at the end there is nothing else on its disk.
//!
//! An operator has the core change again and again, without allowing a loss: nothing that
//! was acknowledged is lost by it, whoever is away meanwhile.
//!
//! The seed fixes the order, the kinds and the lengths of the faults; what a fault hits
//! is up to the machine. Dead roles are started again by `up`.

mod calm;
mod fault;
mod ledger;
mod load;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

use self::ledger::Ledger;
use crate::{
    soak::{Plan, dice},
    supermarket::Supermarket,
};

/// Data Hosts: the core's, those of two shadows, and that of a branch.
const HOSTS: u32 = 4;
/// The database.
const DATABASE: &str = "ledger";
/// Programs that write, each its own numbers one after the other.
const WRITERS: u64 = 3;
/// Programs that read.
const READERS: u64 = 2;

/// Lets bad weather be, and panics at everything that is not as promised.
pub fn run(plan: Plan) {
    eprintln!("data soak: SEED={} FAULTS={}", plan.seed, plan.faults);
    let folder = TempDir::with_prefix("gridmart-soak-").expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(HOSTS)
        .restarting()
        .folder(&data)
        .start();
    let (database, branch) = calm::make(&market);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Whatever ends the faults ends the load.
        let _end = End(&over);
        for lane in 0..WRITERS {
            let (market, ledger, over) = (&market, &ledger, &over);
            scope.spawn(move || load::write_on(market, ledger, over, lane));
        }
        for reader in 0..READERS {
            let dice = dice(plan.seed, 210 + reader);
            let (market, ledger, over) = (&market, &ledger, &over);
            scope.spawn(move || load::read_on(market, ledger, over, dice));
        }
        let operating = dice(plan.seed, 230);
        scope.spawn(|| load::promote_on(&market, &ledger, &over, operating));
        let changing = dice(plan.seed, 240);
        scope.spawn(|| load::change_rules_on(&market, &ledger, &over, &branch, changing));
        fault::inflict(&market, &ledger, plan, dice(plan.seed, 220));
    });
    calm::settle(&market);
    calm::compare(&market, &ledger);
    market.stop();
    calm::compare_logs(&data, &database, &ledger);
    eprintln!("{}", ledger.summary());
    let found = ledger.found();
    if !found.is_empty() {
        eprintln!(
            "data soak: all of it is left in {}",
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

/// Names of the data Hosts.
fn hosts() -> impl Iterator<Item = String> {
    (1..=HOSTS).map(|number| format!("data-{number}"))
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
