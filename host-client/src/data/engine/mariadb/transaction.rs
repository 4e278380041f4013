//! Transactions of several statements.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use gridmart_schemas::data::Position;
use tokio::{sync::Mutex, task::AbortHandle};

use super::{Shared, session::Session};
use crate::data::engine::{
    EngineError, Limits, SqlState, Statement, StatementKind, Transaction, TransactionLimits,
    Written,
};

/// Set before each statement, so that it is taken back as a whole.
const STATEMENT: &str = "gridmart_statement";

/// A transaction. Dropping it takes it back.
pub(super) struct MariaTransaction {
    open: Arc<Mutex<Open>>,
    keeper: AbortHandle,
    shared: Arc<Shared>,
    /// Of the log when it began.
    position: Position,
}

struct Open {
    session: Option<Session>,
    limits: TransactionLimits,
    begun: Instant,
    used: Instant,
    /// Names of savepoints, and what the server calls them.
    savepoints: Vec<(String, u64)>,
    savepoints_made: u64,
}

impl MariaTransaction {
    pub(super) async fn begin(
        mut session: Session,
        limits: TransactionLimits,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        if limits.is_strict {
            session
                .control("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                .await?;
        }
        session.control("START TRANSACTION").await?;
        Ok(Self::of(session, limits, shared))
    }

    /// One that reads, and sees one state all along; nobody waits for it.
    pub(super) async fn view(
        mut session: Session,
        limits: TransactionLimits,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        session.view_begin().await?;
        Ok(Self::of(session, limits, shared))
    }

    fn of(session: Session, limits: TransactionLimits, shared: &Arc<Shared>) -> Self {
        let now = Instant::now();
        let open = Arc::new(Mutex::new(Open {
            session: Some(session),
            limits,
            begun: now,
            used: now,
            savepoints: Vec::new(),
            savepoints_made: 0,
        }));
        let keeper = tokio::spawn(keep(Arc::clone(&open))).abort_handle();
        Self {
            open,
            keeper,
            position: shared.position(),
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for MariaTransaction {
    fn drop(&mut self) {
        self.keeper.abort();
        let open = Arc::clone(&self.open);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { open.lock().await.end().await });
        }
    }
}

/// Takes it back when it idles, or is open, for too long.
async fn keep(open: Arc<Mutex<Open>>) {
    loop {
        let next = {
            let mut open = open.lock().await;
            let ends = open.ends();
            if Instant::now() >= ends {
                return open.end().await;
            }
            ends
        };
        tokio::time::sleep_until(next.into()).await;
    }
}

impl Open {
    fn ends(&self) -> Instant {
        (self.begun + self.limits.time).min(self.used + self.limits.idle)
    }

    /// Takes back what is not committed.
    async fn end(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.take_back().await;
        }
    }

    fn session(&mut self) -> Result<&mut Session, EngineError> {
        self.used = Instant::now();
        self.session
            .as_mut()
            .ok_or_else(|| EngineError::TransactionEnded {
                why: "it was idle, or open, for longer than its limit, or the server ended it"
                    .to_owned(),
            })
    }

    async fn control(&mut self, text: &str) -> Result<(), EngineError> {
        let done = self.session()?.control(text).await;
        self.after(done).await
    }

    /// Keeps what was done where the server still has the transaction.
    async fn after<T>(&mut self, done: Result<T, EngineError>) -> Result<T, EngineError> {
        self.used = Instant::now();
        match &done {
            // A deadlock takes the whole transaction.
            Err(EngineError::Refused {
                state: SqlState("40P01" | "40001"),
                ..
            }) => self.end().await,
            Ok(_) | Err(EngineError::Refused { .. } | EngineError::LimitExceeded { .. }) => {}
            Err(_) => self.session = None,
        }
        done
    }

    /// The newest savepoint of a name: its place, and its number.
    fn savepoint(&self, name: &str) -> Result<(usize, u64), EngineError> {
        let known = self.savepoints.iter().rposition(|(known, _)| known == name);
        let found = known.and_then(|place| Some((place, self.savepoints.get(place)?.1)));
        found.ok_or_else(|| {
            let message = format!("savepoint {name:?} does not exist");
            EngineError::refused(SqlState::NO_SAVEPOINT, message)
        })
    }

    async fn run(&mut self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        if statement.kind == StatementKind::Schema {
            let message = "a change of the schema inside of a transaction is not supported on \
                           MariaDB, which would commit it: run it alone";
            return Err(EngineError::refused(SqlState("0A000"), message));
        }
        let until = (self.begun + self.limits.time).min(Instant::now() + limits.time);
        let session = self.session()?;
        session.control(&format!("SAVEPOINT {STATEMENT}")).await?;
        let run = session.run(&statement, limits, until).await;
        let failed = matches!(
            run,
            Err(EngineError::Refused { state, .. }) if !matches!(state.0, "40P01" | "40001")
        );
        if failed || matches!(run, Err(EngineError::LimitExceeded { .. })) {
            let taken = session
                .control(&format!("ROLLBACK TO SAVEPOINT {STATEMENT}"))
                .await;
            if taken.is_err() {
                self.end().await;
            }
        }
        self.after(run).await
    }
}

#[async_trait]
impl Transaction for MariaTransaction {
    async fn run(&mut self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        let mut open = self.open.lock().await;
        let written = open.run(statement, limits).await?;
        Ok(Written {
            position: self.position,
            ..written
        })
    }

    async fn savepoint(&mut self, name: String) -> Result<(), EngineError> {
        let mut open = self.open.lock().await;
        open.savepoints_made += 1;
        let number = open.savepoints_made;
        open.control(&format!("SAVEPOINT s{number}")).await?;
        open.savepoints.push((name, number));
        Ok(())
    }

    async fn rollback_to(&mut self, name: String) -> Result<(), EngineError> {
        let mut open = self.open.lock().await;
        let (place, number) = open.savepoint(&name)?;
        open.control(&format!("ROLLBACK TO SAVEPOINT s{number}"))
            .await?;
        open.savepoints.truncate(place + 1);
        Ok(())
    }

    async fn release(&mut self, name: String) -> Result<(), EngineError> {
        let mut open = self.open.lock().await;
        let (place, number) = open.savepoint(&name)?;
        open.control(&format!("RELEASE SAVEPOINT s{number}"))
            .await?;
        open.savepoints.truncate(place);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Position, EngineError> {
        let mut open = self.open.lock().await;
        let committing = self.shared.commits.read().await;
        if let Err(error) = self.shared.require_unfenced() {
            open.end().await;
            return Err(error);
        }
        let committed = open.session()?.commit().await;
        open.after(committed).await?;
        drop(committing);
        let Some(mut session) = open.session.take() else {
            return Ok(self.position);
        };
        Ok(self.shared.committed(&mut session).await)
    }

    async fn rollback(self: Box<Self>) -> Result<(), EngineError> {
        self.open.lock().await.end().await;
        Ok(())
    }
}
