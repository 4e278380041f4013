//! Makes the mirror of a database: the server begins to keep its log for it, then its rows
//! are copied as they are at one place of that log.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use futures_util::TryStreamExt as _;
use gridmart_schemas::data::{LogPoint, Row, Schema, SqlType, Table};
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Error};

use super::{
    Base, LOCK_LIMIT,
    failure::{When, failure},
    guards::Making,
    log::FLUSHED,
    mirror::lsn_put,
    quoted_name,
    run::row as values_of,
    schema,
};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{
            Failure as _, Guard, OWN, Purpose, create, create_table, open, schema::quoted,
            types::bind,
        },
    },
    home::Home,
    log::{Role, State, epoch_put, history::History, state_put},
};

/// Writes under way end within that when the copy begins; others wait meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Rows that travel to the file at a time, and batches of them that wait.
const BATCH_ROWS: usize = 500;
const BATCHES: usize = 4;

/// An index, as the mirror needs it to know what is dropped.
struct Index {
    name: String,
    table: String,
    columns: Vec<String>,
}

/// A part of the copy on its way to the file.
enum Part {
    Table(Table, Vec<Index>),
    Rows(Vec<Row>),
    End,
}

/// Makes it, in the place of what the copy's folder has. As long as what it gives is held,
/// no schema changes.
pub(super) async fn make(
    base: &Arc<Base>,
    home: &Home,
    old: &State,
) -> Result<Making, EngineError> {
    let mut pooled = base.writers.take().await?;
    let making = base.guards.making().await;
    let client = &pooled.get()?.client;
    let schema = schema::describe(client, old.last.position).await?;
    begin_log(client, &base.database, &schema).await?;
    let mut reading = base.readers.take().await?;
    let reader = &reading.get()?.client;
    let lsn = {
        let paused = tokio::time::timeout(PAUSE_MAX, base.commits.write()).await;
        let _paused = paused.map_err(|_| EngineError::Busy)?;
        view_begin(reader).await?
    };
    let indexes = indexes(reader).await?;
    let history = base.notes.history()?;
    let (number, path) = home.prepare()?;
    let (sender, receiver) = mpsc::channel(BATCHES);
    let (state, file) = (anew(old), path.clone());
    let writing =
        tokio::task::spawn_blocking(move || write(&file, &state, &history, lsn, receiver));
    let sent = send(reader, schema, indexes, sender).await;
    let written = writing.await;
    let written = written.map_err(|error| EngineError::Internal(error.to_string()))?;
    match (written, sent) {
        // It ends where nothing more is sent.
        (Err(EngineError::Stopping), Err(sent)) => Err(sent),
        (written, sent) => written.and(sent),
    }?;
    let ended = reader.batch_execute("COMMIT").await;
    ended.map_err(|error| failure(&error, When::Undone, false))?;
    reading.keep();
    pooled.keep();
    home.publish(number)?;
    base.notes.moved(path);
    Ok(making)
}

/// What a new mirror knows of itself: shadows of before begin anew.
fn anew(old: &State) -> State {
    let last = LogPoint {
        position: old.last.position.next(),
        epoch: old.epoch,
    };
    State {
        last,
        trimmed: last,
        log_bytes: 0,
        ..old.clone()
    }
}

/// Has the server keep its log for this database, from now on.
async fn begin_log(client: &Client, slot: &str, schema: &Schema) -> Result<(), EngineError> {
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
async fn view_begin(reader: &Client) -> Result<u64, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    reader.batch_execute(begin).await.map_err(failed)?;
    let row = reader.query_one(FLUSHED, &[]).await.map_err(failed)?;
    let lsn: i64 = row.try_get(0).map_err(failed)?;
    Ok(lsn.cast_unsigned())
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
    sender: mpsc::Sender<Part>,
) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let pass = async |part| sender.send(part).await.map_err(|_| EngineError::Stopping);
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
        pass(Part::Table(table, own)).await?;
        let prepared = reader.prepare(&text).await.map_err(failed)?;
        let rows = reader.query_raw(&prepared, Vec::<String>::new()).await;
        let mut rows = std::pin::pin!(rows.map_err(failed)?);
        let mut batch = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            batch.push(values_of(&row, Some(&types))?);
            if batch.len() >= BATCH_ROWS {
                pass(Part::Rows(std::mem::take(&mut batch))).await?;
            }
        }
        pass(Part::Rows(batch)).await?;
    }
    pass(Part::End).await
}

/// Writes the file; blocks for the disk.
fn write(
    path: &Path,
    state: &State,
    history: &History,
    lsn: u64,
    mut receiver: mpsc::Receiver<Part>,
) -> Result<(), EngineError> {
    create(path, state.database, Role::Core)?;
    let mut connection = open(path, Purpose::Shadow, &Arc::new(Guard::default()))?;
    let transaction = connection.transaction().during("making a mirror")?;
    let mut insert = String::new();
    loop {
        match receiver.blocking_recv() {
            None => return Err(EngineError::Stopping),
            Some(Part::End) => break,
            Some(Part::Table(table, indexes)) => {
                table_make(&transaction, &table, &indexes)?;
                let places = vec!["?"; table.columns.len()].join(", ");
                insert = format!("{OWN}INSERT INTO {} VALUES ({places})", quoted(&table.name));
            }
            Some(Part::Rows(rows)) => {
                let mut statement = transaction
                    .prepare_cached(&insert)
                    .during("filling a mirror")?;
                for row in rows {
                    let values: Result<Vec<_>, EngineError> = row.iter().map(bind).collect();
                    let filled = statement.execute(rusqlite::params_from_iter(values?));
                    filled.during("filling a mirror")?;
                }
            }
        }
    }
    for begin in &history.epochs {
        epoch_put(&transaction, *begin)?;
    }
    state_put(&transaction, state)?;
    lsn_put(&transaction, lsn)?;
    transaction.commit().during("making a mirror")?;
    connection
        .close()
        .map_err(|(_, error)| error)
        .during("closing a mirror")
}

fn table_make(
    transaction: &Connection,
    table: &Table,
    indexes: &[Index],
) -> Result<(), EngineError> {
    let made = transaction.execute_batch(&create_table(table));
    made.during("making a table of a mirror")?;
    for index in indexes {
        let columns: Vec<String> = index.columns.iter().map(|name| quoted(name)).collect();
        let text = format!(
            "CREATE INDEX {} ON {} ({})",
            quoted(&index.name),
            quoted(&table.name),
            columns.join(", ")
        );
        transaction
            .execute_batch(&text)
            .during("making an index of a mirror")?;
    }
    Ok(())
}
