//! Stripes to and from the Hosts that hold their blocks: what programs do with
//! tickets, and Elements for those who come to their doors.
//!
//! Invariants: blocks of a stripe never share a Host; a Host that fails costs a
//! transfer time, not data, while others can take its place; nothing is given
//! out that a root of the manifest does not confirm.

mod apart;
mod fetch;
mod manifest;
mod store;

use bytes::Bytes;
use gridmart_schemas::{id::NodeId, problem::Problem, wire::block::BlockRead};

pub use self::{
    apart::{PIECE_BYTES, encode_stripe, piece_end, read_stripe},
    fetch::fetch_stripe,
    manifest::{hosts_of, known_stripe, reader_around},
    store::store_stripe,
};
use super::EncodedBlock;

/// A way to the blocks on all Hosts.
pub trait BlockHosts: Send + Sync {
    /// Writes a block; returns when the Host has it durably.
    fn put(
        &self,
        host: NodeId,
        block: EncodedBlock,
    ) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Reads ranges of blocks; one answer for each, in their order, whatever
    /// happens: header, table and chunks, not verified.
    fn read(
        &self,
        host: NodeId,
        reads: Vec<BlockRead>,
    ) -> impl Future<Output = Vec<(BlockRead, Result<Bytes, Problem>)>> + Send;
}

#[cfg(test)]
mod tests;
