//! Answers to forms of web pages, where the S3 library does not answer as S3 does.

use http::{HeaderValue, Response, StatusCode, header::LOCATION};
use s3s::{Body, S3Error, s3_error};

/// Before the last parameter of the page that a browser is sent to.
const ETAG: &str = "&etag=";

/// The answer as S3 gives it.
pub(in super::super) fn answered(mut response: Response<Body>) -> Result<Response<Body>, S3Error> {
    if let Some(error) = refusal(&response) {
        return Err(error);
    }
    quote_etag(&mut response);
    Ok(response)
}

/// A form that is not as its policy has it is denied: the policy itself is right.
fn refusal(response: &Response<Body>) -> Option<S3Error> {
    let body = (response.status() == StatusCode::BAD_REQUEST)
        .then(|| response.body().bytes())
        .flatten()?;
    let text = String::from_utf8_lossy(&body);
    let is_meant = text.contains("<Code>InvalidPolicyDocument</Code>")
        && text.contains("<Message>Policy condition");
    is_meant.then(|| {
        s3_error!(
            AccessDenied,
            "Invalid according to Policy: Policy Condition failed"
        )
    })
}

/// Where a browser is sent to that has put an object: the `ETag` is told in its
/// quotes.
fn quote_etag(response: &mut Response<Body>) {
    let Some(location) = response.headers().get(LOCATION) else {
        return;
    };
    let quoted = location.to_str().ok().and_then(|text| {
        let (page, etag) = text.rsplit_once(ETAG)?;
        HeaderValue::try_from(format!("{page}{ETAG}%22{etag}%22")).ok()
    });
    if let Some(quoted) = quoted {
        response.headers_mut().insert(LOCATION, quoted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, text: &'static str) -> Response<Body> {
        let body = Body::from(bytes::Bytes::from_static(text.as_bytes()));
        Response::builder().status(status).body(body).unwrap()
    }

    #[test]
    fn what_fails_a_policy_is_denied_and_a_wrong_policy_is_wrong() {
        let of = |status, text| {
            refusal(&answer(status, text)).map(|error| error.code().as_str().to_owned())
        };
        let failed = "<Error><Code>InvalidPolicyDocument</Code><Message>Policy condition 'eq' for field 'bucket' failed</Message></Error>";
        assert_eq!(of(400, failed).as_deref(), Some("AccessDenied"));
        assert_eq!(of(200, failed), None);
        let wrong = "<Error><Code>InvalidPolicyDocument</Code><Message>failed to parse POST policy</Message></Error>";
        assert_eq!(of(400, wrong), None);
    }

    #[test]
    fn the_etag_is_quoted_where_it_is_told() {
        let mut response = answer(303, "");
        let page = HeaderValue::from_static("http://a/b?etag=1&bucket=b&key=k&etag=0a");
        response.headers_mut().insert(LOCATION, page);
        quote_etag(&mut response);
        assert_eq!(
            response.headers()[LOCATION],
            "http://a/b?etag=1&bucket=b&key=k&etag=%220a%22"
        );
    }
}
