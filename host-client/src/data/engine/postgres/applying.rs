//! Applies gridmart's log to the rows of a shadow: each transaction of the log is one of the
//! server's, together with its position.
//!
//! A row is found only as the log says that it was; what does not fit is told as divergence,
//! and the rows are made anew. Statements for rows go out many at a time, in their order,
//! before their answers come.

use std::{
    fmt::Write as _,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
};

use gridmart_schemas::{
    data::{Entry, EntryKind, LogPoint, Schema, SqlType, Table, Value},
    resource::enumeration::DataEngine,
};
use tokio_postgres::Statement as Prepared;

use super::{
    Base, LOCK_LIMIT,
    connection::Connection,
    failure::{When, failure},
    file::LogFile,
    guards::{Making, drop_all},
    quoted_name,
    references::{put_back, take_out},
    value::Parameter,
};
use crate::data::{
    engine::{EngineError, sqlite::types},
    log::{
        SchemaChange,
        changeset::{Cell, Change, Item, Operation, Reader},
    },
};

/// Statements that go out before their answers come.
const AHEAD: usize = 256;
/// Bytes of values in them, about.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;
/// What may be otherwise when it is tried again: locks that others hold, memory.
const PASSING: &[&str] = &["40001", "40P01", "53200", "53400", "55006", "55P03"];

/// A transaction of the log that is being applied.
struct Open {
    /// The schema is changed by it: nobody else makes views meanwhile.
    making: Option<Making>,
}

/// Applies all that the log has; tells of each transaction once it is committed.
pub(super) async fn catch_up(base: &Arc<Base>, log: &LogFile) -> Result<(), EngineError> {
    let mut taken = base.seat.last();
    let mut pooled = base.makers.take().await?;
    let mut open: Option<Open> = None;
    loop {
        let batch = log.after(taken).await?;
        let batch = batch.ok_or_else(|| EngineError::Diverged {
            position: taken.position,
            why: "the log beside them does not reach back to them".to_owned(),
        })?;
        if batch.entries.is_empty() && open.is_none() {
            pooled.keep();
            return Ok(());
        }
        if batch.entries.is_empty() {
            // A file has whole transactions: it is another one by now.
            return Err(EngineError::Stopping);
        }
        for entry in &batch.entries {
            let connection = pooled.get()?;
            if open.is_none() {
                begin(connection).await?;
                open = Some(Open { making: None });
            }
            if let Some(open) = &mut open {
                let schema = batch.schemas.at(entry.position);
                let applied = apply(base, connection, open, entry, schema).await;
                applied.map_err(|error| diverging(error, entry))?;
            }
            taken = entry.point();
            if entry.ends
                && let Some(open) = open.take()
            {
                commit(base, connection, taken).await?;
                if open.making.is_some() {
                    base.schema_changed();
                    connection.renew(u64::MAX);
                }
                base.seat.moved(taken);
            }
        }
    }
}

fn failed(error: &tokio_postgres::Error) -> EngineError {
    failure(error, When::Undone, false)
}

async fn begin(connection: &Connection) -> Result<(), EngineError> {
    // What a crash of the server takes of it, position and rows alike, is in the file.
    let text = "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = 0; \
                SET LOCAL idle_in_transaction_session_timeout = 0";
    let begun = connection.client.batch_execute(text).await;
    begun.map_err(|error| failed(&error))
}

async fn commit(base: &Base, connection: &Connection, last: LogPoint) -> Result<(), EngineError> {
    let before = base.position();
    let text = "UPDATE gridmart.position SET position = $1, epoch = $2 WHERE position = $3";
    let (position, epoch) = (last.position.number(), last.epoch.number());
    let moved = connection
        .client
        .execute(text, &[&position, &epoch, &before.number()])
        .await
        .map_err(|error| failed(&error))?;
    if moved != 1 {
        return Err(EngineError::Diverged {
            position: before,
            why: "they are at another position than they were".to_owned(),
        });
    }
    let committed = connection.client.batch_execute("COMMIT").await;
    // What became of it is read at the server, before anything follows.
    committed.map_err(|error| failed(&error))
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

async fn apply(
    base: &Base,
    connection: &mut Connection,
    open: &mut Open,
    entry: &Entry,
    schema: &Schema,
) -> Result<(), EngineError> {
    match entry.kind {
        EntryKind::Rows => apply_rows(connection, &entry.body, schema).await,
        EntryKind::Schema => {
            if open.making.is_none() {
                open.making = Some(base.guards.making().await);
            }
            apply_schema(connection, entry).await
        }
        // The server counts nothing.
        EntryKind::Sequence => Ok(()),
    }
}

async fn apply_schema(connection: &mut Connection, entry: &Entry) -> Result<(), EngineError> {
    let change = SchemaChange::decode(&entry.body).map_err(|error| EngineError::Damaged {
        why: format!("it cannot be read: {error}"),
    })?;
    let words = change
        .words
        .filter(|words| words.engine == DataEngine::Postgresql);
    let words = words.ok_or_else(|| EngineError::Damaged {
        why: "it does not tell the change in PostgreSQL's words".to_owned(),
    })?;
    connection.renew(u64::MAX);
    let client = &connection.client;
    let changed = async {
        client.batch_execute(LOCK_LIMIT).await?;
        drop_all(client).await?;
        // The server knows what a change makes of them.
        put_back(client).await?;
        client.batch_execute(&words.statement).await?;
        take_out(client).await
    };
    changed.await.map_err(|error| failed(&error))
}

/// Statements on their way: prepared, with their values.
#[derive(Default)]
struct Ahead {
    statements: Vec<(Prepared, Vec<Value>, String)>,
    bytes: usize,
}

async fn apply_rows(
    connection: &mut Connection,
    body: &[u8],
    schema: &Schema,
) -> Result<(), EngineError> {
    let damaged = |why: String| EngineError::Damaged { why };
    let mut table: Option<&Table> = None;
    let mut ahead = Ahead::default();
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
                let table = table.ok_or_else(unnamed)?;
                let text = text_of(table, &change);
                let values = values_of(table, &change)?;
                let prepared = connection.prepare(&text).await;
                let prepared = prepared.map_err(|error| failed(&error))?;
                ahead.bytes += values.iter().map(Value::bytes).sum::<usize>();
                ahead
                    .statements
                    .push((prepared, values, table.name.clone()));
                if ahead.statements.len() >= AHEAD || ahead.bytes >= AHEAD_BYTES {
                    run(connection, std::mem::take(&mut ahead)).await?;
                }
            }
        }
    }
    run(connection, ahead).await
}

/// Runs all of them; each has to change one row.
async fn run(connection: &Connection, ahead: Ahead) -> Result<(), EngineError> {
    let client = &connection.client;
    let running = ahead.statements.iter().map(|(prepared, values, _)| {
        client.execute_raw(prepared, values.iter().map(Parameter).collect::<Vec<_>>())
    });
    let done = in_order(running.collect()).await;
    for (changed, (.., table)) in done.into_iter().zip(&ahead.statements) {
        if changed.map_err(|error| failed(&error))? != 1 {
            let why = format!("table {table:?} has not the row as it was on the core");
            return Err(EngineError::Damaged { why });
        }
    }
    Ok(())
}

/// Awaits all, each begun after the one before it.
async fn in_order<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (one, output) in &mut all {
            if output.is_none() {
                match one.as_mut().poll(context) {
                    Poll::Ready(done) => *output = Some(done),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

/// The statement for a change of this shape; its parameters are the new cells, then the old
/// ones.
fn text_of(table: &Table, change: &Change<'_>) -> String {
    let name = quoted_name(&table.name);
    let mut parameter = 0;
    let mut terms = |cells: &[Cell<'_>], is_condition: bool| -> Vec<String> {
        let mut terms = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            if !cells.get(index).is_some_and(Option::is_some) {
                continue;
            }
            parameter += 1;
            let name = quoted_name(&column.name);
            terms.push(match json(table, index) {
                _ if !is_condition || table.is_key(index) => format!("{name} = ${parameter}"),
                // Not every type of JSON knows whether two are equal.
                Some(json) => {
                    format!("{name}::text IS NOT DISTINCT FROM ${parameter}::{json}::text")
                }
                None => format!("{name} IS NOT DISTINCT FROM ${parameter}"),
            });
        }
        terms
    };
    match change.operation {
        Operation::Insert => {
            let names: Vec<String> = table
                .columns
                .iter()
                .map(|column| quoted_name(&column.name))
                .collect();
            let mut text = format!("INSERT INTO {name} ({}) VALUES (", names.join(", "));
            for index in 1..=names.len() {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}${index}", if index > 1 { ", " } else { "" });
            }
            text.push(')');
            text
        }
        Operation::Delete => {
            let was = terms(&change.old, true).join(" AND ");
            format!("DELETE FROM {name} WHERE {was}")
        }
        Operation::Update => {
            let set = terms(&change.new, false).join(", ");
            let was = terms(&change.old, true).join(" AND ");
            format!("UPDATE {name} SET {set} WHERE {was}")
        }
    }
}

/// The name of a column's type, if it is one of JSON.
fn json(table: &Table, column: usize) -> Option<String> {
    let sql_type = table.columns.get(column)?.sql_type;
    matches!(sql_type, SqlType::Json | SqlType::Jsonb).then(|| sql_type.to_string())
}

fn values_of(table: &Table, change: &Change<'_>) -> Result<Vec<Value>, EngineError> {
    let cells = |cells: &[Cell<'_>]| -> Result<Vec<Value>, EngineError> {
        let cells = table.columns.iter().zip(cells);
        let values = cells.filter_map(|(column, cell)| {
            let cell = (*cell)?;
            Some(types::read(cell, Some(column.sql_type)))
        });
        values.collect()
    };
    let mut values = cells(&change.new)?;
    values.extend(cells(&change.old)?);
    Ok(values)
}
