//! A transaction of several statements: its thread's side, and the handle.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use gridmart_schemas::data::Position;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    core::Core,
    run::Allowance,
    writer::{Begin, Job, Writer},
};
use crate::data::engine::{
    Cancel, EngineError, Limits, Statement, Transaction, TransactionLimits, Written,
};

/// Commands on their way; whoever sends one waits for its answer.
const COMMANDS: usize = 1;

/// How often a transaction that waits for a command looks whether the database
/// goes down.
const STOP_LOOK: Duration = Duration::from_millis(50);

type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

pub(super) enum Command {
    Run(Box<Statement>, Limits, Answer<Written>),
    Savepoint(String, Answer<()>),
    RollbackTo(String, Answer<()>),
    Release(String, Answer<()>),
    Commit(Answer<Position>),
}

/// The handle. Dropping it ends the transaction: its commands have no sender
/// any more.
pub(super) struct SqliteTransaction {
    commands: SyncSender<Command>,
    /// A view's place among those.
    _place: Option<OwnedSemaphorePermit>,
}

/// The handle of a transaction to be, and where its commands come.
pub(super) fn channel(
    place: Option<OwnedSemaphorePermit>,
) -> (SqliteTransaction, Receiver<Command>) {
    let (commands, received) = sync_channel(COMMANDS);
    let handle = SqliteTransaction {
        commands,
        _place: place,
    };
    (handle, received)
}

impl SqliteTransaction {
    /// Waits until the writer is free.
    pub(super) async fn begin(
        writer: &Writer,
        limits: TransactionLimits,
    ) -> Result<Self, EngineError> {
        let (transaction, received) = channel(None);
        let (answer, answered) = oneshot::channel();
        writer.send(Job::Begin(Begin {
            limits,
            commands: received,
            answer,
            asked: Instant::now(),
        }))?;
        answered.await.map_err(|_| EngineError::Stopping)??;
        Ok(transaction)
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        // There is room: the command before it was answered.
        self.commands
            .try_send(command(answer))
            .map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn ended() -> EngineError {
    EngineError::TransactionEnded {
        why: "it was idle, or open, for longer than its limit, or the database went down"
            .to_owned(),
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn run(&mut self, statement: Statement, limits: Limits) -> Result<Written, EngineError> {
        let statement = Box::new(statement);
        self.ask(|answer| Command::Run(statement, limits, answer))
            .await
    }

    async fn savepoint(&mut self, name: String) -> Result<(), EngineError> {
        self.ask(|answer| Command::Savepoint(name, answer)).await
    }

    async fn rollback_to(&mut self, name: String) -> Result<(), EngineError> {
        self.ask(|answer| Command::RollbackTo(name, answer)).await
    }

    async fn release(&mut self, name: String) -> Result<(), EngineError> {
        self.ask(|answer| Command::Release(name, answer)).await
    }

    async fn commit(self: Box<Self>) -> Result<Position, EngineError> {
        self.ask(Command::Commit).await
    }

    async fn rollback(self: Box<Self>) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Serves a transaction on the writer's thread until it ends.
pub(super) fn serve(core: &mut Core, begin: Begin, stop: &Cancel) {
    let Begin {
        limits,
        commands,
        answer,
        asked,
    } = begin;
    if answer.is_closed() {
        return;
    }
    if asked.elapsed() >= limits.time {
        // Others had the writer all that time.
        let _ = answer.send(Err(EngineError::Busy));
        return;
    }
    let start = core.begin();
    let failed = start.is_err();
    if answer.send(start).is_err() || failed {
        core.rollback();
        return;
    }
    let deadline = Instant::now() + limits.time;
    while let Some(command) = next(&commands, limits, deadline, stop) {
        if obey(core, command, deadline) == Standing::Over {
            return;
        }
    }
    core.rollback();
}

/// The next command, if it comes in time, and before the database goes down.
pub(super) fn next(
    commands: &Receiver<Command>,
    limits: TransactionLimits,
    deadline: Instant,
    stop: &Cancel,
) -> Option<Command> {
    let end = deadline.min(Instant::now() + limits.idle);
    while !stop.is_cancelled() {
        let left = end.saturating_duration_since(Instant::now());
        match commands.recv_timeout(left.min(STOP_LOOK)) {
            Ok(command) => return Some(command),
            Err(RecvTimeoutError::Timeout) if left > STOP_LOOK => {}
            Err(_) => return None,
        }
    }
    None
}

#[derive(PartialEq, Eq)]
enum Standing {
    Open,
    Over,
}

fn obey(core: &mut Core, command: Command, deadline: Instant) -> Standing {
    match command {
        Command::Run(statement, limits, answer) => {
            let mut allowance = Allowance::new(limits, statement.cancel.clone());
            allowance.bound.deadline = allowance.bound.deadline.min(deadline);
            let result = core.run(&statement, &mut allowance);
            if core.is_taken_back() {
                core.rollback();
                let why = result
                    .err()
                    .map_or_else(String::new, |error| error.to_string());
                let _ = answer.send(Err(EngineError::TransactionEnded { why }));
                return Standing::Over;
            }
            let _ = answer.send(result);
        }
        Command::Savepoint(name, answer) => {
            let _ = answer.send(core.savepoint(&name));
        }
        Command::RollbackTo(name, answer) => {
            let _ = answer.send(core.rollback_to(&name));
        }
        Command::Release(name, answer) => {
            let _ = answer.send(core.release(&name));
        }
        Command::Commit(answer) => {
            let _ = answer.send(core.finish());
            return Standing::Over;
        }
    }
    Standing::Open
}
