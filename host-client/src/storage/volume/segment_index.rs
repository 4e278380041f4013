//! What a full segment has, in a file beside it, so that a start need not read
//! the segment. That it is there says that all of the segment is durable.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | `GMSEGIX1` |
//! | 8 | 4 | number of the segment |
//! | 12 | 4 | length of the segment |
//! | 16 | 28 each | records: stripe 16, position 1, kind 1, zeros 2, place 4, bytes 4 |
//! | end | 32 | BLAKE3 of all before |

use super::{
    index::SegmentNumber,
    record::{RecordHeader, RecordKind, block_id},
    scan::Found,
};

const MAGIC: &[u8; 8] = b"GMSEGIX1";
const HEAD_BYTES: usize = 16;
const RECORD_BYTES: usize = 28;
const CHECK_BYTES: usize = 32;
/// The most bytes of such a file: a segment of nothing but tombstones.
pub(crate) const SEGMENT_INDEX_BYTES_MAX: u64 = 256 * 1024 * 1024 / 64 * 28 + 48;

/// A segment's records, as they were when it was full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    /// Bytes of the segment.
    pub(crate) length: u32,
    pub(crate) records: Vec<Found>,
}

impl SegmentIndex {
    pub(crate) fn encode(&self, number: SegmentNumber) -> Vec<u8> {
        let size = HEAD_BYTES + self.records.len() * RECORD_BYTES + CHECK_BYTES;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&number.get().to_le_bytes());
        bytes.extend_from_slice(&self.length.to_le_bytes());
        for Found { header, at, .. } in &self.records {
            bytes.extend_from_slice(header.id.stripe.as_uuid().as_bytes());
            bytes.extend_from_slice(&[header.id.position, header.kind as u8, 0, 0]);
            bytes.extend_from_slice(&at.to_le_bytes());
            bytes.extend_from_slice(&header.bytes.to_le_bytes());
        }
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        bytes
    }

    /// Reads the index of this segment; `None` if the bytes are not one.
    pub(crate) fn parse(bytes: &[u8], number: SegmentNumber) -> Option<Self> {
        let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let (head, records) = bytes.split_at_checked(HEAD_BYTES)?;
        let right = head.starts_with(MAGIC)
            && word(head, 8)? == number.get()
            && blake3::hash(bytes) == *check;
        if !right {
            return None;
        }
        let length = word(head, 12)?;
        let (records, rest) = records.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        let records = records.iter().map(|record| {
            let (stripe, rest) = record.split_first_chunk::<16>()?;
            let header = RecordHeader {
                kind: RecordKind::from_byte(rest[1])?,
                id: block_id(*stripe, rest[0]),
                bytes: word(record, 24)?,
            };
            let at = word(record, 20)?;
            Some(Found {
                header,
                at,
                is_whole: true,
            })
        });
        Some(Self {
            length,
            records: records.collect::<Option<_>>()?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_found()(
            stripe in any::<[u8; 16]>(), position in any::<u8>(), kind in 1u8..=3,
            at in any::<u32>(), bytes in any::<u32>(),
        ) -> Found {
            let kind = RecordKind::from_byte(kind).unwrap();
            let header = RecordHeader { kind, id: block_id(stripe, position), bytes };
            Found { header, at, is_whole: true }
        }
    }

    proptest! {
        #[test]
        fn it_reads_back_and_no_flipped_bit_is_believed(
            records in prop::collection::vec(any_found(), 0..20),
            length in any::<u32>(), flipped in any::<prop::sample::Index>(),
        ) {
            let one = SegmentNumber::MIN;
            let index = SegmentIndex { length, records };
            let mut bytes = index.encode(one);
            prop_assert_eq!(SegmentIndex::parse(&bytes, one), Some(index));
            prop_assert_eq!(SegmentIndex::parse(&bytes, one.saturating_add(1)), None);
            let bit = flipped.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(SegmentIndex::parse(&bytes, one), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(SegmentIndex::parse(&bytes, SegmentNumber::MIN), None);
        }
    }
}
