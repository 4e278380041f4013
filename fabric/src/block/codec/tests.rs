use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::block::{BLOCK_BYTES_MAX, CHUNK_BYTES};

/// Bytes without a pattern, the same each time.
fn noise(bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise.into()
}

fn rs(data: u8, parity: u8) -> Redundancy {
    Redundancy::rs(data, parity).unwrap()
}

/// The first `k` positions that are not lost.
fn sources(redundancy: Redundancy, lost: &[u8]) -> Vec<u8> {
    (0..redundancy.blocks())
        .filter(|position| !lost.contains(position))
        .take(redundancy.data().into())
        .collect()
}

#[test]
fn the_code_is_what_it_was() {
    // Blocks that are stored can be rebuilt only while this holds.
    let data = noise(4 * CHUNK_BYTES + 77);
    let found = [rs(4, 2), rs(6, 3), rs(16, 8)].map(|redundancy| {
        let blocks = codec_of(redundancy).encode(&data).unwrap();
        let (data, parity) = blocks.split_at(redundancy.data().into());
        // Slice by slice is the same as all at once.
        let count = redundancy.parity().into();
        let whole = reed_solomon_simd::encode(data.len(), count, data).unwrap();
        assert_eq!(whole, parity, "{redundancy}");
        blake3::hash(&parity.concat()).to_hex()[..16].to_owned()
    });
    assert_eq!(
        found,
        ["360400f4d8fb6d7d", "2eb8fbe468e95ee3", "1178293bee2fef4d"]
    );
}

#[test]
fn data_lies_front_to_back_in_the_data_blocks() {
    let data = noise(1001);
    let blocks = codec_of(rs(4, 2)).encode(&data).unwrap();
    assert_eq!(blocks.len(), 6);
    assert!(blocks.iter().all(|block| block.len() == 252));
    let joined = blocks[..4].concat();
    assert_eq!(joined[..1001], data[..]);
    assert!(joined[1001..].iter().all(|byte| *byte == 0));
    let copies = codec_of(Redundancy::replica(3).unwrap()).encode(&data);
    assert_eq!(copies, Ok(vec![data.clone(), data.clone(), data]));
}

#[test]
fn every_loss_that_is_promised_is_borne() {
    for redundancy in [rs(2, 1), rs(4, 2), rs(6, 3)] {
        let codec = codec_of(redundancy);
        let blocks = codec.encode(&noise(10_000)).unwrap();
        // Each subset of blocks as a mask.
        for lost in 0u32..1 << redundancy.blocks() {
            if lost.count_ones() > redundancy.parity().into() {
                continue;
            }
            let lost: Vec<u8> = (0..redundancy.blocks())
                .filter(|position| lost >> position & 1 == 1)
                .collect();
            let sources = sources(redundancy, &lost);
            let pieces: Vec<Bytes> = sources
                .iter()
                .map(|position| blocks[usize::from(*position)].clone())
                .collect();
            let rebuild = codec.rebuild(&sources, &lost).unwrap();
            for (at, position) in lost.iter().enumerate() {
                let made = rebuild.block(at, &pieces).unwrap();
                assert_eq!(made, blocks[usize::from(*position)], "{lost:?}");
            }
        }
    }
}

#[test]
fn a_range_of_a_lost_block_needs_the_same_range_of_others() {
    let redundancy = rs(4, 2);
    let codec = codec_of(redundancy);
    let blocks = codec.encode(&noise(4 * (2 * CHUNK_BYTES + 3010))).unwrap();
    let length = blocks[0].len();
    let sources = [0, 2, 3, 5];
    let rebuild = codec.rebuild(&sources, &[1, 4]).unwrap();
    for range in [
        0..CHUNK_BYTES,
        CHUNK_BYTES..2 * CHUNK_BYTES,
        CHUNK_BYTES..length,
        2 * CHUNK_BYTES..length,
        64..128,
    ] {
        let pieces = sources.map(|position| blocks[usize::from(position)].slice(range.clone()));
        for (at, lost) in [1, 4].into_iter().enumerate() {
            let made = rebuild.block(at, &pieces).unwrap();
            assert_eq!(made, blocks[lost][range.clone()], "{range:?}");
        }
    }
}

#[test]
fn what_cannot_be_rebuilt_is_refused() {
    let codec = codec_of(rs(4, 2));
    for sources in [
        &[0, 1, 2][..],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 2],
        &[0, 1, 2, 6],
    ] {
        assert!(matches!(
            codec.rebuild(sources, &[3]),
            Err(CodecError::Sources { .. })
        ));
    }
    assert!(matches!(
        codec.rebuild(&[0, 1, 2, 3], &[6]),
        Err(CodecError::NoPosition { position: 6, .. })
    ));
    let rebuild = codec.rebuild(&[0, 1, 2, 4], &[3]).unwrap();
    let piece = Bytes::from_static(b"some");
    for pieces in [
        vec![],
        vec![piece.clone(); 3],
        vec![piece.slice(..3); 4],
        vec![
            piece.clone(),
            piece.clone(),
            piece.clone(),
            piece.slice(..2),
        ],
    ] {
        assert_eq!(rebuild.block(0, &pieces), Err(CodecError::Pieces));
    }
    let nothing = vec![Bytes::new(); 4];
    assert_eq!(rebuild.block(0, &nothing), Ok(Bytes::new()));
    assert_eq!(rebuild.block(1, &nothing), Err(CodecError::Pieces));
    let most = Bytes::from(vec![0; BLOCK_BYTES_MAX + 1]);
    let copies = codec_of(Redundancy::replica(1).unwrap());
    assert!(matches!(
        copies.encode(&most),
        Err(CodecError::TooLong { .. })
    ));
    assert!(codec.encode(&most).is_ok());
}

proptest! {
    #[test]
    fn any_data_is_rebuilt_from_any_blocks(
        data in prop::collection::vec(any::<u8>(), 0..20_000),
        striped in any::<bool>(),
        (k, m) in (2u8..=16, 1u8..=8),
        order in any::<u64>(),
    ) {
        let redundancy = if striped { rs(k, m) } else { Redundancy::replica(k).unwrap() };
        let codec = codec_of(redundancy);
        let blocks = codec.encode(&data.clone().into()).unwrap();
        prop_assert_eq!(blocks.len(), usize::from(redundancy.blocks()));
        let mut positions: Vec<u8> = (0..redundancy.blocks()).collect();
        positions.sort_by_key(|position| blake3::hash(&(order ^ u64::from(*position)).to_le_bytes()).as_bytes()[0]);
        let sources = &positions[..redundancy.data().into()];
        let pieces: Vec<Bytes> = sources.iter().map(|position| blocks[usize::from(*position)].clone()).collect();
        let rebuild = codec.rebuild(sources, &positions).unwrap();
        for (at, position) in positions.iter().enumerate() {
            prop_assert_eq!(&rebuild.block(at, &pieces).unwrap(), &blocks[usize::from(*position)]);
        }
        prop_assert_eq!(&blocks[..redundancy.data().into()].concat()[..data.len()], &data[..]);
    }
}

/// Best of some tries, in MB/s of `bytes`.
fn rate(bytes: usize, mut work: impl FnMut()) -> u128 {
    let best = (0..12)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .min()
        .unwrap_or(Duration::MAX);
    bytes as u128 * 1000 / best.as_nanos().max(1)
}

/// Prints the table of the module: run it by name, in a release build.
#[test]
#[ignore = "measures; proves nothing"]
fn rates_are_measured() {
    for (k, m) in [(4, 2), (6, 3), (8, 3)] {
        for payload in [32, 64, 256, 1024, 4096] {
            let redundancy = rs(k, m);
            let codec = codec_of(redundancy);
            let data = noise(usize::from(k) * payload * 1024);
            let blocks = codec.encode(&data).unwrap();
            let encode = rate(data.len(), || drop(codec.encode(&data).unwrap()));
            let lose = |count: u8| {
                let lost: Vec<u8> = (0..count).collect();
                let sources = sources(redundancy, &lost);
                let pieces: Vec<Bytes> = sources
                    .iter()
                    .map(|position| blocks[usize::from(*position)].clone())
                    .collect();
                rate(data.len(), || {
                    let rebuild = codec.rebuild(&sources, &lost).unwrap();
                    for at in 0..lost.len() {
                        drop(rebuild.block(at, &pieces).unwrap());
                    }
                })
            };
            let (one, all) = (lose(1), lose(m));
            println!("//! | {k}+{m} | {payload} KiB | {encode} | {one} | {all} |");
        }
    }
}
