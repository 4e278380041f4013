//! Counters of tables that give ascending keys: SQLite tells nobody when it
//! changes them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::data::{
    engine::{
        EngineError,
        sqlite::{failure::Failure as _, guard::OWN},
    },
    log::sequence::Counter,
};

/// The counters as they were committed, and as they were logged since.
#[derive(Debug, Default)]
pub(super) struct Counters {
    committed: BTreeMap<String, i64>,
    logged: BTreeMap<String, i64>,
}

impl Counters {
    pub(super) fn read(connection: &Connection) -> Result<Self, EngineError> {
        let committed = read(connection)?;
        Ok(Self {
            logged: committed.clone(),
            committed,
        })
    }

    /// Those that differ from what was logged last.
    pub(super) fn changed(&mut self, connection: &Connection) -> Result<Vec<Counter>, EngineError> {
        let now = read(connection)?;
        let changed = now
            .iter()
            .filter(|(table, highest)| self.logged.get(*table) != Some(highest));
        let mut counters: Vec<Counter> = changed
            .map(|(table, highest)| Counter {
                table: table.clone(),
                highest: Some(*highest),
            })
            .collect();
        let gone = self.logged.keys().filter(|table| !now.contains_key(*table));
        counters.extend(gone.map(|table| Counter {
            table: table.clone(),
            highest: None,
        }));
        self.logged = now;
        Ok(counters)
    }

    /// After a commit.
    pub(super) fn keep(&mut self) {
        if self.committed != self.logged {
            self.committed.clone_from(&self.logged);
        }
    }

    /// After a rollback.
    pub(super) fn forget(&mut self) {
        if self.committed != self.logged {
            self.logged.clone_from(&self.committed);
        }
    }
}

fn read(connection: &Connection) -> Result<BTreeMap<String, i64>, EngineError> {
    let exists = format!("{OWN}SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'");
    let table: Option<i64> = connection
        .prepare_cached(&exists)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .during("reading the counters")?;
    if table.is_none() {
        return Ok(BTreeMap::new());
    }
    let sql = format!("{OWN}SELECT name, seq FROM sqlite_sequence");
    let read = || -> rusqlite::Result<BTreeMap<String, i64>> {
        let mut statement = connection.prepare_cached(&sql)?;
        let counters = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        counters.collect()
    };
    read().during("reading the counters")
}
