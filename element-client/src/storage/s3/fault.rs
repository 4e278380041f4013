//! Errors as S3 words them.

use gridmart_schemas::problem::{Code, Problem};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

/// A problem of the Element, where S3 has no finer word for it in this place.
pub(super) fn of(problem: &Problem) -> S3Error {
    let code = match problem.code {
        Code::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        Code::NotEmpty => S3ErrorCode::BucketNotEmpty,
        Code::AlreadyExists => S3ErrorCode::BucketAlreadyExists,
        Code::Retained | Code::NotAuthorized => S3ErrorCode::AccessDenied,
        Code::LimitExceeded => return limit(problem),
        Code::Terminated => return killed(problem),
        Code::TooLarge => S3ErrorCode::EntityTooLarge,
        Code::NotFound => S3ErrorCode::NoSuchKey,
        Code::InvalidRequest => S3ErrorCode::InvalidRequest,
        Code::GenerationConflict => S3ErrorCode::OperationAborted,
        Code::Busy | Code::RateLimited => S3ErrorCode::SlowDown,
        code if code.status() == 503 || code.status() == 507 => S3ErrorCode::ServiceUnavailable,
        _ => S3ErrorCode::InternalError,
    };
    if code == S3ErrorCode::InternalError {
        tracing::error!(%problem, "a request at the S3 door has failed");
    }
    S3Error::with_message(code, problem.detail.clone())
}

/// The Element was stopped: programs try again later.
pub(super) fn stopped() -> S3Error {
    s3_error!(
        SlowDown,
        "The Storage Element is stopped: it takes no new requests."
    )
}

/// Somebody has ended the transfer: no program should try it again by itself.
fn killed(problem: &Problem) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("TransferKilled".into()),
        problem.detail.clone(),
    );
    error.set_status_code(http::StatusCode::CONFLICT);
    error
}

/// A quota of the bucket: S3 has none, other stores answer so.
fn limit(problem: &Problem) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("QuotaExceeded".into()),
        problem.detail.clone(),
    );
    error.set_status_code(http::StatusCode::FORBIDDEN);
    error
}

/// Replaces what `NotFound` means in this place.
pub(super) fn where_missing(missing: S3ErrorCode) -> impl FnOnce(Problem) -> S3Error {
    move |problem| match problem.code {
        Code::NotFound => S3Error::with_message(missing, problem.detail),
        _ => of(&problem),
    }
}

/// Nobody is told more than that.
pub(super) fn denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// What is not there.
pub(super) fn not_implemented<T>(what: &str) -> S3Result<T> {
    Err(s3_error!(
        NotImplemented,
        "{what} is not implemented at this door."
    ))
}

/// What breaks off while a request's body is read.
pub(super) fn of_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    // The S3 library keeps its types of them to itself; their words are all there is.
    let text = format!("{error} {error:?}");
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["Sha256Mismatch"]) {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return error;
    }
    if has(&["SignatureMismatch"]) {
        return s3_error!(SignatureDoesNotMatch, "A chunk's signature does not match.");
    }
    if has(&["TooSlow"]) {
        return s3_error!(
            RequestTimeout,
            "Your socket connection to the server was not read from or written to within the \
             timeout period."
        );
    }
    if has(&["ChunkTooLarge"]) {
        return s3_error!(
            InvalidRequest,
            "A chunk of the body is larger than this door takes; send smaller ones."
        );
    }
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_and_a_status() {
        for (code, expected, status) in [
            (Code::StorageDegraded, "ServiceUnavailable", 503),
            (Code::NotAccepting, "ServiceUnavailable", 503),
            (Code::StorageFailed, "ServiceUnavailable", 503),
            (Code::Busy, "SlowDown", 503),
            (Code::PreconditionFailed, "PreconditionFailed", 412),
            (Code::NotEmpty, "BucketNotEmpty", 409),
            (Code::LimitExceeded, "QuotaExceeded", 403),
            (Code::Retained, "AccessDenied", 403),
            (Code::Terminated, "TransferKilled", 409),
            (Code::Internal, "InternalError", 500),
        ] {
            let error = of(&Problem::new(code, "Words."));
            assert_eq!(error.code().as_str(), expected, "{code}");
            assert_eq!(error.status_code().unwrap().as_u16(), status, "{code}");
        }
    }
}
