//! How far a transfer is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferProgress {
    /// Bytes that have come, or are durable on Hosts.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

type Told = Arc<dyn Fn(TransferProgress) + Send + Sync>;

/// Counts bytes, and tells.
#[derive(Clone, Default)]
pub(super) struct Meter {
    done: Arc<AtomicU64>,
    total: Option<u64>,
    told: Option<Told>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("done", &self.done)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Meter {
    pub(super) fn tell(&mut self, told: impl Fn(TransferProgress) + Send + Sync + 'static) {
        self.told = Some(Arc::new(told));
    }

    pub(super) fn expect(&mut self, total: Option<u64>) {
        self.total = total;
    }

    pub(super) fn expected(&self) -> u64 {
        self.total.unwrap_or_default()
    }

    pub(super) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(told) = &self.told {
            told(TransferProgress {
                done,
                total: self.total,
            });
        }
    }
}
