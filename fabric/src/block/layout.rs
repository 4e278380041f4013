//! Where the bytes of an object are: which stripes, which blocks of a stripe,
//! which chunks of a block.

use std::ops::Range;

use gridmart_schemas::storage::{Codec, Redundancy};

use super::{BLOCK_BYTES_MAX, CHUNK_BYTES, SMALL_BYTES_MAX, payload_bytes};

/// One stripe of an object that is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its number, from 0.
    pub ordinal: u64,
    /// The bytes of the object that it holds; never none.
    pub range: Range<u64>,
    /// How it is made safe.
    pub redundancy: Redundancy,
}

/// The most bytes of data in a stripe.
pub const fn stripe_bytes_max(redundancy: Redundancy) -> usize {
    redundancy.data() as usize * BLOCK_BYTES_MAX
}

/// How a stripe of so many bytes is made safe where the bucket says `policy`:
/// what is small is kept whole, as copies that bear as many losses, since
/// pieces of it would cost more requests than they save room.
pub const fn stripe_redundancy(policy: Redundancy, bytes: u64) -> Redundancy {
    if bytes <= SMALL_BYTES_MAX as u64 {
        policy.whole()
    } else {
        policy
    }
}

/// Cuts an object of so many bytes into stripes, each as full as may be; an
/// empty object has none. A stripe at the end that is small is kept whole.
pub fn cuts(policy: Redundancy, bytes: u64) -> impl Iterator<Item = Cut> {
    let most = stripe_bytes_max(policy) as u64;
    (0..bytes.div_ceil(most)).map(move |ordinal| {
        let begin = ordinal * most;
        let range = begin..bytes.min(begin.saturating_add(most));
        Cut {
            ordinal,
            redundancy: stripe_redundancy(policy, range.end - range.start),
            range,
        }
    })
}

/// The part of a range that lies in one stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeRange {
    /// The stripe's place in the list of lengths, from 0.
    pub stripe: usize,
    /// Bytes of the stripe's data; never none.
    pub range: Range<u64>,
}

/// Which bytes of which stripes are `range` of an object whose stripes have
/// these lengths, in the order of the object. What of the range is behind the
/// end of the object is left out.
pub fn stripes_of(
    range: Range<u64>,
    lengths: impl IntoIterator<Item = u64>,
) -> impl Iterator<Item = StripeRange> {
    lengths
        .into_iter()
        .enumerate()
        .scan(0_u64, move |begin, (stripe, length)| {
            let (from, to) = (*begin, begin.saturating_add(length));
            *begin = to;
            (from < range.end).then(|| {
                let (first, end) = (range.start.max(from), range.end.min(to));
                (first < end).then(|| StripeRange {
                    stripe,
                    range: first - from..end - from,
                })
            })
        })
        .flatten()
}

/// Chunks of one block, and what of them is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The position; of a replica 0, though any other is as good.
    pub position: u8,
    /// The chunks that hold what is wanted.
    pub chunks: Range<usize>,
    /// The bytes of the payload that are wanted; never none.
    pub bytes: Range<usize>,
}

/// Which chunks of which data blocks hold `range` of a stripe's data, in the
/// order of the data. What of the range is behind the stripe's end is left out;
/// a stripe that is longer than any has nothing.
pub fn blocks_of(redundancy: Redundancy, stripe_bytes: u64, range: Range<u64>) -> Vec<BlockRange> {
    let Some(payload) = payload_bytes(redundancy, stripe_bytes) else {
        return Vec::new();
    };
    let data = match redundancy.codec() {
        Codec::Replica => 1,
        Codec::ReedSolomon => redundancy.data(),
    };
    let end = range.end.min(stripe_bytes);
    let payload = payload as u64;
    (0..data)
        .filter_map(|position| {
            let from = u64::from(position) * payload;
            let first = range.start.max(from);
            let end = end.min(from + payload);
            // Within a payload, and so of a few MiB.
            let at = |byte: u64| usize::try_from(byte - from).ok();
            (first < end).then_some(())?;
            let bytes = at(first)?..at(end)?;
            Some(BlockRange {
                position,
                chunks: bytes.start / CHUNK_BYTES..bytes.end.div_ceil(CHUNK_BYTES),
                bytes,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn rs(data: u8, parity: u8) -> Redundancy {
        Redundancy::rs(data, parity).unwrap()
    }

    #[test]
    fn small_objects_and_small_ends_are_kept_whole() {
        let cut = |bytes| -> Vec<(u64, String)> {
            cuts(rs(4, 2), bytes)
                .map(|cut| (cut.range.end, cut.redundancy.to_string()))
                .collect()
        };
        let (whole, striped) = ("replica(3)".to_owned(), "rs(4,2)".to_owned());
        assert_eq!(cut(0), []);
        assert_eq!(cut(1), [(1, whole.clone())]);
        assert_eq!(cut(128 * 1024), [(128 * 1024, whole.clone())]);
        assert_eq!(cut(128 * 1024 + 1), [(128 * 1024 + 1, striped.clone())]);
        assert_eq!(cut(16 * MIB), [(16 * MIB, striped.clone())]);
        assert_eq!(
            cut(16 * MIB + 1),
            [(16 * MIB, striped.clone()), (16 * MIB + 1, whole)]
        );
        assert_eq!(
            cut(40 * MIB),
            [16, 32, 40].map(|end| (end * MIB, striped.clone()))
        );
        let copies = Redundancy::replica(2).unwrap();
        assert!(cuts(copies, 9 * MIB).all(|cut| cut.redundancy == copies));
        assert_eq!(cuts(copies, 9 * MIB).count(), 3);
        assert_eq!(cuts(copies, u64::MAX).next().unwrap().range, 0..4 * MIB);
    }

    #[test]
    fn a_range_behind_the_end_is_nothing() {
        assert_eq!(stripes_of(10..20, [10]).count(), 0);
        assert_eq!(stripes_of(5..5, [10]).count(), 0);
        assert_eq!(stripes_of(0..u64::MAX, [1, 0, u64::MAX]).count(), 2);
        assert_eq!(blocks_of(rs(4, 2), 100, 100..200), []);
        assert_eq!(blocks_of(rs(4, 2), 100, 7..7), []);
        assert_eq!(blocks_of(rs(4, 2), u64::MAX, 0..u64::MAX), []);
        // 26 bytes a block; the third one's end and the fourth one's beginning.
        let found = blocks_of(rs(4, 2), 100, 70..80);
        let bytes: Vec<_> = found.iter().map(|found| found.bytes.clone()).collect();
        assert_eq!(bytes, [18..26, 0..2]);
        assert_eq!((found[0].position, found[1].position), (2, 3));
    }

    prop_compose! {
        fn any_policy()(striped in any::<bool>(), k in 2u8..=16, m in 1u8..=8) -> Redundancy {
            if striped { rs(k, m) } else { Redundancy::replica(k).unwrap() }
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_stripe(policy in any_policy(), bytes in 0..2000 * MIB) {
            let mut end = 0;
            for (ordinal, cut) in cuts(policy, bytes).enumerate() {
                prop_assert_eq!(cut.ordinal, ordinal as u64);
                prop_assert_eq!(cut.range.start, end);
                prop_assert!(cut.range.start < cut.range.end);
                end = cut.range.end;
                prop_assert_eq!(cut.redundancy.parity(), policy.parity());
                let length = cut.range.end - cut.range.start;
                prop_assert!(payload_bytes(cut.redundancy, length).is_some());
            }
            prop_assert_eq!(end, bytes);
        }

        #[test]
        fn a_range_is_covered_once_and_in_order(
            lengths in prop::collection::vec(0u64..1000, 0..20),
            range in (0u64..12_000, 0u64..12_000),
        ) {
            let range = range.0.min(range.1)..range.0.max(range.1);
            let object: Vec<(usize, u64)> = lengths
                .iter()
                .enumerate()
                .flat_map(|(stripe, length)| (0..*length).map(move |byte| (stripe, byte)))
                .collect();
            let wanted: Vec<_> = object
                .iter()
                .zip(0..)
                .filter(|(_, at)| range.contains(at))
                .map(|(byte, _)| *byte)
                .collect();
            let found: Vec<_> = stripes_of(range, lengths)
                .flat_map(|found| found.range.map(move |byte| (found.stripe, byte)))
                .collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn a_range_of_a_stripe_is_covered_once_and_in_order(
            policy in any_policy(),
            bytes in 1..=4 * MIB,
            range in (0..5 * MIB, 0..5 * MIB),
        ) {
            let range = range.0.min(range.1)..range.0.max(range.1);
            let payload = payload_bytes(policy, bytes).unwrap() as u64;
            let mut next = range.start.min(bytes);
            for found in blocks_of(policy, bytes, range.clone()) {
                let begin = u64::from(found.position) * payload;
                prop_assert_eq!(begin + found.bytes.start as u64, next);
                next = begin + found.bytes.end as u64;
                prop_assert!(found.bytes.start < found.bytes.end);
                prop_assert!(found.bytes.end as u64 <= payload);
                // The chunks hold the bytes, and none of them is idle.
                prop_assert_eq!(found.chunks.start, found.bytes.start / CHUNK_BYTES);
                prop_assert_eq!(found.chunks.end - 1, (found.bytes.end - 1) / CHUNK_BYTES);
            }
            prop_assert_eq!(next, range.end.min(bytes));
        }
    }
}
