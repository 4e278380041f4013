//! Lists of objects and of versions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        DeleteMarkerEntry, ETag, ListObjectVersionsInput, ListObjectVersionsOutput,
        ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
        ObjectStorageClass, ObjectVersion as VersionDto, ObjectVersionStorageClass, Owner,
    },
    s3_error,
};

use super::{
    acl::owner,
    caller::bucket_session,
    context::BucketContext,
    digest, facts, fault,
    listing::{Asked, Encoding, asked},
    object::{
        head::{self, timestamp},
        version,
    },
    operations::Operations,
};
use crate::storage::metadata::{ObjectVersion, Page, VersionChoice, query};

/// Some programs do without order, which is no help where keys are grouped. Here
/// lists are in order anyhow.
fn check_unordered(uri: &http::Uri, delimiter: Option<&str>) -> S3Result<()> {
    let is_unordered = facts::query_value(uri, "allow-unordered")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_unordered && delimiter.is_some() {
        return Err(s3_error!(
            InvalidArgument,
            "A list without order cannot have a delimiter."
        ));
    }
    Ok(())
}

/// The prefix as the first form of lists tells it back: as it came. Programs decode
/// keys there, and not the prefix; what XML cannot carry is encoded anyhow.
fn prefix_told(encoding: Encoding, prefix: &str) -> String {
    let is_carried = prefix
        .chars()
        .all(|one| !one.is_control() || matches!(one, '\n' | '\r' | '\t'));
    if is_carried {
        prefix.to_owned()
    } else {
        encoding.write(prefix)
    }
}

/// What a page ends with.
fn marker_of(page: &Page) -> &str {
    match page {
        Page::Start => "",
        Page::After(text) | Page::AfterPrefix(text) => text,
        Page::Within { key, .. } => key,
    }
}

/// A page as a text that nobody but this door reads.
fn token_write(page: &Page) -> String {
    let kind = if matches!(page, Page::AfterPrefix(_)) {
        'p'
    } else {
        'k'
    };
    URL_SAFE_NO_PAD.encode(format!("{kind}{}", marker_of(page)))
}

fn token_read(token: &str) -> S3Result<Page> {
    let unknown = || {
        s3_error!(
            InvalidArgument,
            "The continuation token provided is incorrect"
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| unknown())?;
    let text = String::from_utf8(bytes).map_err(|_| unknown())?;
    match text.split_at_checked(1) {
        Some(("k", key)) => Ok(Page::After(key.to_owned())),
        Some(("p", prefix)) => Ok(Page::AfterPrefix(prefix.to_owned())),
        _ => Err(unknown()),
    }
}

/// Who owns a version, as lists tell it.
fn owner_of(context: &BucketContext, version: &ObjectVersion) -> Owner {
    head::acl(&version.head).map_or_else(|| owner(&context.rules.owner), |acl| acl.to_owner())
}

fn line(
    context: &BucketContext,
    version: &ObjectVersion,
    encoding: Encoding,
    with_owner: bool,
) -> Object {
    let algorithms = digest::Algorithm::ALL
        .into_iter()
        .filter(|algorithm| version.head.checksums.contains_key(algorithm.word()))
        .map(digest::Algorithm::name);
    Object {
        checksum_algorithm: Some(algorithms.collect()),
        checksum_type: digest::type_of(&version.head.checksums),
        e_tag: Some(ETag::Strong(version.etag.clone())),
        key: Some(encoding.write(version.key.as_str())),
        last_modified: Some(timestamp(version.created)),
        owner: with_owner.then(|| owner_of(context, version)),
        restore_status: None,
        size: i64::try_from(version.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
    }
}

pub(super) async fn objects(
    operations: &Operations,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let (session, context) = bucket_session(&request)?;
    let (mut input, uri) = (request.input, request.uri);
    let asked = asked!(&session, input, max_keys, "maxKeys")?;
    check_unordered(&uri, asked.delimiter.as_deref())?;
    let marker = input.marker.unwrap_or_default();
    let request = asked.request(context.bucket.id, asked.page_after(&marker));
    let listed = operations
        .store
        .read(move |connection| query::object_list(connection, &request))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
    let encoding = asked.encoding;
    let contents = listed
        .items
        .iter()
        .map(|version| line(&context, version, encoding, true));
    let next = listed
        .next
        .as_ref()
        .map(|page| encoding.write(marker_of(page)));
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(context.bucket.name.to_string()),
        prefix: Some(prefix_told(encoding, &asked.prefix)),
        marker: Some(encoding.write(&marker)),
        max_keys: asked.limit_told(),
        is_truncated: Some(listed.next.is_some()),
        contents: Some(contents.collect()),
        // S3 tells it with a delimiter only; it does no harm without.
        next_marker: next,
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delimiter: asked.delimiter_told(),
        encoding_type: encoding.told(),
        request_charged: None,
    }))
}

pub(super) async fn objects_v2(
    operations: &Operations,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let (session, context) = bucket_session(&request)?;
    let (mut input, uri) = (request.input, request.uri);
    let asked = asked!(&session, input, max_keys, "maxKeys")?;
    check_unordered(&uri, asked.delimiter.as_deref())?;
    let page = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) if !token.is_empty() => token_read(token)?,
        (_, Some(key)) => asked.page_after(key),
        (_, None) => Page::Start,
    };
    let request = asked.request(context.bucket.id, page);
    let listed = operations
        .store
        .read(move |connection| query::object_list(connection, &request))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
    let encoding = asked.encoding;
    let with_owner = input.fetch_owner == Some(true);
    let contents = listed
        .items
        .iter()
        .map(|version| line(&context, version, encoding, with_owner));
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(context.bucket.name.to_string()),
        prefix: Some(encoding.write(&asked.prefix)),
        max_keys: asked.limit_told(),
        key_count: i32::try_from(listed.items.len() + listed.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(listed.next.is_some()),
        next_continuation_token: listed.next.as_ref().map(token_write),
        contents: Some(contents.collect()),
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delimiter: asked.delimiter_told(),
        encoding_type: encoding.told(),
        start_after: input.start_after.map(|key| encoding.write(&key)),
        request_charged: None,
    }))
}

/// Where a list of versions begins.
async fn versions_page(
    operations: &Operations,
    context: &BucketContext,
    (key, id): (Option<&str>, Option<&str>),
    asked: &Asked,
) -> S3Result<Page> {
    let key = key.unwrap_or_default();
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(asked.page_after(key));
    };
    if key.is_empty() {
        return Err(s3_error!(
            InvalidArgument,
            "A version-id marker cannot be specified without a key marker."
        ));
    }
    let choice = version::choice(Some(id))?;
    let found = match choice {
        VersionChoice::Current => None,
        choice => {
            version::find(
                &operations.store,
                context.bucket.id,
                &version::key(key)?,
                choice,
            )
            .await?
        }
    };
    Ok(match found {
        Some(found) => Page::Within {
            key: key.to_owned(),
            number: found.number,
        },
        // It is gone meanwhile; the next key is the nearest that is known.
        None => Page::After(key.to_owned()),
    })
}

pub(super) async fn versions(
    operations: &Operations,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let (session, context) = bucket_session(&request)?;
    let mut input = request.input;
    let asked = asked!(&session, input, max_keys, "maxKeys")?;
    let markers = (
        input.key_marker.as_deref(),
        input.version_id_marker.as_deref(),
    );
    let page = versions_page(operations, &context, markers, &asked).await?;
    let request = asked.request(context.bucket.id, page);
    let listed = operations
        .store
        .read(move |connection| query::version_list(connection, &request))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
    let encoding = asked.encoding;
    let next_version = match &listed.next {
        Some(Page::Within { .. }) => listed.items.last().map(version::name),
        _ => None,
    };
    let (markers, versions): (Vec<_>, Vec<_>) =
        listed.items.iter().partition(|version| version.is_marker);
    Ok(S3Response::new(ListObjectVersionsOutput {
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delete_markers: Some(
            markers
                .into_iter()
                .map(|one| marker_line(&context, one, encoding))
                .collect(),
        ),
        delimiter: asked.delimiter_told(),
        encoding_type: encoding.told(),
        is_truncated: Some(listed.next.is_some()),
        key_marker: Some(encoding.write(input.key_marker.as_deref().unwrap_or_default())),
        max_keys: asked.limit_told(),
        name: Some(context.bucket.name.to_string()),
        next_key_marker: listed
            .next
            .as_ref()
            .map(|page| encoding.write(marker_of(page))),
        next_version_id_marker: next_version,
        prefix: Some(encoding.write(&asked.prefix)),
        request_charged: None,
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        versions: Some(
            versions
                .into_iter()
                .map(|one| version_line(&context, one, encoding))
                .collect(),
        ),
    }))
}

fn marker_line(
    context: &BucketContext,
    marker: &ObjectVersion,
    encoding: Encoding,
) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(marker.is_latest),
        key: Some(encoding.write(marker.key.as_str())),
        last_modified: Some(timestamp(marker.created)),
        owner: Some(owner_of(context, marker)),
        version_id: Some(version::name(marker)),
    }
}

fn version_line(context: &BucketContext, found: &ObjectVersion, encoding: Encoding) -> VersionDto {
    let line = line(context, found, encoding, true);
    VersionDto {
        checksum_algorithm: line.checksum_algorithm,
        checksum_type: line.checksum_type,
        e_tag: line.e_tag,
        is_latest: Some(found.is_latest),
        key: line.key,
        last_modified: line.last_modified,
        owner: line.owner,
        restore_status: None,
        size: line.size,
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(version::name(found)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_are_told_as_they_came_where_xml_carries_them() {
        assert_eq!(prefix_told(Encoding::Url, "a b\n"), "a b\n");
        assert_eq!(prefix_told(Encoding::Url, "\u{1}"), "%01");
    }

    #[test]
    fn lists_without_order_have_no_delimiter() {
        let of = |query: &str, delimiter| {
            check_unordered(&format!("/b?{query}").parse().unwrap(), delimiter).is_ok()
        };
        assert!(of("allow-unordered=true", None) && of("", Some("/")));
        assert!(!of("allow-unordered=true&delimiter=/", Some("/")));
    }

    proptest! {
        #[test]
        fn tokens_read_back_and_others_are_refused(text in "\\PC{0,30}", is_prefix: bool) {
            let page = if is_prefix { Page::AfterPrefix(text.clone()) } else { Page::After(text.clone()) };
            prop_assert_eq!(token_read(&token_write(&page)).unwrap(), page);
            let _ = token_read(&text);
        }
    }
}
