//! Uploads in parts that are not objects yet.

use std::collections::BTreeMap;

use gridmart_schemas::id::{PersonName, UploadId, VersionId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Bucket, During, StoreError,
    listing::{LINES_MAX, Line, Listed, ListingRequest, Page, above, visit_rows, walk},
    value::{Sql, json, key, own, parsed, retention},
};
use crate::storage::metadata::{
    key::ObjectKey, manifest::ObjectHead, moment::Moment, record::Retention,
};

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The sequence of the record that began it.
    pub number: u64,
    /// Its id.
    pub id: UploadId,
    /// The id of the version that it becomes.
    pub version: VersionId,
    /// The row of its bucket.
    pub(in super::super) bucket: u64,
    /// Its key.
    pub key: ObjectKey,
    /// Who began it.
    pub owner: PersonName,
    /// When it was begun.
    pub created: Moment,
    /// Until when the object will be kept.
    pub retention: Option<Retention>,
    /// Whether the object will be under a legal hold.
    pub legal_hold: bool,
    /// What the object will say of itself.
    pub head: ObjectHead,
}

impl Upload {
    /// Whether it is an upload to this bucket.
    pub const fn is_of(&self, bucket: &Bucket) -> bool {
        self.bucket == bucket.number
    }
}

/// A page of uploads.
pub type UploadListing = Listed<Upload>;

impl Line for Upload {
    fn key(&self) -> &str {
        self.key.as_str()
    }

    fn number(&self) -> u64 {
        self.number
    }
}

fn upload_read(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload {
        number: own(row, "number")?,
        id: own(row, "id")?,
        version: own(row, "version")?,
        bucket: own(row, "bucket")?,
        key: key(row, "key")?,
        owner: parsed(row, "owner")?,
        created: own(row, "created")?,
        retention: retention(row)?,
        legal_hold: row.get("legal_hold")?,
        head: json(row, "head")?,
    })
}

/// Reads an upload.
pub fn upload(connection: &Connection, id: UploadId) -> Result<Option<Upload>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM upload WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([Sql(id)], upload_read).optional())
        .during("upload")
}

/// Lists uploads by key, of each key the oldest first.
pub fn upload_list(
    connection: &Connection,
    request: &ListingRequest,
) -> Result<UploadListing, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT * FROM upload
             WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
                 AND key >= ?2 AND key < ?3 AND (key > ?2 OR ?4 IS NULL OR number > ?4)
             ORDER BY key, number",
        )
        .during("upload_list")?;
    let upper = above(&request.prefix);
    walk(request, Page::within_item, |cursor, visit| {
        visit_rows(
            statement.query(params![
                Sql(request.bucket),
                cursor.key,
                upper,
                Sql(cursor.number)
            ])?,
            upload_read,
            visit,
        )
    })
    .during("upload_list")
}

/// A part of an upload or of an object that was made of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its row.
    pub(in super::super) row: u64,
    /// Its number, 1 to 10,000.
    pub number: u16,
    /// Its first byte in the object; 0 in an upload.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// By algorithm.
    pub checksums: BTreeMap<String, String>,
    /// When it was put.
    pub created: Moment,
}

fn part_read(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        row: own(row, "number")?,
        number: row.get("part")?,
        start: own(row, "start")?,
        size: own(row, "size")?,
        etag: row.get("etag")?,
        checksums: json(row, "checksums")?,
        created: own(row, "created")?,
    })
}

/// Lists parts after a number, at most so many and never more than 1,000: those
/// of an upload, or of the version that it became.
pub fn part_list(
    connection: &Connection,
    of: PartsOf,
    after: u16,
    limit: usize,
) -> Result<Vec<Part>, StoreError> {
    let (sql, owner) = match of {
        PartsOf::Upload(number) => (
            "SELECT * FROM part WHERE upload = ?1 AND part > ?2 ORDER BY part LIMIT ?3",
            number,
        ),
        PartsOf::Version(number) => (
            "SELECT * FROM part WHERE version = ?1 AND part > ?2 ORDER BY start, part LIMIT ?3",
            number,
        ),
    };
    let limit = i64::try_from(limit.min(LINES_MAX)).unwrap_or(0);
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_map(params![Sql(owner), after, limit], part_read)?
                .collect()
        })
        .during("part_list")
}

/// Whose parts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsOf {
    /// Those of the upload of this number.
    Upload(u64),
    /// Those of the version of this number.
    Version(u64),
}

/// Reads one part of an upload.
pub(in super::super) fn upload_part(
    connection: &Connection,
    upload: u64,
    number: u16,
) -> Result<Option<Part>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM part WHERE upload = ?1 AND part = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![Sql(upload), number], part_read)
                .optional()
        })
        .during("upload_part")
}
