//! What an object is, part by part, without its bytes.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        ETag, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
        ObjectAttributes, ObjectPart, StorageClass,
    },
    s3_error,
};

use super::{head::timestamp, version};
use crate::storage::{
    metadata::{ObjectVersion, PartsOf, query},
    s3::{
        caller::bucket_session,
        digest,
        encryption::{self, CustomerKey, customer},
        fault,
        operations::Operations,
    },
};

/// Parts of a page.
const PARTS_MAX: usize = 1000;

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let choice = version::choice(input.version_id.as_deref())?;
    let key = version::key(&input.key)?;
    let found = version::required(&operations.store, &context.bucket, &key, choice).await?;
    let customer = CustomerKey::read(customer!(input))?;
    let sealing = operations.sealing();
    encryption::open(&found.head, customer.as_ref(), sealing, found.id)?;
    // Several may stand in one header.
    let wanted: Vec<&str> = input
        .object_attributes
        .iter()
        .flat_map(|attributes| attributes.as_str().split(','))
        .map(str::trim)
        .collect();
    if wanted.is_empty() {
        return Err(s3_error!(
            InvalidArgument,
            "The x-amz-object-attributes header is empty."
        ));
    }
    let wants = |attribute: &str| wanted.contains(&attribute);
    let checksum = digest::to_dto(&found.head.checksums);
    let has_parts = wants(ObjectAttributes::OBJECT_PARTS) && found.parts > 0;
    let output = GetObjectAttributesOutput {
        checksum: (wants(ObjectAttributes::CHECKSUM) && checksum.checksum_type.is_some())
            .then_some(checksum),
        e_tag: wants(ObjectAttributes::ETAG).then(|| ETag::Strong(found.etag.clone())),
        last_modified: Some(timestamp(found.created)),
        object_parts: if has_parts {
            Some(parts(operations, &found, &input).await?)
        } else {
            None
        },
        object_size: i64::try_from(found.size)
            .ok()
            .filter(|_| wants(ObjectAttributes::OBJECT_SIZE)),
        storage_class: wants(ObjectAttributes::STORAGE_CLASS)
            .then(|| StorageClass::from_static(StorageClass::STANDARD)),
        version_id: version::told(&context.bucket, &found),
        ..GetObjectAttributesOutput::default()
    };
    Ok(S3Response::new(output))
}

async fn parts(
    operations: &Operations,
    found: &ObjectVersion,
    input: &GetObjectAttributesInput,
) -> S3Result<GetObjectAttributesParts> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "max-parts and part-number-marker must not be negative"
        )
    };
    let limit = input
        .max_parts
        .map_or(Ok(PARTS_MAX), usize::try_from)
        .map_err(|_| invalid())?;
    let limit = limit.min(PARTS_MAX);
    let after = u16::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| invalid())?;
    let of = PartsOf::Version(found.number);
    let mut listed = operations
        .store
        .read(move |connection| query::part_list(connection, of, after, limit + 1))
        .await
        .map_err(|problem| fault::of(&problem))?;
    let is_truncated = listed.len() > limit;
    listed.truncate(limit);
    let next = listed.last().map_or(after, |part| part.number);
    let parts = listed.into_iter().map(|part| {
        let checksum = digest::to_dto(&part.checksums);
        ObjectPart {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            part_number: Some(part.number.into()),
            size: i64::try_from(part.size).ok(),
        }
    });
    Ok(GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: Some(next.into()),
        part_number_marker: Some(after.into()),
        parts: Some(parts.collect()),
        total_parts_count: Some(found.parts.into()),
    })
}
