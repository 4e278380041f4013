//! PostgreSQL as an engine: each database is one of its own at a server beside the Host.
//!
//! `server` makes and removes databases and watches the server; `pool` has a database's
//! connections, `run` runs statements on them, `transaction` several of them; `guards`
//! keeps the views through which guarded persons reach tables; `value` and `schema` are
//! how the server's types and tables are gridmart's, `failure` its errors.
//!
//! Invariants: no person's text is run, only what the Element has written anew; settings
//! of a person hold within one transaction; what reads runs in transactions that change
//! nothing; a commit whose outcome is not known is told as that, and nothing is run twice.

mod connection;
mod failure;
mod guards;
mod notes;
mod pool;
mod read;
mod run;
mod schema;
mod server;
mod transaction;
mod value;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position, Schema};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio_postgres::Config;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::server::PgServer;
use self::{
    connection::Purpose,
    failure::{STALE_PLAN, When, failure},
    guards::{Guards, drop_all},
    notes::Notes,
    pool::Pool,
    run::{bounded, run, settings},
    server::Health,
    transaction::PgTransaction,
};
use super::{
    CoreEngine, Engine, EngineError, Limits, RowStream, SqlState, Statement, StatementKind, Tally,
    Transaction, TransactionLimits, Written,
};
use crate::data::{
    check::Sums,
    home::Home,
    log::{Pulled, State, history::History},
    snapshot::Snapshot,
};

/// Connections to one database for statements that read.
const READERS: usize = 16;
/// Connections to one database for statements that write, and transactions.
const WRITERS: usize = 16;
/// Connections on which views are made: transactions wait for these that hold all others.
const MAKERS: usize = 1;
/// A statement that was prepared, or a view that was made, for another schema is tried again
/// so often: others may change it at the same time.
const STALE_TRIES: usize = 8;
/// What a change of the schema waits for at most that others hold; who comes after it waits
/// for it meanwhile.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '20s'";
/// Between two looks at connections that are idle.
const TIDY_EVERY: Duration = Duration::from_secs(20);
/// Reading the catalog may take so long.
const DESCRIBE_MAX: Duration = Duration::from_secs(30);

/// A core on PostgreSQL.
pub(in crate::data) struct PgCore {
    base: Arc<Base>,
    last: watch::Sender<LogPoint>,
    stop: CancellationToken,
    _stopped: DropGuard,
}

/// What all that runs on a database shares.
struct Base {
    readers: Arc<Pool>,
    writers: Arc<Pool>,
    makers: Arc<Pool>,
    guards: Guards,
    generation: Arc<AtomicU64>,
    health: Arc<Health>,
    /// Its name at the server.
    database: String,
    notes: Notes,
    last: LogPoint,
    /// A newer core that has taken over.
    fenced: Mutex<Option<Epoch>>,
}

impl PgCore {
    /// Opens a database of a server; asks the server nothing yet.
    fn open(
        config: &Config,
        database: &str,
        reader: String,
        health: Arc<Health>,
        notes: &Path,
    ) -> Result<Self, EngineError> {
        let generation = Arc::new(AtomicU64::new(0));
        let pool = |purpose, connections| {
            let generation = Arc::clone(&generation);
            let database = database.to_owned();
            let pool = Pool::new(config.clone(), database, purpose, connections, generation);
            Arc::new(pool)
        };
        let notes = Notes::of(notes);
        let state = notes.state()?;
        let base = Arc::new(Base {
            readers: pool(Purpose::Read, READERS),
            writers: pool(Purpose::Write, WRITERS),
            makers: pool(Purpose::Write, MAKERS),
            guards: Guards::new(reader),
            generation,
            health,
            database: database.to_owned(),
            notes,
            last: state.last,
            fenced: Mutex::new(state.fenced),
        });
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(tidy(Arc::clone(&base))),
        );
        Ok(Self {
            last: watch::Sender::new(base.last),
            base,
            _stopped: stop.clone().drop_guard(),
            stop,
        })
    }
}

impl Drop for PgCore {
    fn drop(&mut self) {
        self.base.readers.close();
        self.base.writers.close();
        self.base.makers.close();
    }
}

async fn tidy(base: Arc<Base>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        base.readers.tidy();
        base.writers.tidy();
        base.makers.tidy();
    }
}

impl Base {
    fn position(&self) -> Position {
        self.last.position
    }

    fn require_unfenced(&self) -> Result<(), EngineError> {
        match *self.fenced.lock() {
            None => Ok(()),
            Some(newest) => Err(EngineError::Fenced { newest }),
        }
    }

    /// Runs what reads, or changes rows, as a transaction of its own.
    async fn write_rows(
        self: Arc<Self>,
        statement: Statement,
        limits: Limits,
    ) -> Result<Written, EngineError> {
        let time = (Instant::now() + limits.time, limits.time);
        for _ in 1..STALE_TRIES {
            match self.try_write(&statement, limits, time).await {
                Err(error) if is_stale(&error, &statement) => self.schema_changed(),
                done => return done,
            }
        }
        self.try_write(&statement, limits, time).await
    }

    async fn try_write(
        &self,
        statement: &Statement,
        limits: Limits,
        time: (Instant, Duration),
    ) -> Result<Written, EngineError> {
        let late = |_| EngineError::TimedOut(limits.time);
        let ready = async {
            let guarded = self.guards.ensure(&statement.rules, &self.makers);
            guarded.await?;
            self.writers.take().await
        };
        let ready = tokio::time::timeout_at(time.0.into(), ready);
        let mut pooled = ready.await.map_err(late)??;
        let canceller = pooled.canceller();
        let mut text = "BEGIN; ".to_owned();
        settings(statement, self.guards.role(&statement.rules), &mut text);
        // What it returns may be too much: then it must not hold.
        let returns = statement
            .columns
            .as_ref()
            .is_some_and(|all| !all.is_empty());
        let is_plain = statement.rules.is_empty() && !returns;
        let connection = pooled.get()?;
        let mut tally = Tally::new(limits);
        let done = bounded(canceller, time, &statement.cancel, async {
            if is_plain {
                return run(connection, statement, "", &mut tally, When::Committing).await;
            }
            let ran = run(connection, statement, &text, &mut tally, When::Undone).await;
            let client = &connection.client;
            if ran.is_err() {
                let taken_back = client.batch_execute("ROLLBACK").await;
                return taken_back.map_or_else(|error| Err(lost(&error)), |()| ran);
            }
            let committed = client.batch_execute("COMMIT").await;
            committed.map_err(|error| failure(&error, When::Committing, true))?;
            ran
        });
        let done = done.await;
        if !matches!(
            &done,
            Err(EngineError::Uncertain { .. } | EngineError::Unreachable { .. })
        ) {
            pooled.keep();
        }
        let mut written = done?;
        written.position = self.position();
        Ok(written)
    }

    /// Changes the schema; the views that guard tables go with it.
    async fn write_schema(
        self: Arc<Self>,
        statement: Statement,
        limits: Limits,
    ) -> Result<Written, EngineError> {
        let time = (Instant::now() + limits.time, limits.time);
        // Who holds a connection may wait for views to be made, never the other way.
        let ready = async {
            let pooled = self.writers.take().await?;
            Ok::<_, EngineError>((self.guards.making().await, pooled))
        };
        let ready = tokio::time::timeout_at(time.0.into(), ready).await;
        let (_making, mut pooled) = ready.map_err(|_| EngineError::TimedOut(limits.time))??;
        let canceller = pooled.canceller();
        let client = &pooled.get()?.client;
        let undone = |error: &tokio_postgres::Error| failure(error, When::Undone, false);
        let done = bounded(canceller, time, &statement.cancel, async {
            client
                .batch_execute(&format!("BEGIN; {LOCK_LIMIT}"))
                .await
                .map_err(|error| undone(&error))?;
            let changed = async {
                drop_all(client).await?;
                client.batch_execute(&statement.text).await
            };
            if let Err(error) = changed.await {
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(undone(&error));
            }
            let committed = client.batch_execute("COMMIT").await;
            committed.map_err(|error| failure(&error, When::Committing, false))
        });
        let done = done.await;
        self.schema_changed();
        if done.is_ok() {
            pooled.keep();
        }
        done.map(|()| Written {
            position: self.position(),
            ..Written::default()
        })
    }
}

fn lost(error: &tokio_postgres::Error) -> EngineError {
    failure(error, When::Undone, true)
}

/// Whether a statement failed for what was prepared, or made, for another schema: it was
/// not begun.
fn is_stale(error: &EngineError, statement: &Statement) -> bool {
    match error {
        EngineError::Refused { state, message } => match state.0 {
            // A view is gone that was there.
            "42P01" => !statement.rules.guards.is_empty(),
            "0A000" => message.starts_with(STALE_PLAN),
            _ => false,
        },
        _ => false,
    }
}

/// What only a core with a log has.
fn shadowless() -> EngineError {
    EngineError::refused(
        SqlState("0A000"),
        "a database on PostgreSQL has no shadows of gridmart's",
    )
}

#[async_trait]
impl Engine for PgCore {
    async fn describe(&self) -> Result<Schema, EngineError> {
        let mut pooled = self.base.readers.take().await?;
        let client = &pooled.get()?.client;
        let failed = |error: tokio_postgres::Error| failure(&error, When::Undone, false);
        let read = async {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
            client.batch_execute(begin).await.map_err(failed)?;
            let schema = schema::describe(client, self.base.position()).await?;
            client.batch_execute("COMMIT").await.map_err(failed)?;
            Ok::<Schema, EngineError>(schema)
        };
        let read = tokio::time::timeout(DESCRIBE_MAX, read).await;
        let schema = read.map_err(|_| EngineError::TimedOut(DESCRIBE_MAX))??;
        pooled.keep();
        Ok(schema)
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        read::read(&self.base, &self.stop, statement, limits).await
    }

    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        self.base.require_unfenced()?;
        let base = Arc::clone(&self.base);
        // It goes on if the caller leaves.
        let task = match statement.kind {
            StatementKind::Schema => tokio::spawn(base.write_schema(statement, limits)),
            StatementKind::Read | StatementKind::Rows => {
                tokio::spawn(base.write_rows(statement, limits))
            }
        };
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        self.base.require_unfenced()?;
        let transaction = PgTransaction::begin(&self.base, limits).await?;
        Ok(Box::new(transaction))
    }

    fn position(&self) -> LogPoint {
        self.base.last
    }
}

#[async_trait]
impl CoreEngine for PgCore {
    async fn state(&self) -> Result<State, EngineError> {
        self.base.notes.state()
    }

    async fn history(&self) -> Result<History, EngineError> {
        self.base.notes.history()
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
        *self.base.fenced.lock() = Some(newest);
        self.base.notes.fence(newest)
    }

    fn confirm(&self, _: Position) {}

    fn used(&self) -> u64 {
        self.base.health.used(&self.base.database)
    }

    fn complaint(&self) -> Option<String> {
        self.base.health.complaint()
    }
}

/// A name between quotes.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text between quotes; sessions have standard strings.
fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
