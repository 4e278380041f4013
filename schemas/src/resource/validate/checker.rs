//! Walks through a document and gathers what is wrong with it.

use std::{collections::HashSet, fmt, hash::Hash};

use super::{BrokenRule, Violation, Violations};
use crate::scalar::{Decimal, Seconds, Text};

/// Checks a whole document.
pub(crate) fn check<T: Check>(document: &T, root: &'static str) -> Result<(), Violations> {
    let mut checker = Checker {
        path: format!("/{root}"),
        found: Vec::new(),
    };
    document.check(&mut checker);
    if checker.found.is_empty() {
        Ok(())
    } else {
        Err(Violations(checker.found))
    }
}

/// Knows where it is, and gathers what is wrong.
pub(crate) struct Checker {
    path: String,
    found: Vec<Violation>,
}

/// A part of a document that has rules.
pub(crate) trait Check {
    fn check(&self, checker: &mut Checker);
}

fn total<T: Into<u64>, const N: usize>(values: [T; N]) -> u128 {
    values
        .into_iter()
        .map(|value| u128::from(value.into()))
        .sum()
}

impl Checker {
    /// Goes into a child.
    pub(super) fn within(&mut self, step: impl fmt::Display, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path = format!("{}/{step}", self.path);
        check(self);
        self.path.truncate(length);
    }

    pub(super) fn child(&mut self, step: &'static str, child: &impl Check) {
        self.within(step, |checker| child.check(checker));
    }

    /// Reports the element that it is in.
    pub(super) fn report(&mut self, rule: BrokenRule) {
        self.found.push(Violation {
            path: self.path.clone(),
            rule,
        });
    }

    /// Reports a child.
    pub(super) fn report_at(&mut self, step: &'static str, rule: BrokenRule) {
        self.within(step, |checker| checker.report(rule));
    }

    /// Two values, if both are there, in this order.
    pub(super) fn ordered<T: PartialOrd + fmt::Display>(
        &mut self,
        (lower, low): (&'static str, Option<T>),
        (upper, high): (&'static str, Option<T>),
    ) {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            let rule = BrokenRule::NotOrdered {
                lower,
                lower_value: low.to_string(),
                upper,
                upper_value: high.to_string(),
            };
            self.report_at(lower, rule);
        }
    }

    /// Parts that are not more than the whole. The sum is wider than its
    /// parts, so that it never overflows.
    pub(super) fn no_more_than<T: Into<u64>, const N: usize>(
        &mut self,
        (parts, values): (&'static str, [T; N]),
        (whole, found): (&'static str, T),
    ) {
        let (sum, found) = (total(values), found.into());
        if sum > u128::from(found) {
            let rule = BrokenRule::MoreThanWhole {
                parts,
                sum,
                whole,
                found,
            };
            self.report_at(whole, rule);
        }
    }

    /// Parts that make exactly the whole.
    pub(super) fn sum<T: Into<u64>, const N: usize>(
        &mut self,
        (total_name, found): (&'static str, T),
        (parts, values): (&'static str, [T; N]),
    ) {
        let (sum, found) = (total(values), found.into());
        if sum != u128::from(found) {
            let rule = BrokenRule::NotSum {
                total: total_name,
                found,
                parts,
                sum,
            };
            self.report_at(total_name, rule);
        }
    }

    pub(super) fn unique<T: Hash + Eq + fmt::Display>(
        &mut self,
        step: &'static str,
        what: &'static str,
        values: impl IntoIterator<Item = T>,
    ) {
        let mut seen = HashSet::new();
        for (index, value) in values.into_iter().enumerate() {
            let text = value.to_string();
            if !seen.insert(value) {
                let rule = BrokenRule::Duplicate { what, value: text };
                self.within(format_args!("{step}[{}]", index + 1), |checker| {
                    checker.report(rule);
                });
            }
        }
    }

    pub(super) fn positive(&mut self, step: &'static str, value: Seconds) {
        if value == Seconds::default() {
            let rule = BrokenRule::OutOfRange {
                found: value.to_string(),
                expected: "more than 0 seconds",
            };
            self.report_at(step, rule);
        }
    }

    pub(super) fn degrees(
        &mut self,
        step: &'static str,
        value: Option<Decimal>,
        limit: i64,
        expected: &'static str,
    ) {
        if let Some(value) = value
            && value.as_millionths().abs() > limit * 1_000_000
        {
            let found = value.to_string();
            self.report_at(step, BrokenRule::OutOfRange { found, expected });
        }
    }

    pub(super) fn both(&mut self, first: (&'static str, bool), second: (&'static str, bool)) {
        if first.1 != second.1 {
            let (present, missing) = if first.1 {
                (first, second)
            } else {
                (second, first)
            };
            let rule = BrokenRule::Incomplete {
                present: present.0,
                missing: missing.0,
            };
            self.report_at(present.0, rule);
        }
    }

    /// A path that may not leave its folder.
    pub(super) fn inside(&mut self, step: &'static str, path: Option<&Text>, folder: &'static str) {
        let Some(path) = path.map(Text::as_str) else {
            return;
        };
        let is_safe =
            !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        if !is_safe {
            let found = path.chars().take(80).collect();
            self.report_at(step, BrokenRule::UnsafePath { found, folder });
        }
    }
}
