//! End-to-end tests through public doors, one module per theme, in one
//! program: linking it once is cheaper than the tests themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_collect,
    reason = "a test tells a broken premise by a panic, and its inputs are small"
)]

mod calls;
mod children;
mod commands;
mod days;
mod disks;
mod doors;
mod failures;
mod fairness;
mod faults;
mod joining;
mod maps;
mod market;
mod nap;
mod neighbours;
mod people;
mod refusals;
mod refused;
mod relay;
mod renewal;
mod sandbox;
mod soak;
mod swarm;
mod tickets;

use std::sync::{Arc, Mutex, Weak};

use gridmart_tests::{Application, Supermarket};

/// Whether the long tests are run whole: `make siege`.
fn is_whole() -> bool {
    std::env::var_os("GRIDMART_SIEGE").is_some()
}

/// Gives the supermarket that all harmless tests share; the last one ends it.
fn shared() -> Arc<Supermarket> {
    static MARKET: Mutex<Weak<Supermarket>> = Mutex::new(Weak::new());
    let mut market = MARKET
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(market) = market.upgrade() {
        return market;
    }
    let fresh = Arc::new(Supermarket::builder().start());
    for application in [
        Application::script("echo", "cat"),
        Application::script("shell", "exec sh -c \"$1\""),
    ] {
        fresh.upload(&application);
    }
    *market = Arc::downgrade(&fresh);
    fresh
}
