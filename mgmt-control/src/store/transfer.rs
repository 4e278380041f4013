//! Records of ended transfers; bounded by retention.

use gridmart_schemas::{id::TransferId, wire::transfer::TransferRecord};
use rusqlite::{Connection, Row, params};

use super::{During, StoreError, count, json, number, to_json};

/// A record with its place in the order of arrival.
pub(crate) struct StoredTransfer {
    /// Counts up with each record.
    pub(crate) sequence: u64,
    /// The record.
    pub(crate) record: TransferRecord,
}

/// Which records are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransferFilter {
    /// Of this person.
    pub(crate) owner: Option<String>,
    /// Of buckets of this name.
    pub(crate) bucket: Option<String>,
}

/// Writes a record; the same one a second time changes nothing.
pub(crate) fn transfer_record_insert(
    connection: &Connection,
    record: &TransferRecord,
) -> Result<(), StoreError> {
    let subject = &record.subject;
    let insert = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO transfer_record (transfer, element, owner, bucket, record)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                subject.transfer.to_string(),
                subject.element.to_string(),
                subject.owner.as_ref().map(ToString::to_string),
                subject.bucket_name,
                to_json(record)?
            ])
    };
    insert().during("transfer_record_insert").map(drop)
}

/// Reads records older than `before`, newest first.
pub(crate) fn transfer_record_page(
    connection: &Connection,
    filter: &TransferFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredTransfer>, StoreError> {
    let TransferFilter { owner, bucket } = filter;
    let before = before.map_or(i64::MAX, number);
    let read = |row: &Row<'_>| {
        Ok(StoredTransfer {
            sequence: count(row, "sequence")?,
            record: json(row, "record")?,
        })
    };
    // Each by an index of its own.
    let by = match (owner, bucket) {
        (Some(_), _) => "owner = ?3 AND (?4 IS NULL OR bucket = ?4)",
        (None, Some(_)) => "?3 IS NULL AND bucket = ?4",
        (None, None) => "?3 IS NULL AND ?4 IS NULL",
    };
    let sql = format!(
        "SELECT * FROM transfer_record WHERE {by} AND sequence < ?1
         ORDER BY sequence DESC LIMIT ?2"
    );
    let mut statement = connection
        .prepare_cached(&sql)
        .during("transfer_record_page")?;
    let rows = statement
        .query_map(params![before, limit, owner, bucket], read)
        .during("transfer_record_page")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("transfer_record_page")
}

/// Reads what is told of one transfer.
pub(crate) fn transfer_record_of(
    connection: &Connection,
    transfer: TransferId,
) -> Result<Option<TransferRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT record FROM transfer_record WHERE transfer = ?1 LIMIT 1")
        .during("transfer_record_of")?;
    let mut rows = statement
        .query_map([transfer.to_string()], |row| json(row, "record"))
        .during("transfer_record_of")?;
    rows.next().transpose().during("transfer_record_of")
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{BucketId, NodeId},
        wire::{
            record::CallState,
            transfer::{TransferDirection, TransferDoor, TransferEnd, TransferSubject},
        },
    };
    use time::OffsetDateTime;

    use super::*;
    use crate::store::{open_writer, record};

    fn ended(owner: Option<&str>, bucket: &str, bytes: u64) -> TransferRecord {
        let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
        TransferRecord {
            subject: TransferSubject {
                transfer: TransferId::generate(),
                owner: owner.map(|owner| owner.parse().unwrap()),
                element: NodeId::generate(),
                bucket: BucketId::generate(),
                bucket_name: bucket.to_owned(),
                key: Some("key".to_owned()),
                direction: TransferDirection::Put,
                door: TransferDoor::S3,
                started: now,
            },
            bytes,
            ended: now,
            end: TransferEnd {
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
            ended(Some("ada"), "maps", 1),
            ended(Some("ada"), "films", 2),
            ended(Some("eve"), "maps", 3),
            ended(None, "maps", 4),
        ];
        for record in records.iter().chain(&records) {
            transfer_record_insert(&store, record).unwrap();
        }
        let found = |owner: Option<&str>, bucket: Option<&str>| {
            let filter = TransferFilter {
                owner: owner.map(str::to_owned),
                bucket: bucket.map(str::to_owned),
            };
            let page = transfer_record_page(&store, &filter, None, 10).unwrap();
            page.iter().map(|row| row.record.bytes).collect::<Vec<_>>()
        };
        assert_eq!(found(None, None), [4, 3, 2, 1]);
        assert_eq!(found(Some("ada"), None), [2, 1]);
        assert_eq!(found(None, Some("maps")), [4, 3, 1]);
        assert_eq!(found(Some("ada"), Some("maps")), [1]);
        let of = |id| transfer_record_of(&store, id).unwrap();
        assert_eq!(of(records[2].subject.transfer).as_ref(), Some(&records[2]));
        assert_eq!(of(TransferId::generate()), None);
        let retention = record::Retention {
            call_records: 2,
            job_rows: 0,
            batches_since: OffsetDateTime::UNIX_EPOCH,
        };
        record::retain(&store, retention).unwrap();
        assert_eq!(found(None, None), [4, 3]);
    }
}
