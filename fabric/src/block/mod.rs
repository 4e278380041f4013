//! Blocks: how the data of objects is cut, made safe, and told whole from
//! damaged. Shared by programs, Storage Elements and storage Hosts.
//!
//! Invariants: a block is written once and never changed; nothing of a block is
//! given out before its hash was compared; no bytes make this code panic or
//! take memory beyond the bounds stated here.

mod assembler;
mod buffer;
mod client;
mod codec;
mod format;
mod frame;
mod layout;
mod stripe;
mod transfer;

pub use self::{
    assembler::BlockAssembler,
    buffer::StripeBuffer,
    client::{BlockAnswers, BlockClient, ClientLimits},
    codec::{CodecError, Rebuild, StripeCodec, codec_of},
    format::{BlockHeader, EncodedBlock, FormatError, Prefix, StripeIdentity, payload_bytes},
    frame::{FRAME_HEADER_BYTES, FrameKind, frame_header, frame_of},
    layout::{
        BlockRange, Cut, StripeRange, blocks_of, cuts, stripe_bytes_max, stripe_redundancy,
        stripes_of,
    },
    stripe::{Fault, KnownStripe, StripeError, StripeRead, StripeReader, build_stripe},
    transfer::{
        BlockHosts, PIECE_BYTES, encode_stripe, fetch_stripe, hosts_of, known_stripe, piece_end,
        read_stripe, reader_around, store_stripe,
    },
};

/// The most bytes of a block's payload.
pub const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The bytes of a chunk, the smallest piece that is verified by itself; the
/// last one of a payload may be shorter.
pub const CHUNK_BYTES: usize = 1 << CHUNK_LOG2;
/// The most bytes of data that are kept whole, as copies, where more would be
/// cut into data and parity blocks.
pub const SMALL_BYTES_MAX: usize = 128 * 1024;
/// The bytes of a block's header.
pub const HEADER_BYTES: usize = 256;
/// The most chunks of a block.
pub const CHUNKS_MAX: usize = BLOCK_BYTES_MAX / CHUNK_BYTES;
/// The most bytes of a block before its payload: header and table.
pub const PREFIX_BYTES_MAX: usize = HEADER_BYTES + CHUNKS_MAX * HASH_BYTES;

const CHUNK_LOG2: u8 = 16;
const HASH_BYTES: usize = 32;
