//! What SQLite itself does in this process.

use std::{path::Path, time::Instant};

use rusqlite::{Connection, params};

use super::{super::sample::rate, ACCOUNTS};

/// As the Hosts open it, without their functions and their log.
fn open(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Point reads a second over a table of the same size, prepared.
pub(super) fn point_reads(count: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut connection = open(&folder.path().join("reads"))?;
    connection.execute_batch(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, branch INTEGER NOT NULL, \
         balance INTEGER NOT NULL, filler TEXT NOT NULL)",
    )?;
    let transaction = connection.transaction()?;
    let filler = "x".repeat(84);
    for id in 0..ACCOUNTS {
        transaction
            .prepare_cached("INSERT INTO accounts VALUES (?1, 1, 1, ?2)")?
            .execute(params![id, filler])?;
    }
    transaction.commit()?;
    let mut read = connection.prepare("SELECT balance, filler FROM accounts WHERE id = ?1")?;
    let began = Instant::now();
    for number in 0..count {
        let id = i64::try_from(number * 7919)? % i64::from(ACCOUNTS);
        let row: (i64, String) = read.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        std::hint::black_box(row);
    }
    Ok(rate(count, began.elapsed()))
}

/// Commits of one row a second, one after the other, each synced.
pub(super) fn commits(count: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let connection = open(&folder.path().join("commits"))?;
    connection.execute_batch("CREATE TABLE ledger (id INTEGER PRIMARY KEY, word TEXT NOT NULL)")?;
    let mut insert = connection.prepare("INSERT INTO ledger VALUES (?1, 'a word')")?;
    let began = Instant::now();
    for id in 0..i64::try_from(count)? {
        insert.execute([id])?;
    }
    Ok(rate(count, began.elapsed()))
}
