//! Calls: what goes in, what comes out, and how they end.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use gridmart_tests::{Application, SHORT, Supermarket, processes, wait_for};
use nix::sys::signal::Signal;

use crate::{nap::Nap, shared};

#[test]
fn bytes_go_through_unchanged() {
    let market = shared();
    let bytes: Vec<u8> = (0..750_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let run = market.cli_with(&["call", "echo"], bytes.clone()).ok();
    assert!(
        run.stdout == bytes,
        "{} bytes came back of {}",
        run.stdout.len(),
        bytes.len()
    );
}

#[test]
fn stdout_stderr_and_exit_code_are_the_programs() {
    let market = shared();
    let run = market
        .cli(&["call", "shell", "--", "echo out; echo err >&2; exit 7"])
        .exits(7);
    assert_eq!(run.text(), "out");
    assert_eq!(run.stderr, "err\n");
}

#[test]
fn a_signal_is_told_as_a_shell_does() {
    let market = shared();
    market
        .cli(&["call", "shell", "--", "kill -SEGV $$"])
        .exits(128 + 11)
        .says("signal 11");
}

#[test]
fn arguments_keep_blanks_and_emptiness() {
    let market = shared();
    market.upload(&Application::script(
        "arguments",
        "for word in \"$@\"; do printf '[%s]' \"$word\"; done",
    ));
    let run = market
        .cli(&["call", "arguments", "--", "a b", "", "--x", "é\n"])
        .ok();
    assert_eq!(run.stdout, "[a b][][--x][é\n]".as_bytes());
}

#[test]
fn the_environment_is_what_was_asked_for_and_nothing_of_the_host() {
    let market = shared();
    let run = market
        .cli(&["call", "shell", "--env", "COLOUR=dark red", "--", "env"])
        .ok();
    let text = run.text();
    assert!(text.lines().any(|line| line == "COLOUR=dark red"), "{text}");
    assert!(
        !text.contains("GRIDMART_TOKEN") && !text.contains("CARGO"),
        "{text}"
    );
}

#[test]
fn output_comes_while_the_program_runs() {
    let market = shared();
    let mut command = market.command(&["call", "shell", "--", "echo first; exec sleep 600"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = processes::spawn(command).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The program goes on for ten minutes: the line can only have come before its end.
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    processes::signal(child.id(), Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn ctrl_c_ends_the_remote_process_tree() {
    let market = shared();
    let (child, grandchild) = (Nap::new(), Nap::new());
    let script = format!(
        "(setsid sleep {} &) ; sleep {}",
        grandchild.seconds, child.seconds
    );
    let running = market.cli_start(&["call", "shell", "--", &script]);
    child.wait_runs();
    grandchild.wait_runs();
    running.signal(Signal::SIGINT);
    running.wait().exits(130);
    child.wait_gone();
    grandchild.wait_gone();
}

#[test]
fn what_a_call_leaves_running_is_ended_with_it() {
    let market = shared();
    let left = Nap::new();
    let script = format!("setsid sleep {} >/dev/null 2>&1 & exit 0", left.seconds);
    market.cli(&["call", "shell", "--", &script]).ok();
    left.wait_gone();
}

#[test]
fn json_tells_the_whole_call() {
    let market = shared();
    let value: serde_json::Value = market
        .cli(&["call", "shell", "--json", "--", "printf out; exit 3"])
        .exits(3)
        .json();
    assert_eq!(
        (value["stdout"].as_str(), value["encoding"].as_str()),
        (Some("out"), Some("utf-8"))
    );
    assert_eq!(
        (
            value["end"]["exit_code"].as_i64(),
            value["end"]["state"].as_str()
        ),
        (Some(3), Some("Finished"))
    );
}

#[test]
fn a_wall_time_limit_ends_a_call_and_is_named() {
    let market = shared();
    market.upload(&Application::script("slow", "sleep 600").policy("WallTimeLimit", 1));
    let run = market.cli(&["call", "slow", "--json"]).exits(1);
    assert_eq!(run.problem_code(), "limit-exceeded");
    assert!(
        run.stderr.contains("WallTimeLimit") || run.stderr.contains("wall"),
        "{}",
        run.stderr
    );
    assert!(run.took < Duration::from_mins(1));
}

#[test]
fn a_program_that_cannot_be_started_is_told_clearly() {
    let market = shared();
    market.upload(&Application::program("absent", "bin/absent"));
    let run = market.cli(&["call", "absent", "--json"]).exits(1);
    assert_eq!(run.problem_code(), "start-failed");
}

#[test]
fn an_application_is_found_by_what_it_does() {
    let market = shared();
    market.upload(&Application::script("adder", "echo $((1 + 2))").capability("addition", "2.1"));
    assert_eq!(
        market
            .cli(&["call", "--need", "capability=addition/2.1"])
            .ok()
            .text(),
        "3"
    );
}

#[test]
fn logs_show_what_was_printed_to_stderr() {
    let market = shared();
    market.upload(&Application::script("noisy", "echo noise-on-stderr >&2"));
    market.cli(&["call", "noisy"]).ok();
    wait_for(SHORT, "the line is in the logs", || {
        let text = market.cli(&["logs", "noisy"]).ok().text();
        if text.contains("noise-on-stderr") {
            Ok(())
        } else {
            Err(text)
        }
    });
}

#[test]
fn a_call_is_recorded_and_explained() {
    let market = shared();
    let value: serde_json::Value = market.cli(&["call", "echo", "--json"]).ok().json();
    let call = value["call"].as_str().unwrap();
    wait_for(SHORT, "the call is recorded", || {
        let text = market.cli(&["show", "echo"]).ok().text();
        if text.contains(call) {
            Ok(())
        } else {
            Err(text)
        }
    });
    let explanation: serde_json::Value = market.cli(&["explain", call, "--json"]).ok().json();
    assert!(
        !explanation["candidates"].as_array().unwrap().is_empty(),
        "{explanation}"
    );
}

#[test]
fn the_example_of_init_works() {
    let market = shared();
    let folder = market.scratch().join("first-steps");
    let path = folder.to_string_lossy();
    market.cli(&["init", &path]).ok();
    market.cli(&["init", &path]).exits(1).says("not empty");
    market.cli(&["upload", &path]).ok();
    assert_eq!(
        market
            .cli_with(&["call", "first-steps"], "one two three")
            .ok()
            .text(),
        "3"
    );
    let input = market.scratch().join("words.txt");
    std::fs::write(&input, "one two\n\nthree\nfour five six\n").unwrap();
    assert_eq!(
        market
            .cli(&["map", "first-steps", "--input", &input.to_string_lossy()])
            .ok()
            .text(),
        "6"
    );
}

#[test]
fn an_upload_again_is_the_same_and_other_content_is_refused() {
    let market = shared();
    let application = Application::script("twice", "echo one");
    let first: serde_json::Value = upload(&market, &application).ok().json();
    let again: serde_json::Value = upload(&market, &application).ok().json();
    assert_eq!(
        (first["created"].as_bool(), again["created"].as_bool()),
        (Some(true), Some(false))
    );
    let changed = upload(&market, &Application::script("twice", "echo two")).exits(3);
    assert_eq!(changed.problem_code(), "version-exists");
    upload(
        &market,
        &Application::script("twice", "echo two").version("1.1"),
    )
    .ok();
    assert_eq!(market.cli(&["call", "twice@1.1"]).ok().text(), "two");
    assert_eq!(market.cli(&["call", "twice@1.0"]).ok().text(), "one");
}

fn upload(market: &Supermarket, application: &Application) -> gridmart_tests::Run {
    let parent = tempfile::tempdir().unwrap();
    let folder = application.write(parent.path());
    market.cli(&["upload", "--json", &folder.to_string_lossy()])
}
