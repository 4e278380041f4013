//! What SQLite needs in order to answer as PostgreSQL does: exact numerics,
//! checked integers, floats with NaN, text, dates, and aggregates over them,
//! registered on a connection under names that begin with `gridmart_`.
//!
//! Values are kept as the table of `gridmart_schemas::data::sqlite` says; `value`
//! reads and writes these forms. Numerics compare by the collation
//! `gridmart_numeric`; a NaN equals itself and sorts after every number.
//!
//! Invariants: nothing here panics, whatever a database file holds; every
//! function but `gridmart_require` is deterministic and innocuous; a NULL among
//! the arguments answers NULL unless the function says otherwise; what cannot be
//! answered is an error that carries PostgreSQL's SQLSTATE (`failure`). An error
//! may leave a statement half done: who runs statements rolls back to the
//! savepoint before it.

mod aggregate;
mod cast;
mod decimal;
mod document;
mod float;
mod moment;
mod number;
mod pattern;
mod scalar;
mod text;
pub mod value;

use rusqlite::Connection;

pub use self::{
    decimal::Decimal,
    document::jsonb,
    pattern::pattern_well_formed,
    scalar::{Failure, failure},
};

/// The collation by which canonical numerics compare as numbers.
pub const NUMERIC_COLLATION: &str = "gridmart_numeric";

/// The longest text or bytes that a function makes, in bytes.
pub const RESULT_MAX: usize = 16 << 20;

/// Registers all of them on a connection.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation(NUMERIC_COLLATION, decimal::compare_texts)?;
    number::register(connection)?;
    float::register(connection)?;
    cast::register(connection)?;
    text::register(connection)?;
    pattern::register(connection)?;
    moment::register(connection)?;
    aggregate::register(connection)
}

#[cfg(test)]
mod tests;
