//! Entries of the log as a partial shadow gets them.

use gridmart_schemas::data::{Entry, EntryKind, Filter, Position};
use rusqlite::{Connection, types::ValueRef};

use super::{Part, judge::Judge, parts_of};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{is_same, state_of},
    },
    log::{
        Pulled, Schemas,
        changeset::{Cell, Change, Item, Operation, Reader, put_cell, put_operation, put_table},
        history::History,
        pull,
    },
};

/// What a partial shadow gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// As many entries as there were, with what the shadow may have of them.
    Entries(Vec<Entry>),
    /// A table that it has was changed: it has to begin with a snapshot.
    SnapshotNeeded {
        /// The entry that did it.
        position: Position,
    },
}

/// Answers a partial shadow that tells what it has, from a view of the core, or of its mirror.
pub(in crate::data) fn pull_part(
    view: &Connection,
    shadow: &History,
    filter: &Filter,
    bytes_max: u64,
) -> Result<Pulled, EngineError> {
    let pulled = pull(view, &state_of(view)?, shadow, bytes_max)?;
    let Pulled::Entries(entries) = pulled else {
        return Ok(pulled);
    };
    Ok(match filtered(view, filter, entries)? {
        Fed::Entries(entries) => Pulled::Entries(entries),
        Fed::SnapshotNeeded { position } => Pulled::SnapshotNeeded {
            first: position.next(),
        },
    })
}

/// Leaves of entries what a filter shows, from a view that has them in its log.
pub fn filtered(
    view: &Connection,
    filter: &Filter,
    entries: Vec<Entry>,
) -> Result<Fed, EngineError> {
    let Some(first) = entries.first() else {
        return Ok(Fed::Entries(entries));
    };
    let schemas = Schemas::of(view, first.position.previous())?;
    let mut judge = Judge::new()?;
    let mut fed = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let schema = schemas.at(entry.position);
        match entry.kind {
            EntryKind::Schema => {
                let after = schemas.at(entry.position.next());
                let is_same = |name: &String| match (schema.table(name), after.table(name)) {
                    (Some(before), Some(after)) => before.is_shaped_as(after),
                    (before, after) => before.is_none() && after.is_none(),
                };
                if !filter.tables.keys().all(is_same) {
                    let position = entry.position;
                    return Ok(Fed::SnapshotNeeded { position });
                }
                entry.body = Vec::new();
            }
            // It gives no keys of its own.
            EntryKind::Sequence => entry.body = Vec::new(),
            EntryKind::Rows => {
                let parts = parts_of(filter, schema)?;
                entry.body = rows(&parts, &mut judge, &entry.body)?;
            }
        }
        entry.kind = EntryKind::Rows;
        fed.push(entry);
    }
    Ok(Fed::Entries(fed))
}

fn rows(parts: &[Part<'_>], judge: &mut Judge, body: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    let mut current: Option<&Part<'_>> = None;
    let mut told: Option<&str> = None;
    for item in Reader::new(body) {
        let item = item.map_err(|error| EngineError::Damaged {
            why: error.to_string(),
        })?;
        match item {
            Item::Table(head) => current = parts.iter().find(|part| part.table.name == head.name),
            Item::Change(change) => {
                let Some(part) = current else { continue };
                let Some(change) = seen(part, judge, &change)? else {
                    continue;
                };
                if told != Some(&part.table.name) {
                    put_table(&mut bytes, &part.table.name, &key_of(part));
                    told = Some(&part.table.name);
                }
                put_operation(&mut bytes, change.operation, false);
                for cell in change.old.iter().chain(&change.new) {
                    put_cell(&mut bytes, *cell);
                }
            }
        }
    }
    Ok(bytes)
}

fn key_of(part: &Part<'_>) -> Vec<u8> {
    let place = |index: &usize| part.table.key.iter().position(|key| key == index);
    let places = part
        .columns
        .iter()
        .map(|index| place(index).map_or(0, |place| place + 1));
    places
        .map(|place| u8::try_from(place).unwrap_or(u8::MAX))
        .collect()
}

/// What a shadow sees of a change; `None` if nothing.
fn seen<'a>(
    part: &Part<'_>,
    judge: &mut Judge,
    change: &Change<'a>,
) -> Result<Option<Change<'a>>, EngineError> {
    let old = whole(&change.old, &[])?;
    let new = match change.operation {
        Operation::Delete => Vec::new(),
        Operation::Insert | Operation::Update => whole(&change.new, &old)?,
    };
    let was = judge.is_among(part, &old)?;
    let is = judge.is_among(part, &new)?;
    let project = |row: &[ValueRef<'a>]| -> Vec<Cell<'a>> {
        part.columns.iter().map(|index| Some(row[*index])).collect()
    };
    let change = match (was, is) {
        (false, false) => return Ok(None),
        (true, false) => (Operation::Delete, project(&old), Vec::new()),
        (false, true) => (Operation::Insert, Vec::new(), project(&new)),
        (true, true) => {
            let different = |index: &usize| !is_same(old[*index], new[*index]);
            if !part.columns.iter().any(different) {
                return Ok(None);
            }
            let set = part
                .columns
                .iter()
                .map(|index| different(index).then(|| new[*index]));
            (Operation::Update, project(&old), set.collect())
        }
    };
    let (operation, old, new) = change;
    Ok(Some(Change {
        operation,
        old,
        new,
    }))
}

/// A row with all its cells; those that stay are as they were.
fn whole<'a>(
    cells: &[Cell<'a>],
    before: &[ValueRef<'a>],
) -> Result<Vec<ValueRef<'a>>, EngineError> {
    let whole = cells.iter().enumerate().map(|(index, cell)| {
        let cell = cell.or_else(|| before.get(index).copied());
        cell.ok_or_else(|| {
            EngineError::Internal(
                "the log has not the whole of old rows, which partial shadows need".to_owned(),
            )
        })
    });
    whole.collect()
}
