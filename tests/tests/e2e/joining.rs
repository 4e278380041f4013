//! Joining: tokens, second machines, revocation.

use gridmart_fabric::{
    door::fetch,
    identity::{IdentityCell, NodeIdentity},
    join::JoinToken,
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{id::NodeId, problem::Code, role::NodeKind};
use gridmart_tests::{Application, LONG, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;

use crate::{refused::Mark, role};

/// Starts a Host beside those of the supermarket.
fn host(market: &Supermarket, name: &str, token: &str) -> Running {
    let more = ["--element", &market.ready.element, "--slots", "2"];
    role(market, ["host", "compute"], name, token, &more)
}

fn host_token(market: &Supermarket, more: &[&str]) -> String {
    let mut words = vec!["token", "create", "--kind", "chost", "--element", "ce-1"];
    words.extend(more);
    market.cli(&words).ok().text()
}

#[test]
fn the_printed_line_joins_another_host() {
    let market = Supermarket::builder().hosts(1).start();
    let line = market.ready.join_command.clone().unwrap();
    let mut words: Vec<&str> = line.split(' ').skip(1).collect();
    let folder = market.folder().join("elsewhere");
    let folder = folder.to_string_lossy().into_owned();
    words.extend([
        "--data-dir",
        &folder,
        "--name",
        "elsewhere",
        "--listen",
        "127.0.0.1:0",
    ]);
    let host = market.cli_start(&words);
    market.wait_resource("elsewhere", "connected", |row| row["connected"] == true);
    host.signal(Signal::SIGTERM);
    host.wait().ok();
    market.stop();
}

#[test]
fn a_join_token_is_spent_by_its_use() {
    let market = Supermarket::builder().hosts(1).start();
    let token = host_token(&market, &[]);
    let first = host(&market, "extra-1", &token);
    market.wait_resource("extra-1", "connected", |row| row["connected"] == true);
    let log = Mark::new(&market, "ce-1");
    let second = host(&market, "extra-2", &token).wait().exits(1);
    assert!(
        second.stderr.contains("join-token-spent"),
        "{}",
        second.stderr
    );
    // All is right about it, but for the secret.
    let known: JoinToken = token.parse().unwrap();
    let altered = JoinToken::generate(known.kind, &known.domain, known.parent, &known.fingerprint)
        .to_string();
    host(&market, "extra-3", &altered)
        .wait()
        .exits(1)
        .says("join-token-invalid");
    log.demand("join-token-spent", &["path=\"/v1/enrol\""]);
    log.demand("join-token-invalid", &["path=\"/v1/enrol\""]);
    first.signal(Signal::SIGTERM);
    first.wait().ok();
    market.stop();
}

#[test]
fn a_token_of_another_kind_or_after_its_time_is_refused() {
    let market = Supermarket::builder().hosts(1).start();
    let element_token = market
        .cli(&["token", "create", "--kind", "ce", "--domain", "lab"])
        .ok()
        .text();
    let run = host(&market, "extra-1", &element_token).wait();
    let log = Mark::new(&market, "ce-1");
    assert_ne!(run.code, 0, "{}", run.stderr);
    let short = host_token(&market, &["--expires", "1s"]);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let run = host(&market, "extra-2", &short).wait().exits(1);
    assert!(run.stderr.contains("join-token-expired"), "{}", run.stderr);
    log.demand("join-token-expired", &["path=\"/v1/enrol\""]);
    market.stop();
}

/// Starts an Element of these goods, with a token that was made for it.
fn element(market: &Supermarket, goods: &str, name: &str, token: &str) -> Running {
    let more = ["--controller", &market.ready.nodes];
    role(market, ["element", goods], name, token, &more)
}

#[test]
fn a_second_element_serves_its_own_domain() {
    let market = Supermarket::builder().hosts(1).start();
    let token = market
        .cli(&["token", "create", "--kind", "ce", "--domain", "lab"])
        .ok()
        .text();
    let element = element(&market, "compute", "ce-2", &token);
    market.wait_resource("ce-2", "connected", |row| {
        row["connected"] == true && row["domain"] == "lab"
    });
    element.signal(Signal::SIGTERM);
    element.wait().ok();
    market.wait_resource("ce-2", "away", |row| row["connected"] == false);
    market.stop();
}

#[test]
fn a_storage_element_joins_and_is_stopped_and_started_again() {
    let market = Supermarket::builder().hosts(1).start();
    let token = market
        .cli(&["token", "create", "--kind", "se", "--domain", "lab"])
        .ok()
        .text();
    let element = element(&market, "storage", "se-1", &token);
    market.wait_resource("se-1", "connected", |row| {
        row["connected"] == true && row["kind"] == "se" && row["total_bytes"] == 0
    });
    // Only its own Hosts get tokens from it.
    let create = ["token", "create", "--element", "se-1", "--kind"];
    market
        .cli(&[&create[..], &["shost"]].concat())
        .ok()
        .says("gridmart host storage --element");
    market
        .cli(&[&create[..], &["chost"]].concat())
        .exits(4)
        .says("se-1");
    let shown = market.cli(&["show", "se-1"]).ok().text();
    assert!(shown.contains("None of 0 Hosts is usable."), "{shown}");
    market.cli(&["stop", "se-1"]).ok();
    market.wait_resource("se-1", "stopped", |row| row["serving_state"] == "closed");
    element.signal(Signal::SIGTERM);
    element.wait().ok();
    market.cli(&["start", "se-1"]).ok();
    // The wish waits for it.
    let element = self::element(&market, "storage", "se-1", &token);
    market.wait_resource("se-1", "started", |row| {
        row["serving_state"] == "queueing" && row["pending"] == false && row["connected"] == true
    });
    element.signal(Signal::SIGTERM);
    element.wait().ok();
    market.stop();
}

/// Knocks at the doors of all nodes with the certificate of one.
struct Knocker {
    runtime: tokio::runtime::Runtime,
    tls: ClientTls,
    doors: Vec<(String, (NodeId, NodeKind))>,
}

impl Knocker {
    /// As `role`, at the doors of the others.
    fn new(market: &Supermarket, role: &str) -> Self {
        let identity = NodeIdentity::load(&market.folder().join(role))
            .unwrap()
            .unwrap();
        let doors = [
            ("control", "nodes", NodeKind::Control),
            ("ce-1", "door", NodeKind::ComputingElement),
            ("host-1", "door", NodeKind::ComputeHost),
        ];
        let doors = doors.map(|(role, door, kind)| {
            let node = market.role_node(role).parse().unwrap();
            (market.role_address(role, door), (node, kind))
        });
        Self {
            runtime: tokio::runtime::Runtime::new().unwrap(),
            tls: ClientTls::node(IdentityCell::new(identity), Revocations::new()).unwrap(),
            doors: doors.into(),
        }
    }

    /// Asks for what is for nodes alone; gives what each door says to it.
    fn knock(&self) -> Vec<Result<(), Code>> {
        let ask = async |(address, expected): &(String, (NodeId, NodeKind))| {
            let door = std::slice::from_ref(address);
            let answer = fetch(door, *expected, &self.tls, "/metrics").await;
            answer.map(drop).map_err(|problem| problem.code)
        };
        self.doors
            .iter()
            .map(|door| self.runtime.block_on(ask(door)))
            .collect()
    }
}

/// The Element's last heartbeat that the controller has heard, by its time.
fn last_heartbeat(market: &Supermarket) -> String {
    let shown = market.cli(&["show", "ce-1", "--json"]).ok().text();
    let time = shown.split_once("\"creation_time\": \"").unwrap().1;
    time.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_revoked_hosts_certificate_is_refused_everywhere_within_one_heartbeat() {
    let market = Supermarket::builder().hosts(2).start();
    let knocker = Knocker::new(&market, "host-2");
    assert_eq!(knocker.knock(), [Ok(()); 3], "a node like others");
    // The time that counts is that of heartbeats: how long a machine takes for
    // one is its own affair.
    let mut heartbeats = std::collections::BTreeSet::from([last_heartbeat(&market)]);
    let marks = ["control", "ce-1", "host-1"].map(|role| Mark::new(&market, role));
    market.cli(&["nodes", "revoke", "host-2"]).ok();
    wait_for(LONG, "all doors refuse the certificate", || {
        let said = knocker.knock();
        if said == [Err(Code::NodeRevoked); 3] {
            return Ok(());
        }
        heartbeats.insert(last_heartbeat(&market));
        Err(format!("{said:?}"))
    });
    assert!(
        heartbeats.len() <= 2,
        "more than one heartbeat has passed: {heartbeats:?}"
    );
    for mark in marks {
        mark.demand("node-revoked", &["path=\"/metrics\""]);
    }
    market.stop();
}

#[test]
fn a_revoked_host_is_cut_off_at_once_and_for_good() {
    let market = Supermarket::builder().hosts(2).start();
    market.upload(&Application::script("echo", "cat"));
    let node = market.role_node("host-2");
    market.cli(&["nodes", "revoke", "host-2"]).ok();
    wait_for(LONG, "host-2 is away", || match market.resource("host-2") {
        Some(row) if row["connected"] == true => Err(row.to_string()),
        _ => Ok(()),
    });
    market.kill9("host-2");
    let rows: serde_json::Value = market.cli(&["nodes", "list", "--json"]).ok().json();
    let row = rows["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["id"] == node.as_str())
        .cloned()
        .unwrap();
    assert_eq!(row["revoked"], true, "{row}");
    market.cli_with(&["call", "echo"], "x").ok();
    // Its certificate is refused when it comes back.
    let log = Mark::new(&market, "ce-1");
    market.restart("host-2");
    log.demand(
        "node-revoked",
        &["refused at the door", "path=\"/v1/control\""],
    );
    assert!(
        market
            .resource("host-2")
            .is_none_or(|row| row["connected"] == false)
    );
    market.stop();
}

#[test]
fn the_settings_file_says_the_same_as_the_flags() {
    let market = Supermarket::builder().hosts(1).start();
    let token = market.scratch().join("token");
    std::fs::write(&token, host_token(&market, &[])).unwrap();
    let settings = market.scratch().join("host.toml");
    let text = format!(
        "data-dir = {:?}\nelement = {:?}\nname = \"from-file\"\nlisten = \"127.0.0.1:0\"\nadvertise = \"127.0.0.1\"\njoin-token-file = {token:?}\nslots = 1\n",
        market.folder().join("from-file"),
        market.ready.element
    );
    std::fs::write(&settings, &text).unwrap();
    let host = market.cli_start(&["host", "compute", "--config", &settings.to_string_lossy()]);
    market.wait_resource("from-file", "connected", |row| {
        row["connected"] == true && row["total_slots"] == 1
    });
    host.signal(Signal::SIGTERM);
    host.wait().ok();
    std::fs::write(&settings, text + "colour = \"blue\"\n").unwrap();
    let run = market
        .cli(&["host", "compute", "--config", &settings.to_string_lossy()])
        .exits(2);
    assert!(run.stderr.contains("colour"), "{}", run.stderr);
    market.stop();
}
