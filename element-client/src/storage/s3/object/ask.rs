//! Where the object itself decides who may: by its tags, which a policy may ask
//! for, or by its list of access.

use std::sync::Arc;

use s3s::S3Result;

use super::{read, version};
use crate::storage::s3::{
    caller::Session,
    context::BucketContext,
    deed::{Deed, LIST_BUCKET, Need},
    gate::{Gate, with_fact},
};

/// What is asked for.
pub(in super::super) struct Asked<'a> {
    pub(in super::super) key: &'a str,
    pub(in super::super) version: Option<&'a str>,
    pub(in super::super) deed: Deed,
}

/// Whoever may list a bucket may know that there is no such object in it.
fn absent(
    gate: &Gate,
    session: &Session,
    bucket: &Arc<BucketContext>,
    asked: &Asked<'_>,
) -> Option<()> {
    let may_know = asked.deed.need == Need::Read
        && !bucket.denies(session, asked.deed, asked.key)
        && gate.permit(session, bucket, LIST_BUCKET, None).is_ok();
    may_know.then_some(())
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
    if !asks_tags && (permitted.is_ok() || !may_have_list) {
        return permitted;
    }
    let key = version::key(asked.key)?;
    let choice = version::choice(asked.version)?;
    let store = &gate.authentication.store;
    let Some(found) = version::find(store, bucket.bucket.id, &key, choice).await? else {
        return permitted.or_else(|error| absent(gate, session, bucket, asked).ok_or(error));
    };
    let permitted = if asks_tags {
        for (tag, value) in &found.head.tags {
            *session = with_fact(session, &format!("s3:ExistingObjectTag/{tag}"), value);
        }
        gate.permit(session, bucket, asked.deed, Some(asked.key))
    } else {
        permitted
    };
    if permitted.is_ok() || !may_have_list || bucket.denies(session, asked.deed, asked.key) {
        return permitted;
    }
    match read::acl(&found) {
        Some(acl) if gate.object_list_lets_in(session, bucket, &acl, asked.deed) => Ok(()),
        _ => permitted,
    }
}
