//! Makes the mirror of a database: the server begins to keep its log for it, then its rows
//! are copied as they are at one place of that log.

use std::{fmt::Write as _, sync::atomic::Ordering, time::Duration};

use futures_util::TryStreamExt as _;
use gridmart_schemas::data::{Schema, SqlType};
use tokio_postgres::{Client, Error};

use super::{
    Base, LOCK_LIMIT,
    changes::Lsn,
    failure::{When, failure},
    guards::Making,
    log::flushed,
    quoted_name,
    run::row as values_of,
    schema,
    whole::whole,
};
use crate::data::{
    engine::{
        EngineError,
        mirror::{Begin, Index, Parts, fill},
    },
    home::Home,
    log::State,
};

/// Writes under way end within that when the copy begins; others wait meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Makes it, in the place of what the copy's folder has. As long as what it gives is held,
/// no schema changes.
pub(super) async fn make(base: &Base, home: &Home, old: &State) -> Result<Making, EngineError> {
    let mut pooled = base.writers.take().await?;
    let making = base.guards.making().await;
    let client = &pooled.get()?.client;
    let schema = schema::describe(client, old.last.position).await?;
    begin_log(client, &base.database, &schema).await?;
    base.seat.source.given_up.store(0, Ordering::Relaxed);
    let mut reading = base.readers.take().await?;
    let reader = &reading.get()?.client;
    let place = {
        let paused = tokio::time::timeout(PAUSE_MAX, base.commits.write()).await;
        let _paused = paused.map_err(|_| EngineError::Busy)?;
        view_begin(reader).await?
    };
    let indexes = indexes(reader).await?;
    let begin = Begin {
        place,
        whole: Some(whole(reader).await?),
    };
    fill(&base.seat, home, old, begin, async |parts: &mut Parts| {
        send(reader, schema, indexes, parts).await?;
        let ended = reader.batch_execute("COMMIT").await;
        ended.map_err(|error| failure(&error, When::Undone, false))
    })
    .await?;
    reading.keep();
    pooled.keep();
    Ok(making)
}

/// Has the server keep its log for this database, from now on.
pub(super) async fn begin_log(
    client: &Client,
    slot: &str,
    schema: &Schema,
) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    require_log(client).await?;
    let names: Vec<String> = schema
        .tables
        .iter()
        .map(|table| quoted_name(&table.name))
        .collect();
    let mut text = format!("BEGIN; {LOCK_LIMIT}; DROP PUBLICATION IF EXISTS gridmart; ");
    for name in &names {
        let _ = write!(text, "ALTER TABLE {name} REPLICA IDENTITY FULL; ");
    }
    text.push_str("CREATE PUBLICATION gridmart");
    if !names.is_empty() {
        let _ = write!(text, " FOR TABLE {}", names.join(", "));
    }
    text.push_str("; COMMIT");
    client.batch_execute(&text).await.map_err(failed)?;
    let drop = "SELECT pg_catalog.pg_drop_replication_slot(slot_name)
        FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
    client.execute(drop, &[&slot]).await.map_err(failed)?;
    let create = "SELECT FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')";
    client.execute(create, &[&slot]).await.map_err(failed)?;
    Ok(())
}

/// Whether the server can keep its log for shadows; else what an administrator has to do.
pub(super) async fn require_log(client: &Client) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let text = "SELECT pg_catalog.current_setting('wal_level') = 'logical', r.rolreplication,
        r.rolname::text FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let row = client.query_one(text, &[]).await.map_err(failed)?;
    let is_logical: bool = row.try_get(0).map_err(failed)?;
    let may_replicate: bool = row.try_get(1).map_err(failed)?;
    let account: String = row.try_get(2).map_err(failed)?;
    let mut lacks = Vec::new();
    if !is_logical {
        lacks.push("ALTER SYSTEM SET wal_level = 'logical' and a restart of the server".to_owned());
    }
    if !may_replicate {
        lacks.push(format!("ALTER ROLE {} REPLICATION", quoted_name(&account)));
    }
    if lacks.is_empty() {
        return Ok(());
    }
    Err(EngineError::Logless {
        need: lacks.join("; "),
    })
}

/// Begins a view; gives its place in the server's log.
async fn view_begin(reader: &Client) -> Result<Lsn, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    reader.batch_execute(begin).await.map_err(failed)?;
    flushed(reader).await.map_err(failed)
}

async fn indexes(reader: &Client) -> Result<Vec<Index>, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let text = "SELECT i.relname::text, c.relname::text,
            ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(x.indkey::pg_catalog.int2[])
                WITH ORDINALITY k (number, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
                ORDER BY k.place)
        FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
        JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.oid)";
    let rows = reader.query(text, &[]).await.map_err(failed)?;
    let indexes = rows.iter().map(|row| {
        Ok(Index {
            name: row.try_get(0)?,
            table: row.try_get(1)?,
            columns: row.try_get(2)?,
        })
    });
    indexes.collect::<Result<_, Error>>().map_err(failed)
}

async fn send(
    reader: &Client,
    schema: Schema,
    mut indexes: Vec<Index>,
    parts: &mut Parts,
) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    parts.views(schema.views).await?;
    for table in schema.tables {
        let names: Vec<String> = table
            .columns
            .iter()
            .map(|column| quoted_name(&column.name))
            .collect();
        let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
        let text = format!(
            "SELECT {} FROM {}",
            names.join(", "),
            quoted_name(&table.name)
        );
        let own = indexes
            .extract_if(.., |index| index.table == table.name)
            .collect();
        parts.table(table, own).await?;
        let prepared = reader.prepare(&text).await.map_err(failed)?;
        let rows = reader.query_raw(&prepared, Vec::<String>::new()).await;
        let mut rows = std::pin::pin!(rows.map_err(failed)?);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let row = values_of(&row, Some(&types))?;
            parts.row(row).await?;
        }
    }
    Ok(())
}
