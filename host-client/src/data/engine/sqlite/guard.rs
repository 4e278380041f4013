//! What a connection's statements may do, and for how long.
//!
//! Statements come judged and emitted anew; this is the second lock behind that:
//! SQLite asks it at each prepare. A statement that is prepared keeps what it was
//! permitted, so the engine's own statements begin with [`OWN`], which no other
//! may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

use super::failure::Failure as _;
use crate::data::engine::{Cancel, EngineError, StatementKind};

/// What the engine's own statements begin with.
pub(in crate::data) const OWN: &str = "--gridmart\n";
/// The names of the engine's own tables begin so.
pub(in crate::data) const OWN_TABLES: &str = "gridmart_";
/// Where SQLite keeps how far counters of keys are.
const SEQUENCES: &str = "sqlite_sequence";
/// Steps of SQLite's machine between two looks at the clock: some 50 µs.
const STEPS_PER_LOOK: i32 = 4_000;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Own = 0,
    Read = 1,
    Rows = 2,
    Schema = 3,
}

/// One connection's.
#[derive(Debug, Default)]
pub(in crate::data) struct Guard {
    mode: AtomicU8,
    bound: Mutex<Option<Bound>>,
    /// Ends whatever runs: the database goes down.
    stop: Cancel,
}

/// Until when a statement may run, and what ends it before.
#[derive(Clone, Debug)]
pub(in crate::data) struct Bound {
    pub(in crate::data) deadline: Instant,
    pub(in crate::data) cancel: Cancel,
}

/// As long as it lives, the connection's statements are somebody else's.
pub(in crate::data) struct Guarded<'a>(&'a Guard);

impl Guard {
    /// One whose statements end with the database.
    pub(super) fn until(stop: Cancel) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Has the connection ask it.
    pub(super) fn watch(self: &Arc<Self>, connection: &mut Connection) -> Result<(), EngineError> {
        let guard = Arc::clone(self);
        connection
            .authorizer(Some(move |context: AuthContext<'_>| guard.judge(&context)))
            .during("setting the authorizer")?;
        let guard = Arc::clone(self);
        connection
            .progress_handler(STEPS_PER_LOOK, Some(move || guard.is_over()))
            .during("setting the progress handler")
    }

    /// Lets a statement of that kind through, until the bound.
    pub(in crate::data) fn permit(&self, kind: StatementKind, bound: Bound) -> Guarded<'_> {
        let mode = match kind {
            StatementKind::Read => Mode::Read,
            StatementKind::Rows => Mode::Rows,
            StatementKind::Schema => Mode::Schema,
        };
        self.mode.store(mode as u8, Ordering::Release);
        *self.bound.lock() = Some(bound);
        Guarded(self)
    }

    fn is_over(&self) -> bool {
        let bound = self.bound.lock();
        bound.as_ref().is_some_and(|bound| {
            self.stop.is_cancelled()
                || bound.cancel.is_cancelled()
                || Instant::now() >= bound.deadline
        })
    }

    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let mode = self.mode.load(Ordering::Acquire);
        let is_permitted = match mode {
            mode if mode == Mode::Own as u8 => true,
            mode if mode == Mode::Read as u8 => may_read(&context.action),
            mode if mode == Mode::Rows as u8 => may_change_rows(&context.action),
            _ => may_change_schema(&context.action),
        };
        if is_permitted {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.0.mode.store(Mode::Own as u8, Ordering::Release);
        *self.0.bound.lock() = None;
    }
}

fn is_own(table: &str) -> bool {
    let begins = |name: &str| {
        let head = table.as_bytes().get(..name.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    };
    begins(OWN_TABLES) || begins("sqlite_")
}

fn may_read(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Read { table_name, .. } => !is_own(table_name),
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        _ => false,
    }
}

fn may_change_rows(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => !is_own(table_name),
        other => may_read(other),
    }
}

fn may_change_schema(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::CreateIndex {
            table_name,
            index_name,
        }
        | AuthAction::DropIndex {
            table_name,
            index_name,
        } => !is_own(table_name) && (!is_own(index_name) || is_automatic(index_name)),
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => {
            !is_own(view_name)
        }
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. } => {
            // SQLite makes that one with the first table that counts its keys.
            *table_name == SEQUENCES || !is_own(table_name)
        }
        AuthAction::Reindex { .. } => true,
        // What SQLite itself does to its tables for the statement. That no
        // statement of a person does is the first lock's, and `defensive`.
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => {
            !table_name.to_ascii_lowercase().starts_with(OWN_TABLES)
        }
        other => may_read(other),
    }
}

/// Indexes that SQLite makes for keys.
fn is_automatic(index: &str) -> bool {
    index.starts_with("sqlite_autoindex_")
}
