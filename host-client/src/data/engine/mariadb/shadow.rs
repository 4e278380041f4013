//! The rows of a shadow on MariaDB.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{LogPoint, Position, Schema},
    id::DatabaseId,
    resource::enumeration::DataEngine,
};
use mysql_async::{Pool, prelude::Queryable as _};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Access, MariaDb,
    applying::MariaApplier,
    copying::require_log,
    describe,
    failure::{Failure as _, Phase},
    gtid::Gtids,
    loading::MariaLoader,
    log::MariaSource,
    place,
    returning::{end_sessions, has},
    server::name_of,
    session::Session,
    sums::MariaSummed,
    transaction::MariaTransaction,
};
use crate::data::{
    check::Sums,
    engine::{
        Engine as _, EngineError, Limits, RowStream, SqlState, Statement, Transaction,
        TransactionLimits,
        mirror::{Seat, make_mirror},
        standby::{Keeper, LogFile, Rows, catch_up, load, sum_same, told_within},
        watch::Health,
    },
};

/// Describing the schema may take so long.
const DESCRIBE_MAX: Duration = Duration::from_secs(30);
/// While it is changed, it is looked again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What is left over is removed within that, or later.
const REMOVE_MAX: Duration = Duration::from_secs(25);

/// See the module.
pub(super) struct MariaKeeper {
    pub(super) access: Access,
    pub(super) health: Arc<Health>,
}

/// A database with such rows.
pub(super) struct MariaRows {
    database: MariaDb,
    access: Access,
    name: String,
    /// One connection: who applies.
    applying: Pool,
    /// Grows by one when a change of the schema begins, and when it ends.
    pub(super) changes: AtomicU64,
}

#[async_trait]
impl Keeper for MariaKeeper {
    type Rows = MariaRows;
    const NAME: &'static str = "MariaDB";
    const ENGINE: DataEngine = DataEngine::Mariadb;

    fn name_of(&self, database: DatabaseId) -> String {
        name_of(database)
    }

    fn complaint(&self) -> Option<String> {
        self.health.complaint()
    }

    fn used(&self, name: &str) -> u64 {
        self.health.used(name)
    }

    async fn find(&self, name: &str) -> Result<Option<LogPoint>, EngineError> {
        if !has(&self.access, name).await? {
            return Ok(None);
        }
        let mut conn = self.access.of_database(name).connect().await?;
        let mut last = place::of(&mut conn).await?;
        if last.is_some() && place::is_changing(&mut conn).await? {
            // Who was at it may be there still.
            end_sessions(&self.access, name, Some(conn.id())).await?;
            place::settle(&mut conn).await?;
            last = place::of(&mut conn).await?;
        }
        let _ = conn.disconnect().await;
        Ok(last)
    }

    async fn make(&self, name: &str, file: &LogFile) -> Result<LogPoint, EngineError> {
        self.access.create(name).await?;
        let mut conn = self.access.of_database(name).connect().await?;
        let loaded = load(&mut MariaLoader::new(&mut conn), file).await;
        let _ = conn.disconnect().await;
        loaded
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let removed = tokio::time::timeout(REMOVE_MAX, self.access.remove(name)).await;
        removed.map_err(|_| EngineError::TimedOut(REMOVE_MAX))?
    }

    fn open(&self, name: &str, last: LogPoint, file: &LogFile) -> Result<MariaRows, EngineError> {
        let source = MariaSource::new(&self.access, name);
        let seat = Seat::open_shadow(file.path(), last, source)?;
        let access = self.access.of_database(name);
        Ok(MariaRows {
            applying: access.pool(1, false),
            database: MariaDb::of(access.clone(), Some(seat)),
            access,
            name: name.to_owned(),
            changes: AtomicU64::new(0),
        })
    }
}

impl MariaRows {
    /// Where they are.
    pub(super) fn last(&self) -> LogPoint {
        self.database.position()
    }

    /// They have come to a position.
    pub(super) fn moved(&self, last: LogPoint) {
        if let Some(seat) = &self.database.shared.seat {
            seat.moved(last);
        }
    }

    /// The session of who applies.
    pub(super) async fn applier(&self) -> Result<Session, EngineError> {
        let until = Instant::now() + DESCRIBE_MAX;
        Session::taken(&self.applying, &self.access, until).await
    }

    /// How often the schema was changed; `None`: it is being changed.
    fn schema_version(&self) -> Option<u64> {
        let changes = self.changes.load(Ordering::SeqCst);
        changes.is_multiple_of(2).then_some(changes)
    }
}

fn changed_meanwhile() -> EngineError {
    let message = "the schema was changed meanwhile: try again";
    EngineError::refused(SqlState("40001"), message)
}

#[async_trait]
impl Rows for MariaRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        let seat = self.database.shared.seat.as_ref();
        seat.map_or_else(|| watch::channel(LogPoint::default()).1, Seat::watch)
    }

    fn close(&self) {
        let shared = &self.database.shared;
        let writers = shared.writers.read().clone();
        for pool in [&self.applying, &shared.readers, &writers] {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                // Those that are used go with their last statement.
                runtime.spawn(pool.clone().disconnect());
            }
        }
    }

    async fn catch_up(&self, log: &LogFile) -> Result<(), EngineError> {
        let mut applier = MariaApplier::begin(self, log).await?;
        catch_up(&mut applier, log, self.last()).await?;
        applier.keep();
        Ok(())
    }

    async fn describe(&self) -> Result<Schema, EngineError> {
        let until = Instant::now() + DESCRIBE_MAX;
        loop {
            let (version, last) = (self.schema_version(), self.last());
            if version.is_some() {
                let mut session = self.database.reader(until).await?;
                let described = describe::describe(&mut session).await;
                // What is half told while it changes tells nothing.
                if version == self.schema_version() {
                    let position = last.position;
                    return described.map(|schema| Schema { position, ..schema });
                }
            }
            if Instant::now() >= until {
                return Err(EngineError::TimedOut(DESCRIBE_MAX));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn read(
        &self,
        _: &CancellationToken,
        statement: Statement,
        limits: Limits,
    ) -> Result<RowStream, EngineError> {
        self.database.read(statement, limits).await
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let session = self.database.writer(Instant::now() + limits.time).await?;
        let begun = MariaTransaction::view(session, limits, &self.database.shared);
        Ok(Box::new(begun.await?))
    }

    async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError> {
        let version = self.schema_version().ok_or_else(changed_meanwhile)?;
        let mut session = self.database.reader(Instant::now() + DESCRIBE_MAX).await?;
        session.spoil();
        session.view_begin().await?;
        let last = place::of(session.connection()?).await?.unwrap_or_default();
        begun
            .send(last.position)
            .map_err(|_| EngineError::Cancelled)?;
        let Some(told) = told_within(told, time).await? else {
            return Ok(None);
        };
        let schema = describe::describe(&mut session).await?;
        let mut view = MariaSummed(&mut session);
        let summed = sum_same(&mut view, &schema, last.position, &told).await;
        // The tables of a view are those of now.
        if self.schema_version() != Some(version) {
            return Err(changed_meanwhile());
        }
        session.control("COMMIT").await?;
        session.restore();
        summed.map(Some)
    }

    async fn promote(&self, _: LogPoint, file: &LogFile) -> Result<(), EngineError> {
        let mut conn = self.access.connect().await?;
        require_log(&mut conn).await?;
        // From here on it is none of a shadow's.
        conn.query_drop(place::DROP)
            .await
            .during(Phase::Statement)?;
        let told: Option<String> = conn
            .query_first("SELECT @@gtid_binlog_pos")
            .await
            .during(Phase::Statement)?;
        let _ = conn.disconnect().await;
        let told = told.and_then(|told| told.parse().ok());
        let place = told.filter(|place: &Gtids| !place.is_empty());
        let place = place.ok_or_else(|| EngineError::Logless {
            need: "why its binary log has no place".to_owned(),
        })?;
        make_mirror::<MariaSource>(file.path(), &place).await
    }
}

impl Session {
    /// Begins a view of all tables, as they are now.
    pub(super) async fn view_begin(&mut self) -> Result<(), EngineError> {
        for text in [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            self.control(text).await?;
        }
        Ok(())
    }
}
