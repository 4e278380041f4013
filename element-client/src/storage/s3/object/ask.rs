//! Where the object itself decides who may: by its tags, which a policy may ask
//! for, or by its list of access.

use std::sync::Arc;

use s3s::S3Result;

use super::{read, version};
use crate::storage::s3::{
    caller::Session,
    context::BucketContext,
    deed::{Deed, LIST_BUCKET, LIST_BUCKET_VERSIONS, Need},
    fault,
    gate::{Gate, with_fact, with_one_fact},
};

/// What is asked for.
pub(in super::super) struct Asked<'a> {
    pub(in super::super) key: &'a str,
    pub(in super::super) version: Option<&'a str>,
    pub(in super::super) deed: Deed,
}

/// Whoever may list a bucket may know that there is no such object in it; of old
/// contents, whoever may list those.
fn may_know(
    gate: &Gate,
    session: &Session,
    bucket: &Arc<BucketContext>,
    asked: &Asked<'_>,
) -> bool {
    // A list that begins with the key would tell.
    let listing = with_one_fact(session, "s3:prefix", asked.key);
    let deed = match asked.version {
        Some(_) => LIST_BUCKET_VERSIONS,
        None => LIST_BUCKET,
    };
    gate.permit(&listing, bucket, deed, None).is_ok()
}

/// Whether the answer to who may do it tells whether the object is there.
fn tells_of_absence(deed: Deed) -> bool {
    matches!(
        deed.action,
        "s3:GetObject"
            | "s3:GetObjectVersion"
            | "s3:GetObjectAttributes"
            | "s3:GetObjectVersionAttributes"
    )
}

/// Decides about a deed with an object that is there, or may be.
pub(in super::super) async fn permit(
    gate: &Gate,
    session: &mut Session,
    bucket: &Arc<BucketContext>,
    asked: &Asked<'_>,
) -> S3Result<()> {
    let asks_tags = bucket
        .policy
        .as_ref()
        .is_some_and(crate::storage::s3::policy::Policy::asks_object_tags);
    let permitted = gate.permit(session, bucket, asked.deed, Some(asked.key));
    let may_have_list = matches!(asked.deed.need, Need::Read | Need::ReadAcl | Need::WriteAcl);
    let is_about_list = matches!(asked.deed.need, Need::ReadAcl | Need::WriteAcl);
    // Who may read and not list is told of no object that it is not there.
    let is_hidden = permitted.is_ok()
        && tells_of_absence(asked.deed)
        && !may_know(gate, session, bucket, asked);
    if !asks_tags && !is_about_list && !is_hidden && (permitted.is_ok() || !may_have_list) {
        return permitted;
    }
    let key = version::key(asked.key)?;
    let choice = version::choice(asked.version)?;
    let store = &gate.authentication.store;
    let found = version::find(store, bucket.bucket.id, &key, choice).await?;
    let Some(found) = found.filter(|found| !(is_hidden && found.is_marker)) else {
        if is_hidden {
            return Err(fault::denied());
        }
        let is_told = asked.deed.need == Need::Read
            && !bucket.denies(session, asked.deed, asked.key)
            && may_know(gate, session, bucket, asked);
        return if is_told { Ok(()) } else { permitted };
    };
    let permitted = if asks_tags {
        for (tag, value) in &found.head.tags {
            *session = with_fact(session, &format!("s3:ExistingObjectTag/{tag}"), value);
        }
        gate.permit(session, bucket, asked.deed, Some(asked.key))
    } else {
        permitted
    };
    let list = read::acl(&found);
    // Whose bucket it is does not own the lists of what others put there.
    let is_foreign = is_about_list
        && !bucket.is_owner_enforced
        && list
            .as_ref()
            .is_some_and(|list| list.owner != bucket.rules.owner);
    let permitted = match permitted {
        Ok(()) if is_foreign && !gate.policy_lets_in(session, bucket, asked.deed, asked.key) => {
            Err(fault::denied())
        }
        permitted => permitted,
    };
    if permitted.is_ok() || !may_have_list || bucket.denies(session, asked.deed, asked.key) {
        return permitted;
    }
    match list {
        Some(acl) if gate.object_list_lets_in(session, bucket, &acl, asked.deed) => Ok(()),
        _ => permitted,
    }
}
