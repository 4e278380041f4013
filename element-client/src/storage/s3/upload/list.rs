//! Lists of uploads, and of an upload's parts.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        ChecksumType, ETag, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListPartsInput, ListPartsOutput, MultipartUpload, Part as PartDto, StorageClass,
    },
    s3_error,
};

use super::{TYPE, algorithm, required};
use crate::storage::{
    metadata::{Page, Part, PartsOf, Upload, query},
    s3::{
        caller::bucket_session,
        digest::{self, Algorithm},
        fault,
        listing::{LINES_MAX, asked, limit},
        object::{acl, head::timestamp},
        operations::Operations,
    },
};

fn initiator(upload: &Upload) -> Initiator {
    Initiator {
        display_name: Some(upload.owner.to_string()),
        id: Some(upload.owner.to_string()),
    }
}

fn standard() -> StorageClass {
    StorageClass::from_static(StorageClass::STANDARD)
}

fn checksum_type(upload: &Upload) -> Option<ChecksumType> {
    upload
        .head
        .checksums
        .get(TYPE)
        .cloned()
        .map(ChecksumType::from)
}

fn line(part: Part) -> PartDto {
    let checksums = digest::to_dto(&part.checksums);
    PartDto {
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        e_tag: Some(ETag::Strong(part.etag)),
        last_modified: Some(timestamp(part.created)),
        part_number: Some(part.number.into()),
        size: i64::try_from(part.size).ok(),
    }
}

pub(in super::super) async fn parts(
    operations: &Operations,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let upload = required(&operations.store, &context, &input.key, &input.upload_id).await?;
    let limit = limit(input.max_parts, "max-parts")?;
    let after = u16::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| {
        s3_error!(
            InvalidArgument,
            "part-number-marker is not the number of a part"
        )
    })?;
    // A page has a thousand lines at most, and one more tells whether others follow.
    let page = limit.min(LINES_MAX - 1);
    let of = PartsOf::Upload(upload.number);
    let mut listed = operations
        .store
        .read(move |connection| query::part_list(connection, of, after, page + 1))
        .await
        .map_err(|problem| fault::of(&problem))?;
    let is_truncated = page > 0 && listed.len() > page;
    listed.truncate(page);
    let next = listed.last().map(|part| i32::from(part.number));
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(context.bucket.name.to_string()),
        checksum_algorithm: algorithm(&upload).map(Algorithm::name),
        checksum_type: checksum_type(&upload),
        initiator: Some(initiator(&upload)),
        is_truncated: Some(is_truncated),
        key: Some(input.key),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: next,
        owner: Some(acl::effective(&context, &upload.head).to_owner()),
        part_number_marker: Some(after.into()),
        parts: Some(listed.into_iter().map(line).collect()),
        storage_class: Some(standard()),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}

pub(in super::super) async fn uploads(
    operations: &Operations,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let (session, context) = bucket_session(&request)?;
    let mut input = request.input;
    let asked = asked!(&session, input, max_uploads, "max-uploads")?;
    let key_marker = input.key_marker.unwrap_or_default();
    let id_marker = input.upload_id_marker.unwrap_or_default();
    let mut page = asked.page_after(&key_marker);
    if !key_marker.is_empty() && !id_marker.is_empty() {
        let after = required(&operations.store, &context, &key_marker, &id_marker).await;
        if let Ok(after) = after {
            page = Page::Within {
                key: key_marker.clone(),
                number: after.number,
            };
        }
    }
    let request = asked.request(context.bucket.id, page);
    let listed = operations
        .store
        .read(move |connection| query::upload_list(connection, &request))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
    let encoding = asked.encoding;
    let (next_key, next_id) = match &listed.next {
        None | Some(Page::Start) => (None, None),
        Some(Page::After(text) | Page::AfterPrefix(text)) => (Some(encoding.write(text)), None),
        Some(Page::Within { key, .. }) => {
            let last = listed.items.last().map(|upload| upload.id.to_string());
            (Some(encoding.write(key)), last)
        }
    };
    let uploads = listed.items.iter().map(|upload| MultipartUpload {
        checksum_algorithm: algorithm(upload).map(Algorithm::name),
        checksum_type: checksum_type(upload),
        initiated: Some(timestamp(upload.created)),
        initiator: Some(initiator(upload)),
        key: Some(encoding.write(upload.key.as_str())),
        owner: Some(acl::effective(&context, &upload.head).to_owner()),
        storage_class: Some(standard()),
        upload_id: Some(upload.id.to_string()),
    });
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(context.bucket.name.to_string()),
        uploads: Some(uploads.collect()),
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delimiter: asked.delimiter_told(),
        encoding_type: encoding.told(),
        is_truncated: Some(listed.next.is_some()),
        key_marker: Some(encoding.write(&key_marker)),
        max_uploads: asked.limit_told(),
        next_key_marker: next_key,
        next_upload_id_marker: next_id,
        prefix: Some(encoding.write(&asked.prefix)),
        upload_id_marker: Some(id_marker),
        request_charged: None,
    }))
}
