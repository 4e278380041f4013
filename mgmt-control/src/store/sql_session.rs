//! Records of ended SQL sessions; bounded by retention.

use gridmart_schemas::{id::SqlSessionId, wire::sql_session::SqlSessionRecord};
use rusqlite::{Connection, Row, params};

use super::{During, StoreError, count, json, number, to_json};

/// A record with its place in the order of arrival.
pub(crate) struct StoredSqlSession {
    /// Counts up with each record.
    pub(crate) sequence: u64,
    /// The record.
    pub(crate) record: SqlSessionRecord,
}

/// Which records are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct SqlSessionFilter {
    /// Of this person.
    pub(crate) person: Option<String>,
    /// On databases of this name.
    pub(crate) database: Option<String>,
}

/// Writes a record; the same one a second time changes nothing.
pub(crate) fn sql_session_record_insert(
    connection: &Connection,
    record: &SqlSessionRecord,
) -> Result<(), StoreError> {
    let subject = &record.subject;
    let insert = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO sql_session_record (session, element, person, database, record)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                subject.session.to_string(),
                subject.element.to_string(),
                subject.person.to_string(),
                subject.database_name,
                to_json(record)?
            ])
    };
    insert().during("sql_session_record_insert").map(drop)
}

/// Reads records older than `before`, newest first.
pub(crate) fn sql_session_record_page(
    connection: &Connection,
    filter: &SqlSessionFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredSqlSession>, StoreError> {
    let SqlSessionFilter { person, database } = filter;
    let before = before.map_or(i64::MAX, number);
    let read = |row: &Row<'_>| {
        Ok(StoredSqlSession {
            sequence: count(row, "sequence")?,
            record: json(row, "record")?,
        })
    };
    // Each by an index of its own.
    let by = match (person, database) {
        (Some(_), _) => "person = ?3 AND (?4 IS NULL OR database = ?4)",
        (None, Some(_)) => "?3 IS NULL AND database = ?4",
        (None, None) => "?3 IS NULL AND ?4 IS NULL",
    };
    let sql = format!(
        "SELECT * FROM sql_session_record WHERE {by} AND sequence < ?1
         ORDER BY sequence DESC LIMIT ?2"
    );
    let mut statement = connection
        .prepare_cached(&sql)
        .during("sql_session_record_page")?;
    let rows = statement
        .query_map(params![before, limit, person, database], read)
        .during("sql_session_record_page")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("sql_session_record_page")
}

/// Reads what is told of one session.
pub(crate) fn sql_session_record_of(
    connection: &Connection,
    session: SqlSessionId,
) -> Result<Option<SqlSessionRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT record FROM sql_session_record WHERE session = ?1 LIMIT 1")
        .during("sql_session_record_of")?;
    let mut rows = statement
        .query_map([session.to_string()], |row| json(row, "record"))
        .during("sql_session_record_of")?;
    rows.next().transpose().during("sql_session_record_of")
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{DatabaseId, NodeId},
        wire::{
            record::CallState,
            sql_session::{SqlDoor, SqlSessionCounts, SqlSessionEnd, SqlSessionSubject},
        },
    };
    use time::OffsetDateTime;

    use super::*;
    use crate::store::{open_writer, record};

    fn ended(person: &str, database: &str, rows: u64) -> SqlSessionRecord {
        let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
        SqlSessionRecord {
            subject: SqlSessionSubject {
                session: SqlSessionId::generate(),
                person: person.parse().unwrap(),
                element: NodeId::generate(),
                database: DatabaseId::generate(),
                database_name: database.to_owned(),
                door: SqlDoor::Postgres,
                remote: Some("127.0.0.1:5".to_owned()),
                application: None,
                started: now,
            },
            counts: SqlSessionCounts {
                rows,
                ..SqlSessionCounts::default()
            },
            ended: now,
            end: SqlSessionEnd {
                state: CallState::Finished,
                code: None,
                reason: None,
            },
        }
    }

    #[test]
    fn records_count_once_are_found_by_whom_and_where_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_writer(&folder.path().join("control.sqlite")).unwrap();
        let records = [
            ended("ada", "shop", 1),
            ended("ada", "maps", 2),
            ended("eve", "shop", 3),
        ];
        for record in records.iter().chain(&records) {
            sql_session_record_insert(&store, record).unwrap();
        }
        let found = |person: Option<&str>, database: Option<&str>| {
            let filter = SqlSessionFilter {
                person: person.map(str::to_owned),
                database: database.map(str::to_owned),
            };
            let page = sql_session_record_page(&store, &filter, None, 10).unwrap();
            let rows = page.iter().map(|row| row.record.counts.rows);
            rows.collect::<Vec<_>>()
        };
        assert_eq!(found(None, None), [3, 2, 1]);
        assert_eq!(found(Some("ada"), None), [2, 1]);
        assert_eq!(found(None, Some("shop")), [3, 1]);
        assert_eq!(found(Some("ada"), Some("shop")), [1]);
        let of = |id| sql_session_record_of(&store, id).unwrap();
        assert_eq!(of(records[2].subject.session).as_ref(), Some(&records[2]));
        assert_eq!(of(SqlSessionId::generate()), None);
        let retention = record::Retention {
            call_records: 2,
            job_rows: 0,
            batches_since: OffsetDateTime::UNIX_EPOCH,
        };
        record::retain(&store, retention).unwrap();
        assert_eq!(found(None, None), [3, 2]);
    }
}
