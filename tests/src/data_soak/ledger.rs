//! What was acknowledged of each number, and what was broken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Instant,
};

use gridmart_schemas::data::Position;
use parking_lot::Mutex;

/// Broken promises that are kept word for word.
const FOUND_MAX: usize = 50;

/// A writer's number.
pub(super) type Name = (i32, i32);

#[derive(Debug, Default)]
struct Book {
    /// Where in the log those stand that were acknowledged.
    known: BTreeMap<Name, Position>,
    /// Those of which nobody knows whether they were committed.
    open: BTreeSet<Name>,
    counts: BTreeMap<String, u64>,
    found: Vec<String>,
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    book: Mutex<Book>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            book: Mutex::default(),
        }
    }
}

impl Ledger {
    /// A write was acknowledged.
    pub(super) fn done(&self, name: Name, position: Position) {
        self.book.lock().known.insert(name, position);
    }

    /// A write was tried, and nobody knows whether it was done.
    pub(super) fn open(&self, name: Name) {
        self.book.lock().open.insert(name);
    }

    /// Judges what a reader saw of a writer's numbers after `after`, of a copy at that
    /// position: all of what was acknowledged before it asked, up to there; nothing that
    /// was acknowledged beyond it.
    pub(super) fn judge(
        &self,
        asked: &BTreeMap<Name, Position>,
        seen: &BTreeSet<Name>,
        position: Position,
        who: &str,
    ) {
        let missing = asked
            .iter()
            .filter(|(name, at)| **at <= position && !seen.contains(*name));
        for (name, at) in missing {
            self.broken(format!(
                "{who} at position {position} does not show {name:?}, acknowledged at {at}"
            ));
        }
        let known = self.book.lock().known.clone();
        for name in seen {
            if let Some(at) = known.get(name).filter(|at| **at > position) {
                self.broken(format!(
                    "{who} at position {position} shows {name:?}, acknowledged at {at}"
                ));
            }
        }
    }

    /// What is acknowledged of a writer's numbers after `after`.
    pub(super) fn known(&self, lane: i32, after: i32) -> BTreeMap<Name, Position> {
        let book = self.book.lock();
        let range = (lane, after + 1)..=(lane, i32::MAX);
        book.known
            .range(range)
            .map(|(name, at)| (*name, *at))
            .collect()
    }

    /// Judges what is there at the end: what was acknowledged, and nothing but what was
    /// tried.
    pub(super) fn judge_all(&self, there: &BTreeSet<Name>) {
        let (known, open) = {
            let book = self.book.lock();
            (book.known.clone(), book.open.clone())
        };
        for (name, at) in known.iter().filter(|(name, _)| !there.contains(*name)) {
            self.broken(format!("{name:?}, acknowledged at {at}, is not there"));
        }
        for name in there {
            if !known.contains_key(name) && !open.contains(name) {
                self.broken(format!("{name:?} is there, and nobody wrote it"));
            }
        }
    }

    /// Counts something for the summary.
    pub(super) fn count(&self, what: impl Into<String>) {
        *self.book.lock().counts.entry(what.into()).or_default() += 1;
    }

    /// Notes a broken promise.
    pub(super) fn broken(&self, what: impl Into<String>) {
        let seconds = self.began.elapsed().as_secs_f64();
        let what = format!("{seconds:7.1} s: {}", what.into());
        eprintln!("broken: {what}");
        let mut book = self.book.lock();
        if book.found.len() < FOUND_MAX {
            book.found.push(what);
        }
    }

    /// How many writes were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.book.lock().known.len()
    }

    pub(super) fn is_broken(&self) -> bool {
        !self.book.lock().found.is_empty()
    }

    /// Gives the broken promises.
    pub(super) fn found(&self) -> Vec<String> {
        self.book.lock().found.clone()
    }

    /// Tells what was done, for people.
    pub(super) fn summary(&self) -> String {
        let seconds = self.began.elapsed().as_secs();
        let book = self.book.lock();
        let mut text = format!(
            "data soak: {seconds} s, {} writes acknowledged, {} open\n",
            book.known.len(),
            book.open.len()
        );
        // Writing to a String cannot fail.
        for (what, count) in &book.counts {
            let _ = writeln!(text, "  {count:>8}  {what}");
        }
        text
    }
}
