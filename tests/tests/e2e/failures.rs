//! Roles that die: what runs on Hosts ends and is told, new calls wait or
//! fail clearly, everything is found again.

use std::time::Duration;

use gridmart_tests::{Application, LONG, Supermarket, processes, wait_for};

use crate::{nap::Nap, wait_served};

/// A task that ends when it is told to, by its stdin.
fn gate() -> Application {
    Application::script("gate", "echo open; cat >/dev/null; echo closed")
}

/// Tells whether calls of the application run on that Host now.
fn runs_on(market: &Supermarket, application: &str, host: &str) -> Result<(), String> {
    let shown: serde_json::Value = market.cli(&["show", application, "--json"]).ok().json();
    let node = market.role_node(host);
    let activities = shown["activities"]["activities"].as_array();
    let here = activities.into_iter().flatten().any(|activity| {
        activity["host"] == node.as_str() && activity["state"] == "Running:Executing"
    });
    here.then_some(())
        .ok_or_else(|| shown["activities"].to_string())
}

#[test]
fn a_map_survives_the_death_of_a_host_unchanged() {
    let market = Supermarket::builder().hosts(3).slots(Some(2)).start();
    let script = "read n; sleep 2; head -c 2000 /dev/zero | tr '\\0' x; echo $n";
    market.upload(
        &Application::script("steady", script)
            .split("cat")
            .merge("cat")
            .retryable(4),
    );
    let input = market.scratch().join("numbers.txt");
    let numbers: String = (0..42).map(|n| format!("{n}\n")).collect();
    std::fs::write(&input, numbers).unwrap();
    let report = market.scratch().join("report.json");
    let map = market.cli_start(&[
        "map",
        "steady",
        "--input",
        &input.to_string_lossy(),
        "--report",
        &report.to_string_lossy(),
    ]);
    wait_for(LONG, "host-2 works on parts", || {
        runs_on(&market, "steady", "host-2")
    });
    market.kill9("host-2");
    let run = map.wait().ok();
    let wanted: String = (0..42)
        .map(|n| format!("{}{n}\n", "x".repeat(2000)))
        .collect();
    assert!(
        String::from_utf8(run.stdout).unwrap() == wanted,
        "the result differs; {}",
        run.stderr
    );
    assert!(
        run.stderr.contains("host-1") && run.stderr.contains("host-3"),
        "{}",
        run.stderr
    );
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert!(
        report["attempts"].as_u64() > Some(42),
        "no attempt was lost: {report}"
    );
    market.stop();
}

#[test]
fn a_call_on_a_host_that_dies_fails_clearly_or_is_made_again() {
    let market = Supermarket::builder().hosts(1).start();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    market.kill9("host-1");
    let run = call.wait().exits(5);
    assert!(
        ["host-down", "host-restarted"].contains(&run.problem_code().as_str()),
        "{}",
        run.stderr
    );
    // The sandbox dies with its Host.
    nap.wait_gone();
    market.restart("host-1");
    market.upload(&Application::script("echo", "cat"));
    wait_served(&market);
    market.stop();
}

#[test]
fn a_retryable_call_is_made_again_elsewhere() {
    let market = Supermarket::builder().hosts(2).slots(Some(1)).start();
    market.upload(&Application::script("again", "sleep 15; echo made").retryable(3));
    let call = market.cli_start(&["call", "again"]);
    let host = wait_for(LONG, "it runs somewhere", || {
        let found = ["host-1", "host-2"].map(|host| (host, runs_on(&market, "again", host)));
        match found {
            [(host, Ok(())), _] | [_, (host, Ok(()))] => Ok(host),
            [(_, Err(text)), _] => Err(text),
        }
    });
    market.kill9(host);
    assert_eq!(call.wait().ok().text(), "made");
    market.stop();
}

/// Kills these roles while a call runs, lets the call end meanwhile, and
/// starts the roles again.
fn roles_die_while_a_call_runs(roles: &[&str]) {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    market.upload(&gate());
    market.upload(&Application::script("echo", "cat"));
    market.cli_with(&["call", "echo"], "warm").ok();
    let mut command = market.command(&["call", "gate", "--json", "--input", "-"]);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut call = processes::spawn(command).unwrap();
    wait_for(LONG, "the call runs", || {
        let text = market.cli(&["show", "gate", "--json"]).ok().text();
        if text.contains("Executing") {
            Ok(())
        } else {
            Err(text)
        }
    });
    for role in roles {
        market.kill9(role);
    }
    let refused = market.cli(&["call", "echo", "--json"]);
    if roles.contains(&"control") {
        assert_eq!(refused.code, 5, "{}", refused.stderr);
    } else {
        assert_ne!(
            refused.code, 1,
            "a clear failure or success: {}",
            refused.stderr
        );
    }
    // What runs on the Host goes on to its end.
    drop(call.stdin.take());
    let output = call.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["stdout"], "open\nclosed\n");
    let id = value["call"].as_str().unwrap();
    for role in roles.iter().rev() {
        market.restart(role);
    }
    wait_served(&market);
    wait_for(LONG, "the call was reported", || {
        let text = market.cli(&["show", "gate", "--json"]).ok().text();
        if text.contains(id) { Ok(()) } else { Err(text) }
    });
    market.wait_resource("host-1", "connected", |row| row["connected"] == true);
    market.stop();
}

#[test]
fn the_element_dies_while_a_call_runs() {
    roles_die_while_a_call_runs(&["ce-1"]);
}

#[test]
fn the_controller_dies_while_a_call_runs() {
    roles_die_while_a_call_runs(&["control"]);
}

#[test]
fn element_and_controller_die_while_a_call_runs() {
    roles_die_while_a_call_runs(&["ce-1", "control"]);
}

#[test]
fn a_call_right_after_a_start_waits_for_who_is_on_the_way_back() {
    let market = Supermarket::builder().hosts(1).start();
    market.upload(&Application::script("echo", "cat"));
    market.cli_with(&["call", "echo"], "before").ok();
    for role in ["control", "ce-1"] {
        market.kill9(role);
        market.restart(role);
        let run = market.cli_with(&["call", "echo"], role).ok();
        assert_eq!(run.text(), role);
    }
    market.cli(&["stop", "ce-1"]).ok();
    let refused = market.cli_with(&["call", "echo", "--json"], "x").exits(3);
    assert_eq!(refused.problem_code(), "not-accepting");
    market.stop();
}

#[test]
fn a_client_that_is_killed_leaves_nothing_running() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    market.upload(&Application::script("echo", "cat"));
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    drop(call);
    let began = std::time::Instant::now();
    // The grace to attach again is over before the only slot is free.
    nap.wait_gone();
    assert!(
        began.elapsed() < Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
    wait_served(&market);
    market.stop();
}
