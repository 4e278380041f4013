//! The header: what a block is, and what it is a block of.

use gridmart_schemas::{
    id::{BlockId, BucketId, StripeId, VersionId},
    storage::{BlockRoot, Codec, Redundancy},
};
use uuid::Uuid;

use super::FormatError;
use crate::block::{BLOCK_BYTES_MAX, CHUNK_BYTES, CHUNK_LOG2, HASH_BYTES, HEADER_BYTES};

const MAGIC: &[u8; 8] = b"GMBLOCK1";
const FORMAT: u16 = 1;
const REPLICA: u8 = 0;
const REED_SOLOMON: u8 = 1;
/// Zeros from here on, up to the root.
const FIELDS_END: usize = 96;
const ROOT_AT: usize = 192;
const CHECK_AT: usize = 224;

/// The bytes of payload of each block of a stripe that holds `stripe_bytes` of
/// data; `None` if it is more than a stripe of this redundancy may hold.
pub fn payload_bytes(redundancy: Redundancy, stripe_bytes: u64) -> Option<usize> {
    let data = u64::from(redundancy.data());
    let bytes = match redundancy.codec() {
        Codec::Replica => stripe_bytes,
        // The code works on words of two bytes.
        Codec::ReedSolomon => stripe_bytes
            .div_ceil(data)
            .max(1)
            .checked_next_multiple_of(2)?,
    };
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= BLOCK_BYTES_MAX)
}

/// What all blocks of a stripe have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeIdentity {
    /// How the stripe is made safe.
    pub redundancy: Redundancy,
    /// The bucket that the object is in.
    pub bucket: BucketId,
    /// The object version that the data is of.
    pub version: VersionId,
    /// The stripe.
    pub stripe: StripeId,
    /// Its number in the object version, from 0.
    pub ordinal: u64,
    /// Bytes of data that it holds, over all data blocks.
    pub stripe_bytes: u64,
    /// The epoch of the Element under which it was written.
    pub epoch: u64,
}

/// What a block is.
///
/// Invariant: the position is one of the stripe's, and the payload has at most
/// [`BLOCK_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    identity: StripeIdentity,
    position: u8,
    payload_bytes: usize,
}

impl BlockHeader {
    /// The header of the block at `position` of a stripe.
    pub fn new(identity: StripeIdentity, position: u8) -> Result<Self, FormatError> {
        let field = |field, value| FormatError::Field { field, value };
        if position >= identity.redundancy.blocks() {
            return Err(field("position", position.into()));
        }
        let payload_bytes = payload_bytes(identity.redundancy, identity.stripe_bytes)
            .ok_or_else(|| field("stripe data length", identity.stripe_bytes))?;
        Ok(Self {
            identity,
            position,
            payload_bytes,
        })
    }

    /// What the block is a block of.
    pub const fn identity(&self) -> &StripeIdentity {
        &self.identity
    }

    /// Which of the stripe's blocks it is.
    pub const fn position(&self) -> u8 {
        self.position
    }

    /// The block's name.
    pub const fn id(&self) -> BlockId {
        BlockId {
            stripe: self.identity.stripe,
            position: self.position,
        }
    }

    /// Bytes of payload.
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Chunks of the payload; one even of an empty payload.
    pub fn chunks(&self) -> usize {
        self.payload_bytes.div_ceil(CHUNK_BYTES).max(1)
    }

    /// Bytes of header and table.
    pub fn prefix_bytes(&self) -> usize {
        HEADER_BYTES + HASH_BYTES * self.chunks()
    }

    /// Bytes of the whole block.
    pub fn encoded_bytes(&self) -> usize {
        self.prefix_bytes() + self.payload_bytes
    }

    /// Bytes of payload in the chunks from `first` on, `chunks` of them; the
    /// block ends where it ends.
    pub fn range_bytes(&self, first: usize, chunks: usize) -> usize {
        let at = |chunk: usize| chunk.saturating_mul(CHUNK_BYTES).min(self.payload_bytes);
        at(first.saturating_add(chunks)) - at(first)
    }

    /// Reads a header that its check confirms; gives the root that it states,
    /// which [`super::Prefix::parse`] compares with the table.
    pub fn parse(bytes: &[u8]) -> Result<(Self, BlockRoot), FormatError> {
        let found = bytes.len();
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(FormatError::Short {
            found,
            needed: HEADER_BYTES,
        })?;
        let fields = Fields(bytes);
        if &fields.take::<8>(0) != MAGIC {
            return Err(FormatError::Magic);
        }
        if blake3::hash(&bytes[..CHECK_AT]) != fields.take::<32>(CHECK_AT) {
            return Err(FormatError::HeaderDamaged);
        }
        let format = u16::from_le_bytes(fields.take(8));
        if format != FORMAT {
            return Err(FormatError::Newer(format));
        }
        Ok((fields.header()?, BlockRoot::new(fields.take(ROOT_AT))))
    }

    /// The bytes before the root, which the root is a hash over.
    pub(super) fn fields(&self) -> [u8; ROOT_AT] {
        let identity = &self.identity;
        let redundancy = identity.redundancy;
        let codec = match redundancy.codec() {
            Codec::Replica => REPLICA,
            Codec::ReedSolomon => REED_SOLOMON,
        };
        let mut bytes = [0; ROOT_AT];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(8, &FORMAT.to_le_bytes());
        put(10, &[codec, redundancy.data(), redundancy.parity()]);
        put(13, &[self.position, CHUNK_LOG2, 0]);
        put(16, identity.bucket.as_uuid().as_bytes());
        put(32, identity.version.as_uuid().as_bytes());
        put(48, identity.stripe.as_uuid().as_bytes());
        put(64, &identity.ordinal.to_le_bytes());
        put(72, &identity.stripe_bytes.to_le_bytes());
        put(80, &(self.payload_bytes as u64).to_le_bytes());
        put(88, &identity.epoch.to_le_bytes());
        bytes
    }

    /// The whole header, with the root of its block.
    pub(super) fn encode(&self, root: &BlockRoot) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..ROOT_AT].copy_from_slice(&self.fields());
        bytes[ROOT_AT..CHECK_AT].copy_from_slice(root.as_bytes());
        let check = blake3::hash(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(check.as_bytes());
        bytes
    }
}

/// A header's bytes.
struct Fields<'a>(&'a [u8; HEADER_BYTES]);

impl Fields<'_> {
    /// The field at an offset that is a constant of this file.
    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.0[at + index])
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.take(at))
    }

    fn uuid(&self, at: usize) -> Uuid {
        Uuid::from_bytes(self.take(at))
    }

    fn redundancy(&self) -> Result<Redundancy, FormatError> {
        let [codec, data, parity] = self.take(10);
        let read = match (codec, data) {
            (REPLICA, 1) => Redundancy::replica(parity.saturating_add(1)),
            (REED_SOLOMON, _) => Redundancy::rs(data, parity),
            (REPLICA, _) => {
                return Err(FormatError::Field {
                    field: "data blocks",
                    value: data.into(),
                });
            }
            _ => {
                return Err(FormatError::Field {
                    field: "codec",
                    value: codec.into(),
                });
            }
        };
        read.map_err(|_| FormatError::Field {
            field: "data and parity blocks",
            value: u16::from_be_bytes([data, parity]).into(),
        })
    }

    fn header(&self) -> Result<BlockHeader, FormatError> {
        let field = |field, value| Err(FormatError::Field { field, value });
        let [position, chunk_log2, flags] = self.take(13);
        if chunk_log2 != CHUNK_LOG2 {
            return field("chunk size", chunk_log2.into());
        }
        if flags != 0 {
            return field("flags", flags.into());
        }
        if let Some(byte) = self.0[FIELDS_END..ROOT_AT].iter().find(|byte| **byte != 0) {
            return field("reserved bytes", (*byte).into());
        }
        let identity = StripeIdentity {
            redundancy: self.redundancy()?,
            bucket: BucketId::from_uuid(self.uuid(16)),
            version: VersionId::from_uuid(self.uuid(32)),
            stripe: StripeId::from_uuid(self.uuid(48)),
            ordinal: self.number(64),
            stripe_bytes: self.number(72),
            epoch: self.number(88),
        };
        let header = BlockHeader::new(identity, position)?;
        if self.number(80) != header.payload_bytes as u64 {
            return field("payload length", self.number(80));
        }
        Ok(header)
    }
}
