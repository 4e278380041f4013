//! Storage for tests of the door: real metadata, bytes in memory.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use gridmart_schemas::{
    id::{NodeId, StripeId},
    problem::Problem,
    storage::{BlockRoot, Redundancy},
};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::storage::data::DataTarget;
use crate::storage::metadata::{
    Append, Change, Committed, NotDurable, ObjectVersion, PlacedBlock, Readers, Replicas,
    StoreError, Stripe, Writer, WriterMark, WriterThread, open_writer, query, recover,
};

/// Small, so that small objects have several stripes.
const STRIPE_BYTES: usize = 100_000;

struct Alone;

impl Replicas for Alone {
    fn append(&self, _: Append) -> Result<(), NotDurable> {
        Ok(())
    }
}

pub(in super::super) struct Fixture {
    writer: Writer,
    readers: Readers,
    host: NodeId,
    stripes: Arc<Mutex<HashMap<StripeId, Bytes>>>,
    thread: Mutex<Option<WriterThread>>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(in super::super) async fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.sqlite");
        let mut connection = open_writer(&path).unwrap();
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        let recovered = recover(&mut connection, &[], WriterMark::new(1)).unwrap();
        let readers = Readers::open(&path, 4).unwrap();
        let (writer, thread) = Writer::start(connection, &recovered, Arc::new(Alone)).unwrap();
        let host = NodeId::generate();
        writer.commit(Change::HostKnown { host }).await.unwrap();
        Arc::new(Self {
            writer,
            readers,
            host,
            stripes: Arc::default(),
            thread: Mutex::new(Some(thread)),
            _folder: folder,
        })
    }

    pub(super) async fn commit(&self, change: Change) -> Result<Committed, Problem> {
        Ok(self.writer.commit(change).await?)
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.readers.read(query).await
    }

    pub(super) fn settings(&self) -> u64 {
        self.writer.progress().settings()
    }

    pub(super) fn write_data(&self, _: DataTarget) -> Writing {
        Writing {
            host: self.host,
            kept: Arc::clone(&self.stripes),
            stripes: Vec::new(),
            open: BytesMut::new(),
        }
    }

    pub(super) fn read_data(&self, version: &ObjectVersion, range: Range<u64>) -> Reading {
        Reading {
            readers: self.readers.clone(),
            kept: Arc::clone(&self.stripes),
            version: version.clone(),
            range,
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.lock().take() {
            // It must not be waited for on a thread of the runtime.
            std::thread::spawn(move || thread.stop());
        }
    }
}

pub(super) struct Writing {
    host: NodeId,
    kept: Arc<Mutex<HashMap<StripeId, Bytes>>>,
    stripes: Vec<Stripe>,
    open: BytesMut,
}

impl Writing {
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Problem> {
        tokio::time::sleep(Duration::ZERO).await;
        self.open.extend_from_slice(&bytes);
        while self.open.len() >= STRIPE_BYTES {
            self.close(STRIPE_BYTES);
        }
        Ok(())
    }

    fn close(&mut self, length: usize) {
        let bytes = self.open.split_to(length).freeze();
        let id = StripeId::generate();
        self.stripes.push(Stripe {
            id,
            data_length: length as u64,
            redundancy: Redundancy::replica(1).unwrap(),
            payload_length: length as u64,
            blocks: vec![PlacedBlock {
                position: 0,
                host: self.host,
                root: BlockRoot::new([0; 32]),
            }],
        });
        self.kept.lock().insert(id, bytes);
    }

    pub(super) async fn finish(mut self) -> Result<Vec<Stripe>, Problem> {
        if !self.open.is_empty() {
            self.close(self.open.len());
        }
        tokio::time::sleep(Duration::ZERO).await;
        Ok(self.stripes)
    }
}

pub(super) struct Reading {
    readers: Readers,
    kept: Arc<Mutex<HashMap<StripeId, Bytes>>>,
    version: ObjectVersion,
    range: Range<u64>,
}

impl Reading {
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        if self.range.is_empty() {
            return None;
        }
        let (version, range) = (self.version.clone(), self.range.clone());
        let layout = self
            .readers
            .read(move |connection| query::layout(connection, &version, range, 1));
        let stripe = match layout.await {
            Ok(layout) => layout.stripes.into_iter().next()?,
            Err(problem) => return Some(Err(problem)),
        };
        let bytes = self.kept.lock().get(&stripe.id).cloned().unwrap();
        let from = usize::try_from(self.range.start - stripe.start).unwrap();
        let to = usize::try_from((self.range.end - stripe.start).min(stripe.data_length)).unwrap();
        self.range.start = stripe.start + to as u64;
        Some(Ok(bytes.slice(from..to)))
    }
}
