//! Database servers beside the Host: an engine each, reached with an account of the
//! Host's own. Every database is a database of its own there.

mod tls;
mod url;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use gridmart_schemas::{
    id::DatabaseId,
    resource::{enumeration::DataEngine, host::EngineInfo},
    scalar::Token,
};

pub use self::url::{ServerUrl, ServerUrlError};
pub(in crate::data) use self::{
    tls::{certificates_read, client_config},
    url::without_tls,
};
use super::engine::{CoreEngine, EngineError, Shadows, mariadb::MariaServer, postgres::PgServer};
use super::log::LogBounds;
use crate::member::HostError;

/// What is told of a server's version that was never reached.
const VERSION_UNKNOWN: &str = "unknown";

/// A server.
#[async_trait]
pub trait Server: Send + Sync {
    /// Its kind.
    fn engine(&self) -> DataEngine;

    /// Looks whether it is fit for databases, and tells what an administrator has to do
    /// where it is not. One that cannot be reached is not unfit.
    async fn probe(&self) -> Result<(), String>;

    /// Its version, once it was reached.
    fn version(&self) -> Option<String>;

    /// Why it cannot be used at present, if that is so.
    fn complaint(&self) -> Option<String>;

    /// Makes an empty database, unless it is there.
    async fn make(&self, database: DatabaseId) -> Result<(), EngineError>;

    /// Removes a database, if it is there, with all that is in it.
    async fn remove(&self, database: DatabaseId) -> Result<(), EngineError>;

    /// Opens a core; `notes` is the file with what the copy knows of itself. Nothing is
    /// asked of the server: it may be away.
    fn open(
        &self,
        database: DatabaseId,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError>;

    /// What it does for shadows; `None`: it keeps none.
    fn shadows(&self) -> Option<&dyn Shadows> {
        None
    }
}

/// All of them: one of each engine.
#[derive(Clone, Default)]
pub(super) struct Servers(Vec<Arc<dyn Server>>);

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|server| server.engine()))
            .finish()
    }
}

impl Servers {
    /// Looks whether each can be used: what is known to be unfit is refused, what is away
    /// may come back.
    pub(super) async fn connect(urls: &[ServerUrl]) -> Result<Self, HostError> {
        let mut servers: Vec<Arc<dyn Server>> = Vec::new();
        for url in urls {
            let unfit = |why: String| HostError::Server {
                engine: url.engine().to_string(),
                why,
            };
            let server = server_at(url).map_err(unfit)?;
            server.probe().await.map_err(unfit)?;
            servers.push(server);
        }
        Ok(Self(servers))
    }

    /// The server of an engine; SQLite needs none.
    pub(super) fn of(&self, engine: &DataEngine) -> Result<Option<&Arc<dyn Server>>, EngineError> {
        if *engine == DataEngine::Sqlite {
            return Ok(None);
        }
        let found = self.0.iter().find(|server| server.engine() == *engine);
        found.map(Some).ok_or_else(|| EngineError::Unreachable {
            why: format!(
                "this Host was told of no {engine} server (`gridmart host data --server`)"
            ),
        })
    }

    /// What they are, for the Host's description.
    pub(super) fn engines(&self) -> impl Iterator<Item = EngineInfo> {
        self.0.iter().filter_map(|server| {
            let version = server.version();
            let version = version.as_deref().unwrap_or(VERSION_UNKNOWN);
            Some(EngineInfo {
                name: server.engine(),
                version: Token::new(version).ok()?,
            })
        })
    }

    /// Why one cannot be used at present, if that is so.
    pub(super) fn complaint(&self) -> Option<String> {
        self.0.iter().find_map(|server| server.complaint())
    }
}

/// The way to a server; nothing is asked of it yet.
fn server_at(url: &ServerUrl) -> Result<Arc<dyn Server>, String> {
    match url.engine() {
        DataEngine::Mariadb => Ok(Arc::new(MariaServer::new(url)?)),
        DataEngine::Postgresql => Ok(Arc::new(PgServer::new(url)?)),
        other => Err(format!("this version has no engine {other}")),
    }
}
