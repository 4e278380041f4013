//! Applies gridmart's log to the rows of a shadow: each transaction of the log is one of the
//! server's. Statements for rows go out many at a time, in their order, before their answers
//! come.

use std::{
    fmt::Write as _,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
};

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, SqlType, Table, Value};

use super::{
    Base, LOCK_LIMIT,
    connection::Connection,
    failure::{When, failure},
    guards::{Making, drop_all},
    pool::Pooled,
    quoted_name,
    references::{put_back, take_out},
    value::Parameter,
};
use crate::data::{
    engine::{
        EngineError,
        standby::{Applier, values_of},
    },
    log::changeset::{Cell, Change, Operation},
};

/// Statements that go out before their answers come.
const AHEAD: usize = 256;
/// Bytes of values in them, about.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;

/// See the module.
pub(super) struct PgApplier<'b> {
    base: &'b Arc<Base>,
    pooled: Pooled,
    /// The schema is changed by what is open: nobody else makes views meanwhile.
    making: Option<Making>,
    ahead: Ahead,
}

/// Statements on their way, with their values and tables.
#[derive(Default)]
struct Ahead {
    statements: Vec<(String, Vec<Value>, String)>,
    bytes: usize,
}

impl<'b> PgApplier<'b> {
    pub(super) async fn begin(base: &'b Arc<Base>) -> Result<Self, EngineError> {
        Ok(Self {
            base,
            pooled: base.makers.take().await?,
            making: None,
            ahead: Ahead::default(),
        })
    }

    /// Nothing is open any more.
    pub(super) fn keep(self) {
        self.pooled.keep();
    }
}

#[async_trait]
impl Applier for PgApplier<'_> {
    fn change(&mut self, table: &Table, change: &Change<'_>) -> Result<bool, EngineError> {
        let mut values = Vec::new();
        for cells in [&change.new, &change.old] {
            values.extend(values_of(table, cells)?.into_iter().map(|(_, value)| value));
        }
        let ahead = &mut self.ahead;
        ahead.bytes += values.iter().map(Value::bytes).sum::<usize>();
        let text = text_of(table, change);
        ahead.statements.push((text, values, table.name.clone()));
        Ok(ahead.statements.len() >= AHEAD || ahead.bytes >= AHEAD_BYTES)
    }

    async fn begin(&mut self) -> Result<(), EngineError> {
        begin(self.pooled.get()?).await
    }

    async fn run(&mut self) -> Result<(), EngineError> {
        let ahead = std::mem::take(&mut self.ahead);
        run(self.pooled.get()?, ahead).await
    }

    async fn schema(&mut self, statement: &str, _: LogPoint) -> Result<(), EngineError> {
        if self.making.is_none() {
            self.making = Some(self.base.guards.making().await);
        }
        change_schema(self.pooled.get()?, statement).await
    }

    async fn end(&mut self, last: LogPoint, _: bool) -> Result<(), EngineError> {
        let connection = self.pooled.get()?;
        commit(self.base, connection, last).await?;
        let making = self.making.take();
        if making.is_some() {
            self.base.schema_changed();
            connection.renew(u64::MAX);
        }
        self.base.seat.moved(last);
        Ok(())
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

async fn change_schema(connection: &mut Connection, statement: &str) -> Result<(), EngineError> {
    connection.renew(u64::MAX);
    let client = &connection.client;
    let changed = async {
        client.batch_execute(LOCK_LIMIT).await?;
        drop_all(client).await?;
        // The server knows what a change makes of them.
        put_back(client).await?;
        client.batch_execute(statement).await?;
        take_out(client).await
    };
    changed.await.map_err(|error| failed(&error))
}

/// Runs all of them; each has to change one row.
async fn run(connection: &mut Connection, ahead: Ahead) -> Result<(), EngineError> {
    let mut prepared = Vec::with_capacity(ahead.statements.len());
    for (text, ..) in &ahead.statements {
        let one = connection.prepare(text).await;
        prepared.push(one.map_err(|error| failed(&error))?);
    }
    let client = &connection.client;
    let running = prepared.iter().zip(&ahead.statements);
    let running = running.map(|(prepared, (_, values, _))| {
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
