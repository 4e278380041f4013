//! A bucket's list of access as it is read and written.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        BucketCannedACL, GetBucketAclInput, GetBucketAclOutput, PutBucketAclInput,
        PutBucketAclOutput,
    },
    s3_error,
};

use super::documents::keep;
use crate::storage::{
    metadata::DocumentKind,
    s3::{
        acl::{Acl, Permission},
        caller::bucket_session,
        object::acl::check,
        operations::Operations,
    },
};

pub(in super::super) fn get(
    request: &S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let (_, context) = bucket_session(request)?;
    let private = || Acl::private(context.rules.owner.clone());
    let acl = context.acl.clone().unwrap_or_else(private);
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(acl.to_grants()),
        owner: Some(acl.to_owner()),
    }))
}

pub(in super::super) async fn put(
    operations: &Operations,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = &request.input;
    let owner = &context.rules.owner;
    let granted = Acl::from_headers(
        &[
            (input.grant_read.as_deref(), Permission::Read),
            (input.grant_write.as_deref(), Permission::Write),
            (input.grant_read_acp.as_deref(), Permission::ReadAcp),
            (input.grant_write_acp.as_deref(), Permission::WriteAcp),
            (input.grant_full_control.as_deref(), Permission::FullControl),
        ],
        owner,
    )?;
    let canned = input.acl.as_ref().map(BucketCannedACL::as_str);
    let acl = match (canned, granted, &input.access_control_policy) {
        (Some(word), None, None) => Acl::canned(word, owner.clone(), owner)?,
        (None, Some(acl), None) => acl,
        (None, None, Some(policy)) => Acl::from_policy(policy, owner)?,
        (None, None, None) => {
            return Err(s3_error!(
                MissingSecurityHeader,
                "Your request was missing a required header"
            ));
        }
        _ => {
            return Err(s3_error!(
                UnexpectedContent,
                "This request does not support content"
            ));
        }
    };
    check(&context, &acl)?;
    let text = serde_json::to_string(&acl).map_err(|error| s3_error!(error, InternalError))?;
    keep(operations, &request, DocumentKind::Acl, Some(text)).await?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}
