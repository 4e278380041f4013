//! The rows of a shadow on PostgreSQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{LogPoint, Position, Schema},
    id::DatabaseId,
    resource::enumeration::DataEngine,
};
use tokio::sync::{oneshot, watch};
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;

use super::{
    Base, DESCRIBE_MAX, PgServer, PgTransaction,
    applying::PgApplier,
    connection::Purpose,
    copying::{begin_log, require_log},
    failure::{When, failure},
    loading::PgLoader,
    log::{PgSource, flushed},
    read, references, schema,
    server::name_of,
    sums::PgSummed,
};
use crate::data::{
    check::Sums,
    engine::{
        EngineError, Limits, RowStream, Statement, Transaction, TransactionLimits,
        mirror::{Seat, make_mirror},
        standby::{Keeper, LogFile, Rows, catch_up, load, sum_same, told_within},
    },
};

/// The server does not have the database any more, or it is none of a shadow.
const GONE: &[&str] = &["3D000", "3F000", "42P01"];

/// See the module.
pub(super) struct PgKeeper(pub(super) PgServer);

/// A database with such rows.
pub(super) struct PgRows {
    base: Arc<Base>,
    server: PgServer,
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

#[async_trait]
impl Keeper for PgKeeper {
    type Rows = PgRows;
    const NAME: &'static str = "PostgreSQL";
    const ENGINE: DataEngine = DataEngine::Postgresql;

    fn name_of(&self, database: DatabaseId) -> String {
        name_of(database)
    }

    fn complaint(&self) -> Option<String> {
        self.0.health.complaint()
    }

    fn used(&self, name: &str) -> u64 {
        self.0.health.used(name)
    }

    async fn find(&self, name: &str) -> Result<Option<LogPoint>, EngineError> {
        if !self.0.has(name).await? {
            return Ok(None);
        }
        let client = self.0.client(name).await?;
        match point_of(&client).await {
            Ok(last) => Ok(last),
            Err(EngineError::Refused { state, .. }) if GONE.contains(&state.0) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, name: &str, file: &LogFile) -> Result<LogPoint, EngineError> {
        self.0.make_now(name).await?;
        let client = self.0.client(name).await?;
        load(&mut PgLoader::new(&client), file).await
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.0.remove_now(name).await
    }

    fn open(&self, name: &str, last: LogPoint, file: &LogFile) -> Result<PgRows, EngineError> {
        let server = self.0.again();
        // Who follows a core writes on one connection of its own, and nobody else does.
        let base = Base::new(
            &server.access,
            (name, Purpose::Read),
            server.reader(),
            Arc::clone(&server.health),
            |source| Seat::open_shadow(file.path(), last, source),
        )?;
        Ok(PgRows { base, server })
    }
}

#[async_trait]
impl Rows for PgRows {
    fn name(&self) -> &str {
        &self.base.database
    }

    fn watch(&self) -> watch::Receiver<LogPoint> {
        self.base.seat.watch()
    }

    fn tidy(&self) {
        self.base.tidy();
    }

    fn close(&self) {
        self.base.close();
    }

    async fn catch_up(&self, log: &LogFile) -> Result<(), EngineError> {
        let mut applier = PgApplier::begin(&self.base).await?;
        catch_up(&mut applier, log, self.base.seat.last()).await?;
        applier.keep();
        Ok(())
    }

    async fn describe(&self) -> Result<Schema, EngineError> {
        let described = async {
            let mut pooled = self.base.readers.take().await?;
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

    async fn read(
        &self,
        stop: &CancellationToken,
        statement: Statement,
        limits: Limits,
    ) -> Result<RowStream, EngineError> {
        read::read(&self.base, stop, statement, limits).await
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let transaction = PgTransaction::begin(&self.base, limits).await?;
        Ok(Box::new(transaction))
    }

    async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError> {
        let mut pooled = self.base.readers.take().await?;
        let client = &pooled.get()?.client;
        let text = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
        let view = client.batch_execute(text).await;
        view.map_err(|error| failed(&error))?;
        let last = point_of(client).await?.unwrap_or_default();
        begun
            .send(last.position)
            .map_err(|_| EngineError::Cancelled)?;
        let Some(told) = told_within(told, time).await? else {
            return Ok(None);
        };
        let schema = schema::describe(client, last.position).await?;
        let summed = sum_same(&mut PgSummed(client), &schema, last.position, &told).await?;
        let ended = client.batch_execute("COMMIT").await;
        ended.map_err(|error| failed(&error))?;
        pooled.keep();
        Ok(Some(summed))
    }

    async fn promote(&self, last: LogPoint, file: &LogFile) -> Result<(), EngineError> {
        let name = &self.base.database;
        let client = self.server.client(name).await?;
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
        begin_log(&client, name, &schema).await?;
        let place = flushed(&client).await.map_err(|error| failed(&error))?;
        make_mirror::<PgSource>(file.path(), &place).await?;
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
        Ok(())
    }
}
