//! Statements.

use std::sync::Arc;

use super::{Expression, Output, Query, RelationId};
use crate::data::sql::{catalog::Table, rules::Guard};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Statement {
    Query(Box<Query>),
    Write(Box<Write>),
}

/// A change of rows. `target` is the row as it was; `new` is the row as it comes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Write {
    Insert(Box<Insert>),
    Update(Update),
    Delete(Delete),
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Insert {
    pub(in crate::data::sql) table: Arc<Table>,
    pub(in crate::data::sql) target: RelationId,
    pub(in crate::data::sql) guard: Option<Arc<Guard>>,
    /// Positions in the table.
    pub(in crate::data::sql) columns: Vec<usize>,
    /// Where the values come from, and under which name.
    pub(in crate::data::sql) source: Query,
    pub(in crate::data::sql) source_id: RelationId,
    /// The values, each made fit for its column, over the source's columns.
    pub(in crate::data::sql) values: Vec<Expression>,
    pub(in crate::data::sql) conflict: Option<Conflict>,
    pub(in crate::data::sql) returning: Vec<Expression>,
    pub(in crate::data::sql) outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Conflict {
    /// The unique columns meant; none: any.
    pub(in crate::data::sql) columns: Vec<usize>,
    pub(in crate::data::sql) action: ConflictAction,
    /// The name for the row that could not be inserted.
    pub(in crate::data::sql) excluded: RelationId,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum ConflictAction {
    Nothing,
    Update {
        assignments: Vec<Assignment>,
        filter: Option<Expression>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Assignment {
    pub(in crate::data::sql) column: usize,
    pub(in crate::data::sql) value: Expression,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Update {
    pub(in crate::data::sql) table: Arc<Table>,
    pub(in crate::data::sql) target: RelationId,
    pub(in crate::data::sql) guard: Option<Arc<Guard>>,
    pub(in crate::data::sql) assignments: Vec<Assignment>,
    pub(in crate::data::sql) filter: Option<Expression>,
    pub(in crate::data::sql) returning: Vec<Expression>,
    pub(in crate::data::sql) outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Delete {
    pub(in crate::data::sql) table: Arc<Table>,
    pub(in crate::data::sql) target: RelationId,
    pub(in crate::data::sql) guard: Option<Arc<Guard>>,
    pub(in crate::data::sql) filter: Option<Expression>,
    pub(in crate::data::sql) returning: Vec<Expression>,
    pub(in crate::data::sql) outputs: Vec<Output>,
}
