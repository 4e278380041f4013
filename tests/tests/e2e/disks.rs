//! Disks that are full or read-only under one part of a real supermarket: what
//! needs the disk is refused clearly, what does not goes on, nothing is torn,
//! and with room everything is as it was, without a restart.

use gridmart_tests::{Application, LONG, Run, SHORT, Supermarket, wait_for};

const REFUSED: &str = "storage-failed";

/// What a small disk suffers.
#[derive(Clone, Copy)]
enum Harm {
    Full,
    ReadOnly,
}

impl Harm {
    #[track_caller]
    fn begin(self, market: &Supermarket, folder: &str) {
        match self {
            Self::Full => market.fill(folder),
            Self::ReadOnly => market.make_read_only(folder),
        }
    }

    #[track_caller]
    fn end(self, market: &Supermarket, folder: &str) {
        match self {
            Self::Full => market.make_room(folder),
            Self::ReadOnly => market.make_writable(folder),
        }
    }
}

fn echo(version: &str) -> Application {
    Application::script("echo", "cat").version(version)
}

#[track_caller]
fn call(market: &Supermarket, application: &str) {
    let run = market.cli_with(&["call", application], "said").ok();
    assert_eq!(run.text(), "said");
}

#[track_caller]
fn wait_served(market: &Supermarket, application: &str) {
    wait_for(LONG, "a call is served", || {
        let run = market.cli_with(&["call", application], "x");
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
}

#[track_caller]
fn refused(run: Run) {
    let run = run.exits(1);
    assert_eq!(run.problem_code(), REFUSED, "{}", run.stderr);
    assert!(
        run.stderr.contains("make room"),
        "no advice: {}",
        run.stderr
    );
}

fn token_create(market: &Supermarket) -> Run {
    market.cli(&[
        "token",
        "create",
        "--kind",
        "chost",
        "--element",
        "ce-1",
        "--json",
    ])
}

/// Asks the controller whether it is ready; gives status and code.
pub(crate) fn readiness(market: &Supermarket) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = format!("{}/readyz", market.ready.url);
        let answer = reqwest::get(url).await.unwrap();
        let status = answer.status().as_u16();
        let problem: serde_json::Value = answer.json().await.unwrap_or_default();
        (
            status,
            problem["code"].as_str().unwrap_or_default().to_owned(),
        )
    })
}

#[track_caller]
pub(crate) fn wait_ready(market: &Supermarket) {
    wait_for(SHORT, "the controller is ready", || {
        let readiness = readiness(market);
        (readiness.0 == 204)
            .then_some(())
            .ok_or_else(|| format!("{readiness:?}"))
    });
}

#[track_caller]
fn wait_reported(market: &Supermarket, call: &str) {
    wait_for(LONG, "the call was reported", || {
        let text = market.cli(&["show", "echo", "--json"]).ok().text();
        if text.contains(call) {
            Ok(())
        } else {
            Err(text)
        }
    });
}

fn pids(market: &Supermarket) -> Vec<u32> {
    let roles = market.role_names();
    roles.iter().map(|role| market.role_pid(role)).collect()
}

#[test]
fn a_full_disk_under_the_store() {
    let market = Supermarket::builder().small_disk("control", 16).start();
    market.upload(&echo("1"));
    call(&market, "echo");
    let before = pids(&market);
    market.fill("control");
    refused(token_create(&market));
    refused(market.cli(&["stop", "host-1", "--json"]));
    assert_eq!(readiness(&market), (507, REFUSED.to_owned()));
    // What is known serves on: reading, access, tickets, calls.
    market.cli(&["resources"]).ok();
    market.cli(&["audit", "--limit", "5"]).ok();
    call(&market, "echo");
    let made = market.cli_with(&["call", "echo", "--json"], "kept").ok();
    let made: serde_json::Value = made.json();
    market.make_room("control");
    wait_ready(&market);
    token_create(&market).ok();
    wait_reported(&market, made["call"].as_str().unwrap());
    market.kill9("control");
    market.restart("control");
    market.wait_resource("ce-1", "connected", |row| row["connected"] == true);
    wait_reported(&market, made["call"].as_str().unwrap());
    assert_eq!(pids(&market)[1..], before[1..], "only the test has killed");
    market.stop();
}

#[test]
fn a_full_or_read_only_disk_under_the_packages() {
    let folder = "control/packages";
    let market = Supermarket::builder().small_disk(folder, 4).start();
    market.upload(&echo("1"));
    let second = echo("2").file("noise", noise(64 * 1024), 0o644);
    let second = second.write(market.scratch()).display().to_string();
    let upload = || market.cli(&["upload", &second, "--json"]);
    for harm in [Harm::Full, Harm::ReadOnly] {
        harm.begin(&market, folder);
        refused(upload());
        // What is on the shelf is served, also to an Element that has lost it.
        market.kill9("ce-1");
        std::fs::remove_dir_all(market.seen("ce-1/packages")).unwrap();
        market.restart("ce-1");
        market.wait_resource("ce-1", "connected", |row| row["connected"] == true);
        wait_served(&market, "echo");
        harm.end(&market, folder);
        let left = std::fs::read_dir(market.seen("control/packages/incoming")).unwrap();
        assert_eq!(left.count(), 0, "half an upload is left");
    }
    upload().ok();
    call(&market, "echo@2");
    market.stop();
}

/// Bytes that no archive makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_full_or_read_only_disk_under_an_element() {
    let market = Supermarket::builder().small_disk("ce-1", 4).start();
    market.upload(&echo("1"));
    call(&market, "echo");
    let document = || std::fs::read(market.seen("ce-1/CEDoc.xml")).unwrap();
    for harm in [Harm::Full, Harm::ReadOnly] {
        let before = document();
        let pid = market.role_pid("ce-1");
        harm.begin(&market, "ce-1");
        // The controller knows what should be; the Element refuses what it
        // could not keep, and says why.
        let view: serde_json::Value = market.cli(&["stop", "host-1", "--json"]).ok().json();
        assert_ne!(view["status"], "applied", "{view}");
        wait_for(SHORT, "the Element says why", || {
            let log = market.log("ce-1");
            let says = log
                .lines()
                .rev()
                .any(|line| line.contains("ERROR") && line.contains("ce-1"));
            says.then_some(()).ok_or(log)
        });
        // Heartbeats and grants need no disk.
        call(&market, "echo");
        market.wait_resource("host-1", "connected", |row| {
            row["connected"] == true && row["serving_state"] == "production"
        });
        assert!(document() == before, "the document has changed");
        harm.end(&market, "ce-1");
        market.wait_resource("host-1", "closed", |row| row["serving_state"] == "closed");
        market.cli(&["start", "host-1"]).ok();
        market.wait_resource("host-1", "open", |row| row["serving_state"] == "production");
        assert_eq!(market.role_pid("ce-1"), pid);
        let made: serde_json::Value = market
            .cli_with(&["call", "echo", "--json"], "x")
            .ok()
            .json();
        wait_reported(&market, made["call"].as_str().unwrap());
    }
    market.kill9("ce-1");
    market.restart("ce-1");
    wait_served(&market, "echo");
    market.stop();
}

/// Prints more than a Host keeps in memory.
fn printer() -> Application {
    Application::script(
        "print",
        "read n; head -c 300000 /dev/zero | tr '\\0' x; echo $n",
    )
    .split("cat")
    .retryable(3)
}

fn map_input(market: &Supermarket, parts: u32) -> (String, String) {
    let input = market.scratch().join("numbers.txt");
    let numbers: String = (0..parts).map(|number| format!("{number}\n")).collect();
    std::fs::write(&input, numbers).unwrap();
    let wanted = (0..parts)
        .map(|number| format!("{}{number}\n", "x".repeat(300_000)))
        .collect();
    (input.display().to_string(), wanted)
}

#[test]
fn a_map_goes_where_the_disk_has_room() {
    let market = Supermarket::builder()
        .small_disk("host-1/spools", 2)
        .start();
    market.upload(&printer());
    market.upload(&echo("1"));
    market.fill("host-1/spools");
    let (input, wanted) = map_input(&market, 24);
    let run = market.cli(&["map", "print", "--input", &input]).ok();
    assert!(
        String::from_utf8(run.stdout).unwrap() == wanted,
        "{}",
        run.stderr
    );
    market.wait_resource("host-1", "critical", |row| {
        row["health_state"] == "critical"
    });
    market.make_room("host-1/spools");
    market.wait_resource("host-1", "well", |row| row["health_state"] != "critical");
    market.stop();
}

#[test]
fn a_map_waits_until_the_only_disk_has_room() {
    let market = Supermarket::builder()
        .hosts(1)
        .small_disk("host-1/spools", 4)
        .start();
    market.upload(&printer());
    market.fill("host-1/spools");
    let (input, wanted) = map_input(&market, 12);
    let mut map = market.cli_start(&["map", "print", "--input", &input]);
    market.wait_resource("host-1", "critical", |row| {
        row["health_state"] == "critical"
    });
    assert!(!map.has_ended(), "it does not wait: {:?}", map.wait());
    market.make_room("host-1/spools");
    let run = map.wait().ok();
    assert!(
        String::from_utf8(run.stdout).unwrap() == wanted,
        "{}",
        run.stderr
    );
    market.stop();
}

#[test]
fn a_full_disk_under_a_whole_host() {
    let market = Supermarket::builder()
        .hosts(1)
        .small_disk("host-1", 8)
        .start();
    market.upload(&echo("1"));
    call(&market, "echo");
    market.fill("host-1");
    let pid = market.role_pid("host-1");
    let view: serde_json::Value = market.cli(&["stop", "host-1", "--json"]).ok().json();
    assert_ne!(view["status"], "applied", "{view}");
    // Another version cannot come here, and says so.
    let second = echo("2").write(market.scratch()).display().to_string();
    market.cli(&["upload", &second]).ok();
    market.make_room("host-1");
    market.wait_resource("host-1", "closed", |row| row["serving_state"] == "closed");
    market.cli(&["start", "host-1"]).ok();
    market.wait_resource("host-1", "open", |row| row["serving_state"] == "production");
    wait_served(&market, "echo@2");
    assert_eq!(market.role_pid("host-1"), pid);
    market.stop();
}

#[test]
fn a_read_only_disk_under_a_whole_host() {
    let market = Supermarket::builder()
        .hosts(1)
        .small_disk("host-1", 8)
        .start();
    market.upload(&echo("1"));
    let made: serde_json::Value = market
        .cli_with(&["call", "echo", "--json"], "x")
        .ok()
        .json();
    // Its record is off the disk: the next to need that is the next sandbox.
    wait_reported(&market, made["call"].as_str().unwrap());
    market.make_read_only("host-1");
    let run = market.cli_with(&["call", "echo", "--json"], "x").exits(1);
    let said = run.text() + &run.stderr;
    assert!(
        said.contains(REFUSED),
        "for want of a disk, not of bubblewrap: {said}"
    );
    market.wait_resource("host-1", "critical", |row| {
        row["health_state"] == "critical"
    });
    // The next one waits until it can be served.
    let mut call = market.cli_start(&["call", "echo"]);
    market.wait_resource("host-1", "still critical", |row| {
        row["health_state"] == "critical"
    });
    assert!(!call.has_ended(), "it does not wait: {:?}", call.wait());
    market.make_writable("host-1");
    call.wait().ok();
    market.stop();
}

#[test]
fn a_full_disk_under_the_logs_costs_lines_alone() {
    let market = Supermarket::builder()
        .log_level("debug")
        .small_disk("logs", 1)
        .start();
    market.upload(&echo("1"));
    let before = pids(&market);
    market.fill("logs");
    for _ in 0..3 {
        call(&market, "echo");
    }
    market.cli(&["stop", "host-2"]).ok();
    market.wait_resource("host-2", "closed", |row| row["serving_state"] == "closed");
    token_create(&market).ok();
    assert_eq!(pids(&market), before);
    market.make_room("logs");
    let length = market.log("control").len();
    wait_for(SHORT, "lines are written again", || {
        market.cli(&["whoami"]).ok();
        let now = market.log("control").len();
        (now > length).then_some(()).ok_or_else(|| now.to_string())
    });
    market.stop();
}
