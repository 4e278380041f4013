//! Rows of a shadow at the server, for sums.

use std::pin::pin;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use gridmart_schemas::data::{Row, SqlType, Table, Value};
use tokio_postgres::{Client, Error};

use super::{
    failure::{When, failure},
    quoted_name,
    run::row as values_of,
    value::Parameter,
};
use crate::data::{
    check::{Key, Range, key_values_of},
    engine::{EngineError, standby::Summed},
};

/// The view that is open on a connection.
pub(super) struct PgSummed<'c>(pub(super) &'c Client);

#[async_trait]
impl Summed for PgSummed<'_> {
    async fn each(
        &mut self,
        table: &Table,
        range: &Range,
        take: &mut (dyn FnMut(Row) -> Result<(), EngineError> + Send),
    ) -> Result<(), EngineError> {
        let failed = |error: Error| failure(&error, When::Undone, false);
        let (text, keys) = text_of(table, range)?;
        let prepared = self.0.prepare(&text).await.map_err(failed)?;
        let parameters: Vec<_> = keys.iter().map(Parameter).collect();
        let rows = self.0.query_raw(&prepared, parameters).await;
        let mut rows = pin!(rows.map_err(failed)?);
        let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            take(values_of(&row, Some(&types))?)?;
        }
        Ok(())
    }
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
