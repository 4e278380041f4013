//! What was acknowledged of each object, and what was broken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Instant,
};

use parking_lot::Mutex;

use super::content::Content;

/// Broken promises that are kept word for word.
const FOUND_MAX: usize = 50;

/// Bucket and key.
pub(super) type Name = (String, String);

/// What an object may be now. Each has one writer, which does one thing after
/// the other.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// By the last answer that was heard; none: it is not there.
    known: Option<Content>,
    /// By what was tried later and had no answer: what was on its way may have
    /// come to be, and may come to be still.
    open: BTreeSet<Option<Content>>,
}

#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<Name, Entry>,
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
    /// A put (or with none a delete) was acknowledged.
    pub(super) fn done(&self, name: &Name, content: Option<Content>) {
        self.book.lock().entry(name).known = content;
    }

    /// A put or a delete was tried, and nobody knows whether it was done.
    pub(super) fn open(&self, name: &Name, content: Option<Content>) {
        self.book.lock().entry(name).open.insert(content);
    }

    /// What it may be.
    pub(super) fn possible(&self, name: &Name) -> BTreeSet<Option<Content>> {
        let mut book = self.book.lock();
        let entry = book.entry(name);
        entry.open.iter().copied().chain([entry.known]).collect()
    }

    /// All that was ever tried in a bucket.
    pub(super) fn names(&self) -> Vec<Name> {
        self.book.lock().entries.keys().cloned().collect()
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

    pub(super) fn is_broken(&self) -> bool {
        !self.book.lock().found.is_empty()
    }

    /// Gives the broken promises.
    pub(super) fn found(&self) -> Vec<String> {
        self.book.lock().found.clone()
    }

    pub(super) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Tells what was done, for people.
    pub(super) fn summary(&self) -> String {
        let mut text = format!("storage soak: {} s\n", self.seconds());
        // Writing to a String cannot fail.
        for (what, count) in &self.book.lock().counts {
            let _ = writeln!(text, "  {count:>8}  {what}");
        }
        text
    }
}

impl Book {
    fn entry(&mut self, name: &Name) -> &mut Entry {
        self.entries.entry(name.clone()).or_default()
    }
}
