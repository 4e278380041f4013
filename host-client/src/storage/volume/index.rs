//! Where each block is, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    ops::Bound,
};

use gridmart_schemas::id::BlockId;

use super::record::RECORD_HEADER_BYTES;

/// The number of a segment file; later segments have higher ones.
pub(crate) type SegmentNumber = NonZeroU32;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file of its own.
    File,
    /// In a segment, where its record begins.
    Segment { number: SegmentNumber, at: u32 },
}

/// What can be done with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is served.
    Live,
    /// It is not served: its bytes are not what they were.
    Damaged,
    /// It is not served: its deletion has begun, and is not known to be durable.
    Deleting,
}

/// What is known of a block: 16 bytes, beside its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Bytes of the encoded block; 0 where only a mark of damage is left.
    pub(crate) bytes: u32,
    pub(crate) state: State,
}

impl Entry {
    /// Bytes that it keeps in use in its segment.
    fn live_bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES as u64) + u64::from(self.bytes)
    }
}

/// All blocks of a volume.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: BTreeMap<BlockId, Entry>,
    damaged: BTreeSet<BlockId>,
    /// Bytes of records that are in use, by segment.
    live: BTreeMap<SegmentNumber, u64>,
}

impl Index {
    pub(crate) fn get(&self, id: &BlockId) -> Option<Entry> {
        self.blocks.get(id).copied()
    }

    /// Sets what is known of a block; gives what was.
    pub(crate) fn insert(&mut self, id: BlockId, entry: Entry) -> Option<Entry> {
        let before = self.blocks.insert(id, entry);
        self.forget(&id, before);
        if let Place::Segment { number, .. } = entry.place {
            *self.live.entry(number).or_default() += entry.live_bytes();
        }
        if entry.state == State::Damaged {
            self.damaged.insert(id);
        }
        before
    }

    /// Forgets a block; gives what was known of it.
    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Entry> {
        let before = self.blocks.remove(id);
        self.forget(id, before);
        before
    }

    /// Puts `after` in the place of `before`, if that is what is known still.
    pub(crate) fn replace(&mut self, id: BlockId, before: Entry, after: Option<Entry>) -> bool {
        if self.get(&id) != Some(before) {
            return false;
        }
        match after {
            Some(after) => self.insert(id, after),
            None => self.remove(&id),
        };
        true
    }

    fn forget(&mut self, id: &BlockId, before: Option<Entry>) {
        let Some(before) = before else { return };
        if before.state == State::Damaged {
            self.damaged.remove(id);
        }
        if let Place::Segment { number, .. } = before.place
            && let Some(live) = self.live.get_mut(&number)
        {
            *live = live.saturating_sub(before.live_bytes());
            if *live == 0 {
                self.live.remove(&number);
            }
        }
    }

    pub(crate) fn live_bytes(&self, number: SegmentNumber) -> u64 {
        self.live.get(&number).copied().unwrap_or(0)
    }

    /// Blocks in the order of their ids, after one.
    pub(crate) fn after(&self, after: Option<BlockId>) -> impl Iterator<Item = (BlockId, Entry)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.blocks.range((from, Bound::Unbounded));
        range.map(|(id, entry)| (*id, *entry))
    }

    pub(crate) fn damaged(&self) -> impl Iterator<Item = BlockId> {
        self.damaged.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::id::StripeId;

    use super::*;

    #[test]
    fn it_knows_what_each_segment_has_in_use() {
        assert_eq!(size_of::<Entry>(), 16);
        let id = |position| BlockId {
            stripe: StripeId::from_uuid(uuid::Uuid::from_u128(7)),
            position,
        };
        let place = |number: u32| Place::Segment {
            number: number.try_into().unwrap(),
            at: 64,
        };
        let entry = |number, bytes| Entry {
            place: place(number),
            bytes,
            state: State::Live,
        };
        let mut index = Index::default();
        index.insert(id(1), entry(1, 100));
        index.insert(id(2), entry(1, 200));
        let one = SegmentNumber::MIN;
        assert_eq!(index.live_bytes(one), 164 + 264);
        assert!(!index.replace(id(1), entry(1, 7), None));
        assert!(index.replace(id(1), entry(1, 100), Some(entry(2, 100))));
        assert_eq!(index.live_bytes(one), 264);
        let damaged = Entry {
            state: State::Damaged,
            ..entry(1, 0)
        };
        index.insert(id(2), damaged);
        assert_eq!(index.damaged().collect::<Vec<_>>(), [id(2)]);
        assert_eq!(index.live_bytes(one), 64);
        index.remove(&id(2));
        assert_eq!(index.damaged().count(), 0);
        assert_eq!(index.live_bytes(one), 0);
        assert_eq!(index.after(Some(id(1))).count(), 0);
        assert_eq!(index.len(), 1);
    }
}
