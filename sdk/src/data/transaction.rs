//! A transaction of several statements.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::{Position, Value},
    id::DatabaseId,
    problem::{Code, Problem},
    wire::{
        data::{ReadFrom, StatementAnswer, StatementRun, TransactionAnswer, TransactionControl},
        replica::{TransactionAct, TransactionNumber},
    },
};

use super::{
    plane::in_doubt,
    rows::{ANSWER_TIMEOUT, Executed, Rows},
};
use crate::{error::Error, grid::Grid};

/// Time for what is no statement; Hosts end a transaction before that.
const CONTROL_TIMEOUT: Duration = Duration::from_mins(2);

/// What a transaction is begun as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// It writes nothing. With `strict` it keeps nobody else waiting.
    pub read_only: bool,
    /// All of it sees one state of the database (SERIALIZABLE); else each statement sees
    /// what is committed by then (READ COMMITTED).
    pub strict: bool,
}

/// See the module. Dropping it takes back what it has done. It is on one Host, which ends
/// it when nothing is asked in it for ten seconds, or it is open for a minute.
///
/// After an error of a statement it does nothing more, until it goes back to a savepoint;
/// to commit it fails with SQLSTATE 25P02 then, and takes it back.
#[must_use = "dropping it takes it back"]
pub struct Transaction {
    grid: Arc<Grid>,
    database: String,
    id: DatabaseId,
    from: ReadFrom,
    peer: Peer,
    number: TransactionNumber,
    is_over: bool,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("database", &self.database)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Transaction {
    pub(super) async fn begin(
        grid: Arc<Grid>,
        database: &str,
        modes: TransactionModes,
        from: ReadFrom,
    ) -> Result<Self, Error> {
        let (peer, id, number) = grid.data().begin(database, modes).await?;
        Ok(Self {
            grid,
            database: database.to_owned(),
            id,
            from,
            peer,
            number,
            is_over: false,
        })
    }

    /// Runs a statement of it, and gives its rows, piece by piece.
    pub async fn query(&mut self, text: &str, parameters: &[Value]) -> Result<Rows, Error> {
        let plane = self.grid.data();
        let run = StatementRun {
            database: self.id,
            text: text.to_owned(),
            parameters: parameters.to_vec(),
            after: plane.written(&self.database),
            from: self.from,
            transaction: Some(self.number),
        };
        match self.peer.ask(&run, ANSWER_TIMEOUT).await {
            Ok(StatementAnswer::Refused(fault)) => Err(Error::Statement(Box::new(fault))),
            Ok(StatementAnswer::Rows(rows)) => {
                Ok(Rows::new(rows, self.peer.clone(), plane.tasks().clone()))
            }
            Err(problem) => Err(lost(problem)),
        }
    }

    /// Runs a statement of it to its end, and tells what it did.
    pub async fn execute(&mut self, text: &str, parameters: &[Value]) -> Result<Executed, Error> {
        let mut rows = self.query(text, parameters).await?;
        while rows.next().await?.is_some() {}
        Ok(rows.executed())
    }

    /// Sets a savepoint; a name may be used again, the newest counts.
    pub async fn savepoint(&mut self, name: &str) -> Result<(), Error> {
        let act = TransactionAct::Savepoint(name.to_owned());
        self.control(act).await.map(drop)
    }

    /// Takes back all that was done after a savepoint, which stays.
    pub async fn rollback_to(&mut self, name: &str) -> Result<(), Error> {
        let act = TransactionAct::RollbackTo(name.to_owned());
        self.control(act).await.map(drop)
    }

    /// Forgets a savepoint and those after it; what was done stays.
    pub async fn release(&mut self, name: &str) -> Result<(), Error> {
        let act = TransactionAct::Release(name.to_owned());
        self.control(act).await.map(drop)
    }

    /// Makes it durable; gives the position of the log of what it has written. Where its
    /// Host or Element is lost meanwhile, it fails with SQLSTATE 08007: look whether it
    /// was committed.
    pub async fn commit(mut self) -> Result<Option<Position>, Error> {
        self.is_over = true;
        let position = self.control(TransactionAct::Commit).await?;
        if let Some(position) = position {
            self.grid.data().wrote(&self.database, position);
        }
        Ok(position)
    }

    /// Takes it back.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.is_over = true;
        self.control(TransactionAct::Rollback).await.map(drop)
    }

    async fn control(&self, act: TransactionAct) -> Result<Option<Position>, Error> {
        let is_commit = act == TransactionAct::Commit;
        let control = TransactionControl {
            transaction: self.number,
            act,
        };
        match self.peer.ask(&control, CONTROL_TIMEOUT).await {
            Ok(TransactionAnswer::Done(position)) => Ok(position),
            Ok(TransactionAnswer::Refused(fault)) => Err(Error::Statement(Box::new(fault))),
            Ok(TransactionAnswer::Begun(_)) => Err(Error::refused(
                Code::VersionUnsupported,
                "the Element has begun a transaction anew",
            )),
            Err(problem)
                if is_commit && matches!(problem.code, Code::Unavailable | Code::TimedOut) =>
            {
                Err(in_doubt(&problem))
            }
            Err(problem) => Err(lost(problem)),
        }
    }
}

fn lost(problem: Problem) -> Error {
    match problem.code {
        Code::Unavailable => Error::refused(
            Code::ElementDown,
            "The stream was lost, and with it the transaction: begin it again.",
        ),
        _ => problem.into(),
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Without a runtime the stream has ended, and with it the transaction.
        if self.is_over || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let control = TransactionControl {
            transaction: self.number,
            act: TransactionAct::Rollback,
        };
        let (peer, tasks) = (self.peer.clone(), self.grid.data().tasks().clone());
        tasks.spawn(async move { peer.ask(&control, CONTROL_TIMEOUT).await });
    }
}
