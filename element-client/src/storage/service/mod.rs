//! What the doors and the background work of a Storage Element use.
//!
//! A [`Service`] is there once the log of the metadata is assured (`log`), and
//! not before: nothing of storage is served without it.

mod log;

use std::sync::Arc;

use gridmart_schemas::{id::NodeId, problem::Problem};
use rusqlite::Connection;

use self::log::Members;
pub(crate) use self::log::{Log, LogShown, Ways, keep, open_store};
use super::metadata::{Change, Committed, Readers, StoreError, Writer};

/// See the module.
pub(crate) struct Service {
    element: NodeId,
    ways: Ways,
    readers: Readers,
    writer: Writer,
    members: Arc<Members>,
}

#[expect(dead_code, reason = "nothing serves buckets and objects yet")]
impl Service {
    /// Whose it is.
    pub(crate) const fn element(&self) -> NodeId {
        self.element
    }

    /// How Hosts are reached.
    pub(crate) const fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Makes a change durable, here and on Hosts. It goes on if the caller
    /// leaves.
    ///
    /// `storage-degraded`: it was taken back, too few Hosts answer;
    /// `storage-failed`: the Element's own disk refuses, whether the change comes
    /// to be is open; `not-accepting`: another Element has taken over; `busy`:
    /// too many wait. What does not fit has the code of its refusal.
    pub(crate) async fn commit(&self, change: Change) -> Result<Committed, Problem> {
        let redundancy = match &change {
            Change::BucketCreate(create) => Some(create.redundancy),
            Change::BucketUpdate(update) => Some(update.redundancy),
            _ => None,
        };
        match redundancy {
            Some(redundancy) => {
                let losses = usize::from(redundancy.parity());
                self.members.commit_bearing(losses, change).await
            }
            None => Ok(self.writer.commit(change).await?),
        }
    }

    /// Reads metadata in one transaction, as one commit left it.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.readers.read(query).await
    }

    /// The writer's epoch now, as blocks' headers carry it.
    pub(crate) fn epoch(&self) -> u64 {
        self.writer.progress().epoch().number()
    }
}
