//! The rows of a shadow at a server: loaded from the copy's file, then kept at its heels.
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
    resource::enumeration::DataEngine,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{LogFile, Standby, Standing};
use crate::data::{
    check::Sums,
    engine::{
        Engine, EngineError, Limits, RowStream, Statement, Transaction, TransactionLimits, Written,
    },
    home::Home,
};

/// Without a word it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a failure it is tried again after so long at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// What the log has is at the server within that, or the shadow does not become the core.
const LAST_MAX: Duration = Duration::from_mins(1);

/// What a server does for the rows of one shadow.
#[async_trait]
pub(in super::super) trait Keeper: Send + Sync + 'static {
    /// A database that is open.
    type Rows: Rows;
    /// The server's name.
    const NAME: &'static str;
    /// Its engine.
    const ENGINE: DataEngine;

    /// The name of the database that a core is made with.
    fn name_of(&self, database: DatabaseId) -> String;

    /// Why the server cannot be used at present, if that is so.
    fn complaint(&self) -> Option<String>;

    /// Bytes that a database takes.
    fn used(&self, name: &str) -> u64;

    /// Where a database is; `None`: it is gone, or not a shadow's.
    async fn find(&self, name: &str) -> Result<Option<LogPoint>, EngineError>;

    /// Makes a database of the file; gives the position that it is at.
    async fn make(&self, name: &str, file: &LogFile) -> Result<LogPoint, EngineError>;

    /// Removes one, if it is there.
    async fn remove(&self, name: &str) -> Result<(), EngineError>;

    /// Opens one that is at that position.
    fn open(&self, name: &str, last: LogPoint, file: &LogFile) -> Result<Self::Rows, EngineError>;
}

/// The rows of a shadow, in a database of a server.
#[async_trait]
pub(in super::super) trait Rows: Send + Sync + 'static {
    /// Its name at the server.
    fn name(&self) -> &str;

    /// Tells of each position that it comes to.
    fn watch(&self) -> watch::Receiver<LogPoint>;

    /// Closes connections that nobody needed for long.
    fn tidy(&self) {}

    /// Nothing is asked of it any more.
    fn close(&self);

    /// Applies all that the log has; tells of what is committed.
    async fn catch_up(&self, log: &LogFile) -> Result<(), EngineError>;

    /// Its tables, and the position at which it has them.
    async fn describe(&self) -> Result<Schema, EngineError>;

    /// Reads, until that is stopped.
    async fn read(
        &self,
        stop: &CancellationToken,
        statement: Statement,
        limits: Limits,
    ) -> Result<RowStream, EngineError>;

    /// Begins a transaction that reads, and sees one state.
    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError>;

    /// As [`Standby::sums_later`] has it.
    async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError>;

    /// Makes of it what a core has; it is at that position, and nothing is applied meanwhile.
    async fn promote(&self, last: LogPoint, file: &LogFile) -> Result<(), EngineError>;
}

/// See the module.
pub(in super::super) struct ServerShadow<K: Keeper> {
    shared: Arc<Shared<K>>,
}

struct Shared<K: Keeper> {
    keeper: K,
    database: DatabaseId,
    home: Home,
    log: LogFile,
    /// The database that counts, once it is open.
    current: RwLock<Option<Arc<K::Rows>>>,
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

impl<K: Keeper> ServerShadow<K> {
    /// Asks the server nothing yet.
    pub(in super::super) fn open(
        keeper: K,
        database: DatabaseId,
        home: &Home,
        file: &Path,
    ) -> Result<Self, EngineError> {
        home.at_server_begin()?;
        let shared = Arc::new(Shared {
            keeper,
            database,
            home: home.clone(),
            log: LogFile::of(file, K::ENGINE),
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

    fn rows(&self) -> Result<Arc<K::Rows>, EngineError> {
        let rows = self.shared.current.read().clone();
        rows.ok_or_else(|| EngineError::Unreachable {
            why: match &*self.shared.standing.lock() {
                Standing::Away(why) => why.clone(),
                Standing::Loading | Standing::There => "its rows are being loaded".to_owned(),
            },
        })
    }
}

impl<K: Keeper> Drop for ServerShadow<K> {
    fn drop(&mut self) {
        self.end();
        self.shared.close();
    }
}

async fn keep<K: Keeper>(shared: Weak<Shared<K>>) {
    let mut pause = PAUSES.0;
    while let Some(shared) = shared.upgrade() {
        match shared.step().await {
            Ok(()) => {
                pause = PAUSES.0;
                let _ = tokio::time::timeout(LOOK_EVERY, shared.wake.notified()).await;
                if let Some(rows) = &*shared.current.read() {
                    rows.tidy();
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

impl<K: Keeper> Shared<K> {
    /// Brings what is at the server to where the log is.
    async fn step(&self) -> Result<(), EngineError> {
        let _working = self.working.lock().await;
        if std::mem::take(&mut *self.has_diverged.lock()) {
            self.forget()?;
        }
        let current = self.current.read().clone();
        let rows = match current {
            Some(rows) => rows,
            None if !self.log.has_come().await? => return Ok(()),
            None => self.opened().await?,
        };
        *self.standing.lock() = Standing::There;
        let mut told = rows.watch();
        self.last.send_replace(*told.borrow_and_update());
        let applying = rows.catch_up(&self.log);
        let mut applying = std::pin::pin!(applying);
        loop {
            tokio::select! {
                done = &mut applying => {
                    self.last.send_replace(*told.borrow());
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
        let server = K::NAME;
        match error {
            EngineError::Stopping => {}
            EngineError::Diverged { .. } => {
                tracing::error!(database.id = %self.database, server, %error, "the rows of a shadow at a server are made anew from the file beside them");
                *self.has_diverged.lock() = true;
                *self.standing.lock() = Standing::Loading;
            }
            // What others hold is given back; readers go on meanwhile.
            EngineError::Refused { .. } | EngineError::Busy | EngineError::TimedOut(_) => {
                tracing::debug!(database.id = %self.database, server, %error, "the rows of a shadow at a server cannot follow now, trying on");
            }
            error => {
                let mut standing = self.standing.lock();
                let why = match error {
                    EngineError::Unreachable { why } => why.clone(),
                    error => error.to_string(),
                };
                if !matches!(&*standing, Standing::Away(known) if *known == why) {
                    tracing::warn!(database.id = %self.database, server, %error, "the rows of a shadow at a server cannot follow, trying on");
                    *standing = Standing::Away(why);
                }
                drop(standing);
                // What became of a commit is read anew.
                self.close();
            }
        }
    }

    fn close(&self) {
        if let Some(rows) = self.current.write().take() {
            rows.close();
        }
    }

    /// What is at the server does not count any more.
    fn forget(&self) -> Result<(), EngineError> {
        self.last.send_replace(LogPoint::default());
        self.close();
        let ended = self.ended.lock();
        if *ended {
            return Err(EngineError::Stopping);
        }
        self.home.server_name_forget()
    }

    /// Opens the database that counts; makes one if there is none.
    async fn opened(&self) -> Result<Arc<K::Rows>, EngineError> {
        if let Some(name) = self.home.server_name()? {
            if let Some(last) = self.keeper.find(&name).await? {
                return self.take(&name, last);
            }
            tracing::error!(database.id = %self.database, server = K::NAME, name, "the rows of a shadow at a server are gone, and are made anew");
            self.forget()?;
        }
        *self.standing.lock() = Standing::Loading;
        let (name, last) = self.make().await?;
        self.take(&name, last)
    }

    fn take(&self, name: &str, last: LogPoint) -> Result<Arc<K::Rows>, EngineError> {
        let rows = Arc::new(self.keeper.open(name, last, &self.log)?);
        let ended = self.ended.lock();
        if *ended {
            return Err(EngineError::Stopping);
        }
        *self.current.write() = Some(Arc::clone(&rows));
        Ok(rows)
    }

    /// Makes a database of the file; from then on it counts, and the others go.
    async fn make(&self) -> Result<(String, LogPoint), EngineError> {
        // Those that did not come to their end.
        self.clean(None).await?;
        let name = self.keeper.name_of(self.database);
        let name = format!("{name}_{:08x}", rand::random::<u32>());
        self.home.at_server_note(&name, false)?;
        let last = self.keeper.make(&name, &self.log).await?;
        self.name(&name)?;
        tracing::info!(database.id = %self.database, server = K::NAME, name, position = %last.position, "the rows of a shadow were loaded at a server");
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
            self.keeper.remove(&one.name).await?;
            self.home.at_server_forget(&one.name)?;
        }
        Ok(())
    }
}

#[async_trait]
impl<K: Keeper> Engine for ServerShadow<K> {
    async fn describe(&self) -> Result<Schema, EngineError> {
        self.rows()?.describe().await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        self.rows()?
            .read(&self.shared.stop, statement, limits)
            .await
    }

    async fn write(&self, _: Statement, _: Limits) -> Result<Written, EngineError> {
        Err(EngineError::of_shadow())
    }

    async fn begin(&self, _: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        Err(EngineError::of_shadow())
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let limits = TransactionLimits {
            is_strict: true,
            ..limits
        };
        self.rows()?.begin_view(limits).await
    }

    fn position(&self) -> LogPoint {
        *self.shared.last.borrow()
    }
}

#[async_trait]
impl<K: Keeper> Standby for ServerShadow<K> {
    fn standing(&self) -> Standing {
        let standing = self.shared.standing.lock().clone();
        match self.shared.keeper.complaint() {
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
        self.rows()?.sums_later(begun, told, time).await
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
        self.rows()?.promote(last, &self.shared.log).await?;
        self.end();
        Ok(())
    }

    fn used(&self) -> u64 {
        let rows = self.shared.current.read().clone();
        rows.map_or(0, |rows| self.shared.keeper.used(rows.name()))
    }
}
