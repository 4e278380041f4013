//! A transaction of several statements, on a connection of its own.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::data::Position;

use super::{
    Base, LOCK_LIMIT,
    failure::{When, failure},
    guards::{Making, drop_all},
    pool::Pooled,
    quoted_name,
    run::{bounded, run, settings},
};
use crate::data::engine::{
    Cancel, EngineError, Limits, Statement, StatementKind, Tally, Transaction, TransactionLimits,
    Written,
};

/// Ending one may take so long.
const END_TIME: Duration = Duration::from_mins(1);

/// See the module. Dropped without an end, its connection is closed, and the server takes
/// it back.
pub(super) struct PgTransaction {
    base: Arc<Base>,
    connection: Pooled,
    limits: TransactionLimits,
    deadline: Instant,
    used: Instant,
    has_failed: bool,
    /// It runs as the reader.
    is_reader: bool,
    /// It has changed the schema: nobody else makes views meanwhile.
    making: Option<Making>,
}

impl PgTransaction {
    pub(super) async fn begin(
        base: &Arc<Base>,
        limits: TransactionLimits,
    ) -> Result<Self, EngineError> {
        let deadline = Instant::now() + limits.time;
        let mut connection = tokio::time::timeout_at(deadline.into(), base.writers.take())
            .await
            .map_err(|_| EngineError::Busy)??;
        let level = if limits.is_strict {
            "SERIALIZABLE"
        } else {
            "READ COMMITTED"
        };
        let text = format!(
            "BEGIN ISOLATION LEVEL {level}; SET LOCAL idle_in_transaction_session_timeout = {}",
            limits.idle.as_millis()
        );
        let begun = connection.get()?.client.batch_execute(&text).await;
        begun.map_err(|error| failure(&error, When::Undone, false))?;
        Ok(Self {
            base: Arc::clone(base),
            connection,
            limits,
            deadline,
            used: Instant::now(),
            has_failed: false,
            is_reader: false,
            making: None,
        })
    }

    /// How long a statement may take; an error if the transaction is over.
    fn time(&mut self, asked: Duration) -> Result<(Instant, Duration), EngineError> {
        let now = Instant::now();
        let ended = |why: String| Err(EngineError::TransactionEnded { why });
        if self.connection.get()?.client.is_closed() {
            return if now - self.used >= self.limits.idle {
                let idle = self.limits.idle.as_secs();
                ended(format!("it was idle for {idle} s"))
            } else {
                ended("the database server was lost meanwhile".to_owned())
            };
        }
        let rest = self.deadline.saturating_duration_since(now);
        if rest.is_zero() {
            let open = self.limits.time.as_secs();
            return ended(format!("it was open for {open} s"));
        }
        let time = asked.min(rest);
        Ok((now + time, time))
    }

    /// What a failure is while a transaction is open: without its server it is over.
    fn explain(error: EngineError) -> EngineError {
        match error {
            EngineError::Unreachable { why } | EngineError::Uncertain { why } => {
                EngineError::TransactionEnded { why }
            }
            other => other,
        }
    }

    /// What has to be run before a statement.
    async fn before(&mut self, statement: &Statement) -> Result<String, EngineError> {
        let guards = &self.base.guards;
        let mut text = String::new();
        if self.is_reader {
            text.push_str("RESET ROLE; ");
            self.is_reader = false;
        }
        if self.making.is_some() {
            // They have to be there when the statement is prepared.
            let client = &self.connection.get()?.client;
            let made = guards.make_within(client, &text, &statement.rules.guards);
            made.await
                .map_err(|error| failure(&error, When::Undone, true))?;
            text.clear();
        } else {
            guards.ensure(&statement.rules, &self.base.makers).await?;
        }
        let role = guards.role(&statement.rules);
        settings(statement, role, &mut text);
        self.is_reader = role.is_some();
        Ok(text)
    }

    async fn run_rows(
        &mut self,
        statement: &Statement,
        limits: Limits,
        time: (Instant, Duration),
    ) -> Result<Written, EngineError> {
        let before = tokio::time::timeout_at(time.0.into(), self.before(statement));
        let before = before.await.map_err(|_| EngineError::TimedOut(time.1))??;
        let canceller = self.connection.canceller();
        let mut tally = Tally::new(limits);
        let connection = self.connection.get()?;
        let ran = run(connection, statement, &before, &mut tally, When::Undone);
        bounded(canceller, time, &statement.cancel, ran).await
    }

    async fn run_schema(
        &mut self,
        statement: &Statement,
        time: (Instant, Duration),
    ) -> Result<Written, EngineError> {
        if self.making.is_none() {
            let making = tokio::time::timeout_at(time.0.into(), self.base.guards.making());
            let making = making.await.map_err(|_| EngineError::TimedOut(time.1))?;
            self.making = Some(making);
        }
        let (canceller, was_reader) = (self.connection.canceller(), self.is_reader);
        self.is_reader = false;
        let client = &self.connection.get()?.client;
        let changed = async {
            if was_reader {
                client.batch_execute("RESET ROLE").await?;
            }
            client.batch_execute(LOCK_LIMIT).await?;
            drop_all(client).await?;
            client.batch_execute(&statement.text).await
        };
        let base = &self.base;
        bounded(canceller, time, &statement.cancel, async {
            let changed = changed.await;
            changed.map_err(|error| failure(&error, When::Undone, false))?;
            base.tell_schema(client, statement).await
        })
        .await?;
        self.connection.get()?.renew(u64::MAX);
        Ok(Written::default())
    }

    async fn control(&mut self, text: &str) -> Result<(), EngineError> {
        let time = self.time(END_TIME)?;
        let canceller = self.connection.canceller();
        let client = &self.connection.get()?.client;
        let nobody = Cancel::default();
        let done = bounded(canceller, time, &nobody, async {
            let done = client.batch_execute(text).await;
            done.map_err(|error| failure(&error, When::Undone, false))
        });
        let done = done.await.map_err(Self::explain);
        self.used = Instant::now();
        self.has_failed |= done.is_err();
        done
    }
}

#[async_trait]
impl Transaction for PgTransaction {
    async fn run(&mut self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        let time = self.time(limits.time)?;
        let ran = match statement.kind {
            StatementKind::Schema => self.run_schema(&statement, time).await,
            StatementKind::Read | StatementKind::Rows => {
                self.run_rows(&statement, limits, time).await
            }
        };
        self.used = Instant::now();
        self.has_failed |= ran.is_err();
        let mut written = ran.map_err(Self::explain)?;
        written.position = self.base.position();
        Ok(written)
    }

    async fn savepoint(&mut self, name: String) -> Result<(), EngineError> {
        self.control(&format!("SAVEPOINT {}", quoted_name(&name)))
            .await
    }

    async fn rollback_to(&mut self, name: String) -> Result<(), EngineError> {
        let mut text = String::new();
        let _ = write!(text, "ROLLBACK TO SAVEPOINT {}", quoted_name(&name));
        self.control(&text).await?;
        self.has_failed = false;
        // As whom it runs was taken back as well, or not.
        self.is_reader = true;
        Ok(())
    }

    async fn release(&mut self, name: String) -> Result<(), EngineError> {
        self.control(&format!("RELEASE SAVEPOINT {}", quoted_name(&name)))
            .await
    }

    async fn commit(mut self: Box<Self>) -> Result<Position, EngineError> {
        self.time(END_TIME)?;
        if self.has_failed {
            return Err(EngineError::TransactionEnded {
                why: "a statement of it has failed".to_owned(),
            });
        }
        self.base.seat.require_unfenced()?;
        // It goes on if the caller leaves.
        let task = tokio::spawn(async move {
            let canceller = self.connection.canceller();
            let time = (Instant::now() + END_TIME, END_TIME);
            let base = Arc::clone(&self.base);
            let client = &self.connection.get()?.client;
            let nobody = Cancel::default();
            let committing = base.commits.read().await;
            base.seat.require_unfenced()?;
            let committed = bounded(canceller, time, &nobody, async {
                let committed = client.batch_execute("COMMIT").await;
                committed.map_err(|error| failure(&error, When::Committing, true))
            });
            let committed = committed.await;
            if self.making.is_some() {
                self.base.schema_changed();
            }
            committed?;
            drop(committing);
            let position = base.committed(&self.connection.get()?.client).await;
            self.connection.keep();
            Ok(position)
        });
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), EngineError> {
        let client = &self.connection.get()?.client;
        let taken_back = client.batch_execute("ROLLBACK");
        // A connection that is closed has taken it back as well.
        if let Ok(Ok(())) = tokio::time::timeout(END_TIME, taken_back).await
            && self.making.is_none()
        {
            self.connection.keep();
        }
        Ok(())
    }
}

impl Base {
    /// What was prepared, and the views, are of another schema.
    pub(super) fn schema_changed(&self) {
        self.guards.forget();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
