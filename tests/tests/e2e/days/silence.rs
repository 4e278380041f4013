//! Hosts that say nothing: stopped, too busy, started anew.

use gridmart_tests::{Application, LONG, Supermarket, wait_for};

use super::{still_runs, wait_connected, wait_logged, wait_runs_on, wait_served};
use crate::nap::Nap;

/// What the Element logs when a probe was not answered.
const DOWN: &str = "does not answer a probe";

#[test]
fn a_call_on_a_host_that_is_stopped_fails_and_its_work_is_ended() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "sleep \"$1\"; echo late"));
    market.upload(&Application::script("echo", "cat"));
    let call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    market.freeze("host-1");
    let run = call.wait().exits(5);
    assert_eq!(run.problem_code(), "host-down", "{}", run.stderr);
    assert!(run.stdout.is_empty(), "{}", run.text());
    wait_logged(&market, "ce-1", 0, DOWN);
    // Only the Host is stopped: what runs there goes on, and nobody waits for it.
    assert!(nap.runs());
    market.thaw("host-1");
    nap.wait_gone();
    wait_connected(&market, "host-1");
    wait_served(&market);
    market.stop();
}

#[test]
fn a_call_that_may_be_made_twice_is_made_elsewhere_and_counts_once() {
    let market = Supermarket::builder().hosts(2).slots(Some(1)).start();
    // Made for so long that it is overdue, and ends while its Host is stopped.
    let script = "sleep 12; echo made; echo \"$1\" >&2";
    market.upload(&Application::script("again", script).retryable(3));
    let call = market.cli_start(&["call", "again", "--json", "--", "once"]);
    let first = wait_runs_on(&market, "again");
    market.freeze(&first);
    let run = call.wait().ok();
    let value: serde_json::Value = run.json();
    assert_eq!(value["stdout"], "made\n");
    wait_logged(&market, "ce-1", 0, DOWN);
    let log = market.log("host-1") + &market.log("host-2");
    assert_eq!(
        log.matches("a lease begins").count(),
        2,
        "on both Hosts: {log}"
    );
    market.thaw(&first);
    // What it has made meanwhile comes too late: the call has ended, once.
    market.upload(&Application::script("echo", "cat"));
    let other = if first == "host-1" {
        "host-2"
    } else {
        "host-1"
    };
    market.cli(&["stop", other]).ok();
    wait_served(&market);
    let ends = wait_for(LONG, "both attempts were reported", || {
        let shown: serde_json::Value = market.cli(&["show", "again", "--json"]).ok().json();
        let records = shown["calls"]["items"].as_array().into_iter().flatten();
        let ends: Vec<String> = records
            .filter(|record| record["call"] == value["call"])
            .map(|record| record["end"].to_string())
            .collect();
        (ends.len() == 2)
            .then_some(ends)
            .ok_or_else(|| shown.to_string())
    });
    let finished = ends.iter().filter(|end| end.contains("Finished"));
    assert_eq!(finished.count(), 1, "{ends:?}");
    market.stop();
}

#[test]
fn a_host_that_is_busy_is_not_taken_for_dead() {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    // Says nothing for longer than a call may take without being asked about,
    // and leaves no CPU idle.
    let script = "end=$(($(date +%s) + 14)); for n in 1 2 3 4; do \
        (while [ $(date +%s) -lt $end ]; do n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; done) & \
        done; wait; echo done";
    market.upload(&Application::script("busy", script));
    let calls = [(); 2].map(|()| market.cli_start(&["call", "busy"]));
    for call in calls {
        assert_eq!(call.wait().ok().text(), "done");
    }
    let log = market.log("ce-1");
    assert!(!log.contains(DOWN), "{log}");
    market.stop();
}

#[test]
fn a_host_that_starts_anew_under_a_call_is_told_by_its_incarnation() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let mut call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    still_runs(&mut call);
    market.kill9("host-1");
    market.restart("host-1");
    let run = call.wait().exits(5);
    assert_eq!(run.problem_code(), "host-restarted", "{}", run.stderr);
    nap.wait_gone();
    market.stop();
}
