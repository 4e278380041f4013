//! The controller's store: all SQL is in this folder, one file per noun.
//!
//! Invariants: SQLite with WAL and `synchronous=FULL`, so a committed
//! transaction survives a crash; foreign keys hold; `user_version` counts the
//! migrations that were applied. Connections are used by the catalogue's
//! writer thread and by blocking tasks only, never by an async thread.

pub(crate) mod application;
pub(crate) mod audit;
pub(crate) mod join_token;
pub(crate) mod node;
pub(crate) mod person;
pub(crate) mod record;

use std::{path::Path, str::FromStr, time::Duration};

use gridmart_schemas::wire::desired::Wish;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, ffi};
use time::OffsetDateTime;

/// One entry per schema version; only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_opening.sql"),
    include_str!("../../migrations/0002_job_report.sql"),
];

/// How long a connection waits for another one's lock: readers never block the
/// writer under WAL, so only checkpoints and backups are ever waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Something went wrong with the controller's database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the database {path}: check the folder's owner and free space")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// A migration failed.
    #[error("cannot bring the database to schema version {version}; it is unchanged")]
    Migrate {
        /// The version that was wanted.
        version: usize,
        /// Why.
        source: rusqlite::Error,
    },
    /// The database was written by a newer program.
    #[error("the database has schema version {found}, this program knows {known}: update it")]
    Newer {
        /// What the file says.
        found: usize,
        /// What the program knows.
        known: usize,
    },
    /// A statement failed.
    #[error("database: {what} failed")]
    Query {
        /// Which operation.
        what: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
}

/// Says which operation a database error belongs to.
pub(crate) trait During<T> {
    /// Adds the name of the operation.
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Query { what, source })
    }
}

/// Opens the database for the one writer, and brings its schema up to date.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the database for reading beside the writer.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let configured = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(LOCK_WAIT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
            require_wal(&connection)?;
        }
        Ok(connection)
    };
    configured().map_err(|source| StoreError::Open {
        path: path.display().to_string(),
        source,
    })
}

/// Where WAL cannot be had, SQLite stays with another journal and says so only
/// if it is asked.
fn require_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let fault = ffi::Error::new(ffi::SQLITE_CANTOPEN);
    let why = format!("this disk allows no write-ahead log, only the journal mode {mode}");
    Err(rusqlite::Error::SqliteFailure(fault, Some(why)))
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .during("read of user_version")?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > MIGRATIONS.len() {
        return Err(StoreError::Newer {
            found,
            known: MIGRATIONS.len(),
        });
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(found) {
        let version = index + 1;
        apply(connection, sql, version)
            .map_err(|source| StoreError::Migrate { version, source })?;
        tracing::info!(version, "database schema is up to date");
    }
    Ok(())
}

fn apply(connection: &mut Connection, sql: &str, version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(
        None,
        "user_version",
        i64::try_from(version).unwrap_or(i64::MAX),
    )?;
    transaction.commit()
}

// === Values ===

/// Reads a text column as one of our types.
fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|source| unreadable(row, column, Box::new(source)))
}

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

/// Reads a JSON column.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|source| unreadable(row, column, Box::new(source)))
}

fn unreadable(
    row: &Row<'_>,
    column: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, source)
}

/// Writes a value as JSON; our types always can be.
fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|source| rusqlite::Error::ToSqlConversionFailure(Box::new(source)))
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

#[cfg(test)]
mod tests;
