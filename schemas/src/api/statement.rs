//! Statements in databases, as browsers run them.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// Runs one statement.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementRequest {
    /// The statement.
    pub text: String,
    /// Which copy answers a read: `fresh` (a shadow that is fresh enough, else the core),
    /// `core` or `shadow`.
    #[serde(default)]
    pub read: StatementRead,
    /// Rows that are told at most; of what comes after them only that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<u32>,
}

/// Which copy answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatementRead {
    /// A shadow that is fresh enough, else the core.
    #[default]
    Fresh,
    /// The core.
    Core,
    /// A shadow, however old.
    Shadow,
}

/// What a statement did.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatementResult {
    /// What PostgreSQL calls it: `SELECT`, `INSERT`.
    pub tag: String,
    /// Rows that it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_changed: Option<u64>,
    /// The columns of its result.
    pub columns: Vec<StatementColumn>,
    /// Its rows: each value as PostgreSQL shows it, NULL as null.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there are more rows than were asked for.
    pub is_cut: bool,
    /// The Host that ran it; absent: none had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host: Option<NodeId>,
    /// What that Host's copy is: `core` or `shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Microseconds that it took, with the way to the Host.
    pub duration_us: u64,
}

/// A column of a result.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatementColumn {
    /// Its name.
    pub name: String,
    /// Its type, as PostgreSQL calls it.
    #[serde(rename = "type")]
    pub sql_type: String,
}
