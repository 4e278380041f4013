//! The form of the ledger's log files, little-endian: a head, then records.
//!
//! Head, 64 bytes: `GMLEDGF1`, number of the file 4, zeros 4, epoch 8 and
//! sequence 8 of the record that comes before its first one, BLAKE3 of these 32.
//!
//! Record: `GMLEDGR1`, bytes of its content 4, zeros 4, epoch 8, sequence 8,
//! BLAKE3 32 of these, the number of the file, the record's place and its
//! content; then the content.

use super::Position;

/// Bytes of a file's head.
pub(super) const FILE_HEAD_BYTES: u32 = 64;
/// Bytes of a record before its content.
pub(super) const RECORD_HEAD_BYTES: u32 = 64;
/// The most bytes of a record's content.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

const FILE_MAGIC: [u8; 8] = *b"GMLEDGF1";
const RECORD_MAGIC: [u8; 8] = *b"GMLEDGR1";
const CHECK_AT: usize = 32;

fn fields(magic: [u8; 8], number: u32, position: Position) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&magic);
    bytes[8..12].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&position.epoch.to_le_bytes());
    bytes[24..CHECK_AT].copy_from_slice(&position.sequence.to_le_bytes());
    bytes
}

/// Reads number and position; whether the check is right is not looked at.
fn parse_fields(bytes: &[u8; 64], magic: [u8; 8]) -> Option<(u32, Position)> {
    if !bytes.starts_with(&magic) || bytes[12..16] != [0; 4] {
        return None;
    }
    let long = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let position = Position {
        epoch: long(16)?,
        sequence: long(24)?,
    };
    let number = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    Some((number, position))
}

/// The head of a file whose first record comes after `after`.
pub(super) fn encode_head(number: u32, after: Position) -> [u8; 64] {
    let mut bytes = fields(FILE_MAGIC, number, after);
    let check = blake3::hash(&bytes[..CHECK_AT]);
    bytes[CHECK_AT..].copy_from_slice(check.as_bytes());
    bytes
}

/// Reads the head of a file.
pub(super) fn parse_head(bytes: &[u8; 64], number: u32) -> Option<Position> {
    let (stated, after) = parse_fields(bytes, FILE_MAGIC)?;
    let right = stated == number && blake3::hash(&bytes[..CHECK_AT]) == bytes[CHECK_AT..];
    right.then_some(after)
}

fn check(fields: &[u8], file: u32, at: u32, content: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(fields)
        .update(&file.to_le_bytes())
        .update(&at.to_le_bytes())
        .update(content);
    hasher.finalize()
}

/// Adds a record to what will be written at `at` of a file.
pub(super) fn encode_record(
    buffer: &mut Vec<u8>,
    file: u32,
    at: u32,
    position: Position,
    content: &[u8],
) {
    let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut head = fields(RECORD_MAGIC, bytes, position);
    let check = check(&head[..CHECK_AT], file, at, content);
    head[CHECK_AT..].copy_from_slice(check.as_bytes());
    buffer.extend_from_slice(&head);
    buffer.extend_from_slice(content);
}

/// A record's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) position: Position,
    /// Bytes of its content.
    pub(super) bytes: u32,
}

impl RecordHead {
    /// Reads a head, whose check needs the content.
    pub(super) fn parse(bytes: &[u8; 64]) -> Option<Self> {
        let (bytes, position) = parse_fields(bytes, RECORD_MAGIC)?;
        let fits = bytes as usize <= RECORD_BYTES_MAX;
        fits.then_some(Self { position, bytes })
    }

    /// Whether head and content are what was written there.
    pub(super) fn is_right(head: &[u8; 64], file: u32, at: u32, content: &[u8]) -> bool {
        check(&head[..CHECK_AT], file, at, content) == head[CHECK_AT..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back_in_its_place_alone(
            epoch in any::<u64>(), sequence in any::<u64>(), at in 0u32..1000,
            content in prop::collection::vec(any::<u8>(), 0..50),
            flipped in any::<prop::sample::Index>(),
        ) {
            let position = Position { epoch, sequence };
            let mut bytes = Vec::new();
            encode_record(&mut bytes, 7, at, position, &content);
            let read = |bytes: &[u8], file, at| {
                let (head, content) = bytes.split_first_chunk::<64>().unwrap();
                let parsed = RecordHead::parse(head)?;
                RecordHead::is_right(head, file, at, content).then_some(parsed)
            };
            let length = u32::try_from(content.len()).unwrap();
            prop_assert_eq!(read(&bytes, 7, at), Some(RecordHead { position, bytes: length }));
            prop_assert_eq!(read(&bytes, 8, at), None);
            prop_assert_eq!(read(&bytes, 7, at + 1), None);
            let bit = flipped.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(&bytes, 7, at), None);
        }

        #[test]
        fn a_head_reads_back(epoch in any::<u64>(), sequence in any::<u64>(), flipped in 0usize..512) {
            let after = Position { epoch, sequence };
            let mut bytes = encode_head(3, after);
            prop_assert_eq!(parse_head(&bytes, 3), Some(after));
            prop_assert_eq!(parse_head(&bytes, 4), None);
            bytes[flipped / 8] ^= 1 << (flipped % 8);
            prop_assert_eq!(parse_head(&bytes, 3), None);
        }
    }
}
