//! From the data of a stripe to its blocks' payloads, and back from some of them.
//!
//! Everything here takes a core for some milliseconds: asynchronous callers go
//! to a blocking thread.
//!
//! What it costs on one core of a busy two-core machine (x86-64 with AVX2), in
//! MB of the stripe's data per second, the best of twelve tries; hashing is not
//! included (BLAKE3 of chunks: about 3500). Expect half of it at bad times.
//!
//! | code | payload | encode | rebuild one | rebuild m |
//! | --- | --- | --- | --- | --- |
//! | 4+2 | 32 KiB | 5793 | 367 | 346 |
//! | 4+2 | 64 KiB | 6701 | 667 | 592 |
//! | 4+2 | 256 KiB | 6372 | 2075 | 1583 |
//! | 4+2 | 1024 KiB | 5455 | 3630 | 2148 |
//! | 4+2 | 4096 KiB | 1617 | 3399 | 1219 |
//! | 6+3 | 32 KiB | 4198 | 579 | 491 |
//! | 6+3 | 64 KiB | 3840 | 1037 | 820 |
//! | 6+3 | 256 KiB | 3873 | 2778 | 1504 |
//! | 6+3 | 1024 KiB | 3510 | 4470 | 1794 |
//! | 6+3 | 4096 KiB | 1766 | 3645 | 860 |
//! | 8+3 | 32 KiB | 5193 | 674 | 596 |
//! | 8+3 | 64 KiB | 4660 | 1482 | 1111 |
//! | 8+3 | 256 KiB | 4953 | 3186 | 1790 |
//! | 8+3 | 1024 KiB | 4571 | 5148 | 1921 |
//! | 8+3 | 4096 KiB | 3748 | 4879 | 1138 |
//!
//! A rebuild begins with some 0.3 ms, whatever its size, in which the
//! coefficients are found: at 128 KiB of data ([`SMALL_BYTES_MAX`]) that is as
//! long as a round trip in one site, below it would be most of the cost. The
//! crate's own decoder pays them at every call and came to 200 to 850 MB/s,
//! which is why rebuilding does not use it for the bytes.
//!
//! [`SMALL_BYTES_MAX`]: super::SMALL_BYTES_MAX

mod rebuild;
mod reed_solomon;
mod replica;

use bytes::Bytes;
use gridmart_schemas::{
    problem::{Code, Problem},
    storage::{Codec, Redundancy},
};

pub use self::rebuild::Rebuild;
use self::{reed_solomon::ReedSolomonCodec, replica::ReplicaCodec};

/// Why a stripe cannot be encoded or rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More data than the blocks of a stripe may hold.
    #[error("{bytes} bytes are more than a stripe of {redundancy} holds; cut them into stripes")]
    TooLong {
        /// Bytes of data.
        bytes: usize,
        /// How the stripe is made safe.
        redundancy: Redundancy,
    },
    /// Fewer blocks than it takes, or other ones than the stripe has.
    #[error(
        "blocks {found:?} are not the {needed} different ones that a stripe of {redundancy} is \
         rebuilt from"
    )]
    Sources {
        /// Positions that were offered.
        found: Vec<u8>,
        /// How many it takes.
        needed: u8,
        /// How the stripe is made safe.
        redundancy: Redundancy,
    },
    /// A position that the stripe does not have.
    #[error("a stripe of {redundancy} has no position {position}")]
    NoPosition {
        /// The position.
        position: u8,
        /// How the stripe is made safe.
        redundancy: Redundancy,
    },
    /// The pieces to rebuild from are not as many, or not as long, as they have to be.
    #[error("the pieces to rebuild from are not one of each block, all of the same even length")]
    Pieces,
    /// The library refuses.
    #[error("the Reed-Solomon library refuses: {0}")]
    Library(String),
}

impl From<CodecError> for Problem {
    fn from(error: CodecError) -> Self {
        Self::new(
            Code::Internal,
            format!("A stripe cannot be coded: {error}."),
        )
    }
}

/// One way of making a stripe safe.
pub trait StripeCodec: std::fmt::Debug + Send + Sync {
    /// The payloads of all positions, in order. Data is shared, not copied,
    /// except for the block that is padded.
    fn encode(&self, data: &Bytes) -> Result<Vec<Bytes>, CodecError>;

    /// How the payloads at the positions `wanted` are made of those at
    /// `sources`: as many different ones as the redundancy has data blocks.
    fn rebuild(&self, sources: &[u8], wanted: &[u8]) -> Result<Rebuild, CodecError>;
}

/// The codec of a redundancy.
pub fn codec_of(redundancy: Redundancy) -> Box<dyn StripeCodec> {
    match redundancy.codec() {
        Codec::Replica => Box::new(ReplicaCodec { redundancy }),
        Codec::ReedSolomon => Box::new(ReedSolomonCodec { redundancy }),
    }
}

/// Refuses what is not so many different positions of the stripe, or is wanted
/// and no position of it.
fn check_positions(
    redundancy: Redundancy,
    sources: &[u8],
    wanted: &[u8],
) -> Result<(), CodecError> {
    let blocks = redundancy.blocks();
    let different = sources
        .iter()
        .enumerate()
        .all(|(at, source)| *source < blocks && !sources[..at].contains(source));
    if !different || sources.len() != usize::from(redundancy.data()) {
        return Err(CodecError::Sources {
            found: sources.to_vec(),
            needed: redundancy.data(),
            redundancy,
        });
    }
    match wanted.iter().find(|position| **position >= blocks) {
        Some(&position) => Err(CodecError::NoPosition {
            position,
            redundancy,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
