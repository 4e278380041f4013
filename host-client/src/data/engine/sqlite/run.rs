//! Runs a statement on a connection: binds, steps, reads.

use std::time::{Duration, Instant};

use gridmart_schemas::data::{Row, SqlType, Value};
use rusqlite::{
    Batch, CachedStatement, Connection, Rows, fallible_iterator::FallibleIterator as _,
};

use super::{
    failure::Failure as _,
    guard::{Bound, Guard, OWN},
    types,
};
use crate::data::engine::{Cancel, EngineError, Limits, SqlState, Statement, StatementKind, Tally};

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) rows_changed: u64,
}

/// The limits of one statement, counted down.
pub(in crate::data) struct Allowance {
    tally: Tally,
    pub(super) bound: Bound,
}

impl Allowance {
    pub(in crate::data) fn new(limits: Limits, cancel: Cancel) -> Self {
        Self {
            tally: Tally::new(limits),
            bound: Bound {
                deadline: Instant::now() + limits.time,
                cancel,
            },
        }
    }

    /// Counts a row; gives its bytes.
    pub(super) fn count(&mut self, row: &[Value]) -> Result<usize, EngineError> {
        self.tally.count(row)
    }

    /// The same error, or why the statement was interrupted.
    pub(super) fn explain(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::TimedOut(Duration::ZERO) if self.bound.cancel.is_cancelled() => {
                EngineError::Cancelled
            }
            EngineError::TimedOut(Duration::ZERO) => {
                EngineError::TimedOut(self.tally.limits().time)
            }
            other => other,
        }
    }
}

/// Runs a statement, of whatever kind, to its end.
pub(super) fn execute(
    connection: &Connection,
    guard: &Guard,
    statement: &Statement,
    allowance: &mut Allowance,
) -> Result<Outcome, EngineError> {
    let outcome = execute_bounded(connection, guard, statement, allowance);
    outcome.map_err(|error| allowance.explain(error))
}

fn execute_bounded(
    connection: &Connection,
    guard: &Guard,
    statement: &Statement,
    allowance: &mut Allowance,
) -> Result<Outcome, EngineError> {
    let _guarded = guard.permit(statement.kind, allowance.bound.clone());
    if statement.kind == StatementKind::Schema {
        require_foreign(&statement.text)?;
        // Not kept: what it was permitted to do must not stay prepared.
        change_schema(connection, &statement.text)?;
        return Ok(Outcome::default());
    }
    let mut prepared = prepare(connection, statement)?;
    let columns = names(&prepared);
    let types = types_of(statement, columns.len())?;
    let changes_rows = !prepared.readonly();
    let mut rows = Vec::new();
    let mut raw = prepared.raw_query();
    while let Some(row) = next_row(&mut raw, types)? {
        allowance.count(&row)?;
        rows.push(row);
    }
    drop(raw);
    Ok(Outcome {
        columns,
        rows,
        rows_changed: if changes_rows {
            connection.changes()
        } else {
            0
        },
    })
}

/// Changes the schema, by one statement or several that make one change.
pub(in crate::data) fn change_schema(
    connection: &Connection,
    text: &str,
) -> Result<(), EngineError> {
    let mut batch = Batch::new(connection, text);
    while let Some(mut statement) = batch.next().of_statement()? {
        statement.raw_execute().of_statement()?;
    }
    Ok(())
}

/// Prepares a statement that reads or changes rows, with its parameters. The
/// caller has permitted it.
pub(super) fn prepare<'c>(
    connection: &'c Connection,
    statement: &Statement,
) -> Result<CachedStatement<'c>, EngineError> {
    require_foreign(&statement.text)?;
    let mut prepared = connection.prepare_cached(&statement.text).of_statement()?;
    if prepared.parameter_count() != statement.parameters.len() {
        let message = format!(
            "the statement has {} parameters, and {} values came for them",
            prepared.parameter_count(),
            statement.parameters.len()
        );
        return Err(EngineError::refused(SqlState::PARAMETERS, message));
    }
    for (index, value) in statement.parameters.iter().enumerate() {
        let bound = types::bind(value)?;
        prepared
            .raw_bind_parameter(index + 1, bound)
            .of_statement()?;
    }
    Ok(prepared)
}

/// What is prepared under the engine's own rights is found again by its text.
fn require_foreign(text: &str) -> Result<(), EngineError> {
    if text.starts_with(OWN) {
        let message = "the statement begins as the engine's own do".to_owned();
        return Err(EngineError::refused(SqlState::SYNTAX_ERROR, message));
    }
    Ok(())
}

pub(super) fn names(prepared: &CachedStatement<'_>) -> Vec<String> {
    prepared.column_names().map(str::to_owned).collect()
}

pub(super) fn types_of(
    statement: &Statement,
    columns: usize,
) -> Result<Option<&[SqlType]>, EngineError> {
    let types = statement.columns.as_deref();
    match types {
        Some(types) if types.len() != columns => Err(EngineError::Internal(format!(
            "the result has {columns} columns, and {} types came for them",
            types.len()
        ))),
        types => Ok(types),
    }
}

/// The next row of a result.
pub(super) fn next_row(
    rows: &mut Rows<'_>,
    types: Option<&[SqlType]>,
) -> Result<Option<Row>, EngineError> {
    let Some(row) = rows.next().of_statement()? else {
        return Ok(None);
    };
    let columns = row.as_ref().column_count();
    let mut values = Vec::with_capacity(columns);
    for index in 0..columns {
        let stored = row.get_ref(index).of_statement()?;
        values.push(types::read(stored, types.map(|types| types[index]))?);
    }
    Ok(Some(values))
}
