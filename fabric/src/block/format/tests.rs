use bytes::Bytes;
use gridmart_schemas::{
    id::{BucketId, StripeId, VersionId},
    storage::Redundancy,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::block::{BLOCK_BYTES_MAX, CHUNK_BYTES, HEADER_BYTES, PREFIX_BYTES_MAX};

fn identity(redundancy: Redundancy, stripe_bytes: u64) -> StripeIdentity {
    StripeIdentity {
        redundancy,
        bucket: BucketId::from_uuid(Uuid::from_u128(1)),
        version: VersionId::from_uuid(Uuid::from_u128(2)),
        stripe: StripeId::from_uuid(Uuid::from_u128(3)),
        ordinal: 4,
        stripe_bytes,
        epoch: 5,
    }
}

fn replica(bytes: usize) -> EncodedBlock {
    let payload: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    let identity = identity(Redundancy::replica(3).unwrap(), bytes as u64);
    let header = BlockHeader::new(identity, 1).unwrap();
    EncodedBlock::seal(header, payload.into()).unwrap()
}

fn whole(block: &EncodedBlock) -> Vec<u8> {
    [&block.prefix().bytes()[..], block.payload()].concat()
}

#[test]
fn a_block_reads_back_at_every_length_that_matters() {
    for bytes in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
        BLOCK_BYTES_MAX,
    ] {
        let block = replica(bytes);
        let header = block.prefix().header();
        let encoded = Bytes::from(whole(&block));
        assert_eq!(encoded.len(), header.encoded_bytes(), "{bytes}");
        assert!(header.prefix_bytes() <= PREFIX_BYTES_MAX);
        let (read, rest) = EncodedBlock::parse(&encoded).unwrap();
        assert_eq!((&read, rest.len()), (&block, 0));
        let short = encoded.slice(..encoded.len() - 1);
        assert!(matches!(
            EncodedBlock::parse(&short),
            Err(FormatError::Short { .. })
        ));
        let root = block.prefix().root();
        assert!(Prefix::parse_expected(&encoded, root).is_ok());
    }
}

#[test]
fn the_format_is_what_it_was() {
    let block = replica(CHUNK_BYTES + 10);
    let bytes = block.prefix().bytes();
    assert_eq!(bytes.len(), 256 + 2 * 32);
    assert_eq!(&bytes[..16], b"GMBLOCK1\x01\0\0\x01\x02\x01\x10\0");
    assert_eq!((bytes[31], bytes[47], bytes[63]), (1, 2, 3));
    let numbers = [4, 65_546, 65_546, 5].map(u64::to_le_bytes).concat();
    assert_eq!(bytes[64..96], numbers);
    assert!(bytes[96..192].iter().all(|byte| *byte == 0));
    // A change of this root makes every block that is stored unreadable.
    assert_eq!(
        block.prefix().root().to_string(),
        "10d3ca077005a12c1f89b269f5e4ef12b3a2072c0eec91302c23d7283dab495a"
    );
}

#[test]
fn a_block_is_never_taken_for_another() {
    let block = replica(1000);
    let mut other = *block.prefix().header().identity();
    let roots = [
        BlockHeader::new(other, 0).unwrap(),
        {
            other.ordinal += 1;
            BlockHeader::new(other, 1).unwrap()
        },
        {
            other.epoch += 1;
            BlockHeader::new(other, 1).unwrap()
        },
    ]
    .map(|header| {
        let sealed = EncodedBlock::seal(header, block.payload().clone()).unwrap();
        *sealed.prefix().root()
    });
    for root in roots {
        assert_eq!(
            Prefix::parse_expected(block.prefix().bytes(), &root),
            Err(FormatError::Foreign(block.prefix().header().id()))
        );
    }
}

#[test]
fn headers_that_no_writer_makes_are_refused() {
    let rs = Redundancy::rs(4, 2).unwrap();
    assert!(BlockHeader::new(identity(rs, 100), 5).is_ok());
    assert!(BlockHeader::new(identity(rs, 100), 6).is_err());
    let most = 4 * BLOCK_BYTES_MAX as u64;
    assert!(BlockHeader::new(identity(rs, most), 0).is_ok());
    for more in [most + 1, u64::MAX - 1, u64::MAX] {
        assert!(BlockHeader::new(identity(rs, more), 0).is_err(), "{more}");
    }
    let good = replica(10);
    for (at, value) in [
        (8, 2),
        (10, 2),
        (11, 0),
        (11, 2),
        (12, 16),
        (12, 255),
        (13, 3),
        (14, 12),
        (15, 1),
        (79, 1),
        (80, 11),
        (87, 255),
        (96, 1),
        (191, 1),
    ] {
        let mut bytes = good.prefix().bytes()[..HEADER_BYTES].to_vec();
        bytes[at] = value;
        assert_eq!(BlockHeader::parse(&bytes), Err(FormatError::HeaderDamaged));
        // Somebody made it so on purpose.
        let check = blake3::hash(&bytes[..224]);
        bytes[224..].copy_from_slice(check.as_bytes());
        assert!(
            matches!(
                BlockHeader::parse(&bytes),
                Err(FormatError::Field { .. } | FormatError::Newer(2))
            ),
            "{at}"
        );
    }
}

#[test]
fn a_range_is_verified_alone() {
    let block = replica(3 * CHUNK_BYTES + 100);
    let (prefix, payload) = block.into_parts();
    let range = |first: usize, chunks: usize| {
        let begin = first * CHUNK_BYTES;
        payload.slice(begin..begin + prefix.header().range_bytes(first, chunks))
    };
    for first in 0..4 {
        for chunks in 0..=4 - first {
            let bytes = range(first, chunks);
            assert_eq!(prefix.verify_range(first, chunks, &bytes), Ok(()));
        }
    }
    assert_eq!(range(3, 1).len(), 100);
    for (first, chunks) in [(0, 5), (4, 1), (usize::MAX, 1), (1, usize::MAX)] {
        assert!(prefix.verify_range(first, chunks, &[]).is_err());
    }
    let mut bytes = range(1, 2).to_vec();
    bytes[CHUNK_BYTES + 5] ^= 1;
    assert_eq!(
        prefix.verify_range(1, 2, &bytes),
        Err(FormatError::ChunkDamaged {
            id: prefix.header().id(),
            chunk: 2
        })
    );
    assert!(prefix.verify_range(0, 2, &range(1, 2)).is_err());
    assert!(prefix.verify_range(1, 2, &range(1, 1)).is_err());
}

#[test]
fn payloads_of_stripes_are_as_long_as_the_code_wants() {
    let rs = Redundancy::rs(4, 2).unwrap();
    for (data, payload) in [(0, 2), (1, 2), (8, 2), (9, 4), (16, 4), (17, 6)] {
        assert_eq!(payload_bytes(rs, data), Some(payload), "{data}");
    }
    let replica = Redundancy::replica(2).unwrap();
    assert_eq!(payload_bytes(replica, 0), Some(0));
    assert_eq!(payload_bytes(replica, 7), Some(7));
    assert_eq!(payload_bytes(replica, BLOCK_BYTES_MAX as u64 + 1), None);
}

prop_compose! {
    fn any_redundancy()(striped in any::<bool>(), data in 2u8..=16, parity in 1u8..=8, copies in 1u8..=16) -> Redundancy {
        if striped {
            Redundancy::rs(data, parity).unwrap()
        } else {
            Redundancy::replica(copies).unwrap()
        }
    }
}

prop_compose! {
    fn any_block()(
        redundancy in any_redundancy(),
        position in any::<prop::sample::Index>(),
        ids in any::<[u128; 3]>(),
        numbers in any::<[u64; 2]>(),
        stripe_bytes in 0u64..200_000,
        fill in any::<u8>(),
    ) -> EncodedBlock {
        let [bucket, version, stripe] = ids.map(Uuid::from_u128);
        let identity = StripeIdentity {
            redundancy,
            bucket: BucketId::from_uuid(bucket),
            version: VersionId::from_uuid(version),
            stripe: StripeId::from_uuid(stripe),
            ordinal: numbers[0],
            stripe_bytes,
            epoch: numbers[1],
        };
        let position = position.index(redundancy.blocks().into());
        let header = BlockHeader::new(identity, u8::try_from(position).unwrap()).unwrap();
        let payload = vec![fill; header.payload_bytes()];
        EncodedBlock::seal(header, payload.into()).unwrap()
    }
}

proptest! {
    #[test]
    fn any_block_reads_back(block in any_block(), after in prop::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = whole(&block);
        bytes.extend_from_slice(&after);
        let (read, rest) = EncodedBlock::parse(&bytes.into()).unwrap();
        prop_assert_eq!(read, block);
        prop_assert_eq!(&rest[..], &after[..]);
    }

    #[test]
    fn any_flipped_bit_is_noticed(block in any_block(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = whole(&block);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(EncodedBlock::parse(&bytes.into()).is_err());
    }

    #[test]
    fn any_cut_is_noticed(block in any_block(), at in any::<prop::sample::Index>()) {
        let mut bytes = whole(&block);
        bytes.truncate(at.index(bytes.len()));
        let short = matches!(EncodedBlock::parse(&bytes.into()), Err(FormatError::Short { .. }));
        prop_assert!(short);
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600), ours in any::<bool>()) {
        if ours && bytes.len() >= HEADER_BYTES {
            bytes[..8].copy_from_slice(b"GMBLOCK1");
            let check = blake3::hash(&bytes[..224]);
            bytes[224..256].copy_from_slice(check.as_bytes());
        }
        prop_assert!(EncodedBlock::parse(&bytes.into()).is_err());
    }
}
