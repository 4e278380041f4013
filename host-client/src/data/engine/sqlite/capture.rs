//! Sees each row that the core's connection changes, and writes it down.
//!
//! Invariants: nothing is lost unnoticed: what could not be written down is a
//! fault that fails the statement; what does not fit its column is refused here,
//! for every way in which a value can get into a row.

use std::{collections::HashMap, sync::Arc};

use gridmart_schemas::data::{Schema, Table};
use parking_lot::Mutex;
use rusqlite::{Connection, hooks::PreUpdateCase, types::ValueRef};

use super::{failure::Failure as _, guard::OWN_TABLES, open::RECORD_BYTES_MAX, types};
use crate::data::{
    engine::EngineError,
    log::changeset::{Operation, put_cell, put_operation, put_table},
};

/// Bytes of changes that one statement may make: they are held in memory until
/// it ends.
pub(super) const STATEMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of changes after which another changeset begins: entries of the log are
/// held in memory, and sent, one by one.
pub(super) const CHANGESET_BYTES: usize = 1024 * 1024;

/// How much of a row is written down when it is updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldRows {
    /// All columns as they were: shadows notice each difference, and filters of
    /// partial shadows can be judged by any column.
    #[default]
    Whole,
    /// Keys, and the columns that change: as SQLite's own sessions do.
    Changed,
}

/// What a connection's changes are written into.
#[derive(Clone, Debug, Default)]
pub(super) struct Capture(Arc<Mutex<Recorder>>);

#[derive(Debug, Default)]
struct Recorder {
    tables: HashMap<String, Shape>,
    old_rows: OldRows,
    bytes: Vec<u8>,
    /// Where in them other changesets begin, in their order.
    cuts: Vec<usize>,
    /// The table whose head was written last.
    table: Option<String>,
    touched_sequence: bool,
    fault: Option<EngineError>,
    is_recording: bool,
}

#[derive(Debug)]
struct Shape {
    table: Table,
    key: Vec<u8>,
}

/// A place in what was written down.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    bytes: usize,
    table: Option<String>,
    touched_sequence: bool,
}

impl Capture {
    /// Begins to see what the connection changes.
    pub(super) fn watch(
        connection: &mut Connection,
        old_rows: OldRows,
    ) -> Result<Self, EngineError> {
        let capture = Self::default();
        capture.0.lock().old_rows = old_rows;
        let recorder = Arc::clone(&capture.0);
        connection
            .preupdate_hook(Some(
                move |_action: _, database: &str, table: &str, case: &PreUpdateCase| {
                    if database == "main" && !table.starts_with(OWN_TABLES) {
                        recorder.lock().see(table, case);
                    }
                },
            ))
            .during("watching changes")?;
        Ok(capture)
    }

    /// Learns the tables; what is written down from here on is of this schema.
    pub(super) fn learn(&self, schema: &Schema) {
        let shapes = schema.tables.iter().map(|table| {
            let place = |index: usize| table.key.iter().position(|key| *key == index);
            let key = (0..table.columns.len())
                .map(|index| {
                    place(index).map_or(0, |place| u8::try_from(place + 1).unwrap_or(u8::MAX))
                })
                .collect();
            let shape = Shape {
                table: table.clone(),
                key,
            };
            (table.name.clone(), shape)
        });
        let mut recorder = self.0.lock();
        recorder.tables = shapes.collect();
        recorder.table = None;
    }

    /// Where a statement begins.
    pub(super) fn mark(&self) -> Mark {
        let recorder = self.0.lock();
        Mark {
            bytes: recorder.bytes.len(),
            table: recorder.table.clone(),
            touched_sequence: recorder.touched_sequence,
        }
    }

    /// Forgets what was written down after a mark: its changes were taken back.
    pub(super) fn rewind(&self, mark: &Mark) {
        let mut recorder = self.0.lock();
        recorder.bytes.truncate(mark.bytes);
        recorder.cuts.retain(|cut| *cut < mark.bytes);
        recorder.table.clone_from(&mark.table);
        recorder.touched_sequence = mark.touched_sequence;
        recorder.fault = None;
        recorder.is_recording = false;
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.rewind(&Mark {
            bytes: 0,
            table: None,
            touched_sequence: false,
        });
    }

    /// Whether all that a statement changed was written down.
    pub(super) fn verify(&self) -> Result<(), EngineError> {
        let mut recorder = self.0.lock();
        if recorder.is_recording {
            let why = "a change of a row was seen and not written down".to_owned();
            return Err(EngineError::Internal(why));
        }
        recorder.fault.take().map_or(Ok(()), Err)
    }

    /// Bytes that are written down.
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes.len()
    }

    /// Whether counters of keys may have changed since [`Self::clear`].
    pub(super) fn touched_sequence(&self) -> bool {
        self.0.lock().touched_sequence
    }

    /// Forgets the changes, but not that counters may have changed.
    pub(super) fn clear_rows(&self) {
        let mut recorder = self.0.lock();
        recorder.bytes.clear();
        recorder.cuts.clear();
        recorder.table = None;
    }

    /// Takes the changes: changesets in their order, none if there were no changes.
    pub(super) fn take(&self) -> Vec<Vec<u8>> {
        let mut recorder = self.0.lock();
        recorder.table = None;
        let mut rest = std::mem::take(&mut recorder.bytes);
        let mut changesets = Vec::new();
        while let Some(cut) = recorder.cuts.pop() {
            changesets.push(rest.split_off(cut));
        }
        changesets.push(rest);
        changesets.reverse();
        changesets.retain(|changeset| !changeset.is_empty());
        changesets
    }
}

impl Recorder {
    fn see(&mut self, table: &str, case: &PreUpdateCase) {
        if self.fault.is_some() {
            return;
        }
        // A panic is swallowed on the way back through SQLite; this is not.
        self.is_recording = true;
        if let Err(fault) = self.record(table, case) {
            self.fault = Some(fault);
        }
        self.is_recording = false;
    }

    fn record(&mut self, table: &str, case: &PreUpdateCase) -> Result<(), EngineError> {
        let Self {
            tables,
            bytes,
            cuts,
            table: current,
            ..
        } = self;
        let shape = tables.get(table).ok_or_else(|| {
            EngineError::Internal(format!(
                "a row of table {table:?} was changed, which is not known"
            ))
        })?;
        self.touched_sequence |= shape.table.has_sequence;
        let head = bytes.len();
        if head - cuts.last().copied().unwrap_or(0) >= CHANGESET_BYTES {
            cuts.push(head);
            *current = None;
        }
        if current.as_deref() != Some(table) {
            put_table(bytes, table, &shape.key);
        }
        let begin = bytes.len();
        write_change(bytes, shape, case, self.old_rows)?;
        if bytes.len() == begin {
            // Nothing is different.
            bytes.truncate(head);
            return Ok(());
        }
        if begin > head {
            *current = Some(table.to_owned());
        }
        if bytes.len() - begin > RECORD_BYTES_MAX {
            return Err(EngineError::LimitExceeded {
                of: "bytes of a changed row",
                limit: RECORD_BYTES_MAX as u64,
            });
        }
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(EngineError::LimitExceeded {
                of: "bytes of changed rows",
                limit: STATEMENT_BYTES_MAX as u64,
            });
        }
        Ok(())
    }
}

fn write_change(
    bytes: &mut Vec<u8>,
    shape: &Shape,
    case: &PreUpdateCase,
    old_rows: OldRows,
) -> Result<(), EngineError> {
    match case {
        PreUpdateCase::Insert(new) => {
            let is_indirect = new.get_query_depth() > 0;
            let new = row(shape, |index| new.get_new_column_value(index))?;
            insert(bytes, shape, &new, is_indirect)
        }
        PreUpdateCase::Delete(old) => {
            let is_indirect = old.get_query_depth() > 0;
            let old = row(shape, |index| old.get_old_column_value(index))?;
            delete(bytes, &old, is_indirect);
            Ok(())
        }
        PreUpdateCase::Update {
            old_value_accessor,
            new_value_accessor,
        } => {
            let is_indirect = old_value_accessor.get_query_depth() > 0;
            let old = row(shape, |index| {
                old_value_accessor.get_old_column_value(index)
            })?;
            let new = row(shape, |index| {
                new_value_accessor.get_new_column_value(index)
            })?;
            update(bytes, shape, (&old, &new), is_indirect, old_rows)
        }
        PreUpdateCase::Unknown => Err(EngineError::Internal(
            "SQLite told of a change that is no insert, update or delete".to_owned(),
        )),
    }
}

fn row<'a>(
    shape: &Shape,
    value: impl Fn(i32) -> rusqlite::Result<ValueRef<'a>>,
) -> Result<Vec<ValueRef<'a>>, EngineError> {
    let columns = i32::try_from(shape.table.columns.len()).unwrap_or(i32::MAX);
    let row: rusqlite::Result<_> = (0..columns).map(value).collect();
    row.during("reading a row that is changed")
}

fn insert(
    bytes: &mut Vec<u8>,
    shape: &Shape,
    new: &[ValueRef<'_>],
    is_indirect: bool,
) -> Result<(), EngineError> {
    for (value, column) in new.iter().zip(&shape.table.columns) {
        types::check(*value, column)?;
    }
    put_operation(bytes, Operation::Insert, is_indirect);
    for value in new {
        put_cell(bytes, Some(*value));
    }
    Ok(())
}

fn delete(bytes: &mut Vec<u8>, old: &[ValueRef<'_>], is_indirect: bool) {
    put_operation(bytes, Operation::Delete, is_indirect);
    for value in old {
        put_cell(bytes, Some(*value));
    }
}

fn update(
    bytes: &mut Vec<u8>,
    shape: &Shape,
    (old, new): (&[ValueRef<'_>], &[ValueRef<'_>]),
    is_indirect: bool,
    old_rows: OldRows,
) -> Result<(), EngineError> {
    let differs = |index: usize| !is_same(old[index], new[index]);
    if (0..old.len()).all(|index| !differs(index)) {
        return Ok(());
    }
    if shape.table.key.iter().any(|index| differs(*index)) {
        // In the format, a key never changes: the row goes, and another comes.
        delete(bytes, old, is_indirect);
        return insert(bytes, shape, new, is_indirect);
    }
    for (index, column) in shape.table.columns.iter().enumerate() {
        if differs(index) {
            types::check(new[index], column)?;
        }
    }
    put_operation(bytes, Operation::Update, is_indirect);
    for (index, value) in old.iter().enumerate() {
        let is_wanted = old_rows == OldRows::Whole || shape.key[index] > 0 || differs(index);
        put_cell(bytes, is_wanted.then_some(*value));
    }
    for (index, value) in new.iter().enumerate() {
        put_cell(bytes, differs(index).then_some(*value));
    }
    Ok(())
}

/// Whether two values are stored the same; −0 is not 0.
pub(in crate::data) fn is_same(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Real(one), ValueRef::Real(other)) => one.to_bits() == other.to_bits(),
        (one, other) => one == other,
    }
}
