//! The rows of a shadow on PostgreSQL: loaded from the copy's file, then kept at its heels.
//!
//! Invariants: position and rows are in one transaction; the database that counts is named
//! in the copy's folder only once it is whole; what does not fit is made anew beside what is
//! there; once it is ended, nothing of this names a database any more.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{LogPoint, Position, Schema},
    id::DatabaseId,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;

use super::{
    Base, DESCRIBE_MAX, PgServer, PgTransaction,
    applying::catch_up,
    connection::Purpose,
    copying::{begin_log, require_log},
    failure::{When, failure},
    file::LogFile,
    loading::load,
    log::{PgSource, flushed},
    read, references, schema,
    server::name_of,
    sums::sum_same,
};
use crate::data::{
    check::Sums,
    engine::{
        Engine, EngineError, Limits, RowStream, Standby, Standing, Statement, Transaction,
        TransactionLimits, Written,
        mirror::{Seat, make_mirror},
    },
    home::Home,
};

/// Without a word it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a failure it is tried again after so long at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// What the log has is at the server within that, or the shadow does not become the core.
const LAST_MAX: Duration = Duration::from_mins(1);
/// The server does not have the database any more, or it is none of a shadow.
const GONE: &[&str] = &["3D000", "3F000", "42P01"];

/// See the module.
pub(super) struct PgShadow {
    shared: Arc<Shared>,
}

struct Shared {
    server: PgServer,
    database: DatabaseId,
    home: Home,
    log: LogFile,
    /// The database that counts, once it is open.
    current: RwLock<Option<Arc<Base>>>,
    /// Its position; that of nothing as long as there is none.
    last: watch::Sender<LogPoint>,
    standing: Mutex<Standing>,
    /// They are to be made anew.
    has_diverged: Mutex<bool>,
    wake: Notify,
    /// Held by who changes what is at the server.
    working: tokio::sync::Mutex<()>,
    /// Nothing is named any more; held by who names.
    ended: Mutex<bool>,
    stop: CancellationToken,
}

impl PgShadow {
    /// Asks the server nothing yet.
    pub(super) fn open(
        server: PgServer,
        database: DatabaseId,
        home: &Home,
        file: &Path,
    ) -> Result<Self, EngineError> {
        home.at_server_begin()?;
        let shared = Arc::new(Shared {
            server,
            database,
            home: home.clone(),
            log: LogFile::of(file),
            current: RwLock::default(),
            last: watch::Sender::new(LogPoint::default()),
            standing: Mutex::new(Standing::Loading),
            has_diverged: Mutex::default(),
            wake: Notify::new(),
            working: tokio::sync::Mutex::default(),
            ended: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let keeping = keep(Arc::downgrade(&shared));
        tokio::spawn(shared.stop.clone().run_until_cancelled_owned(keeping));
        Ok(Self { shared })
    }

    fn base(&self) -> Result<Arc<Base>, EngineError> {
        let base = self.shared.current.read().clone();
        base.ok_or_else(|| EngineError::Unreachable {
            why: match &*self.shared.standing.lock() {
                Standing::Away(why) => why.clone(),
                Standing::Loading | Standing::There => "its rows are being loaded".to_owned(),
            },
        })
    }
}

impl Drop for PgShadow {
    fn drop(&mut self) {
        self.end();
        if let Some(base) = self.shared.current.write().take() {
            base.close();
        }
    }
}

async fn keep(shared: Weak<Shared>) {
    let mut pause = PAUSES.0;
    while let Some(shared) = shared.upgrade() {
        match shared.step().await {
            Ok(()) => {
                pause = PAUSES.0;
                let _ = tokio::time::timeout(LOOK_EVERY, shared.wake.notified()).await;
                if let Some(base) = &*shared.current.read() {
                    base.tidy();
                }
            }
            Err(error) => {
                shared.complain(&error);
                tokio::time::sleep(pause).await;
                pause = PAUSES.1.min(pause * 2);
            }
        }
    }
}

impl Shared {
    /// Brings what is at the server to where the log is.
    async fn step(&self) -> Result<(), EngineError> {
        let _working = self.working.lock().await;
        if std::mem::take(&mut *self.has_diverged.lock()) {
            self.forget()?;
        }
        let current = self.current.read().clone();
        let base = match current {
            Some(base) => base,
            None if !self.log.has_come().await? => return Ok(()),
            None => self.opened().await?,
        };
        *self.standing.lock() = Standing::There;
        let mut told = base.seat.watch();
        self.last.send_replace(*told.borrow_and_update());
        let applying = catch_up(&base, &self.log);
        let mut applying = std::pin::pin!(applying);
        loop {
            tokio::select! {
                done = &mut applying => {
                    self.last.send_replace(base.seat.last());
                    return done;
                }
                _ = told.changed() => {
                    self.last.send_replace(*told.borrow_and_update());
                }
            }
        }
    }

    /// What went wrong, and what follows from it.
    fn complain(&self, error: &EngineError) {
        match error {
            EngineError::Stopping => {}
            EngineError::Diverged { .. } => {
                tracing::error!(database.id = %self.database, %error, "the rows of a shadow at PostgreSQL are made anew from the file beside them");
                *self.has_diverged.lock() = true;
                *self.standing.lock() = Standing::Loading;
            }
            // What others hold is given back; readers go on meanwhile.
            EngineError::Refused { .. } | EngineError::Busy | EngineError::TimedOut(_) => {
                tracing::debug!(database.id = %self.database, %error, "the rows of a shadow at PostgreSQL cannot follow now, trying on");
            }
            error => {
                let mut standing = self.standing.lock();
                let why = match error {
                    EngineError::Unreachable { why } => why.clone(),
                    error => error.to_string(),
                };
                if !matches!(&*standing, Standing::Away(known) if *known == why) {
                    tracing::warn!(database.id = %self.database, %error, "the rows of a shadow at PostgreSQL cannot follow, trying on");
                    *standing = Standing::Away(why);
                }
                drop(standing);
                // What became of a commit is read anew.
                if let Some(base) = self.current.write().take() {
                    base.close();
                }
            }
        }
    }

    /// What is at the server does not count any more.
    fn forget(&self) -> Result<(), EngineError> {
        self.last.send_replace(LogPoint::default());
        if let Some(base) = self.current.write().take() {
            base.close();
        }
        let ended = self.ended.lock();
        if *ended {
            return Err(EngineError::Stopping);
        }
        self.home.server_name_forget()
    }

    /// Opens the database that counts; makes one if there is none.
    async fn opened(&self) -> Result<Arc<Base>, EngineError> {
        if let Some(name) = self.home.server_name()? {
            if let Some(last) = self.find(&name).await? {
                return self.take(&name, last);
            }
            tracing::error!(database.id = %self.database, name, "the rows of a shadow at PostgreSQL are gone, and are made anew");
            self.forget()?;
        }
        *self.standing.lock() = Standing::Loading;
        let (name, last) = self.make().await?;
        self.take(&name, last)
    }

    /// Where a database is; `None`: it is gone, or not a shadow's.
    async fn find(&self, name: &str) -> Result<Option<LogPoint>, EngineError> {
        if !self.server.has(name).await? {
            return Ok(None);
        }
        let client = self.server.client(name).await?;
        match point_of(&client).await {
            Ok(last) => Ok(last),
            Err(EngineError::Refused { state, .. }) if GONE.contains(&state.0) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&self, name: &str, last: LogPoint) -> Result<Arc<Base>, EngineError> {
        let server = &self.server;
        // Who follows a core writes on one connection of its own, and nobody else does.
        let base = Base::new(
            &server.access,
            (name, Purpose::Read),
            server.reader(),
            Arc::clone(&server.health),
            |source| Seat::open_shadow(self.log.path(), last, source),
        )?;
        let ended = self.ended.lock();
        if *ended {
            return Err(EngineError::Stopping);
        }
        *self.current.write() = Some(Arc::clone(&base));
        Ok(base)
    }

    /// Makes a database of the file; from then on it counts, and the others go.
    async fn make(&self) -> Result<(String, LogPoint), EngineError> {
        // Those that did not come to their end.
        self.clean(None).await?;
        let name = format!("{}_{:08x}", name_of(self.database), rand::random::<u32>());
        self.home.at_server_note(&name, false)?;
        self.server.make_now(&name).await?;
        let client = self.server.client(&name).await?;
        let last = load(&client, self.log.path()).await?;
        self.name(&name)?;
        tracing::info!(database.id = %self.database, name, position = %last.position, "the rows of a shadow were loaded at PostgreSQL");
        // What stays is tried again at the next time.
        if let Err(error) = self.clean(Some(&name)).await {
            tracing::warn!(database.id = %self.database, %error, "a database of before is still at the server");
        }
        Ok((name, last))
    }

    /// From here on that one counts.
    fn name(&self, name: &str) -> Result<(), EngineError> {
        let ended = self.ended.lock();
        if *ended {
            return Err(EngineError::Stopping);
        }
        self.home.server_name_put(name)
    }

    /// Removes what was made for this copy and does not count.
    async fn clean(&self, current: Option<&str>) -> Result<(), EngineError> {
        for one in self.home.at_server()?.unwrap_or_default() {
            if one.is_kept || current == Some(&one.name) {
                continue;
            }
            self.server.remove_now(&one.name).await?;
            self.home.at_server_forget(&one.name)?;
        }
        Ok(())
    }
}

fn failed(error: &Error) -> EngineError {
    failure(error, When::Undone, false)
}

async fn point_of(client: &Client) -> Result<Option<LogPoint>, EngineError> {
    let text = "SELECT position, epoch FROM gridmart.position";
    let row = client.query_opt(text, &[]).await;
    let row = row.map_err(|error| failed(&error))?;
    let point = row.map(|row| {
        let (position, epoch): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(LogPoint {
            position: Position::new(position),
            epoch: gridmart_schemas::data::Epoch::new(epoch),
        })
    });
    point.transpose().map_err(|error: Error| failed(&error))
}

fn read_only() -> EngineError {
    EngineError::ReadOnly {
        why: "it is a shadow, and writes go to its core".to_owned(),
    }
}

#[async_trait]
impl Engine for PgShadow {
    async fn describe(&self) -> Result<Schema, EngineError> {
        let base = self.base()?;
        let described = async {
            let mut pooled = base.readers.take().await?;
            let client = &pooled.get()?.client;
            let text = "BEGIN ISOLATION LEVEL REPEATABLE READ";
            let view = client.batch_execute(text).await;
            view.map_err(|error| failed(&error))?;
            let last = point_of(client).await?.unwrap_or_default();
            let schema = schema::describe(client, last.position).await?;
            let ended = client.batch_execute("COMMIT").await;
            ended.map_err(|error| failed(&error))?;
            pooled.keep();
            Ok(schema)
        };
        let described = tokio::time::timeout(DESCRIBE_MAX, described).await;
        described.map_err(|_| EngineError::TimedOut(DESCRIBE_MAX))?
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        read::read(&self.base()?, &self.shared.stop, statement, limits).await
    }

    async fn write(&self, _: Statement, _: Limits) -> Result<Written, EngineError> {
        Err(read_only())
    }

    async fn begin(&self, _: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        Err(read_only())
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let limits = TransactionLimits {
            is_strict: true,
            ..limits
        };
        let transaction = PgTransaction::begin(&self.base()?, limits).await?;
        Ok(Box::new(transaction))
    }

    fn position(&self) -> LogPoint {
        *self.shared.last.borrow()
    }
}

#[async_trait]
impl Standby for PgShadow {
    fn standing(&self) -> Standing {
        let standing = self.shared.standing.lock().clone();
        match self.shared.server.health.complaint() {
            Some(complaint) => Standing::Away(complaint),
            None => standing,
        }
    }

    fn wake(&self) {
        self.shared.wake.notify_one();
    }

    async fn reach(&self, last: LogPoint, time: Duration) -> bool {
        self.wake();
        let mut told = self.shared.last.subscribe();
        let reached = told.wait_for(|told| told.position >= last.position);
        let reached = tokio::time::timeout(time, reached).await;
        reached.is_ok_and(|reached| reached.is_ok())
    }

    async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError> {
        let base = self.base()?;
        let mut pooled = base.readers.take().await?;
        let client = &pooled.get()?.client;
        let text = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
        let view = client.batch_execute(text).await;
        view.map_err(|error| failed(&error))?;
        let last = point_of(client).await?.unwrap_or_default();
        begun
            .send(last.position)
            .map_err(|_| EngineError::Cancelled)?;
        let told = tokio::task::spawn_blocking(move || told.recv_timeout(time).ok()).await;
        let Some(told) = told.map_err(|error| EngineError::Internal(error.to_string()))? else {
            return Ok(None);
        };
        let schema = schema::describe(client, last.position).await?;
        let summed = sum_same(client, &schema, last.position, &told).await?;
        let ended = client.batch_execute("COMMIT").await;
        ended.map_err(|error| failed(&error))?;
        pooled.keep();
        Ok(Some(summed))
    }

    fn diverge(&self) {
        *self.shared.has_diverged.lock() = true;
        *self.shared.standing.lock() = Standing::Loading;
        self.wake();
    }

    fn end(&self) {
        *self.shared.ended.lock() = true;
        self.shared.stop.cancel();
    }

    async fn promote(&self, last: LogPoint) -> Result<(), EngineError> {
        if !self.reach(last, LAST_MAX).await {
            let why = match self.standing() {
                Standing::Away(why) => why,
                Standing::Loading | Standing::There => {
                    format!(
                        "its rows there have not come to position {} of the log yet",
                        last.position
                    )
                }
            };
            return Err(EngineError::Unreachable { why });
        }
        let _working = self.shared.working.lock().await;
        let name = self.base()?.database.clone();
        let client = self.shared.server.client(&name).await?;
        let schema = schema::describe(&client, last.position).await?;
        require_log(&client).await?;
        let makes = async {
            let text = "BEGIN; SET LOCAL statement_timeout = 0";
            client.batch_execute(text).await?;
            references::put_back(&client).await?;
            // From here on it is none of a shadow's.
            let text = "DROP SCHEMA gridmart CASCADE; COMMIT";
            client.batch_execute(text).await
        };
        makes.await.map_err(|error| failed(&error))?;
        begin_log(&client, &name, &schema).await?;
        let place = flushed(&client).await.map_err(|error| failed(&error))?;
        let file = self.shared.log.path().to_owned();
        let made = tokio::task::spawn_blocking(move || make_mirror::<PgSource>(&file, &place));
        made.await
            .map_err(|error| EngineError::Internal(error.to_string()))??;
        tokio::spawn(async move {
            // Statements may be long, and nobody waits for them.
            let text = "SET statement_timeout = 0";
            let validated = async {
                client.batch_execute(text).await?;
                references::validate(&client).await
            };
            if let Err(error) = validated.await {
                tracing::warn!(%error, "foreign keys of a new core are in force, and its rows were not looked through for them");
            }
        });
        self.end();
        Ok(())
    }

    fn used(&self) -> u64 {
        let base = self.shared.current.read().clone();
        base.map_or(0, |base| base.health.used(&base.database))
    }
}
