//! What becomes of objects when they are old, as a bucket's owner says it.

use std::collections::HashSet;

use s3s::{
    S3Result,
    dto::{BucketLifecycleConfiguration, LifecycleRule},
    s3_error,
};

/// Rules of a bucket, as S3 has it.
const RULES_MAX: usize = 1000;
const ID_CHARACTERS_MAX: usize = 255;

/// Refuses what is no setting, and names rules that have no name.
pub(in super::super) fn check(configuration: &mut BucketLifecycleConfiguration) -> S3Result<()> {
    let rules = &mut configuration.rules;
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(s3_error!(MalformedXML, "1 to {RULES_MAX} rules are taken."));
    }
    let mut names = HashSet::new();
    for rule in rules.iter_mut() {
        let id = rule
            .id
            .get_or_insert_with(|| uuid::Uuid::now_v7().simple().to_string());
        if id.chars().count() > ID_CHARACTERS_MAX {
            return Err(s3_error!(
                InvalidArgument,
                "ID length should not exceed allowed limit of 255"
            ));
        }
        if !names.insert(id.clone()) {
            return Err(s3_error!(
                InvalidArgument,
                "Rule ID must be unique. Found same ID for more than one rule"
            ));
        }
        check_rule(rule)?;
    }
    Ok(())
}

fn check_rule(rule: &LifecycleRule) -> S3Result<()> {
    let malformed = || {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    if !matches!(rule.status.as_str(), "Enabled" | "Disabled") {
        return Err(malformed());
    }
    let does_nothing = rule.expiration.is_none()
        && rule.abort_incomplete_multipart_upload.is_none()
        && rule.noncurrent_version_expiration.is_none()
        && rule.noncurrent_version_transitions.is_none()
        && rule.transitions.is_none();
    if does_nothing || (rule.filter.is_some() && rule.prefix.is_some()) {
        return Err(malformed());
    }
    if rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some() {
        return Err(s3_error!(
            InvalidStorageClass,
            "There is one storage class here: objects cannot move to another one."
        ));
    }
    if let Some(expiration) = &rule.expiration {
        let said = [
            expiration.days.is_some(),
            expiration.date.is_some(),
            expiration.expired_object_delete_marker.is_some(),
        ];
        if said.into_iter().filter(|said| *said).count() != 1 {
            return Err(malformed());
        }
        if expiration.days.is_some_and(|days| days <= 0) {
            return Err(s3_error!(
                InvalidArgument,
                "'Days' for Expiration action must be a positive integer"
            ));
        }
        let midnight = expiration.date.clone().map(time::OffsetDateTime::from);
        if midnight.is_some_and(|date| date.time() != time::Time::MIDNIGHT) {
            return Err(s3_error!(InvalidArgument, "'Date' must be at midnight GMT"));
        }
    }
    let noncurrent = rule
        .noncurrent_version_expiration
        .as_ref()
        .and_then(|old| old.noncurrent_days);
    let aborted = rule
        .abort_incomplete_multipart_upload
        .as_ref()
        .and_then(|abort| abort.days_after_initiation);
    if noncurrent.into_iter().chain(aborted).any(|days| days <= 0) {
        return Err(s3_error!(
            InvalidArgument,
            "Days must be a positive integer"
        ));
    }
    Ok(())
}
