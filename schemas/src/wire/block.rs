//! Blocks between a storage Host and who writes and reads them: programs with a
//! block ticket, and the Host's own Element.
//!
//! `POST /v1/blocks` takes blocks one after the other and answers with
//! [`BlocksStored`]; `POST /v1/blocks/read` takes a list of [`BlockRead`] and
//! answers with a frame for each, in their order; `POST /v1/blocks/delete` takes
//! a list of ids and answers with [`BlocksDeleted`]; `GET /v1/blocks?after=ID&limit=N`
//! answers with [`BlocksListed`]. The last two are for the own Element only.

use serde::{Deserialize, Serialize};

use crate::{
    id::{BlockId, Incarnation, NodeId},
    problem::Problem,
    storage::BlockRoot,
};

/// The most blocks of one request.
pub const BLOCKS_MAX: usize = 1024;
/// The most bytes of blocks in the body of one request, or of its answer.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes of a request's or answer's JSON: as many blocks as there may
/// be, each with the room for a problem.
pub const JSON_BYTES_MAX: usize = BLOCKS_MAX * 1024;

/// The most blocks of one listing.
pub const LIST_BLOCKS_MAX: usize = 5000;

/// A range of chunks of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRead {
    /// The block.
    pub id: BlockId,
    /// The first chunk, from 0.
    pub first_chunk: u32,
    /// How many; with none, header and table are read alone.
    pub chunks: u32,
}

/// What became of the blocks of one request, once they are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlocksStored {
    /// The Host.
    pub host: NodeId,
    /// Its start: another one is another life of the Host.
    pub incarnation: Incarnation,
    /// Each block, in the order of the request.
    pub blocks: Vec<BlockStored>,
    /// The same of those that are stored, signed by the Host for its Element;
    /// what programs are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BlockStored {
    /// It is durable.
    Stored {
        /// The block.
        id: BlockId,
        /// Its root.
        root: BlockRoot,
    },
    /// It is not there.
    Refused {
        /// The block.
        id: BlockId,
        /// Why.
        problem: Problem,
    },
}

/// Which blocks of a request are gone for good; one that was not there is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlocksDeleted {
    /// Blocks that could not be deleted, and why.
    pub refused: Vec<BlockRefused>,
}

/// Blocks of a Host, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksListed {
    /// Those after the one that was named.
    pub blocks: Vec<BlockListed>,
    /// There are none after these.
    pub is_last: bool,
}

/// A block of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockListed {
    /// The block.
    pub id: BlockId,
    /// Bytes of header, table and payload.
    pub bytes: u32,
    /// It was found damaged, and is not served any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// A block for which something could not be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockRefused {
    /// The block.
    pub id: BlockId,
    /// Why.
    pub problem: Problem,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::StripeId, problem::Code};

    #[test]
    fn what_became_of_a_block_reads_back() {
        let id = BlockId {
            stripe: StripeId::generate(),
            position: 3,
        };
        let stored = BlocksStored {
            host: NodeId::generate(),
            incarnation: Incarnation::generate(),
            blocks: vec![
                BlockStored::Stored {
                    id,
                    root: BlockRoot::new([9; 32]),
                },
                BlockStored::Refused {
                    id,
                    problem: Problem::new(Code::StorageFailed, "The disk is full."),
                },
            ],
            receipt: None,
        };
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<BlocksStored>(&text).unwrap(), stored);
        // A thousand refusals stay within what is read of an answer.
        let one = serde_json::to_string(&stored.blocks[1]).unwrap();
        assert!(one.len() < JSON_BYTES_MAX / BLOCKS_MAX, "{}", one.len());
    }
}
