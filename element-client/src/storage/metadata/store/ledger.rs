//! How far the store is, and the newest records of the log.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    During, StoreError,
    value::{Sql, own},
};
use crate::storage::metadata::position::{Entry, Epoch, Position};

/// How far the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct LedgerRow {
    /// Under which epoch is written: no record of an older one is adopted any
    /// more.
    pub(in super::super) epoch: Epoch,
    /// The last record that is applied.
    pub(in super::super) last: Position,
}

/// Reads how far the store is.
pub(in super::super) fn ledger(connection: &Connection) -> Result<LedgerRow, StoreError> {
    connection
        .prepare_cached("SELECT epoch, last_epoch, last_sequence FROM ledger")
        .and_then(|mut statement| {
            statement.query_row([], |row| {
                Ok(LedgerRow {
                    epoch: own(row, "epoch")?,
                    last: Position {
                        epoch: own(row, "last_epoch")?,
                        sequence: own(row, "last_sequence")?,
                    },
                })
            })
        })
        .during("ledger")
}

/// Writes under which epoch is written from now on.
pub(in super::super) fn epoch_put(connection: &Connection, epoch: Epoch) -> Result<(), StoreError> {
    connection
        .execute("UPDATE ledger SET epoch = ?1", [Sql(epoch)])
        .during("epoch_put")
        .map(drop)
}

/// Writes which record was applied last.
pub(in super::super) fn position_put(
    connection: &Connection,
    last: Position,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE ledger SET last_epoch = ?1, last_sequence = ?2")
        .and_then(|mut statement| statement.execute(params![Sql(last.epoch), Sql(last.sequence)]))
        .during("position_put")
        .map(drop)
}

/// Adds a record to the log.
pub(in super::super) fn log_insert(
    connection: &Connection,
    entry: &Entry,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO log (sequence, epoch, record) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| {
            statement.execute(params![
                Sql(entry.position.sequence),
                Sql(entry.position.epoch),
                &*entry.bytes
            ])
        })
        .during("log_insert")
        .map(drop)
}

/// Reads the records after a sequence, in order, until they have about so many
/// bytes; one at least if there is one.
pub(in super::super) fn entries_after(
    connection: &Connection,
    sequence: u64,
    bytes_max: usize,
) -> Result<Vec<Entry>, StoreError> {
    let read = || -> rusqlite::Result<Vec<Entry>> {
        let mut statement = connection.prepare_cached(
            "SELECT sequence, epoch, record FROM log WHERE sequence > ?1 ORDER BY sequence",
        )?;
        let mut rows = statement.query([Sql(sequence)])?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(row) = rows.next()?
        {
            let position = Position {
                epoch: own(row, "epoch")?,
                sequence: own(row, "sequence")?,
            };
            let record: Vec<u8> = row.get("record")?;
            bytes += record.len();
            entries.push(Entry {
                position,
                bytes: record.into(),
            });
        }
        Ok(entries)
    };
    read().during("entries_after")
}

/// Reads whose record is at a sequence; `None` if the log was cut there.
pub(in super::super) fn position_of(
    connection: &Connection,
    sequence: u64,
) -> Result<Option<Position>, StoreError> {
    if sequence == 0 {
        return Ok(Some(Position::START));
    }
    let last = ledger(connection)?.last;
    if sequence == last.sequence {
        return Ok(Some(last));
    }
    connection
        .prepare_cached("SELECT epoch FROM log WHERE sequence = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([Sql(sequence)], |row| own(row, "epoch"))
                .optional()
        })
        .during("position_of")
        .map(|epoch| epoch.map(|epoch| Position { epoch, sequence }))
}

/// Removes the records before a sequence. That one stays: a replica that is
/// there can be told from one that is elsewhere.
pub(in super::super) fn log_cut(connection: &Connection, through: u64) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM log WHERE sequence < ?1", [Sql(through)])
        .during("log_cut")
        .map(drop)
}

/// Counts the bytes of the log's records.
pub(in super::super) fn log_bytes(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row(
            "SELECT coalesce(sum(length(record)), 0) AS bytes FROM log",
            [],
            |row| own(row, "bytes"),
        )
        .during("log_bytes")
}
