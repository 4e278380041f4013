//! Transfers of a process that is no client of a controller: a Host that moves
//! the files of its calls with the rights of their callers.

use std::{fmt, sync::Arc};

use gridmart_fabric::{identity::EphemeralKey, tls::ClientTls};
use gridmart_schemas::{
    problem::Code,
    role::Operation,
    wire::storage::{ObjectCommitted, ObjectCondition, ObjectHeaders, ObjectJudge},
};
use tokio::io::AsyncRead;
use tokio_util::task::TaskTracker;

use super::{
    access::{AccessSource, Use},
    plane::{Plane, TransferMemory},
    progress::Meter,
    put::PutPlan,
    read::ObjectReader,
    source::Source,
    stripes::Target,
};
use crate::error::Error;

/// Gets and puts objects as [`Storage`](crate::Storage) does, with tickets that
/// somebody else asks for. Clones share connections, tickets and bounds.
#[derive(Clone)]
pub struct DelegatedStorage {
    plane: Arc<Plane>,
}

impl fmt::Debug for DelegatedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegatedStorage").finish_non_exhaustive()
    }
}

impl DelegatedStorage {
    /// Opens TLS with this key, which its tickets name. What has to be said when
    /// a transfer is broken off is said by a task of `tasks`.
    pub fn new(
        source: Arc<dyn AccessSource>,
        key: &EphemeralKey,
        tls: &ClientTls,
        memory: TransferMemory,
        tasks: TaskTracker,
    ) -> Self {
        let plane = Plane::new(source, key.key_hash().clone(), tls, memory, tasks);
        Self {
            plane: Arc::new(plane),
        }
    }

    /// Opens an object, to be read piece by piece.
    pub async fn open(&self, bucket: &str, key: &str) -> Result<ObjectReader, Error> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let plane = Arc::clone(&self.plane);
        ObjectReader::open(plane, bucket, key, None, 0..u64::MAX, Meter::default()).await
    }

    /// Asks whether an object may be put, as the rules are now: the controller
    /// for the bucket, its Element for the key.
    pub async fn may_put(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let request = |bucket| ObjectJudge {
            bucket,
            key: key.to_owned(),
            operation: Operation::Write,
        };
        match self.plane.ask(bucket, Use::Write, request).await {
            // An older Element says so when the object is put.
            Err(error) if error.code() == Some(Code::UnknownMessage) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// Puts what a reader gives, of so many bytes, as one whole object. Dropped
    /// before its end it leaves none.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        reader: impl AsyncRead + Send + Unpin + 'static,
        length: u64,
    ) -> Result<ObjectCommitted, Error> {
        let mut meter = Meter::default();
        meter.expect(Some(length));
        let (plane, bucket, key) = (Arc::clone(&self.plane), bucket.to_owned(), key.to_owned());
        let plan = PutPlan {
            target: Target::of(plane, bucket, key, meter).await?,
            head: ObjectHeaders::default(),
            condition: ObjectCondition::default(),
        };
        plan.put(Source::Reader(Box::new(reader)), Some(length))
            .await
    }

    /// Closes its streams.
    pub async fn close(&self) {
        self.plane.close().await;
    }
}
