//! Databases on a MariaDB server beside the Host.
//!
//! A statement runs on a connection of a pool, whose session is fixed once
//! (`session`). Reading connections take no writes. Rows come as the server finds them;
//! whoever leaves a statement, or its time, has the server end it from a second
//! connection, and the first one is thrown away. A statement with a single warning has
//! failed (see the judge's `emit::maria`): so each write stands in a transaction, and is
//! taken back as a whole.
//!
//! A change of the schema ends whatever transaction it stands in: it is taken alone.

mod core;
mod describe;
mod failure;
mod read;
mod server;
mod session;
mod transaction;
mod value;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, Position, Schema};
use mysql_async::{Pool, prelude::Queryable as _};

pub(in crate::data) use self::server::MariaServer;
pub use self::session::{Access, AccessError};
use self::{
    failure::{Failure as _, Phase},
    session::Session,
};
use super::{
    Engine, EngineError, Limits, RowStream, SqlState, Statement, StatementKind, Transaction,
    TransactionLimits, Written,
};

/// Connections that read one database.
const READERS: usize = 8;
/// Connections that write to one database; each open transaction has one.
const WRITERS: usize = 8;

/// One database on a server.
#[derive(Clone)]
pub struct MariaDb {
    shared: Arc<Shared>,
}

struct Shared {
    access: Access,
    readers: Pool,
    writers: Pool,
}

impl MariaDb {
    /// Of the database of that name at the server. Nothing is asked of it yet. Has to be
    /// called inside of a runtime.
    pub fn new(access: &Access, database: &str) -> Self {
        let access = access.of_database(database);
        Self {
            shared: Arc::new(Shared {
                readers: access.pool(READERS, true),
                writers: access.pool(WRITERS, false),
                access,
            }),
        }
    }

    async fn reader(&self, until: Instant) -> Result<Session, EngineError> {
        Session::taken(&self.shared.readers, &self.shared.access, until).await
    }

    async fn writer(&self, until: Instant) -> Result<Session, EngineError> {
        Session::taken(&self.shared.writers, &self.shared.access, until).await
    }

    async fn written(self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        let until = Instant::now() + limits.time;
        let mut session = self.writer(until).await?;
        if statement.kind == StatementKind::Schema {
            let changed = session.ask(&statement.text, until, limits).await;
            return session.ended(changed).map(|()| Written::default());
        }
        session.control("START TRANSACTION").await?;
        let written = session.run(&statement, limits, until).await;
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                session.take_back().await;
                return Err(error);
            }
        };
        session.commit().await?;
        Ok(written)
    }
}

#[async_trait]
impl Engine for MariaDb {
    async fn describe(&self) -> Result<Schema, EngineError> {
        let until = Instant::now() + Limits::default().time;
        let mut session = self.reader(until).await?;
        describe::describe(&mut session).await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        if statement.kind != StatementKind::Read {
            let message = "a statement that writes came as one that reads";
            return Err(EngineError::refused(SqlState::NOT_PERMITTED, message));
        }
        let until = Instant::now() + limits.time;
        let session = self.reader(until).await?;
        read::begin(session, statement, limits, until, self.position().position).await
    }

    async fn write(&self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        if statement.kind == StatementKind::Read {
            let message = "a statement that reads came as one that writes";
            return Err(EngineError::refused(SqlState::NOT_PERMITTED, message));
        }
        // It goes on if the caller leaves.
        let task = tokio::spawn(self.clone().written(statement, limits));
        task.await.map_err(|_| EngineError::Stopping)?
    }

    async fn begin(&self, limits: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        let until = Instant::now() + limits.time;
        let session = self.writer(until).await?;
        let begun = transaction::MariaTransaction::begin(session, limits, self.position().position);
        Ok(Box::new(begun.await?))
    }

    fn position(&self) -> LogPoint {
        LogPoint {
            position: Position::ZERO,
            ..LogPoint::default()
        }
    }
}

impl Session {
    /// Runs a change of the schema.
    async fn ask(&mut self, text: &str, until: Instant, limits: Limits) -> Result<(), EngineError> {
        let watch = self.watch();
        let asked = self.connection()?.query_drop(text);
        watch
            .within(asked, until, limits.time)
            .await?
            .during(Phase::Statement)
    }
}

#[cfg(test)]
mod tests;
