//! A database on a server as the core of its copies: the rows are at the server, what the
//! copy knows of itself, and the mirror that shadows follow, in its folder.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position, Schema};
use tokio::sync::{oneshot, watch};

use super::{Access, MariaDb, copying, log::MariaSource};
use crate::data::{
    check::Sums,
    engine::{
        CoreEngine, Engine, EngineError, Limits, RowStream, Statement, StatementKind, Transaction,
        TransactionLimits, Written, mirror::Seat, watch::Health,
    },
    home::Home,
    log::{LogBounds, Pulled, State, history::History},
    partial,
    snapshot::Snapshot,
};

/// A core that was replaced waits so long for what it is committing.
const FENCE_MAX: Duration = Duration::from_secs(5);
/// The server is waited for so long when it is asked how far its log is.
const SETTLE_MAX: Duration = Duration::from_secs(10);

pub(super) struct MariaCore {
    database: MariaDb,
    /// Its name at the server.
    name: String,
    health: Arc<Health>,
}

impl MariaCore {
    /// Asks the server nothing yet.
    pub(super) fn open(
        access: &Access,
        database: &str,
        health: Arc<Health>,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Self, EngineError> {
        let source = MariaSource::new(access, database);
        let seat = Seat::open(notes, bounds, source)?;
        Ok(Self {
            database: MariaDb::of(access.of_database(database), Some(seat)),
            name: database.to_owned(),
            health,
        })
    }

    fn seat(&self) -> Result<&Seat<MariaSource>, EngineError> {
        let seat = self.database.shared.seat.as_ref();
        seat.ok_or(EngineError::Stopping)
    }

    /// Has a mirror begin where there is none, and takes a snapshot of it.
    async fn taken(
        &self,
        home: &Home,
        take: impl FnOnce(&Home) -> Result<Snapshot, EngineError> + Send + 'static,
    ) -> Result<Snapshot, EngineError> {
        // It goes on if whoever asked leaves.
        let (shared, home) = (Arc::clone(&self.database.shared), home.clone());
        let task = tokio::spawn(async move {
            let seat = shared.seat.as_ref().ok_or(EngineError::Stopping)?;
            let making = async |old| {
                let changing = shared.changing.lock().await;
                copying::make(&shared, seat, &home, &old).await?;
                Ok(changing)
            };
            seat.begin(making).await?;
            let taken = tokio::task::spawn_blocking(move || take(&home)).await;
            taken.map_err(|error| EngineError::Internal(error.to_string()))?
        });
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }
}

impl Drop for MariaCore {
    fn drop(&mut self) {
        self.retire();
    }
}

#[async_trait]
impl Engine for MariaCore {
    async fn describe(&self) -> Result<Schema, EngineError> {
        self.database.describe().await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        self.database.read(statement, limits).await
    }

    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        self.seat()?.require_unfenced()?;
        // In a transaction of several, or by RETURNING, a write may come as one that reads.
        let kind = match statement.kind {
            StatementKind::Read => StatementKind::Rows,
            kind => kind,
        };
        let statement = Statement { kind, ..statement };
        self.database.write(statement, limits).await
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        self.seat()?.require_unfenced()?;
        self.database.begin(limits).await
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        self.database.begin_view(limits).await
    }

    fn position(&self) -> LogPoint {
        self.database.position()
    }
}

#[async_trait]
impl CoreEngine for MariaCore {
    async fn state(&self) -> Result<State, EngineError> {
        self.seat()?.state()
    }

    async fn history(&self) -> Result<History, EngineError> {
        self.seat()?.history()
    }

    async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError> {
        self.seat()?.pull(shadow, bytes_max).await
    }

    async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        self.seat()?.pull_part(shadow, filter, bytes_max).await
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        let seat = self.database.shared.seat.as_ref();
        seat.map_or_else(|| watch::channel(LogPoint::default()).1, Seat::watch)
    }

    async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        self.seat()?.sums(range_rows, filter, begun).await
    }

    async fn require_log(&self) -> Result<(), EngineError> {
        let mut conn = self.database.shared.access.connect().await?;
        let required = copying::require_log(&mut conn).await;
        let _ = conn.disconnect().await;
        required
    }

    async fn settled(&self) -> Result<(), EngineError> {
        let seat = self.seat()?;
        if !seat.has_log() {
            return Ok(());
        }
        let mut session = self.database.reader(Instant::now() + SETTLE_MAX).await?;
        seat.settled(async || session.logged_by_all().await).await
    }

    async fn snapshot(&self, home: &Home) -> Result<Snapshot, EngineError> {
        self.taken(home, Snapshot::take).await
    }

    async fn snapshot_part(
        &self,
        home: &Home,
        filter: Arc<Filter>,
    ) -> Result<Snapshot, EngineError> {
        self.taken(home, move |home| partial::take(home, &filter))
            .await
    }

    async fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        // What is being committed is known before anybody asks what this core has had; what
        // does not end is ended when its log is read to its end.
        let committing = async {
            let commits = self.database.shared.commits.write();
            drop(tokio::time::timeout(FENCE_MAX, commits).await);
        };
        self.seat()?.fence(newest, committing).await
    }

    fn confirm(&self, position: Position) {
        if let Ok(seat) = self.seat() {
            seat.confirm(position);
        }
    }

    fn retire(&self) {
        if let Ok(seat) = self.seat() {
            seat.retire();
        }
    }

    fn used(&self) -> u64 {
        self.health.used(&self.name)
    }

    fn complaint(&self) -> Option<String> {
        self.health.complaint()
    }
}
