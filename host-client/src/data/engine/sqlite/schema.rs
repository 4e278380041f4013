//! The tables of a SQLite database, and which ones may be made.

use gridmart_fabric::sqlite::functions::NUMERIC_COLLATION;
use gridmart_schemas::data::{Column, Position, Schema, SqlType, Table, Value, sqlite};
use rusqlite::{Connection, OptionalExtension as _};

use super::{failure::Failure as _, guard::OWN, guard::OWN_TABLES, types};
use crate::data::engine::{EngineError, SqlState};

/// Reads the schema; a table that cannot be replicated is refused by name.
pub(in crate::data) fn describe(
    connection: &Connection,
    position: Position,
) -> Result<Schema, EngineError> {
    let mut schema = Schema {
        position,
        ..Schema::default()
    };
    for object in objects(connection).during("reading the schema")? {
        if object.name.to_ascii_lowercase().starts_with(OWN_TABLES) {
            let message = format!(
                "{:?} is a name that only the engine's own tables have",
                object.name
            );
            return Err(EngineError::refused(SqlState::INVALID_TABLE, message));
        }
        if object.kind == "view" {
            let definition = definition(connection, &object.name)?;
            schema.views.push((object.name, definition));
        } else {
            schema.tables.push(table(connection, object)?);
        }
    }
    Ok(schema)
}

/// What a view is: the one value that it gives. Its statement is in the words of whoever
/// judges statements, who puts it in the place of its name; nobody reads it here.
fn definition(connection: &Connection, view: &str) -> Result<String, EngineError> {
    let sql = format!("{OWN}SELECT definition FROM {}", quoted(view));
    let read = connection.query_row(&sql, [], |row| row.get(0));
    read.map_err(|error| {
        let message = format!("view {view:?} has no definition that can be read: {error}");
        EngineError::refused(SqlState::INVALID_TABLE, message)
    })
}

struct Object {
    name: String,
    kind: String,
    sql: String,
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let sql = format!(
        "{OWN}SELECT name, type, coalesce(sql, '') FROM sqlite_schema
         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
           AND name NOT IN ('gridmart_state', 'gridmart_log', 'gridmart_epoch', 'gridmart_stream',
             'gridmart_words') ORDER BY name"
    );
    let mut statement = connection.prepare(&sql)?;
    let objects = statement.query_map([], |row| {
        Ok(Object {
            name: row.get(0)?,
            kind: row.get(1)?,
            sql: row.get(2)?,
        })
    })?;
    objects.collect()
}

/// A column as SQLite tells it.
struct Told {
    name: String,
    declared: String,
    is_not_null: bool,
    key_place: i64,
    is_hidden: bool,
    /// An expression, as the table's statement has it.
    default: Option<String>,
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Told>> {
    let sql = format!(
        "{OWN}SELECT name, type, \"notnull\", pk, hidden, dflt_value FROM pragma_table_xinfo(?1) ORDER BY cid"
    );
    let mut statement = connection.prepare(&sql)?;
    let columns = statement.query_map([table], |row| {
        let hidden: i64 = row.get(4)?;
        Ok(Told {
            name: row.get(0)?,
            declared: row.get(1)?,
            is_not_null: row.get(2)?,
            key_place: row.get(3)?,
            is_hidden: hidden != 0,
            default: row.get(5)?,
        })
    })?;
    columns.collect()
}

fn table(connection: &Connection, object: Object) -> Result<Table, EngineError> {
    let name = object.name;
    let told = columns(connection, &name).during("reading a table's columns")?;
    let (kind, is_without_row_id) = kind_of(connection, &name)?;
    let refuse = |why: String| {
        EngineError::refused(SqlState::INVALID_TABLE, format!("table {name:?} {why}"))
    };
    if kind != "table" {
        return Err(refuse(format!(
            "is of the kind {kind:?}, which has no place here"
        )));
    }
    let mut key: Vec<(i64, usize)> = Vec::new();
    for (index, column) in told.iter().enumerate() {
        if column.is_hidden {
            return Err(refuse(format!(
                "computes its column {:?}: let a view do it",
                column.name
            )));
        }
        if column.key_place > 0 {
            key.push((column.key_place, index));
        }
    }
    key.sort_unstable();
    let key: Vec<usize> = key.into_iter().map(|(_, index)| index).collect();
    if key.is_empty() {
        return Err(refuse(
            "has no primary key, and its rows could not be told apart on shadows: declare one"
                .to_owned(),
        ));
    }
    let has_row_id_key = !is_without_row_id && is_row_id(connection, &name)?;
    let nullable = key.iter().find(|index| !told[**index].is_not_null);
    if let Some(index) = nullable
        && !has_row_id_key
        && !is_without_row_id
    {
        let column = &told[*index].name;
        return Err(refuse(format!(
            "may hold NULL in its key: declare {column:?} NOT NULL"
        )));
    }
    let columns = told
        .into_iter()
        .map(|told| column(connection, told).map_err(&refuse))
        .collect::<Result<Vec<_>, _>>()?;
    let (unique_keys, indexes) =
        indexes(connection, &name, &columns).during("reading a table's indexes")?;
    Ok(Table {
        unique_keys,
        indexes,
        has_sequence: object.sql.to_ascii_uppercase().contains("AUTOINCREMENT"),
        name,
        columns,
        key,
        has_row_id_key,
    })
}

/// Unique keys besides the primary one, and names of indexes that were made by
/// statements of their own.
fn indexes(
    connection: &Connection,
    table: &str,
    columns: &[Column],
) -> rusqlite::Result<(Vec<Vec<usize>>, Vec<String>)> {
    let sql = format!(
        "{OWN}SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1) ORDER BY name"
    );
    let mut statement = connection.prepare(&sql)?;
    let told: Vec<(String, bool, String, bool)> = statement
        .query_map([table], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let (mut unique_keys, mut made) = (Vec::new(), Vec::new());
    for (index, is_unique, origin, is_partial) in told {
        if is_unique && !is_partial && origin != "pk" {
            let sql = format!("{OWN}SELECT name FROM pragma_index_info(?1) ORDER BY seqno");
            let mut statement = connection.prepare(&sql)?;
            let names: Vec<Option<String>> = statement
                .query_map([&index], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let place = |name: &Option<String>| {
                let name = name.as_deref()?;
                columns.iter().position(|column| column.name == name)
            };
            unique_keys.extend(names.iter().map(place).collect::<Option<Vec<_>>>());
        }
        if origin == "c" {
            made.push(index);
        }
    }
    Ok((unique_keys, made))
}

/// What a column gets by itself: the value of an expression that has no columns.
fn default(
    connection: &Connection,
    expression: &str,
    sql_type: SqlType,
) -> Result<Value, EngineError> {
    let sql = format!("{OWN}SELECT {expression}");
    let mut statement = connection.prepare(&sql).during("reading a default")?;
    let mut rows = statement.query([]).during("reading a default")?;
    let row = rows.next().during("reading a default")?;
    let stored = row.map(|row| row.get_ref(0)).transpose();
    let stored = stored.during("reading a default")?;
    stored.map_or(Ok(Value::Null), |stored| {
        types::read(stored, Some(sql_type))
    })
}

fn column(connection: &Connection, told: Told) -> Result<Column, String> {
    let sql_type: Option<SqlType> = sqlite::from_declaration(&told.declared);
    let sql_type = sql_type.ok_or_else(|| {
        format!(
            "declares column {:?} as {:?}, which is none of the known types",
            told.name, told.declared
        )
    })?;
    let default = told
        .default
        .map(|expression| default(connection, &expression, sql_type))
        .transpose()
        .map_err(|error| {
            format!(
                "has a default for column {:?} that cannot be read: {error}",
                told.name
            )
        })?;
    Ok(Column {
        default,
        is_nullable: !told.is_not_null && told.key_place == 0,
        name: told.name,
        sql_type,
    })
}

fn kind_of(connection: &Connection, table: &str) -> Result<(String, bool), EngineError> {
    let sql =
        format!("{OWN}SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1");
    connection
        .query_row(&sql, [table], |row| Ok((row.get(0)?, row.get(1)?)))
        .during("reading a table's kind")
}

/// Whether the key is SQLite's row id: then it has no index of its own.
fn is_row_id(connection: &Connection, table: &str) -> Result<bool, EngineError> {
    let sql = format!("{OWN}SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk'");
    let index: Option<i64> = connection
        .query_row(&sql, [table], |row| row.get(0))
        .optional()
        .during("reading a table's indexes")?;
    Ok(index.is_none())
}

/// The statement that makes a view, which gives its definition.
pub(in crate::data) fn create_view(name: &str, definition: &str) -> String {
    let definition = definition.replace('\'', "''");
    format!(
        "CREATE VIEW {} (definition) AS SELECT '{definition}'",
        quoted(name)
    )
}

/// The statement that makes a table with these columns and this key, and nothing
/// else.
pub(in crate::data) fn create_table(table: &Table) -> String {
    let mut terms: Vec<String> = Vec::new();
    for column in &table.columns {
        let declared = match (table.has_row_id_key, table.key.as_slice()) {
            (true, [key]) if table.columns[*key].name == column.name => "INTEGER".to_owned(),
            _ => sqlite::declaration(column.sql_type),
        };
        // So that keys are in the order that they have on the core.
        let collation = if matches!(column.sql_type, SqlType::Numeric(_)) {
            format!(" COLLATE {NUMERIC_COLLATION}")
        } else {
            String::new()
        };
        let not_null = if column.is_nullable { "" } else { " NOT NULL" };
        let name = quoted(&column.name);
        terms.push(format!("{name} {declared}{collation}{not_null}"));
    }
    let key: Vec<_> = table
        .key
        .iter()
        .map(|index| quoted(&table.columns[*index].name))
        .collect();
    terms.push(format!("PRIMARY KEY ({})", key.join(", ")));
    format!(
        "CREATE TABLE {} ({})",
        quoted(&table.name),
        terms.join(", ")
    )
}

/// A name as it stands in a statement.
pub(in crate::data) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
