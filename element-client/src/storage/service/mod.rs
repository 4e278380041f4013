//! What the doors and the background work of a Storage Element use.
//!
//! A [`Service`] is there once the log of the metadata is assured (`log`), and
//! not before: nothing of storage is served without it.

mod log;

use std::{ops::Range, sync::Arc};

use gridmart_schemas::problem::Problem;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{RwLock, mpsc};

use self::log::Members;
pub use self::log::{AwayHost, RebuildFailure, RebuildReport};
pub(crate) use self::log::{
    Errand, Log, LogMeasures, LogShown, RebuildOrder, Ways, keep, open_store, require_lost,
};
use super::{
    data::{Damage, DataPlane, DataReader, DataTarget, DataWriter, Hosts},
    metadata::{Change, Committed, ObjectVersion, Readers, StoreError, Stripe, Writer},
};

/// See the module.
pub(crate) struct Service {
    readers: Readers,
    writer: Writer,
    members: Arc<Members>,
    data: Arc<DataPlane>,
    /// Blocks that readers could not use; taken by whoever looks at them.
    damaged: Mutex<Option<mpsc::Receiver<Damage>>>,
    moving: RwLock<()>,
}

impl Service {
    fn new(ways: &Ways, readers: Readers, writer: Writer, members: Arc<Members>) -> Self {
        let hosts = Hosts::new(Arc::clone(&ways.pool), ways.tls.clone());
        let progress = writer.clone();
        let epoch = move || progress.progress().epoch().number();
        let (data, damaged) = DataPlane::new(Arc::new(hosts), epoch);
        Self {
            readers,
            writer,
            members,
            data,
            damaged: Mutex::new(Some(damaged)),
            moving: RwLock::default(),
        }
    }

    /// The bytes of objects on Hosts.
    pub(crate) const fn data(&self) -> &Arc<DataPlane> {
        &self.data
    }

    /// Blocks that readers could not use; given once.
    pub(crate) fn take_damaged(&self) -> Option<mpsc::Receiver<Damage>> {
        self.damaged.lock().take()
    }

    /// Held for reading from before a block is put that the metadata place
    /// elsewhere until they place it there; whoever holds it for writing finds
    /// each block of an old stripe where the metadata say, or nobody's.
    pub(crate) const fn moving(&self) -> &RwLock<()> {
        &self.moving
    }

    /// Begins to write the bytes of an object or part.
    pub(crate) fn write_data(&self, target: DataTarget) -> DataWriter {
        DataWriter::new(Arc::clone(&self.data), target)
    }

    /// Begins to read a range of an object version.
    pub(crate) fn read_data(&self, version: ObjectVersion, range: Range<u64>) -> DataReader {
        let readers = self.readers.clone();
        DataReader::new(Arc::clone(&self.data), readers, version, range)
    }

    /// Makes a change that names these stripes; when it is certain that it was
    /// not made, their blocks are deleted again.
    pub(crate) async fn commit_data(
        &self,
        change: Change,
        stripes: &[Stripe],
    ) -> Result<Committed, Problem> {
        let committed = self.writer.commit(change).await;
        if let Err(error) = &committed
            && error.is_definite()
        {
            self.data.discard(stripes).await;
        }
        Ok(committed?)
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

    /// How often settings have changed: see [`Progress::settings`].
    ///
    /// [`Progress::settings`]: super::metadata::Progress::settings
    pub(crate) fn settings(&self) -> u64 {
        self.writer.progress().settings()
    }

    /// The writer's epoch now, as blocks' headers carry it.
    pub(crate) fn epoch(&self) -> u64 {
        self.writer.progress().epoch().number()
    }
}
