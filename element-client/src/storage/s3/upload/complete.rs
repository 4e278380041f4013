//! Making an object of the parts of an upload.

use std::collections::BTreeMap;

use gridmart_schemas::problem::Code;
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
        ETag,
    },
    s3_error,
};

use super::{PART_BYTES_MIN, PART_MAX, algorithm, is_full, missing, required, version_of};
use crate::storage::{
    metadata::{
        Change, ObjectHead, Part, PartChoice, PartsOf, Upload, UploadComplete, VersionChoice, query,
    },
    s3::{
        caller::bucket_session,
        context::BucketContext,
        digest::{Algorithm, PartSum, combined, composite, multipart_etag, to_dto},
        encryption::{self, CustomerKey, customer},
        fault,
        object::{condition, version, write::version_made},
        operations::Operations,
        store::Store,
    },
};

/// Parts that are read at a time.
const PARTS_PAGE: usize = 1000;

fn invalid_part() -> s3s::S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part might not have been \
         uploaded, or the specified entity tag might not have matched the part's entity tag."
    )
}

fn too_small() -> s3s::S3Error {
    s3_error!(
        EntityTooSmall,
        "Your proposed upload is smaller than the minimum allowed object size."
    )
}

/// All parts of an upload, by number.
async fn parts_of(store: &Store, upload: &Upload) -> S3Result<BTreeMap<u16, Part>> {
    let of = PartsOf::Upload(upload.number);
    let read = store.read(move |connection| {
        let mut parts = BTreeMap::new();
        loop {
            let after = parts.last_key_value().map_or(0, |(number, _)| *number);
            let page = query::part_list(connection, of, after, PARTS_PAGE)?;
            if page.is_empty() {
                return Ok(parts);
            }
            parts.extend(page.into_iter().map(|part| (part.number, part)));
        }
    });
    read.await.map_err(|problem| fault::of(&problem))
}

/// What a request names of a part.
fn told_checksum(part: &CompletedPart, algorithm: Algorithm) -> Option<&str> {
    match algorithm {
        Algorithm::Crc32 => part.checksum_crc32.as_deref(),
        Algorithm::Crc32c => part.checksum_crc32c.as_deref(),
        Algorithm::Crc64Nvme => part.checksum_crc64nvme.as_deref(),
        Algorithm::Sha1 => part.checksum_sha1.as_deref(),
        Algorithm::Sha256 => part.checksum_sha256.as_deref(),
    }
}

/// Of a part that stands twice in a row the last one counts: it was put again.
fn lasting(told: Vec<CompletedPart>) -> Vec<CompletedPart> {
    let mut lasting: Vec<CompletedPart> = Vec::with_capacity(told.len());
    for part in told {
        if lasting
            .last()
            .is_some_and(|last| last.part_number == part.part_number)
        {
            lasting.pop();
        }
        lasting.push(part);
    }
    lasting
}

/// The parts that make the object, in order.
fn chosen<'a>(told: &[CompletedPart], parts: &'a BTreeMap<u16, Part>) -> S3Result<Vec<&'a Part>> {
    if told.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    let mut chosen: Vec<&Part> = Vec::with_capacity(told.len());
    for part in told {
        let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
        if !(1..=PART_MAX).contains(&number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        if chosen
            .last()
            .is_some_and(|last| i32::from(last.number) >= number)
        {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        let found = u16::try_from(number)
            .ok()
            .and_then(|number| parts.get(&number));
        let found = found.ok_or_else(invalid_part)?;
        if part
            .e_tag
            .as_ref()
            .is_none_or(|etag| etag.value() != found.etag)
        {
            return Err(invalid_part());
        }
        for algorithm in Algorithm::ALL {
            let (said, known) = (
                told_checksum(part, algorithm),
                found.checksums.get(algorithm.word()),
            );
            if said.zip(known).is_some_and(|(said, known)| said != known) {
                return Err(invalid_part());
            }
        }
        chosen.push(found);
    }
    let last = chosen.len() - 1;
    if chosen
        .iter()
        .take(last)
        .any(|part| part.size < PART_BYTES_MIN)
    {
        return Err(too_small());
    }
    Ok(chosen)
}

/// The checksum of the whole, as the upload was begun.
fn checksum(upload: &Upload, parts: &[&Part]) -> S3Result<BTreeMap<String, String>> {
    let Some(algorithm) = algorithm(upload) else {
        return Ok(BTreeMap::new());
    };
    let sums: Option<Vec<_>> = parts
        .iter()
        .map(|part| {
            let value = part.checksums.get(algorithm.word())?;
            Some(PartSum {
                value,
                size: part.size,
            })
        })
        .collect();
    let sums = sums.ok_or_else(invalid_part)?;
    let value = if is_full(upload) {
        combined(algorithm, &sums)
    } else {
        composite(algorithm, &sums)
    };
    let value =
        value.ok_or_else(|| s3_error!(InternalError, "The checksum cannot be computed."))?;
    Ok(BTreeMap::from([(algorithm.word().to_owned(), value)]))
}

/// Whether the whole is what the request says.
fn check_whole(
    input: &CompleteMultipartUploadInput,
    upload: &Upload,
    parts: &[&Part],
    checksums: &BTreeMap<String, String>,
) -> S3Result<()> {
    let size: u64 = parts.iter().map(|part| part.size).sum();
    let is_size = input
        .mpu_object_size
        .is_none_or(|told| u64::try_from(told) == Ok(size));
    if !is_size {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header value does not match what was computed."
        ));
    }
    let kind = if is_full(upload) {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    };
    let is_kind = input
        .checksum_type
        .as_ref()
        .is_none_or(|told| told.as_str() == kind);
    if !is_kind {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was created with another checksum type than the request names."
        ));
    }
    let told = [
        (Algorithm::Crc32, &input.checksum_crc32),
        (Algorithm::Crc32c, &input.checksum_crc32c),
        (Algorithm::Crc64Nvme, &input.checksum_crc64nvme),
        (Algorithm::Sha1, &input.checksum_sha1),
        (Algorithm::Sha256, &input.checksum_sha256),
    ];
    for (algorithm, told) in told {
        let known = checksums.get(algorithm.word());
        // Of a composite checksum the number of parts may be left out.
        let is_same = |told: &str, known: &str| {
            known == told
                || known
                    .split_once('-')
                    .is_some_and(|(value, _)| value == told)
        };
        if let (Some(told), Some(known)) = (told, known)
            && !is_same(told, known)
        {
            return Err(s3_error!(
                BadDigest,
                "The {algorithm} you specified did not match the calculated checksum."
            ));
        }
    }
    Ok(())
}

/// What an upload has become by the same request, which a program repeats whose
/// answer was lost.
async fn made(
    operations: &Operations,
    context: &BucketContext,
    input: &CompleteMultipartUploadInput,
    told: &[CompletedPart],
) -> S3Result<Option<S3Response<CompleteMultipartUploadOutput>>> {
    let Ok(upload) = input.upload_id.parse() else {
        return Ok(None);
    };
    let key = version::key(&input.key)?;
    let choice = VersionChoice::Id(version_of(upload));
    let found = version::find(&operations.store, context.bucket.id, &key, choice).await?;
    let etags = told.iter().map(|part| part.e_tag.as_ref().map(ETag::value));
    let etags: Option<Vec<_>> = etags.collect();
    let etag = etags.and_then(|etags| multipart_etag(etags.into_iter()));
    let Some(found) = found.filter(|found| Some(&found.etag) == etag.as_ref()) else {
        return Ok(None);
    };
    let version_id = version::told(&context.bucket, &found);
    Ok(Some(S3Response::new(output(
        context,
        input,
        (found.etag, version_id),
        (&found.head, &found.head.checksums),
    ))))
}

fn output(
    context: &BucketContext,
    input: &CompleteMultipartUploadInput,
    (etag, version_id): (String, Option<String>),
    (head, checksums): (&ObjectHead, &BTreeMap<String, String>),
) -> CompleteMultipartUploadOutput {
    let checksums = to_dto(checksums);
    CompleteMultipartUploadOutput {
        bucket: Some(context.bucket.name.to_string()),
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        checksum_type: checksums.checksum_type,
        e_tag: Some(ETag::Strong(etag)),
        key: Some(input.key.clone()),
        location: Some(format!("/{}/{}", context.bucket.name, input.key)),
        version_id,
        server_side_encryption: encryption::told(head, None).server,
        ..CompleteMultipartUploadOutput::default()
    }
}

pub(in super::super) async fn complete(
    operations: &Operations,
    mut request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let (_, context) = bucket_session(&request)?;
    let told = request.input.multipart_upload.take();
    let told = lasting(told.and_then(|told| told.parts).unwrap_or_default());
    let input = &request.input;
    let customer = CustomerKey::read(customer!(input))?;
    let upload = match required(&operations.store, &context, &input.key, &input.upload_id).await {
        Err(error) if *error.code() == S3ErrorCode::NoSuchUpload => {
            let made = made(operations, &context, input, &told).await?;
            return made.ok_or(error);
        }
        found => found?,
    };
    let sealing = operations.sealing();
    encryption::open(&upload.head, customer.as_ref(), sealing, upload.version)?;
    let parts = parts_of(&operations.store, &upload).await?;
    let chosen = chosen(&told, &parts)?;
    let checksums = checksum(&upload, &chosen)?;
    check_whole(input, &upload, &chosen, &checksums)?;
    let etag = multipart_etag(chosen.iter().map(|part| part.etag.as_str()));
    let etag = etag.ok_or_else(|| s3_error!(InternalError, "The ETag cannot be computed."))?;
    let committed = operations
        .store
        .commit(Change::UploadComplete(UploadComplete {
            upload: upload.id,
            parts: chosen
                .iter()
                .map(|part| PartChoice {
                    number: part.number,
                    etag: part.etag.clone(),
                })
                .collect(),
            etag: etag.clone(),
            checksums: checksums.clone(),
            condition: condition::on_write(input.if_match.as_ref(), input.if_none_match.as_ref()),
        }))
        .await;
    let is_conditional = input.if_match.is_some();
    let committed = committed.map_err(|problem| match problem.code {
        Code::NotFound if is_conditional => version::missing(),
        Code::NotFound => missing(),
        Code::InvalidRequest => invalid_part(),
        _ => fault::of(&problem),
    })?;
    let version_id = version_made(&context.bucket, &committed);
    let output = output(
        &context,
        input,
        (etag, version_id),
        (&upload.head, &checksums),
    );
    let mut response = S3Response::new(output);
    let told = encryption::told(&upload.head, customer.as_ref());
    response.headers.extend(told.customer_headers());
    Ok(response)
}
