//! Programs that sleep for so long that only the end of their call ends them,
//! for a time that nobody else on this machine sleeps: so they are found.

use std::{
    fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

use gridmart_tests::{LONG, wait_for};

/// One such program.
pub(crate) struct Nap {
    /// What `sleep` is given.
    pub(crate) seconds: String,
}

impl Nap {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(7000);
        let whole = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            seconds: format!("{whole}.{}", process::id()),
        }
    }

    /// Tells whether it sleeps, in whatever sandbox.
    pub(crate) fn runs(&self) -> bool {
        let wanted = format!("sleep\0{}\0", self.seconds);
        let processes = fs::read_dir("/proc").unwrap();
        processes.flatten().any(|entry| {
            // It may have ended since it was listed.
            fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
        })
    }

    #[track_caller]
    pub(crate) fn wait_runs(&self) {
        wait_for(LONG, "the program sleeps", || {
            self.runs()
                .then_some(())
                .ok_or_else(|| "it does not run".to_owned())
        });
    }

    #[track_caller]
    pub(crate) fn wait_gone(&self) {
        wait_for(LONG, "the program is gone", || {
            (!self.runs())
                .then_some(())
                .ok_or_else(|| "it runs".to_owned())
        });
    }
}
