//! Deleting: a marker that hides, or a version that goes for good.

use gridmart_schemas::id::VersionId;

use super::{
    Outcome, Place, VersionOutcome, bucket,
    version::{self, NewVersion, VersionRow},
};
use crate::storage::metadata::{
    key::ObjectKey,
    manifest::ObjectHead,
    record::{DeleteTarget, ObjectDelete, VersionChoice, Versioning},
    store::Bucket,
};

pub(super) fn delete(place: Place<'_>, change: &ObjectDelete) -> Outcome<VersionOutcome> {
    let ObjectDelete {
        bucket,
        key,
        target,
        condition,
        bypass,
    } = change;
    let bucket = bucket::required(place, *bucket)?;
    let newest = version::newest(place, &bucket, key)?;
    version::check(condition, key, newest.as_ref())?;
    let choice = match *target {
        DeleteTarget::Object { marker } if bucket.versioning != Versioning::Off => {
            return hide(place, &bucket, key, marker, newest.as_ref());
        }
        DeleteTarget::Object { .. } => VersionChoice::Current,
        DeleteTarget::Version(id) => VersionChoice::Id(id),
        DeleteTarget::Null => VersionChoice::Null,
    };
    let version = version::chosen(place, &bucket, key, choice)?;
    version.may_go(place, key, *bypass)?;
    version::remove(place, &bucket, key, &version)?;
    Ok(VersionOutcome {
        version: version.id,
        is_null: version.is_null,
        is_marker: version.is_marker,
        size: version.size,
    })
}

/// Makes a marker, which S3 wants even where there is nothing to hide.
fn hide(
    place: Place<'_>,
    bucket: &Bucket,
    key: &ObjectKey,
    marker: VersionId,
    newest: Option<&VersionRow>,
) -> Outcome<VersionOutcome> {
    let new = NewVersion {
        id: marker,
        key,
        is_marker: true,
        size: 0,
        etag: "",
        parts: 0,
        retention: None,
        legal_hold: false,
        head: &ObjectHead::default(),
    };
    let (tally, is_null) = version::insert(place, bucket, &new, newest)?;
    tally.count(place, bucket)?;
    Ok(VersionOutcome {
        version: marker,
        is_null,
        is_marker: true,
        size: 0,
    })
}
