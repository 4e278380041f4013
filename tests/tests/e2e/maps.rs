//! Maps: split, run, merge; the same bytes whatever the number of Hosts.

use std::time::{Duration, Instant};

use gridmart_tests::{Application, LONG, Run, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;

use crate::shared;

/// Numbers in, their squares out, each part alone; sums and lists in order.
fn squares() -> Application {
    Application::script("squares", "read n; echo $((n * n))")
        .split("cat")
        .merge("cat")
        .retryable(3)
}

fn numbers(market: &Supermarket, count: u32) -> String {
    let path = market.scratch().join(format!("numbers-{count}.txt"));
    let text: String = (0..count).map(|n| format!("{n}\n")).collect();
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

fn expected(count: u32) -> String {
    (0..count).map(|n| format!("{}\n", n * n)).collect()
}

#[test]
fn parts_are_split_run_and_merged_in_order() {
    let market = shared();
    market.upload(&squares());
    let input = numbers(&market, 300);
    let report = market.scratch().join("report.json");
    let run = market
        .cli(&[
            "map",
            "squares",
            "--input",
            &input,
            "--report",
            &report.to_string_lossy(),
        ])
        .ok();
    assert_eq!(String::from_utf8(run.stdout).unwrap(), expected(300));
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["parts"], 300);
    let hosts = report["hosts"].as_array().unwrap();
    let shares: u64 = hosts
        .iter()
        .map(|host| host["parts"].as_u64().unwrap())
        .sum();
    assert_eq!(shares, 300, "{report}");
}

#[test]
fn one_host_gives_the_same_bytes() {
    let market = shared();
    market.upload(&squares().version("2.0"));
    let input = numbers(&market, 60);
    let one = market
        .cli(&["map", "squares@2.0", "--input", &input, "--hosts", "1"])
        .ok();
    let all = market.cli(&["map", "squares@2.0", "--input", &input]).ok();
    assert_eq!(one.stdout, all.stdout);
    assert_eq!(String::from_utf8(one.stdout).unwrap(), expected(60));
}

#[test]
fn ready_made_parts_come_from_lines_or_files() {
    let market = shared();
    market.upload(&Application::script("upper", "tr a-z A-Z"));
    let lines = market.scratch().join("parts.jsonl");
    std::fs::write(&lines, "\"a\"\n\"b\"\n\"c\"\n").unwrap();
    let run = market
        .cli(&["map", "upper", "--inputs", &lines.to_string_lossy()])
        .ok();
    assert_eq!(
        run.text()
            .matches(|letter: char| letter.is_ascii_uppercase())
            .collect::<String>(),
        "ABC"
    );
    let folder = market.scratch().join("parts");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [("1", "x\n"), ("2", "y\n"), ("3", "z\n")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let run = market
        .cli(&["map", "upper", "--inputs", &folder.to_string_lossy()])
        .ok();
    assert_eq!(run.text(), "X\nY\nZ");
}

#[test]
fn failed_parts_are_reported_with_their_stderr_and_run_again_alone() {
    let market = shared();
    let script = "read n; if [ \"$n\" = 3 ]; then echo \"three is bad\" >&2; exit 4; fi; echo $n";
    market.upload(
        &Application::script("picky", script)
            .split("cat")
            .merge("cat"),
    );
    let input = numbers(&market, 6);
    let run: Run = market.cli(&["map", "picky", "--input", &input]).exits(1);
    assert!(
        run.stderr.contains("three is bad") && run.stderr.contains("parts-failed"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.is_empty(),
        "no result is given when parts failed"
    );
    let report = market.scratch().join("picky.json");
    let again = market
        .cli(&[
            "retry",
            "last",
            "--failed",
            "--report",
            &report.to_string_lossy(),
        ])
        .exits(1);
    assert!(again.stderr.contains("three is bad"), "{}", again.stderr);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["failed"][0]["part"], 3);
}

#[test]
fn a_part_that_is_well_again_completes_the_map() {
    let market = shared();
    // Each call has an empty place of its own, so only the clock tells a
    // program that time has passed.
    let script = "read n; [ \"$n\" != 3 ] || [ \"$(date +%s)\" -ge \"$1\" ] || exit 4; echo $n";
    market.upload(
        &Application::script("moody", script)
            .split("cat")
            .merge("cat"),
    );
    let input = numbers(&market, 6);
    let now = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let well = now() + 40;
    let report = market.scratch().join("moody.json");
    let told = report.to_string_lossy();
    let deadline = well.to_string();
    market
        .cli(&[
            "map", "moody", &deadline, "--input", &input, "--report", &told,
        ])
        .exits(1);
    let first: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let job = first["job"].as_str().unwrap();
    wait_for(LONG, "the part is well again", || {
        if now() >= well {
            Ok(())
        } else {
            Err(format!("{} s to go", well - now()))
        }
    });
    let run = market
        .cli(&["retry", job, "--failed", "--report", &told])
        .ok();
    assert_eq!(run.text(), "0\n1\n2\n3\n4\n5");
    let again: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(
        (again["job"].as_str(), again["done"].as_u64()),
        (Some(job), Some(6)),
        "{again}"
    );
}

/// Slots of the supermarket that interruptions are tested on.
const SLOTS: usize = 4;
/// Parts that have to have ended on their Hosts before the interruption.
const ENDED_BEFORE: usize = 12;
/// Of these, and of those that run, so many may have their results not on the
/// client's disk yet: a round that runs, and the one that has just ended.
const ON_THEIR_WAY_MAX: usize = 2 * SLOTS;
const PARTS: u32 = 40;
/// How long an Element waits for a client that is lost.
const GRACE: Duration = Duration::from_secs(30);

/// A map whose every run of a part leaves a line in the application's log:
/// `ran N`, and `end N` once the part is done.
struct Steady {
    market: Supermarket,
    input: String,
}

impl Steady {
    fn new() -> Self {
        let market = Supermarket::builder().hosts(2).slots(Some(2)).start();
        let script = "read n; echo \"ran $n\" >&2; sleep 0.5; echo \"end $n\" >&2; echo $n";
        market.upload(
            &Application::script("steady", script)
                .split("cat")
                .merge("cat")
                .retryable(3),
        );
        let input = numbers(&market, PARTS);
        Self { market, input }
    }

    /// The parts of which the log has such a line, each as often as it has.
    fn logged(&self, word: &str) -> Vec<u32> {
        let text = self.market.cli(&["logs", "steady"]).ok().text();
        let mut parts: Vec<u32> = text
            .lines()
            .filter_map(|line| line.split_once(&format!(" {word} "))?.1.parse().ok())
            .collect();
        parts.sort_unstable();
        parts
    }

    /// Begins the map, and waits until some parts are done and others run.
    fn begin(&self) -> Running {
        let running = self
            .market
            .cli_start(&["map", "steady", "--input", &self.input]);
        wait_for(LONG, "some parts are done", || {
            let ended = self.logged("end").len();
            if ended >= ENDED_BEFORE {
                Ok(())
            } else {
                Err(format!("{ended} parts have ended"))
            }
        });
        running
    }

    /// Goes on with it, and demands the same bytes, that no part runs again
    /// whose result was on disk, and that each result counts once.
    fn goes_on(self) {
        let report = self.market.scratch().join("report.json");
        let told = report.to_string_lossy();
        let run = self.market.cli(&["retry", "last", "--report", &told]).ok();
        let wanted: String = (0..PARTS).map(|n| format!("{n}\n")).collect();
        assert_eq!(String::from_utf8(run.stdout).unwrap(), wanted);

        let ran = self.logged("ran");
        let mut again = ran.clone();
        again.dedup();
        assert_eq!(again, (0..PARTS).collect::<Vec<_>>(), "every part ran");
        assert!(
            ran.len() <= again.len() + ON_THEIR_WAY_MAX,
            "only what was on its way runs again: {ran:?}"
        );

        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let number = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let shares: usize = report["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| number(&host["parts"]))
            .sum();
        let total = PARTS as usize;
        assert_eq!(number(&report["done"]), total, "{report}");
        let kept = total - shares;
        assert!(
            kept >= ENDED_BEFORE - ON_THEIR_WAY_MAX,
            "{kept} results were kept; {report}"
        );
        assert_eq!(
            number(&report["attempts"]),
            total - kept,
            "what was kept has not run again: {report}"
        );
        self.market.stop();
    }
}

#[test]
fn an_interrupted_map_is_gone_on_with() {
    let steady = Steady::new();
    let running = steady.begin();
    running.signal(Signal::SIGINT);
    running.wait().exits(130).says("gridmart retry");
    steady.goes_on();
}

#[test]
fn a_map_whose_client_was_killed_is_gone_on_with() {
    let steady = Steady::new();
    let running = steady.begin();
    running.signal(Signal::SIGKILL);
    running.wait().exits(128 + 9);
    let began = Instant::now();
    // The dead client's slots are free for its successor at once: the grace of
    // 30 s for lost clients is not waited for.
    steady.goes_on();
    assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
}

#[test]
fn a_map_of_no_parts_is_a_result_too() {
    let market = shared();
    market.upload(
        &Application::script("counter", "cat")
            .split("cat")
            .merge("wc -l")
            .version("1.0"),
    );
    let input = market.scratch().join("empty.txt");
    std::fs::write(&input, "").unwrap();
    assert_eq!(
        market
            .cli(&["map", "counter", "--input", &input.to_string_lossy()])
            .ok()
            .text()
            .trim(),
        "0"
    );
}
