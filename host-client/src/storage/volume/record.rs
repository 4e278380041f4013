//! Records of segments: 64 bytes of header, then an encoded block or nothing.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | `GMRECRD1` |
//! | 8 | 1 | kind: 1 block, 2 tombstone, 3 mark of damage |
//! | 9 | 1 | position of the block |
//! | 10 | 2 | zeros |
//! | 12 | 4 | bytes after the header |
//! | 16 | 16 | stripe of the block |
//! | 32 | 32 | keyed BLAKE3 of the bytes before and the record's place |
//!
//! Invariants: the check is made with a key of the volume and binds a record to
//! its segment and its place there, so that nothing that a program has put into
//! a block passes for a record. What comes after the header is a block, which
//! verifies itself. Numbers are little-endian.

use gridmart_schemas::id::{BlockId, StripeId};
use uuid::Uuid;

use super::{FILE_PAYLOAD_BYTES_MIN, index::SegmentNumber};

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = RecordHeader::data_at(0) as usize;
/// What a record begins with.
pub(crate) const RECORD_MAGIC: &[u8; 8] = b"GMRECRD1";
/// The most bytes after a header: the largest block that is kept in a segment.
pub(crate) const RECORD_DATA_BYTES_MAX: usize =
    gridmart_fabric::block::PREFIX_BYTES_MAX + FILE_PAYLOAD_BYTES_MIN;
const CHECK_AT: usize = 32;
const KEY_CONTEXT: &str = "gridmart volume segment record 1";

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// This is the block.
    Block = 1,
    /// The block is deleted.
    Tombstone = 2,
    /// What an earlier record has of the block is damaged.
    Damage = 3,
}

impl RecordKind {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Block),
            2 => Some(Self::Tombstone),
            3 => Some(Self::Damage),
            _ => None,
        }
    }
}

/// Reads the bytes of an id.
pub(crate) fn block_id(stripe: [u8; 16], position: u8) -> BlockId {
    BlockId {
        stripe: StripeId::from_uuid(Uuid::from_bytes(stripe)),
        position,
    }
}

/// What stands before a record's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    pub(crate) id: BlockId,
    /// Bytes after the header.
    pub(crate) bytes: u32,
}

/// Makes and verifies the checks of one segment's records.
#[derive(Clone)]
pub(crate) struct RecordKey([u8; 32]);

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey")
    }
}

impl RecordKey {
    /// The key of a segment, made of the volume's.
    pub(crate) fn new(volume: &[u8; 16], number: SegmentNumber) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hasher.update(volume).update(&number.get().to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    fn check(&self, fields: &[u8], at: u32) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(fields).update(&at.to_le_bytes());
        hasher.finalize()
    }
}

impl RecordHeader {
    /// The bytes of the header of the record at `at`.
    pub(crate) fn encode(&self, key: &RecordKey, at: u32) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[..8].copy_from_slice(RECORD_MAGIC);
        bytes[8] = self.kind as u8;
        bytes[9] = self.id.position;
        bytes[12..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..CHECK_AT].copy_from_slice(self.id.stripe.as_uuid().as_bytes());
        let check = key.check(&bytes[..CHECK_AT], at);
        bytes[CHECK_AT..].copy_from_slice(check.as_bytes());
        bytes
    }

    /// Reads the header of a record that begins at `at`; `None` if it is none.
    pub(crate) fn parse(
        bytes: &[u8; RECORD_HEADER_BYTES],
        key: &RecordKey,
        at: u32,
    ) -> Option<Self> {
        if &bytes[..8] != RECORD_MAGIC {
            return None;
        }
        let mut check = [0; 32];
        check.copy_from_slice(&bytes[CHECK_AT..]);
        if key.check(&bytes[..CHECK_AT], at) != check {
            return None;
        }
        let mut stripe = [0; 16];
        stripe.copy_from_slice(&bytes[16..CHECK_AT]);
        let header = Self {
            kind: RecordKind::from_byte(bytes[8])?,
            id: block_id(stripe, bytes[9]),
            bytes: u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
        };
        (header.bytes as usize <= RECORD_DATA_BYTES_MAX).then_some(header)
    }

    /// Where the data of a record at `at` begins.
    pub(crate) const fn data_at(at: u32) -> u32 {
        at.saturating_add(64)
    }

    /// Bytes of the whole record.
    pub(crate) const fn record_bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES as u64) + self.bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_reads_back_in_its_place_and_nowhere_else(
            stripe in any::<[u8; 16]>(), position in any::<u8>(), bytes in 0u32..1000,
            at in any::<u32>(), flipped in 0usize..64 * 8,
        ) {
            let key = RecordKey::new(&[7; 16], SegmentNumber::MIN);
            let id = block_id(stripe, position);
            let header = RecordHeader { kind: RecordKind::Block, id, bytes };
            let mut encoded = header.encode(&key, at);
            prop_assert_eq!(RecordHeader::parse(&encoded, &key, at), Some(header));
            prop_assert_eq!(RecordHeader::parse(&encoded, &key, at.wrapping_add(1)), None);
            let other = RecordKey::new(&[8; 16], SegmentNumber::MIN);
            prop_assert_eq!(RecordHeader::parse(&encoded, &other, at), None);
            encoded[flipped / 8] ^= 1 << (flipped % 8);
            prop_assert_eq!(RecordHeader::parse(&encoded, &key, at), None);
        }
    }
}
