//! Putting objects.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gridmart_schemas::{id::VersionId, wire::transfer::TransferDirection};
use s3s::{
    S3Request, S3Response, S3Result, TrailingHeaders,
    dto::{ETag, PutObjectInput, PutObjectOutput},
    s3_error,
};

use super::{acl, condition, head::told, lock, version};
use crate::storage::{
    data::DataTarget,
    metadata::{
        Applied, Bucket, Change, Committed, Condition, ObjectHead, ObjectKey, ObjectPut, Retention,
        Versioning,
    },
    s3::{
        caller::bucket_session,
        context::BucketContext,
        digest::{self, Algorithm, Checksums, Digested},
        encryption::{self, Cipher, Wanted, customer},
        fault,
        flow::{self, Intake},
        moving::{self, Move},
        operations::Operations,
    },
};

/// What a request says that its body must be.
#[derive(Debug, Default)]
pub(in super::super) struct Expected {
    md5: Option<[u8; 16]>,
    checksums: Checksums,
    /// To be computed, whether they are expected or not.
    computed: BTreeSet<Algorithm>,
    /// Comes after the body.
    trailing: Option<TrailingHeaders>,
}

/// Takes what is expected out of an operation's input.
macro_rules! expected {
    ($request:expr) => {{
        let input = &$request.input;
        $crate::storage::s3::object::write::Expected::read(
            input.content_md5.as_deref(),
            [
                (Algorithm::Crc32, input.checksum_crc32.as_deref()),
                (Algorithm::Crc32c, input.checksum_crc32c.as_deref()),
                (Algorithm::Crc64Nvme, input.checksum_crc64nvme.as_deref()),
                (Algorithm::Sha1, input.checksum_sha1.as_deref()),
                (Algorithm::Sha256, input.checksum_sha256.as_deref()),
            ],
            input
                .checksum_algorithm
                .as_ref()
                .map(s3s::dto::ChecksumAlgorithm::as_str),
            &$request.headers,
            $request.trailing_headers.clone(),
        )
    }};
}
pub(in super::super) use expected;

impl Expected {
    pub(in super::super) fn read(
        md5: Option<&str>,
        told: [(Algorithm, Option<&str>); 5],
        algorithm: Option<&str>,
        headers: &http::HeaderMap,
        trailing: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        let mut expected = Self {
            md5: md5.map(md5_read).transpose()?,
            trailing,
            ..Self::default()
        };
        for (algorithm, value) in told {
            if let Some(value) = value {
                if !algorithm.is_valid(value) {
                    return Err(invalid(algorithm));
                }
                expected.checksums.insert(algorithm, value.to_owned());
                expected.computed.insert(algorithm);
            }
        }
        if expected.checksums.len() > 1 {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
        let trailers = headers
            .get_all("x-amz-trailer")
            .iter()
            .filter_map(|names| names.to_str().ok());
        for name in trailers.flat_map(|names| names.split(',')) {
            expected.computed.extend(Algorithm::of_header(name.trim()));
        }
        if expected.computed.is_empty() {
            expected
                .computed
                .extend(algorithm.map(Algorithm::parse).transpose()?);
        }
        Ok(expected)
    }

    /// Computes that as well.
    pub(in super::super) fn with(mut self, algorithm: Option<Algorithm>) -> Self {
        self.computed.extend(algorithm);
        self
    }

    pub(in super::super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> + use<> {
        self.computed.clone().into_iter()
    }

    /// Whether what came is what was meant.
    pub(in super::super) fn check(&self, found: &Digested) -> S3Result<()> {
        if self.md5.is_some_and(|md5| md5 != found.md5) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        for (algorithm, value) in self.checksums.iter().chain(&self.trailed()?) {
            if found.checksums.get(algorithm) != Some(value) {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name().as_str()
                ));
            }
        }
        Ok(())
    }

    fn trailed(&self) -> S3Result<Checksums> {
        let read = |headers: &http::HeaderMap| {
            let found = headers.iter().filter_map(|(name, value)| {
                Some((
                    Algorithm::of_header(name.as_str())?,
                    value.to_str().ok()?.to_owned(),
                ))
            });
            found.collect()
        };
        let found: Checksums = self
            .trailing
            .as_ref()
            .and_then(|trailing| trailing.read(read))
            .unwrap_or_default();
        match found
            .iter()
            .find(|(algorithm, value)| !algorithm.is_valid(value))
        {
            Some((algorithm, _)) => Err(invalid(*algorithm)),
            None => Ok(found),
        }
    }
}

fn invalid(algorithm: Algorithm) -> s3s::S3Error {
    s3_error!(
        BadDigest,
        "Value for x-amz-checksum-{algorithm} header is invalid."
    )
}

fn md5_read(text: &str) -> S3Result<[u8; 16]> {
    let bytes = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))
}

/// An object that is about to be made.
pub(in super::super) struct NewObject {
    pub(in super::super) key: ObjectKey,
    pub(in super::super) version: VersionId,
    pub(in super::super) head: ObjectHead,
    pub(in super::super) retention: Option<Retention>,
    pub(in super::super) legal_hold: bool,
}

impl NewObject {
    /// Gives it a key of its own, if it is to be encrypted.
    pub(in super::super) fn seal(
        &mut self,
        operations: &Operations,
        wanted: &Wanted,
    ) -> S3Result<Option<Cipher>> {
        encryption::begin(&mut self.head, wanted, operations.sealing(), self.version)
    }

    pub(in super::super) fn target(&self, bucket: &Bucket) -> DataTarget {
        DataTarget {
            bucket: bucket.id,
            version: self.version,
            redundancy: bucket.redundancy,
            losses: bucket.losses_allowed,
        }
    }

    /// Shows it, with bytes that are durable.
    pub(in super::super) async fn commit(
        mut self,
        operations: &Operations,
        bucket: &Bucket,
        taken: flow::Taken,
        condition: Condition,
    ) -> S3Result<MadeObject> {
        let etag = hex::encode(taken.digested.md5);
        self.head.checksums = digest::to_metadata(&taken.digested.checksums);
        let checksums = digest::to_dto(&self.head.checksums);
        let committed = operations
            .store
            .commit(Change::ObjectPut(ObjectPut {
                bucket: bucket.id,
                key: self.key,
                version: self.version,
                size: taken.size,
                etag: etag.clone(),
                head: self.head,
                retention: self.retention,
                legal_hold: self.legal_hold,
                stripes: taken.stripes,
                condition,
            }))
            .await
            .map_err(write_fault)?;
        Ok(MadeObject {
            committed,
            etag,
            checksums,
        })
    }
}

/// An object that is there.
pub(in super::super) struct MadeObject {
    pub(in super::super) committed: Committed,
    pub(in super::super) etag: String,
    pub(in super::super) checksums: s3s::dto::Checksum,
}

/// How the version is called that a change made; none where no versions are kept
/// any more: it has no name of its own.
pub(in super::super) fn version_made(bucket: &Bucket, committed: &Committed) -> Option<String> {
    match &committed.applied {
        Applied::Version(outcome) if bucket.versioning == Versioning::Enabled => {
            Some(outcome.version.to_string())
        }
        _ => None,
    }
}

/// What a conditional write is answered that does not hold.
pub(in super::super) fn write_fault(problem: gridmart_schemas::problem::Problem) -> s3s::S3Error {
    fault::where_missing(s3s::S3ErrorCode::NoSuchKey)(problem)
}

pub(in super::super) async fn put(
    operations: &Operations,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let (session, context) = bucket_session(&request)?;
    let expected = expected!(request)?;
    let input = &mut request.input;
    let wanted = Wanted::read(
        input.server_side_encryption.as_ref(),
        input.ssekms_key_id.as_deref(),
        customer!(input),
        context.is_encrypted,
    )?;
    if input.write_offset_bytes.is_some() {
        return fault::not_implemented("Appending to objects");
    }
    let length = input
        .content_length
        .and_then(|length| u64::try_from(length).ok());
    if length.is_some_and(|length| length > flow::PUT_BYTES_MAX) {
        return Err(flow::too_large());
    }
    let mut head = told!(input).into_head()?;
    acl::put_into(
        &mut head,
        (&session, &context),
        input.acl.as_ref().map(s3s::dto::ObjectCannedACL::as_str),
        &acl::grants!(input, &request.headers),
    )?;
    let protection = lock::of_input(
        operations,
        &context,
        input.object_lock_mode.as_ref(),
        input.object_lock_retain_until_date.as_ref(),
        input.object_lock_legal_hold_status.as_ref(),
    )
    .await?;
    let mut object = NewObject {
        key: version::key(&input.key)?,
        version: VersionId::generate(),
        head,
        retention: protection.retention,
        legal_hold: protection.legal_hold,
    };
    let condition = condition::on_write(input.if_match.as_ref(), input.if_none_match.as_ref());
    let cipher = object.seal(operations, &wanted)?;
    let sink = operations
        .store
        .write_data(object.target(&context.bucket))?;
    let running = moving::begin(
        operations,
        &Move {
            session: &session,
            context: &context,
            key: object.key.as_str(),
            direction: TransferDirection::Put,
            bytes: length,
        },
    )?;
    let told = encryption::told(&object.head, wanted.customer());
    let mut intake = Intake::new(sink, &running, expected.algorithms()).encrypted(cipher, 0);
    let body = input.body.take();
    let work = async {
        intake.take_body(body).await?;
        let whole = intake.whole().await?;
        expected.check(&whole.digested)?;
        finish(operations, &context, object, whole, condition).await
    };
    let mut response = moving::carry(running, Box::pin(work)).await?;
    response.output.server_side_encryption = told.server;
    response.output.sse_customer_algorithm = told.algorithm;
    response.output.sse_customer_key_md5 = told.md5;
    Ok(response)
}

/// Makes the bytes durable, and then the object.
async fn finish(
    operations: &Operations,
    context: &BucketContext,
    object: NewObject,
    whole: flow::Whole,
    condition: Condition,
) -> S3Result<S3Response<PutObjectOutput>> {
    let taken = whole.finish().await?;
    let named = (object.key.as_str(), taken.size);
    let expiration =
        context
            .notices
            .text(named, &object.head.tags, time::OffsetDateTime::now_utc());
    let made = object
        .commit(operations, &context.bucket, taken, condition)
        .await?;
    let checksums = made.checksums;
    Ok(S3Response::new(PutObjectOutput {
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        checksum_type: checksums.checksum_type,
        e_tag: Some(ETag::Strong(made.etag)),
        expiration,
        version_id: version_made(&context.bucket, &made.committed),
        ..PutObjectOutput::default()
    }))
}
