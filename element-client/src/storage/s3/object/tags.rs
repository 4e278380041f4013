//! Tags of objects.

use std::collections::BTreeMap;

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
        GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
    },
};

use super::{head, version};
use crate::storage::{
    metadata::{Change, ObjectVersion, VersionChoice},
    s3::{caller::bucket_session, context::BucketContext, fault, operations::Operations},
};

async fn replace(
    operations: &Operations,
    context: &BucketContext,
    (key, version): (&str, Option<&str>),
    tags: BTreeMap<String, String>,
) -> S3Result<ObjectVersion> {
    let choice = version::choice(version)?;
    let key = version::key(key)?;
    let found = version::required(&operations.store, &context.bucket, &key, choice).await?;
    operations
        .store
        .commit(Change::ObjectTags {
            bucket: context.bucket.id,
            key,
            version: VersionChoice::Id(found.id),
            tags,
        })
        .await
        .map_err(fault::where_missing(s3s::S3ErrorCode::NoSuchKey))?;
    Ok(found)
}

pub(in super::super) async fn put(
    operations: &Operations,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let tags = head::tags(pairs(input.tagging.tag_set))?;
    let named = (input.key.as_str(), input.version_id.as_deref());
    let found = replace(operations, &context, named, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput {
        version_id: version::told(&context.bucket, &found),
    }))
}

pub(in super::super) async fn delete(
    operations: &Operations,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let named = (input.key.as_str(), input.version_id.as_deref());
    let found = replace(operations, &context, named, BTreeMap::new()).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput {
        version_id: version::told(&context.bucket, &found),
    }))
}

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let choice = version::choice(input.version_id.as_deref())?;
    let key = version::key(&input.key)?;
    let found = version::required(&operations.store, &context.bucket, &key, choice).await?;
    let tags = found.head.tags.iter().map(|(key, value)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: tags.collect(),
        version_id: version::told(&context.bucket, &found),
    }))
}

/// Keys and values of tags as S3's XML has them.
pub(in super::super) fn pairs(tags: Vec<Tag>) -> impl Iterator<Item = (String, String)> {
    tags.into_iter()
        .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))
}
