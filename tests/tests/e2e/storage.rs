//! Storage as real processes: an Element and its Hosts.

use gridmart_tests::{Running, Supermarket};
use nix::sys::signal::Signal;

use crate::role;

fn element(market: &Supermarket) -> Running {
    let create = ["token", "create", "--kind", "se", "--domain", "lab"];
    let token = market.cli(&create).ok().text();
    let more = ["--controller", &market.ready.nodes];
    let element = role(market, ["element", "storage"], "se-1", &token, &more);
    market.wait_resource("se-1", "connected", |row| row["connected"] == true);
    element
}

fn host(market: &Supermarket, name: &str, rack: &str) -> Running {
    let create = ["token", "create", "--kind", "shost", "--element", "se-1"];
    let token = market.cli(&create).ok().text();
    let door = market.role_address("se-1", "door");
    let more = ["--element", &door, "--failure-label", rack];
    let host = role(market, ["host", "storage"], name, &token, &more);
    market.wait_resource(name, "connected", |row| row["connected"] == true);
    host
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
