//! Parts: put, or copied of an object.

use std::sync::Arc;

use gridmart_schemas::wire::transfer::TransferDirection;
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        CopyPartResult, ETag, Range as RangeDto, UploadPartCopyInput, UploadPartCopyOutput,
        UploadPartInput, UploadPartOutput,
    },
    s3_error,
};

use super::{PART_MAX, algorithm, missing, required};
use crate::storage::{
    data::DataTarget,
    metadata::{Change, Committed, PartPut, Upload},
    s3::{
        caller::{Session, bucket_session},
        context::BucketContext,
        digest::{self, Algorithm},
        encryption::{self, Cipher, CustomerKey, NONCE, customer, plain, source_customer},
        fault,
        flow::{self, Intake, Whole},
        moving::{self, Move},
        object::{
            copy::{Original, source_conditions},
            head::timestamp,
            write::expected,
        },
        operations::Operations,
        store::Sink,
    },
    transfers::Running,
};

fn number(asked: i32) -> S3Result<u16> {
    u16::try_from(asked)
        .ok()
        .filter(|_| (1..=PART_MAX).contains(&asked))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            )
        })
}

fn sink(operations: &Operations, context: &BucketContext, upload: &Upload) -> S3Result<Sink> {
    operations.store.write_data(DataTarget {
        bucket: context.bucket.id,
        version: upload.version,
        losses: context.bucket.losses_allowed,
        redundancy: context.bucket.redundancy,
    })
}

/// A part that was made.
struct Made {
    etag: String,
    checksums: s3s::dto::Checksum,
    committed: Committed,
}

/// How a part is encrypted, if its upload is: each with a nonce of its own, also
/// when one is put again.
struct Sealing {
    cipher: Option<Cipher>,
    nonce: u64,
}

impl Sealing {
    fn begin(
        operations: &Operations,
        upload: &Upload,
        customer: Option<&CustomerKey>,
    ) -> S3Result<Self> {
        let sealing = operations.sealing();
        Ok(Self {
            cipher: encryption::open(&upload.head, customer, sealing, upload.version)?,
            nonce: rand::random(),
        })
    }

    fn intake(
        &self,
        sink: Sink,
        running: &Arc<Running>,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Intake {
        Intake::new(sink, running, algorithms).encrypted(self.cipher.clone(), self.nonce)
    }
}

/// Begins the transfer that a request for a part is.
fn begin(
    operations: &Operations,
    (session, context): (&Session, &BucketContext),
    upload: &Upload,
    (direction, bytes): (TransferDirection, Option<u64>),
) -> S3Result<Arc<Running>> {
    let moved = Move {
        session,
        context,
        key: upload.key.as_str(),
        direction,
        bytes,
    };
    moving::begin(operations, &moved)
}

async fn finish(
    operations: &Operations,
    upload: &Upload,
    number: u16,
    (whole, sealing): (Whole, &Sealing),
) -> S3Result<Made> {
    let taken = whole.finish().await?;
    let etag = hex::encode(taken.digested.md5);
    let mut checksums = digest::to_metadata(&taken.digested.checksums);
    let told = digest::to_dto(&checksums);
    if sealing.cipher.is_some() {
        checksums.insert(NONCE.to_owned(), format!("{:x}", sealing.nonce));
    }
    let committed = operations
        .store
        .commit(Change::PartPut(PartPut {
            upload: upload.id,
            number,
            size: taken.size,
            etag: etag.clone(),
            checksums,
            stripes: taken.stripes,
        }))
        .await
        .map_err(|problem| match problem.code {
            gridmart_schemas::problem::Code::NotFound => missing(),
            _ => fault::of(&problem),
        })?;
    Ok(Made {
        etag,
        checksums: told,
        committed,
    })
}

pub(in super::super) async fn put(
    operations: &Operations,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = &request.input;
    let customer = CustomerKey::read(customer!(input))?;
    let number = number(input.part_number)?;
    let length = input
        .content_length
        .and_then(|length| u64::try_from(length).ok());
    if length.is_some_and(|length| length > flow::PUT_BYTES_MAX) {
        return Err(flow::too_large());
    }
    let upload = required(&operations.store, &context, &input.key, &input.upload_id).await?;
    let wanted = algorithm(&upload);
    let expected = expected!(request)?;
    let foreign = expected
        .algorithms()
        .find(|one| wanted.is_some_and(|wanted| wanted != *one));
    if let Some((foreign, wanted)) = foreign.zip(wanted) {
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual checksum Type: {foreign}"
        ));
    }
    let expected = expected.with(wanted);
    let sealing = Sealing::begin(operations, &upload, customer.as_ref())?;
    let sink = sink(operations, &context, &upload)?;
    let direction = TransferDirection::Put;
    let running = begin(
        operations,
        (&session, &context),
        &upload,
        (direction, length),
    )?;
    let mut intake = sealing.intake(sink, &running, expected.algorithms());
    let body = request.input.body.take();
    let work = async {
        intake.take_body(body).await?;
        let whole = intake.whole().await?;
        expected.check(&whole.digested)?;
        finish(operations, &upload, number, (whole, &sealing)).await
    };
    let made = moving::carry(running, Box::pin(work)).await?;
    let told = encryption::told(&upload.head, customer.as_ref());
    Ok(S3Response::new(UploadPartOutput {
        checksum_crc32: made.checksums.checksum_crc32,
        checksum_crc32c: made.checksums.checksum_crc32c,
        checksum_crc64nvme: made.checksums.checksum_crc64nvme,
        checksum_sha1: made.checksums.checksum_sha1,
        checksum_sha256: made.checksums.checksum_sha256,
        e_tag: Some(ETag::Strong(made.etag)),
        server_side_encryption: told.server,
        sse_customer_algorithm: told.algorithm,
        sse_customer_key_md5: told.md5,
        ..UploadPartOutput::default()
    }))
}

/// The range of the source that becomes the part.
fn source_range(asked: Option<&str>, size: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(text) = asked else {
        return Ok(0..size);
    };
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and \
             last are the zero-based offsets of the first and last bytes to copy"
        )
    };
    match RangeDto::parse(text).map_err(|_| invalid())? {
        RangeDto::Int {
            first,
            last: Some(last),
        } if first <= last => {
            if last >= size {
                return Err(s3_error!(
                    InvalidRange,
                    "Range specified is not valid for source object of size: {size}"
                ));
            }
            Ok(first..last + 1)
        }
        _ => Err(invalid()),
    }
}

pub(in super::super) async fn copy(
    operations: &Operations,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = request.input;
    let customer = CustomerKey::read(customer!(input))?;
    let source_key = CustomerKey::read(source_customer!(input))?;
    let number = number(input.part_number)?;
    let upload = required(&operations.store, &context, &input.key, &input.upload_id).await?;
    let conditions = source_conditions!(input);
    let original = Original::find(operations, &session, &input.copy_source, &conditions).await?;
    let range = source_range(input.copy_source_range.as_deref(), original.version.size)?;
    let length = Some(range.end - range.start);
    let algorithms: Option<Algorithm> = algorithm(&upload);
    let sealing = Sealing::begin(operations, &upload, customer.as_ref())?;
    let original_version = (&original.version, Vec::new());
    let source = plain(operations, original_version, range, source_key.as_ref()).await?;
    let direction = TransferDirection::Copy;
    let running = begin(
        operations,
        (&session, &context),
        &upload,
        (direction, length),
    )?;
    let mut intake = sealing.intake(sink(operations, &context, &upload)?, &running, algorithms);
    let work = async {
        intake.take_source(source).await?;
        finish(
            operations,
            &upload,
            number,
            (intake.whole().await?, &sealing),
        )
        .await
    };
    let made = moving::carry(running, Box::pin(work)).await?;
    let told = encryption::told(&upload.head, customer.as_ref());
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            checksum_crc32: made.checksums.checksum_crc32,
            checksum_crc32c: made.checksums.checksum_crc32c,
            checksum_crc64nvme: made.checksums.checksum_crc64nvme,
            checksum_sha1: made.checksums.checksum_sha1,
            checksum_sha256: made.checksums.checksum_sha256,
            e_tag: Some(ETag::Strong(made.etag)),
            last_modified: Some(timestamp(made.committed.time)),
        }),
        copy_source_version_id: original.version_told(),
        server_side_encryption: told.server,
        sse_customer_algorithm: told.algorithm,
        sse_customer_key_md5: told.md5,
        ..UploadPartCopyOutput::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sources_are_within_them() {
        let of = |text, size| source_range(text, size);
        assert_eq!(of(None, 7).unwrap(), 0..7);
        assert_eq!(of(Some("bytes=0-6"), 7).unwrap(), 0..7);
        assert_eq!(of(Some("bytes=6-6"), 7).unwrap(), 6..7);
        for (bad, code) in [
            ("bytes=0-7", "InvalidRange"),
            ("bytes=0-", "InvalidArgument"),
            ("bytes=-1", "InvalidArgument"),
            ("bytes=5-2", "InvalidArgument"),
            ("bytes=hello-world", "InvalidArgument"),
            ("0-2", "InvalidArgument"),
        ] {
            assert_eq!(of(Some(bad), 7).unwrap_err().code().as_str(), code, "{bad}");
        }
        assert!(number(0).is_err() && number(10_001).is_err() && number(10_000).is_ok());
    }
}
