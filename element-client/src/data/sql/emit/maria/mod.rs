//! MariaDB's words for what is bound.
//!
//! MariaDB takes no functions of ours, so that every construct is either written with
//! its own in a way that answers as PostgreSQL does, or is refused by its name. What
//! the session has to be: `sql_mode` with `ANSI_QUOTES`, `PIPES_AS_CONCAT`,
//! `NO_BACKSLASH_ESCAPES`, `STRICT_ALL_TABLES`, `ERROR_FOR_DIVISION_BY_ZERO` and
//! `SIMULTANEOUS_ASSIGNMENT`; notes off, the time zone `+00:00`, the collation
//! `utf8mb4_nopad_bin`, divisions with 30 more digits; and a statement with a single warning has failed: what
//! PostgreSQL raises, MariaDB answers with NULL and a warning where it reads
//! (a division by zero, a number out of its range). What has to fail of itself casts
//! `gridmart:CODE:` to a number, whose warning tells the code.
//!
//! Its derived tables are merged into what is around them, unless they end in a LIMIT:
//! so a guard that has to choose its rows first ends in one.

mod aggregate;
mod call;
mod cast;
mod expression;
mod numeric;
mod query;
mod quotient;
mod schema;
mod write;

use super::super::tree::{Expression, Kind};

pub(super) use self::{numeric::Shapes, schema::INDEX_COMMENT, write::EXCLUDED};

/// The largest LIMIT: no limit at all, but a table that is made before it is read.
pub(super) const NO_LIMIT: &str = " LIMIT 18446744073709551615";
/// Whether a text could become longer than MariaDB makes one: that fails there, and so
/// could tell of a row that is hidden.
pub(super) fn lengthens(expression: &Expression) -> bool {
    matches!(
        &expression.kind,
        Kind::Call { function, .. }
            if matches!(function.name, "concat" | "concat_ws" | "replace" | "repeat" | "lpad" | "rpad")
                || function.sqlite.starts_with("({0} ||")
    )
}

/// Where rows are compared and shown byte by byte.
const COLLATION: &str = "utf8mb4_nopad_bin";
