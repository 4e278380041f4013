//! Streams that hang, break or carry garbage, though both their ends live.

use std::time::Duration;

use gridmart_tests::{
    Application, Change, LONG, Supermarket,
    proxy::{Connection, Cut, Direction, Proxy, Way},
    wait_for,
};

use super::{still_runs, wait_connected, wait_logged, wait_served};
use crate::{
    nap::Nap,
    relay::{metrics, runtime},
};

/// A supermarket with one Host, which dials its Element through a proxy.
fn host_behind_a_proxy() -> (Supermarket, Proxy) {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    let proxy = Proxy::before(&market.ready.element);
    market.replace("host-1", &Change::none().parent_behind(&proxy));
    wait_for(LONG, "the Host's stream stands", || {
        (!proxy.connections().is_empty())
            .then_some(())
            .ok_or("no connection".to_owned())
    });
    wait_connected(&market, "host-1");
    (market, proxy)
}

/// A supermarket with one Host, which programs reach through a proxy.
fn calls_through_a_proxy() -> (Supermarket, Proxy) {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    let proxy = Proxy::before(&market.role_address("host-1", "door"));
    market.replace("host-1", &Change::none().advertised_at(&proxy));
    wait_connected(&market, "host-1");
    market.upload(&Application::script("echo", "cat"));
    wait_served(&market);
    assert!(proxy.accepted() > 0, "calls go through the proxy");
    (market, proxy)
}

/// Waits for a connection that came after so many.
#[track_caller]
fn wait_connection(proxy: &Proxy, before: u64) -> Connection {
    wait_for(LONG, "a connection stands", || {
        let newest = proxy.connections().pop();
        newest
            .filter(|newest| newest.number() > before)
            .ok_or_else(|| format!("of {}, none new", proxy.accepted()))
    })
}

#[test]
fn a_host_whose_control_stream_hangs_is_down_and_comes_back() {
    let (market, proxy) = host_behind_a_proxy();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    market.upload(&Application::script("echo", "cat"));
    let call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    // Neither side learns that the other hears nothing.
    proxy.ways(Way::good().silent());
    let run = call.wait().exits(5);
    assert_eq!(run.problem_code(), "host-down", "{}", run.stderr);
    wait_logged(&market, "ce-1", 0, "does not answer a probe");
    // The caller has gone, and nobody else wants it.
    nap.wait_gone();
    proxy.up();
    wait_served(&market);
    market.stop();
}

#[test]
fn a_control_stream_of_which_one_end_vanished_is_replaced() {
    let (market, proxy) = host_behind_a_proxy();
    market.upload(&Application::script("echo", "cat"));
    let ticker = "n=0; while [ $n -lt 60 ]; do echo $n; n=$((n+1)); sleep 0.5; done";
    market.upload(&Application::script("ticker", ticker));
    let mut call = market.cli_start(&["call", "ticker"]);
    super::wait_runs_on(&market, "ticker");
    // What the Element says is lost, its end of the stream with it.
    let before = proxy.accepted();
    proxy.way(Direction::Out, Way::good().silent());
    for connection in proxy.connections() {
        connection.inject(Direction::In, &b"garbage"[..]);
    }
    wait_logged(&market, "ce-1", 0, "a Host's stream is lost");
    still_runs(&mut call);
    wait_connection(&proxy, before);
    proxy.up();
    wait_served(&market);
    let wanted: String = (0..60).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(call.wait().ok().stdout).unwrap(), wanted);
    market.stop();
}

#[test]
fn a_calls_stream_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let (market, proxy) = calls_through_a_proxy();
    let script = "n=0; while [ $n -lt 120 ]; do head -c 50000 /dev/zero | tr '\\0' x; echo $n; n=$((n+1)); sleep 0.1; done";
    market.upload(&Application::script("lines", script));
    proxy.ways(Way::good().delay(Duration::from_millis(5)));
    let before = proxy.accepted();
    let call = market.cli_start(&["call", "lines"]);
    super::wait_runs_on(&market, "lines");
    let mut connection = wait_connection(&proxy, before);
    for fault in 0..6 {
        match fault % 3 {
            0 => connection.cut(Cut::Reset),
            1 => connection.cut(Cut::Fin),
            _ => {
                connection.inject(Direction::Out, &b"\x17\x03\x03\x00\x05garbage"[..]);
            }
        }
        connection = wait_connection(&proxy, connection.number());
    }
    let wanted: String = (0..120)
        .map(|n| format!("{}{n}\n", "x".repeat(50_000)))
        .collect();
    let run = call.wait().ok();
    assert!(
        run.stdout == wanted.as_bytes(),
        "{} bytes: {}",
        run.stdout.len(),
        run.stderr
    );
    market.stop();
}

#[test]
fn a_calls_stream_that_is_silent_for_a_while_goes_on() {
    let (market, proxy) = calls_through_a_proxy();
    market.upload(&Application::script(
        "tick",
        "n=0; while [ $n -lt 24 ]; do echo $n; n=$((n+1)); sleep 0.5; done",
    ));
    let mut call = market.cli_start(&["call", "tick"]);
    super::wait_runs_on(&market, "tick");
    proxy.ways(Way::good().silent());
    // The Element has asked the Host, which lives: the caller waits on.
    wait_for(LONG, "the Element has probed the Host", || {
        let metrics = runtime().block_on(metrics(&market));
        let probes = metrics
            .lines()
            .find_map(|line| line.strip_prefix("gridmart_ce_probes_total "));
        match probes {
            Some(count) if count != "0" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    still_runs(&mut call);
    proxy.up();
    let wanted: String = (0..24).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(call.wait().ok().stdout).unwrap(), wanted);
    market.stop();
}

#[test]
fn a_call_whose_stream_hangs_for_good_ends_on_both_sides() {
    let (market, proxy) = calls_through_a_proxy();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    proxy.ways(Way::good().silent());
    let run = call.wait().exits(5);
    assert_eq!(run.problem_code(), "host-down", "{}", run.stderr);
    nap.wait_gone();
    proxy.up();
    wait_served(&market);
    market.stop();
}
