//! Transactions of several statements, as the Element runs them on a core.
//!
//! Invariants: one is ended when its stream ends, when it is idle or open for too long
//! (the engine sees to that), and by a kill; nobody runs two of its statements at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_schemas::{
    data::Epoch,
    problem::{Code, Problem},
    wire::{
        data::SqlFault,
        replica::{
            ReplicaAnswer, ReplicaBegin, ReplicaControl, ReplicaControlled, ReplicaPiece,
            ReplicaRun, ReplicaStatementKind, TransactionAct, TransactionNumber,
        },
    },
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    copy::{Copy, Opened, broken},
    door::{Databases, fault, fault_of},
    engine::{Cancel, EngineError, Limits, Statement, Transaction, TransactionLimits},
    run::{OpenRows, held, killed, limits, statement},
};

/// Bytes of the rows of one statement, which are held until they are fetched.
const ROWS_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Transactions of one stream, those included that wait for the writer.
const TRANSACTIONS_MAX: usize = 256;

/// One that is open, unless a statement runs in it.
type Slot = Arc<tokio::sync::Mutex<Option<Box<dyn Transaction>>>>;

/// A transaction, and for which core it is meant.
#[derive(Clone)]
struct Open {
    slot: Slot,
    cut: CancellationToken,
    copy: Arc<Copy>,
    epoch: Epoch,
}

/// Those of one stream.
#[derive(Default)]
pub(super) struct Transactions {
    open: Mutex<BTreeMap<TransactionNumber, Open>>,
    next: AtomicU64,
}

impl Transactions {
    /// Ends all of them.
    pub(super) fn clear(&self) {
        self.open.lock().clear();
    }

    /// Begins one, once the writer is free.
    pub(super) async fn begin(
        &self,
        databases: &Arc<Databases>,
        asked: ReplicaBegin,
    ) -> Result<ReplicaControlled, Problem> {
        if self.open.lock().len() >= TRANSACTIONS_MAX {
            let detail = "Too many transactions are open on this Host.";
            return Err(Problem::new(Code::Busy, detail));
        }
        let cut = databases.cut.token();
        let copy = databases.copies.get(asked.database)?;
        // Committing is what passes the gate; but nobody begins in vain.
        if !asked.read_only {
            drop(copy.gate.enter()?);
        }
        copy.require_core(asked.epoch)?;
        let engine = copy.engine();
        let begun = match &*engine {
            Opened::Core(core) => {
                let limits = TransactionLimits {
                    is_strict: asked.is_strict,
                    ..TransactionLimits::default()
                };
                let begun = if asked.read_only {
                    core.begin_view(limits)
                } else {
                    core.begin(limits)
                };
                cut.run_until_cancelled(begun).await
            }
            Opened::Shadow(_) => return Err(broken(asked.database, "it is no core")),
            Opened::Broken(why) => return Err(broken(asked.database, why)),
        };
        let transaction = match begun {
            None => return Ok(ReplicaControlled::Refused(killed_fault())),
            Some(Err(error)) => return Ok(ReplicaControlled::Refused(fault_of(&error)?)),
            Some(Ok(transaction)) => transaction,
        };
        let number = TransactionNumber(self.next.fetch_add(1, Ordering::Relaxed));
        let slot = Arc::new(tokio::sync::Mutex::new(Some(transaction)));
        drop(engine);
        let open = Open {
            slot,
            cut,
            copy,
            epoch: asked.epoch,
        };
        self.open.lock().insert(number, open);
        tracing::debug!(database.id = %asked.database, person = %asked.person, "a transaction");
        Ok(ReplicaControlled::Begun(number))
    }

    /// Runs a statement in one.
    pub(super) async fn run(
        &self,
        databases: &Arc<Databases>,
        number: TransactionNumber,
        asked: ReplicaRun,
        cancel: Cancel,
    ) -> Result<(ReplicaAnswer, Option<OpenRows>), Problem> {
        let Some(Open { slot, cut, .. }) = self.find(number) else {
            return Ok((ReplicaAnswer::Refused(ended()), None));
        };
        let mut slot = slot.lock().await;
        let Some(transaction) = slot.as_mut() else {
            return Ok((ReplicaAnswer::Refused(ended()), None));
        };
        let kind = asked.kind;
        let limits = limits(&asked);
        let limits = Limits {
            bytes: limits.bytes.min(ROWS_BYTES_MAX),
            ..limits
        };
        let statement = Statement {
            cancel,
            rules: asked.rules,
            shadow_text: asked.shadow_text,
            ..statement(kind, asked.text, asked.parameters, asked.columns)
        };
        let ran = cut.run_until_cancelled(transaction.run(statement, limits));
        let written = match ran.await {
            Some(Ok(written)) => written,
            Some(Err(error)) => {
                if matches!(error, EngineError::TransactionEnded { .. }) {
                    self.forget(number);
                    *slot = None;
                }
                return Ok((ReplicaAnswer::Refused(fault(&error)), None));
            }
            None => {
                self.forget(number);
                *slot = None;
                return Ok((killed(), None));
            }
        };
        if kind == ReplicaStatementKind::Read {
            return Ok(held(databases, written.rows, written.position).await);
        }
        // What a write returns is not in pieces: the count goes with the last of it.
        let bytes: usize = written
            .rows
            .iter()
            .flatten()
            .map(gridmart_schemas::data::Value::bytes)
            .sum();
        if bytes > gridmart_schemas::wire::data::ROW_BYTES_MAX {
            let error = EngineError::LimitExceeded {
                of: "bytes in what it returns",
                limit: gridmart_schemas::wire::data::ROW_BYTES_MAX as u64,
            };
            return Ok((ReplicaAnswer::Refused(fault(&error)), None));
        }
        let piece = ReplicaPiece {
            rows: written.rows,
            cursor: None,
            rows_changed: Some(written.rows_changed),
            position: written.position,
        };
        Ok((ReplicaAnswer::Rows(piece), None))
    }

    /// Does what is no statement.
    pub(super) async fn control(&self, asked: ReplicaControl) -> ReplicaControlled {
        let ReplicaControl { transaction, act } = asked;
        let Some(found) = self.find(transaction) else {
            return ReplicaControlled::Refused(ended());
        };
        let Open {
            slot,
            cut,
            copy,
            epoch,
        } = found;
        let mut slot = slot.lock().await;
        let Some(open) = slot.as_mut() else {
            return ReplicaControlled::Refused(ended());
        };
        if cut.is_cancelled() {
            self.forget(transaction);
            *slot = None;
            return ReplicaControlled::Refused(killed_fault());
        }
        let done = match act {
            TransactionAct::Savepoint(name) => open.savepoint(name).await.map(|()| None),
            TransactionAct::RollbackTo(name) => open.rollback_to(name).await.map(|()| None),
            TransactionAct::Release(name) => open.release(name).await.map(|()| None),
            TransactionAct::Commit | TransactionAct::Rollback => {
                self.forget(transaction);
                let Some(open) = slot.take() else {
                    return ReplicaControlled::Refused(ended());
                };
                if act == TransactionAct::Commit {
                    // Whoever closes the gate knows the last write of the core that it was.
                    let writing = copy.gate.enter();
                    let permitted = writing.and_then(|writing| {
                        copy.require_core(epoch)?;
                        Ok(writing)
                    });
                    match permitted {
                        Ok(_writing) => open.commit().await.map(Some),
                        Err(problem) => return ReplicaControlled::Refused(displaced(&problem)),
                    }
                } else {
                    open.rollback().await.map(|()| None)
                }
            }
        };
        match done {
            Ok(position) => ReplicaControlled::Done(position),
            Err(error) => ReplicaControlled::Refused(fault(&error)),
        }
    }

    fn find(&self, number: TransactionNumber) -> Option<Open> {
        self.open.lock().get(&number).cloned()
    }

    fn forget(&self, number: TransactionNumber) {
        self.open.lock().remove(&number);
    }
}

fn ended() -> SqlFault {
    fault(&EngineError::TransactionEnded {
        why: "it is over".to_owned(),
    })
}

fn displaced(problem: &Problem) -> SqlFault {
    SqlFault {
        state: "40001".to_owned(),
        message: format!(
            "the transaction is taken back, begin it again: {}",
            problem.detail
        ),
        position: None,
    }
}

fn killed_fault() -> SqlFault {
    SqlFault {
        state: "57P01".to_owned(),
        message: "the transaction was ended by a kill".to_owned(),
        position: None,
    }
}
