//! What requests expect of an object.

use http::{HeaderMap, HeaderValue};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ETagCondition, Timestamp},
};
use time::OffsetDateTime;

use crate::storage::metadata::{Condition, EtagMatch, ObjectVersion};

/// Conditions on what is read.
#[expect(clippy::struct_field_names, reason = "the names of their headers")]
#[derive(Debug, Default)]
pub(in super::super) struct ReadConditions {
    pub(in super::super) if_match: Option<ETagCondition>,
    pub(in super::super) if_none_match: Option<ETagCondition>,
    pub(in super::super) if_modified_since: Option<Timestamp>,
    pub(in super::super) if_unmodified_since: Option<Timestamp>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Decision {
    GoOn,
    NotModified,
    Failed,
}

fn is_match(condition: &ETagCondition, etag: &str) -> bool {
    match condition.as_etag() {
        None => true,
        Some(wanted) => wanted.value() == etag,
    }
}

impl ReadConditions {
    /// As RFC 9110 orders them; times count in seconds.
    pub(in super::super) fn decide(&self, etag: &str, modified: OffsetDateTime) -> Decision {
        let modified = modified.unix_timestamp();
        let seconds = |time: &Timestamp| OffsetDateTime::from(time.clone()).unix_timestamp();
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !is_match(condition, etag) => return Decision::Failed,
            (None, Some(time)) if modified > seconds(time) => return Decision::Failed,
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if is_match(condition, etag) => Decision::NotModified,
            (None, Some(time)) if modified <= seconds(time) => Decision::NotModified,
            _ => Decision::GoOn,
        }
    }

    /// Whether a version may be read; the error says why not.
    pub(in super::super) fn check(&self, version: &ObjectVersion) -> S3Result<()> {
        match self.decide(&version.etag, version.created.to_offset_date_time()) {
            Decision::GoOn => Ok(()),
            Decision::Failed => Err(failed()),
            Decision::NotModified => Err(not_modified(version)),
        }
    }

    /// The same for what is copied: nothing is fresh there.
    pub(in super::super) fn check_source(&self, version: &ObjectVersion) -> S3Result<()> {
        match self.decide(&version.etag, version.created.to_offset_date_time()) {
            Decision::GoOn => Ok(()),
            Decision::Failed | Decision::NotModified => Err(failed()),
        }
    }
}

pub(in super::super) fn failed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold",
    )
}

fn not_modified(version: &ObjectVersion) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", version.etag)) {
        headers.insert(http::header::ETAG, etag);
    }
    error.set_headers(headers);
    error
}

/// Conditions on what is written.
pub(in super::super) fn on_write(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> Condition {
    let of = |condition: &ETagCondition| match condition.as_etag() {
        None => EtagMatch::Any,
        Some(etag) => EtagMatch::OneOf(vec![etag.value().to_owned()]),
    };
    Condition {
        if_match: if_match.map(of),
        if_none_match: if_none_match.map(of),
        if_version: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        modified_since: Option<i64>,
        unmodified_since: Option<i64>,
    ) -> Decision {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let conditions = ReadConditions {
            if_match: if_match.map(|text| text.parse().unwrap()),
            if_none_match: if_none_match.map(|text| text.parse().unwrap()),
            if_modified_since: modified_since.map(|seconds| at(seconds).into()),
            if_unmodified_since: unmodified_since.map(|seconds| at(seconds).into()),
        };
        conditions.decide("e", at(100))
    }

    #[test]
    fn conditions_are_asked_in_their_order() {
        use Decision::{Failed, GoOn, NotModified};
        let (same, other) = (Some("\"e\""), Some("\"x\""));
        assert_eq!(decide(None, None, None, None), GoOn);
        assert_eq!(decide(same, None, None, None), GoOn);
        assert_eq!(decide(other, None, None, None), Failed);
        assert_eq!(decide(None, same, None, None), NotModified);
        assert_eq!(decide(None, Some("*"), None, None), NotModified);
        assert_eq!(decide(None, other, None, None), GoOn);
        assert_eq!(decide(None, None, Some(100), None), NotModified);
        assert_eq!(decide(None, None, Some(99), None), GoOn);
        assert_eq!(decide(None, None, None, Some(99)), Failed);
        assert_eq!(decide(None, None, None, Some(100)), GoOn);
        // An ETag counts more than a time.
        assert_eq!(decide(same, None, None, Some(1)), GoOn);
        assert_eq!(decide(None, other, Some(200), None), GoOn);
    }
}
