//! Files of buckets that go with a call: how many bytes were moved, and whether
//! that is to end.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gridmart_schemas::wire::record::CallEnd;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Cancelled when the call is to be ended.
    pub(crate) cut: CancellationToken,
    /// How long the call waited for a slot, once it has one: what it takes to
    /// bring its files is no waiting.
    pub(super) waited: OnceLock<Duration>,
    in_bytes: AtomicU64,
    out_bytes: AtomicU64,
}

impl Moved {
    /// So many bytes of inputs are in place.
    pub(crate) fn add_in(&self, bytes: u64) {
        self.in_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes of outputs are stored.
    pub(crate) fn add_out(&self, bytes: u64) {
        self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count(&self, end: &mut CallEnd) {
        end.staged_in_bytes = self.in_bytes.load(Ordering::Relaxed);
        end.staged_out_bytes = self.out_bytes.load(Ordering::Relaxed);
    }
}
