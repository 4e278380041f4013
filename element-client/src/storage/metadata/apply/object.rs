//! Putting an object, and what may change of a version.

use std::collections::BTreeMap;

use gridmart_schemas::id::BucketId;
use rusqlite::params;

use super::{
    Outcome, Place, VersionOutcome, bucket,
    stripe::{self, NewPart, PartOf},
    version::{self, NewVersion},
};
use crate::storage::metadata::{
    key::ObjectKey,
    manifest::stripes_fault,
    record::{ObjectPut, Retention, RetentionMode, VersionChoice},
    refusal::Refusal,
    store::{During as _, Sql, to_json},
};

pub(super) fn put(place: Place<'_>, put: &ObjectPut) -> Outcome<VersionOutcome> {
    let bucket = bucket::required(place, put.bucket)?;
    if let Some(fault) = stripes_fault(&put.stripes, put.size) {
        return Err(Refusal::Malformed(fault).into());
    }
    if !bucket.object_lock && (put.retention.is_some() || put.legal_hold) {
        return Err(Refusal::NotLockable(bucket.name.to_string()).into());
    }
    let newest = version::newest(place, &bucket, &put.key)?;
    version::check(&put.condition, &put.key, newest.as_ref())?;
    let new = NewVersion {
        id: put.version,
        key: &put.key,
        is_marker: false,
        size: put.size,
        etag: &put.etag,
        parts: 0,
        retention: put.retention,
        legal_hold: put.legal_hold,
        head: &put.head,
    };
    let (tally, is_null) = version::insert(place, &bucket, &new, newest.as_ref())?;
    tally.fits(&bucket)?;
    tally.count(place, &bucket)?;
    let part = NewPart {
        of: PartOf::Version(place.sequence),
        number: 1,
        size: put.size,
        etag: &put.etag,
        checksums: &BTreeMap::new(),
        stripes: &put.stripes,
    };
    stripe::part_insert(place, &part)?;
    Ok(VersionOutcome {
        version: put.version,
        is_null,
        is_marker: false,
        size: put.size,
    })
}

pub(super) fn tags(
    place: Place<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
    tags: &BTreeMap<String, String>,
) -> Outcome {
    let bucket = bucket::required(place, bucket)?;
    let version = version::chosen(place, &bucket, key, choice)?;
    if version.is_marker {
        return Err(Refusal::IsMarker(key.clone()).into());
    }
    let write = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached(
                "UPDATE version SET head = json_set(head, '$.tags', json(?2)) WHERE number = ?1",
            )?
            .execute(params![Sql(version.number), to_json(tags)?])
            .map(drop)
    };
    write().during("object_tags")?;
    Ok(())
}

pub(super) fn header(
    place: Place<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
    (name, value): (&str, Option<&str>),
) -> Outcome {
    let bucket = bucket::required(place, bucket)?;
    let version = version::chosen(place, &bucket, key, choice)?;
    if version.is_marker {
        return Err(Refusal::IsMarker(key.clone()).into());
    }
    // A patch takes away what it names with null.
    let write = || -> rusqlite::Result<()> {
        let patch = to_json(&BTreeMap::from([(
            "headers",
            BTreeMap::from([(name, value)]),
        )]))?;
        place
            .store
            .prepare_cached(
                "UPDATE version SET head = json_patch(head, json(?2)) WHERE number = ?1",
            )?
            .execute(params![Sql(version.number), patch])
            .map(drop)
    };
    write().during("object_header")?;
    Ok(())
}

pub(super) fn lock(
    place: Place<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
    (retention, legal_hold, bypass): (Option<Retention>, bool, bool),
) -> Outcome {
    let bucket = bucket::required(place, bucket)?;
    if !bucket.object_lock {
        return Err(Refusal::NotLockable(bucket.name.to_string()).into());
    }
    let version = version::chosen(place, &bucket, key, choice)?;
    if version.is_marker {
        return Err(Refusal::IsMarker(key.clone()).into());
    }
    if !extends(version.retention(), retention) {
        version.may_be_shortened(place, key, bypass)?;
    }
    place
        .store
        .prepare_cached(
            "UPDATE version SET retention_mode = ?2, retain_until = ?3, legal_hold = ?4
             WHERE number = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                Sql(version.number),
                retention.map(|retention| retention.mode.word()),
                retention.map(|retention| Sql(retention.until)),
                legal_hold
            ])
        })
        .during("object_lock")?;
    Ok(())
}

/// Whether a retention is at least as strict as the one before.
fn extends(before: Option<Retention>, after: Option<Retention>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => {
            let is_softer =
                before.mode == RetentionMode::Compliance && after.mode == RetentionMode::Governance;
            after.until >= before.until && !is_softer
        }
    }
}
