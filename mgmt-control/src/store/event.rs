//! What happened, for people: a bounded table.

use gridmart_schemas::api::event::{EventView, Topical};
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{During, StoreError, count, moment, number, parsed};
use crate::catalogue::event::EventEntry;

/// Events that are kept; beyond that the oldest are forgotten.
pub(crate) const EVENTS_MAX: u64 = 10_000;

/// Which events are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    /// Only about this.
    pub(crate) subject: Option<String>,
    /// Only those older than this one.
    pub(crate) before: Option<u64>,
    /// Only those newer than this one.
    pub(crate) since: u64,
    /// Only what everybody is told.
    pub(crate) open_only: bool,
    /// Rows at most.
    pub(crate) limit: u32,
}

/// Appends an event; gives its number.
pub(crate) fn event_insert(
    connection: &Connection,
    now: OffsetDateTime,
    entry: &EventEntry,
) -> Result<u64, StoreError> {
    let EventEntry {
        kind,
        severity,
        subject,
        actor,
        text,
        open,
    } = entry;
    connection
        .prepare_cached(
            "INSERT INTO event (time, kind, severity, subject_kind, subject, subject_name, actor, words, open)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                now.unix_timestamp(),
                kind,
                severity.as_str(),
                subject.kind,
                subject.id,
                subject.name,
                actor,
                text,
                open
            ])
        })
        .during("event_insert")?;
    Ok(connection.last_insert_rowid().cast_unsigned())
}

/// The number of the newest event; 0: there is none.
pub(crate) fn event_newest(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row(
            "SELECT coalesce(max(sequence), 0) AS newest FROM event",
            [],
            |row| count(row, "newest"),
        )
        .during("event_newest")
}

/// Reads events, newest first.
pub(crate) fn event_page(
    connection: &Connection,
    filter: &EventFilter,
) -> Result<Vec<EventView>, StoreError> {
    let before = filter.before.map_or(i64::MAX, number);
    let mut statement = connection
        .prepare_cached(
            "SELECT * FROM event WHERE sequence < ?1 AND sequence > ?2 AND (?3 IS NULL OR subject = ?3)
                 AND open >= ?4 ORDER BY sequence DESC LIMIT ?5",
        )
        .during("event_page")?;
    let rows = statement
        .query_map(
            params![
                before,
                number(filter.since),
                filter.subject,
                filter.open_only,
                filter.limit
            ],
            event,
        )
        .during("event_page")?;
    rows.collect::<rusqlite::Result<_>>().during("event_page")
}

fn event(row: &Row<'_>) -> rusqlite::Result<EventView> {
    Ok(EventView {
        sequence: count(row, "sequence")?,
        time: moment(row, "time")?,
        kind: row.get("kind")?,
        severity: parsed(row, "severity")?,
        subject: Topical {
            kind: row.get("subject_kind")?,
            id: row.get("subject")?,
            name: row.get("subject_name")?,
        },
        actor: row.get("actor")?,
        text: row.get("words")?,
    })
}

/// Forgets what is beyond the limit, oldest first; gives the rows removed.
pub(crate) fn event_retain(connection: &Connection, keep: u64) -> Result<u64, StoreError> {
    connection
        .execute(
            "DELETE FROM event WHERE sequence <=
                 (SELECT sequence FROM event ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(keep)],
        )
        .during("event_retain")
        .map(|rows| rows as u64)
}
