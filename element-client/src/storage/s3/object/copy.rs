//! Copying objects.

use gridmart_schemas::{id::VersionId, wire::transfer::TransferDirection};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag, MetadataDirective,
        TaggingDirective,
    },
    s3_error,
};

use super::{
    acl, ask,
    condition::{self, ReadConditions},
    head::{self, timestamp, told},
    lock, version,
    write::{NewObject, version_made},
};
use crate::storage::{
    metadata::{ObjectHead, ObjectVersion},
    s3::{
        caller::{Session, bucket_session},
        context::BucketContext,
        deed::{GET_OBJECT, GET_OBJECT_VERSION},
        digest::Algorithm,
        encryption::{self, CustomerKey, Wanted, customer, plain, source_customer},
        flow::{self, Intake},
        moving::{self, Move},
        operations::Operations,
    },
};
use std::sync::Arc;

/// What is copied.
pub(in super::super) struct Original {
    pub(in super::super) context: Arc<BucketContext>,
    pub(in super::super) version: ObjectVersion,
}

impl Original {
    /// Finds what a request names, which whoever asks must be allowed to read.
    pub(in super::super) async fn find(
        operations: &Operations,
        session: &Session,
        source: &CopySource,
        conditions: &ReadConditions,
    ) -> S3Result<Self> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = source
        else {
            return Err(s3_error!(
                InvalidArgument,
                "Copy Source must mention the source bucket and key"
            ));
        };
        let context = operations.gate.bucket(bucket).await?;
        let asked = ask::Asked {
            key,
            version: version_id.as_deref(),
            deed: if version_id.is_some() {
                GET_OBJECT_VERSION
            } else {
                GET_OBJECT
            },
        };
        ask::permit(&operations.gate, &mut session.clone(), &context, &asked).await?;
        let choice = version::choice(version_id.as_deref())?;
        let version = version::required(
            &operations.store,
            &context.bucket,
            &version::key(key)?,
            choice,
        )
        .await?;
        conditions.check_source(&version)?;
        Ok(Self { context, version })
    }

    /// How its version is called.
    pub(in super::super) fn version_told(&self) -> Option<String> {
        version::told(&self.context.bucket, &self.version)
    }
}

/// Takes the conditions on the source out of an operation's input.
macro_rules! source_conditions {
    ($input:expr) => {
        $crate::storage::s3::object::condition::ReadConditions {
            if_match: $input.copy_source_if_match.clone(),
            if_none_match: $input.copy_source_if_none_match.clone(),
            if_modified_since: $input.copy_source_if_modified_since.clone(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.clone(),
        }
    };
}
pub(in super::super) use source_conditions;

/// What the copy says of itself.
fn head_of(input: &mut CopyObjectInput, original: &ObjectVersion) -> S3Result<ObjectHead> {
    let told = told!(input).into_head()?;
    let replaces = |word: Option<&str>, replace: &str| match word {
        None | Some("COPY") => Ok(false),
        Some(word) if word == replace => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown directive.")),
    };
    let metadata = input
        .metadata_directive
        .as_ref()
        .map(MetadataDirective::as_str);
    let replaces_metadata = replaces(metadata, MetadataDirective::REPLACE)?;
    let tagging = input
        .tagging_directive
        .as_ref()
        .map(TaggingDirective::as_str);
    let replaces_tags = replaces(tagging, TaggingDirective::REPLACE)?;
    let mut head = if replaces_metadata {
        told.clone()
    } else {
        original.head.clone()
    };
    head.headers.remove(head::ACL);
    encryption::forget(&mut head);
    head.tags = if replaces_tags {
        told.tags
    } else {
        original.head.tags.clone()
    };
    Ok(head)
}

/// The algorithms of the copy's checksums: those asked for, or the original's.
fn algorithms(input: &CopyObjectInput, original: &ObjectVersion) -> S3Result<Vec<Algorithm>> {
    if let Some(algorithm) = &input.checksum_algorithm {
        return Ok(vec![Algorithm::parse(algorithm.as_str())?]);
    }
    let had = |algorithm: &Algorithm| original.head.checksums.contains_key(algorithm.word());
    Ok(Algorithm::ALL.into_iter().filter(had).collect())
}

/// Refuses a copy of an object to itself that changes nothing of it.
fn check_change(
    input: &CopyObjectInput,
    (original, context): (&Original, &BucketContext),
    wanted: &Wanted,
    key: Option<&CustomerKey>,
) -> S3Result<()> {
    let changes_nothing = original.context.bucket.id == context.bucket.id
        && original.version.key.as_str() == input.key
        && original.version.is_latest
        && input
            .metadata_directive
            .as_ref()
            .is_none_or(|word| word.as_str() == "COPY")
        && input.storage_class.is_none()
        && input.server_side_encryption.is_none()
        && wanted.customer().is_none()
        && key.is_none()
        && input.website_redirect_location.is_none();
    if changes_nothing {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing the object's metadata, storage class, website redirect location or encryption \
             attributes."
        ));
    }
    Ok(())
}

pub(in super::super) async fn copy(
    operations: &Operations,
    mut request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = &mut request.input;
    let wanted = Wanted::read(
        input.server_side_encryption.as_ref(),
        input.ssekms_key_id.as_deref(),
        customer!(input),
        context.is_encrypted,
    )?;
    let key = CustomerKey::read(source_customer!(input))?;
    let conditions = source_conditions!(input);
    let original = Original::find(operations, &session, &input.copy_source, &conditions).await?;
    if original.version.size > flow::PUT_BYTES_MAX {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
        ));
    }
    check_change(input, (&original, &context), &wanted, key.as_ref())?;
    let mut head = head_of(input, &original.version)?;
    acl::put_into(
        &mut head,
        (&session, &context),
        input.acl.as_ref().map(s3s::dto::ObjectCannedACL::as_str),
        &acl::grants!(input),
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
    let algorithms = algorithms(input, &original.version)?;
    let cipher = object.seal(operations, &wanted)?;
    let told = encryption::told(&object.head, wanted.customer());
    let size = original.version.size;
    let original_version = (&original.version, Vec::new());
    let source = plain(operations, original_version, 0..size, key.as_ref()).await?;
    let sink = operations
        .store
        .write_data(object.target(&context.bucket))?;
    let running = moving::begin(
        operations,
        &Move {
            session: &session,
            context: &context,
            key: object.key.as_str(),
            direction: TransferDirection::Copy,
            bytes: Some(size),
        },
    )?;
    let mut intake = Intake::new(sink, &running, algorithms).encrypted(cipher, 0);
    let work = async {
        intake.take_source(source).await?;
        finish(operations, &context, &original, object, intake).await
    };
    let mut response = moving::carry(running, Box::pin(work)).await?;
    response.output.server_side_encryption = told.server;
    response.output.sse_customer_algorithm = told.algorithm;
    response.output.sse_customer_key_md5 = told.md5;
    Ok(response)
}

async fn finish(
    operations: &Operations,
    context: &BucketContext,
    original: &Original,
    object: NewObject,
    intake: Intake,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let taken = intake.whole().await?.finish().await?;
    let none = condition::on_write(None, None);
    let made = object
        .commit(operations, &context.bucket, taken, none)
        .await?;
    let checksums = made.checksums;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            checksum_type: checksums.checksum_type,
            e_tag: Some(ETag::Strong(made.etag)),
            last_modified: Some(timestamp(made.committed.time)),
        }),
        copy_source_version_id: original.version_told(),
        version_id: version_made(&context.bucket, &made.committed),
        ..CopyObjectOutput::default()
    }))
}
