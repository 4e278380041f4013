//! Lists of access of objects.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{GetObjectAclInput, GetObjectAclOutput, PutObjectAclInput, PutObjectAclOutput},
    s3_error,
};

use super::{head, version};
use crate::storage::{
    metadata::{Change, ObjectHead},
    s3::{
        acl::{Acl, GrantHeaders},
        caller::{Caller, Session, bucket_session},
        context::BucketContext,
        fault,
        operations::Operations,
    },
};

/// The headers of an operation's input that grant. Writing means nothing for an
/// object: it is noted where all headers are at hand.
macro_rules! grants {
    ($input:expr, $headers:expr) => {{
        let mut grants = $crate::storage::s3::object::acl::grants!($input);
        let write = $headers.get("x-amz-grant-write");
        grants[1].0 = write.and_then(|value| value.to_str().ok());
        grants
    }};
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

/// Gives a new object, or an upload that becomes one, the list that a request
/// asks for; none where it would say nothing.
pub(in super::super) fn put_into(
    head: &mut ObjectHead,
    (session, context): (&Session, &BucketContext),
    canned: Option<&str>,
    headers: &GrantHeaders<'_>,
) -> S3Result<()> {
    match of_input(session, context, canned, headers)? {
        Some(list) => head::acl_put(head, &list),
        None => Ok(()),
    }
}

/// The list that a request gives a new object; none: it has none of its own, and
/// is the bucket's owner's.
fn of_input(
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
    let is_full_control = canned == Some("bucket-owner-full-control");
    if context.is_owner_enforced {
        return if is_full_control || (canned.is_none() && granted.is_none()) {
            Ok(None)
        } else {
            Err(not_supported())
        };
    }
    let acl = match (canned, granted) {
        (Some(_), _) if is_full_control && context.is_owner_preferred => return Ok(None),
        (Some(word), _) => Acl::canned(word, owner.clone(), bucket_owner)?,
        (None, Some(acl)) => acl,
        (None, None) if owner == bucket_owner => return Ok(None),
        (None, None) => Acl::private(owner.clone()),
    };
    check(context, &acl)?;
    let is_plain = acl == Acl::private(bucket_owner.clone());
    Ok((!is_plain).then_some(acl))
}

fn not_supported() -> s3s::S3Error {
    s3_error!(
        AccessControlListNotSupported,
        "The bucket does not allow ACLs"
    )
}

/// Whether the bucket takes such a list.
pub(in super::super) fn check(context: &BucketContext, acl: &Acl) -> S3Result<()> {
    if acl.is_public() && context.public_access.block_public_acls == Some(true) {
        return Err(fault::denied());
    }
    if context.is_owner_enforced {
        return Err(not_supported());
    }
    Ok(())
}

/// The list of an object, or of an upload that becomes one, as it counts.
pub(in super::super) fn effective(context: &BucketContext, head: &ObjectHead) -> Acl {
    head::acl(head)
        .filter(|_| !context.is_owner_enforced)
        .unwrap_or_else(|| Acl::private(context.rules.owner.clone()))
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
    let acl = effective(&context, &found.head);
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
    let owner = effective(&context, &found.head).owner;
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
