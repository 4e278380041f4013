//! Certificates that end soon: renewed in time, while calls go on.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gridmart_schemas::role::NodeKind;
use gridmart_sdk::Client;
use gridmart_tests::{Application, LONG, Supermarket, processes, wait_for};

use crate::objects::{bucket, lost, run};

/// How long certificates live; renewed at half of it.
const LIFETIME: Duration = Duration::from_secs(20);
/// So many of them pass.
const LIVES: u32 = 3;

/// When the certificate of a node ends, as the controller tells.
fn ends(market: &Supermarket, name: &str) -> String {
    let rows: serde_json::Value = market.cli(&["nodes", "list", "--json"]).ok().json();
    let row = rows["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("{name} is not listed: {rows}"))["not_after"].to_string()
}

/// When the certificate ends that a role's own door shows.
fn shown(market: &Supermarket, role: &str, kind: NodeKind) -> Duration {
    let identity = gridmart_fabric::identity::NodeIdentity::load(&market.folder().join(role))
        .unwrap()
        .unwrap_or_else(|| panic!("{role} has no identity"));
    assert_eq!(identity.kind(), kind);
    let left = identity.not_after() - time::OffsetDateTime::now_utc();
    left.try_into().unwrap_or_default()
}

/// Programs that come one after the other, call once, and go; each of them
/// needs its Element, and the Element its Host, at that very moment.
struct Callers {
    stop: Arc<AtomicBool>,
    calling: JoinHandle<(u32, Vec<String>)>,
}

impl Callers {
    fn start(market: &Supermarket) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let settings = market.settings();
        let stopped = Arc::clone(&stop);
        let calling = thread::spawn(move || {
            let (mut calls, mut refusals) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let settings = settings.clone();
                let called = runtime.block_on(async {
                    let client = Client::connect(settings).unwrap();
                    let output = client.apps().call("echo").stdin("on").output().await;
                    client.close().await;
                    output
                });
                calls += 1;
                if !called.as_ref().is_ok_and(|output| output.stdout == "on") {
                    refusals.push(format!("call {calls}: {called:?}"));
                }
                // So many that none of the moments that count is missed.
                thread::sleep(Duration::from_millis(30));
            }
            (calls, refusals)
        });
        Self { stop, calling }
    }

    #[track_caller]
    fn demand_none_was_refused(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (calls, refusals) = self.calling.join().unwrap();
        assert!(refusals.is_empty(), "of {calls}: {refusals:#?}");
        assert!(calls > 100, "{calls} calls are too few to tell");
    }
}

/// Has the Storage Element make something good, which it certifies; gives what it
/// states.
fn healed(market: &Supermarket) -> serde_json::Value {
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("replica(2)")).await;
        for number in 0..8 {
            let key = format!("key-{number}");
            storage.put("data", &key).bytes("kept").await.unwrap();
        }
        client.close().await;
    });
    market.kill9("storage-1");
    wait_for(LONG, "what was lost is certified as made anew", || {
        let (left, heals) = lost(market);
        let first = heals.first().filter(|_| left == 0);
        first.cloned().ok_or_else(|| format!("{left} {heals:?}"))
    })
}

#[test]
fn certificates_are_renewed_while_calls_go_on() {
    let market = Supermarket::builder()
        .hosts(1)
        .slots(Some(2))
        .storage_hosts(3)
        // Longer than a Host is silent when the machine is busy.
        .repair_delay("4s")
        .certificate_lifetime("20s")
        .start();
    market.upload(&Application::script("echo", "cat"));
    let script =
        "n=0; while [ -z \"$2\" ] || [ $n -lt \"$2\" ]; do echo $n; n=$((n+1)); sleep \"$1\"; done";
    market.upload(&Application::script("ticker", script));
    let heal = healed(&market);
    assert_eq!(heal["verified"], true, "{heal}");
    let names = ["ce-1", "host-1", "se-1"];
    let began = Instant::now();
    let first = names.map(|name| ends(&market, name));
    let seconds = LIFETIME.as_secs() * u64::from(LIVES);
    let mut command = market.command(&["call", "ticker", "--", "1", &seconds.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut stream = processes::spawn(command).unwrap();
    let lines = BufReader::new(stream.stdout.take().unwrap()).lines();
    let callers = Callers::start(&market);

    // The stream is the clock: a line a second, for three lives.
    let mut heard = 0;
    for line in lines {
        assert_eq!(line.unwrap(), heard.to_string(), "in order, and none twice");
        heard += 1;
    }
    assert_eq!(heard, seconds);
    assert!(stream.wait().unwrap().success());
    assert!(began.elapsed() > 2 * LIFETIME);
    callers.demand_none_was_refused();

    for (name, first) in names.into_iter().zip(&first) {
        assert_ne!(
            &ends(&market, name),
            first,
            "{name} has another certificate"
        );
        market.wait_resource(name, "connected", |row| row["connected"] == true);
    }
    let roles = [
        ("control", NodeKind::Control),
        ("ce-1", NodeKind::ComputingElement),
        ("host-1", NodeKind::ComputeHost),
    ];
    for (role, kind) in roles {
        wait_for(LONG, "its certificate is good", || {
            let left = shown(&market, role, kind);
            if left > LIFETIME / 4 {
                Ok(())
            } else {
                Err(format!("{role}: {left:?} left"))
            }
        });
    }
    assert_eq!(market.cli_with(&["call", "echo"], "new").ok().text(), "new");
    // The key that signed it is certified by another certificate now.
    let (_, heals) = lost(&market);
    let again = heals
        .iter()
        .find(|other| other["signature"] == heal["signature"]);
    assert_eq!(again, Some(&heal), "{heals:?}");
    market.stop();
}

#[test]
fn lifetimes_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for period in ["9s", "400d"] {
        let mut command = std::process::Command::new(gridmart_tests::gridmart());
        command
            .args(["control", "--certificate-lifetime", period, "--data-dir"])
            .arg(folder.path());
        gridmart_tests::Running::start(command, None)
            .wait()
            .exits(2)
            .says("certificate_lifetime");
    }
}
