//! How a supermarket ends: nothing of it is left.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::Supermarket;
use crate::processes::{self, Identity};

/// Variable that marks the processes of one supermarket.
pub(super) const MARK: &str = "GRIDMART_TEST_SUPERMARKET";
/// How long everything may take to end after it was told to.
const END_MAX: Duration = Duration::from_secs(30);
/// How long what has lost its parent may take to be gone.
const LEFT_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(10);
/// Lines of each log that are shown after a failure.
const LOG_LINES: usize = 25;

impl Supermarket {
    /// Ends it as an operator does, and demands that it ends well and that
    /// nothing is left.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let mut known = self.processes();
        let Some(up) = self.up.take() else { return };
        let roles = std::mem::take(self.roles.get_mut());
        known.extend(roles.orphans);
        let mut children: Vec<Child> = roles.restarted.into_values().chain([up]).collect();
        let faults = [end_all(&mut children), self.clear_up(known)].concat();
        if !faults.is_empty() || thread::panicking() {
            eprintln!("{}", self.report());
        }
        assert!(
            faults.is_empty() || thread::panicking(),
            "{}",
            faults.join("\n")
        );
    }

    /// Waits until nothing is left; kills what is.
    fn clear_up(&self, mut known: BTreeSet<Identity>) -> Vec<String> {
        let deadline = Instant::now() + LEFT_MAX;
        loop {
            known.retain(|process| process.lives());
            known.extend(processes::naming(&self.folder));
            known.extend(processes::with_variable(MARK, &self.mark));
            if known.is_empty() || Instant::now() >= deadline {
                break;
            }
            thread::sleep(POLL);
        }
        for process in &known {
            processes::signal(process.pid, Signal::SIGKILL);
        }
        known
            .iter()
            .map(|process| format!("left behind: {process:?}"))
            .collect()
    }

    /// What a person needs to understand a failure.
    fn report(&self) -> String {
        let mut text = format!("--- supervisor ---\n{}", last_lines(&self.said()));
        for entry in fs::read_dir(self.seen("logs"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let log =
                String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned();
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n--- {} ---\n{}",
                entry.file_name().display(),
                last_lines(&log)
            );
        }
        text
    }
}

impl Drop for Supermarket {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks children to end, the supervisor last among them, and tells what is
/// wrong with how they do. One that had ended before is not asked how.
fn end_all(children: &mut [Child]) -> Vec<String> {
    let mut running: Vec<&mut Child> = children
        .iter_mut()
        .filter_map(|child| (ended(child).is_none()).then_some(child))
        .collect();
    for child in &running {
        processes::signal(child.id(), Signal::SIGTERM);
        // A frozen one has to go on to end.
        processes::signal(child.id(), Signal::SIGCONT);
    }
    let deadline = Instant::now() + END_MAX;
    let mut faults = Vec::new();
    while !running.is_empty() {
        running.retain_mut(|child| match ended(child) {
            Some(status) if !status.success() => {
                faults.push(format!(
                    "process {} was told to end and ended with {status}",
                    child.id()
                ));
                false
            }
            status => status.is_none(),
        });
        if Instant::now() >= deadline {
            break;
        }
        thread::sleep(POLL);
    }
    for child in running {
        faults.push(format!(
            "process {} did not end within {} s",
            child.id(),
            END_MAX.as_secs()
        ));
        // Both fail only when it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }
    faults
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("a child can be asked")
}

/// Gives the last lines of a log.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
