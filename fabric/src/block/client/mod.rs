//! Writing, reading and deleting blocks on one Host.
//!
//! How its connections are used, and when a request is sent again, is told in
//! `kept`.

mod answers;

use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
    wire::block::{
        BLOCKS_MAX, BODY_BYTES_MAX, BlockRead, BlockStored, BlocksDeleted, BlocksListed,
        BlocksStored,
    },
};
use http::Method;

pub use self::answers::BlockAnswers;
use super::{CHUNK_BYTES, EncodedBlock};
pub use crate::kept::ClientLimits;
use crate::{
    kept::{BYTES, JSON, Kept, Request, formless, json},
    tls::{ClientTls, Expected},
};

/// A way to the blocks of one Host. Clones share its connections.
#[derive(Clone, Debug)]
pub struct BlockClient {
    kept: Kept,
}

impl BlockClient {
    /// Of the expected Host, whose door is at one of the endpoints. Nothing is
    /// dialled yet.
    pub fn new(
        endpoints: Vec<String>,
        expected: Expected,
        tls: ClientTls,
        limits: ClientLimits,
    ) -> Self {
        Self {
            kept: Kept::new(endpoints, expected, tls, limits),
        }
    }

    /// Writes blocks; the answer comes when they are durable, and tells of each
    /// block in order. Programs show a ticket; the Host's own Element does not.
    pub async fn put(
        &self,
        ticket: Option<&str>,
        blocks: &[EncodedBlock],
    ) -> Result<BlocksStored, Problem> {
        let bytes: usize = blocks
            .iter()
            .map(|block| block.prefix().header().encoded_bytes())
            .sum();
        within(blocks.len(), bytes)?;
        let pieces = blocks
            .iter()
            .flat_map(|block| [block.prefix().bytes().clone(), block.payload().clone()])
            .collect();
        let request = Request {
            method: Method::POST,
            path: "/v1/blocks",
            ticket,
            kind: BYTES,
            pieces,
        };
        let stored: BlocksStored = self.kept.json(&request).await?;
        check_stored(&stored, blocks)?;
        Ok(stored)
    }

    /// Reads ranges of blocks; the answers come in the order of the reads.
    pub async fn read(
        &self,
        ticket: Option<&str>,
        reads: Vec<BlockRead>,
    ) -> Result<BlockAnswers, Problem> {
        let chunks: usize = reads.iter().map(|read| read.chunks as usize).sum();
        within(reads.len(), chunks.saturating_mul(CHUNK_BYTES))?;
        let request = Request {
            method: Method::POST,
            path: "/v1/blocks/read",
            ticket,
            kind: JSON,
            pieces: vec![json(&reads)?],
        };
        let (_, body) = self.kept.pieces(&request).await?;
        Ok(BlockAnswers::new(reads, body))
    }

    /// Deletes blocks; for the Host's own Element.
    pub async fn delete(&self, blocks: &[BlockId]) -> Result<BlocksDeleted, Problem> {
        within(blocks.len(), 0)?;
        let request = Request {
            method: Method::POST,
            path: "/v1/blocks/delete",
            ticket: None,
            kind: JSON,
            pieces: vec![json(&blocks)?],
        };
        self.kept.json(&request).await
    }

    /// Lists the Host's blocks in the order of their ids, those after one of
    /// them; for the Host's own Element.
    pub async fn list(&self, after: Option<BlockId>) -> Result<BlocksListed, Problem> {
        let after = after.map_or_else(String::new, |after| format!("?after={after}"));
        let path = format!("/v1/blocks{after}");
        self.kept.json(&Request::get(&path)).await
    }
}

/// Refuses what the Host would refuse.
fn within(blocks: usize, bytes: usize) -> Result<(), Problem> {
    if blocks <= BLOCKS_MAX && bytes <= BODY_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLarge,
        format!(
            "{blocks} blocks of {bytes} bytes are more than one request may have: {BLOCKS_MAX} \
             blocks and {BODY_BYTES_MAX} bytes."
        ),
    ))
}

/// Whether the answer tells of just these blocks, with the roots that they have.
fn check_stored(stored: &BlocksStored, blocks: &[EncodedBlock]) -> Result<(), Problem> {
    let told = |(stored, block): (&BlockStored, &EncodedBlock)| {
        let prefix = block.prefix();
        match stored {
            BlockStored::Stored { id, root } => {
                *id == prefix.header().id() && root == prefix.root()
            }
            BlockStored::Refused { id, .. } => *id == prefix.header().id(),
        }
    };
    if stored.blocks.len() == blocks.len() && stored.blocks.iter().zip(blocks).all(told) {
        return Ok(());
    }
    Err(formless("it tells of other blocks than were sent"))
}
