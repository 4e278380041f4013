//! A shadow: a copy of a database that applies its core's log.
//!
//! Invariants: entries are applied in their order, each once; what readers see is
//! whole transactions; the position is written with what it tells of. What does
//! not fit is never made to fit: the shadow says that it has diverged, takes no
//! more, and is rebuilt from a snapshot.

mod kept;
mod row;

pub(in crate::data) use self::{kept::Shadow, row::RowApplier};

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::data::{Entry, EntryKind, EpochBegin, LogPoint, Position, Schema};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::{
    check::{RangeRows, Sums, replace, sum_same},
    engine::{
        Engine, EngineError, Limits, RowStream, Statement, Transaction, TransactionLimits, Written,
        sqlite::{
            Failure as _, Guard, OWN, Purpose, Readers, change_schema, described, open,
            schema::describe, state_of,
        },
    },
    log::{
        LogBounds, Pulled, Role, SchemaChange, State, entry_put, epoch_put, epochs,
        history::History, pull, sequence, state_put, trim, whole_change,
    },
};

/// Why entries were not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// They are not the next ones.
    #[error("entry {found} came where {expected} is the next: pull from there")]
    Gap {
        /// The next one.
        expected: Position,
        /// What came.
        found: Position,
    },
    /// They cannot be applied; if it has diverged, this says so.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What applies the log to a database. It blocks for the disk.
pub struct Applier {
    connection: Connection,
    schema: Schema,
    bounds: LogBounds,
    /// As committed.
    state: State,
    /// As it will be with the transaction that is open.
    pending: Option<State>,
    /// The copy is no shadow any more.
    retired: bool,
}

impl Applier {
    /// Opens a database that is a shadow.
    pub fn open(path: &Path, bounds: LogBounds) -> Result<Self, EngineError> {
        let connection = open(path, Purpose::Shadow, &Arc::new(Guard::default()))?;
        let state = state_of(&connection)?;
        if state.role != Role::Shadow {
            let why = "it is no shadow".to_owned();
            return Err(EngineError::ReadOnly { why });
        }
        let bounds = if state.partial.is_some() {
            forget(&connection).during("configuring a partial shadow")?;
            LogBounds {
                bytes_max: 0,
                bytes_kept: 0,
            }
        } else {
            bounds
        };
        Ok(Self {
            schema: describe(&connection, state.last.position)?,
            connection,
            bounds,
            state,
            pending: None,
            retired: false,
        })
    }

    /// The last entry of the last whole transaction.
    pub const fn last(&self) -> LogPoint {
        self.state.last
    }

    /// The entry that was taken last; its transaction may still be open.
    pub fn taken(&self) -> LogPoint {
        self.pending
            .as_ref()
            .map_or(self.state.last, |pending| pending.last)
    }

    /// What to tell the core, for the next entries: what was taken, the begins of
    /// epochs in a transaction that is open included.
    pub fn history(&self) -> Result<History, EngineError> {
        Ok(History {
            epochs: epochs(&self.connection)?,
            last: self.taken(),
        })
    }

    /// Applies entries: those that follow [`Self::taken`]. A transaction whose end
    /// is not among them stays open until the others come, and nobody sees it.
    /// After an error nothing of these entries holds, nor of a transaction that was
    /// open.
    pub fn apply(&mut self, entries: &[Entry]) -> Result<LogPoint, ShadowError> {
        let applied = self.try_apply(entries);
        if let Err(error) = &applied {
            self.take_back();
            if let ShadowError::Engine(EngineError::Diverged { why, .. }) = error {
                self.note_divergence(why);
            }
        }
        applied
    }

    /// Puts the core's rows of ranges that differ in the place of what is here, all
    /// or none; `false` if this copy is at another position by now: then sum again.
    /// What has diverged while entries were applied is rebuilt instead.
    pub fn repair(&mut self, ranges: &[RangeRows]) -> Result<bool, EngineError> {
        if self.pending.is_some() || self.retired {
            return Ok(false);
        }
        let transaction = self.connection.transaction().during("repairing a shadow")?;
        for range in ranges {
            if !replace(&transaction, range)? {
                return Ok(false);
            }
        }
        transaction.commit().during("repairing a shadow")?;
        Ok(true)
    }

    /// Applies nothing from here on: the copy becomes the core.
    pub fn retire(&mut self) {
        self.take_back();
        self.retired = true;
    }

    /// Takes no more entries until it is rebuilt from a snapshot.
    pub fn diverge(&mut self, why: &str) {
        self.take_back();
        self.note_divergence(why);
    }

    /// Forgets a transaction that is open: its core is to tell it again.
    pub fn take_back(&mut self) {
        self.pending = None;
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction of a shadow could not be taken back");
        }
        match describe(&self.connection, self.state.last.position) {
            Ok(schema) => self.schema = schema,
            Err(error) => tracing::error!(%error, "the schema of a shadow could not be read"),
        }
    }

    fn try_apply(&mut self, entries: &[Entry]) -> Result<LogPoint, ShadowError> {
        if self.retired {
            let why = "it is no shadow any more".to_owned();
            return Err(EngineError::ReadOnly { why }.into());
        }
        if let Some(why) = &self.state.diverged {
            return Err(EngineError::Diverged {
                position: self.state.last.position,
                why: why.clone(),
            }
            .into());
        }
        if entries.is_empty() {
            return Ok(self.state.last);
        }
        if self.pending.is_none() {
            let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
            begun.during("beginning to apply entries")?;
        }
        let mut pending = self.pending.take().unwrap_or_else(|| self.state.clone());
        apply_all(&self.connection, &mut self.schema, &mut pending, entries)?;
        if entries.last().is_none_or(|last| last.ends) {
            let confirmed = pending.last.position;
            trim(&self.connection, &mut pending, self.bounds, confirmed)?;
            state_put(&self.connection, &pending)?;
            let committed = self.connection.execute_batch("COMMIT");
            committed.during("committing entries")?;
            self.schema.position = pending.last.position;
            self.state = pending;
        } else {
            self.pending = Some(pending);
        }
        Ok(self.state.last)
    }

    fn note_divergence(&mut self, why: &str) {
        self.state.diverged = Some(why.to_owned());
        if let Err(error) = state_put(&self.connection, &self.state) {
            tracing::error!(%error, "that a shadow has diverged could not be noted");
        }
    }
}

/// Applies entries, in the transaction that is open, and keeps them in the log.
pub(in crate::data) fn apply_all(
    connection: &Connection,
    schema: &mut Schema,
    pending: &mut State,
    entries: &[Entry],
) -> Result<(), ShadowError> {
    let mut rest = entries;
    while !rest.is_empty() {
        // Statements for rows are prepared for one schema.
        let same = rest
            .iter()
            .position(|entry| entry.kind == EntryKind::Schema);
        let (rows, others) = rest.split_at(same.unwrap_or(rest.len()));
        let mut applier = RowApplier::new(connection, schema);
        for entry in rows {
            follow(connection, pending, entry)?;
            let result = match entry.kind {
                EntryKind::Sequence => apply_counters(connection, &entry.body),
                EntryKind::Rows | EntryKind::Schema => applier.apply(&entry.body),
            };
            result.map_err(|error| diverging(error, entry))?;
        }
        drop(applier);
        let Some((change, others)) = others.split_first() else {
            return Ok(());
        };
        follow(connection, pending, change)?;
        *schema = apply_schema(connection, change).map_err(|error| diverging(error, change))?;
        rest = others;
    }
    Ok(())
}

/// Keeps an entry in the shadow's own log, if it is the next one.
fn follow(connection: &Connection, pending: &mut State, entry: &Entry) -> Result<(), ShadowError> {
    let expected = pending.last.position.next();
    if entry.position != expected || entry.epoch < pending.last.epoch {
        return Err(ShadowError::Gap {
            expected,
            found: entry.position,
        });
    }
    if entry.epoch > pending.last.epoch {
        let begin = EpochBegin {
            epoch: entry.epoch,
            first: entry.position,
        };
        epoch_put(connection, begin)?;
        pending.epoch = pending.epoch.max(entry.epoch);
    }
    entry_put(connection, entry).during("keeping an entry")?;
    pending.last = entry.point();
    pending.log_bytes += entry.bytes();
    Ok(())
}

/// What is refused on a shadow was possible on its core: they differ.
fn diverging(error: EngineError, entry: &Entry) -> EngineError {
    match error {
        EngineError::Refused { message, .. } => EngineError::Diverged {
            position: entry.position.previous(),
            why: format!("entry {} does not apply: {message}", entry.position),
        },
        other => other,
    }
}

fn apply_schema(connection: &Connection, entry: &Entry) -> Result<Schema, EngineError> {
    let change = SchemaChange::decode(&entry.body).map_err(|error| EngineError::Damaged {
        why: format!("entry {} cannot be read: {error}", entry.position),
    })?;
    change_schema(connection, &change.statement)?;
    whole_change(connection, change.words.as_ref())?;
    describe(connection, entry.position)
}

fn apply_counters(connection: &Connection, body: &[u8]) -> Result<(), EngineError> {
    let counters = sequence::decode(body).map_err(|error| EngineError::Damaged {
        why: format!("counters cannot be read: {error}"),
    })?;
    for counter in counters {
        let table = &counter.table;
        let changed = match counter.highest {
            None => {
                let sql = format!("{OWN}DELETE FROM sqlite_sequence WHERE name = ?1");
                connection.execute(&sql, [table])
            }
            Some(highest) => {
                let sql = format!("{OWN}UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1");
                connection.execute(&sql, (table, highest)).and_then(|rows| {
                    let sql =
                        format!("{OWN}INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)");
                    if rows == 0 {
                        connection.execute(&sql, (table, highest))
                    } else {
                        Ok(rows)
                    }
                })
            }
        };
        changed.of_statement()?;
    }
    Ok(())
}

/// A shadow as an engine: reads, and applies what its caller brings.
pub struct SqliteShadow {
    readers: Readers,
    applier: Arc<Mutex<Applier>>,
    last: watch::Sender<LogPoint>,
}

impl SqliteShadow {
    /// Opens a database that is a shadow, with so many readers.
    pub fn open(path: &Path, bounds: LogBounds, readers: usize) -> Result<Self, EngineError> {
        let applier = Applier::open(path, bounds)?;
        Ok(Self {
            readers: Readers::start(path, readers)?,
            last: watch::Sender::new(applier.last()),
            applier: Arc::new(Mutex::new(applier)),
        })
    }

    /// Applies entries, as [`Applier::apply`] does.
    pub async fn apply(&self, entries: Vec<Entry>) -> Result<LogPoint, ShadowError> {
        let applier = Arc::clone(&self.applier);
        let task = tokio::task::spawn_blocking(move || applier.lock().apply(&entries));
        let last = task
            .await
            .map_err(|error| EngineError::Internal(error.to_string()))??;
        self.last
            .send_if_modified(|told| std::mem::replace(told, last) != last);
        Ok(last)
    }

    /// What to tell the core, for the next entries.
    pub async fn history(&self) -> Result<History, EngineError> {
        let applier = Arc::clone(&self.applier);
        let told = tokio::task::spawn_blocking(move || applier.lock().history()).await;
        told.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// Begins a view now, tells its position, and sums in it the ranges that the core
    /// will tell; `None` if it does not within the time.
    pub async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError> {
        let sums = move |view: &Connection| {
            let position = state_of(view)?.last.position;
            begun.send(position).map_err(|_| EngineError::Cancelled)?;
            let told = told.recv_timeout(time).ok();
            told.map(|told| sum_same(view, &told)).transpose()
        };
        self.readers.view(sums).await
    }

    /// Applies nothing from here on, as [`Applier::retire`] does; waits for what is
    /// being applied.
    pub fn retire(&self) {
        self.applier.lock().retire();
    }

    /// Takes no more entries, as [`Applier::diverge`] does.
    pub fn diverge(&self, why: &str) {
        self.applier.lock().diverge(why);
    }

    /// Sums the ranges that the core has told; they tell something only if this
    /// copy is at the same position.
    pub async fn sums_same(&self, told: Sums) -> Result<Sums, EngineError> {
        self.readers.view(move |view| sum_same(view, &told)).await
    }

    /// Puts the core's rows in the place of what differs, as [`Applier::repair`]
    /// does.
    pub async fn repair(&self, ranges: Vec<RangeRows>) -> Result<bool, EngineError> {
        let applier = Arc::clone(&self.applier);
        let repaired = tokio::task::spawn_blocking(move || applier.lock().repair(&ranges)).await;
        repaired.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// Answers another shadow, for when this one is promoted.
    pub async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError> {
        self.readers
            .view(move |view| pull(view, &state_of(view)?, &shadow, bytes_max))
            .await
    }

    /// What it knows of itself.
    pub async fn state(&self) -> Result<State, EngineError> {
        self.readers.view(state_of).await
    }

    /// Tells of each commit; who has written waits here until it can be read.
    pub fn watch(&self) -> watch::Receiver<LogPoint> {
        self.last.subscribe()
    }
}

/// Has what is deleted overwritten: a row that has left a partial shadow is not to be
/// found in its file. For the same reason such a shadow keeps no log, which nobody will
/// ask it for.
fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))
}

#[async_trait]
impl Engine for SqliteShadow {
    async fn describe(&self) -> Result<Schema, EngineError> {
        self.readers.view(described).await
    }

    async fn read(&self, statement: Statement, limits: Limits) -> Result<RowStream, EngineError> {
        self.readers.read(statement, limits).await
    }

    async fn write(&self, _: Statement, _: Limits) -> Result<Written, EngineError> {
        Err(EngineError::of_shadow())
    }

    async fn begin(&self, _: TransactionLimits) -> Result<Box<dyn Transaction>, EngineError> {
        Err(EngineError::of_shadow())
    }

    async fn begin_view(
        &self,
        limits: TransactionLimits,
    ) -> Result<Box<dyn Transaction>, EngineError> {
        self.readers.begin(limits).await
    }

    fn position(&self) -> LogPoint {
        *self.last.borrow()
    }
}

#[cfg(test)]
mod tests;
