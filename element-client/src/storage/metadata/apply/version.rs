//! Versions of a key: which one is the newest, making one, taking one away.

use gridmart_schemas::id::VersionId;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Outcome, Place, tally::Tally};
use crate::storage::metadata::{
    key::ObjectKey,
    manifest::ObjectHead,
    record::{Condition, EtagMatch, Retention, RetentionMode, VersionChoice, Versioning},
    refusal::Refusal,
    store::{Bucket, During as _, Sql, StoreError, own, retention, to_json},
};

/// What of a version decides about changes.
#[expect(clippy::struct_excessive_bools, reason = "the columns of its row")]
pub(super) struct VersionRow {
    pub(super) number: u64,
    pub(super) id: VersionId,
    pub(super) is_null: bool,
    pub(super) is_marker: bool,
    pub(super) is_latest: bool,
    pub(super) size: u64,
    etag: String,
    retention: Option<Retention>,
    legal_hold: bool,
}

fn read(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        number: own(row, "number")?,
        id: own(row, "id")?,
        is_null: row.get("is_null")?,
        is_marker: row.get("is_marker")?,
        is_latest: row.get("is_latest")?,
        size: own(row, "size")?,
        etag: row.get("etag")?,
        retention: retention(row)?,
        legal_hold: row.get("legal_hold")?,
    })
}

impl VersionRow {
    /// Whether it may go, or lose its protection.
    pub(super) fn may_go(
        &self,
        place: Place<'_>,
        key: &ObjectKey,
        bypass: bool,
    ) -> Result<(), Refusal> {
        let refused = |until| Refusal::Retained {
            key: key.clone(),
            until,
        };
        if self.legal_hold {
            return Err(refused(None));
        }
        self.may_be_shortened(place, key, bypass)
    }

    /// Whether its retention may be made shorter.
    pub(super) fn may_be_shortened(
        &self,
        place: Place<'_>,
        key: &ObjectKey,
        bypass: bool,
    ) -> Result<(), Refusal> {
        match self.retention {
            Some(kept)
                if kept.until > place.time
                    && !(bypass && kept.mode == RetentionMode::Governance) =>
            {
                Err(Refusal::Retained {
                    key: key.clone(),
                    until: Some(kept.until),
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) const fn retention(&self) -> Option<Retention> {
        self.retention
    }
}

/// The newest version of a key, be it a marker.
pub(super) fn newest(
    place: Place<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Option<VersionRow>, StoreError> {
    place
        .store
        .prepare_cached(
            "SELECT * FROM version WHERE bucket = ?1 AND key = ?2 ORDER BY number DESC LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![Sql(bucket.number), Sql(key)], read)
                .optional()
        })
        .during("newest")
}

/// The `null` version of a key, be it a marker.
pub(super) fn null(
    place: Place<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Option<VersionRow>, StoreError> {
    place
        .store
        .prepare_cached("SELECT * FROM version WHERE bucket = ?1 AND key = ?2 AND is_null = 1")
        .and_then(|mut statement| {
            statement
                .query_row(params![Sql(bucket.number), Sql(key)], read)
                .optional()
        })
        .during("null")
}

/// The version of a key that is meant.
pub(super) fn chosen(
    place: Place<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    choice: VersionChoice,
) -> Outcome<VersionRow> {
    let found = match choice {
        VersionChoice::Current => {
            let seen = newest(place, bucket, key)?.filter(|version| !version.is_marker);
            return Ok(seen.ok_or_else(|| Refusal::KeyUnknown(key.clone()))?);
        }
        VersionChoice::Null => null(place, bucket, key)?,
        VersionChoice::Id(id) => place
            .store
            .prepare_cached("SELECT * FROM version WHERE id = ?3 AND bucket = ?1 AND key = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![Sql(bucket.number), Sql(key), Sql(id)], read)
                    .optional()
            })
            .during("chosen")?,
    };
    Ok(found.ok_or_else(|| Refusal::VersionUnknown(key.clone()))?)
}

/// Whether what a request expects of a key holds.
pub(super) fn check(
    condition: &Condition,
    key: &ObjectKey,
    newest: Option<&VersionRow>,
) -> Result<(), Refusal> {
    let Condition {
        if_match,
        if_none_match,
        if_version,
    } = condition;
    let seen = newest.filter(|version| !version.is_marker);
    if (if_match.is_some() || if_version.is_some()) && seen.is_none() {
        return Err(Refusal::KeyUnknown(key.clone()));
    }
    let matches = |expected: &EtagMatch| match (expected, seen) {
        (_, None) => false,
        (EtagMatch::Any, Some(_)) => true,
        (EtagMatch::OneOf(etags), Some(seen)) => etags.contains(&seen.etag),
    };
    let holds = if_match.as_ref().is_none_or(matches)
        && !if_none_match.as_ref().is_some_and(matches)
        && if_version.is_none_or(|expected| seen.is_some_and(|seen| seen.id == expected));
    if holds {
        Ok(())
    } else {
        Err(Refusal::ConditionNotMet(key.clone()))
    }
}

/// A version in the making.
pub(super) struct NewVersion<'a> {
    pub(super) id: VersionId,
    pub(super) key: &'a ObjectKey,
    pub(super) is_marker: bool,
    pub(super) size: u64,
    pub(super) etag: &'a str,
    pub(super) parts: usize,
    pub(super) retention: Option<Retention>,
    pub(super) legal_hold: bool,
    pub(super) head: &'a ObjectHead,
}

/// Makes a version the newest of its key, in place of the `null` version where
/// the bucket keeps no old ones. Gives how the bucket's counts change (for the
/// caller to count), and whether the version is the `null` one.
pub(super) fn insert(
    place: Place<'_>,
    bucket: &Bucket,
    version: &NewVersion<'_>,
    newest: Option<&VersionRow>,
) -> Outcome<(Tally, bool)> {
    let is_null = bucket.versioning != Versioning::Enabled;
    let was_seen = newest.is_some_and(|newest| !newest.is_marker);
    let is_there = place
        .store
        .prepare_cached("SELECT 1 FROM version WHERE id = ?1")
        .and_then(|mut statement| statement.exists([Sql(version.id)]))
        .during("version_insert")?;
    if is_there {
        return Err(Refusal::VersionExists(version.key.clone()).into());
    }
    let mut tally = Tally {
        objects: i64::from(!version.is_marker) - i64::from(was_seen),
        versions: 1,
        bytes: version.size.cast_signed(),
        upload_bytes: 0,
    };
    if is_null && let Some(replaced) = null(place, bucket, version.key)? {
        erase(place, &replaced)?;
        tally.versions -= 1;
        tally.bytes -= replaced.size.cast_signed();
    }
    let statements = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached(
                "UPDATE version SET is_latest = 0 WHERE bucket = ?1 AND key = ?2 AND is_latest = 1",
            )?
            .execute(params![Sql(bucket.number), Sql(version.key)])?;
        insert_row(place, bucket, version, is_null)
    };
    statements().during("version_insert")?;
    Ok((tally, is_null))
}

fn insert_row(
    place: Place<'_>,
    bucket: &Bucket,
    version: &NewVersion<'_>,
    is_null: bool,
) -> rusqlite::Result<()> {
    place
        .store
        .prepare_cached(
            "INSERT INTO version (number, id, bucket, key, is_null, is_marker, is_latest, size,
                 etag, created, parts, retention_mode, retain_until, legal_hold, head)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            Sql(place.sequence),
            Sql(version.id),
            Sql(bucket.number),
            Sql(version.key),
            is_null,
            version.is_marker,
            Sql(version.size),
            version.etag,
            Sql(place.time),
            i64::try_from(version.parts).unwrap_or(i64::MAX),
            version.retention.map(|retention| retention.mode.word()),
            version.retention.map(|retention| Sql(retention.until)),
            version.legal_hold,
            to_json(version.head)?
        ])
        .map(drop)
}

/// Takes a version away for good; the next newest of its key takes its place if
/// it was the newest.
pub(super) fn remove(
    place: Place<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    version: &VersionRow,
) -> Outcome {
    let mut tally = Tally {
        objects: 0,
        versions: -1,
        bytes: -version.size.cast_signed(),
        upload_bytes: 0,
    };
    erase(place, version)?;
    if version.is_latest {
        let next = newest(place, bucket, key)?;
        let is_seen = next.as_ref().is_some_and(|next| !next.is_marker);
        tally.objects = i64::from(is_seen) - i64::from(!version.is_marker);
        if let Some(next) = next {
            place
                .store
                .prepare_cached("UPDATE version SET is_latest = 1 WHERE number = ?1")
                .and_then(|mut statement| statement.execute([Sql(next.number)]))
                .during("version_remove")?;
        }
    }
    tally.count(place, bucket)
}

/// Removes a version's row, and leaves its stripes to be collected.
fn erase(place: Place<'_>, version: &VersionRow) -> Outcome {
    let number = Sql(version.number);
    let statements = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached("DELETE FROM version WHERE number = ?1")?
            .execute([number])?;
        // What has no stripes leaves nothing to collect.
        place
            .store
            .prepare_cached("DELETE FROM part WHERE version = ?1 AND size = 0")?
            .execute([number])?;
        place
            .store
            .prepare_cached(
                "INSERT INTO garbage (part, since) SELECT number, ?2 FROM part WHERE version = ?1",
            )?
            .execute(params![number, Sql(place.time)])?;
        place
            .store
            .prepare_cached("UPDATE part SET version = NULL WHERE version = ?1")?
            .execute([number])?;
        Ok(())
    };
    statements().during("version_erase")?;
    Ok(())
}
