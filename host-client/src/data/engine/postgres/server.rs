//! A PostgreSQL server beside the Host: its databases are made and removed here, and it
//! is looked at all the time.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{id::DatabaseId, resource::enumeration::DataEngine};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    PgCore,
    access::Access,
    connection::{Connection, Purpose},
    copying::require_log,
    failure::{When, failure, words},
    quoted_name,
    returning::finish_log,
    shadow::PgKeeper,
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

/// The oldest version that is spoken to.
const VERSION_MIN: i32 = 140_000;
/// What the names of databases begin with.
const PREFIX: &str = "gridmart_";
/// What follows the account's name in that of the role that reads guard views alone.
const READER_SUFFIX: &str = "_reader";
/// A database that is in use is removed in so many tries, with a pause between two.
const REMOVE_TRIES: usize = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(250);
/// Making or removing a database may take so long.
const CHANGE_MAX: Duration = Duration::from_secs(25);

/// Rights beyond databases that nobody needs here.
const STRONG_ROLES: &[&str] = &[
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
];

/// See the module.
pub struct PgServer {
    pub(super) access: Access,
    pub(super) maintenance: String,
    account: String,
    pub(super) health: Arc<Health>,
    stop: CancellationToken,
    _stopped: DropGuard,
}

/// What is known of the account and its server.
struct Fitness {
    version: String,
    number: i32,
    is_superuser: bool,
    may_create: bool,
    has_reader: bool,
    strong: Option<String>,
}

impl PgServer {
    /// Takes a URL; asks the server nothing yet.
    pub fn new(url: &ServerUrl) -> Result<Self, String> {
        let access = Access::of_url(url)?;
        let stop = CancellationToken::new();
        Ok(Self {
            account: access.account().to_owned(),
            maintenance: access.maintenance().to_owned(),
            access,
            health: Arc::default(),
            _stopped: stop.clone().drop_guard(),
            stop,
        })
    }

    /// The same server, for who keeps it longer; it is not looked at by this.
    pub(super) fn again(&self) -> Self {
        let stop = CancellationToken::new();
        Self {
            access: self.access.clone(),
            maintenance: self.maintenance.clone(),
            account: self.account.clone(),
            health: Arc::clone(&self.health),
            _stopped: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Whether there is a database of that name.
    pub(super) async fn has(&self, name: &str) -> Result<bool, EngineError> {
        let client = self.client(&self.maintenance).await?;
        let there = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
        let there = client.query_opt(there, &[&name]).await;
        let there = there.map_err(|error| failure(&error, When::Undone, false))?;
        Ok(there.is_some())
    }

    pub(super) fn reader(&self) -> String {
        format!("{}{READER_SUFFIX}", self.account)
    }

    fn look(&self) -> PgLook {
        PgLook {
            access: self.access.clone(),
            maintenance: self.maintenance.clone(),
            account: self.account.clone(),
            reader: self.reader(),
            health: Arc::clone(&self.health),
        }
    }

    pub(super) async fn client(&self, database: &str) -> Result<Client, EngineError> {
        let opened = Connection::open(&self.access, database, Purpose::Write).await;
        opened.map(|connection| connection.client)
    }

    pub(super) async fn make_now(&self, name: &str) -> Result<(), EngineError> {
        let failed = |error: Error| failure(&error, When::Undone, false);
        let client = self.client(&self.maintenance).await?;
        let there = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
        let there = client.query_opt(there, &[&name]).await.map_err(failed)?;
        if there.is_none() {
            let text = format!(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' \
                 LC_CTYPE 'C.UTF-8'",
                quoted_name(name)
            );
            client.batch_execute(&text).await.map_err(failed)?;
        }
        let client = self.client(name).await?;
        let text = format!(
            "REVOKE ALL ON DATABASE {} FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            quoted_name(name)
        );
        client.batch_execute(&text).await.map_err(failed)
    }

    pub(super) async fn remove_now(&self, name: &str) -> Result<(), EngineError> {
        let client = self.client(&self.maintenance).await?;
        let text = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted_name(name));
        // Who reads its log holds it, and is ended first.
        let end = "SELECT pg_catalog.pg_terminate_backend(active_pid)
            FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active";
        let mut tries = 0;
        loop {
            let ended = client.execute(end, &[&name]).await;
            ended.map_err(|error| failure(&error, When::Undone, false))?;
            tries += 1;
            match client.batch_execute(&text).await {
                Ok(()) => return Ok(()),
                Err(error) if tries < REMOVE_TRIES && is_in_use(&error) => {
                    sleep(REMOVE_PAUSE).await;
                }
                Err(error) => return Err(failure(&error, When::Undone, false)),
            }
        }
    }
}

fn is_in_use(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| *code == tokio_postgres::error::SqlState::OBJECT_IN_USE)
}

/// The name of a database at the server.
pub(super) fn name_of(database: DatabaseId) -> String {
    format!("{PREFIX}{}", database.as_uuid().simple())
}

/// What travels to a server travels in the clear: it has to be on this machine.
/// What looks at the server.
struct PgLook {
    access: Access,
    maintenance: String,
    account: String,
    reader: String,
    health: Arc<Health>,
}

#[async_trait]
impl Look for PgLook {
    type Link = Client;
    const NAME: &'static str = "PostgreSQL";

    fn health(&self) -> &Health {
        &self.health
    }

    async fn look(&self) -> Result<Looked<Client>, String> {
        let opened = Connection::open(&self.access, &self.maintenance, Purpose::Read).await;
        let client = opened.map_err(|error| error.to_string())?.client;
        let fitness = self.fitness(&client).await.map_err(|error| words(&error))?;
        Ok(Looked {
            unfit: self.unfit(&fitness),
            version: Some(fitness.version),
            link: client,
        })
    }

    async fn ask(&self, client: &mut Client) -> bool {
        if client.batch_execute("SELECT").await.is_err() {
            return false;
        }
        // Where one is removed meanwhile, the next look finds the others.
        if let Err(error) = self.measure(client).await {
            tracing::debug!(%error, "sizes of databases were not found");
        }
        true
    }
}

impl PgLook {
    async fn fitness(&self, client: &Client) -> Result<Fitness, Error> {
        let text = "SELECT pg_catalog.current_setting('server_version'),
                pg_catalog.current_setting('server_version_num')::int4,
                r.rolsuper, r.rolcreatedb,
                EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = $1
                    AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')),
                (SELECT o.rolname::text FROM pg_catalog.pg_roles o
                    WHERE o.rolname::text = ANY ($2)
                    AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER') LIMIT 1)
            FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
        let row = client
            .query_one(text, &[&self.reader, &STRONG_ROLES])
            .await?;
        Ok(Fitness {
            version: row.try_get(0)?,
            number: row.try_get(1)?,
            is_superuser: row.try_get(2)?,
            may_create: row.try_get(3)?,
            has_reader: row.try_get(4)?,
            strong: row.try_get(5)?,
        })
    }

    /// Looks how large databases are.
    async fn measure(&self, client: &Client) -> Result<(), Error> {
        let text = "SELECT datname::text, pg_catalog.pg_database_size(oid)
            FROM pg_catalog.pg_database
            WHERE pg_catalog.starts_with(datname::text, $1)
                AND pg_catalog.pg_get_userbyid(datdba) = current_user";
        let mut sizes = HashMap::new();
        for row in client.query(text, &[&PREFIX]).await? {
            let bytes: i64 = row.try_get(1)?;
            sizes.insert(row.try_get(0)?, bytes.unsigned_abs());
        }
        self.health.measured(sizes);
        Ok(())
    }

    /// Why the server or the account cannot be used, and what an administrator has to do.
    fn unfit(&self, fitness: &Fitness) -> Option<String> {
        let (account, reader) = (quoted_name(&self.account), quoted_name(&self.reader));
        if fitness.number < VERSION_MIN {
            let version = &fitness.version;
            return Some(format!(
                "it has the version {version}, and 14 is the oldest"
            ));
        }
        if fitness.is_superuser {
            return Some(format!(
                "its account {account} is a superuser: give it another one (CREATE ROLE gridmart \
                 LOGIN CREATEDB PASSWORD '…'; CREATE ROLE gridmart_reader NOLOGIN; GRANT \
                 gridmart_reader TO gridmart)"
            ));
        }
        if let Some(strong) = &fitness.strong {
            return Some(format!(
                "its account {account} is a member of {strong}, which lets it out of its \
                 databases: REVOKE {strong} FROM {account}"
            ));
        }
        if !fitness.may_create {
            return Some(format!(
                "its account {account} may not make databases: ALTER ROLE {account} CREATEDB"
            ));
        }
        if !fitness.has_reader {
            tracing::warn!(
                "the account {account} has no role {reader} for guarded statements, and runs them \
                 itself: CREATE ROLE {reader} NOLOGIN; GRANT {reader} TO {account}"
            );
        }
        None
    }
}

#[async_trait]
impl Server for PgServer {
    fn engine(&self) -> DataEngine {
        DataEngine::Postgresql
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
        let made = timeout(CHANGE_MAX, self.make_now(&name));
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
impl Shadows for PgServer {
    async fn require(&self) -> Result<(), EngineError> {
        require_log(&self.client(&self.maintenance).await?).await
    }

    async fn remove_named(&self, name: &str) -> Result<(), EngineError> {
        let removed = timeout(CHANGE_MAX, self.remove_now(name));
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
        let core = PgCore::open(
            &self.access,
            name,
            self.reader(),
            Arc::clone(&self.health),
            notes,
            bounds,
        )?;
        Ok(Box::new(core))
    }

    fn open_standby(
        &self,
        database: DatabaseId,
        home: &Home,
        file: &Path,
    ) -> Result<Box<dyn Standby>, EngineError> {
        let shadow = ServerShadow::open(PgKeeper(self.again()), database, home, file)?;
        Ok(Box::new(shadow))
    }

    fn name_of(&self, database: DatabaseId) -> String {
        name_of(database)
    }

    async fn finish_log(&self, name: &str, file: &Path) -> Result<(), EngineError> {
        finish_log(self, name, file).await
    }
}
