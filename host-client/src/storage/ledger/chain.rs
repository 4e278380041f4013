//! Which records a ledger has, and whether others fit to them. No I/O.
//!
//! Invariant: the sequences are consecutive, and epochs never fall.

use std::{collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};

/// A record's place in the Element's log: sequences are consecutive, the epoch
/// is that under which it was written.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Position {
    /// Of the process of the Element that wrote it.
    pub epoch: u64,
    /// From 1 on; 0 stands before the first record.
    pub sequence: u64,
}

impl Position {
    /// Before the first record.
    pub const ORIGIN: Self = Self {
        epoch: 0,
        sequence: 0,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// Where a record's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) epoch: u64,
    pub(super) file: u32,
    /// Where the record begins.
    pub(super) at: u32,
    /// Bytes of its content.
    pub(super) bytes: u32,
}

/// The records after a base, which the snapshot covers, or the origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    base: Position,
    entries: VecDeque<Entry>,
}

impl Chain {
    /// An empty one.
    pub(super) const fn after(base: Position) -> Self {
        Self {
            base,
            entries: VecDeque::new(),
        }
    }

    pub(super) const fn base(&self) -> Position {
        self.base
    }

    pub(super) fn last(&self) -> Position {
        self.entries.back().map_or(self.base, |entry| Position {
            epoch: entry.epoch,
            sequence: self.base.sequence + self.entries.len() as u64,
        })
    }

    fn offset(&self, sequence: u64) -> Option<usize> {
        let offset = sequence.checked_sub(self.base.sequence)?.checked_sub(1)?;
        usize::try_from(offset).ok()
    }

    pub(super) fn get(&self, sequence: u64) -> Option<Entry> {
        self.entries.get(self.offset(sequence)?).copied()
    }

    /// The position of a sequence that it has, or the base.
    pub(super) fn position(&self, sequence: u64) -> Option<Position> {
        if sequence == self.base.sequence {
            return Some(self.base);
        }
        let epoch = self.get(sequence)?.epoch;
        Some(Position { epoch, sequence })
    }

    /// How many of the records that come after `previous` are there already;
    /// else up to where it may agree with the sender.
    pub(super) fn fit(
        &self,
        previous: Position,
        records: impl Iterator<Item = Position>,
    ) -> Result<usize, Position> {
        let last = self.last();
        if previous.sequence > last.sequence {
            return Err(last);
        }
        // What the snapshot covers is settled among all Hosts.
        let is_covered = |sequence| sequence < self.base.sequence;
        if !is_covered(previous.sequence) && self.position(previous.sequence) != Some(previous) {
            let before = previous.sequence.saturating_sub(1);
            return Err(self.position(before).unwrap_or(self.base));
        }
        let is_there = |record: &Position| {
            is_covered(record.sequence) || self.position(record.sequence) == Some(*record)
        };
        Ok(records.take_while(is_there).count())
    }

    /// Takes a record; those from its sequence on give way to it. Nothing, if
    /// the one before it is not there.
    pub(super) fn push(&mut self, sequence: u64, entry: Entry) {
        let Some(offset) = self.offset(sequence) else {
            return;
        };
        if offset <= self.entries.len() {
            self.entries.truncate(offset);
            self.entries.push_back(entry);
        }
    }

    /// Forgets all records after a sequence.
    pub(super) fn cut_after(&mut self, sequence: u64) {
        let kept = sequence.saturating_sub(self.base.sequence);
        self.entries
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    /// Forgets what a snapshot covers; all, if the records are not those of
    /// the snapshot's log.
    pub(super) fn cover(&mut self, snapshot: Position) {
        if self.position(snapshot.sequence) == Some(snapshot) {
            let covered = snapshot.sequence - self.base.sequence;
            self.entries
                .drain(..usize::try_from(covered).unwrap_or(usize::MAX));
        } else {
            self.entries.clear();
        }
        self.base = snapshot;
    }

    /// The records that are in a file, with their sequences.
    pub(super) fn in_file(&self, file: u32) -> impl Iterator<Item = (u64, Entry)> {
        let sequences = self.base.sequence + 1..;
        sequences
            .zip(self.entries.iter().copied())
            .filter(move |(_, entry)| entry.file == file)
    }

    /// Whether a file has records that it needs: files follow one another.
    pub(super) fn needs(&self, file: u32) -> bool {
        let ends = self.entries.front().zip(self.entries.back());
        ends.is_some_and(|(first, last)| (first.file..=last.file).contains(&file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch, sequence }
    }

    fn chain(epochs: &[u64]) -> Chain {
        let mut chain = Chain::default();
        for (sequence, epoch) in (1..).zip(epochs) {
            chain.push(sequence, entry(*epoch));
        }
        chain
    }

    const fn entry(epoch: u64) -> Entry {
        Entry {
            epoch,
            file: 1,
            at: 64,
            bytes: 0,
        }
    }

    #[test]
    fn records_fit_where_the_one_before_them_is() {
        let chain = chain(&[1, 1, 2]);
        let fit = |previous, records: &[Position]| chain.fit(previous, records.iter().copied());
        assert_eq!(fit(at(2, 3), &[at(2, 4)]), Ok(0));
        assert_eq!(fit(at(1, 1), &[at(1, 2), at(2, 3), at(2, 4)]), Ok(2));
        assert_eq!(fit(at(1, 2), &[at(3, 3)]), Ok(0), "the suffix differs");
        assert_eq!(fit(at(2, 5), &[]), Err(at(2, 3)), "a gap");
        assert_eq!(fit(at(3, 3), &[]), Err(at(1, 2)), "another history");
        assert_eq!(fit(at(7, 1), &[]), Err(at(0, 0)));
    }

    #[test]
    fn a_suffix_that_differs_gives_way() {
        let mut chain = chain(&[1, 1, 1, 1]);
        chain.push(3, entry(2));
        assert_eq!(chain.last(), at(2, 3));
        chain.push(6, entry(2));
        assert_eq!(chain.last(), at(2, 3), "one is missing between");
        chain.cut_after(1);
        assert_eq!(chain.last(), at(1, 1));
    }

    #[test]
    fn a_snapshot_covers_its_own_history_only() {
        let mut same = chain(&[1, 1, 2, 2]);
        same.cover(at(1, 2));
        assert_eq!((same.base(), same.last()), (at(1, 2), at(2, 4)));
        assert_eq!(same.fit(at(1, 1), [at(1, 2), at(2, 3)].into_iter()), Ok(2));
        let mut other = chain(&[1, 1, 1, 1]);
        other.cover(at(2, 3));
        assert_eq!((other.base(), other.last()), (at(2, 3), at(2, 3)));
        let mut behind = chain(&[1]);
        behind.cover(at(2, 9));
        assert_eq!(behind.last(), at(2, 9));
        assert_eq!(behind.fit(at(3, 9), [].into_iter()), Err(at(2, 9)));
    }
}
