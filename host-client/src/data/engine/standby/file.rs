//! The file of a shadow, read for its log, which is applied to the rows at the server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::{
    data::{Entry, LogPoint, Position},
    resource::enumeration::DataEngine,
};
use parking_lot::Mutex;
use rusqlite::Connection as File;

use crate::data::{
    engine::{
        EngineError,
        sqlite::{Failure as _, Guard, OWN, Purpose, open, state_of},
    },
    log::{Schemas, Whole, entries_after, whole_of, whole_put},
};

/// Bytes of the log that are read at a time; one entry may be more.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// See the module.
pub(in super::super) struct LogFile {
    path: PathBuf,
    /// Of the server that has the rows.
    engine: DataEngine,
    view: Arc<Mutex<Option<View>>>,
}

struct View {
    file: File,
    /// The schema as it was read last, and which version that is to SQLite.
    known: Option<(i64, Schemas)>,
}

/// Entries that follow each other, and the schemas that they were written under.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) schemas: Schemas,
}

impl LogFile {
    pub(super) fn of(path: &Path, engine: DataEngine) -> Self {
        Self {
            path: path.to_owned(),
            engine,
            view: Arc::default(),
        }
    }

    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn engine(&self) -> &DataEngine {
        &self.engine
    }

    /// Looks into it, on a thread that may block.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut View) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (path, view) = (self.path.clone(), Arc::clone(&self.view));
        let task = tokio::task::spawn_blocking(move || {
            let mut view = view.lock();
            let view = match &mut *view {
                Some(view) => view,
                none => none.insert(View {
                    file: open(&path, Purpose::Reader, &Arc::new(Guard::default()))?,
                    known: None,
                }),
            };
            look(view)
        });
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// Whether a core's snapshot has come, and tells how its tables are made.
    pub(super) async fn has_come(&self) -> Result<bool, EngineError> {
        let engine = self.engine.clone();
        self.look(move |view| {
            if state_of(&view.file)?.last.position == Position::ZERO {
                return Ok(false);
            }
            match whole_of(&view.file, &engine)? {
                Some(_) => Ok(true),
                None => Err(wordless(&engine)),
            }
        })
        .await
    }

    /// The schema is whole as this says at an entry, where it is known as older statements and
    /// changes. The file may have come further: then it is left as it is.
    pub(in super::super) async fn keep_whole(
        &self,
        whole: Whole,
        entry: LogPoint,
    ) -> Result<(), EngineError> {
        let (path, engine) = (self.path.clone(), self.engine.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut file = open(&path, Purpose::Shadow, &Arc::new(Guard::default()))?;
            let transaction = file
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                .during("keeping a schema in a server's words")?;
            if has_changes(&transaction, entry)? {
                return Ok(());
            }
            whole_put(&transaction, Some((&engine, &whole)))?;
            let kept = transaction.commit();
            kept.during("keeping a schema in a server's words")
        });
        task.await
            .map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// What follows a position; `None`: the log does not reach back so far.
    pub(super) async fn after(&self, last: LogPoint) -> Result<Option<Batch>, EngineError> {
        self.look(move |view| after(view, last)).await
    }
}

/// What a core's Host has to tell, and an older one does not.
pub(super) fn wordless(engine: &DataEngine) -> EngineError {
    EngineError::Unreachable {
        why: format!(
            "its core's Host does not tell how {engine} makes the tables: is that an older version?"
        ),
    }
}

fn after(view: &mut View, last: LogPoint) -> Result<Option<Batch>, EngineError> {
    let transaction = view.file.transaction().during("reading a shadow's log")?;
    let state = state_of(&transaction)?;
    if last.position < state.trimmed.position || last.position > state.last.position {
        return Ok(None);
    }
    let entries = entries_after(&transaction, last.position, BATCH_BYTES)?;
    let version: i64 = transaction
        .query_row(&format!("{OWN}PRAGMA schema_version"), [], |row| row.get(0))
        .during("reading the version of a schema")?;
    let changes = has_changes(&transaction, last)?;
    let schemas = match &view.known {
        Some((known, schemas)) if *known == version && !changes => schemas.clone(),
        _ => {
            let schemas = Schemas::of(&transaction, last.position)?;
            view.known = (!changes).then(|| (version, schemas.clone()));
            schemas
        }
    };
    Ok(Some(Batch { entries, schemas }))
}

/// Whether the schema is changed after an entry.
fn has_changes(view: &File, last: LogPoint) -> Result<bool, EngineError> {
    let sql =
        format!("{OWN}SELECT EXISTS (SELECT 1 FROM gridmart_log WHERE position > ?1 AND kind = 2)");
    let found = view.query_row(&sql, [last.position.number()], |row| row.get(0));
    found.during("looking for changes of a schema")
}
