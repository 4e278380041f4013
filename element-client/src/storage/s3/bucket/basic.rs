//! Buckets themselves.

use gridmart_schemas::{id::BucketId, problem::Code, scalar::BucketName};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        Bucket as BucketDto, BucketCannedACL, BucketLocationConstraint, CreateBucketInput,
        CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
        GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
        ListBucketsOutput, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    },
    s3_error,
};

use crate::storage::{
    metadata::{BucketCreate, Change, DocumentKind, Quota, query},
    s3::{
        REGION,
        acl::{Acl, Permission, owner},
        caller::{bucket_session, session},
        fault,
        object::head::timestamp,
        operations::Operations,
        settings,
    },
};

/// Buckets of a page.
const BUCKETS_MAX: usize = 10_000;

pub(in super::super) async fn list(
    operations: &Operations,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let session = session(&request)?;
    let Ok(person) = session.caller.person().cloned() else {
        // Who is not known owns nothing.
        return Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(Vec::new()),
            ..ListBucketsOutput::default()
        }));
    };
    let input = request.input;
    let limit = match input.max_buckets {
        None => BUCKETS_MAX,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=BUCKETS_MAX).contains(limit))
            .ok_or_else(|| s3_error!(InvalidArgument, "max-buckets must be 1 to {BUCKETS_MAX}"))?,
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.unwrap_or_default();
    let buckets = operations.store.read(query::buckets).await;
    let mut buckets: Vec<_> = buckets
        .map_err(|problem| fault::of(&problem))?
        .into_iter()
        .filter(|bucket| bucket.owner == person)
        .filter(|bucket| {
            bucket.name.as_str().starts_with(&prefix) && bucket.name.as_str() > after.as_str()
        })
        .collect();
    let is_truncated = buckets.len() > limit;
    buckets.truncate(limit);
    let next = buckets
        .last()
        .map(|bucket| bucket.name.to_string())
        .filter(|_| is_truncated);
    let buckets = buckets.into_iter().map(|bucket| BucketDto {
        bucket_region: None,
        creation_date: Some(timestamp(bucket.created)),
        name: Some(bucket.name.to_string()),
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        continuation_token: next,
        owner: Some(owner(&person)),
        prefix: input.prefix,
    }))
}

/// The settings that a new bucket is born with.
struct Born {
    acl: Option<Acl>,
    ownership: Option<OwnershipControls>,
}

fn born(input: &CreateBucketInput, person: &gridmart_schemas::id::PersonName) -> S3Result<Born> {
    let canned = input.acl.as_ref().map(BucketCannedACL::as_str);
    let granted = Acl::from_headers(
        &[
            (input.grant_read.as_deref(), Permission::Read),
            (input.grant_write.as_deref(), Permission::Write),
            (input.grant_read_acp.as_deref(), Permission::ReadAcp),
            (input.grant_write_acp.as_deref(), Permission::WriteAcp),
            (input.grant_full_control.as_deref(), Permission::FullControl),
        ],
        person,
    )?;
    let acl = match canned {
        Some(word) => Some(Acl::canned(word, person.clone(), person)?),
        None => granted,
    };
    let acl = acl.filter(|acl| *acl != Acl::private(person.clone()));
    let ownership = input
        .object_ownership
        .clone()
        .map(|object_ownership| OwnershipControls {
            rules: vec![OwnershipControlsRule { object_ownership }],
        });
    let is_enforced = input
        .object_ownership
        .as_ref()
        .is_some_and(|word| word.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED);
    if is_enforced && acl.is_some() {
        return Err(s3_error!(
            InvalidBucketAclWithObjectOwnership,
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        ));
    }
    Ok(Born { acl, ownership })
}

/// The name of a new bucket: each piece between dots is a name in DNS.
fn name(text: &str) -> S3Result<BucketName> {
    let is_piece = |piece: &str| !piece.starts_with('-') && !piece.ends_with('-');
    BucketName::new(text)
        .ok()
        .filter(|name| name.as_str().split('.').all(is_piece))
        .ok_or_else(|| s3_error!(InvalidBucketName, "The specified bucket is not valid."))
}

pub(in super::super) async fn create(
    operations: &Operations,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let session = session(&request)?;
    let person = session.caller.person()?.clone();
    let input = request.input;
    let name = name(&input.bucket)?;
    let constraint = input
        .create_bucket_configuration
        .as_ref()
        .and_then(|configuration| configuration.location_constraint.as_ref());
    if constraint.is_some_and(|region| !region.as_str().is_empty() && region.as_str() != REGION) {
        return Err(s3_error!(
            InvalidLocationConstraint,
            "The specified location-constraint is not valid"
        ));
    }
    let born = born(&input, &person)?;
    let bucket = BucketId::generate();
    let created = operations
        .store
        .commit(Change::BucketCreate(BucketCreate {
            bucket,
            name: name.clone(),
            owner: person.clone(),
            redundancy: operations.redundancy(),
            object_lock: input.object_lock_enabled_for_bucket == Some(true),
            quota: Quota::default(),
        }))
        .await;
    match created {
        Ok(_) => {}
        Err(problem) if problem.code == Code::AlreadyExists => {
            if !is_the_same(operations, &name, &person, &input, &born).await? {
                return Err(s3_error!(
                    BucketAlreadyExists,
                    "The requested bucket name is not available. The bucket namespace is shared \
                     by all users of the system. Please select a different name and try again."
                ));
            }
            return Ok(made(&name));
        }
        Err(problem) => return Err(fault::of(&problem)),
    }
    let acl = born.acl.as_ref().map(serde_json::to_string).transpose();
    let documents = [
        (
            DocumentKind::Acl,
            acl.map_err(|error| s3_error!(error, InternalError))?,
        ),
        (
            DocumentKind::Ownership,
            born.ownership.as_ref().map(settings::write).transpose()?,
        ),
    ];
    for (kind, document) in documents {
        if document.is_some() {
            let change = Change::BucketDocument {
                bucket,
                kind,
                document,
            };
            operations
                .store
                .commit(change)
                .await
                .map_err(|problem| fault::of(&problem))?;
        }
    }
    Ok(made(&name))
}

fn made(name: &BucketName) -> S3Response<CreateBucketOutput> {
    S3Response::new(CreateBucketOutput {
        location: Some(format!("/{name}")),
    })
}

/// Whether a bucket is there already as it is asked for: to make it again by its
/// owner does nothing.
async fn is_the_same(
    operations: &Operations,
    name: &BucketName,
    person: &gridmart_schemas::id::PersonName,
    input: &CreateBucketInput,
    born: &Born,
) -> S3Result<bool> {
    let context = operations.gate.bucket(name.as_str()).await?;
    let private = Acl::private(person.clone());
    let acl = context.acl.as_ref().unwrap_or(&private);
    Ok(context.rules.owner == *person
        && acl == born.acl.as_ref().unwrap_or(&private)
        && born.ownership.is_none()
        && context.bucket.object_lock == (input.object_lock_enabled_for_bucket == Some(true)))
}

pub(in super::super) async fn delete(
    operations: &Operations,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let (_, context) = bucket_session(&request)?;
    let bucket = context.bucket.id;
    operations
        .store
        .commit(Change::BucketDelete { bucket })
        .await
        .map_err(fault::where_missing(s3s::S3ErrorCode::NoSuchBucket))?;
    let output = DeleteBucketOutput::default();
    Ok(S3Response::with_status(
        output,
        http::StatusCode::NO_CONTENT,
    ))
}

pub(in super::super) fn head(
    request: &S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    bucket_session(request)?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(REGION.to_owned()),
        ..HeadBucketOutput::default()
    }))
}

pub(in super::super) fn location(
    request: &S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    bucket_session(request)?;
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: None::<BucketLocationConstraint>,
    }))
}
