//! Lost payloads from others, any range of them by itself.
//!
//! The code is linear: a lost block is the sum of any `k` others, each times a
//! coefficient that depends on the positions alone. The crate's decoder is
//! asked once, with a unit in each source, what the coefficients are; the
//! bytes are then multiplied and summed with the crate's own engine.

use bytes::Bytes;
use gridmart_schemas::storage::Redundancy;
use reed_solomon_simd::{
    ReedSolomonDecoder, ReedSolomonEncoder,
    engine::{DefaultEngine, Engine as _, GfElement, tables, utils},
};

use super::{CodecError, reed_solomon::refused};
use crate::block::StripeBuffer;

/// The crate's unit of work: 32 elements, their low bytes before their high
/// bytes. Of a shorter rest, the first half of the bytes are the low ones.
const UNIT_BYTES: usize = 64;
const UNIT_ELEMENTS: usize = UNIT_BYTES / 2;
/// Bytes of each block that are worked on at a time, small enough for the
/// processor's first cache.
const SLICE_BYTES: usize = 8 * 1024;

type Unit = [u8; UNIT_BYTES];

/// For each wanted block the factor of each source, as a logarithm; `None` is
/// the factor zero.
pub(super) struct Coefficients(Vec<Vec<Option<GfElement>>>);

impl Coefficients {
    /// Sources are `k` different positions; these and the wanted ones are the
    /// stripe's.
    pub(super) fn find(
        redundancy: Redundancy,
        sources: &[u8],
        wanted: &[u8],
    ) -> Result<Self, CodecError> {
        let (data, parity) = (
            usize::from(redundancy.data()),
            usize::from(redundancy.parity()),
        );
        let mut blocks = vec![None; data + parity];
        for (at, source) in sources.iter().enumerate() {
            blocks[usize::from(*source)] = Some(unit_with_one(at));
        }
        let blocks = completed(blocks, data, parity)?;
        let logarithms = &tables::get_exp_log().log;
        let row = |position: &u8| {
            let unit = &blocks[usize::from(*position)];
            (0..sources.len())
                .map(|at| {
                    let factor = u16::from_le_bytes([unit[at], unit[UNIT_ELEMENTS + at]]);
                    (factor != 0).then(|| logarithms[usize::from(factor)])
                })
                .collect()
        };
        Ok(Self(wanted.iter().map(row).collect()))
    }
}

/// Zeros, and the code's one at the element `at`, of 32.
fn unit_with_one(at: usize) -> Unit {
    let [low, high] = tables::get_exp_log().exp[0].to_le_bytes();
    let mut unit = [0; UNIT_BYTES];
    unit[at] = low;
    unit[UNIT_ELEMENTS + at] = high;
    unit
}

/// Rebuilds what is `None` with the crate alone.
fn completed(
    blocks: Vec<Option<Unit>>,
    data: usize,
    parity: usize,
) -> Result<Vec<Unit>, CodecError> {
    let mut decoder = ReedSolomonDecoder::new(data, parity, UNIT_BYTES).map_err(refused)?;
    for (at, block) in blocks.iter().enumerate() {
        let Some(block) = block else { continue };
        if at < data {
            decoder.add_original_shard(at, block)
        } else {
            decoder.add_recovery_shard(at - data, block)
        }
        .map_err(refused)?;
    }
    let restored = decoder.decode().map_err(refused)?;
    let mut whole: Vec<Unit> = blocks
        .into_iter()
        .map(|block| block.unwrap_or([0; UNIT_BYTES]))
        .collect();
    for (at, block) in restored.restored_original_iter() {
        whole[at].copy_from_slice(block);
    }
    let mut encoder = ReedSolomonEncoder::new(data, parity, UNIT_BYTES).map_err(refused)?;
    for block in &whole[..data] {
        encoder.add_original_shard(block).map_err(refused)?;
    }
    let recovery = encoder.encode().map_err(refused)?;
    for (block, parity) in whole[data..].iter_mut().zip(recovery.recovery_iter()) {
        block.copy_from_slice(parity);
    }
    Ok(whole)
}

/// Where the bytes of a wanted block come from.
#[derive(Clone, Debug)]
enum Recipe {
    /// One of the sources, as it is.
    Copy(usize),
    /// The sum of sources, each times a factor (its logarithm).
    Sum(Vec<(usize, GfElement)>),
}

/// How some blocks of a stripe are made of others: found once, used for all
/// ranges of the payloads.
#[derive(Clone, Debug)]
pub struct Rebuild {
    sources: usize,
    recipes: Vec<Recipe>,
}

impl Rebuild {
    /// Each of the wanted blocks is the one source.
    pub(super) fn copies(wanted: usize) -> Self {
        Self {
            sources: 1,
            recipes: vec![Recipe::Copy(0); wanted],
        }
    }

    pub(super) fn sums(sources: &[u8], wanted: &[u8], coefficients: Coefficients) -> Self {
        let recipe = |(position, factors): (&u8, Vec<Option<GfElement>>)| match sources
            .iter()
            .position(|source| source == position)
        {
            Some(source) => Recipe::Copy(source),
            None => Recipe::Sum(
                factors
                    .into_iter()
                    .enumerate()
                    .filter_map(|(source, factor)| Some((source, factor?)))
                    .collect(),
            ),
        };
        Self {
            sources: sources.len(),
            recipes: wanted.iter().zip(coefficients.0).map(recipe).collect(),
        }
    }

    /// The bytes of one wanted block, by its place among the wanted, in the same
    /// range that `pieces` are of: one of each source, in their order. A range
    /// begins at a multiple of 64 bytes and has a multiple of 64 bytes, or goes
    /// to the end of the payload.
    pub fn block(&self, wanted: usize, pieces: &[Bytes]) -> Result<Bytes, CodecError> {
        let length = pieces.first().map_or(0, Bytes::len);
        let alike = pieces.iter().all(|piece| piece.len() == length);
        if pieces.len() != self.sources || !alike {
            return Err(CodecError::Pieces);
        }
        match self.recipes.get(wanted) {
            Some(Recipe::Copy(source)) => Ok(pieces[*source].clone()),
            Some(Recipe::Sum(factors)) if length.is_multiple_of(2) => {
                Ok(sum(factors, pieces, length))
            }
            Some(Recipe::Sum(_)) | None => Err(CodecError::Pieces),
        }
    }
}

fn sum(factors: &[(usize, GfElement)], pieces: &[Bytes], length: usize) -> Bytes {
    let engine = DefaultEngine::new();
    let units = SLICE_BYTES.min(length).div_ceil(UNIT_BYTES);
    let mut total = vec![[0; UNIT_BYTES]; units];
    let mut product = total.clone();
    let mut made = StripeBuffer::new(length);
    for (at, out) in made.chunks_mut(SLICE_BYTES).enumerate() {
        let begin = at * SLICE_BYTES;
        let units = out.len().div_ceil(UNIT_BYTES);
        let (total, product) = (&mut total[..units], &mut product[..units]);
        total.fill([0; UNIT_BYTES]);
        for (source, factor) in factors {
            load(product, &pieces[*source][begin..begin + out.len()]);
            engine.mul(product, *factor);
            utils::xor(total, product);
        }
        store(out, total);
    }
    made.freeze(length)
}

/// Lays bytes out as the crate does.
fn load(units: &mut [Unit], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<UNIT_BYTES>();
    units[..whole.len()].copy_from_slice(whole);
    if let (Some(unit), false) = (units.get_mut(whole.len()), rest.is_empty()) {
        let (low, high) = rest.split_at(rest.len() / 2);
        *unit = [0; UNIT_BYTES];
        unit[..low.len()].copy_from_slice(low);
        unit[UNIT_ELEMENTS..UNIT_ELEMENTS + high.len()].copy_from_slice(high);
    }
}

/// And back.
fn store(bytes: &mut [u8], units: &[Unit]) {
    let (whole, rest) = bytes.as_chunks_mut::<UNIT_BYTES>();
    whole.copy_from_slice(&units[..whole.len()]);
    if let (Some(unit), false) = (units.get(whole.len()), rest.is_empty()) {
        let (low, high) = rest.split_at_mut(rest.len() / 2);
        low.copy_from_slice(&unit[..low.len()]);
        high.copy_from_slice(&unit[UNIT_ELEMENTS..UNIT_ELEMENTS + high.len()]);
    }
}
