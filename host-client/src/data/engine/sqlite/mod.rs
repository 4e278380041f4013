//! SQLite as an engine: one writer's thread, several readers'.
//!
//! `open` is where connections are made, `guard` what their statements may do,
//! `types` how values are stored. `core` writes and logs (`capture` sees what
//! changes), `writer` and `transaction` are its thread's two ways of work.

mod capture;
pub(in crate::data) mod core;
mod failure;
pub(in crate::data) mod guard;
pub(in crate::data) mod open;
mod readers;
mod run;
pub(in crate::data) mod schema;
mod transaction;
pub(in crate::data) mod types;
mod view;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position, Schema};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

#[cfg(test)]
pub(in crate::data) use self::run::Allowance;
pub use self::{capture::OldRows, core::CoreSettings};
pub(in crate::data) use self::{
    capture::is_same,
    core::Core,
    failure::Failure,
    guard::Bound,
    guard::{Guard, OWN},
    open::{Purpose, open},
    open::{open_in_memory, open_to_copy},
    readers::Readers,
    run::change_schema,
    schema::{create_table, create_view},
};
use self::{
    schema::describe,
    transaction::SqliteTransaction,
    writer::{Writer, WriterThread},
};
use super::{
    CoreEngine, Engine, EngineError, Limits, RowStream, Statement, Transaction, TransactionLimits,
    Written,
};
use crate::data::check::{Range, RangeRows, Sums, rows_of, sum};
use crate::data::log::{Pulled, Role, State, epochs, history::History, pull, state, state_make};
use crate::data::partial;
use crate::data::{home::Home, snapshot::Snapshot};

/// Makes an empty database: a core, at its first epoch, or a shadow that knows
/// nothing yet.
pub fn create(path: &Path, database: Uuid, role: Role) -> Result<(), EngineError> {
    let guard = Arc::new(Guard::default());
    let mut connection = open(path, Purpose::Core, &guard)?;
    let transaction = connection.transaction().during("making a database")?;
    if state(&transaction)?.is_some() {
        return Err(EngineError::Internal(format!(
            "{} is a database already",
            path.display()
        )));
    }
    state_make(&transaction, &State::new(database, role))?;
    transaction.commit().during("making a database")
}

/// What the copy in that file knows of itself.
pub(in crate::data) fn state_at(path: &Path) -> Result<State, EngineError> {
    let guard = Arc::new(Guard::default());
    let connection = open(path, Purpose::Reader, &guard)?;
    state_of(&connection)
}

/// A core: takes writes, keeps the log.
pub struct SqliteCore {
    readers: Readers,
    writer: Writer,
    last: watch::Receiver<LogPoint>,
    room: Arc<AtomicU64>,
    _thread: WriterThread,
}

impl SqliteCore {
    /// Opens a database that is a core, with so many readers.
    pub fn open(path: &Path, settings: CoreSettings, readers: usize) -> Result<Self, EngineError> {
        let core = Core::open(path, settings)?;
        let room = core.room();
        let (writer, thread) = Writer::start(core)?;
        Ok(Self {
            readers: Readers::start(path, readers)?,
            last: writer.last(),
            room,
            writer,
            _thread: thread,
        })
    }

    /// Bytes that may be logged until what a shadow that is away misses is dropped.
    pub fn log_room(&self) -> u64 {
        self.room.load(Ordering::Relaxed)
    }

    /// Answers a shadow that tells what it has.
    pub async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError> {
        self.readers
            .view(move |view| pull(view, &state_of(view)?, &shadow, bytes_max))
            .await
    }

    /// Answers a partial shadow: with what its filter shows of the entries.
    pub async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        self.readers
            .view(move |view| partial::pull_part(view, &shadow, &filter, bytes_max))
            .await
    }

    /// Sums all tables, or what a filter shows of them, in ranges of so many rows, for a
    /// shadow to compare; tells their position before it begins, if somebody wants to know
    /// it.
    pub async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        let sums = move |view: &rusqlite::Connection| {
            if let Some(begun) = begun {
                // Who left does not want the sums either.
                let position = state_of(view)?.last.position;
                begun.send(position).map_err(|_| EngineError::Cancelled)?;
            }
            match filter {
                Some(filter) => partial::sum(view, &filter, range_rows),
                None => sum(view, range_rows),
            }
        };
        self.readers.view(sums).await
    }

    /// The rows of a range, for a shadow that differs there.
    pub async fn rows_of(&self, range: Range) -> Result<RangeRows, EngineError> {
        self.readers.view(move |view| rows_of(view, &range)).await
    }

    /// What it tells of its log.
    pub async fn history(&self) -> Result<History, EngineError> {
        self.readers.view(history).await
    }

    /// What it knows of itself.
    pub async fn state(&self) -> Result<State, EngineError> {
        self.readers.view(state_of).await
    }

    /// Another core has taken over: it refuses writes from here on, after a
    /// restart as well.
    pub async fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        self.writer.fence(newest).await
    }

    /// All shadows have the log up to there.
    pub fn confirm(&self, position: Position) {
        self.writer.confirm(position);
    }

    /// Tells of each commit.
    pub fn watch(&self) -> watch::Receiver<LogPoint> {
        self.last.clone()
    }
}

#[async_trait]
impl Engine for SqliteCore {
    async fn describe(&self) -> Result<Schema, EngineError> {
        self.readers.view(described).await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        self.readers.read(statement, limits).await
    }

    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        self.writer.write(statement, limits).await
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        let transaction = SqliteTransaction::begin(&self.writer, limits).await?;
        Ok(Box::new(transaction))
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        self.readers.begin(limits).await
    }

    fn position(&self) -> LogPoint {
        *self.last.borrow()
    }
}

#[async_trait]
impl CoreEngine for SqliteCore {
    async fn state(&self) -> Result<State, EngineError> {
        Self::state(self).await
    }

    async fn history(&self) -> Result<History, EngineError> {
        Self::history(self).await
    }

    async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError> {
        Self::pull(self, shadow, bytes_max).await
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        Self::watch(self)
    }

    fn log_room(&self) -> Option<u64> {
        Some(Self::log_room(self))
    }

    async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        Self::pull_part(self, shadow, filter, bytes_max).await
    }

    async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        Self::sums(self, range_rows, filter, begun).await
    }

    async fn snapshot(&self, home: &Home) -> Result<Snapshot, EngineError> {
        let home = home.clone();
        let taken = tokio::task::spawn_blocking(move || Snapshot::take(&home)).await;
        taken.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    async fn snapshot_part(
        &self,
        home: &Home,
        filter: Arc<Filter>,
    ) -> Result<Snapshot, EngineError> {
        let home = home.clone();
        let taken = tokio::task::spawn_blocking(move || partial::take(&home, &filter)).await;
        taken.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    async fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        Self::fence(self, newest).await
    }

    fn confirm(&self, position: Position) {
        Self::confirm(self, position);
    }
}

/// The state, which every copy has.
pub(in crate::data) fn state_of(view: &rusqlite::Connection) -> Result<State, EngineError> {
    state(view)?.ok_or_else(|| EngineError::Damaged {
        why: "it has no state of its own".to_owned(),
    })
}

/// What a copy tells of its log.
pub(in crate::data) fn history(view: &rusqlite::Connection) -> Result<History, EngineError> {
    Ok(History {
        epochs: epochs(view)?,
        last: state_of(view)?.last,
    })
}

/// The schema, at the position of the view.
pub(in crate::data) fn described(view: &rusqlite::Connection) -> Result<Schema, EngineError> {
    describe(view, state_of(view)?.last.position)
}

#[cfg(test)]
mod tests;
