//! Buckets.

use std::time::Duration;

use gridmart_schemas::{id::BucketId, storage::Redundancy};
use rusqlite::params;

use super::{Outcome, Place, upload};
use crate::storage::metadata::{
    moment::Moment,
    record::{BucketCreate, BucketUpdate, DocumentKind, Versioning},
    refusal::Refusal,
    store::{Bucket, During as _, Sql, query},
};

/// How long after a bucket was changed a put that began before may end: longer
/// than any takes. Part of how records are applied.
const FORMER_KEPT: Duration = Duration::from_hours(7 * 24);

/// The bucket of an id.
pub(super) fn required(place: Place<'_>, id: BucketId) -> Outcome<Bucket> {
    let found = query::bucket(place.store, id)?;
    Ok(found.ok_or(Refusal::BucketUnknown(id))?)
}

pub(super) fn create(place: Place<'_>, change: &BucketCreate) -> Outcome {
    let BucketCreate {
        bucket,
        name,
        owner,
        redundancy,
        object_lock,
        quota,
    } = change;
    if query::bucket_named(place.store, name)?.is_some() {
        return Err(Refusal::BucketExists(name.clone()).into());
    }
    if query::bucket(place.store, *bucket)?.is_some() {
        return Err(Refusal::Malformed(format!("the id {bucket} is another bucket's")).into());
    }
    let versioning = if *object_lock {
        Versioning::Enabled
    } else {
        Versioning::Off
    };
    place
        .store
        .prepare_cached(
            "INSERT INTO bucket (number, id, name, owner, redundancy, versioning, object_lock,
                                 quota_bytes, quota_objects, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                Sql(place.sequence),
                Sql(*bucket),
                name.as_str(),
                owner.as_str(),
                redundancy.to_string(),
                versioning.word(),
                object_lock,
                Sql(quota.bytes),
                Sql(quota.objects),
                Sql(place.time)
            ])
        })
        .during("bucket_create")?;
    Ok(())
}

pub(super) fn update(place: Place<'_>, change: &BucketUpdate) -> Outcome {
    let BucketUpdate {
        bucket,
        redundancy,
        quota,
    } = change;
    let found = required(place, *bucket)?;
    if found.redundancy != *redundancy {
        note_former(place, &found, *redundancy).during("bucket_update")?;
    }
    place
        .store
        .prepare_cached(
            "UPDATE bucket SET redundancy = ?2, quota_bytes = ?3, quota_objects = ?4
             WHERE number = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                Sql(found.number),
                redundancy.to_string(),
                Sql(quota.bytes),
                Sql(quota.objects)
            ])
        })
        .during("bucket_update")?;
    Ok(())
}

/// Notes how a bucket kept its stripes until now, and forgets what no put that
/// is under way can have begun with.
fn note_former(place: Place<'_>, found: &Bucket, next: Redundancy) -> rusqlite::Result<()> {
    let kept = i64::try_from(FORMER_KEPT.as_micros()).unwrap_or(i64::MAX);
    let before = place.time.microseconds().saturating_sub(kept);
    place.store.execute(
        "DELETE FROM former_redundancy WHERE bucket = ?1 AND (redundancy = ?2 OR until < ?3)",
        params![
            Sql(found.number),
            next.to_string(),
            Sql(Moment::from_microseconds(before))
        ],
    )?;
    place
        .store
        .execute(
            "INSERT OR REPLACE INTO former_redundancy (bucket, redundancy, until)
             VALUES (?1, ?2, ?3)",
            params![
                Sql(found.number),
                found.redundancy.to_string(),
                Sql(place.time)
            ],
        )
        .map(drop)
}

pub(super) fn delete(place: Place<'_>, id: BucketId) -> Outcome {
    let found = required(place, id)?;
    if found.versions > 0 {
        return Err(Refusal::BucketNotEmpty {
            name: found.name.to_string(),
            versions: found.versions,
        }
        .into());
    }
    upload::abort_all(place, &found)?;
    place
        .store
        .execute("DELETE FROM bucket WHERE number = ?1", [Sql(found.number)])
        .during("bucket_delete")?;
    Ok(())
}

pub(super) fn losses(place: Place<'_>, id: BucketId, losses: u8) -> Outcome {
    let found = required(place, id)?;
    place
        .store
        .execute(
            "UPDATE bucket SET losses_allowed = ?2 WHERE number = ?1",
            params![Sql(found.number), losses],
        )
        .during("bucket_losses")?;
    Ok(())
}

pub(super) fn versioning(place: Place<'_>, id: BucketId, versioning: Versioning) -> Outcome {
    let found = required(place, id)?;
    let suspended_lock = found.object_lock && versioning == Versioning::Suspended;
    if versioning == Versioning::Off || suspended_lock {
        return Err(Refusal::VersioningFixed(found.name.to_string()).into());
    }
    place
        .store
        .execute(
            "UPDATE bucket SET versioning = ?2 WHERE number = ?1",
            params![Sql(found.number), versioning.word()],
        )
        .during("bucket_versioning")?;
    Ok(())
}

/// Lets versions of a bucket be kept from deletion from now on, which only makes
/// sense where there are versions.
fn lock(place: Place<'_>, found: &Bucket) -> Outcome {
    if found.versioning != Versioning::Enabled {
        return Err(Refusal::NotLockable(found.name.to_string()).into());
    }
    place
        .store
        .execute(
            "UPDATE bucket SET object_lock = TRUE WHERE number = ?1",
            [Sql(found.number)],
        )
        .during("bucket_lock")?;
    Ok(())
}

pub(super) fn document(
    place: Place<'_>,
    id: BucketId,
    kind: DocumentKind,
    document: Option<&str>,
) -> Outcome {
    let found = required(place, id)?;
    if kind == DocumentKind::ObjectLock && !found.object_lock {
        lock(place, &found)?;
    }
    let number = Sql(found.number);
    match document {
        Some(document) => place.store.execute(
            "INSERT INTO bucket_document (bucket, kind, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (bucket, kind) DO UPDATE SET document = ?3",
            params![number, kind.word(), document],
        ),
        None => place.store.execute(
            "DELETE FROM bucket_document WHERE bucket = ?1 AND kind = ?2",
            params![number, kind.word()],
        ),
    }
    .during("bucket_document")?;
    Ok(())
}
