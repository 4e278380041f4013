//! Reading objects.

use std::{collections::BTreeMap, ops::Range};

use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{self, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput},
    s3_error,
};

use super::{
    condition::ReadConditions,
    head::{self, CONTENT_TYPE_DEFAULT, expires, header, metadata, timestamp},
    lock, version,
};
use crate::storage::{
    metadata::{ObjectVersion, PartsOf, query},
    s3::{
        caller::bucket_session,
        digest,
        encryption::{self, CustomerKey, customer, plain},
        fault, flow,
        moving::{self, Move},
        operations::Operations,
        store::Store,
    },
};
use gridmart_schemas::wire::transfer::TransferDirection;

/// What of an object is asked for.
struct Asked {
    range: Option<dto::Range>,
    part: Option<i32>,
}

/// What of it is given.
struct Given {
    range: Range<u64>,
    /// It is a part of the whole.
    is_partial: bool,
    parts: Option<i32>,
    /// Of the part that it is; none: of the whole, or of no part.
    checksums: Option<BTreeMap<String, String>>,
}

impl Given {
    fn content_range(&self, size: u64) -> Option<String> {
        let Range { start, end } = self.range;
        (self.is_partial && end > start).then(|| format!("bytes {start}-{}/{size}", end - 1))
    }

    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

async fn given(store: &Store, version: &ObjectVersion, asked: &Asked) -> S3Result<Given> {
    match (&asked.range, asked.part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (None, None) => Ok(Given {
            range: 0..version.size,
            is_partial: false,
            parts: None,
            checksums: None,
        }),
        (Some(range), None) => {
            let range = range
                .check(version.size)
                .map_err(|_| unsatisfiable(version.size))?;
            Ok(Given {
                range,
                is_partial: true,
                parts: None,
                checksums: None,
            })
        }
        (None, Some(number)) => part(store, version, number).await,
    }
}

fn unsatisfiable(size: u64) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::InvalidRange,
        "The requested range is not satisfiable",
    );
    let mut headers = http::HeaderMap::new();
    if let Ok(value) = http::HeaderValue::try_from(format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/xml"),
    );
    error.set_headers(headers);
    error
}

async fn part(store: &Store, version: &ObjectVersion, number: i32) -> S3Result<Given> {
    let unknown = || s3_error!(InvalidPart, "The requested partnumber is not satisfiable");
    let number = u16::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(unknown)?;
    if version.parts == 0 {
        return match number {
            1 => Ok(Given {
                range: 0..version.size,
                is_partial: true,
                parts: None,
                checksums: Some(version.head.checksums.clone()),
            }),
            _ => Err(unknown()),
        };
    }
    let of = PartsOf::Version(version.number);
    let parts = store
        .read(move |connection| query::part_list(connection, of, number - 1, 1))
        .await
        .map_err(|problem| fault::of(&problem))?;
    let part = parts
        .into_iter()
        .next()
        .filter(|part| part.number == number)
        .ok_or_else(unknown)?;
    Ok(Given {
        range: part.start..part.start + part.size,
        is_partial: true,
        parts: Some(version.parts.into()),
        checksums: Some(part.checksums),
    })
}

/// The checksums of what is given, where they are asked for: of the whole, or of a
/// part.
fn checksums(
    mode: Option<&dto::ChecksumMode>,
    version: &ObjectVersion,
    given: &Given,
) -> dto::Checksum {
    let of_whole = &version.head.checksums;
    let known = match &given.checksums {
        Some(of_part) => Some(of_part),
        None => (!given.is_partial).then_some(of_whole),
    };
    match known {
        Some(known) if mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case("ENABLED")) => {
            dto::Checksum {
                checksum_type: digest::type_of(of_whole),
                ..digest::to_dto(known)
            }
        }
        _ => dto::Checksum::default(),
    }
}

/// Fills what GET and HEAD answer alike.
macro_rules! answer {
    ($output:ident, $input:expr, $context:expr, $version:expr, $given:expr, $encryption:expr) => {{
        let (version, given) = ($version, $given);
        let checksums = checksums($input.checksum_mode.as_ref(), version, given);
        let told = &version.head;
        let or_asked =
            |asked: &Option<String>, name: &str| asked.clone().or_else(|| header(told, name));
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: or_asked(&$input.response_cache_control, "cache-control"),
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            checksum_type: checksums.checksum_type,
            content_disposition: or_asked(
                &$input.response_content_disposition,
                "content-disposition",
            ),
            content_encoding: or_asked(&$input.response_content_encoding, "content-encoding"),
            content_language: or_asked(&$input.response_content_language, "content-language"),
            content_length: i64::try_from(given.length()).ok(),
            content_range: given.content_range(version.size),
            content_type: or_asked(&$input.response_content_type, "content-type")
                .or_else(|| Some(CONTENT_TYPE_DEFAULT.to_owned())),
            e_tag: Some(ETag::Strong(version.etag.clone())),
            server_side_encryption: $encryption.server,
            sse_customer_algorithm: $encryption.algorithm,
            sse_customer_key_md5: $encryption.md5,
            expiration: $context.notices.text(
                (version.key.as_str(), version.size),
                &told.tags,
                version.created.to_offset_date_time(),
            ),
            expires: $input.response_expires.clone().or_else(|| expires(told)),
            last_modified: Some(timestamp(version.created)),
            metadata: metadata(told),
            object_lock_legal_hold_status: lock::hold_status(&$context.bucket, version),
            object_lock_mode: lock::mode(version),
            object_lock_retain_until_date: lock::until(version),
            parts_count: given.parts,
            version_id: version::told(&$context.bucket, version),
            website_redirect_location: header(told, "x-amz-website-redirect-location"),
            ..$output::default()
        }
    }};
}

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = request.input;
    let overrides = [
        &input.response_cache_control,
        &input.response_content_disposition,
        &input.response_content_encoding,
        &input.response_content_language,
        &input.response_content_type,
    ];
    let is_anonymous = session.caller == crate::storage::s3::caller::Caller::Anonymous;
    if is_anonymous && overrides.iter().any(|value| value.is_some()) {
        return Err(s3_error!(
            InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests."
        ));
    }
    let store = &operations.store;
    let bucket = &context.bucket;
    let key = version::key(&input.key)?;
    let choice = version::choice(input.version_id.as_deref())?;
    let (found, stripes) = version::located(store, bucket, &key, choice).await?;
    let conditions = ReadConditions {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
        if_modified_since: input.if_modified_since.clone(),
        if_unmodified_since: input.if_unmodified_since.clone(),
    };
    conditions.check(&found)?;
    let customer = CustomerKey::read(customer!(input))?;
    let told = encryption::told(&found.head, customer.as_ref());
    let asked = Asked {
        range: input.range,
        part: input.part_number,
    };
    let given = given(store, &found, &asked).await?;
    let mut output = answer!(GetObjectOutput, input, context, &found, &given, told);
    output.tag_count = i32::try_from(found.head.tags.len())
        .ok()
        .filter(|count| *count > 0);
    let length = given.length();
    let running = moving::begin(
        operations,
        &Move {
            session: &session,
            context: &context,
            key: key.as_str(),
            direction: TransferDirection::Get,
            bytes: Some(length),
        },
    )?;
    let source = plain(
        operations,
        (&found, stripes),
        given.range,
        customer.as_ref(),
    )
    .await?;
    output.body = Some(flow::blob(source, length, running));
    Ok(S3Response::new(output))
}

pub(in super::super) async fn head(
    operations: &Operations,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let store = &operations.store;
    let bucket = &context.bucket;
    let key = version::key(&input.key)?;
    let choice = version::choice(input.version_id.as_deref())?;
    let found = version::required(store, bucket, &key, choice).await?;
    let conditions = ReadConditions {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
        if_modified_since: input.if_modified_since.clone(),
        if_unmodified_since: input.if_unmodified_since.clone(),
    };
    conditions.check(&found)?;
    let customer = CustomerKey::read(customer!(input))?;
    let told = encryption::told(&found.head, customer.as_ref());
    encryption::open(
        &found.head,
        customer.as_ref(),
        operations.sealing(),
        found.id,
    )?;
    let asked = Asked {
        range: input.range,
        part: input.part_number,
    };
    let given = given(store, &found, &asked).await?;
    let output = answer!(HeadObjectOutput, input, context, &found, &given, told);
    let mut response = S3Response::new(output);
    if !found.head.tags.is_empty() {
        let count = http::HeaderValue::from(found.head.tags.len());
        response.headers.insert("x-amz-tagging-count", count);
    }
    if given.is_partial {
        response.status = Some(http::StatusCode::PARTIAL_CONTENT);
    }
    Ok(response)
}

/// What an object's list of access says; none: it has none of its own.
pub(in super::super) fn acl(version: &ObjectVersion) -> Option<crate::storage::s3::acl::Acl> {
    head::acl(&version.head)
}
