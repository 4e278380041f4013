//! `gridmart up`: one line when ready, everything found again, nothing left.

use std::{process::Stdio, time::Duration};

use gridmart_tests::{Application, LONG, Running, SHORT, Supermarket, processes, wait_for};
use nix::sys::signal::Signal;

use crate::nap::Nap;

#[test]
fn it_is_ready_soon_and_says_what_is_needed() {
    let market = Supermarket::builder().hosts(3).start();
    // The aim is 3 s for a release build on a quiet machine; `gridmart-bench` measures that.
    assert!(market.took < Duration::from_secs(20), "{:?}", market.took);
    assert_eq!(market.ready.hosts, ["host-1", "host-2", "host-3"]);
    assert!(
        market
            .ready
            .join_command
            .as_ref()
            .unwrap()
            .starts_with("gridmart host compute --element 127.0.0.1:")
    );
    let run = market
        .cli(&["env", "--data-dir", &market.folder().to_string_lossy()])
        .ok();
    assert!(
        run.text()
            .contains(&format!("export GRIDMART_URL={}", market.ready.url)),
        "{}",
        run.text()
    );
    let listing: serde_json::Value = market.cli(&["resources", "--json"]).ok().json();
    let rows = listing["items"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "{listing}");
    assert!(rows.iter().all(|row| row["connected"] == true), "{listing}");
    market.stop();
}

#[test]
fn a_second_one_on_the_same_folder_says_so() {
    let market = Supermarket::builder().hosts(1).start();
    let second = Running::start(Supermarket::builder().command(market.folder()), None)
        .wait()
        .exits(1);
    let text = second.stderr.clone();
    assert!(
        text.contains("in use") && text.contains(&market.pid().to_string()),
        "{text}"
    );
    market.cli(&["whoami"]).ok();
    market.stop();
}

#[test]
fn everything_is_found_again_on_an_old_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Supermarket::builder()
        .hosts(1)
        .folder(folder.path())
        .start();
    first.upload(&Application::script("kept", "echo kept"));
    first.cli(&["call", "kept"]).ok();
    let nodes = ["ce-1", "host-1"].map(|role| first.role_node(role));
    let door = first.role_address("ce-1", "door");
    first.stop();

    let second = Supermarket::builder()
        .hosts(2)
        .folder(folder.path())
        .start();
    assert_eq!(
        ["ce-1", "host-1"].map(|role| second.role_node(role)),
        nodes,
        "nobody joined again"
    );
    assert_eq!(
        second.role_address("ce-1", "door"),
        door,
        "Hosts elsewhere find the Element where it was"
    );
    assert_eq!(second.ready.hosts.len(), 2, "and one more Host has joined");
    assert_eq!(second.cli(&["call", "kept"]).ok().text(), "kept");
    // The controller hears of an ended call a moment later.
    wait_for(LONG, "the last call is explained", || {
        let run = second.cli(&["explain", "last"]);
        if run.text().contains("host-1") {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    second.stop();
}

#[test]
fn nothing_is_left_when_the_supervisor_is_killed() {
    let market = Supermarket::builder().hosts(2).start();
    let nap = Nap::new();
    market.upload(&Application::script("wait", "exec sleep \"$1\""));
    let call = market.cli_start(&["call", "wait", "--", &nap.seconds]);
    nap.wait_runs();
    let family = processes::tree(market.pid());
    assert!(family.len() > 4, "{family:?}");
    processes::signal(market.pid(), Signal::SIGKILL);
    wait_for(LONG, "all roles and programs are gone", || {
        let left: Vec<String> = family
            .iter()
            .filter(|process| process.lives())
            .map(|process| process.command_line())
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("; "))
        }
    });
    drop(call);
    market.stop();
}

#[test]
fn a_role_that_dies_is_started_again_where_it_was() {
    let market = Supermarket::builder().hosts(1).restarting().start();
    market.upload(&Application::script("echo", "cat"));
    for role in ["host-1", "ce-1", "control"] {
        let old = market.role_pid(role);
        processes::signal(old, Signal::SIGKILL);
        wait_for(LONG, &format!("{role} is there again"), || {
            let path = market.folder().join(role).join("ready.json");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if value["pid"]
                .as_u64()
                .is_some_and(|pid| pid != u64::from(old))
            {
                Ok(())
            } else {
                Err(text)
            }
        });
        wait_for(LONG, "a call is served", || {
            let run = market.cli_with(&["call", "echo"], role);
            if run.code == 0 && run.text() == role {
                Ok(())
            } else {
                Err(run.stderr)
            }
        });
    }
    assert!(
        market.said().contains("host-1 was ended by signal 9"),
        "{}",
        market.said()
    );
    market.stop();
}

#[test]
fn a_role_that_dies_stays_dead_if_told_so() {
    let market = Supermarket::builder().hosts(1).start();
    processes::signal(market.role_pid("host-1"), Signal::SIGKILL);
    wait_for(SHORT, "it is told", || {
        if market
            .said()
            .contains("host-1 was ended by signal 9 (SIGKILL) and stays dead")
        {
            Ok(())
        } else {
            Err(market.said())
        }
    });
    market.wait_resource("host-1", "away", |row| row["connected"] == false);
    market.stop();
}

#[test]
fn a_role_that_cannot_start_ends_all_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    // The controller's folder is a file.
    std::fs::write(folder.path().join("control"), "").unwrap();
    let mut command = Supermarket::builder().command(folder.path());
    command.stdin(Stdio::null());
    let run = Running::start(command, None).wait().exits(1);
    assert!(
        run.stderr.contains("control ended with exit code"),
        "{}",
        run.stderr
    );
    let left = processes::naming(folder.path());
    assert!(left.is_empty(), "{left:?}");
}
