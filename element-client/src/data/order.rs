//! What is sent to a Host, and what comes back.

use std::time::Duration;

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::Value,
    id::NodeId,
    problem::Problem,
    resource::enumeration::ReplicaRole,
    wire::{
        data::{CursorNumber, ResultColumn, StatementAnswer, StatementRows},
        replica::{
            ReplicaAnswer, ReplicaCancel, ReplicaClose, ReplicaPiece, ReplicaRows, ReplicaRun,
            StatementRules,
        },
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    hosts::{Failure, Hosts},
    limits::Slot,
    route::Place,
    statement::fault,
};

/// A Host may take so long to answer; it ends a statement of itself before that.
const ANSWER_MAX: Duration = Duration::from_secs(330);
/// A Host may take so long to tell its tables, or to end something.
pub(super) const DESCRIBE_MAX: Duration = Duration::from_secs(10);

/// A result that is not at its end: where the rest is.
pub(super) struct Rest {
    peer: Peer,
    cursor: CursorNumber,
    tag: &'static str,
    ran_on: Place,
    /// Its place among those that run.
    #[expect(dead_code, reason = "dropping it frees the place")]
    slot: Option<Slot>,
}

/// What a statement came to.
pub(super) type Outcome = (StatementAnswer, Option<Rest>);

/// What is sent to a Host.
pub(super) struct Order<'a> {
    pub(super) run: ReplicaRun,
    pub(super) give_up: Option<&'a CancellationToken>,
    pub(super) tag: &'static str,
    pub(super) columns: Vec<ResultColumn>,
}

/// A statement in the words of SQLite, for shadows on it.
pub(super) struct OnShadows {
    pub(super) text: String,
    pub(super) parameters: Vec<Value>,
}

impl Order<'_> {
    /// The same for shadows on SQLite.
    pub(super) fn on(&self, shadows: OnShadows) -> Self {
        let OnShadows { text, parameters } = shadows;
        Self {
            run: ReplicaRun {
                text,
                parameters,
                rules: StatementRules::default(),
                ..self.run.clone()
            },
            give_up: self.give_up,
            tag: self.tag,
            columns: self.columns.clone(),
        }
    }
}

/// A statement that somebody waits for: dropped before its answer, it is ended at the
/// engine.
struct Wanted(Option<(Peer, u64)>);

impl Drop for Wanted {
    fn drop(&mut self) {
        if let Some((peer, mark)) = self.0.take() {
            tokio::spawn(async move {
                // A stream that has ended has ended its statements.
                let _ = peer.ask(&ReplicaCancel { mark }, DESCRIBE_MAX).await;
            });
        }
    }
}

/// Runs it on that Host. `None`: this copy has not come as far as it must.
pub(super) async fn run_at(
    order: &Order<'_>,
    peer: Peer,
    place: Place,
) -> Result<Option<Outcome>, Failure> {
    let mark = order.run.mark;
    let mut wanted = Wanted(mark.map(|mark| (peer.clone(), mark)));
    let answer = {
        let mut asking = std::pin::pin!(Hosts::ask(&peer, &order.run, ANSWER_MAX));
        tokio::select! {
            answer = &mut asking => answer,
            () = given_up(order.give_up) => {
                // What it comes to is told: it may have been committed before.
                drop(std::mem::replace(&mut wanted, Wanted(None)));
                asking.await
            }
        }
    };
    wanted.0 = None;
    let answer = answer?;
    let ReplicaAnswer::Rows(piece) = answer else {
        return Ok(match answer {
            ReplicaAnswer::Refused(fault) => Some((StatementAnswer::Refused(fault), None)),
            _ => None,
        });
    };
    let rest = piece.cursor.map(|cursor| Rest {
        peer,
        cursor,
        tag: order.tag,
        ran_on: place,
        slot: None,
    });
    let mut rows = rows_of(order.tag, piece, place);
    rows.columns.clone_from(&order.columns);
    Ok(Some((StatementAnswer::Rows(rows), rest)))
}

async fn given_up(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

impl Rest {
    /// The same, which holds a place among those that run.
    pub(super) fn holding(self, slot: Slot) -> Self {
        Self {
            slot: Some(slot),
            ..self
        }
    }

    /// The next piece, and what comes after it.
    pub(super) async fn next(self) -> Result<Outcome, Problem> {
        let cursor = self.cursor;
        let answer = Hosts::ask(&self.peer, &ReplicaRows { cursor }, ANSWER_MAX).await?;
        Ok(match answer {
            ReplicaAnswer::Refused(fault) => (StatementAnswer::Refused(fault), None),
            ReplicaAnswer::Behind(_) => (fault("XX000", "a result went back".to_owned()), None),
            ReplicaAnswer::Rows(piece) => {
                let (tag, ran_on, more) = (self.tag, self.ran_on, piece.cursor);
                let rest = more.map(|cursor| Self { cursor, ..self });
                (StatementAnswer::Rows(rows_of(tag, piece, ran_on)), rest)
            }
        })
    }

    /// Has the Host end the statement.
    pub(super) async fn close(self) {
        let close = ReplicaClose {
            cursor: self.cursor,
        };
        // A stream that has ended has ended its statements.
        let _ = self.peer.ask(&close, DESCRIBE_MAX).await;
    }
}

fn rows_of(tag: &str, piece: ReplicaPiece, (host, role): (NodeId, ReplicaRole)) -> StatementRows {
    StatementRows {
        tag: tag.to_owned(),
        columns: Vec::new(),
        rows: piece.rows,
        cursor: None,
        rows_changed: piece.rows_changed,
        position: piece.position,
        ran_on: Some((host, role)),
    }
}
