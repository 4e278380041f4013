//! Object versions, and where their bytes are.

use std::ops::Range;

use gridmart_fabric::block::SMALL_BYTES_MAX;
use gridmart_schemas::{
    id::{BucketId, StripeId, VersionId},
    storage::Redundancy,
    wire::storage::{BlockPlace, StripeManifest, StripeView},
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    During, StoreError,
    block::blocks_of,
    value::{Columns, Sql, own, parsed},
};
use crate::storage::metadata::{
    key::ObjectKey,
    manifest::{ObjectHead, PlacedBlock},
    moment::Moment,
    record::{Retention, VersionChoice},
};

/// An object version.
#[expect(clippy::struct_excessive_bools, reason = "what S3 says of a version")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The sequence of the record that made it: newer versions have larger ones.
    pub number: u64,
    /// Its id.
    pub id: VersionId,
    /// Its key.
    pub key: ObjectKey,
    /// S3 calls it `null`: it was put while the bucket kept no versions.
    pub is_null: bool,
    /// It only says that the object is deleted.
    pub is_marker: bool,
    /// It is the newest of its key.
    pub is_latest: bool,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was made.
    pub created: Moment,
    /// How many parts it was made of; 0: it was put as a whole.
    pub parts: u16,
    /// Until when it is kept.
    pub retention: Option<Retention>,
    /// Kept until this is taken away.
    pub legal_hold: bool,
    /// What it says of itself.
    pub head: ObjectHead,
}

/// The columns of a version, as [`version_read`] reads them.
macro_rules! version_columns {
    () => {
        "number, id, key, is_null, is_marker, is_latest, size, etag, created, parts, \
         retention_mode, retain_until, legal_hold, head"
    };
}
pub(super) use version_columns;

pub(super) fn version_read(row: &Row<'_>) -> rusqlite::Result<ObjectVersion> {
    let mut columns = Columns::of(row);
    Ok(ObjectVersion {
        number: columns.own()?,
        id: columns.own()?,
        key: columns.key()?,
        is_null: columns.plain()?,
        is_marker: columns.plain()?,
        is_latest: columns.plain()?,
        size: columns.own()?,
        etag: columns.plain()?,
        created: columns.own()?,
        parts: columns.plain()?,
        retention: columns.retention()?,
        legal_hold: columns.plain()?,
        head: columns.json()?,
    })
}

/// Reads the newest version of a key, be it a delete marker.
pub fn object_current(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<Option<ObjectVersion>, StoreError> {
    one(
        connection,
        concat!(
            "SELECT ",
            version_columns!(),
            " FROM version WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
              AND key = ?2 ORDER BY number DESC LIMIT 1"
        ),
        params![Sql(bucket), Sql(key)],
    )
}

/// Reads a version of a key, be it a delete marker.
pub fn object_version(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
) -> Result<Option<ObjectVersion>, StoreError> {
    match choice {
        VersionChoice::Current => object_current(connection, bucket, key),
        VersionChoice::Null => one(
            connection,
            concat!(
                "SELECT ",
                version_columns!(),
                " FROM version WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
                  AND key = ?2 AND is_null = 1"
            ),
            params![Sql(bucket), Sql(key)],
        ),
        VersionChoice::Id(version) => one(
            connection,
            concat!(
                "SELECT ",
                version_columns!(),
                " FROM version WHERE id = ?3
                  AND bucket = (SELECT number FROM bucket WHERE id = ?1) AND key = ?2"
            ),
            params![Sql(bucket), Sql(key), Sql(version)],
        ),
    }
}

/// Reads a version as [`object_version`] does, and of a small one where its bytes
/// are: who reads it needs both.
pub fn object_located(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
) -> Result<Option<(ObjectVersion, Vec<StripeView>)>, StoreError> {
    let Some(version) = object_version(connection, bucket, key, choice)? else {
        return Ok(None);
    };
    let is_small = (1..=SMALL_BYTES_MAX as u64).contains(&version.size);
    let stripes = if is_small && !version.is_marker {
        layout(connection, &version, 0..version.size, 1)?.stripes
    } else {
        Vec::new()
    };
    let views = stripes.iter().map(LayoutStripe::view).collect();
    Ok(Some((version, views)))
}

fn one(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Option<ObjectVersion>, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, version_read).optional())
        .during("object_version")
}

/// Where the bytes of a version are, in order, or those of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The stripes that hold them.
    pub stripes: Vec<LayoutStripe>,
    /// Where the next page begins, if there is more than was asked for.
    pub next: Option<u64>,
}

/// A stripe, and where it is in its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutStripe {
    /// Its id.
    pub id: StripeId,
    /// Its first byte in the object (or, asked for by itself, in its part).
    pub start: u64,
    /// Its number in its part, as its blocks' headers have it.
    pub ordinal: u64,
    /// Bytes of the object in it.
    pub data_length: u64,
    /// How its blocks are made.
    pub redundancy: Redundancy,
    /// Bytes of each block's payload.
    pub payload_length: u64,
    /// Its blocks, by position; some may be missing.
    pub blocks: Vec<PlacedBlock>,
}

impl LayoutStripe {
    /// The same as programs are told.
    pub fn manifest(&self) -> StripeManifest {
        StripeManifest {
            stripe: self.id,
            data_length: self.data_length,
            redundancy: self.redundancy,
            blocks: self.blocks.iter().copied().map(BlockPlace::from).collect(),
        }
    }

    /// The same, with where it is in its object.
    pub fn view(&self) -> StripeView {
        StripeView {
            start: self.start,
            manifest: self.manifest(),
        }
    }
}

/// Reads where the bytes of a range are: at most `limit` stripes, one at least.
pub fn layout(
    connection: &Connection,
    version: &ObjectVersion,
    range: Range<u64>,
    limit: usize,
) -> Result<Layout, StoreError> {
    let mut layout = Layout::default();
    let range = range.start..range.end.min(version.size);
    for (part, part_start) in parts_in(connection, version.number, &range).during("layout")? {
        let inner = range.start.saturating_sub(part_start)..range.end - part_start;
        let room = limit.max(1) - layout.stripes.len();
        let stripes = stripes_in(connection, part, &inner, room + 1).during("layout")?;
        for (number, mut stripe) in stripes {
            stripe.start += part_start;
            if layout.stripes.len() == limit.max(1) {
                layout.next = Some(stripe.start);
                return Ok(layout);
            }
            stripe.blocks = blocks_of(connection, number).during("layout")?;
            layout.stripes.push(stripe);
        }
    }
    Ok(layout)
}

/// The parts that a range touches, and where they begin.
fn parts_in(
    connection: &Connection,
    version: u64,
    range: &Range<u64>,
) -> rusqlite::Result<Vec<(u64, u64)>> {
    connection
        .prepare_cached(
            "SELECT number, start FROM part
             WHERE version = ?1 AND start < ?3 AND start >= coalesce((
                 SELECT start FROM part WHERE version = ?1 AND start <= ?2
                 ORDER BY start DESC LIMIT 1), 0)
             ORDER BY start, part",
        )?
        .query_map(
            params![Sql(version), Sql(range.start), Sql(range.end)],
            |row| Ok((own(row, "number")?, own(row, "start")?)),
        )?
        .collect()
}

/// The stripes of a part that a range of the part touches.
fn stripes_in(
    connection: &Connection,
    part: u64,
    range: &Range<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<(u64, LayoutStripe)>> {
    connection
        .prepare_cached(
            "SELECT * FROM stripe
             WHERE part = ?1 AND start < ?3 AND start + data_length > ?2 AND start >= coalesce((
                 SELECT start FROM stripe WHERE part = ?1 AND start <= ?2
                 ORDER BY start DESC LIMIT 1), 0)
             ORDER BY start LIMIT ?4",
        )?
        .query_map(
            params![
                Sql(part),
                Sql(range.start),
                Sql(range.end),
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| Ok((own(row, "number")?, stripe_read(row)?)),
        )?
        .collect()
}

/// Reads a stripe without its blocks.
pub(super) fn stripe_read(row: &Row<'_>) -> rusqlite::Result<LayoutStripe> {
    Ok(LayoutStripe {
        id: own(row, "id")?,
        start: own(row, "start")?,
        ordinal: own(row, "ordinal")?,
        data_length: own(row, "data_length")?,
        redundancy: parsed(row, "redundancy")?,
        payload_length: own(row, "payload_length")?,
        blocks: Vec::new(),
    })
}

/// Whether any object, or upload that goes on, has such a header. Reads all of them.
pub fn has_header(connection: &Connection, name: &str, value: &str) -> Result<bool, StoreError> {
    let path = format!("$.headers.\"{name}\"");
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM version WHERE json_extract(head, ?1) = ?2)
                 OR EXISTS (SELECT 1 FROM upload WHERE json_extract(head, ?1) = ?2)",
            [&*path, value],
            |row| row.get(0),
        )
        .during("has_header")
}
