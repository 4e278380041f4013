//! A transaction that only reads: a view of the database, which a reader's thread keeps
//! until the transaction ends.

use std::{
    sync::{Arc, mpsc::Receiver},
    time::Instant,
};

use gridmart_schemas::data::Position;
use rusqlite::Connection;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{
    failure::Failure as _,
    guard::Guard,
    readers::Readers,
    run::{Allowance, execute},
    transaction::{self, Command},
};
use crate::data::{
    engine::{
        Cancel, EngineError, SqlState, Statement, StatementKind, Transaction, TransactionLimits,
        Written,
    },
    log::state,
};

impl Readers {
    /// Begins one, once there is a place: they leave readers to others.
    pub(in crate::data) async fn begin(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        let places: &Arc<Semaphore> = self.views();
        let place = timeout(limits.time, Arc::clone(places).acquire_owned()).await;
        let place = place.map_err(|_| EngineError::Busy)?;
        let place = place.map_err(|_| EngineError::Stopping)?;
        let (handle, commands) = transaction::channel(Some(place));
        let (answer, answered) = oneshot::channel();
        let stop = self.stop();
        self.submit(Box::new(move |reader| match reader {
            Ok(reader) => {
                let guard = Arc::clone(&reader.guard);
                match reader.connection.transaction().during("beginning a view") {
                    Ok(view) => serve(&view, &guard, limits, (&commands, answer), &stop),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Err(error) => drop(answer.send(Err(error))),
        }))?;
        answered.await.map_err(|_| EngineError::Stopping)??;
        Ok(Box::new(handle))
    }
}

type Begun = oneshot::Sender<Result<(), EngineError>>;

/// Serves its commands until it ends; the view goes with it.
fn serve(
    view: &Connection,
    guard: &Guard,
    limits: TransactionLimits,
    (commands, begun): (&Receiver<Command>, Begun),
    stop: &Cancel,
) {
    // What it sees is decided by the first look at the database.
    let position = match state(view) {
        Ok(state) => state.map_or(Position::ZERO, |state| state.last.position),
        Err(error) => return drop(begun.send(Err(error))),
    };
    if begun.send(Ok(())).is_err() {
        return;
    }
    let deadline = Instant::now() + limits.time;
    while let Some(command) = transaction::next(commands, limits, deadline, stop) {
        match command {
            Command::Run(statement, limits, answer) => {
                let mut allowance = Allowance::new(limits, statement.cancel.clone());
                allowance.bound.deadline = allowance.bound.deadline.min(deadline);
                let ran = run(view, guard, &statement, &mut allowance, position);
                let _ = answer.send(ran);
            }
            // It has changed nothing that could be taken back.
            Command::Savepoint(_, answer)
            | Command::RollbackTo(_, answer)
            | Command::Release(_, answer) => drop(answer.send(Ok(()))),
            Command::Commit(answer) => {
                let _ = answer.send(Ok(position));
                return;
            }
        }
    }
}

fn run(
    view: &Connection,
    guard: &Guard,
    statement: &Statement,
    allowance: &mut Allowance,
    position: Position,
) -> Result<Written, EngineError> {
    if statement.kind != StatementKind::Read {
        let message = "the transaction only reads".to_owned();
        return Err(EngineError::refused(SqlState::READ_ONLY, message));
    }
    let outcome = execute(view, guard, statement, allowance)?;
    Ok(Written {
        rows_changed: 0,
        columns: outcome.columns,
        rows: outcome.rows,
        position,
    })
}
