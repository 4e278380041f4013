//! What tests of databases share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::data::{Entry, LogPoint, Value};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    check::{Sums, sum},
    engine::{
        Cancel, EngineError, Limits, Statement, StatementKind, Written,
        sqlite::{Allowance, Core, CoreSettings, Guard, Purpose, create, open, state_of},
    },
    log::{LogBounds, Pulled, Role, pull},
    shadow::Applier,
};

pub(super) fn rows(text: &str) -> Statement {
    Statement::new(StatementKind::Rows, text)
}

pub(super) fn schema(text: &str) -> Statement {
    Statement::new(StatementKind::Schema, text)
}

pub(super) fn reading(text: &str) -> Statement {
    Statement::new(StatementKind::Read, text)
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(super) fn allowance() -> Allowance {
    let limits = Limits {
        time: Duration::from_mins(1),
        ..Limits::default()
    };
    Allowance::new(limits, Cancel::default())
}

/// A core and a shadow of it, each a file.
pub(super) struct Pair {
    pub(super) folder: TempDir,
    pub(super) core: Core,
    pub(super) shadow: Applier,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::with(CoreSettings::default())
    }

    pub(super) fn with(settings: CoreSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (core, shadow) = (core_path(folder.path()), shadow_path(folder.path()));
        let database = Uuid::new_v4();
        create(&core, database, Role::Core).unwrap();
        create(&shadow, database, Role::Shadow).unwrap();
        Self {
            core: Core::open(&core, settings).unwrap(),
            shadow: Applier::open(&shadow, LogBounds::default()).unwrap(),
            folder,
        }
    }

    pub(super) fn write(&mut self, statement: &Statement) -> Result<Written, EngineError> {
        write(&mut self.core, statement)
    }

    /// Runs statements that each have to go well, each a transaction.
    pub(super) fn run(&mut self, statements: &[Statement]) {
        for statement in statements {
            let written = self.write(statement);
            assert!(written.is_ok(), "{statement:?}: {written:?}");
        }
    }

    /// The entries that the shadow misses.
    pub(super) fn missing(&self) -> Vec<Entry> {
        let told = self.shadow.history().unwrap();
        let core = reader(&core_path(self.folder.path()));
        let state = state_of(&core).unwrap();
        match pull(&core, &state, &told, u64::MAX).unwrap() {
            Pulled::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    /// Brings the shadow up to date; both are the same then.
    pub(super) fn catch_up(&mut self) -> LogPoint {
        let last = self.shadow.apply(&self.missing()).unwrap();
        assert_eq!(last, self.core.last());
        self.require_same();
        last
    }

    pub(super) fn require_same(&self) {
        let [core, shadow] = [core_path, shadow_path].map(|path| whole(&path(self.folder.path())));
        assert_eq!(core, shadow);
    }
}

pub(super) fn core_path(folder: &Path) -> PathBuf {
    folder.join("core")
}

pub(super) fn shadow_path(folder: &Path) -> PathBuf {
    folder.join("shadow")
}

pub(super) fn write(core: &mut Core, statement: &Statement) -> Result<Written, EngineError> {
    core.begin()?;
    let written = core.run_alone(statement, &mut allowance());
    match written {
        Ok(written) => {
            core.commit().unwrap();
            Ok(written)
        }
        Err(error) => {
            core.rollback();
            Err(error)
        }
    }
}

pub(super) fn reader(path: &Path) -> Connection {
    open(path, Purpose::Reader, &Arc::new(Guard::default())).unwrap()
}

/// All that counts of a database: sums of its tables, its schema, its counters.
pub(super) fn whole(path: &Path) -> (Sums, String, String) {
    let connection = reader(path);
    let list = |sql: &str| -> String {
        let mut statement = connection.prepare(sql).unwrap();
        let lines: rusqlite::Result<Vec<String>> =
            statement.query_map([], |row| row.get(0)).unwrap().collect();
        lines.unwrap().join("\n")
    };
    let schema = list(
        "--gridmart\nSELECT coalesce(sql, name) FROM sqlite_schema
         WHERE name NOT LIKE 'gridmart%' ORDER BY name",
    );
    let counters = if schema.contains("sqlite_sequence") {
        list("--gridmart\nSELECT name || seq FROM sqlite_sequence ORDER BY name")
    } else {
        String::new()
    };
    (sum(&connection, 10).unwrap(), schema, counters)
}

/// The first column of a query's rows, as text.
pub(super) fn column(path: &Path, sql: &str) -> Vec<String> {
    let connection = reader(path);
    let mut statement = connection.prepare(sql).unwrap();
    let values: rusqlite::Result<Vec<String>> = statement
        .query_map([], |row| {
            let value: rusqlite::types::Value = row.get(0)?;
            Ok(match value {
                rusqlite::types::Value::Null => "NULL".to_owned(),
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Real(number) => format!("{number:?}"),
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
            })
        })
        .unwrap()
        .collect();
    values.unwrap()
}
