//! What readers of an object are told of its end.

use std::collections::BTreeMap;

use s3s::dto::{BucketLifecycleConfiguration, Timestamp};
use time::OffsetDateTime;

use super::rule::Rule;
use crate::storage::s3::object::head::http_date;

/// The rules of a bucket that end what is seen of it.
#[derive(Debug, Default)]
pub(in super::super) struct Notices(Vec<Rule>);

impl Notices {
    pub(in super::super) fn of(configuration: BucketLifecycleConfiguration) -> Self {
        let rules = configuration.rules.into_iter().filter_map(Rule::of);
        Self(rules.filter(|rule| rule.expires.is_some()).collect())
    }

    /// When an object is over, and by which rule: the value of the header
    /// `x-amz-expiration`. None: it has no end.
    pub(in super::super) fn text(
        &self,
        (key, size): (&str, u64),
        tags: &BTreeMap<String, String>,
        created: OffsetDateTime,
    ) -> Option<String> {
        let rules = self.0.iter().filter(|rule| rule.covers(key, size, tags));
        let ends = rules.filter_map(|rule| Some((rule.expires?.over(created)?, &rule.id)));
        let (over, id) = ends.min()?;
        let date = http_date(&Timestamp::from(over));
        Some(format!("expiry-date=\"{date}\", rule-id=\"{id}\""))
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::{ExpirationStatus, LifecycleExpiration, LifecycleRule};
    use time::macros::datetime;

    use super::*;

    fn rule(id: &str, prefix: &str, days: i32) -> LifecycleRule {
        LifecycleRule {
            expiration: Some(LifecycleExpiration {
                days: Some(days),
                ..LifecycleExpiration::default()
            }),
            id: Some(id.to_owned()),
            prefix: Some(prefix.to_owned()),
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            abort_incomplete_multipart_upload: None,
            filter: None,
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            transitions: None,
        }
    }

    #[test]
    fn the_first_end_of_those_that_are_meant_is_told() {
        let notices = Notices::of(BucketLifecycleConfiguration {
            rules: vec![rule("late", "", 9), rule("soon", "a/", 1)],
        });
        let of = |key| {
            let created = datetime!(2026-01-01 10:00 UTC);
            notices.text((key, 1), &BTreeMap::new(), created).unwrap()
        };
        let soon = "expiry-date=\"Sat, 03 Jan 2026 00:00:00 GMT\", rule-id=\"soon\"";
        assert_eq!(of("a/b"), soon);
        assert!(of("b").ends_with("rule-id=\"late\""));
        let none = Notices::default();
        assert_eq!(
            none.text(("a", 1), &BTreeMap::new(), OffsetDateTime::UNIX_EPOCH),
            None
        );
    }
}
