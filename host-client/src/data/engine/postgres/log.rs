//! Follows the server's log: what logical decoding tells is taken, applied to the mirror,
//! and only then given up at the server.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use gridmart_schemas::{
    data::{Table, Value},
    resource::enumeration::DataEngine,
};
use tokio_postgres::{Client, Error, types::Type};

use super::{
    changes::{Field, Lsn, Message, PREFIX, Relation, read},
    failure::{When, failure},
    pool::Pool,
    value::{Raw, read as value_of},
};
use crate::data::engine::{
    EngineError,
    mirror::{self, Change, LoggedRow, Source, unlike},
};

/// Changes that are taken at a time; a transaction is taken whole.
const CHANGES_MAX: i32 = 8192;
/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The server does not have its log any more: it was told to keep no more, or restored.
const SLOT_GONE: &[&str] = &["42704", "55000"];
/// What others write to the server's log is given up by so many bytes.
const GIVEN_UP_BYTES: u64 = 1024 * 1024;

type Log = mirror::Log<PgSource>;
type Taken = mirror::Taken<PgSource>;

/// The log of a database: a slot at the server.
pub(super) struct PgSource {
    slot: String,
    makers: Arc<Pool>,
    /// Up to where it was given up at the server.
    pub(super) given_up: AtomicU64,
}

/// A row of a table as it was told last.
#[derive(Debug)]
pub(super) struct PgRow(Arc<Relation>, Vec<Field>);

impl mirror::Place for Lsn {
    fn has(&self, other: &Self) -> bool {
        self >= other
    }
}

impl LoggedRow for PgRow {
    fn table(&self) -> &str {
        &self.0.name
    }

    fn values(&self, _: &Table, before: Option<&[Value]>) -> Result<Vec<Value>, EngineError> {
        let Self(relation, fields) = self;
        if fields.len() != relation.types.len() {
            return Err(unlike(&relation.name));
        }
        let values = fields.iter().zip(&relation.types).enumerate();
        let values = values.map(|(index, (field, oid))| match field {
            Field::Null => Ok(Value::Null),
            Field::Unchanged => {
                let before = before.and_then(|before| before.get(index)).cloned();
                before.ok_or_else(|| unlike(&relation.name))
            }
            Field::Value(bytes) => {
                let sql_type = Type::from_oid(*oid).ok_or_else(|| unlike(&relation.name))?;
                value_of(Some(&Raw(bytes)), &sql_type, None)
            }
        });
        values.collect()
    }
}

#[async_trait]
impl Source for PgSource {
    type Place = Lsn;
    type Row = PgRow;
    const NAME: &'static str = "PostgreSQL";
    const ENGINE: DataEngine = DataEngine::Postgresql;

    /// Takes all that the log has.
    async fn follow(&self, log: &Log) -> Result<(), EngineError> {
        let failed = |error: Error| failure(&error, When::Undone, false);
        let mut pooled = self.makers.take().await?;
        let client = &pooled.get()?.client;
        loop {
            let flushed = flushed(client).await.map_err(failed)?;
            if log.looked() == flushed {
                pooled.keep();
                return Ok(());
            }
            let (mut transactions, count) = peek(client, &self.slot).await?;
            let end = transactions.last().map(|one| one.end);
            let applied = log.applied()?;
            // What was not given up is told again.
            transactions.retain(|one| one.end > applied);
            log.apply(transactions).await?;
            let is_all = count < CHANGES_MAX;
            let all = if is_all { flushed } else { Lsn::default() };
            let through = end.unwrap_or_default().max(all);
            self.give_up(client, through, end.is_some()).await?;
            if is_all {
                log.look(flushed);
                pooled.keep();
                return Ok(());
            }
        }
    }

    fn is_gone(error: &EngineError) -> bool {
        matches!(error, EngineError::Refused { state, .. } if SLOT_GONE.contains(&state.0))
    }
}

impl PgSource {
    /// Of the database of that name, which is that of the slot as well.
    pub(super) fn new(database: &str, makers: &Arc<Pool>) -> Self {
        Self {
            slot: database.to_owned(),
            makers: Arc::clone(makers),
            given_up: AtomicU64::new(0),
        }
    }

    /// Lets the server forget what was taken, or is of others.
    async fn give_up(
        &self,
        client: &Client,
        through: Lsn,
        has_taken: bool,
    ) -> Result<(), EngineError> {
        let before = self.given_up.load(Ordering::Relaxed);
        if through.0 <= before || (!has_taken && through.0 - before < GIVEN_UP_BYTES) {
            return Ok(());
        }
        let text =
            "SELECT pg_catalog.pg_replication_slot_advance($1, $2::text::pg_catalog.pg_lsn)::text";
        let given_up = client
            .query_one(text, &[&self.slot, &through.to_string()])
            .await;
        given_up.map_err(|error| failure(&error, When::Undone, false))?;
        self.given_up.store(through.0, Ordering::Relaxed);
        Ok(())
    }
}

/// Up to where the server's log is on its disk.
pub(super) async fn flushed(client: &Client) -> Result<Lsn, Error> {
    let text = "SELECT (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::int8";
    let flushed: i64 = client.query_one(text, &[]).await?.try_get(0)?;
    Ok(Lsn(flushed.cast_unsigned()))
}

/// What the server's log has after what was given up: whole transactions.
async fn peek(client: &Client, slot: &str) -> Result<(Vec<Taken>, i32), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let text = "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, $2,
        'proto_version', '1', 'publication_names', 'gridmart', 'messages', 'true',
        'binary', 'true')";
    let prepared = client.prepare(text).await.map_err(failed)?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&slot, &CHANGES_MAX];
    let rows = client.query_raw(&prepared, parameters).await;
    let mut rows = std::pin::pin!(rows.map_err(failed)?);
    let mut transactions = Vec::new();
    let mut relations: HashMap<u32, Arc<Relation>> = HashMap::new();
    let (mut open, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        count += 1;
        let Raw(bytes) = row.try_get(0).map_err(failed)?;
        let message = read(bytes).ok_or_else(|| EngineError::Damaged {
            why: "the server's log tells something that cannot be read".to_owned(),
        })?;
        match message {
            Message::Begin => open = Vec::new(),
            Message::Commit(end, time) => {
                let changes = std::mem::take(&mut open);
                let time = time.saturating_add(EPOCH_MICROS);
                transactions.push(Taken { changes, end, time });
            }
            Message::Relation(relation) => {
                relations.insert(relation.id, Arc::new(relation));
            }
            Message::Insert(id, new) => {
                open.push(Change::Insert(PgRow(of(&relations, id)?, new)));
            }
            Message::Update(id, old, new) => {
                let relation = of(&relations, id)?;
                let old = PgRow(Arc::clone(&relation), old);
                open.push(Change::Update(old, PgRow(relation, new)));
            }
            Message::Delete(id, old) => {
                open.push(Change::Delete(PgRow(of(&relations, id)?, old)));
            }
            Message::Told(text) => {
                let text = String::from_utf8(text).map_err(|_| EngineError::Damaged {
                    why: format!("a message of {PREFIX}'s in the server's log is no text"),
                })?;
                open.push(Change::Schema(text));
            }
            Message::Other => {}
        }
    }
    Ok((transactions, count))
}

/// The table of a row, as it was told last.
fn of(relations: &HashMap<u32, Arc<Relation>>, id: u32) -> Result<Arc<Relation>, EngineError> {
    let found = relations.get(&id).map(Arc::clone);
    found.ok_or_else(|| EngineError::Damaged {
        why: "the server's log tells of a table that it has not named".to_owned(),
    })
}
