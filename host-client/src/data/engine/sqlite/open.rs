//! The one place where connections to databases are opened.
//!
//! Invariants: those of [`gridmart_fabric::sqlite`], and on every connection:
//! double-quoted strings are off, the schema is not trusted, nobody can damage
//! the file by SQL (defensive), nothing is attached, and a statement may do only
//! what its [`Guard`] permits.

use std::{path::Path, sync::Arc};

use gridmart_fabric::sqlite::{StoreError, functions, open_reader, open_writer};
use gridmart_schemas::data::VALUE_BYTES_MAX;
use rusqlite::{Connection, config::DbConfig, limits::Limit};

use super::{failure::Failure as _, guard::Guard};
use crate::data::{engine::EngineError, log::MIGRATIONS};

/// Bytes of a row, or of one entry of the log. A value may have a part of it.
pub(in crate::data) const RECORD_BYTES_MAX: usize = 8 * VALUE_BYTES_MAX;
/// Bytes of a statement that was emitted for one of 1 MiB.
const STATEMENT_BYTES_MAX: i32 = 8 * 1024 * 1024;
/// Parameters of a statement, as PostgreSQL's protocol has them.
const PARAMETERS_MAX: i32 = 65_535;
/// Nesting of expressions; deeper ones are refused, where they could overflow
/// the stack.
const DEPTH_MAX: i32 = 1_000;
/// Terms of a `UNION`.
const COMPOUND_MAX: i32 = 500;
/// Triggers that fire triggers.
const TRIGGER_DEPTH_MAX: i32 = 50;
/// Statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 256;
/// Memory for pages, as SQLite counts it: KiB, negative.
const WRITER_CACHE_KIB: i64 = -32_768;
const READER_CACHE_KIB: i64 = -4_096;
/// Pages of the write-ahead log after which a commit moves them into the file.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The write-ahead log is cut to this when it was larger.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Purpose {
    /// The core's one writer: constraints, triggers and foreign keys hold.
    Core,
    /// A shadow's one writer: what the core's triggers and foreign keys did comes
    /// through the log, so its own are off.
    Shadow,
    /// Reading beside either.
    Reader,
}

/// Opens a connection.
pub(in crate::data) fn open(
    path: &Path,
    purpose: Purpose,
    guard: &Arc<Guard>,
) -> Result<Connection, EngineError> {
    let opened = match purpose {
        Purpose::Core | Purpose::Shadow => open_writer(path, MIGRATIONS),
        Purpose::Reader => open_reader(path),
    };
    let mut connection = opened.map_err(|error| not_opened(&error))?;
    configure(&connection, purpose).during("configuring a connection")?;
    register_functions(&connection)?;
    guard.watch(&mut connection)?;
    Ok(connection)
}

/// Opens a database in memory that knows the same functions: to ask SQLite
/// something about a row.
pub(in crate::data) fn open_in_memory(guard: &Arc<Guard>) -> Result<Connection, EngineError> {
    let mut connection = Connection::open_in_memory().during("opening a database in memory")?;
    configure(&connection, Purpose::Shadow).during("configuring a connection")?;
    register_functions(&connection)?;
    guard.watch(&mut connection)?;
    Ok(connection)
}

/// Opens a connection that copies a whole database: it has to attach the copy,
/// which others may not.
pub(in crate::data) fn open_to_copy(path: &Path) -> Result<Connection, EngineError> {
    let connection = open_reader(path).map_err(|error| not_opened(&error))?;
    register_functions(&connection)?;
    Ok(connection)
}

fn not_opened(error: &StoreError) -> EngineError {
    EngineError::Storage {
        why: gridmart_fabric::causes::with_causes(error),
        is_full: false,
    }
}

fn configure(connection: &Connection, purpose: Purpose) -> rusqlite::Result<()> {
    let is_shadow = purpose == Purpose::Shadow;
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, !is_shadow),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, !is_shadow),
    ] {
        connection.set_db_config(setting, value)?;
    }
    if is_shadow {
        // They held on the core.
        connection.pragma_update(None, "ignore_check_constraints", true)?;
    }
    for (limit, value) in [
        (
            Limit::SQLITE_LIMIT_LENGTH,
            i32::try_from(RECORD_BYTES_MAX).unwrap_or(i32::MAX),
        ),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES_MAX),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, PARAMETERS_MAX),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, DEPTH_MAX),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, COMPOUND_MAX),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, TRIGGER_DEPTH_MAX),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    let cache = match purpose {
        Purpose::Reader => READER_CACHE_KIB,
        Purpose::Core | Purpose::Shadow => WRITER_CACHE_KIB,
    };
    connection.pragma_update(None, "cache_size", cache)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    if purpose != Purpose::Reader {
        connection
            .pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
        connection
            .pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    }
    Ok(())
}

/// Functions that emitted statements, views and indexes may call. They have to
/// be the same on core and shadows, deterministic and innocuous.
fn register_functions(connection: &Connection) -> Result<(), EngineError> {
    functions::register(connection).during("registering functions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_as_strict_as_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let guard = Arc::new(Guard::default());
        let connection = open(&path, Purpose::Core, &guard).unwrap();
        let pragma = |name: &str| -> i64 {
            connection
                .pragma_query_value(None, name, |row| row.get(0))
                .unwrap()
        };
        assert_eq!(pragma("synchronous"), 2, "FULL");
        assert_eq!(pragma("foreign_keys"), 1);
        assert_eq!(pragma("trusted_schema"), 0);
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
        assert!(connection.prepare("SELECT \"no such column\"").is_err());
        let defensive = connection
            .db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE)
            .unwrap();
        assert!(defensive);
        let shadow = open(&folder.path().join("shadow"), Purpose::Shadow, &guard).unwrap();
        for off in [
            DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
            DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
        ] {
            assert!(!shadow.db_config(off).unwrap());
        }
    }
}
