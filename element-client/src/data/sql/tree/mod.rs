//! The bound tree: what a statement means, every name resolved and every
//! expression typed. Only what has a node here can reach an engine.

mod expression;
mod query;
mod statement;
mod walk;

pub use self::expression::Literal;
pub(in crate::data::sql) use self::walk::Part;
pub(in crate::data::sql) use self::{
    expression::{
        Aggregate, Arithmetic, CastMode, ColumnUse, Comparison, Context, Expression, Kind,
        RelationId, Test, Window, WindowCall, WindowFrame,
    },
    query::{
        Body, Common, From, JoinKind, Output, Query, Relation, Select, SetOperation, SortKey,
        SortTerm, Source, TableUse,
    },
    statement::{Assignment, Conflict, ConflictAction, Delete, Insert, Statement, Update, Write},
};
