//! Applies gridmart's log to the rows of a shadow.
//!
//! Changes go out as texts of many statements, of which the server tells how many rows each
//! has found. Transactions of the log that are at hand are committed together, with the
//! position of the last one.
//!
//! The server commits a change of the schema by itself: what it has before is noted, so that
//! after a crash between the change and its position it is known whether it was done.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, SqlType, Table, Value};
use mysql_async::{Params, Value as Told, prelude::Queryable as _};

use super::{
    failure::{Failure as _, Phase},
    literal,
    place::{self, sum_of},
    session::Session,
    shadow::MariaRows,
    whole,
};
use crate::data::{
    engine::{
        EngineError,
        sqlite::schema::quoted,
        standby::{Applier, LogFile, values_of},
    },
    log::changeset::{Change, Operation},
};

/// Bytes of a text that goes out, about.
const TEXT_BYTES: usize = 1024 * 1024;
/// Rows that one statement takes out.
const DELETED: u64 = 100;
/// Bytes of texts that are committed together, about.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Values of more bytes go beside the text, each in a message of its own.
const BESIDE_BYTES: usize = 64 * 1024;
/// How who applies is set: what keys do was done on the core, and a change of the schema waits
/// for readers a while.
const SESSION: &str =
    "SET SESSION foreign_key_checks = 0, max_statement_time = 0, lock_wait_timeout = 20";

/// See the module.
pub(super) struct MariaApplier<'r> {
    rows: &'r MariaRows,
    log: &'r LogFile,
    session: Session,
    ahead: Ahead,
    /// Changes of the log's transaction that has begun.
    has_rows: bool,
    /// The server has a transaction open.
    is_open: bool,
    /// What is not committed yet, and its bytes.
    ended: Option<LogPoint>,
    bytes: usize,
    /// The schema is being changed.
    changing: Option<Changing<'r>>,
}

/// Statements on their way.
#[derive(Default)]
struct Ahead {
    text: String,
    /// For each the rows that it has to find, and their table.
    wanted: Vec<(u64, String)>,
    /// The last one, if another row can be added to it.
    last: Option<Operation>,
    /// One after them, with what goes beside it.
    large: Option<(String, Vec<Told>, String)>,
}

/// Who describes the schema meanwhile looks again.
struct Changing<'r>(&'r AtomicU64);

impl<'r> Changing<'r> {
    fn begin(changes: &'r AtomicU64) -> Self {
        changes.fetch_add(1, Ordering::SeqCst);
        Self(changes)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<'r> MariaApplier<'r> {
    pub(super) async fn begin(rows: &'r MariaRows, log: &'r LogFile) -> Result<Self, EngineError> {
        let mut session = rows.applier().await?;
        // Until all is committed it is open what the server still does.
        session.spoil();
        session.control(SESSION).await?;
        Ok(Self {
            rows,
            log,
            session,
            ahead: Ahead::default(),
            has_rows: false,
            is_open: false,
            ended: None,
            bytes: 0,
            changing: None,
        })
    }

    /// Nothing is open any more.
    pub(super) fn keep(mut self) {
        self.session.restore();
    }

    async fn commit(&mut self, last: LogPoint) -> Result<(), EngineError> {
        let before = self.rows.last();
        let moved = place::move_text(last, before.position);
        self.ahead.put(&moved, 1, place::TABLE, None);
        self.run().await?;
        if std::mem::take(&mut self.is_open) {
            // What became of it is read at the server, before anything follows.
            let committed = self.session.connection()?.query_drop("COMMIT").await;
            committed.during(Phase::Commit)?;
        }
        (self.ended, self.bytes) = (None, 0);
        self.changing = None;
        self.rows.moved(last);
        Ok(())
    }

    /// Changes the schema, knowing afterwards whether it was done.
    async fn change_schema(&mut self, statement: &str, entry: LogPoint) -> Result<(), EngineError> {
        let conn = self.session.connection()?;
        let before = whole::whole(conn).await?;
        place::changing_put(conn, entry, &sum_of(&before)).await?;
        self.changing = Some(Changing::begin(&self.rows.changes));
        // The server knows what a change makes of keys.
        for text in [
            "SET SESSION foreign_key_checks = 1",
            statement,
            "SET SESSION foreign_key_checks = 0",
        ] {
            conn.query_drop(text).await.during(Phase::Statement)?;
        }
        let after = whole::whole(conn).await?;
        self.log.keep_whole(after, entry).await
    }
}

#[async_trait]
impl Applier for MariaApplier<'_> {
    fn change(&mut self, table: &Table, change: &Change<'_>) -> Result<bool, EngineError> {
        self.has_rows = true;
        if !self.is_open {
            self.is_open = true;
            self.ahead.put("START TRANSACTION", 0, "", None);
        }
        let new = values_of(table, &change.new)?;
        let old = values_of(table, &change.old)?;
        let before = self.ahead.text.len();
        self.ahead.change(table, change.operation, &new, &old);
        self.bytes += self.ahead.text.len().saturating_sub(before);
        Ok(self.ahead.large.is_some() || self.ahead.text.len() >= TEXT_BYTES)
    }

    async fn begin(&mut self) -> Result<(), EngineError> {
        self.has_rows = false;
        Ok(())
    }

    async fn run(&mut self) -> Result<(), EngineError> {
        let ahead = std::mem::take(&mut self.ahead);
        self.session.run_all(ahead).await
    }

    async fn rows_end(&mut self) -> Result<(), EngineError> {
        // They go out with those that follow, or with the position.
        Ok(())
    }

    async fn schema(&mut self, statement: &str, entry: LogPoint) -> Result<(), EngineError> {
        if self.has_rows {
            return Err(EngineError::Damaged {
                why: "it changes the schema inside of a transaction, which MariaDB cannot"
                    .to_owned(),
            });
        }
        if let Some(ended) = self.ended {
            self.commit(ended).await?;
        }
        self.change_schema(statement, entry).await
    }

    async fn end(&mut self, last: LogPoint, has_more: bool) -> Result<(), EngineError> {
        self.ended = Some(last);
        if has_more && self.bytes < COMMIT_BYTES && self.changing.is_none() {
            return Ok(());
        }
        self.commit(last).await
    }
}

impl Ahead {
    fn put(&mut self, text: &str, rows: u64, table: &str, last: Option<Operation>) {
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        self.text.push_str(text);
        self.wanted.push((rows, table.to_owned()));
        self.last = last;
    }

    /// Whether the last statement is one of these for that table, and takes more rows.
    fn takes(&self, operation: Operation, table: &Table) -> bool {
        let rows = self.wanted.last().filter(|(_, of)| *of == table.name);
        self.last == Some(operation)
            && rows.is_some_and(|(rows, _)| operation == Operation::Insert || *rows < DELETED)
    }

    fn change(
        &mut self,
        table: &Table,
        operation: Operation,
        new: &[(usize, Value)],
        old: &[(usize, Value)],
    ) {
        let name = quoted(&table.name);
        let (mut beside, mut text) = (Vec::new(), String::new());
        match operation {
            Operation::Insert if self.takes(operation, table) && !has_large(new) => {
                self.text.push_str(", ");
                let row = new.iter().map(|(_, value)| value);
                put_row(&mut self.text, table, row, &mut beside);
                return self.more();
            }
            Operation::Insert => {
                text = insert_text(table);
                let row = new.iter().map(|(_, value)| value);
                put_row(&mut text, table, row, &mut beside);
            }
            Operation::Delete if self.takes(operation, table) => {
                self.text.push_str(" OR ");
                put_was(&mut self.text, table, old);
                return self.more();
            }
            Operation::Delete => {
                // Writing to a String cannot fail.
                let _ = write!(text, "DELETE FROM {name} WHERE ");
                put_was(&mut text, table, old);
            }
            Operation::Update => {
                let _ = write!(text, "UPDATE {name} SET ");
                for (place, (index, value)) in new.iter().enumerate() {
                    let Some(column) = table.columns.get(*index) else {
                        continue;
                    };
                    let comma = if place > 0 { ", " } else { "" };
                    let _ = write!(text, "{comma}{} = ", quoted(&column.name));
                    put_value(&mut text, value, column.sql_type, &mut beside);
                }
                text.push_str(" WHERE ");
                put_was(&mut text, table, old);
            }
        }
        if beside.is_empty() {
            self.put(&text, 1, &table.name, Some(operation));
        } else {
            self.large = Some((text, beside, table.name.clone()));
        }
    }

    /// The last statement has one row more.
    fn more(&mut self) {
        if let Some((rows, _)) = self.wanted.last_mut() {
            *rows += 1;
        }
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytea(bytes) => bytes.len(),
        _ => 0,
    }
}

fn has_large(row: &[(usize, Value)]) -> bool {
    row.iter().any(|(_, value)| size(value) > BESIDE_BYTES)
}

/// How an INSERT begins.
pub(super) fn insert_text(table: &Table) -> String {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let name = quoted(&table.name);
    format!("INSERT INTO {name} ({}) VALUES ", names.join(", "))
}

/// Writes a row in brackets.
pub(super) fn put_row<'v>(
    text: &mut String,
    table: &Table,
    row: impl Iterator<Item = &'v Value>,
    beside: &mut Vec<Told>,
) {
    text.push('(');
    for (index, (column, value)) in table.columns.iter().zip(row).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        put_value(text, value, column.sql_type, beside);
    }
    text.push(')');
}

fn put_value(text: &mut String, value: &Value, sql_type: SqlType, beside: &mut Vec<Told>) {
    let bytes = match value {
        _ if size(value) <= BESIDE_BYTES => return literal::put(text, value, sql_type),
        Value::Text(inner) | Value::Json(inner) => inner.as_bytes(),
        Value::Bytea(bytes) => bytes,
        _ => return,
    };
    text.push('?');
    beside.push(Told::Bytes(bytes.to_vec()));
}

/// The condition that a row is as it was.
fn put_was(text: &mut String, table: &Table, old: &[(usize, Value)]) {
    text.push('(');
    for (place, (index, value)) in old.iter().enumerate() {
        if place > 0 {
            text.push_str(" AND ");
        }
        literal::put_is(text, table, *index, value);
    }
    text.push(')');
}

impl Session {
    /// Runs all of them; each has to find its rows.
    async fn run_all(&mut self, ahead: Ahead) -> Result<(), EngineError> {
        let conn = self.connection()?;
        let unlike = |table: &str| EngineError::Damaged {
            why: format!("table {table:?} has not the row as it was on the core"),
        };
        if !ahead.text.is_empty() {
            let result = conn.query_iter(ahead.text).await;
            let mut result = result.during(Phase::Statement)?;
            let mut wanted = ahead.wanted.iter();
            while let Some((rows, table)) = wanted.next() {
                if result.affected_rows() != *rows {
                    return Err(unlike(table));
                }
                if wanted.len() > 0 {
                    result.next().await.during(Phase::Statement)?;
                }
            }
            result.drop_result().await.during(Phase::Statement)?;
        }
        if let Some((text, beside, table)) = ahead.large {
            // Each is another text.
            let prepared = conn.prep(text).await.during(Phase::Statement)?;
            let done = conn.exec_iter(&prepared, Params::Positional(beside)).await;
            let found = done.during(Phase::Statement)?.affected_rows();
            conn.close(prepared).await.during(Phase::Statement)?;
            if found != 1 {
                return Err(unlike(&table));
            }
        }
        Ok(())
    }
}
