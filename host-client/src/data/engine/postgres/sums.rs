//! Sums of a shadow's rows at the server: of the same bytes that SQLite's side sums.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use gridmart_schemas::data::{Position, Schema, SqlType, Table, Value};
use tokio_postgres::{Client, Error};

use super::{
    failure::{When, failure},
    quoted_name,
    run::row as values_of,
    value::Parameter,
};
use crate::data::{
    check::{Key, Range, RangeSum, Sums, key_values_of},
    engine::{EngineError, sqlite::types::bind},
    log::changeset::put_cell,
};

/// Sums the ranges that a core has told, in the view that is open, and whole the tables of
/// which it has told nothing. A table that is not there sums to nothing.
pub(super) async fn sum_same(
    client: &Client,
    schema: &Schema,
    position: Position,
    told: &Sums,
) -> Result<Sums, EngineError> {
    let mut ranges = Vec::new();
    for told in &told.ranges {
        ranges.push(match schema.table(&told.range.table) {
            Some(table) => sum(client, table, &told.range).await?,
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
        ranges.push(sum(client, table, &range).await?);
    }
    Ok(Sums { position, ranges })
}

async fn sum(client: &Client, table: &Table, range: &Range) -> Result<RangeSum, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let (text, keys) = text_of(table, range)?;
    let prepared = client.prepare(&text).await.map_err(failed)?;
    let parameters: Vec<_> = keys.iter().map(Parameter).collect();
    let rows = client.query_raw(&prepared, parameters).await;
    let mut rows = pin!(rows.map_err(failed)?);
    let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
    let (mut hasher, mut count, mut cells) = (blake3::Hasher::new(), 0, Vec::new());
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        cells.clear();
        for value in values_of(&row, Some(&types))? {
            put_value(&mut cells, &value)?;
        }
        hasher.update(&cells);
        count += 1;
    }
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

/// The statement for a range, in the order of its key, and its parameters.
fn text_of(table: &Table, range: &Range) -> Result<(String, Vec<Value>), EngineError> {
    let name = |index: &usize| quoted_name(&table.columns[*index].name);
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let names: Vec<String> = all.iter().map(name).collect();
    let key: Vec<String> = table.key.iter().map(name).collect();
    let (mut terms, mut values): (Vec<String>, Vec<Value>) = (vec!["true".to_owned()], Vec::new());
    let bounds: [(&Option<Key>, &str); 2] = [(&range.after, ">"), (&range.through, "<=")];
    for (bound, than) in bounds {
        if let Some(bound) = bound {
            let first = values.len() + 1;
            values.extend(key_values_of(table, bound)?);
            let places: Vec<String> = (first..=values.len())
                .map(|place| format!("${place}"))
                .collect();
            let (key, places) = (key.join(", "), places.join(", "));
            terms.push(format!("ROW({key}) {than} ROW({places})"));
        }
    }
    let text = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {}",
        names.join(", "),
        quoted_name(&table.name),
        terms.join(" AND "),
        key.join(", ")
    );
    Ok((text, values))
}
