//! What tables a database has.

use serde::{Deserialize, Serialize};

use super::{Position, SqlType, Value};

/// The tables and views of a database, as of one place of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// When it was so.
    pub position: Position,
    /// The tables, by name.
    pub tables: Vec<Table>,
    /// The views: names and definitions, as whoever judges statements has written them.
    pub views: Vec<(String, String)>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// Its primary key: indexes of columns, in the key's order; never empty.
    pub key: Vec<usize>,
    /// Whether the engine gives new rows ascending keys that it never gives again.
    pub has_sequence: bool,
    /// Whether the only column of its key is SQLite's row id.
    pub has_row_id_key: bool,
    /// Its other unique keys: indexes of columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique_keys: Vec<Vec<usize>>,
    /// Names of its indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub sql_type: SqlType,
    /// Whether it may hold NULL.
    pub is_nullable: bool,
    /// What it gets when an insert does not name it; absent: NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

impl Schema {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// Whether the two hold the same rows: indexes and defaults do not matter.
    pub fn is_shaped_as(&self, other: &Self) -> bool {
        let shape = |table: &Self| Self {
            columns: table
                .columns
                .iter()
                .map(|column| Column {
                    default: None,
                    ..column.clone()
                })
                .collect(),
            unique_keys: Vec::new(),
            indexes: Vec::new(),
            ..table.clone()
        };
        shape(self) == shape(other)
    }

    /// Whether a column, by its index, is one of the key.
    pub fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }
}
