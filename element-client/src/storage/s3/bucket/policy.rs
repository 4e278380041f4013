//! A bucket's policy as its owner reads and writes it.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketPolicyStatusInput,
        GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput, PutBucketPolicyOutput,
    },
    s3_error,
};

use super::documents::{keep, kept};
use crate::storage::{
    metadata::DocumentKind,
    s3::{caller::bucket_session, fault, operations::Operations, policy::Policy},
};

fn missing() -> s3s::S3Error {
    s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist")
}

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let policy = kept(operations, &request, DocumentKind::Policy).await?;
    let policy = policy.ok_or_else(missing)?;
    Ok(S3Response::new(GetBucketPolicyOutput {
        policy: Some(policy),
    }))
}

pub(in super::super) async fn put(
    operations: &Operations,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let (_, context) = bucket_session(&request)?;
    let text = request.input.policy.clone();
    let policy = Policy::parse(&text).map_err(|error| {
        s3s::S3Error::with_message(s3s::S3ErrorCode::MalformedPolicy, error.to_string())
    })?;
    if policy.is_public() && context.public_access.block_public_policy == Some(true) {
        return Err(fault::denied());
    }
    keep(operations, &request, DocumentKind::Policy, Some(text)).await?;
    let output = PutBucketPolicyOutput::default();
    Ok(S3Response::with_status(
        output,
        http::StatusCode::NO_CONTENT,
    ))
}

pub(in super::super) fn status(
    request: &S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let (_, context) = bucket_session(request)?;
    let is_public_list = context
        .acl
        .as_ref()
        .is_some_and(crate::storage::s3::acl::Acl::is_public);
    let is_public = context.policy.as_ref().is_some_and(Policy::is_public);
    Ok(S3Response::new(GetBucketPolicyStatusOutput {
        policy_status: Some(PolicyStatus {
            is_public: Some(is_public || is_public_list),
        }),
    }))
}
