//! One stripe onto its Hosts.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::storage::BlockPlace,
};

use super::{super::EncodedBlock, BlockHosts};

/// Hosts that are tried for one block, at most.
const TRIES_MAX: usize = 4;

/// Writes the blocks of a stripe, each to the Host at its place in `chosen`.
/// Where one fails, `replace` names another: it is given the Hosts that have, or
/// had, to do with the stripe, and is asked for one block after the other while
/// the others are being written. Returns when all blocks are durable; where there
/// are no Hosts for the others (fewer than blocks are chosen, or `replace` says so
/// by `storage-degraded`), when `least` of them are. Or fails with those that are
/// (they are nobody's then) and what the first one said.
pub async fn store_stripe<H, R, F>(
    hosts: &H,
    blocks: Vec<EncodedBlock>,
    (chosen, least): (Vec<NodeId>, usize),
    mut replace: R,
) -> Result<Vec<BlockPlace>, (Vec<BlockPlace>, Problem)>
where
    H: BlockHosts,
    R: FnMut(u8, Vec<NodeId>) -> F,
    F: Future<Output = Result<NodeId, Problem>>,
{
    let mut used = chosen.clone();
    let mut stored = Vec::with_capacity(blocks.len());
    let mut failure = None;
    // Those that no Host has taken yet; the first one's other Host is asked for.
    let mut homeless: VecDeque<Tried> = VecDeque::new();
    let mut naming = FuturesUnordered::new();
    let mut running = FuturesUnordered::new();
    for (block, host) in blocks.into_iter().zip(chosen) {
        running.push(put(hosts, host, block, 1));
    }
    loop {
        if let Some(first) = homeless.front()
            && naming.is_empty()
        {
            naming.push(replace(first.position(), used.clone()));
        }
        tokio::select! {
            Some(tried) = running.next() => match &tried.result {
                Ok(()) => stored.push(tried.stored()),
                Err(problem) => {
                    tracing::info!(host = %tried.host, position = tried.position(), code = %problem.code, "a Host does not take a block");
                    if failure.is_some() || tried.tries >= TRIES_MAX {
                        failure.get_or_insert(problem.clone());
                    } else {
                        homeless.push_back(tried);
                    }
                }
            },
            Some(named) = naming.next() => match (named, homeless.pop_front()) {
                (Ok(host), Some(tried)) => {
                    used.push(host);
                    running.push(put(hosts, host, tried.block, tried.tries + 1));
                }
                (Ok(_), None) => {}
                (Err(problem), _) => {
                    failure.get_or_insert(problem);
                    homeless.clear();
                }
            },
            else => break,
        }
    }
    stored.sort_by_key(|block| block.position);
    match failure {
        None => Ok(stored),
        Some(problem) if problem.code == Code::StorageDegraded && stored.len() >= least => {
            tracing::info!(
                blocks = stored.len(),
                "a stripe is written with fewer blocks"
            );
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

impl Tried {
    fn position(&self) -> u8 {
        self.block.prefix().header().position()
    }

    fn stored(&self) -> BlockPlace {
        BlockPlace {
            position: self.position(),
            host: self.host,
            root: *self.block.prefix().root(),
        }
    }
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
