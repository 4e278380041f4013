//! Deleting objects.

use futures_util::{StreamExt as _, stream};
use gridmart_schemas::{id::VersionId, problem::Code};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
        DeletedObject, ETag, ObjectIdentifier,
    },
    s3_error,
};

use super::{condition, version};
use crate::storage::{
    metadata::{
        Applied, Change, Condition, DeleteTarget, EtagMatch, ObjectDelete, VersionChoice,
        VersionOutcome, Versioning,
    },
    s3::{
        caller::{Session, bucket_session},
        context::BucketContext,
        deed::{BYPASS_GOVERNANCE, DELETE_OBJECT, DELETE_OBJECT_VERSION},
        fault,
        operations::Operations,
    },
};

/// Objects of one request, as S3 has it.
const OBJECTS_MAX: usize = 1000;
/// Those of one request that are deleted at the same time: they become durable
/// together.
const OBJECTS_AT_ONCE: usize = 64;

/// What is to go.
struct Target<'a> {
    key: &'a str,
    version: Option<&'a str>,
    condition: Condition,
    bypass: bool,
}

/// Deletes; what is not there is gone already, whatever was expected of it.
async fn delete_one(
    operations: &Operations,
    session: &Session,
    context: &BucketContext,
    target: Target<'_>,
) -> S3Result<Option<VersionOutcome>> {
    let key = version::key(target.key)?;
    let Ok(choice) = version::choice(target.version) else {
        return Ok(None);
    };
    let bypass = target.bypass
        && operations
            .gate
            .permit(session, context, BYPASS_GOVERNANCE, Some(target.key))
            .is_ok();
    let committed = operations
        .store
        .commit(Change::ObjectDelete(ObjectDelete {
            bucket: context.bucket.id,
            key,
            target: match choice {
                VersionChoice::Current => DeleteTarget::Object {
                    marker: VersionId::generate(),
                },
                VersionChoice::Id(id) => DeleteTarget::Version(id),
                VersionChoice::Null => DeleteTarget::Null,
            },
            condition: target.condition,
            bypass,
        }))
        .await;
    match committed {
        Ok(committed) => Ok(match committed.applied {
            Applied::Version(outcome) => Some(outcome),
            Applied::Done => None,
        }),
        Err(problem) if problem.code == Code::NotFound => Ok(None),
        Err(problem) => Err(fault::of(&problem)),
    }
}

/// How a version or marker is called in an answer.
fn called(context: &BucketContext, outcome: &VersionOutcome) -> Option<String> {
    (context.bucket.versioning != Versioning::Off).then(|| {
        if outcome.is_null {
            version::NULL.to_owned()
        } else {
            outcome.version.to_string()
        }
    })
}

/// Conditions beyond the `ETag` of an object, which S3 has for deleting alone: a
/// delete marker has none.
async fn check_details(
    operations: &Operations,
    context: &BucketContext,
    input: &DeleteObjectInput,
) -> S3Result<()> {
    let names_etag = input
        .if_match
        .as_ref()
        .is_some_and(|condition| condition.as_etag().is_some());
    if !names_etag && input.if_match_size.is_none() && input.if_match_last_modified_time.is_none() {
        return Ok(());
    }
    let key = version::key(&input.key)?;
    let choice = version::choice(input.version_id.as_deref())?;
    let found = version::find(&operations.store, context.bucket.id, &key, choice).await?;
    let Some(found) = found else {
        return Ok(());
    };
    if found.is_marker && names_etag {
        return Err(condition::failed());
    }
    let size = i64::try_from(found.size).ok();
    let seconds = found.created.to_offset_date_time().unix_timestamp();
    let time = input
        .if_match_last_modified_time
        .clone()
        .map(time::OffsetDateTime::from);
    let holds = input
        .if_match_size
        .is_none_or(|wanted| Some(wanted) == size)
        && time.is_none_or(|wanted| wanted.unix_timestamp() == seconds);
    if holds {
        Ok(())
    } else {
        Err(condition::failed())
    }
}

pub(in super::super) async fn delete(
    operations: &Operations,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = request.input;
    check_details(operations, &context, &input).await?;
    let target = Target {
        key: &input.key,
        version: input.version_id.as_deref(),
        condition: condition::on_write(input.if_match.as_ref(), None),
        bypass: input.bypass_governance_retention == Some(true),
    };
    let outcome = delete_one(operations, &session, &context, target).await?;
    let output = match &outcome {
        None => DeleteObjectOutput {
            version_id: input.version_id,
            ..DeleteObjectOutput::default()
        },
        Some(outcome) => DeleteObjectOutput {
            delete_marker: outcome.is_marker.then_some(true),
            version_id: called(&context, outcome),
            ..DeleteObjectOutput::default()
        },
    };
    Ok(S3Response::with_status(
        output,
        http::StatusCode::NO_CONTENT,
    ))
}

pub(in super::super) async fn delete_many(
    operations: &Operations,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = request.input;
    let objects = input.delete.objects;
    if objects.is_empty() || objects.len() > OBJECTS_MAX {
        return Err(s3_error!(
            MalformedXML,
            "1 to {OBJECTS_MAX} objects are deleted at a time."
        ));
    }
    let is_quiet = input.delete.quiet == Some(true);
    let bypass = input.bypass_governance_retention == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    let (session, context) = (&session, &context);
    let begun = objects.into_iter().map(|object| async move {
        let outcome = delete_of_many(operations, session, context, &object, bypass).await;
        (object, outcome)
    });
    let mut outcomes = stream::iter(begun).buffered(OBJECTS_AT_ONCE);
    while let Some((object, outcome)) = outcomes.next().await {
        match outcome {
            Ok(outcome) if !is_quiet => deleted.push(told(context, object, outcome.as_ref())),
            Ok(_) => {}
            Err(error) => errors.push(s3s::dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(object.key),
                message: error.message().map(str::to_owned),
                version_id: object.version_id,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

async fn delete_of_many(
    operations: &Operations,
    session: &Session,
    context: &BucketContext,
    object: &ObjectIdentifier,
    bypass: bool,
) -> S3Result<Option<VersionOutcome>> {
    let deed = if object.version_id.is_some() {
        DELETE_OBJECT_VERSION
    } else {
        DELETE_OBJECT
    };
    operations
        .gate
        .permit(session, context, deed, Some(&object.key))?;
    let condition = Condition {
        if_match: object.e_tag.as_ref().map(|etag: &ETag| match etag.value() {
            "*" => EtagMatch::Any,
            value => EtagMatch::OneOf(vec![value.to_owned()]),
        }),
        ..Condition::default()
    };
    let details = DeleteObjectInput {
        bucket: context.bucket.name.to_string(),
        key: object.key.clone(),
        version_id: object.version_id.clone(),
        if_match: object
            .e_tag
            .clone()
            .filter(|etag| etag.value() != "*")
            .map(s3s::dto::ETagCondition::ETag),
        if_match_size: object.size,
        if_match_last_modified_time: object.last_modified_time.clone(),
        ..DeleteObjectInput::default()
    };
    check_details(operations, context, &details).await?;
    let target = Target {
        key: &object.key,
        version: object.version_id.as_deref(),
        condition,
        bypass,
    };
    delete_one(operations, session, context, target).await
}

fn told(
    context: &BucketContext,
    object: ObjectIdentifier,
    outcome: Option<&VersionOutcome>,
) -> DeletedObject {
    let marker = outcome.filter(|outcome| outcome.is_marker);
    DeletedObject {
        delete_marker: marker.map(|_| true),
        delete_marker_version_id: marker.and_then(|marker| called(context, marker)),
        key: Some(object.key),
        version_id: object.version_id,
    }
}
