//! Settings of a bucket that the door keeps as they are: tags, CORS, who owns
//! what others put, that nothing is open to all, how old objects are dealt with,
//! encryption.

use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        BucketLifecycleConfiguration, CORSConfiguration, GetBucketCorsOutput,
        GetBucketEncryptionOutput, GetBucketLifecycleConfigurationOutput,
        GetBucketOwnershipControlsOutput, GetBucketTaggingOutput, GetPublicAccessBlockOutput,
        OwnershipControls, PublicAccessBlockConfiguration, PutBucketCorsInput, PutBucketCorsOutput,
        PutBucketEncryptionInput, PutBucketEncryptionOutput, PutBucketLifecycleConfigurationInput,
        PutBucketLifecycleConfigurationOutput, PutBucketOwnershipControlsInput,
        PutBucketOwnershipControlsOutput, PutBucketTaggingInput, PutBucketTaggingOutput,
        PutPublicAccessBlockInput, PutPublicAccessBlockOutput, Tagging,
    },
    s3_error,
    xml::Deserialize,
};

use crate::storage::{
    metadata::{Change, DocumentKind, query},
    s3::{
        acl::Acl, caller::bucket_session, cors, encryption::Wanted, fault, lifecycle,
        operations::Operations, settings,
    },
};

/// Tags of a bucket, as S3 has it.
const TAGS_MAX: usize = 50;

/// Reads a setting as it is kept.
pub(in super::super) async fn kept<T>(
    operations: &Operations,
    request: &S3Request<T>,
    kind: DocumentKind,
) -> S3Result<Option<String>> {
    let (_, context) = bucket_session(request)?;
    let id = context.bucket.id;
    let read = operations
        .store
        .read(move |connection| query::bucket_document(connection, id, kind));
    read.await.map_err(|problem| fault::of(&problem))
}

/// Writes or takes away a setting.
pub(in super::super) async fn keep<T>(
    operations: &Operations,
    request: &S3Request<T>,
    kind: DocumentKind,
    document: Option<String>,
) -> S3Result<()> {
    let (_, context) = bucket_session(request)?;
    let change = Change::BucketDocument {
        bucket: context.bucket.id,
        kind,
        document,
    };
    let committed = operations.store.commit(change).await;
    committed
        .map(drop)
        .map_err(fault::where_missing(S3ErrorCode::NoSuchBucket))
}

async fn required<D: for<'xml> Deserialize<'xml>, T>(
    operations: &Operations,
    request: &S3Request<T>,
    kind: DocumentKind,
    missing: S3ErrorCode,
) -> S3Result<D> {
    if let Some(text) = kept(operations, request, kind).await? {
        return settings::read(&text);
    }
    let text = "The configuration does not exist";
    let mut error = s3s::S3Error::with_message(missing, text);
    // The S3 library does not know it of all of them.
    error.set_status_code(http::StatusCode::NOT_FOUND);
    Err(error)
}

/// Takes a setting away; what was not there is gone all the same.
pub(in super::super) async fn delete<T, O>(
    operations: &Operations,
    request: S3Request<T>,
    kind: DocumentKind,
    output: O,
) -> S3Result<S3Response<O>> {
    keep(operations, &request, kind, None).await?;
    Ok(S3Response::with_status(
        output,
        http::StatusCode::NO_CONTENT,
    ))
}

pub(in super::super) async fn get_tagging<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let missing = S3ErrorCode::NoSuchTagSet;
    let tagging: Tagging = required(operations, &request, DocumentKind::Tagging, missing).await?;
    Ok(S3Response::new(GetBucketTaggingOutput {
        tag_set: tagging.tag_set,
    }))
}

pub(in super::super) async fn put_tagging(
    operations: &Operations,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let tags = &request.input.tagging.tag_set;
    if tags.len() > TAGS_MAX {
        return Err(s3_error!(
            InvalidTag,
            "Bucket tag count cannot be greater than {TAGS_MAX}"
        ));
    }
    let mut keys: Vec<_> = tags.iter().map(|tag| tag.key.clone()).collect();
    keys.sort();
    keys.dedup();
    if keys.len() < tags.len() {
        return Err(s3_error!(
            InvalidTag,
            "Cannot provide multiple Tags with the same key"
        ));
    }
    let text = settings::write(&request.input.tagging)?;
    keep(operations, &request, DocumentKind::Tagging, Some(text)).await?;
    Ok(S3Response::with_status(
        PutBucketTaggingOutput::default(),
        http::StatusCode::NO_CONTENT,
    ))
}

pub(in super::super) async fn get_cors<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let missing = S3ErrorCode::NoSuchCORSConfiguration;
    let cors: CORSConfiguration =
        required(operations, &request, DocumentKind::Cors, missing).await?;
    Ok(S3Response::new(GetBucketCorsOutput {
        cors_rules: Some(cors.cors_rules),
    }))
}

pub(in super::super) async fn put_cors(
    operations: &Operations,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    cors::check(&request.input.cors_configuration)?;
    let text = settings::write(&request.input.cors_configuration)?;
    keep(operations, &request, DocumentKind::Cors, Some(text)).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub(in super::super) async fn get_ownership<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let missing = S3ErrorCode::OwnershipControlsNotFoundError;
    let kind = DocumentKind::Ownership;
    let controls: OwnershipControls = required(operations, &request, kind, missing).await?;
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(controls),
    }))
}

pub(in super::super) async fn put_ownership(
    operations: &Operations,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let rules = &request.input.ownership_controls.rules;
    let is_known = |word: &str| {
        matches!(
            word,
            "BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter"
        )
    };
    if rules.len() != 1
        || !rules
            .iter()
            .all(|rule| is_known(rule.object_ownership.as_str()))
    {
        return Err(s3_error!(
            MalformedXML,
            "One rule with a known ObjectOwnership is expected."
        ));
    }
    let (_, context) = bucket_session(&request)?;
    let is_enforced = rules
        .iter()
        .any(|rule| rule.object_ownership.as_str() == "BucketOwnerEnforced");
    let private = Acl::private(context.rules.owner.clone());
    if is_enforced && context.acl.as_ref().is_some_and(|acl| *acl != private) {
        return Err(s3_error!(
            InvalidBucketAclWithObjectOwnership,
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        ));
    }
    let text = settings::write(&request.input.ownership_controls)?;
    keep(operations, &request, DocumentKind::Ownership, Some(text)).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

pub(in super::super) async fn get_public_access<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let missing = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
    let kind = DocumentKind::PublicAccessBlock;
    let found = required(operations, &request, kind, missing).await?;
    Ok(S3Response::new(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(found),
    }))
}

pub(in super::super) async fn put_public_access(
    operations: &Operations,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let asked = &request.input.public_access_block_configuration;
    let whole = PublicAccessBlockConfiguration {
        block_public_acls: Some(asked.block_public_acls == Some(true)),
        block_public_policy: Some(asked.block_public_policy == Some(true)),
        ignore_public_acls: Some(asked.ignore_public_acls == Some(true)),
        restrict_public_buckets: Some(asked.restrict_public_buckets == Some(true)),
    };
    let text = settings::write(&whole)?;
    keep(
        operations,
        &request,
        DocumentKind::PublicAccessBlock,
        Some(text),
    )
    .await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

pub(in super::super) async fn get_lifecycle<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let missing = S3ErrorCode::NoSuchLifecycleConfiguration;
    let kind = DocumentKind::Lifecycle;
    let lifecycle: BucketLifecycleConfiguration =
        required(operations, &request, kind, missing).await?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(lifecycle.rules),
        ..GetBucketLifecycleConfigurationOutput::default()
    }))
}

pub(in super::super) async fn put_lifecycle(
    operations: &Operations,
    mut request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let configuration = request.input.lifecycle_configuration.take();
    let mut configuration = configuration.ok_or_else(|| s3_error!(MalformedXML))?;
    lifecycle::check(&mut configuration)?;
    let text = settings::write(&configuration)?;
    keep(operations, &request, DocumentKind::Lifecycle, Some(text)).await?;
    Ok(S3Response::new(
        PutBucketLifecycleConfigurationOutput::default(),
    ))
}

/// That all new objects are encrypted under the Element's key.
pub(in super::super) async fn put_encryption(
    operations: &Operations,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let rules = &request.input.server_side_encryption_configuration.rules;
    let [rule] = rules.as_slice() else {
        return Err(s3_error!(MalformedXML, "One rule is expected."));
    };
    let default = rule.apply_server_side_encryption_by_default.as_ref();
    let default = default.ok_or_else(|| s3_error!(MalformedXML))?;
    Wanted::read(
        Some(&default.sse_algorithm),
        default.kms_master_key_id.as_deref(),
        [None; 3],
        false,
    )?;
    let text = settings::write(&request.input.server_side_encryption_configuration)?;
    keep(operations, &request, DocumentKind::Encryption, Some(text)).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

pub(in super::super) async fn get_encryption<T>(
    operations: &Operations,
    request: S3Request<T>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let missing = S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError;
    let kind = DocumentKind::Encryption;
    let found = required(operations, &request, kind, missing).await?;
    Ok(S3Response::new(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(found),
    }))
}
