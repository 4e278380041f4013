//! A MariaDB server beside the Host: its databases are made and removed here, and it is
//! looked at all the time.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{id::DatabaseId, resource::enumeration::DataEngine};
use mysql_async::{Conn, prelude::Queryable as _};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Access, copying::require_log, core::MariaCore, describe, returning::finish_log,
    shadow::MariaKeeper,
};
use crate::data::{
    engine::{
        CoreEngine, EngineError, Shadows, Standby,
        standby::ServerShadow,
        watch::{Health, Look, Looked, watch},
    },
    home::Home,
    log::LogBounds,
    server::{Server, ServerUrl},
};

/// Making or removing a database may take so long.
const CHANGE_MAX: Duration = Duration::from_secs(25);

/// See the module.
pub(in crate::data) struct MariaServer {
    access: Access,
    health: Arc<Health>,
    stop: CancellationToken,
    _stopped: DropGuard,
}

/// What looks at the server.
struct MariaLook {
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

    fn look(&self) -> MariaLook {
        MariaLook {
            access: self.access.clone(),
            health: Arc::clone(&self.health),
        }
    }
}

/// The name of a database at the server.
pub(super) fn name_of(database: DatabaseId) -> String {
    format!("gridmart_{}", database.as_uuid().simple())
}

#[async_trait]
impl Look for MariaLook {
    type Link = Conn;
    const NAME: &'static str = "MariaDB";

    fn health(&self) -> &Health {
        &self.health
    }

    async fn look(&self) -> Result<Looked<Conn>, String> {
        let connected = self.access.connect().await;
        let mut link = connected.map_err(|error| error.to_string())?;
        let version = describe::version(&mut link).await;
        let unfit = match describe::server_check(&mut link).await {
            Ok(()) => None,
            Err(EngineError::Refused { message, .. }) => Some(message),
            Err(error) => return Err(error.to_string()),
        };
        Ok(Looked {
            link,
            version,
            unfit,
        })
    }

    async fn ask(&self, link: &mut Conn) -> bool {
        if link.ping().await.is_err() {
            return false;
        }
        // Where one is removed meanwhile, the next look finds the others.
        if let Err(error) = self.measure(link).await {
            tracing::debug!(%error, "sizes of databases were not found");
        }
        true
    }
}

impl MariaLook {
    /// Looks how large databases are, as the server has counted it last.
    async fn measure(&self, link: &mut Conn) -> Result<(), mysql_async::Error> {
        let text = "SELECT table_schema, CAST(SUM(data_length + index_length) AS UNSIGNED)
            FROM information_schema.tables WHERE table_schema LIKE 'gridmart!_%' ESCAPE '!'
            GROUP BY table_schema";
        let told: Vec<(String, Option<u64>)> = link.query(text).await?;
        let sizes = told.into_iter();
        let sizes = sizes.map(|(name, bytes)| (name, bytes.unwrap_or_default()));
        self.health.measured(sizes.collect());
        Ok(())
    }
}

#[async_trait]
impl Server for MariaServer {
    fn engine(&self) -> DataEngine {
        DataEngine::Mariadb
    }

    async fn probe(&self) -> Result<(), String> {
        watch(self.look(), &self.stop).await
    }

    fn version(&self) -> Option<String> {
        self.health.version()
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
        self.remove_named(&name_of(database)).await
    }

    fn open(
        &self,
        database: DatabaseId,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError> {
        self.open_named(&name_of(database), notes, bounds)
    }

    fn shadows(&self) -> Option<&dyn Shadows> {
        Some(self)
    }
}

#[async_trait]
impl Shadows for MariaServer {
    async fn require(&self) -> Result<(), EngineError> {
        let mut conn = self.access.connect().await?;
        let required = require_log(&mut conn).await;
        let _ = conn.disconnect().await;
        required
    }

    async fn remove_named(&self, name: &str) -> Result<(), EngineError> {
        let removed = timeout(CHANGE_MAX, self.access.remove(name));
        removed
            .await
            .map_err(|_| EngineError::TimedOut(CHANGE_MAX))?
    }

    fn open_named(
        &self,
        name: &str,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError> {
        let health = Arc::clone(&self.health);
        let core = MariaCore::open(&self.access, name, health, notes, bounds)?;
        Ok(Box::new(core))
    }

    fn open_standby(
        &self,
        database: DatabaseId,
        home: &Home,
        file: &Path,
    ) -> Result<Box<dyn Standby>, EngineError> {
        let keeper = MariaKeeper {
            access: self.access.clone(),
            health: Arc::clone(&self.health),
        };
        let shadow = ServerShadow::open(keeper, database, home, file)?;
        Ok(Box::new(shadow))
    }

    fn name_of(&self, database: DatabaseId) -> String {
        name_of(database)
    }

    async fn finish_log(&self, name: &str, file: &Path) -> Result<(), EngineError> {
        finish_log(&self.access, name, file).await
    }
}
