//! Which versions of a bucket are over: a walk over all of them, by key, of each
//! key the newest first.

use gridmart_schemas::id::{BucketId, VersionId};
use time::OffsetDateTime;

use super::rule::{Clock, Rule, When};
use crate::storage::metadata::{
    Change, Condition, DeleteTarget, ObjectDelete, ObjectKey, ObjectVersion,
};

/// The version before, in the order of the walk.
struct Before {
    key: ObjectKey,
    created: OffsetDateTime,
    /// Versions of this key that are not seen any more, so far.
    old: u32,
}

/// See the module.
pub(super) struct Walk<'a> {
    bucket: BucketId,
    rules: &'a [Rule],
    clock: Clock,
    before: Option<Before>,
    /// A marker that may turn out to hide nothing.
    marker: Option<ObjectVersion>,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(bucket: BucketId, rules: &'a [Rule], clock: Clock) -> Self {
        Self {
            bucket,
            rules,
            clock,
            before: None,
            marker: None,
        }
    }

    /// What is to be done when the next version of the walk is seen.
    pub(super) fn visit(&mut self, version: &ObjectVersion) -> Vec<Change> {
        let mut changes = Vec::new();
        let before = self
            .before
            .take()
            .filter(|before| before.key == version.key);
        if before.is_none() {
            changes.extend(self.marker_over());
        }
        // There is something below it.
        self.marker = None;
        let created = version.created.to_offset_date_time();
        let mut old = before.as_ref().map_or(0, |before| before.old);
        if version.is_latest && version.is_marker {
            self.marker = Some(version.clone());
        } else if version.is_latest {
            if self.is_expired(version, created) {
                let marker = VersionId::generate();
                changes.push(self.delete(version, DeleteTarget::Object { marker }));
            }
        } else {
            // It was seen until the next one came.
            let since = before.map_or(created, |before| before.created);
            if self.is_too_old(version, since, old) {
                let target = if version.is_null {
                    DeleteTarget::Null
                } else {
                    DeleteTarget::Version(version.id)
                };
                changes.push(self.delete(version, target));
            }
            old += 1;
        }
        self.before = Some(Before {
            key: version.key.clone(),
            created,
            old,
        });
        changes
    }

    /// What is to be done when there is no further version.
    pub(super) fn end(mut self) -> Option<Change> {
        self.marker_over()
    }

    fn is_expired(&self, version: &ObjectVersion, created: OffsetDateTime) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_about(version));
        rules.any(|rule| {
            rule.expires
                .is_some_and(|when| when.is_over(created, self.clock))
        })
    }

    fn is_too_old(&self, version: &ObjectVersion, since: OffsetDateTime, newer: u32) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_about(version));
        rules.any(|rule| {
            rule.old_versions.is_some_and(|(days, kept)| {
                newer >= kept && When::Days(days).is_over(since, self.clock)
            })
        })
    }

    /// The marker before, if it hides nothing and a rule is for such.
    fn marker_over(&mut self) -> Option<Change> {
        let marker = self.marker.take()?;
        let created = marker.created.to_offset_date_time();
        // Days count for them as for what was seen.
        let is_old =
            |when: When| matches!(when, When::Days(_)) && when.is_over(created, self.clock);
        let is_over = self.rules.iter().any(|rule| {
            marker.key.as_str().starts_with(&rule.prefix)
                && (rule.lone_markers || rule.tags.is_empty() && rule.expires.is_some_and(is_old))
        });
        let target = if marker.is_null {
            DeleteTarget::Null
        } else {
            DeleteTarget::Version(marker.id)
        };
        is_over.then(|| self.delete(&marker, target))
    }

    fn delete(&self, version: &ObjectVersion, target: DeleteTarget) -> Change {
        // What is seen must still be that when it goes.
        let is_seen = version.is_latest && !version.is_marker;
        Change::ObjectDelete(ObjectDelete {
            bucket: self.bucket,
            key: version.key.clone(),
            target,
            condition: Condition {
                if_version: is_seen.then_some(version.id),
                ..Condition::default()
            },
            bypass: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;
    use crate::storage::metadata::{Moment, ObjectHead};

    const NOW: OffsetDateTime = datetime!(2026-06-15 12:00 UTC);

    /// A version so many days old.
    fn version(key: &str, days: i64, is_latest: bool, is_marker: bool) -> ObjectVersion {
        ObjectVersion {
            number: 1,
            id: VersionId::generate(),
            key: key.parse().unwrap(),
            is_null: false,
            is_marker,
            is_latest,
            size: 5,
            etag: String::new(),
            created: Moment::from(NOW - Duration::days(days)),
            parts: 0,
            retention: None,
            legal_hold: false,
            head: ObjectHead::default(),
        }
    }

    /// The places in the list of those that go.
    fn gone(rule: Rule, versions: &[ObjectVersion]) -> Vec<String> {
        gone_by(
            Clock {
                now: NOW,
                day: None,
            },
            rule,
            versions,
        )
    }

    fn gone_by(clock: Clock, rule: Rule, versions: &[ObjectVersion]) -> Vec<String> {
        let rules = [rule];
        let mut walk = Walk::new(BucketId::generate(), &rules, clock);
        let mut changes: Vec<Change> = versions.iter().flat_map(|one| walk.visit(one)).collect();
        changes.extend(walk.end());
        let told = changes.into_iter().map(|change| match change {
            Change::ObjectDelete(delete) => match delete.target {
                DeleteTarget::Object { .. } => format!("{} hidden", delete.key),
                DeleteTarget::Version(id) => {
                    let at = versions.iter().position(|one| one.id == id).unwrap();
                    format!("{} {at}", delete.key)
                }
                DeleteTarget::Null => format!("{} null", delete.key),
            },
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn what_is_seen_goes_after_its_days_at_midnight() {
        let rule = Rule {
            prefix: "a".to_owned(),
            expires: Some(When::Days(10)),
            ..Rule::default()
        };
        let versions = [
            version("a1", 10, true, false),
            version("a2", 11, true, false),
            version("b", 99, true, false),
        ];
        assert_eq!(gone(rule, &versions), ["a2 hidden"]);
        let dated = Rule {
            expires: Some(When::Date(NOW)),
            ..Rule::default()
        };
        assert_eq!(gone(dated, &versions[..1]), ["a1 hidden"]);
        let later = When::Date(NOW + Duration::seconds(1));
        assert!(
            gone(
                Rule {
                    expires: Some(later),
                    ..Rule::default()
                },
                &versions
            )
            .is_empty()
        );
    }

    #[test]
    fn old_versions_count_from_when_they_were_hidden_and_some_are_kept() {
        let versions = [
            version("a", 1, true, false),
            version("a", 20, false, false),
            version("a", 30, false, false),
            version("a", 40, false, false),
            version("b", 50, true, false),
        ];
        let rule = |kept| Rule {
            old_versions: Some((10, kept)),
            ..Rule::default()
        };
        assert_eq!(gone(rule(0), &versions), ["a 2", "a 3"]);
        assert_eq!(gone(rule(2), &versions), ["a 3"]);
    }

    #[test]
    fn markers_go_that_hide_nothing() {
        let versions = [
            version("a", 1, true, true),
            version("b", 1, true, true),
            version("b", 2, false, false),
            version("c", 1, true, true),
        ];
        let rule = Rule {
            lone_markers: true,
            ..Rule::default()
        };
        assert_eq!(gone(rule, &versions), ["a 0", "c 3"]);
    }

    #[test]
    fn markers_that_hide_nothing_go_by_days_too() {
        let versions = [
            version("a", 10, true, true),
            version("b", 11, true, true),
            version("c", 11, true, true),
            version("c", 12, false, false),
        ];
        let rule = Rule {
            expires: Some(When::Days(10)),
            ..Rule::default()
        };
        assert_eq!(gone(rule, &versions), ["b 1"]);
    }

    #[test]
    fn a_day_may_be_made_short() {
        let versions = [version("a", 1, true, false), version("b", 2, true, false)];
        let rule = Rule {
            expires: Some(When::Days(3)),
            ..Rule::default()
        };
        let day = Some(Duration::hours(12));
        let clock = Clock { now: NOW, day };
        assert_eq!(gone_by(clock, rule, &versions), ["b hidden"]);
    }
}
