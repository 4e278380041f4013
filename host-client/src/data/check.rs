//! Whether a shadow holds what its core holds: sums over ranges of keys, which
//! both make at the same position.
//!
//! A range's sum is BLAKE3 over its rows in the order of the key, each row as the
//! cells of a changeset. The core cuts a table into ranges of so many rows; the
//! shadow sums the same ranges, the first without a lower and the last without an
//! upper end, so that a row too many is found as well. What differs is sent again,
//! range by range, or the copy is rebuilt.

use gridmart_schemas::data::{Position, Schema, Table};
use rusqlite::{
    Connection, Row,
    types::{ToSqlOutput, Value, ValueRef},
};
use serde::{Deserialize, Serialize};

use super::{
    engine::{
        EngineError, SqlState,
        sqlite::{Failure as _, OWN, schema::describe, schema::quoted, state_of, types},
    },
    log::changeset::{Cell, Item, Operation, Reader, put_cell, put_operation, put_table},
};

/// Columns of a key that is told in words.
const KEY_COLUMNS_TOLD: usize = 16;
/// Characters of a value of it.
const CHARACTERS_TOLD: usize = 40;

/// A key, as the cells of a changeset.
pub type Key = Vec<u8>;

/// Rows of a table: those after one key, up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The table.
    pub table: String,
    /// The key before the first; none from the beginning on.
    pub after: Option<Key>,
    /// The last key; none up to the end.
    pub through: Option<Key>,
}

impl Range {
    /// Table and keys, for the database's owner.
    pub fn words(&self) -> String {
        let keys = |key: &Option<Key>| key.as_ref().map(|key| key_words(key));
        match (keys(&self.after), keys(&self.through)) {
            (None, None) => format!("{}, all keys", self.table),
            (Some(after), None) => format!("{}, keys after {after}", self.table),
            (None, Some(through)) => format!("{}, keys up to {through}", self.table),
            (Some(after), Some(through)) => {
                format!("{}, keys after {after} up to {through}", self.table)
            }
        }
    }
}

/// A key's values; no more of each than people read.
fn key_words(key: &[u8]) -> String {
    let cells = (1..=KEY_COLUMNS_TOLD).find_map(|columns| {
        let bytes = key_as_insert(key, columns);
        match Reader::new(&bytes).collect::<Result<Vec<_>, _>>() {
            Ok(items) if items.len() == 2 => items.into_iter().find_map(|item| match item {
                Item::Change(change) => Some(change.new.iter().map(cell_words).collect::<Vec<_>>()),
                Item::Table(_) => None,
            }),
            _ => None,
        }
    });
    cells.map_or_else(|| "a long key".to_owned(), |cells| cells.join(", "))
}

fn cell_words(cell: &Cell<'_>) -> String {
    match cell {
        None | Some(ValueRef::Null) => "NULL".to_owned(),
        Some(ValueRef::Integer(number)) => number.to_string(),
        Some(ValueRef::Real(number)) => number.to_string(),
        Some(ValueRef::Text(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            let shown: String = text.chars().take(CHARACTERS_TOLD).collect();
            format!("{shown:?}")
        }
        Some(ValueRef::Blob(bytes)) => format!("{} bytes", bytes.len()),
    }
}

/// What a range holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSum {
    /// Which.
    pub range: Range,
    /// How many rows.
    pub rows: u64,
    /// Their sum, as hex digits.
    pub hash: String,
}

/// Sums of a whole database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Of which position they are. Sums of different positions are not compared.
    pub position: Position,
    /// All ranges of all tables.
    pub ranges: Vec<RangeSum>,
}

/// Sums all tables in ranges of so many rows, in one view of the database.
pub fn sum(view: &Connection, range_rows: u64) -> Result<Sums, EngineError> {
    let position = state_of(view)?.last.position;
    let schema = describe(view, position)?;
    let mut ranges = Vec::new();
    for table in &schema.tables {
        let mut after = None;
        loop {
            let range = Range {
                table: table.name.clone(),
                after: after.clone(),
                through: None,
            };
            let (mut summed, last) = sum_range(view, table, &range, Some(range_rows.max(1)))?;
            let is_full = summed.rows == range_rows.max(1);
            if is_full {
                summed.range.through.clone_from(&last);
            }
            ranges.push(summed);
            if !is_full {
                break;
            }
            after = last;
        }
    }
    Ok(Sums { position, ranges })
}

/// Sums the ranges that a core has told, in one view of the shadow, and whole the tables
/// of which the core has told nothing. A table that is not there sums to nothing.
pub fn sum_same(view: &Connection, told: &Sums) -> Result<Sums, EngineError> {
    let position = state_of(view)?.last.position;
    let schema = describe(view, position)?;
    let sums = told.ranges.iter().map(|told| {
        let Some(table) = schema.table(&told.range.table) else {
            return Ok(RangeSum {
                range: told.range.clone(),
                rows: 0,
                hash: String::new(),
            });
        };
        sum_range(view, table, &told.range, None).map(|(sum, _)| sum)
    });
    let mut ranges = sums.collect::<Result<Vec<_>, EngineError>>()?;
    let is_told = |name: &str| told.ranges.iter().any(|told| told.range.table == name);
    for table in schema.tables.iter().filter(|table| !is_told(&table.name)) {
        let range = Range {
            table: table.name.clone(),
            after: None,
            through: None,
        };
        ranges.push(sum_range(view, table, &range, None)?.0);
    }
    Ok(Sums { position, ranges })
}

/// The ranges that differ, those of tables that the shadow alone has among them; `None`
/// if the sums are of different positions, and tell nothing.
pub fn differing(core: &Sums, shadow: &Sums) -> Option<Vec<Range>> {
    if core.position != shadow.position {
        return None;
    }
    let differing = core
        .ranges
        .iter()
        .filter(|sum| !shadow.ranges.contains(sum));
    let is_of_core = |range: &Range| core.ranges.iter().any(|sum| sum.range == *range);
    let alone = shadow.ranges.iter().filter(|sum| !is_of_core(&sum.range));
    Some(
        differing
            .chain(alone)
            .map(|sum| sum.range.clone())
            .collect(),
    )
}

/// The rows of a range as they are on the core, to be put in the place of a
/// shadow's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRows {
    /// Which.
    pub range: Range,
    /// Of which position they are: a shadow at another one does not take them.
    pub position: Position,
    /// The rows: inserts of a changeset.
    pub rows: Vec<u8>,
}

/// Reads a range on the core, in one view of the database.
pub fn rows_of(view: &Connection, range: &Range) -> Result<RangeRows, EngineError> {
    let position = state_of(view)?.last.position;
    let schema = describe(view, position)?;
    let table = table_of(&schema, range)?;
    let mut rows = Vec::new();
    let key: Vec<u8> = (0..table.columns.len())
        .map(|index| u8::from(table.is_key(index)))
        .collect();
    put_table(&mut rows, &table.name, &key);
    each_row(view, table, range, None, |row| {
        put_operation(&mut rows, Operation::Insert, false);
        put_row(&mut rows, table, row)
    })?;
    Ok(RangeRows {
        range: range.clone(),
        position,
        rows,
    })
}

/// Puts the core's rows of a range in the place of what is there, in the caller's
/// transaction; `false`, and nothing, at another position.
pub(super) fn replace(transaction: &Connection, sent: &RangeRows) -> Result<bool, EngineError> {
    let position = state_of(transaction)?.last.position;
    if position != sent.position {
        return Ok(false);
    }
    let schema = describe(transaction, position)?;
    let table = table_of(&schema, &sent.range)?;
    let (condition, values) = condition(table, &sent.range)?;
    let sql = format!("{OWN}DELETE FROM {} WHERE {condition}", quoted(&table.name));
    let deleted = transaction.execute(&sql, rusqlite::params_from_iter(values));
    deleted.during("removing a range of rows")?;
    super::shadow::RowApplier::new(transaction, &schema).apply(&sent.rows)?;
    Ok(true)
}

fn table_of<'s>(schema: &'s Schema, range: &Range) -> Result<&'s Table, EngineError> {
    let table = schema.table(&range.table);
    table.ok_or_else(|| {
        EngineError::refused(
            SqlState::UNDEFINED_TABLE,
            format!("no table {:?} is here", range.table),
        )
    })
}

fn sum_range(
    view: &Connection,
    table: &Table,
    range: &Range,
    limit: Option<u64>,
) -> Result<(RangeSum, Option<Key>), EngineError> {
    let mut hasher = blake3::Hasher::new();
    let mut rows = 0;
    let mut last = None;
    let mut cells = Vec::new();
    each_row(view, table, range, limit, |row| {
        cells.clear();
        put_row(&mut cells, table, row)?;
        hasher.update(&cells);
        rows += 1;
        if Some(rows) == limit {
            let mut key = Vec::new();
            for index in &table.key {
                put_cell(&mut key, Some(row.get_ref(*index)?));
            }
            last = Some(key);
        }
        Ok(())
    })?;
    let sum = RangeSum {
        range: range.clone(),
        rows,
        hash: hasher.finalize().to_hex().to_string(),
    };
    Ok((sum, last))
}

fn put_row(bytes: &mut Vec<u8>, table: &Table, row: &Row<'_>) -> rusqlite::Result<()> {
    for index in 0..table.columns.len() {
        put_cell(bytes, Some(row.get_ref(index)?));
    }
    Ok(())
}

fn each_row(
    view: &Connection,
    table: &Table,
    range: &Range,
    limit: Option<u64>,
    mut act: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), EngineError> {
    let (condition, values) = condition(table, range)?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let key: Vec<_> = table
        .key
        .iter()
        .map(|index| quoted(&table.columns[*index].name))
        .collect();
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let sql = format!(
        "{OWN}SELECT {} FROM {} WHERE {condition} ORDER BY {}{limit}",
        columns.join(", "),
        quoted(&table.name),
        key.join(", ")
    );
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = view.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values.iter()))?;
        while let Some(row) = rows.next()? {
            act(row)?;
        }
        Ok(())
    };
    read().during("reading a range of rows")
}

/// The condition for a range, and its parameters.
fn condition(
    table: &Table,
    range: &Range,
) -> Result<(String, Vec<ToSqlOutput<'static>>), EngineError> {
    let key: Vec<_> = table
        .key
        .iter()
        .map(|index| quoted(&table.columns[*index].name))
        .collect();
    let places = vec!["?"; key.len()].join(", ");
    let (key, mut terms, mut values) = (key.join(", "), vec!["true".to_owned()], Vec::new());
    for (bound, than) in [(&range.after, ">"), (&range.through, "<=")] {
        if let Some(bound) = bound {
            terms.push(format!("({key}) {than} ({places})"));
            values.extend(key_values(table, bound)?);
        }
    }
    Ok((terms.join(" AND "), values))
}

/// Reads a key's cells.
fn key_values(table: &Table, key: &[u8]) -> Result<Vec<ToSqlOutput<'static>>, EngineError> {
    key_read(table, key, |_, cell| Ok(owned(cell)))
}

/// The same as values of the key's columns.
pub(in crate::data) fn key_values_of(
    table: &Table,
    key: &[u8],
) -> Result<Vec<gridmart_schemas::data::Value>, EngineError> {
    key_read(table, key, |place, cell| {
        let column = table
            .key
            .get(place)
            .and_then(|index| table.columns.get(*index));
        types::read(cell, column.map(|column| column.sql_type))
    })
}

/// Reads a key's cells, as an insert of a row that has nothing else.
fn key_read<T>(
    table: &Table,
    key: &[u8],
    read: impl Fn(usize, ValueRef<'_>) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let bytes = key_as_insert(key, table.key.len());
    let damaged = || EngineError::Damaged {
        why: format!(
            "a range of table {:?} names a key that cannot be read",
            table.name
        ),
    };
    let cells = match Reader::new(&bytes).last() {
        Some(Ok(Item::Change(change))) => change.new,
        _ => return Err(damaged()),
    };
    let cells = cells.into_iter().enumerate();
    let values = cells.map(|(place, cell)| read(place, cell.ok_or_else(damaged)?));
    values.collect()
}

fn key_as_insert(key: &[u8], columns: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_table(&mut bytes, "key", &vec![1; columns]);
    put_operation(&mut bytes, Operation::Insert, false);
    bytes.extend_from_slice(key);
    bytes
}

fn owned(value: ValueRef<'_>) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::try_from(value).unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_told_in_words() {
        let key = |values: &[ValueRef<'_>]| {
            let mut bytes = Vec::new();
            for value in values {
                put_cell(&mut bytes, Some(*value));
            }
            Some(bytes)
        };
        let mut range = Range {
            table: "people".to_owned(),
            after: None,
            through: None,
        };
        assert_eq!(range.words(), "people, all keys");
        range.after = key(&[ValueRef::Integer(-4), ValueRef::Text(b"north")]);
        assert_eq!(range.words(), "people, keys after -4, \"north\"");
        range.through = key(&[ValueRef::Integer(9), ValueRef::Blob(b"xx")]);
        assert_eq!(
            range.words(),
            "people, keys after -4, \"north\" up to 9, 2 bytes"
        );
        range.through = Some(vec![77]);
        assert!(range.words().ends_with("up to a long key"));
    }
}
