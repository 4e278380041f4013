//! A stripe as a whole: its blocks made of its data, and its data, or lost
//! blocks, of those blocks that can be had.

mod reader;

use bytes::Bytes;
use gridmart_schemas::{
    id::StripeId,
    problem::{Code, Problem},
    storage::{BlockRoot, Codec, Redundancy},
};

pub use self::reader::{StripeRead, StripeReader};
use super::{
    BlockHeader, CodecError, EncodedBlock, FormatError, StripeIdentity, codec_of, payload_bytes,
};

/// Why a block of a stripe cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its Host says that it does not have it.
    #[error("its Host does not have it")]
    Missing,
    /// Its Host does not answer, or refuses.
    #[error("its Host cannot give it: {0}")]
    Away(Code),
    /// What came is not the block.
    #[error("{0}")]
    Damaged(FormatError),
}

/// Why a stripe cannot be built or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// Too many blocks are lost.
    #[error(
        "stripe {stripe} needs {needed} of its blocks, and these cannot be had: {}",
        listed(faults)
    )]
    TooFew {
        /// The stripe.
        stripe: StripeId,
        /// Blocks that it is read from.
        needed: u8,
        /// Positions that cannot be had, and why.
        faults: Vec<(u8, Fault)>,
    },
    /// What is known of the stripe contradicts itself.
    #[error("what is known of stripe {0} is not a stripe; its metadata is damaged")]
    Contradiction(StripeId),
    /// Blocks that are needed have not come yet.
    #[error("stripe {0} has not been read yet; ask for what it still needs")]
    Incomplete(StripeId),
    /// The blocks were rebuilt, but are not what they were.
    #[error("block {position} of stripe {stripe} was rebuilt with another root than it had")]
    Rebuilt {
        /// The stripe.
        stripe: StripeId,
        /// The position.
        position: u8,
    },
    /// The data cannot be coded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A block cannot be made.
    #[error(transparent)]
    Format(#[from] FormatError),
}

fn listed(faults: &[(u8, Fault)]) -> String {
    let texts: Vec<String> = faults
        .iter()
        .map(|(position, fault)| format!("{position} ({fault})"))
        .collect();
    texts.join(", ")
}

impl From<StripeError> for Problem {
    fn from(error: StripeError) -> Self {
        let code = match &error {
            StripeError::TooFew { .. } => Code::Unavailable,
            StripeError::Codec(_) | StripeError::Format(_) | StripeError::Incomplete(_) => {
                Code::Internal
            }
            StripeError::Contradiction(_) | StripeError::Rebuilt { .. } => Code::StorageFailed,
        };
        Self::new(code, format!("Data cannot be had: {error}."))
    }
}

/// What a manifest says of a stripe.
///
/// Invariant: it has as many roots as blocks, and no more data than they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStripe {
    stripe: StripeId,
    redundancy: Redundancy,
    stripe_bytes: u64,
    payload_bytes: usize,
    roots: Vec<Option<BlockRoot>>,
}

impl KnownStripe {
    /// Takes over what a manifest says: bytes of data, and the root of each
    /// position; none of those whose block was never written.
    pub fn new(
        stripe: StripeId,
        redundancy: Redundancy,
        stripe_bytes: u64,
        roots: Vec<Option<BlockRoot>>,
    ) -> Result<Self, StripeError> {
        let payload_bytes = payload_bytes(redundancy, stripe_bytes)
            .filter(|_| roots.len() == usize::from(redundancy.blocks()))
            .ok_or(StripeError::Contradiction(stripe))?;
        Ok(Self {
            stripe,
            redundancy,
            stripe_bytes,
            payload_bytes,
            roots,
        })
    }

    /// Bytes of data.
    pub const fn stripe_bytes(&self) -> u64 {
        self.stripe_bytes
    }

    /// How it is made safe.
    pub const fn redundancy(&self) -> Redundancy {
        self.redundancy
    }
}

/// The blocks of a stripe, in the order of their positions. Takes a core for
/// some milliseconds: asynchronous callers go to a blocking thread.
pub fn build_stripe(
    identity: StripeIdentity,
    data: &Bytes,
) -> Result<Vec<EncodedBlock>, StripeError> {
    if identity.stripe_bytes != data.len() as u64 {
        return Err(StripeError::Contradiction(identity.stripe));
    }
    let redundancy = identity.redundancy;
    let payloads = codec_of(redundancy).encode(data)?;
    let seal =
        |(position, payload)| EncodedBlock::seal(BlockHeader::new(identity, position)?, payload);
    let mut sealed = (0..).zip(payloads).map(seal);
    if redundancy.codec() == Codec::ReedSolomon {
        return Ok(sealed.collect::<Result<_, _>>()?);
    }
    let Some(first) = sealed.next().transpose()? else {
        return Ok(Vec::new());
    };
    let copies = (1..redundancy.blocks()).map(|position| first.copy_at(position));
    let copies: Vec<EncodedBlock> = copies.collect::<Result<_, _>>()?;
    Ok([vec![first], copies].concat())
}

#[cfg(test)]
mod tests;
