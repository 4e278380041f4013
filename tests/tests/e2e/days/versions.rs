//! Programs that are replaced by newer ones while calls run: announced under
//! another version, with messages and fields that the others do not know.

use std::{fs, path::PathBuf};

use gridmart_tests::{Application, Change, LONG, Running, Supermarket, gridmart, wait_for};

use super::{still_runs, wait_connected, wait_logged, wait_runs_on, wait_served};

/// Makes a role speak as one of a newer version.
const SPEAK_NEWER: &str = "GRIDMART_SPEAK_NEWER";
/// What such a role says of itself.
const SPOKEN: &str = "speaks as a newer version would";
const TICKS: u32 = 30;
const PARTS: u32 = 40;

/// The program under another path, as an upgrade puts it there.
fn next_program(market: &Supermarket) -> PathBuf {
    let path = market.scratch().join("gridmart-next");
    let program = gridmart();
    fs::hard_link(&program, &path)
        .or_else(|_| fs::copy(&program, &path).map(drop))
        .unwrap();
    path
}

fn newer(market: &Supermarket) -> Change {
    Change::none()
        .program(&next_program(market))
        .variable(SPEAK_NEWER, "1")
}

/// A call and a map that run on.
struct Load {
    call: Running,
    map: Running,
}

impl Load {
    fn start(market: &Supermarket) -> Self {
        let ticker = "n=0; while [ $n -lt \"$1\" ]; do echo $n; n=$((n+1)); sleep 0.5; done";
        market.upload(&Application::script("ticker", ticker));
        let script = "read n; sleep 1; echo $((n * n))";
        market.upload(
            &Application::script("squares", script)
                .split("cat")
                .merge("cat"),
        );
        market.upload(&Application::script("echo", "cat"));
        let input = market.scratch().join("numbers.txt");
        let numbers: String = (0..PARTS).map(|n| format!("{n}\n")).collect();
        fs::write(&input, numbers).unwrap();
        let call = market.cli_start(&["call", "ticker", "--", &TICKS.to_string()]);
        let map = market.cli_start(&["map", "squares", "--input", &input.to_string_lossy()]);
        for application in ["ticker", "squares"] {
            wait_runs_on(market, application);
        }
        Self { call, map }
    }

    /// Demands that nothing was lost, and nothing came twice.
    #[track_caller]
    fn demand_whole(self) {
        let wanted: String = (0..TICKS).map(|n| format!("{n}\n")).collect();
        assert_eq!(self.call.wait().ok().text(), wanted.trim_end());
        let wanted: String = (0..PARTS).map(|n| format!("{}\n", n * n)).collect();
        assert_eq!(self.map.wait().ok().text(), wanted.trim_end());
    }
}

/// Replaces a role by a newer one while a call and a map run.
fn is_replaced_while_calls_run(role: &str) {
    let market = Supermarket::builder().hosts(2).slots(Some(2)).start();
    let mut load = Load::start(&market);
    market.replace(role, &newer(&market));
    wait_logged(&market, role, 0, SPOKEN);
    still_runs(&mut load.call);
    still_runs(&mut load.map);
    for name in ["ce-1", "host-1", "host-2"] {
        wait_connected(&market, name);
    }
    // New wishes go down, states come up, calls are made, and records told.
    market.upload(&Application::script("late", "echo late"));
    wait_served(&market);
    assert_eq!(market.cli(&["call", "late"]).ok().text(), "late");
    market.cli(&["stop", "late"]).ok();
    market.cli(&["call", "late"]).exits(3);
    load.demand_whole();
    wait_for(LONG, "the calls were reported", || {
        let shown: serde_json::Value = market.cli(&["show", "ticker", "--json"]).ok().json();
        let text = shown.to_string();
        text.contains("Finished")
            .then_some(())
            .ok_or_else(|| text.clone())
    });
    market.stop();
}

#[test]
fn the_controller_is_replaced_by_a_newer_one_while_calls_run() {
    is_replaced_while_calls_run("control");
}

#[test]
fn an_element_is_replaced_by_one_newer_than_its_hosts_while_calls_run() {
    is_replaced_while_calls_run("ce-1");
}

#[test]
fn a_host_newer_than_its_element_serves_it() {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    market.upload(&Application::script("echo", "cat"));
    market.replace("host-1", &newer(&market));
    wait_logged(&market, "host-1", 0, SPOKEN);
    wait_connected(&market, "host-1");
    wait_served(&market);
    market.cli(&["stop", "host-1"]).ok();
    market.wait_resource("host-1", "stopped", |row| row["serving_state"] == "closed");
    market.cli(&["start", "host-1"]).ok();
    wait_served(&market);
    market.stop();
}
