//! Where a record is in the log, and who wrote it there.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// One start of a writer, drawn at random: it makes the writer's epochs its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterMark(u32);

impl WriterMark {
    /// Bits of an epoch that hold the mark.
    const BITS: u32 = 24;

    /// Draws one.
    pub fn random() -> Self {
        Self::new(rand::random())
    }

    /// Takes the low 24 bits of a number.
    pub const fn new(number: u32) -> Self {
        Self(number & ((1 << Self::BITS) - 1))
    }
}

/// The reign of one writer: a counter, and in its low 24 bits the writer's mark.
///
/// Two writers that know nothing of each other may count up to the same number;
/// the mark keeps their epochs apart all the same, so that no replica takes the
/// records of one for those of the other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Wraps the number that replicas keep.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Gives the number that replicas keep.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// How many there were before it.
    pub const fn count(self) -> u64 {
        self.0 >> WriterMark::BITS
    }

    /// The next one, for this writer.
    #[must_use]
    pub const fn next(self, mark: WriterMark) -> Self {
        self.after(1, mark)
    }

    /// One beyond all that a lost writer may have come to, which counts one up
    /// with each group that fails.
    #[must_use]
    pub const fn leap(self, mark: WriterMark) -> Self {
        self.after(1 << 20, mark)
    }

    const fn after(self, count: u64, mark: WriterMark) -> Self {
        Self((((self.0 >> WriterMark::BITS) + count) << WriterMark::BITS) | mark.0 as u64)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = self.0 & ((1 << WriterMark::BITS) - 1);
        write!(f, "{}-{mark:06x}", self.0 >> WriterMark::BITS)
    }
}

/// The place of a record: the epoch that wrote it, and its number in the log,
/// from 1 on. Positions of one log grow in both.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Who wrote it.
    pub epoch: Epoch,
    /// Counts the records; 0 before the first.
    pub sequence: u64,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self {
        epoch: Epoch(0),
        sequence: 0,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in epoch {}", self.sequence, self.epoch)
    }
}

/// A record as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub position: Position,
    /// The encoded record.
    pub bytes: Arc<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_grow_and_are_their_writers_own() {
        let (one, other) = (WriterMark::new(1), WriterMark::new(u32::MAX));
        let first = Epoch::default().next(other);
        let second = first.next(one);
        assert!(Epoch::default() < first && first < second);
        assert_ne!(second, first.next(other));
        assert_eq!(second.to_string(), "2-000001");
        assert!(i64::try_from(Epoch::new((1 << 62) | 5).next(one).number()).is_ok());
    }
}
