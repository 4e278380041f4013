//! Keeps the mirror at the server's heels: what logical decoding tells is taken, applied,
//! and only then given up at the server.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use gridmart_schemas::data::{Epoch, LogPoint, Position};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_postgres::{Client, Error};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BEYOND_ALL,
    changes::{Lsn, Message, PREFIX, Relation, read},
    failure::{When, failure},
    mirror::{Change, Mirror, Taken},
    pool::Pool,
    value::Raw,
};
use crate::data::{
    engine::{EngineError, sqlite::Readers},
    log::LogBounds,
};

/// Threads that read the mirror for shadows.
const READERS: usize = 2;
/// Without a word, the server's log is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure it is tried again after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes that are taken at a time; a transaction is taken whole.
const CHANGES_MAX: i32 = 8192;
/// A write is answered after so long although the mirror has not got it: it is committed.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The server does not have its log any more: it was told to keep no more, or restored.
const SLOT_GONE: &[&str] = &["42704", "55000"];
/// What others write to the server's log is given up by so many bytes.
const GIVEN_UP_BYTES: Lsn = 1024 * 1024;

/// Up to where the server's log is on its disk.
pub(super) const FLUSHED: &str =
    "SELECT (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::int8";

/// See the module.
pub(super) struct Log {
    mirror: Arc<Mutex<Mirror>>,
    pub(super) readers: Readers,
    last: watch::Sender<LogPoint>,
    /// Up to where the server's log was looked at.
    looked: watch::Sender<Lsn>,
    /// Up to where it was given up at the server.
    given_up: AtomicU64,
    wake: Notify,
    /// Why it cannot go on, if that is so.
    broken: Mutex<Option<String>>,
    _stopped: DropGuard,
}

impl Log {
    /// Opens the mirror of a copy and keeps it; `None`: the copy has none.
    pub(super) fn open(
        path: &Path,
        bounds: LogBounds,
        database: &str,
        makers: &Arc<Pool>,
    ) -> Result<Option<Arc<Self>>, EngineError> {
        let Some(mirror) = Mirror::open(path, bounds)? else {
            return Ok(None);
        };
        let stop = CancellationToken::new();
        let log = Arc::new(Self {
            last: watch::Sender::new(mirror.last()),
            looked: watch::Sender::new(mirror.lsn()),
            given_up: AtomicU64::new(0),
            mirror: Arc::new(Mutex::new(mirror)),
            readers: Readers::start(path, READERS)?,
            wake: Notify::new(),
            broken: Mutex::default(),
            _stopped: stop.clone().drop_guard(),
        });
        let keeping = keep(
            Arc::downgrade(&log),
            database.to_owned(),
            Arc::clone(makers),
        );
        tokio::spawn(stop.run_until_cancelled_owned(keeping));
        Ok(Some(log))
    }

    /// Its last entry.
    pub(super) fn last(&self) -> LogPoint {
        *self.last.borrow()
    }

    /// Tells of each entry.
    pub(super) fn watch(&self) -> watch::Receiver<LogPoint> {
        self.last.subscribe()
    }

    /// Waits until the mirror has what the server has up to there; gives its position.
    pub(super) async fn reach(&self, lsn: Lsn) -> Position {
        if self.broken().is_some() {
            return BEYOND_ALL;
        }
        self.wake.notify_one();
        let mut looked = self.looked.subscribe();
        let reached = looked.wait_for(|looked| *looked >= lsn);
        if tokio::time::timeout(WAIT_MAX, reached).await.is_ok() {
            return self.last().position;
        }
        tracing::warn!("a write is answered before shadows can be told of it");
        BEYOND_ALL
    }

    /// Applies nothing from here on; waits for what is being applied.
    pub(super) fn close(&self) {
        self.mirror.lock().is_closed = true;
    }

    /// All shadows have the log up to there.
    pub(super) fn confirm(&self, position: Position) {
        let mut mirror = self.mirror.lock();
        mirror.confirmed = mirror.confirmed.max(position);
    }

    /// Another core has taken over.
    pub(super) fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        self.mirror.lock().fence(newest)
    }

    /// Why it has to be made anew, if that is so.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }
}

async fn keep(log: std::sync::Weak<Log>, slot: String, makers: Arc<Pool>) {
    let mut complained: Option<Instant> = None;
    while let Some(log) = log.upgrade() {
        match take(&log, &slot, &makers).await {
            Ok(()) => {
                complained = None;
                let _ = tokio::time::timeout(LOOK_EVERY, log.wake.notified()).await;
            }
            Err(EngineError::Stopping) => return,
            Err(error) => {
                let is_lasting = match &error {
                    EngineError::Damaged { .. } | EngineError::Diverged { .. } => true,
                    EngineError::Refused { state, .. } => SLOT_GONE.contains(&state.0),
                    _ => false,
                };
                if complained.is_none_or(|since| since.elapsed() > Duration::from_mins(1)) {
                    tracing::error!(%error, "the log of a database on PostgreSQL cannot be followed");
                    complained = Some(Instant::now());
                }
                if is_lasting {
                    *log.broken.lock() = Some(error.to_string());
                    return;
                }
                drop(log);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Takes all that the server's log has.
async fn take(log: &Arc<Log>, slot: &str, makers: &Arc<Pool>) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let mut pooled = makers.take().await?;
    let client = &pooled.get()?.client;
    loop {
        let flushed: i64 = client
            .query_one(FLUSHED, &[])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed)?;
        let flushed = flushed.cast_unsigned();
        if *log.looked.borrow() == flushed {
            pooled.keep();
            return Ok(());
        }
        let (transactions, count) = peek(client, slot).await?;
        let end = transactions.last().map(|one| one.end);
        if end.is_some() {
            let mirror = Arc::clone(&log.mirror);
            let applied =
                tokio::task::spawn_blocking(move || mirror.lock().take(&transactions)).await;
            let last = applied.map_err(|error| EngineError::Internal(error.to_string()))??;
            log.last.send_replace(last);
        }
        let is_all = count < CHANGES_MAX;
        let through = end
            .unwrap_or_default()
            .max(if is_all { flushed } else { 0 });
        give_up(log, client, slot, through, end.is_some()).await?;
        if is_all {
            log.looked.send_if_modified(|looked| {
                let is_new = flushed > *looked;
                *looked = flushed.max(*looked);
                is_new
            });
            pooled.keep();
            return Ok(());
        }
    }
}

/// Lets the server forget what was taken, or is of others.
async fn give_up(
    log: &Log,
    client: &Client,
    slot: &str,
    through: Lsn,
    has_taken: bool,
) -> Result<(), EngineError> {
    let before = log.given_up.load(Ordering::Relaxed);
    if through <= before || (!has_taken && through - before < GIVEN_UP_BYTES) {
        return Ok(());
    }
    let text =
        "SELECT pg_catalog.pg_replication_slot_advance($1, $2::text::pg_catalog.pg_lsn)::text";
    let place = format!("{:X}/{:X}", through >> 32, through & 0xFFFF_FFFF);
    let given_up = client.query_one(text, &[&slot, &place]).await;
    given_up.map_err(|error| failure(&error, When::Undone, false))?;
    log.given_up.store(through, Ordering::Relaxed);
    Ok(())
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
    let (mut open, mut count) = (Taken::default(), 0);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        count += 1;
        let Raw(bytes) = row.try_get(0).map_err(failed)?;
        let message = read(bytes).ok_or_else(|| EngineError::Damaged {
            why: "the server's log tells something that cannot be read".to_owned(),
        })?;
        match message {
            Message::Begin => open = Taken::default(),
            Message::Commit(end, time) => {
                let changes = std::mem::take(&mut open.changes);
                transactions.push(Taken { changes, end, time });
            }
            Message::Relation(relation) => {
                relations.insert(relation.id, Arc::new(relation));
            }
            Message::Insert(id, new) => {
                let change = Change::Insert(of(&relations, id)?, new);
                open.changes.push(change);
            }
            Message::Update(id, old, new) => {
                let change = Change::Update(of(&relations, id)?, old, new);
                open.changes.push(change);
            }
            Message::Delete(id, old) => {
                let change = Change::Delete(of(&relations, id)?, old);
                open.changes.push(change);
            }
            Message::Told(text) => {
                let text = String::from_utf8(text).map_err(|_| EngineError::Damaged {
                    why: format!("a message of {PREFIX}'s in the server's log is no text"),
                })?;
                open.changes.push(Change::Schema(text));
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
