//! A rule as it is carried out.

use std::collections::BTreeMap;

use s3s::dto::{LifecycleRule, Tag};
use time::{Duration, OffsetDateTime, Time};

use crate::storage::metadata::ObjectVersion;

/// What time it is, and how long a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: OffsetDateTime,
    /// For tests; none: a day of 24 hours that ends at midnight (UTC).
    pub(super) day: Option<Duration>,
}

/// When something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So many days after it began, at the midnight (UTC) that follows.
    Days(i32),
    /// From then on.
    Date(OffsetDateTime),
}

impl When {
    /// Whether it is over for what began then.
    pub(super) fn is_over(self, since: OffsetDateTime, clock: Clock) -> bool {
        let over = match (self, clock.day) {
            (Self::Days(days), Some(day)) => since.checked_add(day * days),
            _ => self.over(since),
        };
        over.is_some_and(|over| clock.now >= over)
    }

    /// When it is over for what began then; none: beyond all calendars.
    pub(super) fn over(self, since: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Date(date) => Some(date),
            Self::Days(days) => since
                .checked_add(Duration::days(i64::from(days) + 1))
                .map(|over| over.replace_time(Time::MIDNIGHT)),
        }
    }
}

/// A rule that is enabled.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) prefix: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) larger_than: Option<i64>,
    pub(super) smaller_than: Option<i64>,
    /// Of what is seen.
    pub(super) expires: Option<When>,
    /// Of delete markers that hide nothing any more.
    pub(super) lone_markers: bool,
    /// Of what is not seen any more, and how many of those are kept anyhow.
    pub(super) old_versions: Option<(i32, u32)>,
    /// Of uploads that were not completed.
    pub(super) uploads: Option<i32>,
}

fn tag(tag: Tag) -> (String, String) {
    (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())
}

impl Rule {
    /// Reads a rule; `None`: it is not enabled.
    pub(super) fn of(rule: LifecycleRule) -> Option<Self> {
        if rule.status.as_str() != "Enabled" {
            return None;
        }
        let mut read = Self {
            id: rule.id.unwrap_or_default(),
            prefix: rule.prefix.unwrap_or_default(),
            ..Self::default()
        };
        if let Some(filter) = rule.filter {
            let both = filter.and;
            let prefix = filter.prefix.or_else(|| both.as_ref()?.prefix.clone());
            read.prefix = prefix.unwrap_or(read.prefix);
            read.tags.extend(filter.tag.map(tag));
            read.larger_than = filter.object_size_greater_than;
            read.smaller_than = filter.object_size_less_than;
            if let Some(both) = both {
                read.tags.extend(both.tags.into_iter().flatten().map(tag));
                read.larger_than = read.larger_than.or(both.object_size_greater_than);
                read.smaller_than = read.smaller_than.or(both.object_size_less_than);
            }
        }
        if let Some(expiration) = rule.expiration {
            read.expires = match (expiration.days, expiration.date) {
                (Some(days), _) => Some(When::Days(days)),
                (None, Some(date)) => Some(When::Date(date.into())),
                (None, None) => None,
            };
            read.lone_markers = expiration.expired_object_delete_marker == Some(true);
        }
        read.old_versions = rule.noncurrent_version_expiration.and_then(|old| {
            let kept = old.newer_noncurrent_versions.unwrap_or(0);
            Some((old.noncurrent_days?, u32::try_from(kept).unwrap_or(0)))
        });
        read.uploads = rule
            .abort_incomplete_multipart_upload
            .and_then(|abort| abort.days_after_initiation);
        Some(read)
    }

    /// Whether it is about a version.
    pub(super) fn is_about(&self, version: &ObjectVersion) -> bool {
        self.covers(version.key.as_str(), version.size, &version.head.tags)
    }

    /// The same for an object that is just put.
    pub(super) fn covers(&self, key: &str, size: u64, tags: &BTreeMap<String, String>) -> bool {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        key.starts_with(&self.prefix)
            && self.larger_than.is_none_or(|least| size > least)
            && self.smaller_than.is_none_or(|most| size < most)
            && self
                .tags
                .iter()
                .all(|(key, value)| tags.get(key) == Some(value))
    }
}
