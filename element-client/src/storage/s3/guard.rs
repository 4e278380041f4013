//! What is wrong with a request before its signature is verified: what the S3
//! library does not look at.

use std::collections::HashSet;

use http::{HeaderMap, Method, Request, Uri};
use s3s::{
    S3Result,
    dto::{Timestamp, TimestampFormat},
    s3_error,
};
use time::{OffsetDateTime, macros::format_description};

use super::{REGION, facts};

/// How long a presigned URL may be valid, as S3 has it: seven days.
const EXPIRY_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
const AMZ_DATE: &str = "x-amz-date";
/// Parameters of a request; S3 has no operation with as many.
const PARAMETERS_MAX: usize = 64;
/// Headers that need not be signed: they say nothing of the request, or are
/// bound to it otherwise.
const UNSIGNED: &[&str] = &[
    "x-amz-content-sha256",
    "x-amz-user-agent",
    "x-amz-security-token",
];

/// The scope of a signature: `id/date/region/service/aws4_request`.
fn check_scope(credential: &str) -> S3Result<()> {
    let malformed = || {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; the Credential is mal-formed."
        )
    };
    let mut pieces = credential.rsplit('/');
    let (end, service, region, date) = (pieces.next(), pieces.next(), pieces.next(), pieces.next());
    if end != Some("aws4_request") || date.is_none_or(str::is_empty) {
        return Err(malformed());
    }
    if service != Some("s3") {
        return Err(s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\"."
        ));
    }
    match region {
        Some(REGION) => Ok(()),
        Some(region) => Err(s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; the region '{region}' is wrong; expecting '{REGION}'"
        )),
        None => Err(malformed()),
    }
}

/// Whether all headers that mean something are signed: who carries a request
/// must not be able to add to it.
fn check_signed(headers: &HeaderMap, signed: &str) -> S3Result<()> {
    let signed: HashSet<String> = signed.split(';').map(str::to_ascii_lowercase).collect();
    if !signed.contains("host") && !signed.contains(":authority") {
        return Err(s3_error!(AccessDenied, "The host header must be signed."));
    }
    let unsigned = headers.keys().map(http::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-") && !UNSIGNED.contains(name) && !signed.contains(*name)
    });
    match unsigned {
        Some(name) => Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed: {name}"
        )),
        None => Ok(()),
    }
}

/// The parts of the header `Authorization`.
fn check_header(headers: &HeaderMap, text: &str) -> S3Result<()> {
    let Some(rest) = text.strip_prefix("AWS4-HMAC-SHA256") else {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256."
        ));
    };
    let (mut credential, mut signed) = (None, None);
    for piece in rest.split(',').map(str::trim) {
        match piece.split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed = Some(value),
            _ => {}
        }
    }
    let malformed = || {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    };
    check_scope(credential.ok_or_else(malformed)?)?;
    check_signed(headers, signed.ok_or_else(malformed)?)
}

/// A URL that somebody with a key has signed for somebody without.
fn check_presigned(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let wrong = |text: &str| s3_error!(AuthorizationQueryParametersError, "{text}");
    // It has never been valid: that is answered as for one that is over.
    let over = |text: &str| {
        let mut error = wrong(text);
        error.set_status_code(http::StatusCode::FORBIDDEN);
        error
    };
    let value = |name: &str| {
        facts::query_value(uri, name).ok_or_else(|| {
            wrong(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        })
    };
    let expires: i64 = value("X-Amz-Expires")?
        .parse()
        .map_err(|_| wrong("X-Amz-Expires should be a number"))?;
    let expires = u64::try_from(expires).map_err(|_| over("X-Amz-Expires must be non-negative"))?;
    if expires > EXPIRY_SECONDS_MAX {
        return Err(over(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
             must be less than 604800 seconds",
        ));
    }
    check_scope(&value("X-Amz-Credential")?)?;
    check_signed(headers, &value("X-Amz-SignedHeaders")?)
}

/// How an object is encrypted is said when it is put.
fn check_encryption(method: &Method, headers: &HeaderMap) -> S3Result<()> {
    let is_read = method == Method::GET || method == Method::HEAD;
    let has = |name: &str| headers.contains_key(name);
    let is_said =
        has("x-amz-server-side-encryption") || has("x-amz-server-side-encryption-aws-kms-key-id");
    if is_read && is_said {
        return Err(s3_error!(
            InvalidArgument,
            "x-amz-server-side-encryption header is not supported for this operation."
        ));
    }
    Ok(())
}

/// Some programs sign the header `Date` in place of the one that the S3 library
/// reads: it is told there what they have signed.
pub(super) fn complete_date<B>(request: &mut Request<B>) {
    let headers = request.headers();
    let text = |name: http::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let signs_date = text(http::header::AUTHORIZATION).is_some_and(|text| {
        text.split_once("SignedHeaders=").is_some_and(|(_, rest)| {
            let names = rest.split(',').next().unwrap_or_default();
            names
                .split(';')
                .any(|name| name.eq_ignore_ascii_case("date"))
        })
    });
    if !signs_date || headers.contains_key(AMZ_DATE) {
        return;
    }
    let date = text(http::header::DATE)
        // The zone may be written as e-mails do.
        .map(|date| date.replace("-0000", "GMT").replace("+0000", "GMT"))
        .and_then(|date| Timestamp::parse(TimestampFormat::HttpDate, &date).ok())
        .and_then(|date| {
            let form = format_description!("[year][month][day]T[hour][minute][second]Z");
            OffsetDateTime::from(date).format(form).ok()
        })
        .and_then(|date| http::HeaderValue::try_from(date).ok());
    if let Some(date) = date {
        request.headers_mut().insert(AMZ_DATE, date);
    }
}

/// Refuses what must not come to the S3 library.
pub(super) fn check<B>(request: &Request<B>) -> S3Result<()> {
    let uri = request.uri();
    let parameters = facts::pairs(uri.query().unwrap_or_default());
    if parameters.len() > PARAMETERS_MAX {
        return Err(s3_error!(
            InvalidArgument,
            "The request has too many parameters."
        ));
    }
    let mut names = HashSet::new();
    let is_twice = |(name, _): &&(String, String)| !names.insert(name.to_ascii_lowercase());
    if let Some((name, _)) = parameters.iter().find(is_twice) {
        return Err(s3_error!(
            InvalidArgument,
            "The parameter {name} stands twice in the request."
        ));
    }
    let has = |name: &str| facts::query_value(uri, name).is_some();
    if has("Signature") || has("AWSAccessKeyId") {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256."
        ));
    }
    let headers = request.headers();
    // The S3 library takes an empty header for none.
    if headers
        .get("content-md5")
        .is_some_and(http::HeaderValue::is_empty)
    {
        return Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 you specified was invalid."
        ));
    }
    check_encryption(request.method(), headers)?;
    let authorization = headers.get(http::header::AUTHORIZATION);
    if headers.get_all(http::header::AUTHORIZATION).iter().count() > 1 {
        return Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed"
        ));
    }
    match (
        authorization,
        has("X-Amz-Signature") || has("X-Amz-Credential"),
    ) {
        (Some(_), true) => Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed"
        )),
        (None, true) => check_presigned(uri, headers),
        (Some(value), false) => match value.to_str() {
            Ok(text) => check_header(headers, text),
            Err(_) => Err(s3_error!(
                InvalidArgument,
                "The authorization header is no text."
            )),
        },
        (None, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(uri: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match check(&request.body(()).unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.code().as_str().to_owned(),
        }
    }

    #[test]
    fn scopes_headers_and_expiry_are_looked_at() {
        let header = |credential: &str, signed: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature=00"
            )
        };
        let good = "KEY/20260101/us-east-1/s3/aws4_request";
        assert_eq!(
            code("/b", &[("authorization", &header(good, "host;x-amz-date"))]),
            ""
        );
        for (credential, signed, expected) in [
            (
                "KEY/20260101/eu-west-1/s3/aws4_request",
                "host",
                "AuthorizationHeaderMalformed",
            ),
            (
                "KEY/20260101/us-east-1/sts/aws4_request",
                "host",
                "AuthorizationHeaderMalformed",
            ),
            ("KEY", "host", "AuthorizationHeaderMalformed"),
            (good, "x-amz-date", "AccessDenied"),
            (good, "host", "AccessDenied"),
        ] {
            let headers = [
                ("authorization", &*header(credential, signed)),
                ("x-amz-acl", "private"),
            ];
            assert_eq!(code("/b", &headers), expected, "{credential} {signed}");
        }
        assert_eq!(
            code("/b", &[("authorization", "AWS KEY:sig")]),
            "InvalidRequest"
        );
        let url = |expires: &str, signed: &str| {
            format!(
                "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=20260101T000000Z\
                 &X-Amz-Expires={expires}&X-Amz-SignedHeaders={signed}&X-Amz-Signature=00",
                good.replace('/', "%2F")
            )
        };
        assert_eq!(code(&url("604800", "host"), &[]), "");
        let wrong = "AuthorizationQueryParametersError";
        assert_eq!(code(&url("604801", "host"), &[]), wrong);
        assert_eq!(code(&url("-1", "host"), &[]), wrong);
        assert_eq!(code(&url("x", "host"), &[]), wrong);
        assert_eq!(
            code(&url("60", "host"), &[("x-amz-acl", "public-read")]),
            "AccessDenied"
        );
        assert_eq!(code("/b/k", &[("content-md5", "")]), "InvalidDigest");
        assert_eq!(
            code("/b/k", &[("x-amz-server-side-encryption", "AES256")]),
            "InvalidArgument"
        );
        assert_eq!(code("/b?prefix=a&Prefix=", &[]), "InvalidArgument");
        assert_eq!(
            code("/b?AWSAccessKeyId=a&Signature=b&Expires=1", &[]),
            "InvalidRequest"
        );
    }

    #[test]
    fn a_signed_date_counts_where_there_is_no_other() {
        let complete = |signed: &str, date: &str| {
            let text =
                format!("AWS4-HMAC-SHA256 Credential=a, SignedHeaders={signed}, Signature=0");
            let mut request = Request::builder()
                .header("authorization", text)
                .header("date", date)
                .body(())
                .unwrap();
            complete_date(&mut request);
            let told = request.headers().get(AMZ_DATE);
            told.map(|date| date.to_str().unwrap().to_owned())
        };
        let date = "Sun, 22 Nov 2026 11:33:29 GMT";
        let told = Some("20261122T113329Z".to_owned());
        assert_eq!(complete("date;host", date), told);
        let mailed = date.replace("GMT", "-0000");
        assert_eq!(complete("date;host", &mailed), told);
        assert_eq!(complete("host", date), None);
        assert_eq!(complete("date;host", "today"), None);
    }
}
