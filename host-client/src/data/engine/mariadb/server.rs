//! A MariaDB server beside the Host: its databases are made and removed here, and it is
//! looked at all the time.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{id::DatabaseId, resource::enumeration::DataEngine};
use mysql_async::{Conn, prelude::Queryable as _};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Access, MariaDb, core::MariaCore, describe};
use crate::data::{
    engine::{CoreEngine, EngineError},
    log::LogBounds,
    server::{Server, ServerUrl},
};

/// Between two looks at the server.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first pause before it is tried again; it doubles up to `LOOK_EVERY`.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// A look may take so long.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Making or removing a database may take so long.
const CHANGE_MAX: Duration = Duration::from_secs(25);

/// How the server is, as it was found last.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    version: Option<String>,
    complaint: Option<String>,
}

impl Health {
    pub(super) fn complaint(&self) -> Option<String> {
        self.0.lock().complaint.clone()
    }
}

/// See the module.
pub(in crate::data) struct MariaServer {
    access: Access,
    health: Arc<Health>,
    stop: CancellationToken,
    _stopped: DropGuard,
}

/// What a look at the server has shown.
enum Seen {
    Fit(Conn),
    /// What an administrator has to do.
    Unfit(String),
    Away(String),
}

/// Who looks.
#[derive(Clone)]
struct Look {
    access: Access,
    health: Arc<Health>,
}

impl MariaServer {
    /// Takes a URL; asks the server nothing yet.
    pub(in crate::data) fn new(url: &ServerUrl) -> Result<Self, String> {
        let access = Access::of_url(url.secret()).map_err(|error| error.to_string())?;
        let stop = CancellationToken::new();
        Ok(Self {
            access,
            health: Arc::default(),
            _stopped: stop.clone().drop_guard(),
            stop,
        })
    }

    fn look(&self) -> Look {
        Look {
            access: self.access.clone(),
            health: Arc::clone(&self.health),
        }
    }
}

/// The name of a database at the server.
fn name_of(database: DatabaseId) -> String {
    format!("gridmart_{}", database.as_uuid().simple())
}

impl Look {
    async fn once(&self) -> Seen {
        let mut conn = match self.access.connect().await {
            Ok(conn) => conn,
            Err(error) => return self.away(error.to_string()),
        };
        let version = describe::version(&mut conn).await;
        let checked = timeout(LOOK_MAX, describe::server_check(&mut conn)).await;
        let unfit = match checked {
            Ok(Ok(())) => None,
            Ok(Err(EngineError::Refused { message, .. })) => Some(message),
            Ok(Err(error)) => return self.away(error.to_string()),
            Err(_) => return self.away("it does not answer".to_owned()),
        };
        let mut found = self.health.0.lock();
        found.version = version.or_else(|| found.version.take());
        found.complaint.clone_from(&unfit);
        drop(found);
        unfit.map_or(Seen::Fit(conn), Seen::Unfit)
    }

    fn away(&self, why: String) -> Seen {
        let complaint = format!("the MariaDB server beside the Host is away: {why}");
        self.health.0.lock().complaint = Some(complaint);
        Seen::Away(why)
    }

    /// Looks on and on.
    async fn watch(self) {
        let mut pause = PAUSE_FIRST;
        let mut was_away = false;
        loop {
            match self.once().await {
                Seen::Fit(mut conn) => {
                    if was_away {
                        tracing::info!("the MariaDB server is there again");
                    }
                    (pause, was_away) = (PAUSE_FIRST, false);
                    while let Ok(Ok(())) = timeout(LOOK_MAX, conn.ping()).await {
                        sleep(LOOK_EVERY).await;
                    }
                }
                Seen::Unfit(why) | Seen::Away(why) => {
                    if !was_away {
                        tracing::error!(why, "the MariaDB server cannot be used, trying on");
                    }
                    was_away = true;
                    sleep(pause).await;
                    pause = LOOK_EVERY.min(pause * 2);
                }
            }
        }
    }
}

#[async_trait]
impl Server for MariaServer {
    fn engine(&self) -> DataEngine {
        DataEngine::Mariadb
    }

    async fn probe(&self) -> Result<(), String> {
        match self.look().once().await {
            Seen::Unfit(why) => return Err(why),
            Seen::Away(why) => {
                tracing::warn!(why, "the MariaDB server is away, and is waited for");
            }
            Seen::Fit(_) => {}
        }
        let watching = self.look().watch();
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(watching));
        Ok(())
    }

    fn version(&self) -> Option<String> {
        self.health.0.lock().version.clone()
    }

    fn complaint(&self) -> Option<String> {
        self.health.complaint()
    }

    async fn make(&self, database: DatabaseId) -> Result<(), EngineError> {
        let name = name_of(database);
        let made = timeout(CHANGE_MAX, self.access.create(&name));
        made.await.map_err(|_| EngineError::TimedOut(CHANGE_MAX))?
    }

    async fn remove(&self, database: DatabaseId) -> Result<(), EngineError> {
        let name = name_of(database);
        let removed = timeout(CHANGE_MAX, self.access.remove(&name));
        removed
            .await
            .map_err(|_| EngineError::TimedOut(CHANGE_MAX))?
    }

    fn open(
        &self,
        database: DatabaseId,
        notes: &Path,
        _: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError> {
        let at_server = MariaDb::new(&self.access, &name_of(database));
        let core = MariaCore::open(at_server, Arc::clone(&self.health), notes)?;
        Ok(Box::new(core))
    }
}
