//! The judge of SQL statements: what of PostgreSQL's SQL is spoken here, and what
//! each person's rules make of it.
//!
//! A statement is read by a parser (`parse`), bound against the schema through the
//! rules (`bind`) into a typed tree of our own (`tree`), and written anew for an
//! engine (`emit`); `judge` does all of it. Nothing here waits, reads or writes
//! anything: it is plain computation over data that is given.
//!
//! Invariants:
//! - What is not known is refused. Every struct of the parser is taken apart whole,
//!   functions and settings come from lists, and only what has a node in the tree
//!   can be written.
//! - Rules bind where a table is named: hidden columns are no names, masked columns
//!   are their masks everywhere, rows outside of the condition are not there, and
//!   nothing of the statement that could tell of them is computed before they are
//!   gone.
//! - No text of a user reaches an engine: names are the schema's, constants are
//!   written in canonical form or bound.
//! - What answers, answers as PostgreSQL does on every engine.
//!
//! What is left to who runs statements: a statement that fails is rolled back
//! whole; a session on PostgreSQL is set to UTC, has the settings `gridmart.user` and
//! `gridmart.attribute_NAME`, and its account owns none of them; databases there
//! have the collation C. A unique key tells whether a value is taken, and a foreign
//! key whether it is there, as with PostgreSQL's own row policies.

mod bind;
mod catalog;
mod command;
mod emit;
mod filter;
mod function;
mod judge;
pub mod limits;
mod parse;
mod refusal;
mod rules;
mod tree;
mod types;

#[cfg(test)]
mod tests;

pub(in crate::data) use self::bind::view_columns;
pub use self::{
    bind::{SETTINGS, constant, setting_of, shown_setting},
    catalog::{Catalog, Column, Entry, SchemaChange, Table, View, reserved},
    command::{Command, CopyOut, command},
    emit::GuardView,
    filter::filter_condition,
    judge::{Bound, Judged, Kind, Person, ResultColumn, Session, Transaction, judge},
    parse::{StatementText, Statements},
    refusal::Refusal,
    rules::{Mode, RuleError, RuleSet, Rules, TableRule},
    tree::Literal,
    types::{BaseType, Engine},
};
