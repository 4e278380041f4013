//! Blocks out of a stream of bytes, one after the other, as the body of
//! `POST /v1/blocks` carries them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{BlockHeader, EncodedBlock, FormatError, HEADER_BYTES};

/// Puts blocks together as their bytes come, and verifies them. It holds less
/// than one block beside what it was given last.
#[derive(Debug, Default)]
pub struct BlockAssembler {
    buffer: BytesMut,
    pending: VecDeque<Bytes>,
}

impl BlockAssembler {
    /// Takes the next bytes; ask for blocks until there is none.
    pub fn push(&mut self, bytes: Bytes) {
        self.pending.push_back(bytes);
    }

    /// The next whole block; `None` until more bytes come. After an error
    /// nothing that follows can be told apart: give up.
    pub fn block(&mut self) -> Result<Option<EncodedBlock>, FormatError> {
        if !self.fill(HEADER_BYTES) {
            return Ok(None);
        }
        let (header, _) = BlockHeader::parse(&self.buffer)?;
        if !self.fill(header.encoded_bytes()) {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(header.encoded_bytes()).freeze();
        let (block, _) = EncodedBlock::parse(&bytes)?;
        Ok(Some(block))
    }

    /// Whether all bytes were of whole blocks.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.pending.iter().all(Bytes::is_empty)
    }

    /// Moves bytes over until there are as many as this.
    fn fill(&mut self, needed: usize) -> bool {
        self.buffer
            .reserve(needed.saturating_sub(self.buffer.len()));
        while self.buffer.len() < needed {
            let Some(next) = self.pending.front_mut() else {
                return false;
            };
            let wanted = next.len().min(needed - self.buffer.len());
            self.buffer.extend_from_slice(&next.split_to(wanted));
            if next.is_empty() {
                self.pending.pop_front();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{BucketId, StripeId, VersionId},
        storage::Redundancy,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::block::{StripeIdentity, build_stripe};

    fn blocks(bytes: usize) -> Vec<EncodedBlock> {
        let identity = StripeIdentity {
            redundancy: Redundancy::rs(2, 1).unwrap(),
            bucket: BucketId::generate(),
            version: VersionId::generate(),
            stripe: StripeId::generate(),
            ordinal: 0,
            stripe_bytes: bytes as u64,
            epoch: 0,
        };
        build_stripe(identity, &vec![7; bytes].into()).unwrap()
    }

    fn encoded(blocks: &[EncodedBlock]) -> Vec<u8> {
        blocks
            .iter()
            .flat_map(|block| [block.prefix().bytes(), block.payload()])
            .flat_map(|bytes| bytes.to_vec())
            .collect()
    }

    fn assembled(
        pieces: impl Iterator<Item = Bytes>,
    ) -> Result<(Vec<EncodedBlock>, bool), FormatError> {
        let mut assembler = BlockAssembler::default();
        let mut blocks = Vec::new();
        for piece in pieces {
            assembler.push(piece);
            while let Some(block) = assembler.block()? {
                blocks.push(block);
            }
        }
        Ok((blocks, assembler.is_empty()))
    }

    proptest! {
        #[test]
        fn blocks_are_whole_however_they_come(lengths in prop::collection::vec(0usize..200_000, 1..4), piece in 1usize..100_000) {
            let sent: Vec<_> = lengths.into_iter().flat_map(blocks).collect();
            let bytes = encoded(&sent);
            let pieces = |bytes: &[u8]| {
                let bytes = bytes.to_vec();
                (0..bytes.len()).step_by(piece).map(move |at| {
                    Bytes::copy_from_slice(&bytes[at..bytes.len().min(at + piece)])
                })
            };
            prop_assert_eq!(assembled(pieces(&bytes)), Ok((sent.clone(), true)));
            let (some, whole) = assembled(pieces(&bytes[..bytes.len() - 1])).unwrap();
            prop_assert_eq!((some.len(), whole), (sent.len() - 1, false));
        }
    }

    #[test]
    fn what_is_no_block_is_refused_at_once() {
        let good = encoded(&blocks(1000));
        let mut bad = good.clone();
        bad[700] ^= 1;
        for bytes in [vec![0; 256], bad, [good, vec![b'G'; 300]].concat()] {
            assert!(assembled([Bytes::from(bytes)].into_iter()).is_err());
        }
    }
}
