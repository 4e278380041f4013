//! Storage as real processes: an Element and its Hosts.

use std::{fs, process::Command};

use gridmart_tests::{Running, Supermarket};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::role;

pub(crate) fn element(market: &Supermarket) -> Running {
    element_with(market, &[])
}

/// An Element that is started with further words.
pub(crate) fn element_with(market: &Supermarket, words: &[&str]) -> Running {
    let create = ["token", "create", "--kind", "se", "--domain", "lab"];
    let token = market.cli(&create).ok().text();
    let more = [&["--controller", &market.ready.nodes], words].concat();
    let element = role(market, ["element", "storage"], "se-1", &token, &more);
    market.wait_resource("se-1", "connected", |row| row["connected"] == true);
    element
}

pub(crate) fn host(market: &Supermarket, name: &str, rack: &str) -> Running {
    host_of(market, name, &["--failure-label", rack])
}

/// A Host that is started with further words.
pub(crate) fn host_of(market: &Supermarket, name: &str, words: &[&str]) -> Running {
    let create = ["token", "create", "--kind", "shost", "--element", "se-1"];
    let token = market.cli(&create).ok().text();
    let door = market.role_address("se-1", "door");
    let more = [&["--element", &door], words].concat();
    let host = role(market, ["host", "storage"], name, &token, &more);
    market.wait_resource(name, "connected", |row| row["connected"] == true);
    host
}

/// Three Hosts, so that one of them may be away.
pub(crate) fn three_hosts(market: &Supermarket) -> [Running; 3] {
    [1, 2, 3].map(|at| host(market, &format!("shost-{at}"), &format!("rack=r{at}")))
}

/// The words with which the Element is started again, where it was.
pub(crate) fn element_again(market: &Supermarket, door: &str, faults: &str) -> Command {
    let mut command = market.command_with_faults(&["element", "storage"], faults);
    command
        .args(["--name", "se-1", "--controller", &market.ready.nodes])
        .args(["--listen", door, "--advertise", "127.0.0.1"])
        .arg("--data-dir")
        .arg(market.folder().join("se-1"));
    command
}

/// Waits until the metadata are assured and all is well.
pub(crate) fn wait_well(market: &Supermarket) {
    market.wait_resource("se-1", "well", |row| {
        row["connected"] == true
            && row["serving_state"] == "production"
            && row["health_state"] == "ok"
    });
}

/// Makes the store of the Element anew; gives what it tells.
pub(crate) fn rebuilt(market: &Supermarket, door: &str) -> Value {
    let mut command = element_again(market, door, "");
    command.args(["--rebuild", "--json"]);
    let run = Running::start(command, None).wait().ok();
    serde_json::from_str(&run.text()).unwrap()
}

/// Loses the store of the Element.
pub(crate) fn lose(market: &Supermarket) {
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("se-1/metadata.sqlite{suffix}");
        // The last two are there only if it was killed.
        let _ = fs::remove_file(market.folder().join(file));
    }
}

#[test]
fn an_element_that_lost_its_metadata_makes_them_anew_from_its_hosts() {
    let market = Supermarket::builder().hosts(1).start();
    let element = element(&market);
    let hosts = three_hosts(&market);
    wait_well(&market);
    let door = market.role_address("se-1", "door");
    element.signal(Signal::SIGTERM);
    element.wait().ok();
    lose(&market);
    let refused = Running::start(element_again(&market, &door, ""), None).wait();
    refused.exits(1).says("gridmart element storage --rebuild");
    let report = rebuilt(&market, &door);
    assert_eq!(report["whole"], true, "{report}");
    assert!(report["records"].as_u64() > Some(0), "{report}");
    assert!(report["answered"].as_u64() >= Some(2), "{report}");
    let again = Running::start(element_again(&market, &door, ""), None);
    wait_well(&market);
    for role in hosts.into_iter().chain([again]) {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}

#[test]
fn storage_hosts_join_their_element_and_bring_their_room() {
    let market = Supermarket::builder().hosts(1).start();
    let element = element(&market);
    let first = host(&market, "shost-1", "rack=r1");
    let one = market.wait_resource("se-1", "with room", |row| {
        row["serving_state"] == "production" && row["total_bytes"].as_u64() > Some(0)
    });
    let second = host(&market, "shost-2", "rack=r2");
    let labels = market.cli(&["show", "shost-2", "--xml"]).ok().text();
    assert!(
        labels.contains("<FailureLabel>rack=r2</FailureLabel>"),
        "{labels}"
    );
    // Two Hosts keep two copies of everything: as much room as one had.
    let total = one["total_bytes"].as_u64().unwrap();
    market.wait_resource("se-1", "keeping two copies", |row| {
        let now = row["total_bytes"].as_u64().unwrap_or(0);
        now.abs_diff(total) < total / 10 && row["health_state"] == "ok"
    });

    market.cli(&["stop", "shost-1"]).ok();
    market.wait_resource("shost-1", "closed", |row| {
        row["serving_state"] == "closed" && row["pending"] == false
    });
    market.cli(&["start", "shost-1"]).ok();
    market.wait_resource("shost-1", "in production", |row| {
        row["serving_state"] == "production" && row["pending"] == false
    });

    second.signal(Signal::SIGKILL);
    let _ = second.wait();
    market.wait_resource("shost-2", "away", |row| row["connected"] == false);
    for role in [first, element] {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}
