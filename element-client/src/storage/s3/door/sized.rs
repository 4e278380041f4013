//! Bodies that come without their length: the S3 library takes only those whose
//! length is told. Small ones are read before.

use bytes::{Bytes, BytesMut};
use http::{Request, header};
use s3s::{Body, S3Result, s3_error};

use super::PacedBody;
use crate::storage::s3::fault;

/// The most bytes that are held for that, of each request.
const BYTES_MAX: usize = 256 * 1024;

/// The request with a body of known length, where it tells none.
pub(super) async fn sized(request: Request<PacedBody>) -> S3Result<Request<Body>> {
    let headers = request.headers();
    let is_told = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key("x-amz-decoded-content-length")
        || !headers.contains_key(header::TRANSFER_ENCODING);
    if is_told {
        return Ok(request.map(Body::http_body_unsync));
    }
    let (parts, mut body) = request.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(more) = body.next_bytes().await {
        let more = more.map_err(|error| fault::of_body(&error))?;
        if bytes.len() + more.len() > BYTES_MAX {
            return Err(s3_error!(
                MissingContentLength,
                "You must provide the Content-Length HTTP header."
            ));
        }
        bytes.extend_from_slice(&more);
    }
    Ok(Request::from_parts(parts, Body::from(Bytes::from(bytes))))
}
