//! Applies gridmart's log to the rows of a shadow: whole transactions, together with their
//! position.
//!
//! A row is found only as the log says that it was; what does not fit is told as divergence,
//! and the rows are made anew.

use async_trait::async_trait;
use gridmart_schemas::{
    data::{Entry, EntryKind, LogPoint, Schema, Table, Value},
    resource::enumeration::DataEngine,
};

use super::file::{Batch, LogFile};
use crate::data::{
    engine::{EngineError, sqlite::types},
    log::{
        SchemaChange,
        changeset::{Cell, Change, Item, Reader},
    },
};

/// What may be otherwise when it is tried again: locks that others hold, memory.
const PASSING: &[&str] = &["40001", "40P01", "53200", "53400", "55006", "55P03"];

/// How a server takes what the log tells. What was not committed when one is dropped is taken
/// back.
#[async_trait]
pub(in super::super) trait Applier: Send {
    /// Of an entry's rows, one that is to be changed; whether what waits has to be run now.
    fn change(&mut self, table: &Table, change: &Change<'_>) -> Result<bool, EngineError>;

    /// A transaction of the log begins.
    async fn begin(&mut self) -> Result<(), EngineError>;

    /// Runs the changes that wait: each has to find its row as it was.
    async fn run(&mut self) -> Result<(), EngineError>;

    /// All changes of an entry have come.
    async fn rows_end(&mut self) -> Result<(), EngineError> {
        self.run().await
    }

    /// Changes the schema by a statement in the server's words, of that entry.
    async fn schema(&mut self, statement: &str, entry: LogPoint) -> Result<(), EngineError>;

    /// A transaction of the log has ended: it is committed with its position, at the latest
    /// once there are no more whole ones at hand.
    async fn end(&mut self, last: LogPoint, has_more: bool) -> Result<(), EngineError>;
}

/// Applies all that the log has after a position.
pub(in super::super) async fn catch_up(
    applier: &mut impl Applier,
    log: &LogFile,
    mut taken: LogPoint,
) -> Result<(), EngineError> {
    let mut is_open = false;
    loop {
        let batch = log.after(taken).await?;
        let batch = batch.ok_or_else(|| EngineError::Diverged {
            position: taken.position,
            why: "the log beside them does not reach back to them".to_owned(),
        })?;
        let Some(last) = batch.entries.last() else {
            // A file has whole transactions: else it is another one by now.
            return if is_open {
                Err(EngineError::Stopping)
            } else {
                Ok(())
            };
        };
        taken = last.point();
        apply_batch(applier, &batch, log.engine(), &mut is_open).await?;
    }
}

async fn apply_batch(
    applier: &mut impl Applier,
    batch: &Batch,
    engine: &DataEngine,
    is_open: &mut bool,
) -> Result<(), EngineError> {
    let whole = batch.entries.iter().rposition(|entry| entry.ends);
    for (index, entry) in batch.entries.iter().enumerate() {
        if !std::mem::replace(is_open, true) {
            applier.begin().await?;
        }
        let done = match entry.kind {
            EntryKind::Rows => {
                let schema = batch.schemas.at(entry.position);
                apply_rows(applier, &entry.body, schema).await
            }
            EntryKind::Schema => apply_schema(applier, entry, engine).await,
            // A server counts nothing.
            EntryKind::Sequence => Ok(()),
        };
        done.map_err(|error| diverging(error, entry))?;
        if entry.ends {
            *is_open = false;
            let ended = applier.end(entry.point(), Some(index) < whole).await;
            ended.map_err(|error| diverging(error, entry))?;
        }
    }
    Ok(())
}

/// What the server refuses was possible on the core: they differ.
fn diverging(error: EngineError, entry: &Entry) -> EngineError {
    match error {
        EngineError::Refused { state, .. } if PASSING.contains(&state.0) => error,
        EngineError::Refused { message, .. } | EngineError::Damaged { why: message } => {
            EngineError::Diverged {
                position: entry.position.previous(),
                why: format!("entry {} does not apply: {message}", entry.position),
            }
        }
        error => error,
    }
}

async fn apply_schema(
    applier: &mut impl Applier,
    entry: &Entry,
    engine: &DataEngine,
) -> Result<(), EngineError> {
    let change = SchemaChange::decode(&entry.body).map_err(|error| EngineError::Damaged {
        why: format!("it cannot be read: {error}"),
    })?;
    let words = change.words.filter(|words| words.engine == *engine);
    let words = words.ok_or_else(|| EngineError::Damaged {
        why: format!("it does not tell the change in the words of {engine}"),
    })?;
    applier.schema(&words.statement, entry.point()).await
}

async fn apply_rows(
    applier: &mut impl Applier,
    body: &[u8],
    schema: &Schema,
) -> Result<(), EngineError> {
    let damaged = |why: String| EngineError::Damaged { why };
    let mut table: Option<&Table> = None;
    for item in Reader::new(body) {
        match item.map_err(|error| damaged(error.to_string()))? {
            Item::Table(head) => {
                let found = schema.table(head.name);
                let found = found.filter(|found| found.columns.len() == head.key.len());
                let unlike = || damaged(format!("table {:?} has other columns", head.name));
                table = Some(found.ok_or_else(unlike)?);
            }
            Item::Change(change) if change.changes_nothing() => {}
            Item::Change(change) => {
                let unnamed = || damaged("a change of a row belongs to no table".to_owned());
                if applier.change(table.ok_or_else(unnamed)?, &change)? {
                    applier.run().await?;
                }
            }
        }
    }
    applier.rows_end().await
}

/// The cells that a change tells, as values: each with its column's place.
pub(in super::super) fn values_of(
    table: &Table,
    cells: &[Cell<'_>],
) -> Result<Vec<(usize, Value)>, EngineError> {
    let cells = table.columns.iter().zip(cells).enumerate();
    let values = cells.filter_map(|(index, (column, cell))| {
        let cell = (*cell)?;
        Some(types::read(cell, Some(column.sql_type)).map(|value| (index, value)))
    });
    values.collect()
}
