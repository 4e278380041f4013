//! How much a statement may hold. Each bound keeps the work for one statement in
//! proportion; none is near to what programs write.

/// Bytes of a statement's text.
pub const TEXT_MAX: usize = 1 << 20;

/// How deep expressions may be nested, counted on the words between two commas.
pub const DEPTH_MAX: usize = 4_000;

/// Parentheses inside of each other, sub-queries included.
pub const NESTING_MAX: usize = 50;

/// Names, values and operators of the bound tree.
pub const NODES_MAX: usize = 200_000;

/// Tables, views and sub-queries, those inside of views included.
pub const RELATIONS_MAX: usize = 64;

/// Columns of one result or one row of VALUES; PostgreSQL's own bound.
pub const COLUMNS_MAX: usize = 1_664;

/// Parameters of a statement: SQLite counts them in 15 bits.
pub const PARAMETERS_MAX: usize = 16_384;

/// Views inside of views.
pub const VIEWS_DEEP_MAX: usize = 8;

/// Bytes of the text that is run.
pub const EMITTED_MAX: usize = 8 << 20;

/// Bytes of a name, as in PostgreSQL.
pub const NAME_MAX: usize = 63;

/// The stack for a deep statement, and how much of it each level is given.
pub(in crate::data::sql) const STACK: usize = 64 << 20;
pub(in crate::data::sql) const STACK_PER_LEVEL: usize = 12 << 10;
/// What a flat statement takes of the caller's stack.
pub(in crate::data::sql) const STACK_FLAT: usize = 768 << 10;
