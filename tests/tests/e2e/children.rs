//! Programs that misbehave: nothing of them outlives their call, nobody else
//! is hurt, and what ended them is told.

use std::{fs, time::Duration};

use gridmart_tests::{Application, LONG, SHORT, Supermarket, processes, wait_for};
use nix::sys::signal::Signal;

use crate::{nap::Nap, shared};

/// What a role may grow by while a program writes without end: far above what
/// is kept of it, far below what was written.
const GROWTH_MAX: u64 = 64 << 20;

#[track_caller]
fn assert_serves(market: &Supermarket) {
    let run = market.cli_with(&["call", "echo"], "well").ok();
    assert_eq!(run.text(), "well");
}

#[test]
fn a_child_that_daemonises_ends_with_its_call() {
    let market = shared();
    let nap = Nap::new();
    // Its own session and group, no parent, deaf to signals; it keeps stdout open.
    let daemon = format!(
        "setsid sh -c 'trap \"\" HUP INT TERM; (setsid sleep {0} &) ; exec sleep {0}' & sleep 0.2; echo over",
        nap.seconds
    );
    let run = market.cli(&["call", "shell", "--", &daemon]).ok();
    assert_eq!(run.text(), "over");
    nap.wait_gone();
    assert_serves(&market);
}

#[test]
fn a_child_that_forks_for_ever_is_ended_whole() {
    let market = shared();
    market.upload(
        &Application::script("bomb", "f() { f | f & }; f; sleep 60")
            .policy("WallTimeLimit", 3)
            .policy("ProcessCountLimit", 64),
    );
    let bomb = market.cli_start(&["call", "bomb", "--json"]);
    assert_serves(&market);
    let run = bomb.wait();
    assert_ne!(run.code, 0);
    assert_eq!(run.problem_code(), "limit-exceeded", "{}", run.stderr);
    assert_serves(&market);
    wait_for(LONG, "nothing of the bomb is left", || {
        let left: Vec<_> = market
            .processes()
            .into_iter()
            .filter(|process| process.command_line().contains("bin/run"))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{} processes", left.len()))
        }
    });
}

#[test]
fn ten_gibibytes_that_nobody_reads_are_not_kept() {
    let market = Supermarket::builder().hosts(1).start();
    market.upload(&Application::script(
        "flood",
        "exec head -c 10737418240 /dev/zero",
    ));
    market.upload(&Application::script("echo", "cat"));
    assert_serves(&market);
    let resident = |role: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", market.role_pid(role)));
        let status = status.expect("the role runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes.expect("the system tells") * 1024
    };
    let before = resident("host-1");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = market.client();
        let mut call = client.apps().call("flood").start().await.unwrap();
        let mut stdout = call.stdout();
        // The first bytes are read, the rest waits.
        let first = stdout.chunk().await.unwrap().expect("there is output");
        assert!(first.iter().all(|byte| *byte == 0));
        let shown = tokio::task::spawn_blocking({
            let pid = market.role_pid("host-1");
            move || {
                wait_for(SHORT, "the program waits for its reader", || {
                    let heads = processes::tree(pid)
                        .into_iter()
                        .filter(|process| process.command_line().starts_with("head -c"));
                    let states: Vec<String> = heads
                        .filter_map(|head| {
                            fs::read_to_string(format!("/proc/{}/wchan", head.pid)).ok()
                        })
                        .collect();
                    if states.iter().any(|state| {
                        state.contains("pipe") || state.contains("sock") || state == "0"
                    }) {
                        Ok(states)
                    } else {
                        Err(format!("{states:?}"))
                    }
                })
            }
        });
        shown.await.unwrap();
        assert_serves(&market);
        let end = call.cancel().await.unwrap();
        assert_eq!(
            end.state,
            gridmart_schemas::wire::record::CallState::Terminated
        );
        client.close().await;
    });
    let grown = resident("host-1").saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the Host grew by {} MiB", grown >> 20);
    assert_serves(&market);
    market.stop();
}

#[test]
fn a_child_that_fills_its_work_folder_is_ended_and_the_host_goes_on() {
    let market = Supermarket::builder()
        .hosts(1)
        .small_disk("host-1", 64)
        .start();
    // Each try that fails is followed by another, so that the disk stays full.
    let glutton = "while :; do head -c 300000 /dev/zero >> gorge 2>/dev/null || sleep 0.01; done";
    market.upload(&Application::script("glutton", glutton));
    market.upload(&Application::script("echo", "cat"));
    assert_serves(&market);
    let call = market.cli_start(&["call", "glutton", "--json"]);
    let run = call.wait().exits(1);
    assert_eq!(run.problem_code(), "limit-exceeded", "{}", run.stderr);
    assert!(run.stderr.contains("WorkingAreaFree"), "{}", run.stderr);
    wait_for(LONG, "there is room again", || {
        let run = market.cli_with(&["call", "echo"], "well");
        if run.code == 0 && run.text() == "well" {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    market.stop();
}

#[test]
fn a_child_that_ignores_term_is_killed_all_the_same() {
    let market = shared();
    let nap = Nap::new();
    let deaf = format!(
        "trap '' TERM INT HUP QUIT; echo deaf; sleep {} & wait; sleep 60",
        nap.seconds
    );
    let call = market.cli_start(&["call", "shell", "--json", "--", &deaf]);
    nap.wait_runs();
    let id = wait_for(LONG, "the call is listed", || {
        let shown: serde_json::Value = market.cli(&["show", "shell", "--json"]).ok().json();
        let activities = shown["activities"]["activities"].as_array().cloned();
        activities
            .unwrap_or_default()
            .iter()
            .find_map(|activity| activity["id"].as_str().map(str::to_owned))
            .ok_or_else(|| shown["activities"].to_string())
    });
    market.cli(&["kill", &id]).ok();
    let run = call.wait().exits(1);
    assert_eq!(run.problem_code(), "terminated", "{}", run.stderr);
    nap.wait_gone();
}

#[test]
fn a_child_that_closes_its_stdin_early_ends_as_it_likes() {
    let market = shared();
    let input = vec![b'x'; 32 << 20];
    let run = market.cli_with(
        &["call", "shell", "--", "exec <&-; echo done"],
        input.clone(),
    );
    assert_eq!(run.ok().text(), "done");
    let run = market.cli_with(&["call", "shell", "--", "head -c 3; exit 7"], input);
    assert_eq!(run.exits(7).text(), "xxx");
    assert_serves(&market);
}

#[test]
fn death_by_each_signal_is_told() {
    let market = shared();
    let deadly = Signal::iterator().filter(|signal| {
        !matches!(
            signal,
            Signal::SIGCHLD
                | Signal::SIGCONT
                | Signal::SIGSTOP
                | Signal::SIGTSTP
                | Signal::SIGTTIN
                | Signal::SIGTTOU
                | Signal::SIGURG
                | Signal::SIGWINCH
        )
    });
    let mut numbers: Vec<i32> = deadly.map(|signal| signal as i32).collect();
    // Real-time signals have no names.
    numbers.extend([34, 50, 64]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = market.client();
        for number in numbers {
            let script = format!("kill -{number} $$; sleep 1; echo alive");
            let call = client.apps().call("shell").arg(script);
            let output = call.output().await.unwrap();
            assert_eq!(output.end.signal, Some(number), "{:?}", output.end);
            assert!(output.stdout.is_empty() && output.end.exit_code.is_none());
        }
        client.close().await;
    });
    assert_serves(&market);
}

#[test]
fn a_child_that_stops_itself_meets_its_wall_time() {
    let market = shared();
    market.upload(&Application::script("halt", "kill -STOP $$").policy("WallTimeLimit", 2));
    let run = market.cli(&["call", "halt", "--json"]);
    assert_eq!(run.problem_code(), "limit-exceeded", "{}", run.stderr);
    assert!(run.took >= Duration::from_secs(2), "{:?}", run.took);
    assert_serves(&market);
}

#[test]
fn a_call_whose_sandbox_is_killed_is_told_so_or_is_made_again() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    let nap = Nap::new();
    market.upload(&Application::script("once", "exec sleep \"$1\""));
    // It naps only where nobody has killed it before.
    market.upload(&Application::script("again", "sleep 1; echo made").retryable(3));
    let call = market.cli_start(&["call", "once", "--json", "--", &nap.seconds]);
    nap.wait_runs();
    kill_sandboxes(&market);
    let run = call.wait().exits(1);
    assert_eq!(run.problem_code(), "sandbox-lost", "{}", run.stderr);
    nap.wait_gone();
    let call = market.cli_start(&["call", "again"]);
    wait_for(LONG, "the program runs", || {
        let runs = processes::tree(market.role_pid("host-1"))
            .into_iter()
            .any(|process| process.command_line() == "sleep 1");
        runs.then_some(()).ok_or_else(|| "it does not".to_owned())
    });
    kill_sandboxes(&market);
    assert_eq!(call.wait().ok().text(), "made");
    market.stop();
}

/// Kills every process below the Host.
fn kill_sandboxes(market: &Supermarket) {
    let host = market.role_pid("host-1");
    for process in processes::tree(host) {
        if process.pid != host {
            processes::signal(process.pid, Signal::SIGKILL);
        }
    }
}
