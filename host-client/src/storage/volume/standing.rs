//! Whether the volume takes changes.
//!
//! One failure costs a segment and nothing more; when the next try fails as
//! well, the volume is read-only. From then on one change in a while goes
//! through as a trial; one that succeeds ends it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::VolumeError;

/// Failures in a row from which on the volume is read-only.
const FAILURES_BORNE: u32 = 1;

#[derive(Debug)]
pub(crate) struct Standing {
    /// Something has failed since the last success.
    is_troubled: AtomicBool,
    trouble: Mutex<Trouble>,
    retry_pause: Duration,
}

#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    why: String,
    tried: Option<Instant>,
}

impl Trouble {
    const fn is_read_only(&self) -> bool {
        self.failures > FAILURES_BORNE
    }
}

impl Standing {
    pub(crate) fn new(retry_pause: Duration) -> Self {
        Self {
            is_troubled: AtomicBool::new(false),
            trouble: Mutex::default(),
            retry_pause,
        }
    }

    /// Lets a change go on, if it may: as a trial, if it is time for one.
    pub(crate) fn require(&self) -> Result<(), VolumeError> {
        if !self.is_troubled.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut trouble = self.trouble.lock();
        let is_time = trouble
            .tried
            .is_none_or(|tried| tried.elapsed() >= self.retry_pause);
        if trouble.is_read_only() && !is_time {
            return Err(VolumeError::ReadOnly {
                why: trouble.why.clone(),
            });
        }
        trouble.tried = Some(Instant::now());
        Ok(())
    }

    /// Why the volume is read-only, if it is.
    pub(crate) fn complaint(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.is_read_only().then(|| trouble.why.clone())
    }

    /// A write or a sync has failed.
    pub(crate) fn on_failure(&self, error: &VolumeError) {
        let mut trouble = self.trouble.lock();
        let was_read_only = trouble.is_read_only();
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.why = match error {
            VolumeError::Disk { source, .. } => format!("{error}: {source}"),
            other => other.to_string(),
        };
        trouble.tried = Some(Instant::now());
        self.is_troubled.store(true, Ordering::Release);
        if trouble.is_read_only() && !was_read_only {
            tracing::error!(why = trouble.why, "the volume is read-only");
        }
    }

    /// A change is durable.
    pub(crate) fn on_success(&self) {
        if !self.is_troubled.load(Ordering::Acquire) {
            return;
        }
        let mut trouble = self.trouble.lock();
        if trouble.is_read_only() {
            tracing::info!("the volume takes changes again");
        }
        *trouble = Trouble::default();
        self.is_troubled.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn failure() -> VolumeError {
        VolumeError::disk("writing", "/volume/f", io::Error::other("no room"))
    }

    #[test]
    fn the_second_failure_in_a_row_makes_it_read_only_and_a_success_ends_that() {
        let standing = Standing::new(Duration::from_hours(1));
        standing.on_failure(&failure());
        assert!(standing.require().is_ok());
        standing.on_success();
        standing.on_failure(&failure());
        assert!(standing.complaint().is_none());
        standing.on_failure(&failure());
        assert!(standing.complaint().unwrap().contains("no room"));
        assert!(matches!(
            standing.require(),
            Err(VolumeError::ReadOnly { .. })
        ));
        standing.on_success();
        assert!(standing.require().is_ok());
    }

    #[test]
    fn one_trial_goes_through_when_it_is_time() {
        let standing = Standing::new(Duration::ZERO);
        standing.on_failure(&failure());
        standing.on_failure(&failure());
        assert!(standing.complaint().is_some());
        assert!(standing.require().is_ok());
    }
}
