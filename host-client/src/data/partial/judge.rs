//! Whether a row is among those of a filter: SQLite itself is asked, in memory.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::data::Table;
use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};

use super::Part;
use crate::data::engine::{
    Cancel, EngineError, StatementKind,
    sqlite::{Bound, Failure as _, Guard, OWN, create_table, open_in_memory, schema::quoted},
};

/// How long the condition of one row may take.
const CONDITION_TIME: Duration = Duration::from_secs(1);

/// A database in memory with a table for the row that is asked for.
pub(super) struct Judge {
    connection: Connection,
    guard: Arc<Guard>,
    /// Tables that are there, by name.
    tables: HashMap<String, Table>,
}

impl Judge {
    pub(super) fn new() -> Result<Self, EngineError> {
        let guard = Arc::new(Guard::default());
        Ok(Self {
            connection: open_in_memory(&guard)?,
            guard,
            tables: HashMap::new(),
        })
    }

    /// Whether the condition of a table can be asked at all.
    pub(super) fn require(&mut self, part: &Part<'_>) -> Result<(), EngineError> {
        let Some(condition) = &part.filter.rows else {
            return Ok(());
        };
        self.make(part.table)?;
        let _guarded = self.guard.permit(StatementKind::Read, bound());
        let asked = self
            .connection
            .prepare_cached(&question(part.table, condition));
        asked.map(drop).of_statement()
    }

    /// Whether a whole row is among those of the filter; no row is not.
    pub(super) fn is_among(
        &mut self,
        part: &Part<'_>,
        row: &[ValueRef<'_>],
    ) -> Result<bool, EngineError> {
        match &part.filter.rows {
            _ if row.is_empty() => Ok(false),
            None => Ok(true),
            Some(condition) => self.meets(part.table, condition, row),
        }
    }

    fn meets(
        &mut self,
        table: &Table,
        condition: &str,
        row: &[ValueRef<'_>],
    ) -> Result<bool, EngineError> {
        self.make(table)?;
        let name = quoted(&table.name);
        let own = |sql: String, row: &[ValueRef<'_>]| -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            for (index, value) in row.iter().enumerate() {
                statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(*value))?;
            }
            statement.raw_execute().map(drop)
        };
        let places = vec!["?"; row.len()].join(", ");
        own(format!("{OWN}DELETE FROM {name}"), &[]).during("asking for a row")?;
        own(format!("{OWN}INSERT INTO {name} VALUES ({places})"), row)
            .during("asking for a row")?;
        let _guarded = self.guard.permit(StatementKind::Read, bound());
        let asked = self.connection.prepare_cached(&question(table, condition));
        // What fails is not shown.
        Ok(asked
            .of_statement()?
            .query_row([], |row| row.get(0))
            .unwrap_or(false))
    }

    /// Makes a table; one of the same name that had other columns goes.
    fn make(&mut self, table: &Table) -> Result<(), EngineError> {
        if self.tables.get(&table.name) == Some(table) {
            return Ok(());
        }
        let make = format!(
            "DROP TABLE IF EXISTS {}; {}",
            quoted(&table.name),
            create_table(table)
        );
        self.connection
            .execute_batch(&make)
            .during("making a table for a filter")?;
        self.tables.insert(table.name.clone(), table.clone());
        Ok(())
    }
}

fn question(table: &Table, condition: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM {} WHERE ({condition}))",
        quoted(&table.name)
    )
}

fn bound() -> Bound {
    Bound {
        deadline: Instant::now() + CONDITION_TIME,
        cancel: Cancel::default(),
    }
}
