//! Progress on a terminal, and none anywhere else.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// What takes less time than this shows no bar.
const APPEARS_AFTER: Duration = Duration::from_millis(400);

/// A bar on stderr, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Counts bytes.
    pub(crate) fn bytes(output: Output, what: &'static str) -> Self {
        Self::new(output, what, "{prefix} {wide_bar} {bytes}/{total_bytes}")
    }

    /// Counts bytes, and tells how fast they come.
    pub(crate) fn transfer(output: Output, what: &'static str) -> Self {
        Self::new(
            output,
            what,
            "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
    }

    /// Counts things.
    pub(crate) fn count(output: Output, what: &'static str) -> Self {
        Self::new(
            output,
            what,
            "{prefix} {wide_bar} {pos}/{len} {msg} {elapsed}",
        )
    }

    fn new(output: Output, what: &'static str, template: &str) -> Self {
        if output.json() || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::no_length();
        bar.set_prefix(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// Shows how far it has come.
    pub(crate) fn set(&self, done: u64, total: Option<u64>, message: String) {
        let Some(bar) = &self.0 else { return };
        if bar.elapsed() < APPEARS_AFTER {
            return;
        }
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_message(message);
        bar.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
