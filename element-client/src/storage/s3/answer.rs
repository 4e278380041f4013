//! Answers where the S3 library does not answer as S3 does.

use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri, header};
use s3s::Body;

use super::facts;

/// What a refusal ends with.
const ERROR_END: &str = "</Error>";

/// What must be known of a request once it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For what an object is, whose `ETag` stands without quotes.
    Attributes,
    Other,
}

impl Kind {
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let is_attributes =
            method == Method::GET && facts::query_value(uri, "attributes").is_some();
        if is_attributes {
            Self::Attributes
        } else {
            Self::Other
        }
    }
}

/// The answer as S3 gives it.
pub(super) fn completed(response: Response<Body>, kind: Kind, id: &str) -> Response<Body> {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        return rewritten(response, |text| {
            let (rest, end) = text.rsplit_once(ERROR_END)?;
            let is_told = rest.contains("<RequestId>");
            (!is_told).then(|| format!("{rest}<RequestId>{id}</RequestId>{ERROR_END}{end}"))
        });
    }
    if kind == Kind::Attributes && status == StatusCode::OK {
        return rewritten(response, |text| {
            let (before, rest) = text.split_once("<ETag>\"")?;
            let (etag, after) = rest.split_once("\"</ETag>")?;
            Some(format!("{before}<ETag>{etag}</ETag>{after}"))
        });
    }
    response
}

/// Writes a body anew that is there as a whole; none: it stays.
fn rewritten(
    response: Response<Body>,
    write: impl FnOnce(&str) -> Option<String>,
) -> Response<Body> {
    let written = response
        .body()
        .bytes()
        .and_then(|bytes| write(str::from_utf8(&bytes).ok()?));
    let Some(text) = written else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(Bytes::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, text: &'static str, kind: Kind) -> String {
        let body = Body::from(Bytes::from_static(text.as_bytes()));
        let response = Response::builder().status(status).body(body).unwrap();
        let bytes = completed(response, kind, "1").body().bytes().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_refusal_tells_its_requests_id_once() {
        let refused = "<Error><Code>NoSuchKey</Code></Error>";
        let told = "<Error><Code>NoSuchKey</Code><RequestId>1</RequestId></Error>";
        assert_eq!(text(404, refused, Kind::Other), told);
        assert_eq!(text(404, told, Kind::Other), told);
        assert_eq!(text(200, refused, Kind::Other), refused);
        assert_eq!(text(503, "busy", Kind::Other), "busy");
    }

    #[test]
    fn the_etag_of_attributes_has_no_quotes() {
        let quoted = "<A><ETag>\"0a-2\"</ETag><ObjectSize>1</ObjectSize></A>";
        let bare = "<A><ETag>0a-2</ETag><ObjectSize>1</ObjectSize></A>";
        assert_eq!(text(200, quoted, Kind::Attributes), bare);
        assert_eq!(text(200, quoted, Kind::Other), quoted);
        let uri: Uri = "/b/k?attributes".parse().unwrap();
        assert_eq!(Kind::of(&Method::GET, &uri), Kind::Attributes);
        assert_eq!(Kind::of(&Method::PUT, &uri), Kind::Other);
    }
}
