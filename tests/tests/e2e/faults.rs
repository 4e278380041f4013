//! Processes that are killed, and disks that fail, where it is most dangerous
//! (the names: `fabric/src/fault.rs`): after the next start everything that was
//! acknowledged is there, and nothing twice.

use std::fs;

use gridmart_fabric::fault::FaultPoint;
use gridmart_tests::{
    Application, LONG, Running, SHORT, Supermarket, SupermarketBuilder, wait_for,
};

use nix::sys::signal::Signal;

use crate::{
    disks::{readiness, wait_ready},
    storage,
};

const PASSWORD: &str = "correct horse battery staple\n";

fn armed(point: &str) -> SupermarketBuilder {
    Supermarket::builder()
        .hosts(1)
        .faults(&format!("{point}=return(kill)"))
}

fn echo() -> Application {
    Application::script("echo", "cat")
}

#[track_caller]
fn wait_served(market: &Supermarket) {
    wait_for(LONG, "a call is served", || {
        let run = market.cli_with(&["call", "echo"], "x");
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
}

fn person_add(market: &Supermarket) -> gridmart_tests::Run {
    market.cli_with(
        &["people", "add", "zoe", "--role", "user", "--json"],
        PASSWORD,
    )
}

fn people(market: &Supermarket) -> usize {
    let text = market.cli(&["people", "list", "--json"]).ok().text();
    text.matches("\"zoe\"").count()
}

/// Adds a person while the controller dies at a point; tells whether the person
/// is there after the next start.
fn controller_dies_at(point: &str) -> bool {
    let market = armed(point).start();
    let added = market.dies_of("control", point, || person_add(&market));
    assert_ne!(added.code, 0, "it was acknowledged by a dead controller");
    market.restart("control");
    let there = people(&market);
    assert!(there <= 1, "there {there} times");
    let again = person_add(&market);
    if there == 1 {
        assert_eq!(again.exits(3).problem_code(), "already-exists");
    } else {
        again.ok();
    }
    assert_eq!(people(&market), 1);
    market.stop();
    there == 1
}

#[test]
fn a_change_is_there_or_not_whenever_the_controller_dies() {
    assert!(!controller_dies_at("control.store.commit"), "not committed");
    assert!(controller_dies_at("control.store.committed"));
    assert!(controller_dies_at("control.store.shown"));
}

#[test]
fn after_a_failed_sync_the_store_believes_nothing_until_it_is_opened_anew() {
    let point = "control.store.commit";
    let market = Supermarket::builder()
        .hosts(1)
        .faults(&format!("{point}=return(eio)"))
        .start();
    market.upload(&echo());
    wait_served(&market);
    let refused = |why: &str| {
        let run = person_add(&market).exits(1);
        assert_eq!(
            run.problem_code(),
            "storage-failed",
            "{why}: {}",
            run.stderr
        );
    };
    market.faults_begin();
    refused("the sync fails");
    market.faults_end();
    refused("the disk is well, but what is on it is not known");
    wait_served(&market);
    market.kill9("control");
    market.restart("control");
    person_add(&market).ok();
    assert_eq!(people(&market), 1);
    market.stop();
}

#[test]
fn a_store_that_takes_changes_again_is_found_out_though_nobody_makes_one() {
    for refusal in ["enospc", "erofs"] {
        let market = Supermarket::builder()
            .hosts(1)
            .faults(&format!("control.store.commit=return({refusal})"))
            .start();
        market.faults_begin();
        let run = person_add(&market).exits(1);
        assert_eq!(run.problem_code(), "storage-failed", "{}", run.stderr);
        assert_eq!(readiness(&market), (507, "storage-failed".to_owned()));
        market.faults_end();
        wait_ready(&market);
        person_add(&market).ok();
        market.stop();
    }
}

#[test]
fn a_package_that_no_catalogue_knows_is_uploaded_again() {
    let point = "control.package.placed";
    let market = armed(point).start();
    let folder = echo().write(market.scratch()).display().to_string();
    let upload = || market.cli(&["upload", &folder]);
    let first = market.dies_of("control", point, upload);
    assert_ne!(first.code, 0);
    market.restart("control");
    let on_the_shelf = std::fs::read_dir(market.seen("control/packages")).unwrap();
    let files = on_the_shelf
        .flatten()
        .filter(|entry| entry.path().is_file());
    assert_eq!(files.count(), 0, "what nobody knows is not kept");
    market.wait_resource("ce-1", "connected", |row| row["connected"] == true);
    upload().ok();
    wait_served(&market);
    market.stop();
}

#[test]
fn a_lease_is_not_lost_with_its_element() {
    for point in ["element.lease.granted", "element.lease.recorded"] {
        let market = armed(point).slots(Some(1)).start();
        market.upload(&echo());
        let call = market.dies_of("ce-1", point, || {
            let command = market.command(&["call", "echo"]);
            Running::start(command, Some(b"kept".to_vec()))
        });
        market.restart("ce-1");
        let run = call.wait();
        assert!(run.code != 0 || run.text() == "kept", "{}", run.text());
        // The only slot is free again, or was never taken.
        wait_served(&market);
        market.stop();
    }
}

/// Ends a call whose report meets a kill; demands that it is told once.
fn report_meets(role: &str, point: &str) {
    let market = armed(point).start();
    market.upload(&echo());
    let run = market.dies_of(role, point, || {
        market.cli_with(&["call", "echo", "--json"], "x").ok()
    });
    let made: serde_json::Value = run.json();
    let call = made["call"].as_str().unwrap();
    market.restart(role);
    let reports = || {
        let text = market.cli(&["show", "echo", "--json"]).ok().text();
        text.matches(&format!("\"{call}\"")).count()
    };
    wait_for(LONG, "the call was reported", || {
        (reports() > 0)
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    });
    // A later one comes after whatever would be told again.
    wait_served(&market);
    wait_for(LONG, "the later call was reported", || {
        let text = market.cli(&["show", "echo", "--json"]).ok().text();
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        let count = shown["calls"]["items"].as_array().map_or(0, Vec::len);
        (count >= 2).then_some(()).ok_or(text)
    });
    assert_eq!(reports(), 1, "it was told twice");
    market.stop();
}

#[test]
fn a_call_is_reported_once_whoever_dies_on_the_way() {
    report_meets("ce-1", "element.record.kept");
    report_meets("host-1", "host.record.kept");
    report_meets("host-1", "host.record.told");
}

fn lines() -> Application {
    Application::script("lines", "read n; echo did $n")
        .split("cat")
        .retryable(4)
}

fn numbers(market: &Supermarket) -> (String, String) {
    let path = market.scratch().join("numbers.txt");
    let numbers: String = (0..30).map(|number| format!("{number}\n")).collect();
    std::fs::write(&path, numbers).unwrap();
    let wanted: Vec<String> = (0..30).map(|number| format!("did {number}")).collect();
    (path.display().to_string(), wanted.join("\n"))
}

#[test]
fn metadata_are_whole_after_a_kill_at_each_step() {
    let market = Supermarket::builder().hosts(1).start();
    let mut element = storage::element(&market);
    let hosts = storage::three_hosts(&market);
    storage::wait_well(&market);
    let door = market.role_address("se-1", "door");
    let mut records = 0;
    for point in [
        "element.metadata.applied",
        "element.metadata.taken",
        "element.metadata.replicated",
        "element.metadata.committed",
    ] {
        element.signal(Signal::SIGTERM);
        element.wait().ok();
        // Its first record is where it dies.
        let faults = format!("{point}=return(kill)");
        let dying = Running::start(storage::element_again(&market, &door, &faults), None);
        assert_eq!(dying.wait().code, 128 + 9, "{point}");
        storage::lose(&market);
        let report = storage::rebuilt(&market, &door);
        assert_eq!(report["whole"], true, "{point}: {report}");
        let now = report["records"].as_u64().unwrap();
        assert!(now >= records, "{point}: {report}");
        records = now;
        element = Running::start(storage::element_again(&market, &door, ""), None);
        storage::wait_well(&market);
    }
    for role in hosts.into_iter().chain([element]) {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}

#[test]
fn a_part_counts_once_when_its_host_dies_at_its_end() {
    let point = "host.part.ended";
    let market = armed(point).start();
    market.upload(&lines());
    let (input, wanted) = numbers(&market);
    let map = market.dies_of("host-1", point, || {
        market.cli_start(&["map", "lines", "--input", &input])
    });
    market.restart("host-1");
    assert_eq!(map.wait().ok().text(), wanted);
    market.stop();
}

#[test]
fn a_map_goes_on_where_it_was_killed_between_a_result_and_its_note() {
    let market = Supermarket::builder().hosts(1).start();
    market.upload(&lines());
    let (input, wanted) = numbers(&market);
    let command = market.command_with_faults(
        &["map", "lines", "--input", &input],
        "sdk.result.written=2*off->return(kill)",
    );
    let killed = Running::start(command, None).wait();
    assert_eq!(killed.code, 128 + 9, "{}", killed.stderr);
    let run = market.cli(&["retry", "last"]).ok();
    assert_eq!(run.text(), wanted);
    market.stop();
}

#[test]
fn an_application_is_unpacked_again_when_its_host_dies_over_it() {
    let point = "package.unpacked";
    let market = armed(point).start();
    market.dies_of("host-1", point, || market.upload(&echo()));
    market.restart("host-1");
    wait_served(&market);
    let left = std::fs::read_dir(market.seen("host-1/packages")).unwrap();
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    market.stop();
}

#[test]
fn the_information_base_is_whole_when_its_element_dies_over_it() {
    let market = Supermarket::builder()
        .hosts(1)
        .faults("disk.renamed=return(kill CEDoc.xml)")
        .start();
    market.dies_of("ce-1", "disk.renamed", || market.cli(&["stop", "host-1"]));
    market.restart("ce-1");
    market.wait_resource("host-1", "closed", |row| row["serving_state"] == "closed");
    market.cli(&["start", "host-1"]).ok();
    market.upload(&echo());
    wait_served(&market);
    market.stop();
}

#[test]
fn a_wish_that_was_recorded_and_could_not_be_shown_still_reaches_the_host() {
    let market = Supermarket::builder()
        .hosts(1)
        .faults("disk.sync=return(eio CEDoc.xml.new)")
        .start();
    market.faults_begin();
    market.cli(&["stop", "host-1"]).ok();
    wait_for(SHORT, "the Element says what it cannot do", || {
        let log = market.log("ce-1");
        let says = log.contains("the information base cannot show what should be");
        says.then_some(()).ok_or(log)
    });
    market.wait_resource("host-1", "closed", |row| {
        row["serving_state"] == "closed" && row["pending"] == false
    });
    let shown = || fs::read_to_string(market.seen("ce-1/CEDoc.xml")).expect("it has a document");
    let closed = "<DesiredState>closed</DesiredState>";
    assert!(!shown().contains(closed), "its disk refuses");
    market.faults_end();
    wait_for(SHORT, "the document shows it as well", || {
        let document = shown();
        document.contains(closed).then_some(()).ok_or(document)
    });
    market.stop();
}

#[test]
fn grants_go_on_while_the_journal_of_leases_cannot_be_written() {
    let market = Supermarket::builder()
        .hosts(1)
        .slots(Some(1))
        .faults("disk.write=return(enospc leases.journal)")
        .start();
    market.upload(&echo());
    let says = |text: &str| {
        wait_for(SHORT, text, || {
            wait_served(&market);
            let log = market.log("ce-1");
            log.contains(text).then_some(()).ok_or(log)
        });
    };
    market.faults_begin();
    says("the journal of leases cannot be written");
    market.faults_end();
    says("the journal of leases is whole again");
    market.kill9("ce-1");
    market.restart("ce-1");
    wait_served(&market);
    market.stop();
}

#[test]
fn each_fault_point_has_a_test() {
    // The disk of blocks that is slow is among the bad days of storage, a change of core
    // that nobody heard of among those of shadows.
    let here = [
        include_str!("faults.rs"),
        include_str!("shadows.rs"),
        include_str!("storage_days/hosts.rs"),
    ]
    .concat();
    for point in FaultPoint::ALL {
        let name = point.name();
        let armed = [
            format!("\"{name}\""),
            format!("\"{name}="),
            format!(";{name}="),
        ];
        assert!(armed.iter().any(|text| here.contains(text)), "{name}");
    }
}

#[test]
fn a_part_whose_output_cannot_be_kept_fails_and_says_why() {
    let market = Supermarket::builder()
        .hosts(1)
        .faults("host.spool.write=return(eio)")
        .start();
    // Not to be tried again: it may have done something.
    let print = "read n; head -c 300000 /dev/zero | tr '\\0' x; echo $n";
    market.upload(&Application::script("print", print).split("cat"));
    let (input, _) = numbers(&market);
    market.faults_begin();
    let map = market.cli_start(&["map", "print", "--input", &input, "--json"]);
    market.wait_resource("host-1", "critical", |row| {
        row["health_state"] == "critical"
    });
    market.faults_end();
    let run = map.wait().exits(1);
    assert!(
        run.stderr.contains("storage-failed") || run.text().contains("storage-failed"),
        "{}",
        run.stderr
    );
    market.wait_resource("host-1", "well", |row| row["health_state"] != "critical");
    let again = market.cli(&["retry", "last", "--failed"]).ok();
    assert_eq!(
        again.stdout.len(),
        (0..30)
            .map(|number| 300_001 + number.to_string().len())
            .sum::<usize>()
    );
    market.stop();
}
