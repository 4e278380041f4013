//! Queries.

use std::sync::Arc;

use super::{Expression, RelationId};
use crate::data::sql::{rules::Guard, types::BaseType};

/// A column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Output {
    pub(in crate::data::sql) name: String,
    pub(in crate::data::sql) sql_type: BaseType,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Query {
    pub(in crate::data::sql) commons: Vec<Common>,
    pub(in crate::data::sql) body: Body,
    pub(in crate::data::sql) order: Vec<SortKey>,
    pub(in crate::data::sql) limit: Option<Expression>,
    pub(in crate::data::sql) offset: Option<Expression>,
    pub(in crate::data::sql) outputs: Vec<Output>,
}

/// A query in WITH.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Common {
    pub(in crate::data::sql) id: RelationId,
    pub(in crate::data::sql) query: Query,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expression>>),
    Set {
        operation: SetOperation,
        left: Box<Query>,
        right: Box<Query>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum SetOperation {
    Union,
    UnionAll,
    Intersect,
    Except,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Select {
    pub(in crate::data::sql) distinct: bool,
    pub(in crate::data::sql) outputs: Vec<Expression>,
    pub(in crate::data::sql) from: Option<From>,
    pub(in crate::data::sql) filter: Option<Expression>,
    /// Whether rows are grouped: by GROUP BY, or into one by an aggregate.
    pub(in crate::data::sql) grouped: bool,
    pub(in crate::data::sql) group: Vec<Expression>,
    pub(in crate::data::sql) having: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum From {
    Relation(Relation),
    Join {
        kind: JoinKind,
        left: Box<From>,
        right: Box<From>,
        condition: Option<Expression>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Relation {
    pub(in crate::data::sql) id: RelationId,
    pub(in crate::data::sql) source: Source,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Source {
    Table(TableUse),
    Query {
        query: Box<Query>,
        /// What a rule says of a view's rows and columns.
        guard: Option<Arc<Guard>>,
    },
    Common(RelationId),
}

/// A table, and what the rules leave of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct TableUse {
    pub(in crate::data::sql) name: Arc<str>,
    pub(in crate::data::sql) guard: Option<Arc<Guard>>,
    /// The columns that are not hidden: positions and names.
    pub(in crate::data::sql) columns: Vec<(usize, Arc<str>)>,
}

/// A term of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct SortKey {
    pub(in crate::data::sql) term: SortTerm,
    pub(in crate::data::sql) descending: bool,
    pub(in crate::data::sql) nulls_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum SortTerm {
    /// The result's column, from zero, and its type.
    Output(usize, BaseType),
    Expression(Expression),
}

impl Query {
    /// Whether it gives at most one row, whatever the data.
    pub(in crate::data::sql) fn is_single(&self) -> bool {
        match &self.body {
            Body::Select(select) => {
                (select.grouped && select.group.is_empty()) || select.from.is_none()
            }
            Body::Values(rows) => rows.len() <= 1,
            Body::Set { .. } => false,
        }
    }
}
