//! How far the counters of tables with ascending keys are, as bytes.

use serde::{Deserialize, Serialize};

/// A table's counter: the highest key that it has ever given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// The table.
    pub table: String,
    /// Its highest key; `None` takes the counter away.
    pub highest: Option<i64>,
}

/// Writes counters as the body of an entry.
pub fn encode(counters: &[Counter]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(counters)
}

/// Reads the body of an entry.
pub fn decode(body: &[u8]) -> Result<Vec<Counter>, serde_json::Error> {
    serde_json::from_slice(body)
}
