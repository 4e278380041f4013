//! Bad days of nodes, networks and clocks: Hosts that are silent, streams that
//! hang, nodes that are cut off, clocks that are wrong, binaries that are
//! replaced, all of it while calls run.
//!
//! What is asserted is the order of events; deadlines are generous.

mod clocks;
mod cut_off;
mod grants;
mod silence;
mod streams;
mod versions;

use gridmart_tests::{LONG, Running, Supermarket, wait_for};

use crate::wait_served;

/// Waits until a role has logged something since `from`, a length of its log.
#[track_caller]
fn wait_logged(market: &Supermarket, role: &str, from: usize, text: &str) {
    wait_for(LONG, &format!("{role} has logged {text:?}"), || {
        let log = market.log(role);
        let news = log.get(from..).unwrap_or_default();
        news.contains(text)
            .then_some(())
            .ok_or_else(|| news.to_owned())
    });
}

/// The Host on which calls of an application run now.
#[track_caller]
fn wait_runs_on(market: &Supermarket, application: &str) -> String {
    wait_for(LONG, "it runs somewhere", || {
        let shown: serde_json::Value = market.cli(&["show", application, "--json"]).ok().json();
        let activities = shown["activities"]["activities"].as_array();
        let running = activities
            .into_iter()
            .flatten()
            .find(|activity| activity["state"] == "Running:Executing");
        let node = running.and_then(|activity| activity["host"].as_str());
        let mut hosts = market.ready.hosts.iter();
        hosts
            .find(|host| node == Some(market.role_node(host).as_str()))
            .cloned()
            .ok_or_else(|| shown["activities"].to_string())
    })
}

#[track_caller]
fn wait_connected(market: &Supermarket, name: &str) {
    market.wait_resource(name, "connected", |row| row["connected"] == true);
}

/// Demands that a call in the background has not ended.
#[track_caller]
fn still_runs(call: &mut Running) {
    assert!(!call.has_ended(), "the call has ended");
}
