//! A copy of the database on SQLite, with the log: shadows begin with it and follow it.
//!
//! It is a file as a core on SQLite has one, in the copy's folder, and what the server's own
//! log tells is applied to it as shadows apply entries: each transaction with its entries,
//! and the place of the server's log up to which that goes, in one transaction of SQLite.
//! What cannot be applied makes it useless, and it is made anew.

use std::{path::Path, sync::Arc};

use gridmart_schemas::data::{Entry, EntryKind, LogPoint, Position, Schema, Table, Value};
use rusqlite::Connection;
use tokio_postgres::types::Type;

use super::{
    changes::{Field, Lsn, Relation},
    value::{Raw, read},
};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{Failure as _, Guard, OWN, Purpose, described, open, state_of, types::bind},
    },
    log::{
        LogBounds, SchemaChange, State,
        changeset::{Operation, put_cell, put_operation, put_table},
        entry_ends, state_put, trim,
    },
    shadow::{ShadowError, apply_all},
};

/// Bytes of one entry, about.
const ENTRY_BYTES: usize = 1024 * 1024;
/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What a transaction did, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A row is new.
    Insert(Arc<Relation>, Vec<Field>),
    /// A row is another.
    Update(Arc<Relation>, Vec<Field>, Vec<Field>),
    /// A row is gone.
    Delete(Arc<Relation>, Vec<Field>),
    /// The schema was changed, by this statement in SQLite's words.
    Schema(String),
}

/// A transaction that was committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) changes: Vec<Change>,
    /// Where it ends in the server's log.
    pub(super) end: Lsn,
    /// When, in microseconds since 2000.
    pub(super) time: i64,
}

/// See the module.
pub(super) struct Mirror {
    connection: Connection,
    schema: Schema,
    state: State,
    /// What is in it of the server's log.
    lsn: Lsn,
    bounds: LogBounds,
    pub(super) confirmed: Position,
    /// Nothing is applied any more: the copy is closed, or of no use.
    pub(super) is_closed: bool,
}

/// Rows of one entry on their way.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    table: Option<u32>,
}

/// Makes a database a mirror: it is in the server's log at that place.
pub(super) fn lsn_put(connection: &Connection, lsn: Lsn) -> Result<(), EngineError> {
    let put = || -> rusqlite::Result<()> {
        connection.execute(
            &format!(
                "{OWN}CREATE TABLE IF NOT EXISTS gridmart_stream \
                 (one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL) STRICT"
            ),
            [],
        )?;
        connection.execute(
            &format!(
                "{OWN}INSERT INTO gridmart_stream VALUES (1, ?1) \
                 ON CONFLICT (one) DO UPDATE SET lsn = ?1"
            ),
            [lsn.cast_signed()],
        )?;
        Ok(())
    };
    put().during("noting the place in the server's log")
}

/// The place of a mirror; `None`: it is none.
fn lsn_of(connection: &Connection) -> Result<Option<Lsn>, EngineError> {
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
    let sql = format!("{OWN}SELECT lsn FROM gridmart_stream");
    let lsn: i64 = connection
        .query_row(&sql, [], |row| row.get(0))
        .during("reading the place in the server's log")?;
    Ok(Some(lsn.cast_unsigned()))
}

impl Mirror {
    /// Opens the file of a copy; `None`: it is no mirror.
    pub(super) fn open(path: &Path, bounds: LogBounds) -> Result<Option<Self>, EngineError> {
        let connection = open(path, Purpose::Shadow, &Arc::new(Guard::default()))?;
        let Some(lsn) = lsn_of(&connection)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            schema: described(&connection)?,
            state: state_of(&connection)?,
            connection,
            lsn,
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
    pub(super) const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Another core has taken over.
    pub(super) fn fence(
        &mut self,
        newest: gridmart_schemas::data::Epoch,
    ) -> Result<(), EngineError> {
        self.state.fenced = Some(newest);
        state_put(&self.connection, &self.state)
    }

    /// Applies transactions; those that are in it already are passed over. Blocks for the
    /// disk.
    pub(super) fn take(&mut self, transactions: &[Taken]) -> Result<LogPoint, EngineError> {
        if self.is_closed {
            return Err(EngineError::Stopping);
        }
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        begun.during("beginning to apply the server's log")?;
        let mut pending = self.state.clone();
        let mut lsn = self.lsn;
        let taken = transactions.iter().try_for_each(|one| {
            if one.end <= lsn {
                return Ok(());
            }
            lsn = one.end;
            self.take_one(one, &mut pending)
        });
        let finished = taken.and_then(|()| {
            trim(&self.connection, &mut pending, self.bounds, self.confirmed)?;
            state_put(&self.connection, &pending)?;
            lsn_put(&self.connection, lsn)?;
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
        (self.state, self.lsn) = (pending, lsn);
        Ok(self.state.last)
    }

    fn take_one(&mut self, one: &Taken, pending: &mut State) -> Result<(), EngineError> {
        let begin = pending.last.position;
        let time = one.time.saturating_add(EPOCH_MICROS);
        let mut rows = Rows::default();
        for change in &one.changes {
            if let Change::Schema(statement) = change {
                self.flush(&mut rows, pending, time)?;
                let body = SchemaChange {
                    statement: statement.clone(),
                    before: self.schema.clone(),
                };
                let body = body
                    .encode()
                    .map_err(|error| EngineError::Internal(error.to_string()))?;
                self.log(EntryKind::Schema, body, pending, time)?;
                continue;
            }
            self.put_row(&mut rows, change)?;
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

    fn put_row(&self, rows: &mut Rows, change: &Change) -> Result<(), EngineError> {
        let (Change::Insert(relation, _)
        | Change::Update(relation, ..)
        | Change::Delete(relation, _)) = change
        else {
            return Ok(());
        };
        let table = self.schema.table(&relation.name);
        let table = table.ok_or_else(|| unlike(&relation.name))?;
        if table.columns.len() != relation.types.len() {
            return Err(unlike(&relation.name));
        }
        if rows.table != Some(relation.id) {
            put_table(&mut rows.bytes, &table.name, &key_places(table));
            rows.table = Some(relation.id);
        }
        let whole = |fields: &[Field], or: Option<&[Value]>| values(fields, relation, or);
        match change {
            Change::Insert(_, new) => put(&mut rows.bytes, Operation::Insert, &whole(new, None)?),
            Change::Delete(_, old) => put(&mut rows.bytes, Operation::Delete, &whole(old, None)?),
            Change::Update(_, old, new) => {
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

/// The values of a row; of one that is unchanged, what it was.
fn values(
    fields: &[Field],
    relation: &Relation,
    before: Option<&[Value]>,
) -> Result<Vec<Value>, EngineError> {
    if fields.len() != relation.types.len() {
        return Err(unlike(&relation.name));
    }
    let values = fields.iter().zip(&relation.types).enumerate();
    let values = values.map(|(index, (field, oid))| match field {
        Field::Null => Ok(Value::Null),
        Field::Unchanged => {
            let before = before.and_then(|before| before.get(index)).cloned();
            before.ok_or_else(|| unlike(&relation.name))
        }
        Field::Value(bytes) => {
            let sql_type = Type::from_oid(*oid).ok_or_else(|| unlike(&relation.name))?;
            read(Some(&Raw(bytes)), &sql_type, None)
        }
    });
    values.collect()
}

fn unlike(table: &str) -> EngineError {
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
