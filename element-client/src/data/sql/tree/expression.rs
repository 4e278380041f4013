//! Expressions.

use std::sync::Arc;

use gridmart_schemas::data::SqlType;

use super::{Query, SortKey};
use crate::data::sql::{
    function::{AggregateFunction, Function, WindowFunction},
    types::BaseType,
};

/// A constant, in the canonical form of its type.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Literal {
    /// NULL
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A float; may be NaN.
    Float(f64),
    /// An exact numeric's digits.
    Numeric(String),
    /// A text, and every type that is kept as text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Which of a statement's tables, views or sub-queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::data::sql) struct RelationId(pub(in crate::data::sql) u32);

impl RelationId {
    /// The row that a rule is about.
    pub(in crate::data::sql) const ROW: Self = Self(u32::MAX);
    /// Rules count their own sub-queries from here, so that none of a statement's
    /// relations has the name of one.
    pub(in crate::data::sql) const OF_RULES: u32 = 1_000_000;
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct ColumnUse {
    pub(in crate::data::sql) relation: RelationId,
    pub(in crate::data::sql) index: usize,
    /// What the engine calls it.
    pub(in crate::data::sql) name: Arc<str>,
    /// Whether it is a mask that can tell of a row by being computed.
    pub(in crate::data::sql) telling: bool,
}

/// A value that the session gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::data::sql) enum Context {
    CurrentUser,
    Attribute(Arc<str>),
    /// When the transaction began, as timestamptz.
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Test {
    Null,
    True,
    False,
}

/// Why a value changes its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum CastMode {
    /// It is asked for, or nothing can be lost.
    Cast,
    /// It is put into a column: too long is an error, not cut.
    Assignment,
}

/// An expression and its type.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Expression {
    pub(in crate::data::sql) kind: Kind,
    pub(in crate::data::sql) sql_type: BaseType,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Kind {
    Literal(Literal),
    /// The user's `$n`, from zero.
    Parameter(usize),
    Context(Context),
    Column(ColumnUse),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Is {
        operand: Box<Expression>,
        test: Test,
        negated: bool,
    },
    /// Both sides have one type, as in all that compare.
    Compare {
        operator: Comparison,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Distinct {
        left: Box<Expression>,
        right: Box<Expression>,
        negated: bool,
    },
    Between {
        operand: Box<Expression>,
        low: Box<Expression>,
        high: Box<Expression>,
        negated: bool,
    },
    InList {
        operand: Box<Expression>,
        list: Vec<Expression>,
        negated: bool,
    },
    InQuery {
        operand: Box<Expression>,
        query: Box<Query>,
        negated: bool,
    },
    Exists {
        query: Box<Query>,
        negated: bool,
    },
    /// A sub-query's one value.
    Scalar(Box<Query>),
    /// Numbers of one type, which is the result's.
    Arithmetic {
        operator: Arithmetic,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Negate(Box<Expression>),
    Like {
        operand: Box<Expression>,
        pattern: Box<Expression>,
        escape: Option<Box<Expression>>,
        insensitive: bool,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expression>>,
        branches: Vec<(Expression, Expression)>,
        otherwise: Option<Box<Expression>>,
    },
    Coalesce(Vec<Expression>),
    NullIf {
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Extreme {
        greatest: bool,
        list: Vec<Expression>,
    },
    Cast {
        operand: Box<Expression>,
        to: SqlType,
        mode: CastMode,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Expression>,
    },
    Aggregate(Box<Aggregate>),
    Window(Box<Window>),
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Aggregate {
    pub(in crate::data::sql) function: &'static AggregateFunction,
    /// None for `count(*)`.
    pub(in crate::data::sql) arguments: Vec<Expression>,
    pub(in crate::data::sql) distinct: bool,
    pub(in crate::data::sql) order: Vec<SortKey>,
    pub(in crate::data::sql) filter: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum WindowCall {
    Aggregate(Aggregate),
    Function {
        function: &'static WindowFunction,
        arguments: Vec<Expression>,
    },
}

/// Frames that begin with the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum WindowFrame {
    /// What SQL takes if none is given: to the current row and its peers.
    Standard,
    RowsToCurrent,
    Whole,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) struct Window {
    pub(in crate::data::sql) call: WindowCall,
    pub(in crate::data::sql) partition: Vec<Expression>,
    pub(in crate::data::sql) order: Vec<SortKey>,
    pub(in crate::data::sql) frame: WindowFrame,
}

impl Expression {
    pub(in crate::data::sql) fn new(kind: Kind, sql_type: BaseType) -> Self {
        Self { kind, sql_type }
    }

    pub(in crate::data::sql) fn boolean(kind: Kind) -> Self {
        Self::new(kind, BaseType::Bool)
    }

    pub(in crate::data::sql) fn null(sql_type: BaseType) -> Self {
        Self::new(Kind::Literal(Literal::Null), sql_type)
    }

    /// Whether it is a literal or parameter whose type its place has to tell.
    pub(in crate::data::sql) fn is_open(&self) -> bool {
        self.sql_type == BaseType::Unknown
    }
}
