//! Rules over several fields, which an XSD cannot state. All violations of a
//! document are listed, not only the first.

mod application;
mod checker;
mod common;
mod compute;
mod data;
mod storage;

use std::fmt;

use super::enumeration::AeKind;
pub(crate) use checker::{Check, check};

/// Everything that does not go together in a document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

/// One broken rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    path: String,
    rule: BrokenRule,
}

/// A rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenRule {
    /// Two values in the wrong order.
    #[error(
        "{lower} ({lower_value}) is above {upper} ({upper_value}); lower the first or raise the second"
    )]
    NotOrdered {
        /// What has to be the smaller one.
        lower: &'static str,
        /// Its value.
        lower_value: String,
        /// What has to be the larger one.
        upper: &'static str,
        /// Its value.
        upper_value: String,
    },
    /// A total that is not the sum of its parts.
    #[error("{total} is {found}, but {parts} make {sum}")]
    NotSum {
        /// The total.
        total: &'static str,
        /// Its value.
        found: u64,
        /// Its parts.
        parts: &'static str,
        /// Their sum.
        sum: u128,
    },
    /// Parts that are more than the whole.
    #[error("{parts} make {sum}, more than {whole} ({found})")]
    MoreThanWhole {
        /// The parts.
        parts: &'static str,
        /// Their sum.
        sum: u128,
        /// The whole.
        whole: &'static str,
        /// Its value.
        found: u64,
    },
    /// A value outside of what it can mean.
    #[error("{found} is out of range; expected {expected}")]
    OutOfRange {
        /// The value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A thing that may be there once.
    #[error("{what} {value} stands twice")]
    Duplicate {
        /// What.
        what: &'static str,
        /// Which.
        value: String,
    },
    /// A reference to another thing than it has to be.
    #[error("{what} is {found}; expected {expected}")]
    Dangling {
        /// What refers.
        what: &'static str,
        /// To what.
        found: String,
        /// To what it has to refer.
        expected: String,
    },
    /// Two things of which only one is there.
    #[error("{present} is given without {missing}; give both or none")]
    Incomplete {
        /// What is there.
        present: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// A list or range that nothing can match.
    #[error("{what} is empty; leave it out or fill it")]
    Empty {
        /// What.
        what: &'static str,
    },
    /// A path that could lead out of its folder.
    #[error("{found:?} has to be a path inside of the {folder}: relative, without `..`")]
    UnsafePath {
        /// The path.
        found: String,
        /// Where it has to stay.
        folder: &'static str,
    },
    /// Something that this kind of application does not have.
    #[error("an application of kind {kind} has no {what}")]
    NotForKind {
        /// What.
        what: &'static str,
        /// The kind.
        kind: AeKind,
    },
    /// Something that the model has and no Host does yet.
    #[error("{what} is not applied yet: {goes}; leave it out")]
    NotApplied {
        /// What.
        what: &'static str,
        /// What is done instead.
        goes: &'static str,
    },
    /// Rules written in a way that nobody here can read.
    #[error("access rules of scheme {found} are not understood; write them in scheme basic")]
    UnknownScheme {
        /// The scheme.
        found: String,
    },
}

impl Violation {
    /// Gives the element: `/CEDoc/HostTable/Host[12]/ComputeHost`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says what is wrong.
    pub const fn rule(&self) -> &BrokenRule {
        &self.rule
    }
}

impl Violations {
    /// Gives them in the order in which they were found.
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }

    /// Where the first one is.
    pub fn first_path(&self) -> &str {
        self.0.first().map_or("/", |violation| &violation.path)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.rule)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
