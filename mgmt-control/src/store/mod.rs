//! The controller's store: all SQL is in this folder, one file per noun.
//!
//! Invariants: those of [`gridmart_fabric::sqlite`]. Connections are used by the
//! catalogue's writer thread and by blocking tasks only, never by an async
//! thread.

pub(crate) mod application;
pub(crate) mod audit;
pub(crate) mod event;
pub(crate) mod history;
pub(crate) mod join_token;
pub(crate) mod node;
pub(crate) mod person;
pub(crate) mod record;
pub(crate) mod sql_session;
pub(crate) mod transfer;

use std::{path::Path, str::FromStr};

use gridmart_fabric::sqlite::{self, json, parsed, to_json, unreadable};
pub(crate) use gridmart_fabric::sqlite::{During, StoreError, open_reader};
use gridmart_schemas::wire::desired::Wish;
use rusqlite::{Connection, Row};
use time::OffsetDateTime;

/// One entry per schema version; only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_opening.sql"),
    include_str!("../../migrations/0002_job_report.sql"),
    include_str!("../../migrations/0003_transfer_record.sql"),
    include_str!("../../migrations/0004_sql_session_record.sql"),
    include_str!("../../migrations/0005_session.sql"),
    include_str!("../../migrations/0006_event.sql"),
    include_str!("../../migrations/0007_history.sql"),
];

/// Opens the database for the one writer, and brings its schema up to date.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    sqlite::open_writer(path, MIGRATIONS)
}

// === Values ===

/// Reads a nullable text column as one of our types.
fn parsed_option<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        text.parse()
            .map_err(|source| unreadable(row, column, Box::new(source)))
    })
    .transpose()
}

/// Reads seconds since 1970.
fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<OffsetDateTime> {
    let seconds: i64 = row.get(column)?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|source| unreadable(row, column, Box::new(source)))
}

/// Reads a count; SQLite's numbers are signed.
fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    Ok(number.cast_unsigned())
}

/// Writes a count; SQLite's numbers are signed.
const fn number(count: u64) -> i64 {
    count.cast_signed()
}

/// Reads the three columns of a wish.
fn wish(row: &Row<'_>) -> rusqlite::Result<Wish> {
    Ok(Wish {
        desired: parsed(row, "desired")?,
        generation: count(row, "generation")?,
        cut_epoch: count(row, "cut_epoch")?,
    })
}

// === Meta ===

/// Reads a value by key.
pub(crate) fn meta_get(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    use rusqlite::OptionalExtension as _;
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
        .during("meta_get")
}

/// Writes a value by key.
pub(crate) fn meta_put(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            [key, value],
        )
        .during("meta_put")
        .map(drop)
}

/// Reads a secret of 32 bytes by key; makes it if there is none.
pub(crate) fn secret_ensure(connection: &Connection, key: &str) -> Result<[u8; 32], StoreError> {
    let known = meta_get(connection, key)?.and_then(|text| blake3::Hash::from_hex(text).ok());
    if let Some(known) = known {
        return Ok(*known.as_bytes());
    }
    let made: [u8; 32] = rand::random();
    meta_put(
        connection,
        key,
        blake3::Hash::from_bytes(made).to_hex().as_str(),
    )?;
    Ok(made)
}

#[cfg(test)]
mod tests;
