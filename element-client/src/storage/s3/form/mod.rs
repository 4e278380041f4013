//! Forms of web pages, by which browsers put objects.
//!
//! The S3 library verifies their signatures and policies and holds their files.
//! What it leaves open is here: the name of the file in the key, the fields `acl`
//! and `tagging`, fields that are missing, and answers where it does not answer as
//! S3 does. The beginning of a form, up to its file, is read for that, and passed
//! on.

mod answer;
mod body;
mod fields;
mod head;

use http::Request;
use s3s::{Body, S3Result, s3_error};

pub(super) use self::{answer::answered, fields::complete, head::Head};
use self::{
    body::Resumed,
    head::{HeadReader, Malformed},
};
use super::{authentication::Authentication, door::PacedBody};

/// The most bytes before the file of a form: its fields and what is around them.
const HEAD_BYTES_MAX: usize = 512 * 1024;

/// Reads a form up to its file, and gives the request with the file's name in its
/// key.
pub(super) async fn begin(
    request: Request<PacedBody>,
    authentication: &Authentication,
) -> S3Result<Request<Body>> {
    let boundary = boundary(request.headers()).ok_or_else(malformed)?;
    let (mut parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    let mut reader = HeadReader::new(&boundary);
    let head = loop {
        match reader.advance(&bytes) {
            Ok(Some(head)) => break head,
            Ok(None) if bytes.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return Err(too_long()),
            Err(Malformed::NoFile) => return Err(no_file()),
            Err(Malformed::NoForm) => return Err(malformed()),
        }
        match body.next_bytes().await {
            Some(Ok(more)) => bytes.extend_from_slice(&more),
            Some(Err(error)) => return Err(super::fault::of_body(&error)),
            None => return Err(malformed()),
        }
    };
    head.check_fields()?;
    head.check_policy(parts.uri.path())?;
    head.check_old_signature(authentication).await?;
    let policy = head.policy();
    let bytes = head.rewritten(&bytes, |name| fields::is_apart(policy.as_ref(), name));
    parts.extensions.insert(head);
    let body = Body::http_body_unsync(Resumed::new(bytes, body));
    Ok(Request::from_parts(parts, body))
}

/// What stands between the parts of a form.
fn boundary(headers: &http::HeaderMap) -> Option<Vec<u8>> {
    let text = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    // As the S3 library takes it apart.
    let kind: mime::Mime = text.parse().ok()?;
    let boundary = kind.get_param(mime::BOUNDARY)?;
    Some(boundary.as_str().as_bytes().to_vec())
}

fn malformed() -> s3s::S3Error {
    s3_error!(
        MalformedPOSTRequest,
        "The body of your POST request is not well-formed multipart/form-data."
    )
}

fn too_long() -> s3s::S3Error {
    s3_error!(
        MaxPostPreDataLengthExceededError,
        "Your POST request fields preceding the upload file were too large."
    )
}

fn no_file() -> s3s::S3Error {
    s3_error!(
        IncorrectNumberOfFilesInPostRequest,
        "POST requires exactly one file upload per request."
    )
}
