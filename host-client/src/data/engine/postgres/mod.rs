//! PostgreSQL as an engine: each database is one of its own at a server beside the Host.
//!
//! `server` makes and removes databases and watches the server; `pool` has a database's
//! connections, `run` runs statements on them, `transaction` several of them; `guards`
//! keeps the views through which guarded persons reach tables; `value` and `schema` are
//! how the server's types and tables are gridmart's, `failure` its errors.
//!
//! `copying` begins the mirror of a core and `log` feeds it; `whole` is the schema in the
//! server's words. `shadow` has the rows of a shadow (see [`super::standby`]): `loading` makes
//! them, `applying` has them follow the log, `sums` gives them for comparing; `references` are
//! foreign keys that wait for a promotion, `returning` ends a core that was replaced.
//!
//! Invariants: no person's text is run, only what the Element has written anew; settings
//! of a person hold within one transaction; what reads runs in transactions that change
//! nothing; a commit whose outcome is not known is told as that, and nothing is run twice.

mod access;
mod applying;
mod changes;
mod connection;
mod copying;
mod failure;
mod guards;
mod loading;
mod log;
mod pool;
mod read;
mod references;
mod returning;
mod run;
mod schema;
mod server;
mod shadow;
mod sums;
mod transaction;
mod value;
mod whole;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{Epoch, Filter, LogPoint, Position, Schema},
    resource::enumeration::DataEngine,
};
use tokio::sync::{oneshot, watch};
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::server::PgServer;
use self::{
    access::Access,
    connection::Purpose,
    failure::{STALE_PLAN, When, failure},
    guards::{Guards, drop_all},
    log::{PgSource, flushed},
    pool::Pool,
    run::{bounded, run, settings},
    transaction::PgTransaction,
};
use super::{
    CoreEngine, Engine, EngineError, Limits, RowStream, Statement, StatementKind, Tally,
    Transaction, TransactionLimits, Written, mirror::Seat, watch::Health,
};
use crate::data::{
    check::Sums,
    home::Home,
    log::{LogBounds, Pulled, SchemaChange, State, Words, history::History},
    partial,
    snapshot::Snapshot,
};

/// Connections to one database for statements that read.
const READERS: usize = 16;
/// Connections to one database for statements that write, and transactions.
const WRITERS: usize = 16;
/// Connections on which views are made, for which transactions wait that hold all others, and
/// on which the server's log is followed.
const MAKERS: usize = 2;
/// A statement that was prepared, or a view that was made, for another schema is tried again
/// so often: others may change it at the same time.
const STALE_TRIES: usize = 8;
/// What a change of the schema waits for at most that others hold; who comes after it waits
/// for it meanwhile.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '20s'";
/// Between two looks at connections that are idle.
const TIDY_EVERY: Duration = Duration::from_secs(20);
/// A core that was replaced waits so long for what it is committing.
const FENCE_MAX: Duration = Duration::from_secs(5);
/// Reading the catalog may take so long.
const DESCRIBE_MAX: Duration = Duration::from_secs(30);

/// A core on PostgreSQL.
pub(in crate::data) struct PgCore {
    base: Arc<Base>,
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
    /// What it knows of itself, and what shadows follow.
    seat: Seat<PgSource>,
    /// Held shared by who commits.
    commits: tokio::sync::RwLock<()>,
}

impl PgCore {
    /// Opens a database of a server; asks the server nothing yet.
    fn open(
        access: &Access,
        database: &str,
        reader: String,
        health: Arc<Health>,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Self, EngineError> {
        let base = Base::new(
            access,
            (database, Purpose::Write),
            reader,
            health,
            |source| Seat::open(notes, bounds, source),
        )?;
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(tidy(Arc::clone(&base))),
        );
        Ok(Self {
            base,
            _stopped: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Has a mirror begin where there is none, and takes a snapshot of it.
    async fn taken(
        &self,
        home: &Home,
        take: impl FnOnce(&Home) -> Result<Snapshot, EngineError> + Send + 'static,
    ) -> Result<Snapshot, EngineError> {
        // It goes on if whoever asked leaves.
        let (base, home) = (Arc::clone(&self.base), home.clone());
        let task = tokio::spawn(async move {
            let making = async |old| copying::make(&base, &home, &old).await;
            base.seat.begin(making).await?;
            let taken = tokio::task::spawn_blocking(move || take(&home)).await;
            taken.map_err(|error| EngineError::Internal(error.to_string()))?
        });
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }
}

impl Drop for PgCore {
    fn drop(&mut self) {
        self.retire();
        self.base.close();
    }
}

async fn tidy(base: Arc<Base>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        base.tidy();
    }
}

impl Base {
    /// Of a database of that name; those who write do so with that purpose.
    fn new(
        access: &Access,
        (database, writing): (&str, Purpose),
        reader: String,
        health: Arc<Health>,
        seat: impl FnOnce(PgSource) -> Result<Seat<PgSource>, EngineError>,
    ) -> Result<Arc<Self>, EngineError> {
        let generation = Arc::new(AtomicU64::new(0));
        let pool = |purpose, connections| {
            let generation = Arc::clone(&generation);
            let database = database.to_owned();
            let pool = Pool::new(access.clone(), database, purpose, connections, generation);
            Arc::new(pool)
        };
        let makers = pool(Purpose::Write, MAKERS);
        let seat = seat(PgSource::new(database, &makers))?;
        Ok(Arc::new(Self {
            readers: pool(Purpose::Read, READERS),
            writers: pool(writing, WRITERS),
            makers,
            guards: Guards::new(reader),
            generation,
            health,
            database: database.to_owned(),
            seat,
            commits: tokio::sync::RwLock::default(),
        }))
    }

    /// Closes connections that nobody needed for long.
    fn tidy(&self) {
        self.readers.tidy();
        self.writers.tidy();
        self.makers.tidy();
    }

    fn close(&self) {
        self.readers.close();
        self.writers.close();
        self.makers.close();
    }

    fn position(&self) -> Position {
        self.seat.position()
    }

    /// Waits until who follows can be told of what was committed; gives its position.
    async fn committed(&self, client: &Client) -> Position {
        self.seat
            .committed(async || flushed(client).await.ok())
            .await
    }

    /// What shadows have to know of a change of the schema, in its transaction.
    async fn tell_schema(&self, client: &Client, statement: &Statement) -> Result<(), EngineError> {
        if !self.seat.has_log() {
            return Ok(());
        }
        let failed = |error: tokio_postgres::Error| failure(&error, When::Undone, false);
        let text = statement.shadow_text.as_deref().ok_or_else(|| {
            EngineError::Internal(
                "an older Element changes the schema of a database with shadows".to_owned(),
            )
        })?;
        let new = "SELECT c.relname::text FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
                AND c.relreplident <> 'f'";
        for row in client.query(new, &[]).await.map_err(failed)? {
            let name: String = row.try_get(0).map_err(failed)?;
            let name = quoted_name(&name);
            let text = format!(
                "ALTER TABLE {name} REPLICA IDENTITY FULL; ALTER PUBLICATION gridmart ADD TABLE {name}"
            );
            client.batch_execute(&text).await.map_err(failed)?;
        }
        let words = Words {
            engine: DataEngine::Postgresql,
            statement: statement.text.clone(),
            whole: Some(whole::whole(client).await?),
        };
        let text = SchemaChange::tell(text, words)?;
        let tell = "SELECT pg_catalog.pg_logical_emit_message(true, $1, $2)::text";
        let told = client.query_one(tell, &[&changes::PREFIX, &text]).await;
        told.map(drop).map_err(failed)
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
        let committing = self.commits.read().await;
        self.seat.require_unfenced()?;
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
        let mut written = match done.await {
            Err(error @ (EngineError::Uncertain { .. } | EngineError::Unreachable { .. })) => {
                return Err(error);
            }
            Err(error) => {
                pooled.keep();
                return Err(error);
            }
            Ok(written) => written,
        };
        drop(committing);
        written.position = self.committed(&pooled.get()?.client).await;
        pooled.keep();
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
                let ran = async {
                    drop_all(client).await?;
                    client.batch_execute(&statement.text).await
                };
                ran.await.map_err(|error| undone(&error))?;
                self.tell_schema(client, &statement).await
            };
            if let Err(error) = changed.await {
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(error);
            }
            let _committing = self.commits.read().await;
            if let Err(error) = self.seat.require_unfenced() {
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(error);
            }
            let committed = client.batch_execute("COMMIT").await;
            committed.map_err(|error| failure(&error, When::Committing, false))
        });
        let done = done.await;
        self.schema_changed();
        done?;
        let position = self.committed(&pooled.get()?.client).await;
        pooled.keep();
        Ok(Written {
            position,
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
            // Who has come as far as this has that schema.
            let place = async || flushed(client).await.ok();
            let position = self.base.seat.schema_position(place).await?;
            Ok::<Schema, EngineError>(Schema { position, ..schema })
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
        self.base.seat.require_unfenced()?;
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
        self.base.seat.require_unfenced()?;
        let transaction = PgTransaction::begin(&self.base, limits).await?;
        Ok(Box::new(transaction))
    }

    fn position(&self) -> LogPoint {
        self.base.seat.last()
    }
}

#[async_trait]
impl CoreEngine for PgCore {
    async fn state(&self) -> Result<State, EngineError> {
        self.base.seat.state()
    }

    async fn history(&self) -> Result<History, EngineError> {
        self.base.seat.history()
    }

    async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError> {
        self.base.seat.pull(shadow, bytes_max).await
    }

    async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        self.base.seat.pull_part(shadow, filter, bytes_max).await
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        self.base.seat.watch()
    }

    async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        self.base.seat.sums(range_rows, filter, begun).await
    }

    async fn require_log(&self) -> Result<(), EngineError> {
        let mut pooled = self.base.readers.take().await?;
        copying::require_log(&pooled.get()?.client).await?;
        pooled.keep();
        Ok(())
    }

    async fn settled(&self) -> Result<(), EngineError> {
        if !self.base.seat.has_log() {
            return Ok(());
        }
        let mut pooled = self.base.readers.take().await?;
        let client = &pooled.get()?.client;
        self.base
            .seat
            .settled(async || flushed(client).await.ok())
            .await?;
        pooled.keep();
        Ok(())
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
            drop(tokio::time::timeout(FENCE_MAX, self.base.commits.write()).await);
        };
        self.base.seat.fence(newest, committing).await
    }

    fn confirm(&self, position: Position) {
        self.base.seat.confirm(position);
    }

    fn retire(&self) {
        self.base.seat.retire();
    }

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
