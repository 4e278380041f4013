//! Entries in the log's table.

use gridmart_schemas::data::{Entry, EntryKind, Epoch, LogPoint, Position};
use rusqlite::{Connection, Row, params};

use super::{
    history::{History, common},
    state::{State, epochs},
};
use crate::data::engine::{
    EngineError,
    sqlite::{Failure as _, OWN},
};

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Bytes that are kept for shadows that are away. What goes beyond is dropped,
    /// oldest first, whoever still misses it: those need a snapshot.
    pub bytes_max: u64,
    /// Bytes that are kept although every shadow has them: for a shadow that is
    /// promoted, and those that return to it.
    pub bytes_kept: u64,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self {
            bytes_max: 1024 * 1024 * 1024,
            bytes_kept: 64 * 1024 * 1024,
        }
    }
}

impl LogBounds {
    /// How many bytes may still be logged until a shadow that has all up to the
    /// log's begin needs a snapshot; none if it needs one now.
    pub const fn room(&self, state: &State) -> u64 {
        self.bytes_max.saturating_sub(state.log_bytes)
    }
}

/// What a shadow gets that asks for what is after its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// These, next to each other; none if it has all. The last may stand within a
    /// transaction.
    Entries(Vec<Entry>),
    /// They are not kept any more: it has to begin with a snapshot.
    SnapshotNeeded {
        /// The first that is kept.
        first: Position,
    },
    /// It has entries that this core has not.
    Parted {
        /// The last that both have.
        common: Position,
    },
}

fn kind_number(kind: EntryKind) -> i64 {
    match kind {
        EntryKind::Rows => 1,
        EntryKind::Schema => 2,
        EntryKind::Sequence => 3,
    }
}

fn kind_of(number: i64) -> rusqlite::Result<EntryKind> {
    match number {
        1 => Ok(EntryKind::Rows),
        2 => Ok(EntryKind::Schema),
        3 => Ok(EntryKind::Sequence),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    }
}

/// Adds an entry, in the caller's transaction.
pub(in crate::data) fn entry_put(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    const SQL: &str = "--gridmart\nINSERT INTO gridmart_log VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(SQL)?.execute(params![
        entry.position.number(),
        entry.epoch.number(),
        entry.time,
        kind_number(entry.kind),
        entry.ends,
        entry.body,
    ])?;
    Ok(())
}

/// Marks an entry as the last of its transaction, in that transaction.
pub(in crate::data) fn entry_ends(
    connection: &Connection,
    position: Position,
) -> Result<(), EngineError> {
    let sql = format!("{OWN}UPDATE gridmart_log SET ends = 1 WHERE position = ?1");
    let ended = connection.execute(&sql, [position.number()]);
    ended.map(drop).during("ending a transaction's entries")
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        position: Position::new(row.get(0)?),
        epoch: Epoch::new(row.get(1)?),
        time: row.get(2)?,
        kind: kind_of(row.get(3)?)?,
        ends: row.get(4)?,
        body: row.get(5)?,
    })
}

/// The entries after a position: those that fit, one at least.
pub(in crate::data) fn entries_after(
    connection: &Connection,
    after: Position,
    bytes_max: u64,
) -> Result<Vec<Entry>, EngineError> {
    let sql = format!(
        "{OWN}SELECT position, epoch, time, kind, ends, body FROM gridmart_log
         WHERE position > ?1 ORDER BY position"
    );
    let read = || -> rusqlite::Result<Vec<Entry>> {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([after.number()])?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let entry = entry_of(row)?;
            bytes += entry.bytes();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    };
    read().during("reading the log of a database")
}

/// Answers a shadow that tells what it has, from one view of the database.
pub fn pull(
    connection: &Connection,
    state: &State,
    shadow: &History,
    bytes_max: u64,
) -> Result<Pulled, EngineError> {
    let own = History {
        epochs: epochs(connection)?,
        last: state.last,
    };
    let common = common(&own, shadow);
    if common < shadow.last.position {
        return Ok(Pulled::Parted { common });
    }
    if common < state.trimmed.position {
        let first = state.trimmed.position.next();
        return Ok(Pulled::SnapshotNeeded { first });
    }
    entries_after(connection, common, bytes_max).map(Pulled::Entries)
}

/// Drops the log's oldest transactions beyond the bounds, in the caller's
/// transaction: those that all shadows have confirmed, beyond what is kept; others
/// only beyond the most. Changes `state` accordingly.
pub(in crate::data) fn trim(
    connection: &Connection,
    state: &mut State,
    bounds: LogBounds,
    confirmed: Position,
) -> Result<(), EngineError> {
    if state.log_bytes <= bounds.bytes_kept.min(bounds.bytes_max) {
        return Ok(());
    }
    let sql = format!(
        "{OWN}SELECT position, epoch, ends, length(body) FROM gridmart_log ORDER BY position"
    );
    let mut through = state.trimmed;
    let mut bytes = state.log_bytes;
    let mut select = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut left = state.log_bytes;
        while let Some(row) = rows.next()? {
            let position = Position::new(row.get(0)?);
            let bound = if position <= confirmed {
                bounds.bytes_kept.min(bounds.bytes_max)
            } else {
                bounds.bytes_max
            };
            if left <= bound {
                break;
            }
            let body: i64 = row.get(3)?;
            left = left.saturating_sub(body.unsigned_abs() + ENTRY_HEAD);
            // What is kept begins with a whole transaction.
            if row.get(2)? {
                let epoch = Epoch::new(row.get(1)?);
                through = LogPoint { position, epoch };
                bytes = left;
            }
        }
        Ok(())
    };
    select().during("choosing what the log drops")?;
    if through == state.trimmed {
        return Ok(());
    }
    let sql = format!("{OWN}DELETE FROM gridmart_log WHERE position <= ?1");
    let dropped = connection.execute(&sql, [through.position.number()]);
    dropped.during("dropping the begin of the log")?;
    state.trimmed = through;
    state.log_bytes = bytes;
    Ok(())
}

/// What an entry counts beside its body.
const ENTRY_HEAD: u64 = 48;
