//! Whether a bucket keeps old versions.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput,
        PutBucketVersioningInput, PutBucketVersioningOutput,
    },
    s3_error,
};

use crate::storage::{
    metadata::{Change, Versioning},
    s3::{caller::bucket_session, fault, operations::Operations},
};

pub(in super::super) fn get(
    request: &S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let (_, context) = bucket_session(request)?;
    let word = match context.bucket.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    Ok(S3Response::new(GetBucketVersioningOutput {
        mfa_delete: None,
        status: word.map(BucketVersioningStatus::from_static),
    }))
}

pub(in super::super) async fn put(
    operations: &Operations,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let (_, context) = bucket_session(&request)?;
    let configuration = request.input.versioning_configuration;
    let is_mfa = configuration
        .mfa_delete
        .is_some_and(|word| word.as_str() == "Enabled");
    if is_mfa {
        return fault::not_implemented("MFA delete");
    }
    let versioning = match configuration
        .status
        .as_ref()
        .map(BucketVersioningStatus::as_str)
    {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            return Err(s3_error!(
                IllegalVersioningConfigurationException,
                "The Versioning element must be specified"
            ));
        }
    };
    if context.bucket.object_lock && versioning == Versioning::Suspended {
        return Err(s3_error!(
            InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot \
             be changed."
        ));
    }
    let change = Change::BucketVersioning {
        bucket: context.bucket.id,
        versioning,
    };
    operations
        .store
        .commit(change)
        .await
        .map_err(fault::where_missing(s3s::S3ErrorCode::NoSuchBucket))?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}
