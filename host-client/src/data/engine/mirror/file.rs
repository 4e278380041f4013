//! The file: as a core on SQLite has one, in the copy's folder. What the server's own log
//! tells is applied to it as shadows apply entries: each transaction with its entries, and
//! the place of the server's log up to which that goes, in one transaction of SQLite.

use std::{path::Path, sync::Arc};

use gridmart_schemas::{
    data::{Entry, EntryKind, Epoch, LogPoint, Position, Schema, Table, Value},
    resource::enumeration::DataEngine,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{LoggedRow as _, Source};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{Failure as _, Guard, OWN, Purpose, described, open, state_of, types::bind},
    },
    log::{
        LogBounds, SchemaChange, State, Whole,
        changeset::{Operation, put_cell, put_operation, put_table},
        entry_ends, state_put, trim, whole_put,
    },
    shadow::{ShadowError, apply_all},
};

/// Bytes of one entry, about.
const ENTRY_BYTES: usize = 1024 * 1024;

/// What a transaction did, in its order.
#[derive(Debug)]
pub(in super::super) enum Change<R> {
    /// A row is new.
    Insert(R),
    /// A row is another: before and after.
    Update(R, R),
    /// A row is gone.
    Delete(R),
    /// The schema was changed: by this statement in SQLite's words, or as
    /// [`SchemaChange::tell`] has it, with the server's own.
    Schema(String),
}

/// A transaction that was committed.
#[derive(Debug)]
pub(in super::super) struct Taken<S: Source> {
    pub(in super::super) changes: Vec<Change<S::Row>>,
    /// Where it ends in the server's log.
    pub(in super::super) end: S::Place,
    /// When, in microseconds since 1970.
    pub(in super::super) time: i64,
}

/// See the module.
pub(super) struct Mirror {
    connection: Connection,
    schema: Schema,
    state: State,
    /// What is in it of the server's log.
    place: String,
    bounds: LogBounds,
    pub(super) confirmed: Position,
    /// Nothing is applied any more: the copy is closed, or of no use.
    pub(super) is_closed: bool,
}

/// Rows of one entry on their way.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    table: Option<String>,
}

/// Makes a database a mirror: it is in the server's log at that place.
pub(super) fn place_put(connection: &Connection, place: &str) -> Result<(), EngineError> {
    let put = || -> rusqlite::Result<()> {
        connection.execute(
            &format!(
                "{OWN}CREATE TABLE IF NOT EXISTS gridmart_stream \
                 (one INTEGER PRIMARY KEY CHECK (one = 1), place TEXT NOT NULL) STRICT"
            ),
            [],
        )?;
        connection.execute(
            &format!(
                "{OWN}INSERT INTO gridmart_stream VALUES (1, ?1) \
                 ON CONFLICT (one) DO UPDATE SET place = ?1"
            ),
            [place],
        )?;
        Ok(())
    };
    put().during("noting the place in the server's log")
}

/// Makes the file of a shadow that becomes the core a mirror of the rows that it has at the
/// server, whose log goes on from that place.
pub(in super::super) async fn make_mirror<S: Source>(
    file: &Path,
    place: &S::Place,
) -> Result<(), EngineError> {
    let (file, place) = (file.to_owned(), place.to_string());
    let made = tokio::task::spawn_blocking(move || {
        let file = open(&file, Purpose::Shadow, &Arc::new(Guard::default()))?;
        place_put(&file, &place)
    });
    made.await
        .map_err(|error| EngineError::Internal(error.to_string()))?
}

/// The place of a mirror; `None`: it is none.
fn place_of(connection: &Connection) -> Result<Option<String>, EngineError> {
    let is_mirror: bool = connection
        .query_row(
            &format!(
                "{OWN}SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'gridmart_stream')"
            ),
            [],
            |row| row.get(0),
        )
        .during("looking for a mirror")?;
    if !is_mirror {
        return Ok(None);
    }
    let sql = format!("{OWN}SELECT place FROM gridmart_stream");
    let place = connection.query_row(&sql, [], |row| row.get(0)).optional();
    place.during("reading the place in the server's log")
}

impl Mirror {
    /// Opens the file of a copy; `None`: it is no mirror.
    pub(super) fn open(path: &Path, bounds: LogBounds) -> Result<Option<Self>, EngineError> {
        let connection = open(path, Purpose::Shadow, &Arc::new(Guard::default()))?;
        let Some(place) = place_of(&connection)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            schema: described(&connection)?,
            state: state_of(&connection)?,
            connection,
            place,
            bounds,
            confirmed: Position::ZERO,
            is_closed: false,
        }))
    }

    /// The last entry.
    pub(super) const fn last(&self) -> LogPoint {
        self.state.last
    }

    /// What is in it of the server's log.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Another core has taken over.
    pub(super) fn fence(&mut self, newest: Epoch) -> Result<(), EngineError> {
        self.state.fenced = Some(newest);
        state_put(&self.connection, &self.state)
    }

    /// The schema as the server tells it whole, in the place of older statements and changes.
    pub(super) fn keep_whole(&self, engine: &DataEngine, whole: &Whole) -> Result<(), EngineError> {
        if self.is_closed {
            return Err(EngineError::Stopping);
        }
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        begun.during("beginning to keep a schema")?;
        let kept = whole_put(&self.connection, Some((engine, whole))).and_then(|()| {
            let committed = self.connection.execute_batch("COMMIT");
            committed.during("keeping a schema")
        });
        if kept.is_err() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        kept
    }

    /// Applies transactions, which it does not have yet. Blocks for the disk.
    pub(super) fn take<S: Source>(
        &mut self,
        transactions: &[Taken<S>],
    ) -> Result<LogPoint, EngineError> {
        let Some(last) = transactions.last() else {
            return Ok(self.state.last);
        };
        if self.is_closed {
            return Err(EngineError::Stopping);
        }
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        begun.during("beginning to apply the server's log")?;
        let mut pending = self.state.clone();
        let place = last.end.to_string();
        let mut all = transactions.iter();
        let taken = all.try_for_each(|one| self.take_one(one, &mut pending));
        let finished = taken.and_then(|()| {
            trim(&self.connection, &mut pending, self.bounds, self.confirmed)?;
            state_put(&self.connection, &pending)?;
            place_put(&self.connection, &place)?;
            let committed = self.connection.execute_batch("COMMIT");
            committed.during("committing what the server's log told")
        });
        if let Err(error) = finished {
            let _ = self.connection.execute_batch("ROLLBACK");
            return Err(match error {
                EngineError::Refused { message, .. } => EngineError::Damaged { why: message },
                other => other,
            });
        }
        (self.state, self.place) = (pending, place);
        Ok(self.state.last)
    }

    fn take_one<S: Source>(
        &mut self,
        one: &Taken<S>,
        pending: &mut State,
    ) -> Result<(), EngineError> {
        let begin = pending.last.position;
        let time = one.time;
        let mut rows = Rows::default();
        for change in &one.changes {
            if let Change::Schema(statement) = change {
                self.flush(&mut rows, pending, time)?;
                let body = SchemaChange::told(statement, self.schema.clone());
                let body = body
                    .encode()
                    .map_err(|error| EngineError::Internal(error.to_string()))?;
                self.log(EntryKind::Schema, body, pending, time)?;
                continue;
            }
            self.put_row::<S>(&mut rows, change)?;
            if rows.bytes.len() >= ENTRY_BYTES {
                self.flush(&mut rows, pending, time)?;
            }
        }
        self.flush(&mut rows, pending, time)?;
        if pending.last.position > begin {
            entry_ends(&self.connection, pending.last.position)?;
        }
        Ok(())
    }

    fn flush(
        &mut self,
        rows: &mut Rows,
        pending: &mut State,
        time: i64,
    ) -> Result<(), EngineError> {
        rows.table = None;
        let body = std::mem::take(&mut rows.bytes);
        if body.is_empty() {
            return Ok(());
        }
        self.log(EntryKind::Rows, body, pending, time)
    }

    fn log(
        &mut self,
        kind: EntryKind,
        body: Vec<u8>,
        pending: &mut State,
        time: i64,
    ) -> Result<(), EngineError> {
        let entry = Entry {
            position: pending.last.position.next(),
            epoch: pending.epoch,
            time,
            kind,
            ends: false,
            body,
        };
        let applied = apply_all(&self.connection, &mut self.schema, pending, &[entry]);
        applied.map_err(|error| match error {
            ShadowError::Engine(error) => error,
            ShadowError::Gap { .. } => EngineError::Internal(error.to_string()),
        })
    }

    fn put_row<S: Source>(
        &self,
        rows: &mut Rows,
        change: &Change<S::Row>,
    ) -> Result<(), EngineError> {
        let (Change::Insert(row) | Change::Update(row, _) | Change::Delete(row)) = change else {
            return Ok(());
        };
        let table = self.schema.table(row.table());
        let table = table.ok_or_else(|| unlike(row.table()))?;
        if rows.table.as_ref() != Some(&table.name) {
            put_table(&mut rows.bytes, &table.name, &key_places(table));
            rows.table = Some(table.name.clone());
        }
        let whole = |row: &S::Row, before: Option<&[Value]>| {
            let values = row.values(table, before)?;
            let is_whole = values.len() == table.columns.len();
            is_whole
                .then_some(values)
                .ok_or_else(|| unlike(&table.name))
        };
        match change {
            Change::Insert(new) => put(&mut rows.bytes, Operation::Insert, &whole(new, None)?),
            Change::Delete(old) => put(&mut rows.bytes, Operation::Delete, &whole(old, None)?),
            Change::Update(old, new) => {
                let old = whole(old, None)?;
                let new = whole(new, Some(&old))?;
                if table.key.iter().any(|index| old[*index] != new[*index]) {
                    put(&mut rows.bytes, Operation::Delete, &old)?;
                    return put(&mut rows.bytes, Operation::Insert, &new);
                }
                put(&mut rows.bytes, Operation::Update, &old)?;
                for (old, new) in old.iter().zip(&new) {
                    put_value(&mut rows.bytes, (old != new).then_some(new))?;
                }
                Ok(())
            }
            Change::Schema(_) => Ok(()),
        }
    }
}

/// For each column its place in the key.
fn key_places(table: &Table) -> Vec<u8> {
    let place = |column| {
        let place = table.key.iter().position(|index| *index == column);
        place.map_or(0, |place| u8::try_from(place + 1).unwrap_or(u8::MAX))
    };
    (0..table.columns.len()).map(place).collect()
}

/// The server's log does not fit what was known of a table.
pub(in super::super) fn unlike(table: &str) -> EngineError {
    EngineError::Damaged {
        why: format!("the server's log tells of {table} otherwise than it is known"),
    }
}

fn put(bytes: &mut Vec<u8>, operation: Operation, row: &[Value]) -> Result<(), EngineError> {
    put_operation(bytes, operation, false);
    row.iter()
        .try_for_each(|value| put_value(bytes, Some(value)))
}

fn put_value(bytes: &mut Vec<u8>, value: Option<&Value>) -> Result<(), EngineError> {
    let Some(value) = value else {
        put_cell(bytes, None);
        return Ok(());
    };
    let bound = bind(value)?;
    let cell = match &bound {
        rusqlite::types::ToSqlOutput::Borrowed(cell) => *cell,
        rusqlite::types::ToSqlOutput::Owned(value) => value.into(),
        _ => return Err(EngineError::Internal("a value has no cell".to_owned())),
    };
    put_cell(bytes, Some(cell));
    Ok(())
}
