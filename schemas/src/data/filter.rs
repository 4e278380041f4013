//! What a shadow that holds a part of a database may hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a partial shadow holds; nothing of tables that are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The version of the rules that it was made of.
    #[serde(default)]
    pub version: u64,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableFilter>,
}

/// What it holds of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFilter {
    /// Its columns, those of the key among them; all, if none are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeSet<String>>,
    /// Its rows: a condition in the engine's language that names columns of the
    /// table alone, emitted by whoever judged it; all, if there is none. A row for
    /// which it is NULL, or fails, is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
}
