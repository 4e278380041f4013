//! `start`, `stop`, `kill`: of a Host, an Element, an application, a call, a
//! map; twice; and of what is away.

use gridmart_tests::{Application, LONG, SHORT, Supermarket, processes, wait_for};
use nix::sys::signal::Signal;

use crate::nap::Nap;

fn market() -> Supermarket {
    let market = Supermarket::builder().hosts(2).slots(Some(2)).start();
    market.upload(&Application::script("echo", "cat"));
    market.upload(&Application::script(
        "wait",
        "echo started; exec sleep \"$1\"",
    ));
    market
}

fn serving(row: &serde_json::Value, state: &str) -> bool {
    row["serving_state"] == state && row["pending"] == false
}

#[test]
fn stop_and_start_of_a_host_each_twice() {
    let market = market();
    for _ in 0..2 {
        market.cli(&["stop", "host-1"]).ok();
    }
    market.wait_resource("host-1", "closed", |row| serving(row, "closed"));
    let run = market.cli_with(&["call", "echo"], "on the other").ok();
    assert_eq!(run.text(), "on the other");
    for _ in 0..2 {
        market.cli(&["start", "host-1"]).ok();
    }
    market.wait_resource("host-1", "open", |row| serving(row, "production"));
    market.stop();
}

#[test]
fn a_stopped_host_lets_its_calls_end_and_a_killed_one_does_not() {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    market.cli(&["stop", "host-1"]).ok();
    market.wait_resource("host-1", "draining", |row| {
        row["serving_state"] == "draining"
    });
    let refused = market.cli(&["call", "wait", "--json", "--", "1"]).exits(3);
    assert!(
        ["not-accepting", "need-unmet"].contains(&refused.problem_code().as_str()),
        "{}",
        refused.stderr
    );
    assert!(nap.runs(), "what runs may end");
    for _ in 0..2 {
        market.cli(&["kill", "host-1"]).ok();
    }
    nap.wait_gone();
    let run = call.wait();
    assert_ne!(run.code, 0);
    market.wait_resource("host-1", "closed", |row| serving(row, "closed"));
    market.cli(&["start", "host-1"]).ok();
    market.wait_resource("host-1", "open", |row| serving(row, "production"));
    market.cli(&["call", "wait", "--", "0"]).ok();
    market.stop();
}

#[test]
fn stop_start_and_kill_of_an_element_each_twice() {
    let market = market();
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    for _ in 0..2 {
        market.cli(&["stop", "ce-1"]).ok();
    }
    market.wait_resource("ce-1", "draining", |row| row["serving_state"] == "draining");
    let refused = market.cli(&["call", "echo", "--json"]).exits(3);
    assert!(
        ["not-accepting", "need-unmet"].contains(&refused.problem_code().as_str()),
        "{}",
        refused.stderr
    );
    for _ in 0..2 {
        market.cli(&["kill", "ce-1"]).ok();
    }
    nap.wait_gone();
    assert_ne!(call.wait().code, 0);
    market.wait_resource("ce-1", "closed", |row| serving(row, "closed"));
    for _ in 0..2 {
        market.cli(&["start", "ce-1"]).ok();
    }
    market.wait_resource("ce-1", "open", |row| serving(row, "production"));
    market.cli_with(&["call", "echo"], "x").ok();
    market.stop();
}

#[test]
fn stop_start_and_kill_of_an_application_each_twice() {
    let market = market();
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    for _ in 0..2 {
        market.cli(&["stop", "wait"]).ok();
    }
    let refused = market.cli(&["call", "wait", "--json", "--", "1"]).exits(3);
    assert!(
        ["not-accepting", "need-unmet"].contains(&refused.problem_code().as_str()),
        "{}",
        refused.stderr
    );
    assert!(nap.runs(), "what runs may end");
    market.cli_with(&["call", "echo"], "others are served").ok();
    for _ in 0..2 {
        market.cli(&["kill", "wait"]).ok();
    }
    nap.wait_gone();
    assert_ne!(call.wait().code, 0);
    for _ in 0..2 {
        market.cli(&["start", "wait"]).ok();
    }
    wait_for(LONG, "it is served again", || {
        let run = market.cli(&["call", "wait", "--", "0"]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    market.stop();
}

#[test]
fn an_application_is_stopped_on_one_host_only() {
    let market = market();
    market.cli(&["stop", "echo", "--host", "host-1"]).ok();
    for _ in 0..3 {
        market.cli_with(&["call", "echo"], "x").ok();
    }
    let id = market.role_node("host-2");
    wait_for(LONG, "all calls ran on host-2", || {
        let shown: serde_json::Value = market.cli(&["show", "echo", "--json"]).ok().json();
        let calls = shown["calls"]["items"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let good = calls.len() == 3 && calls.iter().all(|call| call["host"] == id.as_str());
        if good {
            Ok(())
        } else {
            Err(shown["calls"].to_string())
        }
    });
    market.cli(&["start", "echo", "--host", "host-1"]).ok();
    market.stop();
}

/// Kills a call or a map twice: the second time nothing is left to end, and
/// the answer is the same but for that.
#[track_caller]
fn kill_twice(market: &Supermarket, id: &str) {
    let first: serde_json::Value = market.cli(&["kill", id, "--json"]).ok().json();
    let mut second: serde_json::Value = market.cli(&["kill", id, "--json"]).ok().json();
    assert_eq!(first["target"], id, "{first}");
    assert_eq!(first["status"], "applied", "{first}");
    assert!(first["ended"].as_u64().unwrap() > 0, "{first}");
    assert_eq!(second["ended"], 0, "{second}");
    second["ended"] = first["ended"].clone();
    assert_eq!(first, second);
}

#[test]
fn kill_of_one_call_twice() {
    let market = market();
    let naps = [Nap::new(), Nap::new()];
    let calls = naps
        .each_ref()
        .map(|nap| market.cli_start(&["call", "wait", "--", &nap.seconds]));
    naps.iter().for_each(Nap::wait_runs);
    let ids = wait_for(LONG, "both calls are shown", || {
        let shown: serde_json::Value = market.cli(&["show", "wait", "--json"]).ok().json();
        let activities = shown["activities"]["activities"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let ids: Vec<String> = activities
            .iter()
            .filter_map(|one| Some(one["id"].as_str()?.to_owned()))
            .collect();
        if ids.len() == 2 {
            Ok(ids)
        } else {
            Err(shown.to_string())
        }
    });
    kill_twice(&market, &ids[0]);
    let running = || naps.iter().filter(|nap| nap.runs()).count();
    wait_for(LONG, "one of the two is gone", || {
        if running() < 2 {
            Ok(())
        } else {
            Err("both run".into())
        }
    });
    wait_for(LONG, "it is recorded as ended", || {
        let shown: serde_json::Value = market.cli(&["show", "wait", "--json"]).ok().json();
        let ended = shown["calls"]["items"]
            .as_array()
            .is_some_and(|calls| calls.len() == 1);
        ended.then_some(()).ok_or_else(|| shown.to_string())
    });
    let shown: serde_json::Value = market.cli(&["show", "wait", "--json"]).ok().json();
    let record = &shown["calls"]["items"][0];
    assert_eq!(record["call"], ids[0].as_str(), "{record}");
    assert_eq!(record["end"]["state"], "Terminated", "{record}");
    // Known by its record alone, it is killed once more: still the same answer.
    let third: serde_json::Value = market.cli(&["kill", &ids[0], "--json"]).ok().json();
    assert_eq!(
        (&third["status"], &third["ended"]),
        (&"applied".into(), &0.into()),
        "{third}"
    );
    assert_eq!(running(), 1, "the other runs on");
    let nobody = market
        .cli(&["kill", "00000000-0000-7000-8000-000000000000", "--json"])
        .exits(4);
    assert_eq!(nobody.problem_code(), "not-found");
    drop(calls);
    market.stop();
}

#[test]
fn kill_of_one_map_twice() {
    let market = market();
    let nap = Nap::new();
    market.upload(
        &Application::script("part", &format!("read n; exec sleep {}", nap.seconds))
            .split("cat")
            .merge("cat"),
    );
    let input = market.scratch().join("parts.txt");
    std::fs::write(&input, "1\n2\n3\n4\n5\n6\n7\n8\n").unwrap();
    let map = market.cli_start(&["map", "part", "--input", &input.to_string_lossy()]);
    nap.wait_runs();
    let job = wait_for(LONG, "the map is shown", || {
        let shown: serde_json::Value = market.cli(&["show", "part", "--json"]).ok().json();
        shown["activities"]["activities"][0]["job"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| shown.to_string())
    });
    kill_twice(&market, &job);
    nap.wait_gone();
    map.wait().exits(1).says("terminated");
    market.cli_with(&["call", "echo"], "others go on").ok();
    market.stop();
}

#[test]
fn a_command_for_a_host_that_is_away_is_pending_and_then_applied() {
    let market = market();
    market.kill9("host-1");
    market.wait_resource("host-1", "away", |row| row["connected"] == false);
    let view: serde_json::Value = market.cli(&["stop", "host-1", "--json"]).ok().json();
    assert_eq!(view["status"], "pending", "{view}");
    assert_eq!(market.resource("host-1").unwrap()["pending"], true);
    market.restart("host-1");
    market.wait_resource("host-1", "closed", |row| {
        row["connected"] == true && serving(row, "closed")
    });
    market.cli(&["start", "host-1"]).ok();
    market.wait_resource("host-1", "open", |row| serving(row, "production"));
    market.stop();
}

#[test]
fn a_kill_given_while_the_element_was_away_ends_the_old_work_after_a_later_start() {
    let market = market();
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    // The Host runs on, cut off from the commands: its Element is away.
    market.kill9("ce-1");
    market.wait_resource("ce-1", "away", |row| row["connected"] == false);
    for host in ["host-1", "host-2"] {
        let view: serde_json::Value = market.cli(&["kill", host, "--json"]).ok().json();
        assert_eq!(view["status"], "pending", "{view}");
        market.cli(&["start", host]).ok();
    }
    assert!(nap.runs(), "nobody could tell the Host yet");
    market.restart("ce-1");
    nap.wait_gone();
    assert_ne!(call.wait().code, 0);
    for host in ["host-1", "host-2"] {
        market.wait_resource(host, "open", |row| {
            row["connected"] == true && serving(row, "production")
        });
    }
    wait_for(SHORT, "new calls are served", || {
        let run = market.cli_with(&["call", "echo"], "new");
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    market.stop();
}

#[test]
fn a_kill_given_while_the_host_was_away_ends_the_old_work_after_a_later_start() {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    let host = market.role_pid("host-1");
    // Frozen, it is away for everybody, and what it runs goes on.
    processes::signal(host, Signal::SIGSTOP);
    market.wait_resource("host-1", "away", |row| row["connected"] == false);
    let view: serde_json::Value = market.cli(&["kill", "host-1", "--json"]).ok().json();
    assert_eq!(view["status"], "pending", "{view}");
    let view: serde_json::Value = market.cli(&["start", "host-1", "--json"]).ok().json();
    assert_eq!(view["status"], "pending", "{view}");
    assert!(nap.runs(), "nobody could tell the Host yet");
    processes::signal(host, Signal::SIGCONT);
    nap.wait_gone();
    assert_ne!(call.wait().code, 0);
    market.wait_resource("host-1", "open", |row| {
        row["connected"] == true && serving(row, "production")
    });
    market.cli(&["call", "wait", "--", "0"]).ok();
    market.stop();
}
