//! The words in which tiers speak of databases: types and values of SQL, tables,
//! and the log in which a core tells its shadows what it has done.
//!
//! The types, and how each engine stores them, stand in one table:
//! [`SqlType`] for their names, [`sqlite`] for SQLite.

mod bytes;
mod entry;
mod filter;
mod float;
mod moment;
mod numeric;
mod position;
mod script;
mod shown;
mod sql_type;
pub mod sqlite;
mod table;
mod text;
mod value;

pub use self::{
    entry::{Entry, EntryKind, EpochBegin, LogPoint},
    filter::{Filter, TableFilter},
    float::{Float4, Float8},
    moment::{SqlDate, SqlTime, Timestamp, TimestampTz},
    numeric::{NUMERIC_DIGITS_MAX, Numeric, NumericError},
    position::{Epoch, Position},
    script::{Script, ScriptStatement},
    sql_type::{SqlType, SqlTypeError},
    table::{Column, Schema, Table},
    value::{Row, VALUE_BYTES_MAX, Value},
};
