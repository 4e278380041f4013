//! Bucket policies in the words of S3: who may, on which condition, and who may
//! not whatever else allows it.
//!
//! A policy names actions and resources by patterns and persons by the names
//! that they have here. What it does not mention it leaves to the bucket's rules.

mod condition;
mod document;
mod pattern;

pub(super) use self::document::Policy;

use std::collections::BTreeMap;

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It must not be.
    Deny,
    /// It may be.
    Allow,
    /// Nothing.
    Silent,
}

/// A request, as policies see it.
#[derive(Debug)]
pub(super) struct Query<'a> {
    /// `None`: nobody who is known.
    pub(super) person: Option<&'a str>,
    /// `s3:GetObject`.
    pub(super) action: &'a str,
    /// `arn:aws:s3:::bucket/key`.
    pub(super) resource: &'a str,
    /// What conditions ask about.
    pub(super) facts: &'a Facts,
}

/// What is known of a request beside what it does: values by the condition key
/// in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(BTreeMap<String, Vec<String>>);

impl Facts {
    pub(super) fn add(&mut self, key: &str, value: impl Into<String>) {
        let values = self.0.entry(key.to_ascii_lowercase()).or_default();
        values.push(value.into());
    }

    /// Adds in place of all that was known of a key.
    pub(super) fn put(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// What is known of a key.
    pub(super) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
