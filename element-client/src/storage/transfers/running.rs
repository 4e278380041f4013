//! One transfer that goes through the Element: what counts its bytes, and ends
//! with it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gridmart_schemas::{
    id::TransferId,
    problem::{Code, Problem},
    wire::transfer::TransferEnd,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Transfers,
    present::{ended, finished},
};

/// See the module. When it is dropped, the transfer is over, as was said last.
pub(in crate::storage) struct Running {
    transfers: Arc<Transfers>,
    id: TransferId,
    bytes: Arc<AtomicU64>,
    work: CancellationToken,
    end: Mutex<Option<TransferEnd>>,
}

impl Running {
    pub(super) const fn new(
        transfers: Arc<Transfers>,
        id: TransferId,
        bytes: Arc<AtomicU64>,
        work: CancellationToken,
    ) -> Self {
        Self {
            transfers,
            id,
            bytes,
            work,
            end: Mutex::new(None),
        }
    }

    /// So many bytes more have been moved.
    pub(in crate::storage) fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Does work of it, unless it is killed first.
    pub(in crate::storage) async fn run<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let worked = self.work.run_until_cancelled(work).await;
        worked.ok_or_else(|| Problem::new(Code::Terminated, "The transfer was killed."))
    }

    /// All bytes are there, and are about to be shown; refused if it was killed.
    pub(in crate::storage) fn committing(&self) -> Result<(), Problem> {
        self.transfers.on_committing(self.id)
    }

    /// It went well.
    pub(in crate::storage) fn finish(&self) {
        *self.end.lock() = Some(finished());
    }

    /// It did not.
    pub(in crate::storage) fn fail(&self, code: Code, reason: String) {
        *self.end.lock() = Some(ended(code, reason));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let gone = || ended(Code::Terminated, "its program went away".to_owned());
        let end = self.end.get_mut().take().unwrap_or_else(gone);
        self.transfers.end(self.id, None, end);
    }
}
