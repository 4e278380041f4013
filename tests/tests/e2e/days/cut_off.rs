//! Elements that are cut off from their controller: for an hour, or for good.

use std::{io::Write as _, process::Stdio};

use gridmart_schemas::problem::Code;
use gridmart_tests::{
    Application, Change, Clock, LONG, Supermarket, processes, proxy::Proxy, wait_for,
};

use super::{wait_connected, wait_logged, wait_served};
use crate::{
    relay::runtime,
    tickets::{Caller, refusal},
};

#[test]
fn an_element_that_is_cut_off_for_an_hour_serves_what_is_valid_and_catches_up() {
    let clock = Clock::right();
    let market = Supermarket::builder()
        .hosts(1)
        .slots(Some(3))
        .clock(&clock)
        .start();
    let proxy = Proxy::before(&market.ready.nodes);
    market.replace("ce-1", &Change::none().clock(&clock).parent_behind(&proxy));
    wait_connected(&market, "host-1");
    market.upload(&Application::script("echo", "cat"));
    let gate = "while read -r line; do echo \"$line\"; done; echo closed";
    market.upload(&Application::script("gate", gate));
    wait_served(&market);
    let mut command = market.command(&["call", "gate", "--json", "--input", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut call = processes::spawn(command).unwrap();
    super::wait_runs_on(&market, "gate");
    let runtime = runtime();
    let caller = Caller::new(&market);
    let access = runtime.block_on(caller.access(&market, "echo"));

    proxy.down();
    market.wait_resource("ce-1", "away", |row| row["connected"] == false);
    let entered = runtime.block_on(caller.enter(&access, &access.ticket));
    let refused = entered.err();
    assert!(refused.is_none(), "a valid ticket is served: {refused:?}");
    // What should be is changed meanwhile.
    market.upload(&Application::script("late", "echo late"));
    market.cli(&["stop", "echo"]).ok();

    clock.set(3600);
    let entered = runtime.block_on(caller.enter(&access, &access.ticket));
    assert_eq!(refusal(entered), Code::TicketExpired);
    let mut stdin = call.stdin.take().unwrap();
    stdin.write_all(b"an hour later\n").unwrap();
    drop(stdin);
    let output = call.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["stdout"], "an hour later\nclosed\n");

    proxy.up();
    wait_connected(&market, "ce-1");
    let id = value["call"].as_str().unwrap();
    wait_for(LONG, "the call was reported", || {
        let text = market.cli(&["show", "gate", "--json"]).ok().text();
        if text.contains(id) { Ok(()) } else { Err(text) }
    });
    wait_for(LONG, "what came meanwhile is served", || {
        let run = market.cli(&["call", "late"]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    let run = market.cli(&["call", "echo", "--json"]).exits(3);
    assert_eq!(run.problem_code(), "not-accepting", "{}", run.stderr);
    market.stop();
}

#[test]
fn a_revoked_element_that_is_cut_off_ends_with_its_certificate() {
    let market = Supermarket::builder()
        .hosts(1)
        .slots(Some(3))
        .certificate_lifetime("20s")
        .start();
    let proxy = Proxy::before(&market.ready.nodes);
    market.replace("ce-1", &Change::none().parent_behind(&proxy));
    wait_connected(&market, "host-1");
    market.upload(&Application::script("echo", "cat"));
    wait_served(&market);
    let runtime = runtime();
    let caller = Caller::new(&market);
    let access = runtime.block_on(caller.access(&market, "echo"));
    let from = ["control", "ce-1", "host-1"].map(|role| market.log(role).len());
    proxy.down();
    market.wait_resource("ce-1", "away", |row| row["connected"] == false);
    market.cli(&["nodes", "revoke", "ce-1"]).ok();
    let enter = || refusal_of(&runtime, &caller, &access);
    assert_eq!(enter(), None, "it does not know, and its ticket is good");
    wait_logged(
        &market,
        "ce-1",
        from[1],
        "the certificate cannot be renewed",
    );
    wait_for(LONG, "it serves nobody any more", || match enter() {
        Some(Code::CertificateRefused) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    wait_logged(&market, "host-1", from[2], "certificate-refused");
    proxy.up();
    wait_logged(&market, "control", from[0], "certificate-refused");
    assert!(
        market
            .resource("ce-1")
            .is_none_or(|row| row["connected"] == false)
    );
    market.stop();
}

/// Why a caller is not let in, if it is not.
fn refusal_of(
    runtime: &tokio::runtime::Runtime,
    caller: &Caller,
    access: &gridmart_schemas::api::access::ElementAccess,
) -> Option<Code> {
    let entered = runtime.block_on(caller.enter(access, &access.ticket));
    entered.err().map(|problem| problem.code)
}
