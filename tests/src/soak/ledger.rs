//! What was promised, by whom it was heard, and what was broken.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use gridmart_schemas::{id::CallId, wire::record::CallEnd};
use parking_lot::Mutex;

use crate::{processes::Identity, supermarket::Supermarket};

/// Broken promises that are kept word for word.
const FOUND_MAX: usize = 50;

/// How one call went, as its caller saw it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It ended on its Host.
    Ended(CallEnd),
    /// It failed by the system's fault.
    Failed,
    /// Its caller went away.
    Left,
}

/// One call that was begun.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    /// It may have run more than once.
    pub(super) again: bool,
    pub(super) outcome: Outcome,
}

/// An act of the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// `start`, `stop` or `kill`, and of what.
    Command(&'static str, String),
    /// A person was made.
    Person(String),
    /// A version of an application was put on the shelf.
    Version(String),
}

#[derive(Debug, Default)]
struct Book {
    calls: Vec<Call>,
    /// How often each outcome was seen.
    counts: BTreeMap<String, u64>,
    /// In the order in which they were acknowledged.
    acts: Vec<Act>,
    /// Those whose answer was lost: they may have been done or not.
    uncertain: Vec<Act>,
    found: Vec<String>,
    broken: u64,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    began: Instant,
    book: Mutex<Book>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            book: Mutex::default(),
        }
    }

    /// Counts something for the summary.
    pub(super) fn count(&self, what: impl Into<String>) {
        *self.book.lock().counts.entry(what.into()).or_default() += 1;
    }

    /// Notes a broken promise.
    pub(super) fn broken(&self, what: impl Into<String>) {
        let what = format!("{:7.1} s: {}", self.elapsed().as_secs_f64(), what.into());
        eprintln!("broken: {what}");
        let mut book = self.book.lock();
        book.broken += 1;
        if book.found.len() < FOUND_MAX {
            book.found.push(what);
        }
    }

    pub(super) fn call(&self, call: Call) {
        self.book.lock().calls.push(call);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.book.lock().calls.clone()
    }

    pub(super) fn done(&self, act: Act) {
        self.book.lock().acts.push(act);
    }

    pub(super) fn uncertain(&self, act: Act) {
        self.book.lock().uncertain.push(act);
    }

    /// Gives the acts that were acknowledged, and those that may have been done.
    pub(super) fn acts(&self) -> (Vec<Act>, Vec<Act>) {
        let book = self.book.lock();
        (book.acts.clone(), book.uncertain.clone())
    }

    /// Tells whether anything was broken so far.
    pub(super) fn is_broken(&self) -> bool {
        self.book.lock().broken > 0
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Gives the broken promises.
    pub fn faults_found(&self) -> Vec<String> {
        self.book.lock().found.clone()
    }

    /// Tells what was done, for people.
    pub(super) fn summary(&self, market: &Supermarket) -> String {
        let mut text = format!("soak: {:.0} s\n", self.elapsed().as_secs_f64());
        // Writing to a String cannot fail.
        for (what, count) in &self.book.lock().counts {
            let _ = writeln!(text, "  {count:>8}  {what}");
        }
        for role in market.role_names() {
            let memory = Identity::of(market.role_pid(&role)).and_then(Identity::memory);
            let resident = memory.unwrap_or_default().resident >> 20;
            let _ = writeln!(text, "  {resident:>5} MiB  resident: {role}");
        }
        text
    }
}
