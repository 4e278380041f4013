//! Uploads in parts.

pub(super) mod begin;
pub(super) mod complete;
pub(super) mod list;
pub(super) mod part;

use gridmart_schemas::id::{UploadId, VersionId};
use s3s::{S3Result, s3_error};

use super::{context::BucketContext, digest::Algorithm, fault, object::version, store::Store};
use crate::storage::metadata::{ListingRequest, Page, Upload, query};

/// In the metadata of an upload: the algorithm of its checksums.
const ALGORITHM: &str = "algorithm";
/// In the metadata of an upload: whether they are of the whole.
const TYPE: &str = "type";
/// The least bytes of a part that is not the last, as S3 has it.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// The largest number of a part, as S3 has it.
const PART_MAX: i32 = 10_000;

fn missing() -> s3s::S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified multipart upload does not exist. The upload ID might be invalid, or the \
         multipart upload might have been aborted or completed."
    )
}

/// Finds the upload that a request names; it must be one of its bucket and key.
async fn required(store: &Store, context: &BucketContext, key: &str, id: &str) -> S3Result<Upload> {
    let id: UploadId = id.parse().map_err(|_| missing())?;
    let key = version::key(key)?;
    let bucket = context.bucket.id;
    let found = store
        .read(move |connection| {
            let Some(upload) = query::upload(connection, id)?.filter(|upload| upload.key == key)
            else {
                return Ok(None);
            };
            // The bucket is not told by the upload itself: its own list has it or not.
            let mut request = ListingRequest {
                bucket,
                prefix: key.as_str().to_owned(),
                delimiter: None,
                page: Page::Start,
                limit: 1,
            };
            request.page = match upload.number.checked_sub(1) {
                Some(number) => Page::Within {
                    key: key.as_str().to_owned(),
                    number,
                },
                None => Page::Start,
            };
            let listed = query::upload_list(connection, &request)?;
            Ok(listed.items.into_iter().find(|found| found.id == upload.id))
        })
        .await
        .map_err(|problem| fault::of(&problem))?;
    found.ok_or_else(missing)
}

/// The version that an upload becomes. Its id tells an upload's outcome when the
/// upload itself is gone.
const fn version_of(upload: UploadId) -> VersionId {
    VersionId::from_uuid(*upload.as_uuid())
}

/// The algorithm of an upload's checksums, if it has any.
fn algorithm(upload: &Upload) -> Option<Algorithm> {
    Algorithm::parse(upload.head.checksums.get(ALGORITHM)?).ok()
}

/// Whether the checksum will be of the whole.
fn is_full(upload: &Upload) -> bool {
    upload
        .head
        .checksums
        .get(TYPE)
        .is_some_and(|word| word == "FULL_OBJECT")
}
