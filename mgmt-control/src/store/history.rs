//! How everything was in the last day, in steps of five minutes.

use rusqlite::{Connection, params};

use super::{During, StoreError, count, number};

/// A step, packed as the feed has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryStep {
    /// Five minutes since 1970.
    pub(crate) step: u64,
    /// Values of the whole.
    pub(crate) whole: Vec<u8>,
    /// Of each node its id and values.
    pub(crate) nodes: Vec<u8>,
}

/// Writes a step; forgets those before `oldest`.
pub(crate) fn history_put(
    connection: &Connection,
    put: &HistoryStep,
    oldest: u64,
) -> Result<(), StoreError> {
    let HistoryStep { step, whole, nodes } = put;
    connection
        .execute(
            "INSERT INTO history (step, whole, nodes) VALUES (?1, ?2, ?3) ON CONFLICT (step) DO NOTHING",
            params![number(*step), whole, nodes],
        )
        .during("history_put")?;
    connection
        .execute("DELETE FROM history WHERE step < ?1", [number(oldest)])
        .during("history_put")
        .map(drop)
}

/// Reads all steps, oldest first.
pub(crate) fn history_list(connection: &Connection) -> Result<Vec<HistoryStep>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM history ORDER BY step")
        .during("history_list")?;
    let rows = statement
        .query_map([], |row| {
            Ok(HistoryStep {
                step: count(row, "step")?,
                whole: row.get("whole")?,
                nodes: row.get("nodes")?,
            })
        })
        .during("history_list")?;
    rows.collect::<rusqlite::Result<_>>().during("history_list")
}
