//! The statements that make a database's tables, indexes and foreign keys, as PostgreSQL's
//! catalog tells them: for shadows on servers.

use std::{collections::BTreeMap, fmt::Write as _};

use tokio_postgres::{Client, Error, Row};

use super::{
    failure::{When, failure},
    quoted_name, quoted_text,
    schema::views,
};
use crate::data::{engine::EngineError, log::Whole};

const COLUMNS: &str = "SELECT c.relname::text, a.attname::text,
        pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
        AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname COLLATE \"C\", a.attnum";

/// Foreign keys come after what they refer to.
const CONSTRAINTS: &str = "SELECT c.relname::text, k.conname::text,
        pg_catalog.pg_get_constraintdef(k.oid), k.contype = 'f'
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
        AND k.contype IN ('p', 'u', 'c', 'f')
    ORDER BY c.relname COLLATE \"C\", k.contype = 'f', k.contype = 'c', k.conname COLLATE \"C\"";

const INDEXES: &str = "SELECT pg_catalog.pg_get_indexdef(x.indexrelid)
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
    ORDER BY c.relname COLLATE \"C\", i.relname COLLATE \"C\"";

/// What the catalog adds to a key or check that old rows were not held to.
const UNCHECKED: &str = " NOT VALID";

/// Reads it, in the transaction that is open.
pub(super) async fn whole(client: &Client) -> Result<Whole, EngineError> {
    let read = async {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &client.query(COLUMNS, &[]).await? {
            let table = row.try_get(0)?;
            tables.entry(table).or_default().push(column(row)?);
        }
        let mut whole = Whole::default();
        for row in &client.query(CONSTRAINTS, &[]).await? {
            let (table, is_reference): (String, bool) = (row.try_get(0)?, row.try_get(3)?);
            let term = constraint(row)?;
            if is_reference {
                whole.references.push(adding(&table, &term));
            } else if let Some(terms) = tables.get_mut(&table) {
                terms.push(term);
            }
        }
        for row in &client.query(INDEXES, &[]).await? {
            whole.indexes.push(row.try_get(0)?);
        }
        let tables = tables.into_iter().map(|(name, terms)| {
            format!("CREATE TABLE {} ({})", quoted_name(&name), terms.join(", "))
        });
        whole.tables = tables.collect();
        for (name, definition) in views(client).await? {
            whole.tables.push(format!(
                "CREATE VIEW {} (definition) AS SELECT CAST({} AS text)",
                quoted_name(&name),
                quoted_text(&definition)
            ));
        }
        Ok::<_, Error>(whole)
    };
    let whole = read.await;
    whole.map_err(|error| failure(&error, When::Undone, false))
}

fn column(row: &Row) -> Result<String, Error> {
    let (name, of_type): (String, String) = (row.try_get(1)?, row.try_get(2)?);
    let (is_required, default): (bool, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
    let mut text = format!("{} {of_type}", quoted_name(&name));
    if let Some(default) = default {
        // Writing to a String cannot fail.
        let _ = write!(text, " DEFAULT {default}");
    }
    if is_required {
        text.push_str(" NOT NULL");
    }
    Ok(text)
}

/// A constraint as `CREATE TABLE` and `ADD` take it: its table first, then name and
/// definition.
pub(super) fn constraint(row: &Row) -> Result<String, Error> {
    let (name, definition): (String, String) = (row.try_get(1)?, row.try_get(2)?);
    let definition = definition.strip_suffix(UNCHECKED).unwrap_or(&definition);
    Ok(format!("CONSTRAINT {} {definition}", quoted_name(&name)))
}

/// The statement that adds a constraint.
pub(super) fn adding(table: &str, constraint: &str) -> String {
    format!("ALTER TABLE {} ADD {constraint}", quoted_name(table))
}
