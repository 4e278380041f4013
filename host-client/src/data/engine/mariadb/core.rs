//! A database on a server as the core of its copies. What the copy knows of itself is in
//! its `Notes`; the rows are at the server. It has no log of gridmart's, and so no shadows.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position, Schema};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{MariaDb, server::Health};
use crate::data::{
    check::Sums,
    engine::{
        CoreEngine, Engine, EngineError, Limits, RowStream, SqlState, Statement, StatementKind,
        Transaction, TransactionLimits, Written, notes::Notes,
    },
    home::Home,
    log::{Pulled, State, history::History},
    snapshot::Snapshot,
};

pub(super) struct MariaCore {
    database: MariaDb,
    health: Arc<Health>,
    notes: Notes,
    last: watch::Sender<LogPoint>,
    /// A newer core that has taken over.
    fenced: Mutex<Option<Epoch>>,
}

impl MariaCore {
    /// Asks the server nothing yet.
    pub(super) fn open(
        database: MariaDb,
        health: Arc<Health>,
        notes: &Path,
    ) -> Result<Self, EngineError> {
        let notes = Notes::of(notes);
        let fenced = notes.state()?.fenced;
        Ok(Self {
            database,
            health,
            notes,
            last: watch::Sender::new(LogPoint::default()),
            fenced: Mutex::new(fenced),
        })
    }

    fn require_unfenced(&self) -> Result<(), EngineError> {
        match *self.fenced.lock() {
            None => Ok(()),
            Some(newest) => Err(EngineError::Fenced { newest }),
        }
    }
}

/// What only a core with a log has.
fn shadowless() -> EngineError {
    EngineError::refused(
        SqlState("0A000"),
        "a database on MariaDB has no shadows of gridmart's",
    )
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
        self.require_unfenced()?;
        // In a transaction of several, or by RETURNING, a write may come as one that reads.
        let kind = match statement.kind {
            StatementKind::Read => StatementKind::Rows,
            kind => kind,
        };
        let statement = Statement { kind, ..statement };
        self.database.write(statement, limits).await
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        self.require_unfenced()?;
        self.database.begin(limits).await
    }

    fn position(&self) -> LogPoint {
        self.database.position()
    }
}

#[async_trait]
impl CoreEngine for MariaCore {
    async fn state(&self) -> Result<State, EngineError> {
        self.notes.state()
    }

    async fn history(&self) -> Result<History, EngineError> {
        self.notes.history()
    }

    async fn pull(&self, _: History, _: u64) -> Result<Pulled, EngineError> {
        Err(shadowless())
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        self.last.subscribe()
    }

    async fn sums(
        &self,
        _: u64,
        _: Option<Arc<Filter>>,
        _: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        Err(shadowless())
    }

    async fn snapshot(&self, _: &Home) -> Result<Snapshot, EngineError> {
        Err(shadowless())
    }

    async fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        *self.fenced.lock() = Some(newest);
        self.notes.fence(newest)
    }

    fn confirm(&self, _: Position) {}

    fn complaint(&self) -> Option<String> {
        self.health.complaint()
    }
}
