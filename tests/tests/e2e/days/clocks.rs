//! Clocks that are an hour wrong, and that are set while calls run.

use std::{io::Write as _, process::Stdio, sync::Arc};

use gridmart_tests::{Application, Change, Clock, LONG, Running, Supermarket, processes, wait_for};

use super::{wait_connected, wait_served};

const HOUR: i64 = 3600;
const ROLES: [&str; 3] = ["control", "ce-1", "host-1"];

/// Roles that live by clocks of their own, and a call that goes on meanwhile.
struct Scene {
    market: Supermarket,
    /// In the order of [`ROLES`].
    clocks: Vec<Clock>,
    call: std::process::Child,
}

impl Scene {
    fn start() -> Self {
        let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
        let clocks: Vec<Clock> = ROLES.iter().map(|_| Clock::right()).collect();
        for (role, clock) in ROLES.iter().zip(&clocks) {
            market.replace(role, &Change::none().clock(clock));
        }
        wait_connected(&market, "host-1");
        market.upload(&Application::script("echo", "cat"));
        market.upload(&Application::script(
            "gate",
            "while read -r line; do echo \"$line\"; done; echo closed",
        ));
        wait_served(&market);
        let mut command = market.command(&["call", "gate", "--json", "--input", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let call = processes::spawn(command).unwrap();
        super::wait_runs_on(&market, "gate");
        Self {
            market,
            clocks,
            call,
        }
    }

    /// Sets the clock of one role; the call has to go on.
    fn set(&mut self, role: usize, offset: i64) {
        self.clocks[role].set(offset);
        let line = format!("{} {offset}\n", ROLES[role]);
        let mut stdin = self.call.stdin.as_ref().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        assert!(self.call.try_wait().unwrap().is_none(), "the call goes on");
    }

    /// Demands that new calls are refused for their ticket, and that the
    /// refusal tells by how much clocks differ.
    #[track_caller]
    fn demand_refused(&self, offset: i64) {
        let market = &self.market;
        let said = wait_for(LONG, "a new call is refused", || {
            let run = market.cli_with(&["call", "echo", "--json"], "on");
            if run.code == 3 && run.problem_code() == "ticket-expired" {
                Ok(run.stderr)
            } else {
                Err(format!("{} {}", run.code, run.stderr))
            }
        });
        // The machines' clocks, a second more or less.
        let around = [HOUR - 2, HOUR - 1, HOUR, HOUR + 1, HOUR + 2];
        let told = around
            .iter()
            .any(|seconds| said.contains(&format!("{seconds} s")));
        assert!(told, "{offset}: {said}");
    }

    fn end(mut self) {
        drop(self.call.stdin.take());
        let output = self.call.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut wanted: String = ROLES
            .iter()
            .flat_map(|role| [HOUR, -HOUR, 0].map(|offset| format!("{role} {offset}\n")))
            .collect();
        wanted.push_str("closed\n");
        assert_eq!(value["stdout"], wanted);
        let id = value["call"].as_str().unwrap().to_owned();
        wait_for(LONG, "the call was reported", || {
            let text = self.market.cli(&["show", "gate", "--json"]).ok().text();
            if text.contains(&id) {
                Ok(())
            } else {
                Err(text)
            }
        });
        let audit: serde_json::Value = self.market.cli(&["audit", "--json"]).ok().json();
        assert!(audit["items"].as_array().unwrap().len() >= 2, "{audit}");
        self.market.stop();
    }
}

#[test]
fn a_clock_that_is_an_hour_off_stops_new_calls_alone_and_says_so() {
    let mut scene = Scene::start();
    for role in 0..ROLES.len() {
        for offset in [HOUR, -HOUR] {
            scene.set(role, offset);
            scene.demand_refused(offset);
            for name in ["ce-1", "host-1"] {
                wait_connected(&scene.market, name);
            }
        }
        scene.set(role, 0);
        wait_served(&scene.market);
    }
    scene.end();
}

#[test]
fn a_program_whose_clock_is_an_hour_off_calls_as_any_other() {
    let market = Supermarket::builder().hosts(1).start();
    market.upload(&Application::script("echo", "cat"));
    for offset in [HOUR, -HOUR] {
        let clock = Clock::right();
        clock.set(offset);
        let mut command = market.command(&["call", "echo"]);
        command.envs(clock.variables());
        let run = Running::start(command, Some(b"on".to_vec())).wait().ok();
        assert_eq!(run.text(), "on");
    }
    market.stop();
}

#[test]
fn a_node_whose_clock_is_an_hour_off_starts_and_joins() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    for offset in [HOUR, -HOUR] {
        let clock = Arc::new(Clock::right());
        clock.set(offset);
        for role in ["host-1", "ce-1"] {
            market.replace(role, &Change::none().clock(&clock));
        }
        for name in ["ce-1", "host-1"] {
            wait_connected(&market, name);
        }
    }
    market.stop();
}
