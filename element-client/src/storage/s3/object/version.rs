//! Versions as requests name them, and finding them.

use gridmart_schemas::{id::BucketId, wire::storage::StripeView};
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::storage::{
    metadata::{Bucket, ObjectKey, ObjectVersion, VersionChoice, Versioning, query},
    s3::{fault, store::Store},
};

/// How S3 calls the version without an id of its own.
pub(in super::super) const NULL: &str = "null";

/// Reads the key of a request.
pub(in super::super) fn key(text: &str) -> S3Result<ObjectKey> {
    text.parse()
        .map_err(|_| s3_error!(KeyTooLongError, "Your key is too long"))
}

/// Reads the version of a request.
pub(in super::super) fn choice(text: Option<&str>) -> S3Result<VersionChoice> {
    match text {
        None => Ok(VersionChoice::Current),
        Some(NULL) => Ok(VersionChoice::Null),
        Some(id) => id
            .parse()
            .map(VersionChoice::Id)
            .map_err(|_| s3_error!(InvalidArgument, "Invalid version id specified")),
    }
}

/// How a version is called.
pub(in super::super) fn name(version: &ObjectVersion) -> String {
    if version.is_null {
        NULL.to_owned()
    } else {
        version.id.to_string()
    }
}

/// The same for answers: where a bucket never kept versions, they are not
/// spoken of.
pub(in super::super) fn told(bucket: &Bucket, version: &ObjectVersion) -> Option<String> {
    (bucket.versioning != Versioning::Off).then(|| name(version))
}

/// Looks a version up, be it a marker.
pub(in super::super) async fn find(
    store: &Store,
    bucket: BucketId,
    key: &ObjectKey,
    choice: VersionChoice,
) -> S3Result<Option<ObjectVersion>> {
    let key = key.clone();
    store
        .read(move |connection| query::object_version(connection, bucket, &key, choice))
        .await
        .map_err(|problem| fault::of(&problem))
}

/// Looks up a version that must be there and have content.
pub(in super::super) async fn required(
    store: &Store,
    bucket: &Bucket,
    key: &ObjectKey,
    choice: VersionChoice,
) -> S3Result<ObjectVersion> {
    let found = find(store, bucket.id, key, choice).await?;
    with_content(bucket, found.ok_or_else(|| absent(choice))?, choice)
}

/// The same, with where its bytes are as far as that was read along.
pub(in super::super) async fn located(
    store: &Store,
    bucket: &Bucket,
    key: &ObjectKey,
    choice: VersionChoice,
) -> S3Result<(ObjectVersion, Vec<StripeView>)> {
    let (key, id) = (key.clone(), bucket.id);
    let found = store
        .read(move |connection| query::object_located(connection, id, &key, choice))
        .await
        .map_err(|problem| fault::of(&problem))?;
    let (version, stripes) = found.ok_or_else(|| absent(choice))?;
    Ok((with_content(bucket, version, choice)?, stripes))
}

/// Refuses a delete marker.
fn with_content(
    bucket: &Bucket,
    version: ObjectVersion,
    choice: VersionChoice,
) -> S3Result<ObjectVersion> {
    if version.is_marker {
        return Err(hidden(bucket, &version, choice));
    }
    Ok(version)
}

fn absent(choice: VersionChoice) -> S3Error {
    match choice {
        VersionChoice::Current => missing(),
        _ => s3_error!(NoSuchVersion, "The specified version does not exist."),
    }
}

/// What is answered where nothing is, not even a delete marker.
pub(in super::super) fn missing() -> S3Error {
    let mut error = s3_error!(NoSuchKey, "The specified key does not exist.");
    error.set_headers(marked("false"));
    error
}

/// Whether a delete marker is why nothing is found.
fn marked(word: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static(word));
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    headers
}

/// What is answered for a delete marker.
fn hidden(bucket: &Bucket, marker: &ObjectVersion, choice: VersionChoice) -> S3Error {
    let mut error = match choice {
        VersionChoice::Current => missing(),
        _ => S3Error::with_message(
            S3ErrorCode::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        ),
    };
    let mut headers = marked("true");
    let version = told(bucket, marker).and_then(|version| HeaderValue::try_from(version).ok());
    if let Some(version) = version {
        headers.insert(HeaderName::from_static("x-amz-version-id"), version);
    }
    error.set_headers(headers);
    error
}
