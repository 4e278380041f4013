//! Transactions of a program's stream.
//!
//! Invariants: nobody runs two statements of one at a time; those that are open are taken
//! back with their stream, and with their session.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_fabric::ticket::AccessClaims;
use gridmart_schemas::{
    id::DatabaseId,
    problem::{Code, Problem},
    wire::{
        data::{
            SqlFault, StatementAnswer, StatementRun, TRANSACTIONS_MAX, TransactionAnswer,
            TransactionBegin, TransactionControl,
        },
        replica::{TransactionAct, TransactionNumber},
    },
};
use parking_lot::Mutex;

use super::{Admitted, DataStream};
use crate::data::{
    De,
    block::{Block, Committed},
    order::Outcome,
    sessions::SqlSession,
    transaction::Ill,
};

/// One that is open, unless something is done with it.
type Slot = Arc<tokio::sync::Mutex<Option<Block>>>;

/// Those of one stream.
#[derive(Default)]
pub(super) struct Transactions {
    open: Mutex<BTreeMap<TransactionNumber, (DatabaseId, Slot)>>,
    next: AtomicU64,
}

impl Transactions {
    fn find(&self, number: TransactionNumber) -> Option<(DatabaseId, Slot)> {
        self.open.lock().get(&number).cloned()
    }

    /// Takes all of them back.
    pub(super) fn abandon(&self, de: &Arc<De>) {
        for (_, slot) in std::mem::take(&mut *self.open.lock()).into_values() {
            de.tasks.spawn(async move {
                if let Some(block) = slot.lock().await.take() {
                    block.abandon().await;
                }
            });
        }
    }
}

impl DataStream {
    pub(super) fn on_begin(&self, asked: TransactionBegin) -> Result<TransactionAnswer, Problem> {
        let TransactionBegin {
            database,
            read_only,
            strict,
        } = asked;
        let Admitted { claims, session } = self.admitted(database, false)?;
        let mut open = self.transactions.open.lock();
        if open.len() >= TRANSACTIONS_MAX {
            let detail =
                format!("{TRANSACTIONS_MAX} transactions are open on this stream: end some.");
            return Err(Problem::new(Code::LimitExceeded, detail));
        }
        let next = self.transactions.next.fetch_add(1, Ordering::Relaxed);
        let number = TransactionNumber(next);
        let block = Block::new((database, claims.sub.clone()), read_only, strict);
        let slot = Arc::new(tokio::sync::Mutex::new(Some(block)));
        open.insert(number, (database, slot));
        session.on_transaction(true);
        Ok(TransactionAnswer::Begun(number))
    }

    /// Runs a statement of one. After an error it does nothing more, until it goes back
    /// to a savepoint, or ends.
    pub(super) async fn run_within(
        &self,
        number: TransactionNumber,
        claims: &AccessClaims,
        asked: StatementRun,
        session: &SqlSession,
    ) -> Result<Outcome, Problem> {
        let found = self.transactions.find(number);
        let found = found.filter(|(database, _)| *database == asked.database);
        let Some((_, slot)) = found else {
            return Ok((StatementAnswer::Refused(over()), None));
        };
        let mut slot = slot.lock().await;
        let Some(block) = slot.as_mut() else {
            return Ok((StatementAnswer::Refused(over()), None));
        };
        if let Err(fault) = block.require_unfailed() {
            return Ok((StatementAnswer::Refused(fault), None));
        }
        let ran = self
            .de
            .run_statement(claims, asked, &session.end, Some(block))
            .await;
        block.has_failed = !matches!(&ran, Ok((StatementAnswer::Rows(_), _)));
        ran
    }

    pub(super) async fn on_control(
        &self,
        asked: TransactionControl,
    ) -> Result<TransactionAnswer, Problem> {
        let TransactionControl { transaction, act } = asked;
        let Some((database, slot)) = self.transactions.find(transaction) else {
            return Ok(TransactionAnswer::Refused(over()));
        };
        // A ticket that has ended meanwhile does not keep it from its end.
        let session = self.admitted(database, true)?.session;
        let mut slot = slot.lock().await;
        let Some(block) = slot.as_mut() else {
            return Ok(TransactionAnswer::Refused(over()));
        };
        let done = match act {
            TransactionAct::Savepoint(name) => block.savepoint(name).await,
            TransactionAct::RollbackTo(name) => block.rollback_to(name).await,
            TransactionAct::Release(name) => block.release(name).await,
            TransactionAct::Commit | TransactionAct::Rollback => {
                let Some(block) = slot.take() else {
                    return Ok(TransactionAnswer::Refused(over()));
                };
                let is_last = {
                    let mut open = self.transactions.open.lock();
                    open.remove(&transaction);
                    !open.values().any(|(of, _)| *of == database)
                };
                let ended = self.end(block, act == TransactionAct::Commit).await;
                if is_last {
                    session.on_transaction(false);
                }
                return ended;
            }
        };
        match done {
            Ok(()) => Ok(TransactionAnswer::Done(None)),
            Err(Ill::Fault(fault)) => Ok(TransactionAnswer::Refused(fault)),
            Err(Ill::Problem(problem)) => Err(problem),
        }
    }

    async fn end(&self, block: Block, commit: bool) -> Result<TransactionAnswer, Problem> {
        if !commit {
            block.abandon().await;
            return Ok(TransactionAnswer::Done(None));
        }
        match block.commit(&self.de).await {
            Ok(Committed::At(position)) => Ok(TransactionAnswer::Done(position)),
            Ok(Committed::TakenBack) => Ok(TransactionAnswer::Refused(SqlFault {
                state: "25P02".to_owned(),
                message: "a statement of the transaction failed: it is taken back".to_owned(),
                position: None,
            })),
            Err(Ill::Fault(fault)) => Ok(TransactionAnswer::Refused(fault)),
            Err(Ill::Problem(problem)) => Err(problem),
        }
    }
}

fn over() -> SqlFault {
    SqlFault {
        state: "25P01".to_owned(),
        message: "there is no such transaction, or it is over".to_owned(),
        position: None,
    }
}
