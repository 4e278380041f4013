//! Shadows that hold a part of a database: of some tables, some columns of some
//! rows. All of it is done where the core is, so that what a shadow may not have
//! never travels to it.
//!
//! Which rows is told by a condition on the row's own columns. A change of a row
//! that comes under it is an insert on the shadow, one of a row that leaves it a
//! deletion. A change of the schema of one of the tables, or of the filter, has
//! the copy built anew: rows that were deleted would stay in its free pages.

mod feed;
mod judge;
mod snapshot;
mod sums;

use gridmart_schemas::data::{Filter, Schema, Table, TableFilter};

pub(super) use self::{feed::pull_part, sums::sum};
pub use self::{
    feed::{Fed, filtered},
    snapshot::take,
};
use super::engine::{EngineError, SqlState};

/// A filter as a text, which a copy keeps to tell what it holds.
pub fn text_of(filter: &Filter) -> Result<String, EngineError> {
    serde_json::to_string(filter).map_err(|error| EngineError::Internal(error.to_string()))
}

/// What a copy tells of the filter that it was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version of its rules.
    pub version: u64,
    /// BLAKE3 over its text, in hex.
    pub hash: String,
}

impl Mark {
    /// Of the text that a copy keeps.
    pub fn of(text: &str) -> Self {
        let filter: Option<Filter> = serde_json::from_str(text).ok();
        Self {
            version: filter.map_or(0, |filter| filter.version),
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
        }
    }
}

/// The tables of a schema as the shadow has them. What the filter names must be there.
fn parts_of<'s>(filter: &'s Filter, schema: &'s Schema) -> Result<Vec<Part<'s>>, EngineError> {
    let parts = filter.tables.iter().map(|(name, filter)| {
        let table = schema.table(name).ok_or_else(|| {
            EngineError::refused(
                SqlState::UNDEFINED_TABLE,
                format!("the filter names table {name:?}, which is not there"),
            )
        })?;
        Part::of(table, filter)
    });
    parts.collect()
}

/// A table, and what a shadow has of it.
struct Part<'s> {
    table: &'s Table,
    filter: &'s TableFilter,
    /// Indexes of its columns, in their order.
    columns: Vec<usize>,
}

impl<'s> Part<'s> {
    fn of(table: &'s Table, filter: &'s TableFilter) -> Result<Self, EngineError> {
        let refuse = |why: String| {
            EngineError::refused(
                SqlState::UNDEFINED_COLUMN,
                format!("the filter of table {:?} {why}", table.name),
            )
        };
        let is_wanted = |name: &String| {
            filter
                .columns
                .as_ref()
                .is_none_or(|wanted| wanted.contains(name))
        };
        let columns: Vec<usize> = (0..table.columns.len())
            .filter(|index| is_wanted(&table.columns[*index].name))
            .collect();
        for wanted in filter.columns.iter().flatten() {
            if !table.columns.iter().any(|column| column.name == *wanted) {
                return Err(refuse(format!(
                    "names column {wanted:?}, which is not there"
                )));
            }
        }
        if let Some(key) = table.key.iter().find(|index| !columns.contains(index)) {
            let name = &table.columns[*key].name;
            return Err(refuse(format!("leaves out {name:?}, which is of the key")));
        }
        Ok(Self {
            table,
            filter,
            columns,
        })
    }

    /// The table as the shadow has it.
    fn projected(&self) -> Table {
        let place = |index: &usize| self.columns.iter().position(|column| column == index);
        Table {
            name: self.table.name.clone(),
            columns: self
                .columns
                .iter()
                .map(|index| self.table.columns[*index].clone())
                .collect(),
            key: self.table.key.iter().filter_map(place).collect(),
            has_sequence: false,
            has_row_id_key: self.table.has_row_id_key,
            unique_keys: Vec::new(),
            indexes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
