//! Places in the log of a database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an entry in a database's log: from 1 on, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// Stands before the first entry.
    pub const ZERO: Self = Self(0);

    /// From its number; below zero counts as zero.
    pub const fn new(number: i64) -> Self {
        Self(if number < 0 { 0 } else { number })
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The place after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before it; there is none before [`Self::ZERO`].
    #[must_use]
    pub const fn previous(self) -> Self {
        Self::new(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the cores of a database: each promotion begins a newer one, and who
/// holds an older one writes no more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// That of a database's first core.
    pub const FIRST: Self = Self(1);

    /// From its number; below zero counts as zero, which no core has.
    pub const fn new(number: i64) -> Self {
        Self(if number < 0 { 0 } else { number })
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The next newer one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// A newer one, by so many.
    #[must_use]
    pub fn later(self, by: u32) -> Self {
        Self(self.next().0.saturating_add(i64::from(by)))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
