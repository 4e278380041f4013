//! Connections to one database, bounded: those that are idle are used again, or closed
//! after a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    access::{Access, Canceller},
    connection::{Connection, Purpose},
    failure::{When, failure},
};
use crate::data::engine::EngineError;

/// Statements that may wait for a connection.
const WAITING_MAX: usize = 1024;
/// A connection that nobody needs for so long is closed.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// See the module.
pub(super) struct Pool {
    access: Access,
    database: String,
    purpose: Purpose,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    idle: Mutex<Vec<(Connection, Instant)>>,
    /// Grows with each change of the schema.
    generation: Arc<AtomicU64>,
}

/// A connection that is in use. Unless it is [kept](Self::keep), it is closed when it is
/// dropped, and what runs on it is ended.
pub(super) struct Pooled {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    is_clean: bool,
    _place: OwnedSemaphorePermit,
}

struct Waiting<'p>(&'p AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(
        access: Access,
        database: String,
        purpose: Purpose,
        connections: usize,
        generation: Arc<AtomicU64>,
    ) -> Self {
        Self {
            access,
            database,
            purpose,
            places: Arc::new(Semaphore::new(connections)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
            generation,
        }
    }

    /// A connection that is nobody's: one that is idle, or a new one; waits for its turn.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Pooled, EngineError> {
        self.take_as("").await
    }

    /// The same, of whom this makes it the connection.
    pub(super) async fn take_as(self: &Arc<Self>, standing: &str) -> Result<Pooled, EngineError> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait().await?,
        };
        let connection = match self.pop(standing) {
            Some(idle) => idle,
            None => Connection::open(&self.access, &self.database, self.purpose).await?,
        };
        let mut pooled = Pooled {
            connection: Some(connection),
            pool: Arc::clone(self),
            is_clean: false,
            _place: place,
        };
        let connection = pooled.get()?;
        connection.renew(self.generation.load(Ordering::Acquire));
        let stood = connection.stand(standing).await;
        stood.map_err(|error| failure(&error, When::Undone, true))?;
        Ok(pooled)
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(EngineError::Busy);
        }
        let _waiting = Waiting(&self.waiting);
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|_| EngineError::Stopping)
    }

    /// One that is idle, and best as it is to be.
    fn pop(&self, standing: &str) -> Option<Connection> {
        let mut idle = self.idle.lock();
        idle.retain(|(connection, _)| !connection.client.is_closed());
        let fits = idle
            .iter()
            .rposition(|(connection, _)| connection.stands(standing));
        let at = fits.or_else(|| idle.len().checked_sub(1))?;
        Some(idle.remove(at).0)
    }

    /// Closes what nobody needed for long.
    pub(super) fn tidy(&self) {
        let mut idle = self.idle.lock();
        idle.retain(|(connection, since)| {
            !connection.client.is_closed() && since.elapsed() < IDLE_MAX
        });
    }

    /// Gives no more connections.
    pub(super) fn close(&self) {
        self.places.close();
        self.idle.lock().clear();
    }
}

impl Pooled {
    /// The connection.
    pub(super) fn get(&mut self) -> Result<&mut Connection, EngineError> {
        self.connection.as_mut().ok_or(EngineError::Stopping)
    }

    /// What ends the statement that runs on it.
    pub(super) fn canceller(&self) -> Option<Canceller> {
        let connection = self.connection.as_ref();
        connection.map(|connection| self.pool.access.canceller(&connection.client))
    }

    /// It is as it was: the next may have it.
    pub(super) fn keep(mut self) {
        self.is_clean = true;
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if connection.client.is_closed() {
            return;
        }
        if self.is_clean && !self.pool.places.is_closed() {
            let mut idle = self.pool.idle.lock();
            idle.push((connection, Instant::now()));
            return;
        }
        let canceller = self.pool.access.canceller(&connection.client);
        drop(connection);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { canceller.cancel().await });
        }
    }
}
