//! A bucket with what decides about requests to it.

use gridmart_fabric::rule::bucket::BucketRules;
use gridmart_schemas::scalar::BucketName;
use rusqlite::Connection;
use s3s::{S3Result, dto::PublicAccessBlockConfiguration, s3_error};

use super::{acl::Acl, fault, lifecycle::Notices, policy::Policy, settings, store::Store};
use crate::storage::{
    bucket::RuledBucket,
    metadata::{Bucket, DocumentKind, StoreError, query},
};

/// A bucket, whose it is, and whom its owner allows in which words.
#[derive(Debug)]
pub(super) struct BucketContext {
    pub(super) bucket: Bucket,
    pub(super) rules: BucketRules,
    pub(super) policy: Option<Policy>,
    pub(super) acl: Option<Acl>,
    pub(super) public_access: PublicAccessBlockConfiguration,
    /// New objects know their lists of access no more.
    pub(super) is_owner_enforced: bool,
    /// What others put and give its owner all rights to is its owner's.
    pub(super) is_owner_preferred: bool,
    /// New objects are encrypted though nobody asks for it.
    pub(super) is_encrypted: bool,
    /// When objects are over.
    pub(super) notices: Notices,
}

/// The documents of a bucket as they are kept.
struct Kept {
    ruled: RuledBucket,
    policy: Option<String>,
    acl: Option<String>,
    public_access: Option<String>,
    ownership: Option<String>,
    encryption: Option<String>,
    lifecycle: Option<String>,
}

fn kept(connection: &Connection, name: &BucketName) -> Result<Option<Kept>, StoreError> {
    let Some(bucket) = query::bucket_named(connection, name)? else {
        return Ok(None);
    };
    let document = |kind| query::bucket_document(connection, bucket.id, kind);
    Ok(Some(Kept {
        policy: document(DocumentKind::Policy)?,
        acl: document(DocumentKind::Acl)?,
        public_access: document(DocumentKind::PublicAccessBlock)?,
        ownership: document(DocumentKind::Ownership)?,
        encryption: document(DocumentKind::Encryption)?,
        lifecycle: document(DocumentKind::Lifecycle)?,
        ruled: RuledBucket::of(connection, bucket.clone())?,
    }))
}

/// Reads a bucket by the name in a request.
pub(super) async fn bucket_context(store: &Store, name: &str) -> S3Result<BucketContext> {
    let missing = || s3_error!(NoSuchBucket, "The specified bucket does not exist");
    let name = BucketName::new(name).map_err(|_| missing())?;
    let kept = store
        .read(move |connection| kept(connection, &name))
        .await
        .map_err(|problem| fault::of(&problem))?
        .ok_or_else(missing)?;
    BucketContext::assemble(kept)
}

impl BucketContext {
    /// What cannot be read any more must not open a bucket: it is an error.
    fn assemble(kept: Kept) -> S3Result<Self> {
        let Kept {
            ruled,
            policy,
            acl,
            public_access,
            ownership,
            encryption,
            lifecycle,
        } = kept;
        let RuledBucket { bucket, rules } = ruled;
        let unreadable = |what: &str| {
            tracing::error!(bucket = %bucket.name, what, "a document of a bucket cannot be read");
            s3_error!(InternalError, "The bucket's {what} cannot be read.")
        };
        let policy = policy.as_deref().map(Policy::parse).transpose();
        let acl = acl.as_deref().map(serde_json::from_str).transpose();
        let ownership: Option<s3s::dto::OwnershipControls> =
            ownership.as_deref().map(settings::read).transpose()?;
        let has_ownership = |wanted: &str| {
            ownership.as_ref().is_some_and(|controls| {
                let mut rules = controls.rules.iter();
                rules.any(|rule| rule.object_ownership.as_str() == wanted)
            })
        };
        Ok(Self {
            rules,
            policy: policy.map_err(|_| unreadable("policy"))?,
            acl: acl.map_err(|_| unreadable("access control list"))?,
            public_access: public_access
                .as_deref()
                .map(settings::read)
                .transpose()?
                .unwrap_or_default(),
            is_owner_enforced: has_ownership("BucketOwnerEnforced"),
            is_owner_preferred: has_ownership("BucketOwnerPreferred"),
            is_encrypted: encryption.is_some(),
            notices: lifecycle
                .as_deref()
                .map(settings::read)
                .transpose()?
                .map(Notices::of)
                .unwrap_or_default(),
            bucket,
        })
    }
}
