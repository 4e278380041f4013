//! The metadata's SQLite store: opening it, and all that is read from it. What
//! is written is in [`super::apply`].
//!
//! Invariants: WAL and `synchronous=FULL`, so a committed transaction survives a
//! crash; foreign keys hold; `user_version` counts the migrations that were
//! applied. Connections block: they are used by the writer's thread and by
//! blocking tasks only.

mod block;
mod bucket;
mod ledger;
mod listing;
mod object;
mod readers;
mod upload;
mod value;

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, ffi};

pub use self::{
    block::{BlockOnHost, Garbage, HostRow, RepairWanted},
    bucket::{AccessKey, Bucket},
    listing::{Listed, Listing, ListingRequest, Page, VersionListing},
    object::{Layout, LayoutStripe, ObjectVersion},
    readers::Readers,
    upload::{Part, PartsOf, Upload, UploadListing},
};
pub(super) use self::{
    upload::upload_part,
    value::{Sql, own, own_option, retention, to_json},
};

/// What is read from the store; each takes a connection of [`Readers`].
pub mod query {
    pub(in super::super) use super::ledger::{
        entries_after, epoch_put, ledger, log_cut, log_insert, position_of, position_put,
    };
    pub use super::{
        block::{blocks_on, garbage_page, hosts, repair_page, stripe, stripes_known},
        bucket::{
            access_key, access_keys_of, bucket, bucket_document, bucket_named, buckets, setting,
        },
        listing::{object_list, version_list},
        object::{layout, object_current, object_version},
        upload::{part_list, upload, upload_list},
    };
}

/// One entry per schema version; only ever appended to.
const MIGRATIONS: &[&str] = &[include_str!(
    "../../../../migrations/storage/0001_opening.sql"
)];

/// How long a connection waits for another one's lock: readers never block the
/// writer under WAL, so only checkpoints and snapshots are ever waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared: all that there are.
const STATEMENTS_KEPT: usize = 160;

/// Pages (of 4 KiB) that the writer keeps in memory, as SQLite counts it: KiB,
/// negative. The upper pages of the indexes of 100 million versions fit.
const CACHE_KIB: i64 = -65_536;

/// Something went wrong with the metadata's database.
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
pub(super) trait During<T> {
    /// Adds the name of the operation.
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Query { what, source })
    }
}

/// Opens the database for the one writer, and brings its schema up to date. One
/// at a time is the caller's to keep (an Element locks its data folder).
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the database for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let configured = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.busy_timeout(LOCK_WAIT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
            connection.pragma_update(None, "cache_size", CACHE_KIB)?;
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
        migration_apply(connection, sql, version)
            .map_err(|source| StoreError::Migrate { version, source })?;
        tracing::info!(version, "metadata schema is up to date");
    }
    Ok(())
}

fn migration_apply(connection: &mut Connection, sql: &str, version: usize) -> rusqlite::Result<()> {
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
mod tests;
