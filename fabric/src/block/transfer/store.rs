//! One stripe onto its Hosts.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridmart_schemas::{id::NodeId, problem::Problem};

use super::{super::EncodedBlock, BlockHosts, StoredBlock};

/// Hosts that are tried for one block, at most.
const TRIES_MAX: usize = 4;

/// Writes the blocks of a stripe, each to the Host at its place in `chosen`.
/// Where one fails, `replace` names another: it is given the Hosts that have, or
/// had, to do with the stripe. Returns when all blocks are durable, or fails
/// with those that are (they are nobody's then) and what the last one said.
pub async fn store_stripe<H, R, F>(
    hosts: &H,
    blocks: Vec<EncodedBlock>,
    chosen: Vec<NodeId>,
    mut replace: R,
) -> Result<Vec<StoredBlock>, (Vec<StoredBlock>, Problem)>
where
    H: BlockHosts,
    R: FnMut(u8, Vec<NodeId>) -> F,
    F: Future<Output = Result<NodeId, Problem>>,
{
    let mut used = chosen.clone();
    let mut stored = Vec::with_capacity(blocks.len());
    let mut failure = None;
    let mut running = FuturesUnordered::new();
    for (block, host) in blocks.into_iter().zip(chosen) {
        running.push(put(hosts, host, block, 1));
    }
    while let Some(tried) = running.next().await {
        let position = tried.block.prefix().header().id().position;
        let problem = match tried.result {
            Ok(()) => {
                stored.push(StoredBlock {
                    position,
                    host: tried.host,
                    root: *tried.block.prefix().root(),
                });
                continue;
            }
            Err(problem) => problem,
        };
        tracing::info!(host = %tried.host, position, code = %problem.code, "a Host does not take a block");
        if failure.is_some() || tried.tries >= TRIES_MAX {
            failure.get_or_insert(problem);
            continue;
        }
        match replace(position, used.clone()).await {
            Ok(host) => {
                used.push(host);
                running.push(put(hosts, host, tried.block, tried.tries + 1));
            }
            Err(problem) => failure = Some(problem),
        }
    }
    match failure {
        None => {
            stored.sort_by_key(|block| block.position);
            Ok(stored)
        }
        Some(problem) => Err((stored, problem)),
    }
}

struct Tried {
    host: NodeId,
    block: EncodedBlock,
    tries: usize,
    result: Result<(), Problem>,
}

async fn put<H: BlockHosts>(hosts: &H, host: NodeId, block: EncodedBlock, tries: usize) -> Tried {
    let result = hosts.put(host, block.clone()).await;
    Tried {
        host,
        block,
        tries,
        result,
    }
}
