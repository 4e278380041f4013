//! A core's one writer: runs statements, and logs each transaction in itself.
//! Everything here is synchronous and blocks for the disk.
//!
//! One transaction of SQLite holds one transaction of somebody's, or several
//! that have nothing to do with each other (a group): those are parted by
//! savepoints, and each has entries of its own.

mod counters;
mod room;
mod savepoints;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::{SystemTime, UNIX_EPOCH},
};

use gridmart_schemas::data::{Entry, EntryKind, Epoch, LogPoint, Position, Schema};
use rusqlite::Connection;

use self::{counters::Counters, room::LogRoom, savepoints::Savepoints};
use super::{
    capture::{CHANGESET_BYTES, Capture, OldRows},
    failure::{Failure as _, is_deferred_key, is_failed_sync, own_failure},
    guard::Guard,
    open::{Purpose, open},
    run::{Allowance, execute},
    schema::describe,
};
use crate::data::{
    engine::{EngineError, Statement, StatementKind, Written},
    log::{
        LogBounds, Role, SchemaChange, State, entry_ends, entry_put, sequence, state, state_put,
        trim,
    },
};

/// Commits between two looks at the log's bounds.
const COMMITS_PER_TRIM: u32 = 64;

/// How a core works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreSettings {
    /// How much of its log it keeps.
    pub log: LogBounds,
    /// How much of an old row it logs.
    pub old_rows: OldRows,
}

/// The writer of a core.
pub(in crate::data) struct Core {
    connection: Connection,
    guard: Arc<Guard>,
    capture: Capture,
    settings: CoreSettings,
    /// As committed.
    state: State,
    /// As it will be with the transaction that is open.
    pending: State,
    /// Where the open transaction of somebody's begins in the log.
    begin: Position,
    schema: Schema,
    schema_is_new: bool,
    counters: Counters,
    savepoints: Savepoints,
    /// All shadows have the log up to here.
    confirmed: Position,
    commits: u32,
    /// Told to others, and to people.
    room: LogRoom,
    in_doubt: Option<String>,
}

/// Why a group was not committed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data) enum CommitError {
    /// One of several transactions breaks a foreign key that is checked at the
    /// end: each has to be tried alone.
    DeferredKey,
    /// All of them failed.
    Failed(EngineError),
}

impl Core {
    /// Opens a database that is a core.
    pub(in crate::data) fn open(path: &Path, settings: CoreSettings) -> Result<Self, EngineError> {
        let guard = Arc::new(Guard::default());
        let mut connection = open(path, Purpose::Core, &guard)?;
        let state = state(&connection)?
            .filter(|state| state.role == Role::Core)
            .ok_or_else(|| EngineError::ReadOnly {
                why: "it is no core".to_owned(),
            })?;
        let capture = Capture::watch(&mut connection, settings.old_rows)?;
        let schema = describe(&connection, state.last.position)?;
        capture.learn(&schema);
        let counters = Counters::read(&connection)?;
        let room = LogRoom::new(settings.log, &state);
        Ok(Self {
            connection,
            guard,
            capture,
            settings,
            pending: state.clone(),
            begin: state.last.position,
            state,
            schema,
            schema_is_new: false,
            counters,
            savepoints: Savepoints::default(),
            confirmed: Position::ZERO,
            commits: 0,
            room,
            in_doubt: None,
        })
    }

    /// How much may be logged yet; it tells at all times.
    pub(in crate::data) fn room(&self) -> Arc<AtomicU64> {
        self.room.bytes()
    }

    /// The last entry that is committed.
    pub(in crate::data) const fn last(&self) -> LogPoint {
        self.state.last
    }

    /// Begins a transaction, or a group of them.
    pub(in crate::data) fn begin(&mut self) -> Result<(), EngineError> {
        if let Some(why) = &self.in_doubt {
            return Err(EngineError::InDoubt { why: why.clone() });
        }
        if let Some(newest) = self.state.fenced {
            return Err(EngineError::Fenced { newest });
        }
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .during("beginning a transaction")?;
        self.pending = self.state.clone();
        self.begin = self.state.last.position;
        self.capture.clear();
        self.savepoints.clear();
        Ok(())
    }

    /// Whether SQLite has taken back the whole transaction by itself, as it does
    /// where a statement that writes is interrupted, or the disk is full.
    pub(in crate::data) fn is_taken_back(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Runs a statement that is a transaction of its own, in a group.
    pub(in crate::data) fn run_alone(
        &mut self,
        statement: &Statement,
        allowance: &mut Allowance,
    ) -> Result<Written, EngineError> {
        self.begin = self.pending.last.position;
        let before = self.pending.clone();
        let run = self.within_savepoint(|core| {
            let written = core.run_statement(statement, allowance)?;
            core.end_entries()?;
            Ok(written)
        });
        match run {
            Ok(mut written) => {
                written.position = self.pending.last.position;
                Ok(written)
            }
            Err(error) => {
                self.pending = before;
                Err(error)
            }
        }
    }

    /// Runs a statement of a transaction that is open.
    pub(in crate::data) fn run(
        &mut self,
        statement: &Statement,
        allowance: &mut Allowance,
    ) -> Result<Written, EngineError> {
        if statement.kind == StatementKind::Schema {
            // Rows that were changed before are of the old schema, and stay if this
            // fails.
            self.flush(false)?;
        }
        let before = self.pending.clone();
        let run = self.within_savepoint(|core| core.run_statement(statement, allowance));
        if run.is_err() {
            self.pending = before;
        } else if self.capture.bytes() >= CHANGESET_BYTES {
            self.flush(false)?;
        }
        run
    }

    /// Ends the transaction that is open with its entries, and commits.
    pub(in crate::data) fn finish(&mut self) -> Result<Position, EngineError> {
        if let Err(error) = self.end_entries() {
            self.rollback();
            return Err(error);
        }
        match self.commit() {
            Ok(()) => Ok(self.state.last.position),
            Err(CommitError::Failed(error)) => Err(error),
            Err(CommitError::DeferredKey) => Err(EngineError::refused(
                crate::data::engine::SqlState::FOREIGN_KEY_VIOLATION,
                "a foreign key has no row at the end of the transaction",
            )),
        }
    }

    /// Commits all whose entries are ended.
    pub(in crate::data) fn commit(&mut self) -> Result<(), CommitError> {
        if let Err(error) = self.prepare_commit() {
            self.rollback();
            return Err(CommitError::Failed(error));
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                self.state = self.pending.clone();
                self.schema.position = self.state.last.position;
                self.schema_is_new = false;
                self.counters.keep();
                self.room.look(&self.state, self.confirmed);
                Ok(())
            }
            Err(error) if is_deferred_key(&error) => {
                self.rollback();
                Err(CommitError::DeferredKey)
            }
            Err(error) if is_failed_sync(&error) => {
                let why = error.to_string();
                self.rollback();
                self.in_doubt = Some(why.clone());
                Err(CommitError::Failed(EngineError::InDoubt { why }))
            }
            Err(error) => {
                self.rollback();
                Err(CommitError::Failed(own_failure(&error, "committing")))
            }
        }
    }

    fn prepare_commit(&mut self) -> Result<(), EngineError> {
        if self.pending == self.state {
            return Ok(());
        }
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_PER_TRIM) {
            trim(
                &self.connection,
                &mut self.pending,
                self.settings.log,
                self.confirmed,
            )?;
        }
        state_put(&self.connection, &self.pending)
    }

    /// Takes back the transaction that is open, if there is one.
    pub(in crate::data) fn rollback(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be taken back");
        }
        self.pending = self.state.clone();
        self.capture.clear();
        self.savepoints.clear();
        self.counters.forget();
        self.relearn();
        self.schema_is_new = false;
    }

    /// After a schema change was taken back.
    fn relearn(&mut self) {
        if !self.schema_is_new {
            return;
        }
        match describe(&self.connection, self.state.last.position) {
            Ok(schema) => {
                self.capture.learn(&schema);
                self.schema = schema;
            }
            Err(error) => {
                tracing::error!(%error, "the schema could not be read");
                self.in_doubt = Some(error.to_string());
            }
        }
    }

    fn within_savepoint<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let own = |connection: &Connection, sql: &str| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.raw_execute())
        };
        own(&self.connection, "--gridmart\nSAVEPOINT gridmart").during("setting a savepoint")?;
        let mark = self.capture.mark();
        let result = act(self);
        if result.is_err() {
            self.capture.rewind(&mark);
            if self.is_taken_back() {
                return result;
            }
            own(&self.connection, "--gridmart\nROLLBACK TO gridmart")
                .during("taking back a statement")?;
        }
        let released = own(&self.connection, "--gridmart\nRELEASE gridmart");
        released.during("releasing a savepoint")?;
        if result.is_err() {
            self.relearn();
        }
        result
    }

    fn run_statement(
        &mut self,
        statement: &Statement,
        allowance: &mut Allowance,
    ) -> Result<Written, EngineError> {
        let run = execute(&self.connection, &self.guard, statement, allowance);
        // What did not fit its column is the better answer.
        self.capture.verify()?;
        let outcome = run?;
        if statement.kind == StatementKind::Schema {
            self.log_schema(&statement.text)?;
        }
        Ok(Written {
            rows_changed: outcome.rows_changed,
            columns: outcome.columns,
            rows: outcome.rows,
            position: self.state.last.position,
        })
    }

    fn log_schema(&mut self, text: &str) -> Result<(), EngineError> {
        // Dropping a table may have changed rows of others.
        self.flush(false)?;
        self.schema_is_new = true;
        let schema = describe(&self.connection, self.state.last.position)?;
        self.capture.learn(&schema);
        let change = SchemaChange {
            statement: text.to_owned(),
            before: std::mem::replace(&mut self.schema, schema),
            words: None,
        };
        let body = change
            .encode()
            .map_err(|error| EngineError::Internal(error.to_string()))?;
        self.log(EntryKind::Schema, body, false)
    }

    /// Writes the last entries of a transaction, and marks its end.
    fn end_entries(&mut self) -> Result<(), EngineError> {
        let captured_counters = self.capture.touched_sequence();
        let changed = if captured_counters || self.schema_is_new {
            self.counters.changed(&self.connection)?
        } else {
            Vec::new()
        };
        self.flush(changed.is_empty())?;
        self.capture.clear();
        if !changed.is_empty() {
            let body = sequence::encode(&changed)
                .map_err(|error| EngineError::Internal(error.to_string()))?;
            return self.log(EntryKind::Sequence, body, true);
        }
        self.end_last()
    }

    /// If the last entry was written before it was known to be the last.
    fn end_last(&mut self) -> Result<(), EngineError> {
        if self.pending.last.position > self.begin && !self.savepoints.last_ends {
            entry_ends(&self.connection, self.pending.last.position)?;
            self.savepoints.last_ends = true;
        }
        Ok(())
    }

    /// Writes the changes of rows that are captured as entries; `ends`: the last one is
    /// the transaction's last.
    fn flush(&mut self, ends: bool) -> Result<(), EngineError> {
        let mut changesets = self.capture.take().into_iter().peekable();
        while let Some(changes) = changesets.next() {
            let is_last = changesets.peek().is_none();
            self.log(EntryKind::Rows, changes, ends && is_last)?;
        }
        Ok(())
    }

    fn log(&mut self, kind: EntryKind, body: Vec<u8>, ends: bool) -> Result<(), EngineError> {
        let entry = Entry {
            position: self.pending.last.position.next(),
            epoch: self.pending.epoch,
            time: now(),
            kind,
            ends,
            body,
        };
        entry_put(&self.connection, &entry).during("writing the log")?;
        self.pending.last = entry.point();
        self.pending.log_bytes += entry.bytes();
        self.savepoints.last_ends = ends;
        Ok(())
    }

    /// Sets a savepoint of the transaction that is open.
    pub(in crate::data) fn savepoint(&mut self, name: &str) -> Result<(), EngineError> {
        self.flush(false)?;
        self.savepoints.set(&self.connection, name, &self.pending)
    }

    /// Takes back what was done after a savepoint, which stays.
    pub(in crate::data) fn rollback_to(&mut self, name: &str) -> Result<(), EngineError> {
        self.pending = self.savepoints.rollback_to(&self.connection, name)?;
        self.capture.clear_rows();
        self.relearn();
        Ok(())
    }

    /// Forgets a savepoint; what was done stays.
    pub(in crate::data) fn release(&mut self, name: &str) -> Result<(), EngineError> {
        self.savepoints.release(&self.connection, name)
    }

    /// As if the disk had so many pages.
    #[cfg(test)]
    pub(in crate::data) fn pages_limit(&self, pages: i64) {
        let set =
            self.connection
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        assert!(set.is_ok(), "{set:?}");
    }

    /// All shadows have the log up to there.
    pub(in crate::data) fn confirm(&mut self, position: Position) {
        self.confirmed = self.confirmed.max(position);
    }

    /// Another core has taken over: no write from here on, after a restart
    /// neither.
    pub(in crate::data) fn fence(&mut self, newest: Epoch) -> Result<(), EngineError> {
        if newest <= self.state.epoch || self.state.fenced >= Some(newest) {
            return Ok(());
        }
        let mut fenced = self.state.clone();
        fenced.fenced = Some(newest);
        // Even if the disk refuses, this process writes no more.
        self.state.fenced = Some(newest);
        state_put(&self.connection, &fenced)
    }
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
