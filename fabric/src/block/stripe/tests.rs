use std::{collections::BTreeMap, ops::Range};

use gridmart_schemas::{
    id::{BucketId, VersionId},
    wire::block::BlockRead,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::block::CHUNK_BYTES;

fn noise(bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise.into()
}

fn identity(redundancy: Redundancy, data: &Bytes) -> StripeIdentity {
    StripeIdentity {
        redundancy,
        bucket: BucketId::from_uuid(Uuid::from_u128(1)),
        version: VersionId::from_uuid(Uuid::from_u128(2)),
        stripe: StripeId::from_uuid(Uuid::from_u128(3)),
        ordinal: 4,
        stripe_bytes: data.len() as u64,
        epoch: 5,
    }
}

type Read = (Vec<u8>, Vec<(u8, Fault)>);

/// A stripe on Hosts, some of whose blocks are gone or damaged.
struct Stored {
    data: Bytes,
    known: KnownStripe,
    blocks: Vec<EncodedBlock>,
    /// What is wrong with a position.
    wrong: BTreeMap<u8, Wrong>,
    /// Chunks that were sent.
    sent: usize,
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Missing,
    Flipped,
    /// The block of another position lies there.
    Swapped,
}

impl Stored {
    fn new(redundancy: Redundancy, bytes: usize) -> Self {
        let data = noise(bytes);
        let blocks = build_stripe(identity(redundancy, &data), &data).unwrap();
        let roots = blocks.iter().map(|block| Some(*block.prefix().root()));
        let roots = roots.collect();
        let stripe = StripeId::from_uuid(Uuid::from_u128(3));
        Self {
            known: KnownStripe::new(stripe, redundancy, bytes as u64, roots).unwrap(),
            data,
            blocks,
            wrong: BTreeMap::new(),
            sent: 0,
        }
    }

    fn rs(bytes: usize) -> Self {
        Self::new(Redundancy::rs(4, 2).unwrap(), bytes)
    }

    fn answer(&mut self, reader: &mut StripeReader, read: &BlockRead) {
        let at = usize::from(read.id.position);
        let wrong = self.wrong.get(&read.id.position);
        let block = match wrong {
            Some(Wrong::Missing) => return reader.on_fault(read.id.position, Fault::Missing),
            Some(Wrong::Swapped) => &self.blocks[(at + 1) % self.blocks.len()],
            _ => &self.blocks[at],
        };
        let (first, chunks) = (read.first_chunk as usize, read.chunks as usize);
        let begin = first * CHUNK_BYTES;
        let length = block.prefix().header().range_bytes(first, chunks);
        let payload = &block.payload()[begin..begin + length];
        let mut bytes = [&block.prefix().bytes()[..], payload].concat();
        if matches!(wrong, Some(Wrong::Flipped)) {
            *bytes.last_mut().unwrap() ^= 1;
        }
        self.sent += chunks;
        reader.on_block(read, &bytes.into());
    }

    /// Asks until there is nothing more to ask.
    fn run(&mut self, reader: &mut StripeReader) -> Result<(), StripeError> {
        loop {
            let reads = reader.reads()?;
            if reads.is_empty() {
                assert!(reader.is_complete());
                return Ok(());
            }
            for read in reads {
                self.answer(reader, &read);
            }
        }
    }

    fn read(&mut self, range: Range<u64>) -> Result<Read, StripeError> {
        let mut reader = StripeReader::new(self.known.clone(), range, &[]);
        self.run(&mut reader)?;
        let read = reader.finish()?;
        Ok((read.pieces.concat(), read.faults))
    }
}

#[test]
fn a_whole_stripe_is_read_from_its_data_blocks_alone() {
    let mut stored = Stored::rs(1_000_000);
    let (read, faults) = stored.read(0..1_000_000).unwrap();
    assert_eq!(read, stored.data);
    assert_eq!(faults, []);
    assert_eq!(stored.sent, 16);
}

#[test]
fn lost_and_damaged_blocks_are_rebuilt_and_told() {
    let mut stored = Stored::rs(1_000_000);
    stored.wrong.insert(1, Wrong::Missing);
    stored.wrong.insert(3, Wrong::Flipped);
    let (read, faults) = stored.read(0..1_000_000).unwrap();
    assert_eq!(read, stored.data);
    assert_eq!(faults[0], (1, Fault::Missing));
    assert!(matches!(
        faults[1],
        (3, Fault::Damaged(FormatError::ChunkDamaged { .. }))
    ));
    stored.wrong.insert(4, Wrong::Swapped);
    let refused = stored.read(0..1_000_000).unwrap_err();
    let StripeError::TooFew { needed, faults, .. } = refused else {
        panic!("{refused}");
    };
    let positions: Vec<u8> = faults.iter().map(|fault| fault.0).collect();
    assert_eq!((needed, positions), (4, vec![1, 3, 4]));
}

#[test]
fn a_degraded_read_of_a_range_moves_the_same_range_of_others() {
    // 16 chunks in each block.
    let payload = 16 * CHUNK_BYTES;
    let mut stored = Stored::rs(4 * payload);
    stored.wrong.insert(2, Wrong::Missing);
    let begin = 2 * payload + 5 * CHUNK_BYTES + 10;
    let range = begin as u64..begin as u64 + 20;
    let (read, _) = stored.read(range).unwrap();
    assert_eq!(read, stored.data[begin..begin + 20]);
    assert_eq!(stored.sent, 4);
}

#[test]
fn of_copies_the_preferred_one_is_read_and_then_the_next() {
    let mut stored = Stored::new(Redundancy::replica(3).unwrap(), 200_000);
    let mut reader = StripeReader::new(stored.known.clone(), 70_000..80_000, &[2, 9, 2]);
    let reads = reader.reads().unwrap();
    assert_eq!(reads.len(), 1);
    assert_eq!(
        (reads[0].id.position, reads[0].first_chunk, reads[0].chunks),
        (2, 1, 1)
    );
    assert_eq!(reader.reads().unwrap(), []);
    assert!(!reader.is_complete());
    assert!(matches!(
        reader.clone().finish(),
        Err(StripeError::Incomplete(_))
    ));
    reader.on_fault(2, Fault::Away(Code::HostDown));
    stored.wrong.insert(0, Wrong::Flipped);
    stored.run(&mut reader).unwrap();
    let read = reader.finish().unwrap();
    assert_eq!(read.pieces.concat(), stored.data[70_000..80_000]);
    assert_eq!(read.faults[1], (2, Fault::Away(Code::HostDown)));
    assert_eq!(read.faults.len(), 2);
}

#[test]
fn rebuilt_blocks_are_the_lost_ones() {
    for redundancy in ["rs(4,2)", "rs(2,1)", "replica(3)", "replica(2)"] {
        let redundancy: Redundancy = redundancy.parse().unwrap();
        for bytes in [0, 1, 300_000] {
            let mut stored = Stored::new(redundancy, bytes);
            let end = redundancy.blocks() - 1;
            let lost: Vec<u8> = [0, end][..redundancy.parity().min(2).into()].to_vec();
            let mut reader = StripeReader::repair(stored.known.clone(), &lost, &[]);
            stored.run(&mut reader).unwrap();
            let made = reader.finish_repair().unwrap();
            assert_eq!(made.len(), lost.len());
            for (position, made) in lost.iter().zip(made) {
                assert_eq!(made, stored.blocks[usize::from(*position)], "{redundancy}");
            }
        }
    }
}

#[test]
fn what_was_never_written_is_made_and_nothing_passes_for_it() {
    for redundancy in ["rs(4,2)", "replica(3)"] {
        let redundancy: Redundancy = redundancy.parse().unwrap();
        let mut stored = Stored::new(redundancy, 300_000);
        let end = redundancy.blocks() - 1;
        stored.known.roots[usize::from(end)] = None;
        let mut reader = StripeReader::repair(stored.known.clone(), &[end], &[]);
        stored.run(&mut reader).unwrap();
        let made = reader.finish_repair().unwrap();
        assert_eq!(
            made,
            [stored.blocks[usize::from(end)].clone()],
            "{redundancy}"
        );
        // The block is there after all; nothing confirms it.
        let mut reader = StripeReader::new(stored.known.clone(), 0..300_000, &[end]);
        stored.run(&mut reader).unwrap();
        let read = reader.finish().unwrap();
        assert_eq!(read.pieces.concat(), stored.data);
        let is_foreign = |(position, fault): &(u8, Fault)| {
            *position == end && matches!(fault, Fault::Damaged(FormatError::Foreign(_)))
        };
        assert!(read.faults.iter().all(is_foreign), "{:?}", read.faults);
    }
}

#[test]
fn a_block_that_comes_late_is_still_good() {
    let mut stored = Stored::rs(1_000_000);
    let mut reader = StripeReader::new(stored.known.clone(), 0..1_000_000, &[]);
    let reads = reader.reads().unwrap();
    reader.on_fault(0, Fault::Away(Code::TimedOut));
    assert_eq!(reader.reads().unwrap().len(), 1);
    for read in &reads {
        stored.answer(&mut reader, read);
    }
    assert!(reader.is_complete());
    assert_eq!(reader.finish().unwrap().pieces.concat(), stored.data);
}

#[test]
fn metadata_that_contradicts_itself_is_refused() {
    let stripe = StripeId::generate();
    let rs = Redundancy::rs(4, 2).unwrap();
    let roots = |count| vec![Some(BlockRoot::new([0; 32])); count];
    assert!(KnownStripe::new(stripe, rs, 100, roots(6)).is_ok());
    assert!(KnownStripe::new(stripe, rs, 100, roots(5)).is_err());
    assert!(KnownStripe::new(stripe, rs, u64::MAX, roots(6)).is_err());
    // Right roots of a stripe of another length.
    let mut stored = Stored::rs(300_000);
    stored.known.stripe_bytes += 1;
    let refused = stored.read(0..300_000).unwrap_err();
    let StripeError::TooFew { faults, .. } = refused else {
        panic!("{refused}");
    };
    assert!(
        faults
            .iter()
            .all(|(_, fault)| matches!(fault, Fault::Damaged(FormatError::Foreign(_))))
    );
    let data = noise(10);
    let mut identity = identity(rs, &data);
    identity.stripe_bytes = 11;
    assert!(build_stripe(identity, &data).is_err());
}

fn any_wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        Just(Wrong::Missing),
        Just(Wrong::Flipped),
        Just(Wrong::Swapped)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_is_read_whatever_is_lost_within_the_promise(
        striped in any::<bool>(),
        (k, m) in (2u8..=6, 1u8..=3),
        bytes in 1usize..700_000,
        range in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        wrong in prop::collection::btree_map(0u8..9, any_wrong(), 0..=4),
        preferred in prop::collection::vec(0u8..12, 0..4),
    ) {
        let redundancy = if striped {
            Redundancy::rs(k, m).unwrap()
        } else {
            Redundancy::replica(m + 1).unwrap()
        };
        let mut stored = Stored::new(redundancy, bytes);
        stored.wrong = wrong.into_iter().filter(|(position, _)| *position < redundancy.blocks()).collect();
        let (one, other) = (range.0.index(bytes + 1), range.1.index(bytes + 1));
        let range = one.min(other)..one.max(other);
        let mut reader = StripeReader::new(stored.known.clone(), range.start as u64..range.end as u64, &preferred);
        match stored.run(&mut reader) {
            Ok(()) => {
                let read = reader.finish().unwrap();
                prop_assert_eq!(read.pieces.concat(), &stored.data[range]);
                prop_assert!(read.faults.iter().all(|(position, _)| stored.wrong.contains_key(position)));
            }
            Err(_) => prop_assert!(stored.wrong.len() > usize::from(redundancy.parity())),
        }
    }
}
