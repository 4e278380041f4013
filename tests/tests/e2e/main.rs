//! End-to-end tests through public doors, one module per theme, in one
//! program: linking it once is cheaper than the tests themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_collect,
    reason = "a test tells a broken premise by a panic, and its inputs are small"
)]

mod bucket_volume;
mod calls;
mod children;
mod commands;
mod console;
mod damage;
mod data;
mod days;
mod disks;
mod doors;
mod engines;
mod failures;
mod fairness;
mod faults;
mod gateway;
mod joining;
mod layout;
mod maps;
mod mariadb;
mod market;
mod nap;
mod neighbours;
mod objects;
mod pages;
mod parts;
mod people;
mod policies;
mod postgres;
mod refusals;
mod refused;
mod relay;
mod renewal;
mod s3;
mod s3_boto3;
mod s3_clients;
mod s3_object_store;
mod sandbox;
mod shadows;
mod soak;
mod staging;
mod standbys;
mod storage;
mod storage_days;
mod swarm;
mod tickets;
mod transfers;
mod values;

use std::sync::{Arc, Mutex, Weak};

use gridmart_tests::{Application, LONG, Running, Supermarket, wait_for};

/// Whether the long tests are run whole: `make siege`.
fn is_whole() -> bool {
    std::env::var_os("GRIDMART_SIEGE").is_some()
}

/// Adds a person and gives a token of theirs.
#[track_caller]
fn person(market: &Supermarket, name: &str, role: &str) -> String {
    let words = ["people", "add", name, "--role", role];
    market
        .cli_with(&words, "correct horse battery staple\n")
        .ok();
    let made = market.cli(&["token", "api", "create", "--person", name]);
    made.ok().text()
}

/// Whether what is long, large or many is so in earnest: `make soak-storage`, `make
/// soak-data`.
fn is_soak() -> bool {
    std::env::var_os("GRIDMART_SOAK").is_some()
}

/// Starts a role beside those of the supermarket, on loopback and with a folder
/// of its own.
fn role(market: &Supermarket, words: [&str; 2], name: &str, token: &str, more: &[&str]) -> Running {
    let mut command = market.command(&words);
    command
        .args(["--name", name])
        .args(["--listen", "127.0.0.1:0", "--advertise", "127.0.0.1"])
        .args(more)
        .arg("--data-dir")
        .arg(market.folder().join(name))
        .env("GRIDMART_JOIN_TOKEN", token);
    Running::start(command, None)
}

/// Waits until new calls are served.
#[track_caller]
fn wait_served(market: &Supermarket) {
    wait_for(LONG, "a new call is served", || {
        let run = market.cli_with(&["call", "echo"], "new");
        if run.code == 0 && run.text() == "new" {
            Ok(())
        } else {
            Err(format!("{} {}", run.code, run.stderr))
        }
    });
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
