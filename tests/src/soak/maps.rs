//! Maps on the command line, whose own process is killed as well, and gone on
//! with: the same bytes come out.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{RngExt as _, rngs::StdRng};

use super::{STEADY, ledger::Ledger};
use crate::{
    run::{Run, Running},
    supermarket::Supermarket,
    wait::{LONG, wait_for},
};

/// Parts of one map.
const PARTS_MAX: u64 = 150;
/// Time for one map, with all that happens to it: afterwards something is wrong.
const MAP_MAX: Duration = Duration::from_mins(5);
/// Pause after a refusal: whoever is refused tries again, but not at once.
const REFUSED_PAUSE: Duration = Duration::from_millis(300);
/// Longest life of the process of a map that is killed.
const LIFE_MAX: f64 = 6.0;
/// Characters of what a map says that the summary shows.
const SAID_CHARACTERS: usize = 60;
/// Exit codes after which a map is gone on with: parts that failed, refused,
/// not reachable.
const GO_ON_CODES: &[i32] = &[1, 3, 5];

/// Maps until it is over.
pub(super) fn go_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, mut dice: StdRng) {
    while !over.load(Ordering::Relaxed) {
        let folder = tempfile::tempdir_in(market.scratch()).expect("a folder can be made");
        let folder = folder.path();
        let parts = dice.random_range(1..=PARTS_MAX);
        let input = folder.join("input");
        let numbers: Vec<String> = (0..parts).map(|number| number.to_string()).collect();
        fs::write(&input, numbers.join("\n")).expect("a file can be written");
        match map(market, ledger, folder, &mut dice) {
            Ok(()) if fs::read(folder.join("result")).is_ok_and(|it| it == wanted(parts)) => {
                ledger.count("map: right");
            }
            Ok(()) => ledger.broken(format!("a map of {parts} parts gave other bytes")),
            Err(error) => ledger.broken(error),
        }
    }
}

fn wanted(parts: u64) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..parts {
        let width = usize::try_from(number * 37).unwrap_or(usize::MAX);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "part {number}\n{}", "x".repeat(width));
    }
    text.into_bytes()
}

/// Runs one map, as often as it takes.
fn map(
    market: &Supermarket,
    ledger: &Ledger,
    folder: &Path,
    dice: &mut StdRng,
) -> Result<(), String> {
    let (mut said, mut job) = (String::new(), false);
    let began = Instant::now();
    while began.elapsed() < MAP_MAX {
        let words: &[&str] = if job {
            &["retry", "last", "--output", "result", "--failed"]
        } else {
            &["map", STEADY, "--input", "input", "--output", "result"]
        };
        // A map that was interrupted goes on; one with failed parts runs these.
        let words = match (job, said.contains("parts-failed")) {
            (true, false) => &words[..4],
            _ => words,
        };
        let lives = dice
            .random_ratio(1, 3)
            .then(|| dice.random_range(0.0..LIFE_MAX));
        let Some(run) = run(
            command(market, folder, words),
            lives.map(Duration::from_secs_f64),
        ) else {
            ledger.count("map: its process was killed");
            job = job_is_there(folder);
            continue;
        };
        match run.code {
            0 => return Ok(()),
            code if GO_ON_CODES.contains(&code) => ledger.count(format!(
                "map: exit code {code}: {}",
                first_line(&run.stderr)
            )),
            code => return Err(format!("a map ended with {code}: {}", run.stderr)),
        }
        said = run.stderr;
        thread::sleep(REFUSED_PAUSE);
        job = job_is_there(folder);
    }
    Err(format!("a map has not ended in {MAP_MAX:?}; last: {said}"))
}

/// The maps of this lane are its own, so that `last` means the right one.
fn command(market: &Supermarket, folder: &Path, words: &[&str]) -> Command {
    let mut command = market.command(words);
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_DATA_HOME", folder.join("share"));
    command
}

fn first_line(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("gridmart:"));
    let line = line.or_else(|| said.lines().last()).unwrap_or_default();
    line.chars().take(SAID_CHARACTERS).collect()
}

/// A process that is killed early may not have begun a map yet.
fn job_is_there(folder: &Path) -> bool {
    fs::read_dir(folder.join("share/gridmart/jobs"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .any(|entry| entry.path().join("job.json").is_file())
}

/// Runs a command to its end, or kills it after its life.
fn run(command: Command, lives: Option<Duration>) -> Option<Run> {
    let mut running = Running::start(command, None);
    let began = Instant::now();
    if let Some(lives) = lives {
        let ended = wait_for(LONG, "the end of a map, or of its life", || {
            if running.has_ended() {
                Ok(true)
            } else if began.elapsed() >= lives {
                Ok(false)
            } else {
                Err("it runs".to_owned())
            }
        });
        if !ended {
            running.signal(Signal::SIGKILL);
            let _ = running.wait();
            return None;
        }
    }
    Some(running.wait())
}
