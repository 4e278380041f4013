//! Lists of objects and of versions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        CommonPrefix, DeleteMarkerEntry, ETag, EncodingType, ListObjectVersionsInput,
        ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
        ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion as VersionDto,
        ObjectVersionStorageClass, Owner,
    },
    s3_error,
};

use super::{
    acl::owner,
    caller::{Session, bucket_session},
    context::BucketContext,
    digest, facts, fault,
    object::{
        head::{self, timestamp},
        version,
    },
    operations::Operations,
};
use crate::storage::metadata::{ListingRequest, ObjectVersion, Page, VersionChoice, query};

/// Lines of a page, as S3 has it.
pub(super) const LINES_MAX: usize = 1000;

/// How keys are written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    pub(super) fn read(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    pub(super) fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => text
                .bytes()
                .map(|byte| match byte {
                    b'A'..=b'Z'
                    | b'a'..=b'z'
                    | b'0'..=b'9'
                    | b'-'
                    | b'_'
                    | b'.'
                    | b'~'
                    | b'/'
                    | b'*' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect(),
        }
    }

    pub(super) fn told(self) -> Option<EncodingType> {
        (self == Self::Url).then(|| EncodingType::from_static(EncodingType::URL))
    }

    pub(super) fn prefixes(self, prefixes: Vec<String>) -> Vec<CommonPrefix> {
        let told = prefixes.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(self.write(&prefix)),
        });
        told.collect()
    }
}

/// How many lines are asked for.
pub(super) fn limit(asked: Option<i32>, name: &str) -> S3Result<usize> {
    match asked {
        None => Ok(LINES_MAX),
        Some(asked) => usize::try_from(asked)
            .map(|limit| limit.min(LINES_MAX))
            .map_err(|_| {
                s3_error!(
                    InvalidArgument,
                    "Argument {name} must be an integer between 0 and 2147483647"
                )
            }),
    }
}

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

/// Not the prefix that was permitted: a query that says it twice.
pub(super) fn check_prefix(session: &Session, prefix: Option<&str>) -> S3Result<()> {
    if session.facts.prefix().unwrap_or_default() == prefix.unwrap_or_default() {
        Ok(())
    } else {
        Err(s3_error!(InvalidArgument, "The prefix is not clear."))
    }
}

/// After a key that an earlier page ended with, or that somebody names. A key
/// that is a common prefix itself stands for all below it.
pub(super) fn page_after(marker: &str, prefix: &str, delimiter: Option<&str>) -> Page {
    if marker.is_empty() {
        return Page::Start;
    }
    let is_common = delimiter
        .filter(|text| !text.is_empty())
        .is_some_and(|delimiter| {
            let rest = marker.strip_prefix(prefix).unwrap_or_default();
            rest.find(delimiter)
                .is_some_and(|at| at + delimiter.len() == rest.len())
        });
    if is_common {
        Page::AfterPrefix(marker.to_owned())
    } else {
        Page::After(marker.to_owned())
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
    let (input, uri) = (request.input, request.uri);
    check_prefix(&session, input.prefix.as_deref())?;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys, "maxKeys")?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    check_unordered(&uri, delimiter.as_deref())?;
    let prefix = input.prefix.unwrap_or_default();
    let marker = input.marker.unwrap_or_default();
    let asked = ListingRequest {
        bucket: context.bucket.id,
        page: page_after(&marker, &prefix, delimiter.as_deref()),
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        limit,
    };
    let listed = operations
        .store
        .read(move |connection| query::object_list(connection, &asked))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
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
        prefix: Some(prefix_told(encoding, &prefix)),
        marker: Some(encoding.write(&marker)),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(listed.next.is_some()),
        contents: Some(contents.collect()),
        // S3 tells it with a delimiter only; it does no harm without.
        next_marker: next,
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.told(),
        request_charged: None,
    }))
}

pub(super) async fn objects_v2(
    operations: &Operations,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let (session, context) = bucket_session(&request)?;
    let (input, uri) = (request.input, request.uri);
    check_prefix(&session, input.prefix.as_deref())?;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys, "maxKeys")?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    check_unordered(&uri, delimiter.as_deref())?;
    let prefix = input.prefix.unwrap_or_default();
    let page = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) if !token.is_empty() => token_read(token)?,
        (_, Some(key)) => page_after(key, &prefix, delimiter.as_deref()),
        (_, None) => Page::Start,
    };
    let asked = ListingRequest {
        bucket: context.bucket.id,
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        page,
        limit,
    };
    let listed = operations
        .store
        .read(move |connection| query::object_list(connection, &asked))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
    let with_owner = input.fetch_owner == Some(true);
    let contents = listed
        .items
        .iter()
        .map(|version| line(&context, version, encoding, with_owner));
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(context.bucket.name.to_string()),
        prefix: Some(encoding.write(&prefix)),
        max_keys: i32::try_from(limit).ok(),
        key_count: i32::try_from(listed.items.len() + listed.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(listed.next.is_some()),
        next_continuation_token: listed.next.as_ref().map(token_write),
        contents: Some(contents.collect()),
        common_prefixes: Some(encoding.prefixes(listed.prefixes)),
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
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
    (prefix, delimiter): (&str, Option<&str>),
) -> S3Result<Page> {
    let key = key.unwrap_or_default();
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(page_after(key, prefix, delimiter));
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
    let input = request.input;
    check_prefix(&session, input.prefix.as_deref())?;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys, "maxKeys")?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let prefix = input.prefix.unwrap_or_default();
    let markers = (
        input.key_marker.as_deref(),
        input.version_id_marker.as_deref(),
    );
    let page = versions_page(
        operations,
        &context,
        markers,
        (&prefix, delimiter.as_deref()),
    )
    .await?;
    let asked = ListingRequest {
        bucket: context.bucket.id,
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        page,
        limit,
    };
    let listed = operations
        .store
        .read(move |connection| query::version_list(connection, &asked))
        .await;
    let listed = listed.map_err(|problem| fault::of(&problem))?;
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
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.told(),
        is_truncated: Some(listed.next.is_some()),
        key_marker: Some(encoding.write(input.key_marker.as_deref().unwrap_or_default())),
        max_keys: i32::try_from(limit).ok(),
        name: Some(context.bucket.name.to_string()),
        next_key_marker: listed
            .next
            .as_ref()
            .map(|page| encoding.write(marker_of(page))),
        next_version_id_marker: next_version,
        prefix: Some(encoding.write(&prefix)),
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
    fn markers_that_are_common_prefixes_stand_for_all_below() {
        let page = |marker, prefix| page_after(marker, prefix, Some("/"));
        assert_eq!(page("", ""), Page::Start);
        assert_eq!(page("a", ""), Page::After("a".to_owned()));
        assert_eq!(page("a/", ""), Page::AfterPrefix("a/".to_owned()));
        assert_eq!(page("a/b", ""), Page::After("a/b".to_owned()));
        assert_eq!(page("a/b/", "a/"), Page::AfterPrefix("a/b/".to_owned()));
        assert_eq!(page("a/", "a/"), Page::After("a/".to_owned()));
        assert_eq!(page_after("a/", "", None), Page::After("a/".to_owned()));
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(Encoding::Url.write("foo+1/bar baz"), "foo%2B1/bar%20baz");
        assert_eq!(Encoding::Url.write("ü\n"), "%C3%BC%0A");
        assert_eq!(Encoding::Plain.write("a b"), "a b");
    }

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
