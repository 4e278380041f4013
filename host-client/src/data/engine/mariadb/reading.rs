//! Events of the binary log on their way to transactions of one database, without I/O.
//!
//! Invariant: what may have changed the database and cannot be told is an error, never passed
//! over.

use std::{collections::HashMap, sync::Arc};

use gridmart_schemas::data::{SqlType, Table, Value};
use mysql_async::Value as Logged;

use super::{
    events::{Event, Told, read, told},
    gtid::Gtids,
    image::{Changed, TableMap},
    log::Taken,
    value, whole,
};
use crate::data::{
    engine::{
        EngineError,
        mirror::{Change, LoggedRow, unlike},
    },
    log::SchemaChange,
};

/// A row as the log has it.
#[derive(Debug)]
pub(super) struct MariaRow {
    table: Arc<TableMap>,
    values: Vec<Logged>,
}

impl LoggedRow for MariaRow {
    fn table(&self) -> &str {
        &self.table.name
    }

    fn values(&self, table: &Table, _: Option<&[Value]>) -> Result<Vec<Value>, EngineError> {
        if self.values.len() != table.columns.len() {
            return Err(unlike(&table.name));
        }
        let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
        value::row_of(&self.values, &types).map_err(|_| unlike(&table.name))
    }
}

/// Events on their way to transactions.
pub(super) struct Reading {
    database: Vec<u8>,
    /// Where the last transaction ended.
    pub(super) place: Gtids,
    /// A transaction has begun and has not ended.
    pub(super) is_open: bool,
    is_alone: bool,
    gtid: (u32, u64),
    /// Tables of this database that the transaction has named.
    tables: HashMap<u64, Arc<TableMap>>,
    changes: Vec<Change<MariaRow>>,
    bytes: usize,
}

impl Reading {
    /// What follows a place, of a database.
    pub(super) fn new(database: Vec<u8>, place: Gtids) -> Self {
        Self {
            database,
            place,
            is_open: false,
            is_alone: false,
            gtid: (0, 0),
            tables: HashMap::new(),
            changes: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes an event, with its server and time; gives what a transaction did to this
    /// database, with its bytes, when it has ended.
    pub(super) fn take(
        &mut self,
        kind: u8,
        (server, time): (u32, i64),
        bytes: &[u8],
    ) -> Result<Option<(Taken, usize)>, EngineError> {
        let event = read(kind, bytes).ok_or_else(|| damaged("tells something unreadable"))?;
        if !self.ends(&event)? || !self.is_open {
            return Ok(None);
        }
        let (domain, number) = self.gtid;
        self.place.add(domain, server, number);
        self.is_open = false;
        let (changes, size) = (std::mem::take(&mut self.changes), self.bytes);
        self.forget();
        let taken = Taken {
            changes,
            end: self.place.clone(),
            time,
        };
        Ok((!taken.changes.is_empty()).then_some((taken, size)))
    }

    /// Takes an event; gives whether its transaction is over.
    fn ends(&mut self, event: &Event<'_>) -> Result<bool, EngineError> {
        match *event {
            Event::Begin {
                domain,
                number,
                is_alone,
            } => {
                self.forget();
                if self.place.number(domain).is_some_and(|last| number <= last) {
                    return Err(damaged("goes back"));
                }
                (self.is_open, self.is_alone) = (true, is_alone);
                self.gtid = (domain, number);
                Ok(false)
            }
            Event::Table(number, database, rest) if database == self.database => {
                let map = rest.table_map();
                let map = map.ok_or_else(|| damaged("names a table in an unknown way"))?;
                self.tables.insert(number, Arc::new(map));
                Ok(false)
            }
            Event::Rows(number, operation, rest) => {
                if let Some(table) = self.tables.get(&number).map(Arc::clone) {
                    let rows = table.rows(operation, rest);
                    let rows = rows.ok_or_else(|| unlike(&table.name))?;
                    self.add(&table, rows);
                    self.bytes += rest.0.len();
                }
                Ok(false)
            }
            Event::Statement(database, has_failed, text) => {
                self.statement(database == self.database, has_failed, text)
            }
            Event::Incident => Err(damaged("has a hole")),
            Event::Strange(number) if self.tables.contains_key(&number) => {
                Err(damaged("tells rows in an unknown form (log_bin_compress)"))
            }
            Event::Prepared if !self.changes.is_empty() => Err(damaged(
                "tells of a transaction of two phases, which others made",
            )),
            Event::Commit | Event::Prepared => Ok(true),
            Event::Table(..) | Event::Strange(_) | Event::Other => Ok(false),
        }
    }

    fn add(&mut self, table: &Arc<TableMap>, rows: Vec<Changed>) {
        let row = |values| MariaRow {
            table: Arc::clone(table),
            values,
        };
        let changes = rows.into_iter();
        let changes = changes.filter_map(|changed| match (changed.before, changed.after) {
            (Some(before), Some(after)) => Some(Change::Update(row(before), row(after))),
            (Some(before), None) => Some(Change::Delete(row(before))),
            (None, Some(after)) => Some(Change::Insert(row(after))),
            (None, None) => None,
        });
        self.changes.extend(changes);
    }

    /// Takes a statement; gives whether its transaction is over.
    fn statement(
        &mut self,
        is_ours: bool,
        has_failed: bool,
        text: &[u8],
    ) -> Result<bool, EngineError> {
        match told(text) {
            Told::Commit => Ok(true),
            Told::Rollback => {
                self.forget();
                Ok(true)
            }
            Told::Schema(words, own) if is_ours && !has_failed => {
                let told = SchemaChange::tell(&words, whole::words(own))?;
                self.changes.push(Change::Schema(told));
                self.bytes += text.len();
                Ok(self.is_alone)
            }
            Told::Schema(..) | Told::Unknown if is_ours => Err(damaged(
                "tells of a change of the schema that others have made, or of a statement instead \
                 of its rows (binlog_format)",
            )),
            Told::Schema(..) | Told::Unknown | Told::Harmless => Ok(self.is_alone),
        }
    }

    fn forget(&mut self) {
        self.tables.clear();
        self.changes.clear();
        self.bytes = 0;
    }
}

fn damaged(what: &str) -> EngineError {
    EngineError::Damaged {
        why: format!("the server's log {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GTID: u8 = 162;
    const COMMIT: u8 = 16;

    /// The beginning of a transaction.
    fn begin(domain: u32, number: u64, is_alone: bool) -> Vec<u8> {
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.extend_from_slice(&domain.to_le_bytes());
        bytes.push(u8::from(is_alone));
        bytes
    }

    /// A table `t` with one column of four bytes.
    fn table(number: u8, database: &str) -> Vec<u8> {
        let mut bytes = vec![number, 0, 0, 0, 0, 0, 0, 0];
        bytes.push(u8::try_from(database.len()).unwrap());
        bytes.extend_from_slice(database.as_bytes());
        bytes.extend_from_slice(b"\0\x01t\0\x01\x03\0\0");
        bytes
    }

    fn row(number: u8) -> Vec<u8> {
        vec![number, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 7, 0, 0, 0]
    }

    fn statement(database: &str, text: &str) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.push(u8::try_from(database.len()).unwrap());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(database.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// Feeds events; tells of each transaction where it ended and how much it changed.
    fn fed(events: &[(u8, Vec<u8>)]) -> Result<Vec<(String, usize)>, EngineError> {
        let mut reading = Reading::new(b"ours".to_vec(), "0-1-5".parse().unwrap());
        let mut ended = Vec::new();
        for (kind, bytes) in events {
            if let Some((taken, _)) = reading.take(*kind, (1, 0), bytes)? {
                ended.push((taken.end.to_string(), taken.changes.len()));
            }
        }
        assert!(!reading.is_open);
        Ok(ended)
    }

    #[test]
    fn transactions_are_taken_whole_and_those_of_others_passed_over() {
        let create = "CREATE TABLE /* gridmart \"CREATE TABLE t (a)\" */ t (a INT)";
        let events = [
            (GTID, begin(0, 6, true)),
            (2, statement("ours", create)),
            (GTID, begin(0, 7, false)),
            (19, table(9, "other")),
            (23, row(9)),
            (166, row(9)),
            (38, Vec::new()),
            (GTID, begin(0, 8, true)),
            (2, statement("other", "DROP TABLE t")),
            (GTID, begin(3, 1, false)),
            (19, table(9, "ours")),
            (19, table(10, "other")),
            (23, row(9)),
            (23, row(10)),
            (2, statement("ours", "SAVEPOINT `a`")),
            (25, row(9)),
            (COMMIT, vec![0; 8]),
            (GTID, begin(0, 9, false)),
            (19, table(9, "ours")),
            (23, row(9)),
            (2, statement("ours", "ROLLBACK")),
        ];
        let ended = [("0-1-6".to_owned(), 1), ("0-1-8,3-1-1".to_owned(), 2)];
        assert_eq!(fed(&events), Ok(ended.to_vec()));
    }

    #[test]
    fn what_nobody_can_apply_is_not_passed_over() {
        let ours = || {
            vec![
                (GTID, begin(0, 6, false)),
                (19, table(9, "ours")),
                (23, row(9)),
            ]
        };
        for last in [
            (2, statement("ours", "ROLLBACK TO `a`")),
            (2, statement("ours", "INSERT INTO t VALUES (1)")),
            (165, statement("ours", "")),
            (166, row(9)),
            (38, Vec::new()),
            (26, Vec::new()),
            (23, row(9)[..12].to_vec()),
            (GTID, begin(0, 5, false)),
            (GTID, vec![1]),
        ] {
            let events = [ours(), vec![last.clone()]].concat();
            let refused = fed(&events).unwrap_err();
            assert!(matches!(refused, EngineError::Damaged { .. }), "{last:?}");
        }
    }
}
