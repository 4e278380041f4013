//! Reading a stripe, without I/O: it says which chunks of which blocks it wants,
//! is told what came of them, and goes on to other blocks for what did not.
//!
//! A chunk of a lost block is rebuilt from the same chunk of `k` others, so
//! that a degraded read of a range moves little more than it has to.
//!
//! Invariants: nothing is used that the roots of the manifest do not confirm;
//! a chunk is asked for once; a block with a fault is not asked again.

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;
use gridmart_schemas::{id::BlockId, storage::Codec, wire::block::BlockRead};

use super::{Fault, KnownStripe, StripeError};
use crate::block::{
    BlockHeader, BlockRange, CHUNK_BYTES, EncodedBlock, FormatError, Prefix, Rebuild,
    StripeIdentity, blocks_of, codec_of,
};

/// What is known of one block.
#[derive(Clone, Debug)]
struct Place {
    fault: Option<Fault>,
    asked: BTreeSet<usize>,
    /// Verified chunks, by number.
    held: Vec<Option<Bytes>>,
}

/// What was read of a stripe.
#[derive(Clone, Debug)]
pub struct StripeRead {
    /// The bytes, in order, in pieces of at most a chunk.
    pub pieces: Vec<Bytes>,
    /// Positions that could not be had, and why: what the Element repairs.
    pub faults: Vec<(u8, Fault)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct StripeReader {
    stripe: KnownStripe,
    wanted: Vec<BlockRange>,
    /// Each position once, those that are asked first before others.
    order: Vec<u8>,
    places: Vec<Place>,
    /// What a block that came has said.
    identity: Option<StripeIdentity>,
}

impl StripeReader {
    /// Reads a range of the stripe's data. Where there is a choice of blocks,
    /// they are asked in the order of `preferred` (positions; those that it
    /// does not name come last).
    pub fn new(stripe: KnownStripe, range: Range<u64>, preferred: &[u8]) -> Self {
        let mut wanted = blocks_of(stripe.redundancy, stripe.stripe_bytes, range);
        let order = order(&stripe, &wanted, preferred);
        if stripe.redundancy.codec() == Codec::Replica {
            // Any copy is as good: the first of the order.
            for block in &mut wanted {
                block.position = order.first().copied().unwrap_or_default();
            }
        }
        Self::of(stripe, wanted, order)
    }

    /// Rebuilds the blocks at the positions `lost`, whole.
    pub fn repair(stripe: KnownStripe, lost: &[u8], preferred: &[u8]) -> Self {
        let bytes = 0..stripe.payload_bytes;
        let chunks = 0..bytes.end.div_ceil(CHUNK_BYTES).max(1);
        let wanted = lost
            .iter()
            .filter(|position| **position < stripe.redundancy.blocks())
            .map(|position| BlockRange {
                position: *position,
                chunks: chunks.clone(),
                bytes: bytes.clone(),
            })
            .collect();
        let order = order(&stripe, &[], preferred);
        let mut reader = Self::of(stripe, wanted, order);
        for position in lost {
            reader.on_fault(*position, Fault::Missing);
        }
        reader
    }

    fn of(stripe: KnownStripe, wanted: Vec<BlockRange>, order: Vec<u8>) -> Self {
        let chunks = stripe.payload_bytes.div_ceil(CHUNK_BYTES).max(1);
        let place = Place {
            fault: None,
            asked: BTreeSet::new(),
            held: vec![None; chunks],
        };
        Self {
            places: vec![place; stripe.redundancy.blocks().into()],
            stripe,
            wanted,
            order,
            identity: None,
        }
    }

    /// What to ask for now, beside what was asked for already; nothing, if that
    /// is enough. Fails when too many blocks are lost.
    pub fn reads(&mut self) -> Result<Vec<BlockRead>, StripeError> {
        let mut reads = Vec::new();
        for (position, chunks) in self.needed()? {
            let place = &mut self.places[usize::from(position)];
            let id = BlockId {
                stripe: self.stripe.stripe,
                position,
            };
            for chunk in chunks {
                if !place.asked.insert(chunk) {
                    continue;
                }
                match reads.last_mut() {
                    Some(BlockRead {
                        id: last,
                        first_chunk,
                        chunks,
                    }) if *last == id && first_chunk.saturating_add(*chunks) as usize == chunk => {
                        *chunks += 1;
                    }
                    _ => reads.push(BlockRead {
                        id,
                        first_chunk: u32::try_from(chunk).unwrap_or(u32::MAX),
                        chunks: 1,
                    }),
                }
            }
        }
        Ok(reads)
    }

    /// Takes what came for a read: header, table and the chunks asked for. What
    /// is not the block is a fault of its position.
    pub fn on_block(&mut self, read: &BlockRead, bytes: &Bytes) {
        if let Err(error) = self.take(read, bytes) {
            self.on_fault(read.id.position, Fault::Damaged(error));
        }
    }

    /// Takes note that a block cannot be had, or not soon enough.
    pub fn on_fault(&mut self, position: u8, fault: Fault) {
        if let Some(place) = self.places.get_mut(usize::from(position)) {
            place.fault.get_or_insert(fault);
        }
    }

    /// Whether all has come that it takes.
    pub fn is_complete(&self) -> bool {
        self.needed().is_ok_and(|needed| {
            needed.into_iter().all(|(position, chunks)| {
                let place = &self.places[usize::from(position)];
                chunks.into_iter().all(|chunk| place.held[chunk].is_some())
            })
        })
    }

    /// Whether what is lost can be made good from what is not.
    pub fn can_go_on(&self) -> bool {
        self.needed().is_ok()
    }

    /// The data that was asked for. Rebuilds what is lost of it, which takes a
    /// core for some milliseconds.
    pub fn finish(self) -> Result<StripeRead, StripeError> {
        let mut pieces = Vec::new();
        for (block, chunks) in self.wanted.iter().zip(self.payloads()?) {
            let mut begin = block.chunks.start * CHUNK_BYTES;
            for chunk in chunks {
                let from = block.bytes.start.max(begin) - begin;
                let to = (block.bytes.end - begin).min(chunk.len());
                begin += chunk.len();
                pieces.push(chunk.slice(from..to));
            }
        }
        Ok(StripeRead {
            pieces,
            faults: self.faults(),
        })
    }

    /// The blocks that were to be rebuilt; each has its old root again, if it had one:
    /// what was never written is made of what is confirmed.
    pub fn finish_repair(self) -> Result<Vec<EncodedBlock>, StripeError> {
        let stripe = self.stripe.stripe;
        let payloads = self.payloads()?;
        let identity = self.identity.ok_or(StripeError::Incomplete(stripe))?;
        let seal = |(block, chunks): (&BlockRange, Vec<Bytes>)| {
            let header = BlockHeader::new(identity, block.position)?;
            let sealed = EncodedBlock::seal(header, chunks.concat().into())?;
            let known = &self.stripe.roots[usize::from(block.position)];
            if known.is_some_and(|known| *sealed.prefix().root() != known) {
                return Err(StripeError::Rebuilt {
                    stripe,
                    position: block.position,
                });
            }
            Ok(sealed)
        };
        self.wanted.iter().zip(payloads).map(seal).collect()
    }

    /// Positions that cannot be had, and why.
    pub fn faults(&self) -> Vec<(u8, Fault)> {
        (0..)
            .zip(&self.places)
            .filter_map(|(position, place)| Some((position, place.fault.clone()?)))
            .collect()
    }

    fn is_lost(&self, block: &BlockRange) -> bool {
        // What came before the fault is as good as ever.
        let place = &self.places[usize::from(block.position)];
        place.fault.is_some() && !place.holds(&block.chunks)
    }

    /// The blocks that lost ones are rebuilt from.
    fn sources(&self) -> Result<Vec<u8>, StripeError> {
        let needed = self.stripe.redundancy.data();
        let sources: Vec<u8> = self
            .order
            .iter()
            .copied()
            .filter(|position| self.places[usize::from(*position)].fault.is_none())
            .take(needed.into())
            .collect();
        if sources.len() < usize::from(needed) {
            return Err(StripeError::TooFew {
                stripe: self.stripe.stripe,
                needed,
                faults: self.faults(),
            });
        }
        Ok(sources)
    }

    /// All chunks that it takes, held or not.
    fn needed(&self) -> Result<Vec<(u8, BTreeSet<usize>)>, StripeError> {
        let mut chunks = vec![BTreeSet::new(); self.places.len()];
        for block in &self.wanted {
            if self.is_lost(block) {
                for source in self.sources()? {
                    chunks[usize::from(source)].extend(block.chunks.clone());
                }
            } else {
                chunks[usize::from(block.position)].extend(block.chunks.clone());
            }
        }
        Ok((0..).zip(chunks).collect())
    }

    fn take(&mut self, read: &BlockRead, bytes: &Bytes) -> Result<(), FormatError> {
        let root = self.stripe.roots.get(usize::from(read.id.position));
        let root = root.and_then(Option::as_ref);
        let root = root.ok_or(FormatError::Foreign(read.id))?;
        let prefix = Prefix::parse_expected(bytes, root)?;
        let (header, known) = (prefix.header(), &self.stripe);
        let identity = header.identity();
        if header.id() != read.id
            || read.id.stripe != known.stripe
            || identity.redundancy != known.redundancy
            || identity.stripe_bytes != known.stripe_bytes
        {
            return Err(FormatError::Foreign(header.id()));
        }
        let payload = bytes.slice(prefix.bytes().len()..);
        let (first, count) = (read.first_chunk as usize, read.chunks as usize);
        prefix.verify_range(first, count, &payload)?;
        self.identity = Some(*identity);
        let held = &mut self.places[usize::from(read.id.position)].held;
        for (at, held) in held.iter_mut().skip(first).take(count).enumerate() {
            let begin = at * CHUNK_BYTES;
            *held = Some(payload.slice(begin..payload.len().min(begin + CHUNK_BYTES)));
        }
        Ok(())
    }

    /// The chunks of each wanted block, rebuilt where they are lost.
    fn payloads(&self) -> Result<Vec<Vec<Bytes>>, StripeError> {
        let lost: Vec<u8> = self
            .wanted
            .iter()
            .filter(|block| self.is_lost(block))
            .map(|block| block.position)
            .collect();
        let (sources, rebuild) = if lost.is_empty() {
            (Vec::new(), None)
        } else {
            let sources = self.sources()?;
            let rebuild = codec_of(self.stripe.redundancy).rebuild(&sources, &lost)?;
            (sources, Some(rebuild))
        };
        let chunks = |block: &BlockRange| {
            let at = lost.iter().position(|lost| *lost == block.position);
            let one = |chunk| match (&rebuild, at) {
                (Some(rebuild), Some(at)) => self.rebuilt(rebuild, at, &sources, chunk),
                _ => self.held(block.position, chunk),
            };
            block.chunks.clone().map(one).collect()
        };
        self.wanted.iter().map(chunks).collect()
    }

    fn rebuilt(
        &self,
        rebuild: &Rebuild,
        at: usize,
        sources: &[u8],
        chunk: usize,
    ) -> Result<Bytes, StripeError> {
        let pieces = sources.iter().map(|source| self.held(*source, chunk));
        let pieces: Vec<Bytes> = pieces.collect::<Result<_, _>>()?;
        Ok(rebuild.block(at, &pieces)?)
    }

    fn held(&self, position: u8, chunk: usize) -> Result<Bytes, StripeError> {
        self.places[usize::from(position)]
            .held
            .get(chunk)
            .cloned()
            .flatten()
            .ok_or(StripeError::Incomplete(self.stripe.stripe))
    }
}

impl Place {
    fn holds(&self, chunks: &Range<usize>) -> bool {
        chunks
            .clone()
            .all(|chunk| self.held.get(chunk).is_some_and(Option::is_some))
    }
}

/// All positions: data blocks that are read anyhow first, then those that are
/// preferred, then the others.
fn order(stripe: &KnownStripe, wanted: &[BlockRange], preferred: &[u8]) -> Vec<u8> {
    let striped = stripe.redundancy.codec() == Codec::ReedSolomon;
    let read = wanted
        .iter()
        .filter(|_| striped)
        .map(|block| block.position);
    let all = read
        .chain(preferred.iter().copied())
        .chain(0..stripe.redundancy.blocks());
    let mut order = Vec::new();
    for position in all {
        if position < stripe.redundancy.blocks() && !order.contains(&position) {
            order.push(position);
        }
    }
    order
}
