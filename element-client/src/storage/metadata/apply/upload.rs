//! Uploads in parts.

use gridmart_schemas::id::UploadId;
use rusqlite::params;

use super::{
    Outcome, Place, VersionOutcome, bucket,
    stripe::{self, NewPart, PartOf},
    tally::Tally,
    version::{self, NewVersion},
};
use crate::storage::metadata::{
    manifest::stripes_fault,
    record::{PartChoice, PartPut, UploadComplete, UploadCreate},
    refusal::Refusal,
    store::{Bucket, During as _, Sql, Upload, own, query, to_json, upload_part},
};

/// The largest number of a part, as S3 has it.
const PART_MAX: u16 = 10_000;

fn required(place: Place<'_>, id: UploadId) -> Outcome<(Upload, Bucket)> {
    let upload = query::upload(place.store, id)?.ok_or(Refusal::UploadUnknown(id))?;
    let bucket = place
        .store
        .prepare_cached("SELECT id FROM bucket WHERE number = ?1")
        .and_then(|mut statement| statement.query_row([Sql(upload.bucket)], |row| own(row, "id")))
        .during("upload's bucket")?;
    let bucket = bucket::required(place, bucket)?;
    Ok((upload, bucket))
}

pub(super) fn create(place: Place<'_>, change: &UploadCreate) -> Outcome {
    let UploadCreate {
        upload,
        version,
        bucket,
        key,
        owner,
        head,
        retention,
        legal_hold,
    } = change;
    let bucket = bucket::required(place, *bucket)?;
    if !bucket.object_lock && (retention.is_some() || *legal_hold) {
        return Err(Refusal::NotLockable(bucket.name.to_string()).into());
    }
    if query::upload(place.store, *upload)?.is_some() {
        return Err(Refusal::UploadExists(*upload).into());
    }
    let write = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached(
                "INSERT INTO upload (number, id, version, bucket, key, owner, created,
                                     retention_mode, retain_until, legal_hold, head)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                Sql(place.sequence),
                Sql(*upload),
                Sql(*version),
                Sql(bucket.number),
                Sql(key),
                owner.as_str(),
                Sql(place.time),
                retention.map(|retention| retention.mode.word()),
                retention.map(|retention| Sql(retention.until)),
                legal_hold,
                to_json(head)?
            ])
            .map(drop)
    };
    write().during("upload_create")?;
    Ok(())
}

pub(super) fn part_put(place: Place<'_>, put: &PartPut) -> Outcome {
    let (upload, bucket) = required(place, put.upload)?;
    if !(1..=PART_MAX).contains(&put.number) {
        let fault = format!("a part has the number {}", put.number);
        return Err(Refusal::Malformed(fault).into());
    }
    if let Some(fault) = stripes_fault(&put.stripes, put.size) {
        return Err(Refusal::Malformed(fault).into());
    }
    let mut tally = Tally {
        upload_bytes: put.size.cast_signed(),
        ..Tally::default()
    };
    if let Some(replaced) = upload_part(place.store, upload.number, put.number)? {
        tally.upload_bytes -= replaced.size.cast_signed();
        stripe::parts_discard(place, upload.number, Some(replaced.row))?;
    }
    tally.fits(&bucket)?;
    tally.count(place, &bucket)?;
    let part = NewPart {
        of: PartOf::Upload(upload.number),
        number: put.number,
        size: put.size,
        etag: &put.etag,
        checksums: &put.checksums,
        stripes: &put.stripes,
    };
    stripe::part_insert(place, &part)
}

pub(super) fn complete(place: Place<'_>, change: &UploadComplete) -> Outcome<VersionOutcome> {
    let (upload, bucket) = required(place, change.upload)?;
    let newest = version::newest(place, &bucket, &upload.key)?;
    version::check(&change.condition, &upload.key, newest.as_ref())?;
    let upload_size = stripe::parts_size(place, upload.number)?;
    let size = adopt(place, &upload, &change.parts)?;
    let mut head = upload.head.clone();
    head.checksums.clone_from(&change.checksums);
    let new = NewVersion {
        id: upload.version,
        key: &upload.key,
        is_marker: false,
        size,
        etag: &change.etag,
        parts: change.parts.len(),
        retention: upload.retention,
        legal_hold: upload.legal_hold,
        head: &head,
    };
    let (mut tally, is_null) = version::insert(place, &bucket, &new, newest.as_ref())?;
    tally.upload_bytes -= upload_size.cast_signed();
    tally.fits(&bucket)?;
    tally.count(place, &bucket)?;
    forget(place, &upload)?;
    Ok(VersionOutcome {
        version: upload.version,
        is_null,
        is_marker: false,
        size,
    })
}

/// Gives parts of an upload to the version that is being made; gives its size.
fn adopt(place: Place<'_>, upload: &Upload, parts: &[PartChoice]) -> Outcome<u64> {
    let grows = parts.is_sorted_by(|one, next| one.number < next.number);
    if parts.is_empty() || !grows {
        return Err(Refusal::PartsOutOfOrder.into());
    }
    let mut size = 0_u64;
    for choice in parts {
        let part = upload_part(place.store, upload.number, choice.number)?
            .filter(|part| part.etag == choice.etag)
            .ok_or(Refusal::PartUnknown {
                number: choice.number,
            })?;
        place
            .store
            .prepare_cached(
                "UPDATE part SET version = ?2, upload = NULL, start = ?3 WHERE number = ?1",
            )
            .and_then(|mut statement| {
                statement.execute(params![Sql(part.row), Sql(place.sequence), Sql(size)])
            })
            .during("upload_complete")?;
        size = size.saturating_add(part.size);
    }
    Ok(size)
}

pub(super) fn abort(place: Place<'_>, id: UploadId) -> Outcome {
    let (upload, bucket) = required(place, id)?;
    let tally = Tally {
        upload_bytes: -stripe::parts_size(place, upload.number)?.cast_signed(),
        ..Tally::default()
    };
    tally.count(place, &bucket)?;
    forget(place, &upload)
}

/// Aborts all uploads of a bucket that goes.
pub(super) fn abort_all(place: Place<'_>, bucket: &Bucket) -> Outcome {
    let uploads: Vec<UploadId> = place
        .store
        .prepare_cached("SELECT id FROM upload WHERE bucket = ?1")
        .and_then(|mut statement| {
            statement
                .query_map([Sql(bucket.number)], |row| own(row, "id"))?
                .collect()
        })
        .during("uploads of a bucket")?;
    uploads.into_iter().try_for_each(|id| abort(place, id))
}

/// Removes an upload; the parts that it still has are left to be collected.
fn forget(place: Place<'_>, upload: &Upload) -> Outcome {
    stripe::parts_discard(place, upload.number, None)?;
    place
        .store
        .prepare_cached("DELETE FROM upload WHERE number = ?1")
        .and_then(|mut statement| statement.execute([Sql(upload.number)]))
        .during("upload_forget")?;
    Ok(())
}
