//! Hosts that cannot be dialled: everything as on any other Host, one hop more.

use std::time::Duration;

use gridmart_fabric::{
    door::fetch,
    identity::IdentityCell,
    ticket::{LeaseClaims, Times},
    tls::{ClientTls, Revocations},
    tunnel::Tunnel,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::queue::Lease,
};
use gridmart_tests::{Application, LONG, Running, Supermarket, processes, wait_for};
use nix::sys::signal::Signal;
use time::OffsetDateTime;

use crate::{
    nap::Nap,
    tickets::{Caller, claims, identity, refusal},
};

/// Starts a Host that cannot be dialled, and waits until it has come.
fn relayed(market: &Supermarket, name: &str) -> Running {
    let token = market
        .cli(&["token", "create", "--kind", "chost", "--element", "ce-1"])
        .ok()
        .text();
    let mut command = market.command(&[
        "host",
        "compute",
        "--name",
        name,
        "--relayed",
        "--slots",
        "2",
    ]);
    command
        .arg("--data-dir")
        .arg(market.folder().join(name))
        .args(["--element", &market.ready.element])
        .env("GRIDMART_JOIN_TOKEN", token);
    let host = Running::start(command, None);
    market.wait_resource(name, "connected", |row| row["connected"] == true);
    host
}

/// A supermarket whose only Host cannot be dialled.
fn behind_the_element() -> (Supermarket, Running) {
    let market = Supermarket::builder().hosts(0).start();
    let host = relayed(&market, "far");
    (market, host)
}

fn end(market: Supermarket, host: Running) {
    host.signal(Signal::SIGTERM);
    host.wait().ok();
    market.stop();
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_host_that_listens_nowhere_serves_calls() {
    let (market, host) = behind_the_element();
    market.upload(&Application::script("echo", "cat"));
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let run = market.cli_with(&["call", "echo"], bytes.clone()).ok();
    assert!(run.stdout == bytes, "{} bytes came back", run.stdout.len());
    let run = market
        .cli(&["call", "shell", "--", "echo out; echo err >&2; exit 7"])
        .exits(7);
    assert_eq!((run.text().as_str(), run.stderr.as_str()), ("out", "err\n"));
    // The same look finds the Element's door.
    assert_eq!(processes::listening(market.role_pid("ce-1")).len(), 1);
    let doors = processes::listening(host.pid());
    assert!(doors.is_empty(), "the Host listens at {doors:?}");
    let shown = market.cli(&["show", "far"]).ok().text();
    assert!(shown.contains("relayed"), "{shown}");
    wait_for(LONG, "the metrics tell of it", || {
        let metrics = runtime().block_on(metrics(&market));
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse::<u64>().ok())
        };
        let (relays, carried) = (
            value("gridmart_ce_relays_total"),
            value("gridmart_ce_relayed_bytes_total"),
        );
        if relays >= Some(2) && carried > Some(8_000_000) {
            Ok(())
        } else {
            Err(metrics)
        }
    });
    end(market, host);
}

/// The Element's metrics, as another node reads them.
pub(crate) async fn metrics(market: &Supermarket) -> String {
    let control = IdentityCell::new(identity(market, "control"));
    let tls = ClientTls::node(control, Revocations::new()).unwrap();
    let element = market.role_node("ce-1").parse().unwrap();
    let mut fetched = fetch(
        std::slice::from_ref(&market.ready.element),
        (element, NodeKind::ComputingElement),
        &tls,
        "/metrics",
    )
    .await
    .unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = fetched.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_map_over_a_direct_and_a_relayed_host_gives_the_same_bytes() {
    let market = Supermarket::builder().hosts(1).start();
    let script = "read n; sleep 0.2; head -c 3000 /dev/zero | tr '\\0' x; echo $n";
    market.upload(
        &Application::script("steady", script)
            .split("cat")
            .merge("cat"),
    );
    let input = market.scratch().join("numbers.txt");
    let numbers: String = (0..40).map(|n| format!("{n}\n")).collect();
    std::fs::write(&input, numbers).unwrap();
    let input = input.to_string_lossy();
    let one = market.cli(&["map", "steady", "--input", &input]).ok();
    let host = relayed(&market, "far");
    let report = market.scratch().join("report.json");
    let report = report.to_string_lossy();
    let both = market
        .cli(&["map", "steady", "--input", &input, "--report", &report])
        .ok();
    assert!(one.stdout == both.stdout && both.stdout.len() > 40 * 3000);
    let text = std::fs::read_to_string(&*report).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let shares = report["hosts"].as_array().unwrap();
    let worked = shares
        .iter()
        .filter(|host| host["parts"].as_u64() > Some(0))
        .count();
    assert_eq!(worked, 2, "{report}");
    end(market, host);
}

#[test]
fn ending_a_call_ends_its_processes() {
    let (market, host) = behind_the_element();
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    let (child, grandchild) = (Nap::new(), Nap::new());
    let script = format!(
        "(setsid sleep {} &) ; sleep {}",
        grandchild.seconds, child.seconds
    );
    let call = market.cli_start(&["call", "shell", "--", &script]);
    child.wait_runs();
    grandchild.wait_runs();
    call.signal(Signal::SIGINT);
    call.wait().exits(130);
    child.wait_gone();
    grandchild.wait_gone();
    end(market, host);
}

#[test]
fn a_call_on_a_relayed_host_that_dies_fails_clearly() {
    let (market, host) = behind_the_element();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let call = market.cli_start(&["call", "wait", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    host.signal(Signal::SIGKILL);
    let run = call.wait().exits(5);
    assert_eq!(run.problem_code(), "host-down", "{}", run.stderr);
    nap.wait_gone();
    drop(host);
    market.stop();
}

#[test]
fn a_relayed_call_outlives_its_element() {
    let (market, host) = behind_the_element();
    market.upload(&Application::script(
        "gate",
        "echo open; cat >/dev/null; echo closed",
    ));
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
    market.kill9("ce-1");
    market.restart("ce-1");
    drop(call.stdin.take());
    let output = call.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["stdout"], "open\nclosed\n");
    end(market, host);
}

#[test]
fn only_a_lease_of_ones_own_opens_the_way_to_a_host() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    market.cli(&["stop", "host-1"]).ok();
    let host = relayed(&market, "far");
    market.upload(&Application::script("echo", "cat"));
    runtime().block_on(refusals(&market));
    assert!(
        market.log("ce-1").contains("ticket-key-mismatch"),
        "{}",
        market.log("ce-1")
    );
    assert_eq!(market.cli_with(&["call", "echo"], "on").ok().text(), "on");
    end(market, host);
}

async fn refusals(market: &Supermarket) {
    let caller = Caller::new(market);
    let access = caller.access(market, "echo").await;
    let (lease, _stream) = caller.enter(&access, &access.ticket).await.unwrap();
    let own = lease.ticket.as_str();
    let thief = Caller::new(market);
    let dial = async |who: &Caller, ticket: Option<&str>| {
        tunnel(&who.tls, &lease, lease.host, ticket).await
    };
    assert_eq!(refusal(dial(&caller, None).await), Code::Unauthenticated);
    assert_eq!(
        refusal(dial(&thief, Some(own)).await),
        Code::TicketKeyMismatch
    );
    assert_eq!(
        refusal(dial(&caller, Some(&access.ticket)).await),
        Code::TicketInvalid
    );
    let neighbour: NodeId = market.role_node("host-1").parse().unwrap();
    assert_eq!(
        refusal(tunnel(&caller.tls, &lease, neighbour, Some(own)).await),
        Code::TicketForeign
    );
    let good: LeaseClaims = claims(own);
    let other = identity(market, "host-1").signing_key();
    let forged = other
        .sign_lease(&LeaseClaims {
            iss: other.issuer(),
            ..good.clone()
        })
        .unwrap();
    assert_eq!(
        refusal(dial(&caller, Some(&forged)).await),
        Code::TicketInvalid
    );
    let element = identity(market, "ce-1").signing_key();
    let past = OffsetDateTime::now_utc() - Duration::from_mins(15);
    let Times { nbf, iat, exp } = Times::starting(past, Duration::from_mins(5));
    let expired = element
        .sign_lease(&LeaseClaims {
            nbf,
            iat,
            exp,
            ..good
        })
        .unwrap();
    assert_eq!(
        refusal(dial(&caller, Some(&expired)).await),
        Code::TicketExpired
    );
    data_refusals(market, &caller, &lease).await;
    drop(dial(&caller, Some(own)).await.unwrap());
    market.cli(&["kill", "far"]).ok();
    market.cli(&["start", "far"]).ok();
    assert_eq!(refusal(dial(&caller, Some(own)).await), Code::TicketCut);
}

/// The way of Hosts is for Hosts, and for those that were told to dial.
async fn data_refusals(market: &Supermarket, caller: &Caller, lease: &Lease) {
    let element = lease.relay.as_ref().unwrap();
    let expected = (element.element, NodeKind::ComputingElement);
    let path = format!("/v1/data/{}", "0".repeat(32));
    let dial =
        async |tls: &ClientTls| Tunnel::dial(&element.endpoints, expected, tls, &path, None).await;
    assert_eq!(refusal(dial(&caller.tls).await), Code::CertificateRefused);
    let host = IdentityCell::new(identity(market, "far"));
    let host = ClientTls::node(host, Revocations::new()).unwrap();
    assert_eq!(refusal(dial(&host).await), Code::NotFound);
}

async fn tunnel(
    tls: &ClientTls,
    lease: &Lease,
    host: NodeId,
    ticket: Option<&str>,
) -> Result<Tunnel, Problem> {
    let relay = lease.relay.as_ref().unwrap();
    let element = (relay.element, NodeKind::ComputingElement);
    let path = format!("/v1/relay/{host}");
    Tunnel::dial(&relay.endpoints, element, tls, &path, ticket).await
}
