//! Databases on a MariaDB server beside the Host.
//!
//! A statement runs on a connection of a pool, whose session is fixed once
//! (`session`). Reading connections take no writes. Rows come as the server finds them;
//! whoever leaves a statement, or its time, has the server end it from a second
//! connection, and the first one is thrown away. A statement with a single warning has
//! failed (see the judge's `emit::maria`): so each write stands in a transaction, and is
//! taken back as a whole.
//!
//! A change of the schema ends whatever transaction it stands in: it is taken alone. The same
//! in SQLite's words, for shadows, stands in it as a comment: so it is in the binary log if
//! the change is, and nothing has to be made whole after a crash between the two.
//!
//! Shadows follow a mirror: `copying` begins it, `log` feeds it from the binary log, which
//! `reading` makes transactions of, and of which `events` and `image` read the bytes; `gtid`
//! is a place there; `whole` is the schema in the server's words.
//!
//! `shadow` has the rows of a shadow (see [`super::standby`]): `loading` makes them,
//! `applying` has them follow the log, with `literal` values, and `place` is where they are;
//! `sums` gives them for comparing; `returning` ends a core that was replaced.

mod applying;
mod copying;
mod core;
mod describe;
mod events;
mod failure;
mod gtid;
mod image;
mod literal;
mod loading;
mod log;
mod place;
mod read;
mod reading;
mod returning;
mod server;
mod session;
mod shadow;
mod sums;
mod transaction;
mod value;
mod whole;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, Position, Schema};
use mysql_async::{Pool, prelude::Queryable as _};
use parking_lot::RwLock;

pub(in crate::data) use self::server::MariaServer;
pub use self::session::{Access, AccessError};
use self::{
    failure::{Failure as _, Phase},
    log::MariaSource,
    session::Session,
};
use super::{
    Engine, EngineError, Limits, RowStream, SqlState, Statement, StatementKind, Transaction,
    TransactionLimits, Written,
    mirror::{BEYOND_ALL, Seat},
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
    writers: RwLock<Pool>,
    /// What it knows of itself, and what shadows follow, as a core.
    seat: Option<Seat<MariaSource>>,
    /// One changes the schema at a time, and nobody while a mirror is made.
    changing: tokio::sync::Mutex<()>,
    /// Held shared by who commits.
    commits: tokio::sync::RwLock<()>,
}

impl MariaDb {
    /// Of the database of that name at the server. Nothing is asked of it yet. Has to be
    /// called inside of a runtime.
    pub fn new(access: &Access, database: &str) -> Self {
        Self::of(access.of_database(database), None)
    }

    /// Of an access to the database.
    fn of(access: Access, seat: Option<Seat<MariaSource>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                readers: access.pool(READERS, true),
                writers: RwLock::new(access.pool(WRITERS, false)),
                access,
                seat,
                changing: tokio::sync::Mutex::default(),
                commits: tokio::sync::RwLock::default(),
            }),
        }
    }

    async fn reader(&self, until: Instant) -> Result<Session, EngineError> {
        Session::taken(&self.shared.readers, &self.shared.access, until).await
    }

    async fn writer(&self, until: Instant) -> Result<Session, EngineError> {
        let writers = self.shared.writers.read().clone();
        Session::taken(&writers, &self.shared.access, until).await
    }

    async fn written(self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        let until = Instant::now() + limits.time;
        if statement.kind == StatementKind::Schema {
            return self.changed(statement, limits, until).await;
        }
        let mut session = self.writer(until).await?;
        session.control("START TRANSACTION").await?;
        let written = session.run(&statement, limits, until).await;
        let mut written = match written {
            Ok(written) => written,
            Err(error) => {
                session.take_back().await;
                return Err(error);
            }
        };
        let committing = self.shared.commits.read().await;
        if let Err(error) = self.shared.require_unfenced() {
            session.take_back().await;
            return Err(error);
        }
        session.commit().await?;
        drop(committing);
        written.position = self.shared.committed(&mut session).await;
        Ok(written)
    }

    /// Changes the schema.
    async fn changed(
        self,
        statement: Statement,
        limits: Limits,
        until: Instant,
    ) -> Result<Written, EngineError> {
        let changing = self.shared.changing.lock();
        let changing = tokio::time::timeout_at(until.into(), changing).await;
        let _changing = changing.map_err(|_| EngineError::TimedOut(limits.time))?;
        let text = self.shared.for_shadows(&statement)?;
        let mut session = self.writer(until).await?;
        let committing = self.shared.commits.read().await;
        self.shared.require_unfenced()?;
        let changed = session.ask(&text, until, limits).await;
        session.ended(changed)?;
        drop(committing);
        let position = self.shared.committed(&mut session).await;
        self.shared.keep_whole(position).await;
        Ok(Written {
            position,
            ..Written::default()
        })
    }
}

impl Shared {
    fn position(&self) -> Position {
        let seat = self.seat.as_ref();
        seat.map_or(Position::ZERO, Seat::position)
    }

    /// Waits until who follows can be told of what a session has committed; gives its
    /// position.
    async fn committed(&self, session: &mut Session) -> Position {
        let Some(seat) = &self.seat else {
            return Position::ZERO;
        };
        let logged = async || {
            let logged = session.logged().await;
            if logged.as_ref().is_some_and(gtid::Gtids::is_empty) {
                tracing::warn!(
                    "the MariaDB server does not log what a database with shadows has: have \
                     binlog_do_db and binlog_ignore_db leave it in, then add the shadows anew"
                );
                return None;
            }
            logged
        };
        seat.committed(logged).await
    }

    /// Refuses to commit once another core has taken over.
    fn require_unfenced(&self) -> Result<(), EngineError> {
        self.seat.as_ref().map_or(Ok(()), Seat::require_unfenced)
    }

    /// Has the mirror keep the schema whole after a change that it has, in the place of what
    /// it knew and the change. Nobody may change it meanwhile.
    async fn keep_whole(&self, position: Position) {
        let Some(seat) = self.seat.as_ref().filter(|seat| seat.has_log()) else {
            return;
        };
        if position == BEYOND_ALL {
            return;
        }
        let kept = async { seat.keep_whole(&whole::whole_at(&self.access).await?) };
        if let Err(error) = kept.await {
            // It is known as it was before, with the change.
            tracing::debug!(%error, "a schema is not kept whole");
        }
    }

    /// A change of the schema as the server is asked for it: with the words for shadows, if
    /// there may ever be some.
    fn for_shadows(&self, statement: &Statement) -> Result<String, EngineError> {
        let has_log = self.seat.as_ref().is_some_and(Seat::has_log);
        if has_log && copying::makes_acting_key(&statement.text) {
            return Err(copying::acting_key("declare it without"));
        }
        match &statement.shadow_text {
            Some(words) => Ok(events::with_words(&statement.text, words)),
            None if has_log => Err(EngineError::Internal(
                "an older Element changes the schema of a database with shadows".to_owned(),
            )),
            None => Ok(statement.text.clone()),
        }
    }

    /// Those who write come over new connections from here on.
    fn renew_writers(&self) {
        *self.writers.write() = self.access.pool(WRITERS, false);
    }
}

#[async_trait]
impl Engine for MariaDb {
    async fn describe(&self) -> Result<Schema, EngineError> {
        let until = Instant::now() + Limits::default().time;
        let mut session = self.reader(until).await?;
        let schema = describe::describe(&mut session).await?;
        let Some(seat) = &self.shared.seat else {
            return Ok(schema);
        };
        // Who has come as far as this has that schema.
        let position = seat.schema_position(async || session.logged_by_all().await);
        Ok(Schema {
            position: position.await?,
            ..schema
        })
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        if statement.kind != StatementKind::Read {
            let message = "a statement that writes came as one that reads";
            return Err(EngineError::refused(SqlState::NOT_PERMITTED, message));
        }
        let until = Instant::now() + limits.time;
        let session = self.reader(until).await?;
        read::begin(session, statement, limits, until, self.shared.position()).await
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
        let begun = transaction::MariaTransaction::begin(session, limits, &self.shared);
        Ok(Box::new(begun.await?))
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let session = self.writer(Instant::now() + limits.time).await?;
        let begun = transaction::MariaTransaction::view(session, limits, &self.shared);
        Ok(Box::new(begun.await?))
    }

    fn position(&self) -> LogPoint {
        let seat = self.shared.seat.as_ref();
        seat.map_or_else(LogPoint::default, Seat::last)
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
