//! The rows of a result, as they come.

use std::time::Duration;

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::{Position, Row},
    id::NodeId,
    problem::{Code, Problem},
    resource::enumeration::ReplicaRole,
    wire::data::{CursorNumber, ResultColumn, RowsClose, RowsNext, StatementAnswer, StatementRows},
};
use tokio_util::task::TaskTracker;

use crate::error::Error;

/// Time for a statement or a piece; Hosts end a statement before that.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_mins(6);
/// Time for the last word of a result that nobody wants any more.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a statement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// What PostgreSQL calls it: `INSERT`, `CREATE TABLE`.
    pub tag: String,
    /// Rows that it has changed; absent: it only read.
    pub rows_changed: Option<u64>,
    /// The position of the log that its rows are of, or at which it was committed.
    pub position: Position,
    /// The Host that ran it, and what its copy is; absent: no Host had to.
    pub ran_on: Option<(NodeId, ReplicaRole)>,
}

/// The rows of a result, in their order. Dropping it ends the statement.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<ResultColumn>,
    executed: Executed,
    waiting: Option<Vec<Row>>,
    rest: Option<Rest>,
}

/// Where the rest of a result is.
#[derive(Debug)]
struct Rest {
    peer: Peer,
    cursor: CursorNumber,
    tasks: TaskTracker,
}

impl Rows {
    pub(super) fn new(rows: StatementRows, peer: Peer, tasks: TaskTracker) -> Self {
        let StatementRows {
            tag,
            columns,
            rows,
            cursor,
            rows_changed,
            position,
            ran_on,
        } = rows;
        Self {
            columns,
            executed: Executed {
                tag,
                rows_changed,
                position,
                ran_on,
            },
            waiting: (!rows.is_empty()).then_some(rows),
            rest: cursor.map(|cursor| Rest {
                peer,
                cursor,
                tasks,
            }),
        }
    }

    /// The columns of the result.
    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// The next rows, at least one; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, Error> {
        loop {
            if let Some(rows) = self.waiting.take() {
                return Ok(Some(rows));
            }
            let Some(rest) = &self.rest else {
                return Ok(None);
            };
            let next = RowsNext {
                cursor: rest.cursor,
            };
            let answer = rest.peer.ask(&next, ANSWER_TIMEOUT).await;
            let answer = answer.map_err(|problem| {
                // A new stream does not know it.
                self.rest = None;
                lost(problem)
            })?;
            match answer {
                StatementAnswer::Refused(fault) => {
                    self.rest = None;
                    return Err(Error::Statement(Box::new(fault)));
                }
                StatementAnswer::Rows(more) => {
                    if more.cursor.is_none() {
                        self.rest = None;
                    }
                    self.waiting = (!more.rows.is_empty()).then_some(more.rows);
                }
            }
        }
    }

    /// All rows; for results that are known to be small.
    pub async fn collect(mut self) -> Result<Vec<Row>, Error> {
        let mut all = Vec::new();
        while let Some(rows) = self.next().await? {
            all.extend(rows);
        }
        Ok(all)
    }

    /// What the statement did.
    pub fn executed(&self) -> Executed {
        self.executed.clone()
    }
}

fn lost(problem: Problem) -> Error {
    match problem.code {
        Code::Unavailable => Error::refused(
            Code::ElementDown,
            "The stream was lost while rows were on their way: run the statement again.",
        ),
        _ => problem.into(),
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let Some(Rest {
            peer,
            cursor,
            tasks,
        }) = self.rest.take()
        else {
            return;
        };
        // Without a runtime the stream has ended, and with it the result.
        if tokio::runtime::Handle::try_current().is_ok() {
            tasks.spawn(async move { peer.ask(&RowsClose { cursor }, CLOSE_TIMEOUT).await });
        }
    }
}
