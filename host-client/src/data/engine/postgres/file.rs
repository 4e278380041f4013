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
    log::{Schemas, entries_after, whole_of},
};

/// Bytes of the log that are read at a time; one entry may be more.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// See the module.
pub(super) struct LogFile {
    path: PathBuf,
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
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            view: Arc::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
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
        self.look(|view| {
            if state_of(&view.file)?.last.position == Position::ZERO {
                return Ok(false);
            }
            match whole_of(&view.file, &DataEngine::Postgresql)? {
                Some(_) => Ok(true),
                None => Err(wordless()),
            }
        })
        .await
    }

    /// What follows a position; `None`: the log does not reach back so far.
    pub(super) async fn after(&self, last: LogPoint) -> Result<Option<Batch>, EngineError> {
        self.look(move |view| after(view, last)).await
    }
}

/// What a core's Host has to tell, and an older one does not.
pub(super) fn wordless() -> EngineError {
    EngineError::Unreachable {
        why: "its core's Host does not tell how PostgreSQL makes the tables: is that an older \
              version?"
            .to_owned(),
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
    let changes =
        format!("{OWN}SELECT EXISTS (SELECT 1 FROM gridmart_log WHERE position > ?1 AND kind = 2)");
    let changes: bool = transaction
        .query_row(&changes, [last.position.number()], |row| row.get(0))
        .during("looking for changes of a schema")?;
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
