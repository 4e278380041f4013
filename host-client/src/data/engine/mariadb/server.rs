//! A MariaDB server beside the Host: its databases are made and removed here, and it is
//! looked at all the time.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{id::DatabaseId, resource::enumeration::DataEngine};
use mysql_async::{Conn, prelude::Queryable as _};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Access, core::MariaCore, describe};
use crate::data::{
    engine::{
        CoreEngine, EngineError,
        watch::{Health, Look, Looked, watch},
    },
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
        link.ping().await.is_ok()
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
        bounds: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError> {
        let core = MariaCore::open(
            &self.access,
            &name_of(database),
            Arc::clone(&self.health),
            notes,
            bounds,
        )?;
        Ok(Box::new(core))
    }
}
