//! Requests and answers: bodies in, bodies out, each with a bound.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use gridmart_schemas::problem::{Code, Problem};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{
    BodyExt as _, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::body::{Body as _, Frame, Incoming};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

/// A request as it comes in.
pub type Request = http::Request<Incoming>;
/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub type Response = http::Response<Body>;

/// How long a whole body may take to come in.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a file that are read at a time.
const FILE_CHUNK_BYTES: usize = 64 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

fn whole(status: StatusCode, kind: Option<HeaderValue>, bytes: impl Into<Bytes>) -> Response {
    let body = Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Nothing but a status.
pub fn empty_response(status: StatusCode) -> Response {
    whole(status, None, Bytes::new())
}

/// Text of some type.
pub fn text_response(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<String>,
) -> Response {
    whole(
        status,
        Some(HeaderValue::from_static(content_type)),
        text.into(),
    )
}

/// A value as JSON.
pub fn json_response<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => whole(status, Some(JSON), bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            problem_response(&Problem::new(
                Code::Internal,
                "The answer cannot be written.",
            ))
        }
    }
}

/// Marks an answer that is a refusal, so that the door can log it.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) detail: String,
}

/// Problem details (RFC 9457). The door logs them.
pub fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = whole(
        status,
        Some(PROBLEM),
        serde_json::to_vec(problem).unwrap_or_default(),
    );
    response.extensions_mut().insert(Refused {
        code: problem.code,
        detail: problem.detail.clone(),
    });
    if let Some(seconds) = problem.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.get().into());
    }
    response
}

/// Reads a JSON body of at most `bytes_max` bytes.
pub async fn json_body<T: DeserializeOwned>(
    request: Request,
    bytes_max: usize,
) -> Result<T, Problem> {
    let too_large = || {
        Problem::new(
            Code::TooLarge,
            format!("The request's body is over the limit of {bytes_max} bytes."),
        )
    };
    // Announced to be too large: nothing of it is waited for.
    if request.body().size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let bytes = timeout(
        BODY_TIMEOUT,
        Limited::new(request.into_body(), bytes_max).collect(),
    )
    .await
    .map_err(|_| Problem::new(Code::TimedOut, "The request's body did not come in time."))?
    .map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large()
        } else {
            Problem::new(
                Code::InvalidRequest,
                format!("The request's body cannot be read: {error}."),
            )
        }
    })?
    .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            Code::InvalidRequest,
            format!("The request's body is not of its form: {error}."),
        )
    })
}

/// A file, as it is read.
pub async fn file_response(path: &Path) -> Result<Response, Problem> {
    let fault = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            return Problem::new(Code::NotFound, "There is no such file here.");
        }
        tracing::error!(path = %path.display(), %error, "a file cannot be served");
        Problem::new(Code::StorageFailed, "The file cannot be read.")
    };
    let file = tokio::fs::File::open(path).await.map_err(fault)?;
    let length = file.metadata().await.map_err(fault)?.len();
    let frames = ReaderStream::with_capacity(file, FILE_CHUNK_BYTES).map_ok(Frame::data);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(response)
}
