//! A transaction of several statements, on the Host of its database's core.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::Position,
    id::{DatabaseId, PersonName},
    problem::{Code, Problem},
    resource::enumeration::ReplicaRole,
    wire::{
        data::SqlFault,
        replica::{
            ReplicaBegin, ReplicaControl, ReplicaControlled, TransactionAct, TransactionNumber,
        },
    },
};

use tokio::sync::oneshot;

use super::{
    De,
    hosts::{Failure, Hosts},
    route::Place,
    statement::coreless,
};

/// A core's writer may be waited for so long; the Host gives up before that.
const BEGIN_MAX: Duration = Duration::from_secs(90);
/// Anything else is done by then.
const CONTROL_MAX: Duration = Duration::from_secs(90);

/// See the module. Whoever drops it without an end has it taken back (`abandon`).
pub(super) struct OpenTransaction {
    pub(super) peer: Peer,
    pub(super) number: TransactionNumber,
    pub(super) place: Place,
}

/// What a transaction is begun as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) is_read_only: bool,
    /// All of it sees one state of the database.
    pub(super) is_strict: bool,
}

/// What ended badly.
pub(super) enum Ill {
    Fault(SqlFault),
    Problem(Problem),
}

impl De {
    /// Begins a transaction on the core of a database. Whoever leaves before it has begun
    /// leaves none behind.
    pub(super) async fn transaction_begin(
        self: &Arc<Self>,
        id: DatabaseId,
        person: &PersonName,
        modes: Modes,
    ) -> Result<OpenTransaction, Ill> {
        let (de, person) = (Arc::clone(self), person.clone());
        let (give, given) = oneshot::channel();
        self.tasks.spawn(async move {
            let begun = de.transaction_begin_there(id, person, modes).await;
            if let Err(Ok(open)) = give.send(begun) {
                open.abandon().await;
            }
        });
        given.await.unwrap_or_else(|_| {
            let detail = "The Element goes down.";
            Err(Ill::Problem(Problem::new(Code::Unavailable, detail)))
        })
    }

    async fn transaction_begin_there(
        &self,
        id: DatabaseId,
        person: PersonName,
        modes: Modes,
    ) -> Result<OpenTransaction, Ill> {
        let database = self.database(id).map_err(Ill::Problem)?;
        let core = database.core().ok_or_else(coreless);
        let core = core.map_err(Ill::Problem)?;
        let goods = &self.goods;
        let stream = goods.hosts.stream(&goods.pool, &self.tls, core).await;
        let peer = stream.map_err(Ill::Problem)?;
        let begin = ReplicaBegin {
            database: id,
            person,
            read_only: modes.is_read_only,
            cut_epoch: goods.pool.lock().wish().cut_epoch,
            epoch: database.epoch(),
            is_strict: modes.is_strict,
        };
        let answer = Hosts::ask(&peer, &begin, BEGIN_MAX).await;
        match answer.map_err(|failure| Ill::Problem(failure.into()))? {
            ReplicaControlled::Begun(number) => Ok(OpenTransaction {
                peer,
                number,
                place: (core, ReplicaRole::Core),
            }),
            ReplicaControlled::Refused(fault) => Err(Ill::Fault(fault)),
            ReplicaControlled::Done(_) => Err(Ill::Problem(Problem::new(
                Code::Internal,
                "A Host has ended a transaction that it was to begin.",
            ))),
        }
    }

    /// Commits a transaction, unless its core is being changed; after that it is taken
    /// back. What is acknowledged is noted before.
    pub(super) async fn transaction_commit(
        &self,
        id: DatabaseId,
        transaction: &OpenTransaction,
    ) -> Result<Option<Position>, Ill> {
        let gates = &self.goods.gates;
        let _passed = gates.enter(id).await.map_err(Ill::Problem)?;
        let committed = transaction.control(TransactionAct::Commit).await?;
        if let Some(position) = committed {
            gates.committed(id, position);
        }
        Ok(committed)
    }
}

impl OpenTransaction {
    /// Does what is no statement; after a commit, its position.
    pub(super) async fn control(&self, act: TransactionAct) -> Result<Option<Position>, Ill> {
        let is_commit = act == TransactionAct::Commit;
        let control = ReplicaControl {
            transaction: self.number,
            act,
        };
        let lost = |state: &str, message: &str| {
            Ill::Fault(SqlFault {
                state: state.to_owned(),
                message: message.to_owned(),
                position: None,
            })
        };
        match Hosts::ask(&self.peer, &control, CONTROL_MAX).await {
            Ok(ReplicaControlled::Done(position)) => Ok(position),
            Ok(ReplicaControlled::Refused(fault)) => Err(Ill::Fault(fault)),
            Ok(ReplicaControlled::Begun(_)) => Err(lost("XX000", "a transaction began twice")),
            Err(Failure::Refused(problem)) => Err(Ill::Problem(problem)),
            Err(Failure::NotAsked(_) | Failure::Open(_)) if is_commit => Err(lost(
                "08007",
                "whether the transaction was committed is not known, its Host was lost \
                 meanwhile: look before you run it again",
            )),
            Err(Failure::NotAsked(_) | Failure::Open(_)) => Err(lost(
                "08006",
                "the transaction is taken back, its Host was lost meanwhile: begin it again",
            )),
        }
    }

    /// Has it taken back, if it is not over yet.
    pub(super) async fn abandon(self) {
        // A stream that has ended has ended its transactions.
        let _ = self.control(TransactionAct::Rollback).await;
    }
}
