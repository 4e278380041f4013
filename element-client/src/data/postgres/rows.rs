//! What a statement gave: its rows, sent as fast as the client takes them.

use std::collections::VecDeque;

use gridmart_schemas::{
    data::Row,
    wire::data::{StatementAnswer, StatementRows},
};
use tokio_util::sync::CancellationToken;

use super::{
    session::{Out, Session, Stop, fault_of},
    sessions::Known,
    value,
    wire::backend::{self, Fault, Field},
};
use crate::data::{
    De,
    order::{Outcome, Rest},
    sessions::RunningStatement,
};

/// A result, as far as it was not sent.
pub(super) struct Answer {
    /// What PostgreSQL calls the statement.
    tag: String,
    pub(super) fields: Vec<Field>,
    rows: VecDeque<Row>,
    rest: Option<Rest>,
    changed: Option<u64>,
    /// Ends it from elsewhere.
    cancel: CancellationToken,
    _running: Option<RunningStatement>,
}

impl Answer {
    /// Of a statement that has no rows.
    pub(super) fn done(tag: &str) -> Self {
        Self::of(tag, Vec::new(), Vec::new())
    }

    /// Of one whose rows are known.
    pub(super) fn of(tag: &str, fields: Vec<Field>, rows: Vec<Row>) -> Self {
        Self {
            tag: tag.to_owned(),
            fields,
            rows: rows.into(),
            rest: None,
            changed: None,
            cancel: CancellationToken::new(),
            _running: None,
        }
    }

    /// Of one that ran on a Host.
    pub(super) fn ran(
        rows: StatementRows,
        rest: Option<Rest>,
        fields: Vec<Field>,
        cancel: CancellationToken,
        running: RunningStatement,
    ) -> Self {
        Self {
            tag: rows.tag,
            fields,
            rows: rows.rows.into(),
            rest,
            changed: rows.rows_changed,
            cancel,
            _running: Some(running),
        }
    }

    /// What is said when it is done, and so many rows were sent.
    fn tag(&self, sent: u64) -> String {
        let changed = self.changed.unwrap_or(0);
        match self.tag.as_str() {
            "SELECT" => format!("SELECT {sent}"),
            "INSERT" => format!("INSERT 0 {changed}"),
            "UPDATE" | "DELETE" => format!("{} {changed}", self.tag),
            other => other.to_owned(),
        }
    }

    /// No more rows are wanted.
    pub(super) async fn close(self) {
        if let Some(rest) = self.rest {
            rest.close().await;
        }
    }
}

impl Session {
    /// Sends rows, `most` of them at most. True: these were the last.
    pub(super) async fn send(
        &self,
        answer: &mut Answer,
        formats: &[i16],
        most: Option<u64>,
        out: &mut Out,
    ) -> Result<bool, Stop> {
        let mut sent = 0;
        let fields = std::mem::take(&mut answer.fields);
        let ended = loop {
            if most.is_some_and(|most| sent >= most) {
                break Ok(false);
            }
            match self.next_row(answer).await {
                Err(fault) => break Err(Stop::Fault(fault)),
                Ok(None) => {
                    backend::complete(out.messages(), &answer.tag(sent));
                    break Ok(true);
                }
                Ok(Some(row)) => {
                    sent += 1;
                    put(out, &fields, formats, &row);
                    if let Err(error) = out.relieve().await {
                        break Err(error.into());
                    }
                }
            }
        };
        answer.fields = fields;
        ended
    }

    /// The next row; `None` after the last.
    pub(super) async fn next_row(&self, answer: &mut Answer) -> Result<Option<Row>, Fault> {
        loop {
            if let Some(row) = answer.rows.pop_front() {
                return Ok(Some(row));
            }
            let Some(rest) = answer.rest.take() else {
                return Ok(None);
            };
            let (rows, rest) = self.next_piece(rest, &answer.cancel).await?;
            self.known.session.on_rows(rows.rows.len() as u64);
            answer.rows = rows.rows.into();
            answer.rest = rest;
        }
    }

    async fn next_piece(
        &self,
        rest: Rest,
        cancel: &CancellationToken,
    ) -> Result<(StatementRows, Option<Rest>), Fault> {
        let mut asking = Box::pin(rest.next());
        let why = tokio::select! {
            outcome = &mut asking => {
                return rows_of(outcome.map_err(|problem| fault_of(&problem))?);
            }
            why = interrupted(&self.de, &self.known, cancel) => why,
        };
        // It is on its way: what comes of it is closed.
        self.de.tasks.spawn(async move {
            if let Ok((_, Some(rest))) = asking.await {
                rest.close().await;
            }
        });
        Err(why)
    }
}

/// Waits for whatever ends a statement before its own end; says why.
pub(super) async fn interrupted(de: &De, known: &Known, cancel: &CancellationToken) -> Fault {
    let message = tokio::select! {
        () = cancel.cancelled() => {
            return Fault::new("57014", "canceling statement due to user request");
        }
        () = known.gone.cancelled() => "the client is gone",
        () = known.session.end.cancelled() => "the session is ended by an administrator",
        () = de.stop.cancelled() => "the Element goes down",
    };
    Fault::new("57P01", message)
}

fn put(out: &mut Out, fields: &[Field], formats: &[i16], row: &Row) {
    let put = |index: usize, out: &mut bytes::BytesMut| {
        let (Some(value), Some(field)) = (row.get(index), fields.get(index)) else {
            return Ok::<bool, std::convert::Infallible>(false);
        };
        let format = value::format_of(formats, index);
        Ok(value::put(out, value, format, field.oid))
    };
    // It cannot fail.
    let _ = backend::row(out.messages(), fields.len(), put);
}

/// Rows, or why there are none.
pub(super) fn rows_of(outcome: Outcome) -> Result<(StatementRows, Option<Rest>), Fault> {
    match outcome {
        (StatementAnswer::Rows(rows), rest) => Ok((rows, rest)),
        (StatementAnswer::Refused(refused), _) => Err(refused.into()),
    }
}
