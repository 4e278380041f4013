//! What only the own Element may ask: to delete blocks, and which there are.

use std::sync::Arc;

use gridmart_fabric::door::{Request, Response, json_body, json_response};
use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
    wire::block::{
        BLOCKS_MAX, BlockListed, BlockRefused, BlocksDeleted, BlocksListed, JSON_BYTES_MAX,
        LIST_BLOCKS_MAX,
    },
};
use http::StatusCode;

use super::{goods::Storage, query::Query};
use crate::member::blocking;

/// Deletes blocks, durably.
pub(super) async fn delete(storage: &Storage, request: Request) -> Result<Response, Problem> {
    let ids: Vec<BlockId> = json_body(request, JSON_BYTES_MAX).await?;
    if ids.len() > BLOCKS_MAX {
        let detail = format!("The request has more than {BLOCKS_MAX} blocks.");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let volume = Arc::clone(&storage.volume);
    let (count, refused) = blocking(move || {
        let outcomes = ids.iter().zip(volume.delete(&ids));
        let refused = outcomes.filter_map(|(id, outcome)| {
            let error = outcome.err()?;
            tracing::warn!(block.id = %id, %error, "a block is not deleted");
            Some(BlockRefused {
                id: *id,
                problem: error.to_problem(),
            })
        });
        Ok((ids.len(), refused.collect::<Vec<_>>()))
    })
    .await?;
    let deleted = count - refused.len();
    storage.metrics.on_deleted(deleted, refused.len());
    Ok(json_response(StatusCode::OK, &BlocksDeleted { refused }))
}

/// Lists blocks in the order of their ids, `?after=` one of them, at most
/// `limit=`.
pub(super) fn list(storage: &Storage, request: &Request) -> Result<Response, Problem> {
    let query = Query::of(request);
    let after = query.read("after")?;
    let limit = query.read("limit")?.unwrap_or(LIST_BLOCKS_MAX);
    let limit = limit.clamp(1, LIST_BLOCKS_MAX);
    let found = storage.volume.list(after, limit);
    let is_last = found.len() < limit;
    let blocks = found.into_iter().map(|listed| BlockListed {
        id: listed.id,
        bytes: listed.bytes,
        damaged: listed.is_damaged,
    });
    let listed = BlocksListed {
        blocks: blocks.collect(),
        is_last,
    };
    Ok(json_response(StatusCode::OK, &listed))
}
