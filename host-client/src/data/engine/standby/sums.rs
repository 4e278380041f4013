//! Sums of a shadow's rows at a server: of the same bytes that SQLite's side sums.

use std::{sync::mpsc::Receiver, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::data::{Position, Row, Schema, Table, Value};

use crate::data::{
    check::{Range, RangeSum, Sums},
    engine::{EngineError, sqlite::types::bind},
    log::changeset::put_cell,
};

/// A server's rows, in a view that is open.
#[async_trait]
pub(in super::super) trait Summed: Send {
    /// Gives the rows of a range, in the order of its key.
    async fn each(
        &mut self,
        table: &Table,
        range: &Range,
        take: &mut (dyn FnMut(Row) -> Result<(), EngineError> + Send),
    ) -> Result<(), EngineError>;
}

/// What a core tells within that time; `None`: it tells nothing.
pub(in super::super) async fn told_within(
    told: Receiver<Sums>,
    time: Duration,
) -> Result<Option<Sums>, EngineError> {
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(time).ok()).await;
    told.map_err(|error| EngineError::Internal(error.to_string()))
}

/// Sums the ranges that a core has told, in the view that is open, and whole the tables of
/// which it has told nothing. A table that is not there sums to nothing.
pub(in super::super) async fn sum_same(
    summed: &mut impl Summed,
    schema: &Schema,
    position: Position,
    told: &Sums,
) -> Result<Sums, EngineError> {
    let mut ranges = Vec::new();
    for told in &told.ranges {
        ranges.push(match schema.table(&told.range.table) {
            Some(table) => sum(summed, table, &told.range).await?,
            None => RangeSum {
                range: told.range.clone(),
                rows: 0,
                hash: String::new(),
            },
        });
    }
    let is_told = |name: &str| told.ranges.iter().any(|told| told.range.table == name);
    for table in schema.tables.iter().filter(|table| !is_told(&table.name)) {
        let range = Range {
            table: table.name.clone(),
            after: None,
            through: None,
        };
        ranges.push(sum(summed, table, &range).await?);
    }
    Ok(Sums { position, ranges })
}

async fn sum(
    summed: &mut impl Summed,
    table: &Table,
    range: &Range,
) -> Result<RangeSum, EngineError> {
    let (mut hasher, mut count, mut cells) = (blake3::Hasher::new(), 0, Vec::new());
    let mut take = |row: Row| {
        cells.clear();
        row.iter()
            .try_for_each(|value| put_value(&mut cells, value))?;
        hasher.update(&cells);
        count += 1;
        Ok(())
    };
    summed.each(table, range, &mut take).await?;
    Ok(RangeSum {
        range: range.clone(),
        rows: count,
        hash: hasher.finalize().to_hex().to_string(),
    })
}

fn put_value(cells: &mut Vec<u8>, value: &Value) -> Result<(), EngineError> {
    match bind(value)? {
        rusqlite::types::ToSqlOutput::Borrowed(cell) => put_cell(cells, Some(cell)),
        rusqlite::types::ToSqlOutput::Owned(value) => put_cell(cells, Some((&value).into())),
        _ => return Err(EngineError::Internal("a value has no cell".to_owned())),
    }
    Ok(())
}
