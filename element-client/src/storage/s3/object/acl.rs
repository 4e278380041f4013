//! Lists of access of objects.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{GetObjectAclInput, GetObjectAclOutput, PutObjectAclInput, PutObjectAclOutput},
    s3_error,
};

use super::{head, version};
use crate::storage::{
    metadata::{Change, ObjectVersion},
    s3::{
        acl::{Acl, GrantHeaders},
        caller::{Caller, Session, bucket_session},
        context::BucketContext,
        fault,
        operations::Operations,
    },
};

/// The headers of an operation's input that grant. Writing means nothing for an
/// object.
macro_rules! grants {
    ($input:expr) => {{
        use $crate::storage::s3::acl::Permission;
        [
            ($input.grant_read.as_deref(), Permission::Read),
            (None, Permission::Write),
            ($input.grant_read_acp.as_deref(), Permission::ReadAcp),
            ($input.grant_write_acp.as_deref(), Permission::WriteAcp),
            (
                $input.grant_full_control.as_deref(),
                Permission::FullControl,
            ),
        ]
    }};
}
pub(in super::super) use grants;

/// The list that a request gives a new object; none: it has none of its own, and
/// is the bucket's owner's.
pub(in super::super) fn of_input(
    session: &Session,
    context: &BucketContext,
    canned: Option<&str>,
    headers: &GrantHeaders<'_>,
) -> S3Result<Option<Acl>> {
    let bucket_owner = &context.rules.owner;
    let owner = match &session.caller {
        Caller::Person { name, .. } => name,
        Caller::Anonymous => bucket_owner,
    };
    let granted = Acl::from_headers(headers, owner)?;
    let has_both = canned.is_some() && granted.is_some();
    if has_both {
        return Err(s3_error!(
            InvalidRequest,
            "Specifying both Canned ACLs and Header Grants is not allowed"
        ));
    }
    let acl = match (canned, granted) {
        (Some("bucket-owner-full-control"), _) if context.is_owner_preferred => return Ok(None),
        (Some(word), _) => Acl::canned(word, owner.clone(), bucket_owner)?,
        (None, Some(acl)) => acl,
        (None, None) if owner == bucket_owner => return Ok(None),
        (None, None) => Acl::private(owner.clone()),
    };
    check(context, &acl)?;
    let is_plain = acl == Acl::private(bucket_owner.clone());
    Ok((!is_plain && !context.is_owner_enforced).then_some(acl))
}

/// Whether the bucket takes such a list.
pub(in super::super) fn check(context: &BucketContext, acl: &Acl) -> S3Result<()> {
    if acl.is_public() && context.public_access.block_public_acls == Some(true) {
        return Err(fault::denied());
    }
    let is_plain = *acl == Acl::private(acl.owner.clone())
        || acl.grants.iter().all(|(grantee, _)| {
            *grantee == crate::storage::s3::acl::Grantee::Person(context.rules.owner.clone())
        });
    if context.is_owner_enforced && !is_plain {
        return Err(s3_error!(
            AccessControlListNotSupported,
            "The bucket does not allow ACLs"
        ));
    }
    Ok(())
}

/// The list of an object as it counts.
fn effective(context: &BucketContext, version: &ObjectVersion) -> Acl {
    head::acl(&version.head).unwrap_or_else(|| Acl::private(context.rules.owner.clone()))
}

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let choice = version::choice(input.version_id.as_deref())?;
    let key = version::key(&input.key)?;
    let found = version::required(&operations.store, &context.bucket, &key, choice).await?;
    let acl = effective(&context, &found);
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(acl.to_grants()),
        owner: Some(acl.to_owner()),
        ..GetObjectAclOutput::default()
    }))
}

pub(in super::super) async fn put(
    operations: &Operations,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let choice = version::choice(input.version_id.as_deref())?;
    let key = version::key(&input.key)?;
    let found = version::required(&operations.store, &context.bucket, &key, choice).await?;
    let owner = effective(&context, &found).owner;
    let canned = input.acl.as_ref().map(s3s::dto::ObjectCannedACL::as_str);
    let granted = Acl::from_headers(&grants!(input), &owner)?;
    let acl = match (canned, granted, &input.access_control_policy) {
        (Some(word), None, None) => Acl::canned(word, owner, &context.rules.owner)?,
        (None, Some(acl), None) => acl,
        (None, None, Some(policy)) => Acl::from_policy(policy, &owner)?,
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
    operations
        .store
        .commit(Change::ObjectHeader {
            bucket: context.bucket.id,
            key,
            version: choice,
            name: head::ACL.to_owned(),
            value: Some(text),
        })
        .await
        .map_err(super::write::write_fault)?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}
