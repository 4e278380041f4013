//! What the server roles' SQLite databases have in common: opening, migrations,
//! errors, our types as values.
//!
//! Invariants: WAL and `synchronous=FULL`, so a committed transaction survives
//! a crash; foreign keys hold; `user_version` counts the migrations that were
//! applied. Connections block: they are for a writer's own thread and for
//! blocking tasks only.

pub mod functions;
mod value;

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig, ffi};

pub use self::value::{json, parsed, to_json, unreadable};

/// How long a connection waits for another one's lock: readers never block the
/// writer under WAL, so only checkpoints, backups and snapshots are waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Something went wrong with a database.
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
pub trait During<T> {
    /// Adds the name of the operation.
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Query { what, source })
    }
}

/// Opens a database for its one writer, and brings its schema up to date: each
/// of `migrations` is one version, and they are only ever appended to. One
/// writer at a time is the caller's to keep (roles lock their data folder).
pub fn open_writer(path: &Path, migrations: &[&str]) -> Result<Connection, StoreError> {
    let mut connection = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// Opens a database for reading beside its writer.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let configured = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(LOCK_WAIT)?;
        // Otherwise a statement is planned anew each time that it is given other
        // values, which takes longer than to run it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
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

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .during("read of user_version")?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > migrations.len() {
        return Err(StoreError::Newer {
            found,
            known: migrations.len(),
        });
    }
    for (index, sql) in migrations.iter().enumerate().skip(found) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_whatever_values_they_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let schema = "CREATE TABLE a (x INTEGER PRIMARY KEY, y INTEGER, z INTEGER) STRICT;
                      CREATE INDEX a_y ON a (y) WHERE z = 1;";
        let store = open_writer(&folder.path().join("a.sqlite"), &[schema]).unwrap();
        let prepared = || store.prepare_cached("SELECT x FROM a WHERE y = ?1 AND z = ?2");
        for number in 0..10 {
            assert!(!prepared().unwrap().exists([number, number + 1]).unwrap());
        }
        let planned_again = prepared()
            .unwrap()
            .get_status(rusqlite::StatementStatus::RePrepare);
        assert_eq!(planned_again, 0);
    }

    #[test]
    fn a_disk_without_a_write_ahead_log_is_refused() {
        // A database in memory stands for it.
        let connection = Connection::open_in_memory().unwrap();
        let refusal = require_wal(&connection).unwrap_err();
        assert!(refusal.to_string().contains("write-ahead log"), "{refusal}");
    }

    #[test]
    fn a_failed_migration_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(
            apply(
                &mut connection,
                "CREATE TABLE a (x); CREATE TABLE b (nonsense",
                1
            )
            .is_err()
        );
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }
}
