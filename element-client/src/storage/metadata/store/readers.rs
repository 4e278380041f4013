//! Connections that read beside the writer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Semaphore;

use super::{During, StoreError, open_reader};

/// How long a reader waits for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// A bounded number of connections; each query sees the store as one commit left
/// it.
#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// As many as there are connections.
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens one connection, and others when they are needed.
    pub fn open(path: &Path, connections: usize) -> Result<Self, StoreError> {
        let first = open_reader(path)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                idle: Mutex::new(vec![first]),
                permits: Arc::new(Semaphore::new(connections.max(1))),
            }),
        })
    }

    /// Reads in a blocking task, in one transaction.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permits = Arc::clone(&self.shared.permits);
        let permit = tokio::time::timeout(CONNECTION_WAIT, permits.acquire_owned())
            .await
            .map_err(|_| Problem::new(Code::Busy, "Too many read the metadata at this moment."))?
            .map_err(|_| Problem::new(Code::Unavailable, "The Element is going down."))?;
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || {
            let read = shared.read(query);
            drop(permit);
            read
        });
        read.await
            .map_err(|error| internal(&error))?
            .map_err(|error| internal(&error))
    }

    /// Reads on this thread, which must be one that may block. It takes a
    /// connection beyond the bound if all are in use: callers are few.
    pub(in super::super) fn read_here<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.shared.read(query)
    }
}

impl Shared {
    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let result = read_at_once(&mut connection, query);
        // One that has failed may fail again; the next reader opens another.
        if result.is_ok() {
            self.idle.lock().push(connection);
        }
        result
    }
}

fn read_at_once<T>(
    connection: &mut Connection,
    query: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Deferred)
        .during("begin")?;
    let value = query(&transaction)?;
    transaction.finish().during("end")?;
    Ok(value)
}

fn internal(error: &dyn std::error::Error) -> Problem {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    tracing::error!(causes, "reading the metadata failed");
    Problem::new(Code::Internal, "The metadata could not be read.")
}
