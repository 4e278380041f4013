//! A shadow as a copy has it: a file that takes the log, and, on a server, the rows there
//! that follow the file.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{Entry, LogPoint, Position, Schema},
    id::DatabaseId,
    resource::enumeration::SyncState,
};
use tokio::sync::oneshot;

use super::{ShadowError, SqliteShadow};
use crate::data::{
    check::Sums,
    engine::{
        Engine, EngineError, Limits, RowStream, Standby, Standing, Statement, Transaction,
        TransactionLimits, Written,
    },
    home::Home,
    log::{LogBounds, State, history::History},
    server::Servers,
};

/// The server has so long for what the file has taken before the next entries are asked for:
/// the file is to be no further than it must.
const APPLY_MAX: Duration = Duration::from_secs(5);
/// Who asks how the copy stands waits so long for the server.
const STAND_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(in crate::data) struct Shadow {
    file: SqliteShadow,
    server: Option<Box<dyn Standby>>,
}

impl Shadow {
    /// Opens the shadow of a folder whose file this is, with so many readers.
    pub(in crate::data) fn open(
        database: DatabaseId,
        home: &Home,
        file: &Path,
        (bounds, servers): (LogBounds, &Servers),
        readers: usize,
    ) -> Result<Self, EngineError> {
        let engine = home.engine()?;
        let server = servers.of(&engine)?.map(|server| {
            let shadows = server.shadows().ok_or_else(|| EngineError::Unreachable {
                why: format!("this version keeps no shadows on {engine}"),
            })?;
            shadows.open_standby(database, home, file)
        });
        Ok(Self {
            file: SqliteShadow::open(file, bounds, readers)?,
            server: server.transpose()?,
        })
    }

    /// What answers reads.
    fn engine(&self) -> &dyn Engine {
        match &self.server {
            Some(server) => server.as_ref(),
            None => &self.file,
        }
    }

    /// Applies entries: to the file, and then, within a while, at the server.
    pub(in crate::data) async fn apply(&self, entries: Vec<Entry>) -> Result<(), ShadowError> {
        let last = self.file.apply(entries).await?;
        if let Some(server) = &self.server {
            server.wake();
            if server.standing() == Standing::There {
                server.reach(last, APPLY_MAX).await;
            }
        }
        Ok(())
    }

    /// What to tell the core, for the next entries.
    pub(in crate::data) async fn history(&self) -> Result<History, EngineError> {
        self.file.history().await
    }

    /// Begins a view and sums, as [`SqliteShadow::sums_later`] does: of the rows that readers
    /// see.
    pub(in crate::data) async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError> {
        let Some(server) = &self.server else {
            return self.file.sums_later(begun, told, time).await;
        };
        server.reach(self.file.position(), APPLY_MAX).await;
        server.sums_later(begun, told, time).await
    }

    /// The rows that were summed differ from the core's.
    pub(in crate::data) fn diverge(&self, why: &str) {
        // The one is made anew with the other.
        self.file.diverge(why);
        if let Some(server) = &self.server {
            server.diverge();
        }
    }

    /// Applies nothing from here on: the copy becomes the core.
    pub(in crate::data) fn retire(&self) {
        self.file.retire();
    }

    /// Makes what is at the server what a core has there.
    pub(in crate::data) async fn promote(&self) -> Result<(), EngineError> {
        match &self.server {
            Some(server) => server.promote(self.file.position()).await,
            None => Ok(()),
        }
    }

    /// The copy is closed.
    pub(in crate::data) fn end(&self) {
        if let Some(server) = &self.server {
            server.end();
        }
    }

    /// What the file knows of itself; its last entry is the last that readers see, for which
    /// it waits a while.
    pub(in crate::data) async fn state(&self) -> Result<State, EngineError> {
        let mut state = self.file.state().await?;
        let Some(server) = &self.server else {
            return Ok(state);
        };
        match server.standing() {
            Standing::Away(why) => return Err(EngineError::Unreachable { why }),
            Standing::Loading => {}
            Standing::There => {
                server.reach(state.last, STAND_MAX).await;
                state.last = server.position();
            }
        }
        Ok(state)
    }

    /// How it stands, where the file stands so.
    pub(in crate::data) fn sync_state(&self, of_file: SyncState) -> SyncState {
        let Some(server) = &self.server else {
            return of_file;
        };
        match (server.standing(), of_file) {
            (_, SyncState::Initialising | SyncState::Diverged) => of_file,
            (Standing::Away(_), _) => SyncState::Detached,
            (Standing::Loading, _) => SyncState::Initialising,
            (Standing::There, SyncState::Synchronised)
                if server.position() != self.file.position() =>
            {
                SyncState::CatchingUp
            }
            (Standing::There, _) => of_file,
        }
    }

    /// Bytes that it takes elsewhere than in the copy's folder.
    pub(in crate::data) fn used(&self) -> u64 {
        self.server.as_ref().map_or(0, |server| server.used())
    }
}

#[async_trait]
impl Engine for Shadow {
    async fn describe(&self) -> Result<Schema, EngineError> {
        self.engine().describe().await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        self.engine().read(statement, limits).await
    }

    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        self.engine().write(statement, limits).await
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        self.engine().begin(limits).await
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        self.engine().begin_view(limits).await
    }

    fn position(&self) -> LogPoint {
        self.engine().position()
    }
}
