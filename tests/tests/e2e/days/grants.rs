//! Elements that start anew: no slot that a Host still holds is granted again.

use std::time::Duration;

use gridmart_schemas::scalar::Seconds;
use gridmart_tests::{Application, Change, LONG, Supermarket, proxy::Proxy, wait_for};
use nix::sys::signal::Signal;

use super::{still_runs, wait_connected, wait_logged, wait_served};
use crate::{nap::Nap, relay::runtime, tickets::Caller};

/// How long a caller or a Host that is away is waited for, in these tests.
const GRACE: Duration = Duration::from_secs(4);

/// A supermarket with one slot, and applications for it.
fn one_slot() -> Supermarket {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    market.edit_element_document(|document| {
        document.configuration.reattach_grace = Seconds::from_duration(GRACE);
    });
    wait_connected(&market, "host-1");
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    market.upload(&Application::script("echo", "cat"));
    wait_served(&market);
    market
}

/// Demands that, on the Host, a lease on `first` was over before one on `then`
/// began.
#[track_caller]
fn demand_one_after_the_other(market: &Supermarket, from: usize, first: &str, then: &str) {
    let log = market.log("host-1");
    let news = &log[from..];
    let at = |text: &str| {
        news.find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {news}"))
    };
    let begun = |application: &str| {
        let line = format!("application=\"{application}\"");
        at(&line)
    };
    let first_line = news[..begun(first)].rfind("lease.id=").unwrap();
    let id = &news[first_line..][..news[first_line..].find(' ').unwrap()];
    let over = news.match_indices(id).nth(1);
    let (over, _) = over.unwrap_or_else(|| panic!("the lease {id} is not over: {news}"));
    assert!(over < begun(then), "{news}");
}

#[test]
fn a_restarted_element_waits_for_what_runs() {
    let market = one_slot();
    let nap = Nap::new();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    // Right after the grant; and again, when it is known from the Host.
    for _ in 0..2 {
        let from = market.log("ce-1").len();
        market.kill9("ce-1");
        market.restart("ce-1");
        wait_logged(&market, "ce-1", from, "a Host has come");
        wait_connected(&market, "host-1");
        let mut next = market.cli_start(&["call", "echo"]);
        wait_waiting(&market);
        assert!(nap.runs());
        still_runs(&mut next);
    }
    call.signal(Signal::SIGINT);
    call.wait().exits(130);
    nap.wait_gone();
    wait_served(&market);
    market.stop();
}

/// Waits until a call waits in the queue.
#[track_caller]
fn wait_waiting(market: &Supermarket) {
    wait_for(LONG, "a call waits", || {
        let text = market.cli(&["show", "echo", "--json"]).ok().text();
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        let activities = shown["activities"]["activities"].as_array();
        let waits = activities.into_iter().flatten().any(|activity| {
            activity["state"]
                .as_str()
                .is_some_and(|state| state.starts_with("Pending"))
        });
        waits.then_some(()).ok_or(text)
    });
}

#[test]
fn a_host_that_comes_back_later_than_the_grace_is_waited_for() {
    let market = one_slot();
    let proxy = Proxy::before(&market.ready.element);
    market.replace("host-1", &Change::none().parent_behind(&proxy));
    wait_connected(&market, "host-1");
    wait_served(&market);
    let runtime = runtime();
    let caller = Caller::new(&market);
    let access = runtime.block_on(caller.access(&market, "echo"));
    let nap = Nap::new();
    let from = market.log("host-1").len();
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    // The caller is stopped, too: nobody but the Host tells of the lease.
    call.signal(Signal::SIGSTOP);
    proxy.down();
    let log = market.log("ce-1").len();
    market.kill9("ce-1");
    market.restart("ce-1");
    wait_logged(&market, "ce-1", log, "a lease has ended");
    assert!(nap.runs(), "the Host does not know of that yet");
    runtime.block_on(async {
        // In the queue before the Host is back, which has grown tired of dialling.
        let enter = caller.enter(&access, &access.ticket);
        let (entered, ()) = tokio::join!(enter, async { proxy.up() });
        let (lease, _stream) = entered.unwrap();
        caller
            .attach(&lease.endpoints, lease.host, &lease.ticket)
            .await
            .unwrap();
    });
    demand_one_after_the_other(&market, from, "wait", "echo");
    nap.wait_gone();
    drop(call);
    market.stop();
}

#[test]
fn a_grant_that_only_its_caller_knows_outlives_the_element() {
    let market = one_slot();
    let from = market.log("host-1").len();
    runtime().block_on(async {
        let caller = Caller::new(&market);
        let access = caller.access(&market, "wait").await;
        let (lease, _stream) = caller.enter(&access, &access.ticket).await.unwrap();
        market.kill9("ce-1");
        market.restart("ce-1");
        wait_connected(&market, "host-1");
        let mut next = market.cli_start(&["call", "echo"]);
        wait_waiting(&market);
        // The Host hears of the lease only now.
        caller
            .attach(&lease.endpoints, lease.host, &lease.ticket)
            .await
            .unwrap();
        still_runs(&mut next);
        // Its caller went away for good; only then the slot is free.
        next.wait().ok();
    });
    demand_one_after_the_other(&market, from, "wait", "echo");
    market.stop();
}
