//! The tables of a database, as PostgreSQL's catalog tells them.

use std::collections::BTreeMap;

use gridmart_schemas::data::{Column, Position, Schema, SqlType, Table, Value};
use tokio_postgres::{Client, Error, Row};

use super::{
    failure::{When, failure},
    guards::PREFIX as GUARDS,
    quoted_name,
    run::row as values_of,
};
use crate::data::engine::EngineError;

/// Defaults that are read at a time.
const DEFAULTS_AT_ONCE: usize = 256;
/// What a type's bounds are told with more than they are.
const BOUNDS_OFFSET: i32 = 4;

const COLUMNS: &str = "SELECT c.relname::text, a.attname::text, a.atttypid, a.atttypmod,
        a.attnotnull, a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod),
        pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
        AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname COLLATE \"C\", a.attnum";

const KEYS: &str = "SELECT c.relname::text, i.relname::text, x.indisprimary,
        x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL,
        EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.oid),
        x.indkey::pg_catalog.int2[]
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
    ORDER BY c.relname COLLATE \"C\", i.relname COLLATE \"C\"";

/// Those of rules are others.
const VIEWS: &str = "SELECT c.relname::text FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'v'
        AND NOT pg_catalog.starts_with(c.relname::text, $1)
    ORDER BY c.relname COLLATE \"C\"";

/// A table as it is read: where each of PostgreSQL's columns stands.
#[derive(Default)]
struct Reading {
    table: Option<Table>,
    places: BTreeMap<i16, usize>,
}

/// Reads all tables, in the transaction that is open.
pub(super) async fn describe(client: &Client, position: Position) -> Result<Schema, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let columns = client.query(COLUMNS, &[]).await.map_err(failed)?;
    let keys = client.query(KEYS, &[]).await.map_err(failed)?;
    let mut tables: BTreeMap<String, Reading> = BTreeMap::new();
    let mut defaults = Vec::new();
    for row in &columns {
        let (table, column, default) = column_of(row)?;
        let reading = tables.entry(table.clone()).or_default();
        let found = reading.table.get_or_insert_with(|| empty(&table));
        let number: i16 = row.try_get(5).map_err(failed)?;
        reading.places.insert(number, found.columns.len());
        if let Some(default) = default {
            defaults.push((table, found.columns.len(), column.sql_type, default));
        }
        found.columns.push(column);
    }
    for row in &keys {
        let table: String = row.try_get(0).map_err(failed)?;
        if let Some(reading) = tables.get_mut(&table) {
            key_of(row, reading)?;
        }
    }
    for some in defaults.chunks(DEFAULTS_AT_ONCE) {
        defaults_read(client, some, &mut tables).await?;
    }
    let views = views(client).await.map_err(failed)?;
    let tables = tables.into_values().filter_map(|reading| reading.table);
    Ok(Schema {
        position,
        // One without a key was not made here.
        tables: tables.filter(|table| !table.key.is_empty()).collect(),
        views,
    })
}

/// Views, each with the definition that is all that it gives.
pub(super) async fn views(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let mut views = Vec::new();
    for row in &client.query(VIEWS, &[&GUARDS]).await? {
        let name: String = row.try_get(0)?;
        let text = format!("SELECT definition FROM public.{}", quoted_name(&name));
        let definition = client.query_one(&text, &[]).await?.try_get(0)?;
        views.push((name, definition));
    }
    Ok(views)
}

fn empty(name: &str) -> Table {
    Table {
        name: name.to_owned(),
        columns: Vec::new(),
        key: Vec::new(),
        has_sequence: false,
        has_row_id_key: false,
        unique_keys: Vec::new(),
        indexes: Vec::new(),
    }
}

/// The table's name, a column of it, and the expression of its default.
fn column_of(row: &Row) -> Result<(String, Column, Option<String>), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let (table, name): (String, String) = (
        row.try_get(0).map_err(failed)?,
        row.try_get(1).map_err(failed)?,
    );
    let (oid, bounds): (u32, i32) = (
        row.try_get(2).map_err(failed)?,
        row.try_get(3).map_err(failed)?,
    );
    let written: String = row.try_get(6).map_err(failed)?;
    let sql_type = type_of(oid, bounds).ok_or_else(|| EngineError::Damaged {
        why: format!("column {name:?} of table {table:?} has the type {written}, which gridmart does not know"),
    })?;
    let is_required: bool = row.try_get(4).map_err(failed)?;
    let default: Option<String> = row.try_get(7).map_err(failed)?;
    let default = default.map(|text| format!("CAST(({text}) AS {written})"));
    let column = Column {
        name,
        sql_type,
        is_nullable: !is_required,
        default: None,
    };
    Ok((table, column, default))
}

fn key_of(row: &Row, reading: &mut Reading) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let name: String = row.try_get(1).map_err(failed)?;
    let is_primary: bool = row.try_get(2).map_err(failed)?;
    let is_unique: bool = row.try_get(3).map_err(failed)?;
    let is_constraint: bool = row.try_get(4).map_err(failed)?;
    let numbers: Vec<i16> = row.try_get(5).map_err(failed)?;
    let places = numbers.iter().map(|number| reading.places.get(number));
    let places: Option<Vec<usize>> = places.map(Option::<&usize>::copied).collect();
    let (Some(table), Some(places)) = (&mut reading.table, places) else {
        return Ok(());
    };
    if is_primary {
        table.key = places;
    } else if is_unique {
        table.unique_keys.push(places);
    }
    if !is_constraint {
        table.indexes.push(name);
    }
    Ok(())
}

type Default = (String, usize, SqlType, String);

/// Has the server compute defaults, which are constants.
async fn defaults_read(
    client: &Client,
    defaults: &[Default],
    tables: &mut BTreeMap<String, Reading>,
) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let texts: Vec<&str> = defaults.iter().map(|(.., text)| text.as_str()).collect();
    let query = format!("SELECT {}", texts.join(", "));
    let prepared = client.prepare(&query).await.map_err(failed)?;
    let row = client.query_one(&prepared, &[]).await.map_err(failed)?;
    let types: Vec<SqlType> = defaults
        .iter()
        .map(|(_, _, sql_type, _)| *sql_type)
        .collect();
    let values = values_of(&row, Some(&types))?;
    for ((table, column, ..), value) in defaults.iter().zip(values) {
        let reading = tables.get_mut(table);
        let table = reading.and_then(|reading| reading.table.as_mut());
        if let Some(column) = table.and_then(|table| table.columns.get_mut(*column)) {
            column.default = Some(value).filter(|value| *value != Value::Null);
        }
    }
    Ok(())
}

/// A type by PostgreSQL's number and bounds.
fn type_of(oid: u32, bounds: i32) -> Option<SqlType> {
    let bounds = (bounds >= BOUNDS_OFFSET).then(|| (bounds - BOUNDS_OFFSET).unsigned_abs());
    Some(match oid {
        16 => SqlType::Bool,
        20 => SqlType::Int8,
        21 => SqlType::Int2,
        23 => SqlType::Int4,
        700 => SqlType::Float4,
        701 => SqlType::Float8,
        1700 => SqlType::Numeric(match bounds {
            None => None,
            Some(bounds) => {
                let (precision, scale) = (bounds >> 16, bounds & 0x7FF);
                Some((precision.try_into().ok()?, scale.try_into().ok()?))
            }
        }),
        25 => SqlType::Text,
        1043 => SqlType::Varchar(bounds),
        17 => SqlType::Bytea,
        1082 => SqlType::Date,
        1083 => SqlType::Time,
        1114 => SqlType::Timestamp,
        1184 => SqlType::TimestampTz,
        2950 => SqlType::Uuid,
        114 => SqlType::Json,
        3802 => SqlType::Jsonb,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_numbers_and_bounds() {
        assert_eq!(type_of(23, -1), Some(SqlType::Int4));
        assert_eq!(type_of(1700, -1), Some(SqlType::Numeric(None)));
        let bounds = (38 << 16) + 10 + 4;
        assert_eq!(
            type_of(1700, bounds),
            Some(SqlType::Numeric(Some((38, 10))))
        );
        assert_eq!(type_of(1043, 24), Some(SqlType::Varchar(Some(20))));
        assert_eq!(type_of(1042, 5), None, "character(1)");
    }
}
