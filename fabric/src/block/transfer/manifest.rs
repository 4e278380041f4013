//! What a manifest says of a stripe, for whoever reads it.

use std::{collections::BTreeMap, ops::Range};

use gridmart_schemas::{
    id::NodeId,
    problem::Code,
    wire::storage::{BlockPlace, StripeManifest},
};

use super::super::{Fault, KnownStripe, StripeError, StripeReader};

/// The stripe; of positions that are nowhere no root is known.
pub fn known_stripe(manifest: &StripeManifest) -> Result<KnownStripe, StripeError> {
    let mut roots = vec![None; manifest.redundancy.blocks().into()];
    for block in &manifest.blocks {
        if let Some(root) = roots.get_mut(usize::from(block.position)) {
            *root = Some(block.root);
        }
    }
    KnownStripe::new(
        manifest.stripe,
        manifest.redundancy,
        manifest.data_length,
        roots,
    )
}

/// Where its blocks are, by position.
pub fn hosts_of(manifest: &StripeManifest) -> BTreeMap<u8, NodeId> {
    let blocks = manifest.blocks.iter();
    blocks.map(|block| (block.position, block.host)).collect()
}

/// A reader that asks first those that can answer; those that are away not at
/// all, if it can do without them.
pub fn reader_around(
    manifest: &StripeManifest,
    range: Range<u64>,
    is_away: impl Fn(NodeId) -> bool,
) -> Result<StripeReader, StripeError> {
    let blocks = &manifest.blocks;
    let (away, there): (Vec<&BlockPlace>, Vec<&BlockPlace>) =
        blocks.iter().partition(|block| is_away(block.host));
    // Readers of the same copy spread over its Hosts.
    let turn = rand::random_range(0..there.len().max(1));
    let mut preferred: Vec<u8> = there.iter().map(|block| block.position).collect();
    preferred.rotate_left(turn);
    let mut reader = StripeReader::new(known_stripe(manifest)?, range, &preferred);
    for position in 0..manifest.redundancy.blocks() {
        if !blocks.iter().any(|block| block.position == position) {
            reader.on_fault(position, Fault::Missing);
        }
    }
    let mut without = reader.clone();
    for block in away {
        without.on_fault(block.position, Fault::Away(Code::HostDown));
    }
    Ok(if without.can_go_on() { without } else { reader })
}
