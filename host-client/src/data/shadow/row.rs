//! Applies changes of rows, each with a statement that finds the row only as the
//! log says that it was.

use std::fmt::Write as _;

use gridmart_schemas::data::{Schema, Table};
use rusqlite::{Connection, Statement, types::ToSqlOutput};

use crate::data::{
    engine::{
        EngineError, SqlState,
        sqlite::{Failure as _, schema::quoted},
    },
    log::changeset::{Cell, Change, Item, Operation, Reader, TableHead},
};

/// Statements kept for one table: one for each set of columns that is changed.
const STATEMENTS_MAX: usize = 256;

/// What applies rows as long as the schema stays.
pub(in crate::data) struct RowApplier<'c, 's> {
    connection: &'c Connection,
    schema: &'s Schema,
    tables: Vec<Target<'c, 's>>,
    /// The table that changes belong to now.
    current: Option<usize>,
}

/// A table that rows go to.
struct Target<'c, 's> {
    table: &'s Table,
    statements: Vec<(Shape, Statement<'c>)>,
    /// The one that was used last: changes that follow each other are often alike.
    last: usize,
}

/// Which cells a change has: what its statement looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    operation: Operation,
    cells: Vec<bool>,
}

impl<'c, 's> RowApplier<'c, 's> {
    pub(in crate::data) const fn new(connection: &'c Connection, schema: &'s Schema) -> Self {
        Self {
            connection,
            schema,
            tables: Vec::new(),
            current: None,
        }
    }

    /// Applies a changeset; what does not fit is refused.
    pub(in crate::data) fn apply(&mut self, changeset: &[u8]) -> Result<(), EngineError> {
        for item in Reader::new(changeset) {
            let item = item.map_err(|error| EngineError::Damaged {
                why: error.to_string(),
            })?;
            match item {
                Item::Table(head) => self.current = Some(self.target(&head)?),
                Item::Change(change) => {
                    let target = self.current.and_then(|index| self.tables.get_mut(index));
                    let target = target.ok_or_else(|| EngineError::Damaged {
                        why: "a change of a row belongs to no table".to_owned(),
                    })?;
                    target.apply(self.connection, &change)?;
                }
            }
        }
        Ok(())
    }

    fn target(&mut self, head: &TableHead<'_>) -> Result<usize, EngineError> {
        let known = self
            .tables
            .iter()
            .position(|target| target.table.name == head.name);
        if let Some(index) = known {
            return Ok(index);
        }
        let table = self
            .schema
            .table(head.name)
            .filter(|table| is_like(table, head));
        let table =
            table.ok_or_else(|| differs(head.name, "has other columns, or is not there"))?;
        self.tables.push(Target {
            table,
            statements: Vec::new(),
            last: 0,
        });
        Ok(self.tables.len() - 1)
    }
}

fn is_like(table: &Table, head: &TableHead<'_>) -> bool {
    let is_key = |(index, place): (usize, &u8)| table.is_key(index) == (*place > 0);
    table.columns.len() == head.key.len() && head.key.iter().enumerate().all(is_key)
}

fn differs(table: &str, why: &str) -> EngineError {
    EngineError::refused(SqlState::STATEMENT_FAILED, format!("table {table:?} {why}"))
}

impl<'c> Target<'c, '_> {
    fn apply(
        &mut self,
        connection: &'c Connection,
        change: &Change<'_>,
    ) -> Result<(), EngineError> {
        if change.changes_nothing() {
            return Ok(());
        }
        let statement = self.statement(connection, change)?;
        let set = change.new.iter().flatten();
        let was = change.old.iter().flatten();
        for (index, value) in set.chain(was).enumerate() {
            let value = ToSqlOutput::Borrowed(*value);
            statement
                .raw_bind_parameter(index + 1, value)
                .of_statement()?;
        }
        let changed = statement.raw_execute().of_statement()?;
        if changed == 1 {
            return Ok(());
        }
        Err(differs(
            &self.table.name,
            self.what_differs(connection, change)?,
        ))
    }

    /// The statement for changes of that shape, prepared if it is the first.
    fn statement(
        &mut self,
        connection: &'c Connection,
        change: &Change<'_>,
    ) -> Result<&mut Statement<'c>, EngineError> {
        let is_last = self
            .statements
            .get(self.last)
            .is_some_and(|(shape, _)| shape.is_of(change));
        if !is_last {
            let known = self
                .statements
                .iter()
                .position(|(shape, _)| shape.is_of(change));
            if known.is_none() && self.statements.len() >= STATEMENTS_MAX {
                self.statements.clear();
            }
            self.last = known.unwrap_or(self.statements.len());
        }
        if self.last == self.statements.len() {
            let prepared = connection
                .prepare(&sql(self.table, change))
                .of_statement()?;
            self.statements.push((Shape::of(change), prepared));
        }
        Ok(&mut self.statements[self.last].1)
    }

    fn what_differs(
        &self,
        connection: &Connection,
        change: &Change<'_>,
    ) -> Result<&'static str, EngineError> {
        let mut sql = format!("SELECT 1 FROM {} WHERE ", quoted(&self.table.name));
        let mut conditions = Vec::new();
        for index in &self.table.key {
            conditions.push(format!("{} = ?", quoted(&self.table.columns[*index].name)));
        }
        sql.push_str(&conditions.join(" AND "));
        let mut statement = connection.prepare(&sql).during("looking for a row")?;
        for (place, index) in self.table.key.iter().enumerate() {
            let value = change.old.get(*index).copied().flatten();
            let value = value.map(ToSqlOutput::Borrowed);
            statement
                .raw_bind_parameter(place + 1, value)
                .during("looking for a row")?;
        }
        let mut rows = statement.raw_query();
        let is_there = rows.next().during("looking for a row")?.is_some();
        Ok(if is_there {
            "has a row that is not as it was on the core"
        } else {
            "lacks a row that is changed"
        })
    }
}

impl Shape {
    fn of(change: &Change<'_>) -> Self {
        Self {
            operation: change.operation,
            cells: cells_of(change).collect(),
        }
    }

    fn is_of(&self, change: &Change<'_>) -> bool {
        self.operation == change.operation && cells_of(change).eq(self.cells.iter().copied())
    }
}

fn cells_of(change: &Change<'_>) -> impl Iterator<Item = bool> {
    change.new.iter().chain(&change.old).map(Option::is_some)
}

/// The statement for changes of this shape; its parameters are the new cells,
/// then the old ones.
fn sql(table: &Table, change: &Change<'_>) -> String {
    let name = quoted(&table.name);
    let mut parameter = 0;
    let mut terms = |cells: &[Cell<'_>], is_condition: bool| -> Vec<String> {
        let mut terms = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            if cells.get(index).is_some_and(Option::is_some) {
                parameter += 1;
                // A key is found by its index; others may be NULL.
                let is = if is_condition && !table.is_key(index) {
                    "IS"
                } else {
                    "="
                };
                terms.push(format!("{} {is} ?{parameter}", quoted(&column.name)));
            }
        }
        terms
    };
    match change.operation {
        Operation::Insert => {
            let mut sql = format!("INSERT INTO {name} VALUES (");
            for index in 1..=table.columns.len() {
                // Writing to a String cannot fail.
                let _ = write!(sql, "{}?{index}", if index > 1 { ", " } else { "" });
            }
            sql.push(')');
            sql
        }
        Operation::Delete => {
            format!(
                "DELETE FROM {name} WHERE {}",
                terms(&change.old, true).join(" AND ")
            )
        }
        Operation::Update => {
            let set = terms(&change.new, false).join(", ");
            let was = terms(&change.old, true).join(" AND ");
            format!("UPDATE {name} SET {set} WHERE {was}")
        }
    }
}
