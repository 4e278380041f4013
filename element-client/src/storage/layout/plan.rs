//! What a layout would do, and whether it can be done.

use gridmart_fabric::block::PREFIX_BYTES_MAX;
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::layout::{Layout, LayoutPlan},
};
use rusqlite::Connection;

use super::Known;
use crate::storage::{
    metadata::{LayoutStripe, StoreError, query},
    placement::{Candidate, PlanLimits, Standing, StoredBlock, drain, excess},
    service::Service,
};

/// Blocks of each drained Host for which a place is looked for when a plan is
/// made: those that are left have the same Hosts to go to.
const TRIED: u32 = 256;

/// Whether Hosts may go: they keep blocks, and enough others stay.
pub(super) fn check(
    connection: &Connection,
    drain: &[NodeId],
) -> Result<Result<(), Problem>, StoreError> {
    let rows = query::hosts(connection)?;
    let present: Vec<NodeId> = rows
        .iter()
        .filter(|row| row.removed.is_none())
        .map(|row| row.host)
        .collect();
    if let Some(unknown) = drain.iter().find(|host| !present.contains(host)) {
        let detail = format!("The Host {unknown} keeps no blocks of this Element.");
        return Ok(Err(Problem::new(Code::NotFound, detail)));
    }
    let left = present.len() - drain.len();
    let buckets = query::buckets(connection)?;
    let wide = buckets
        .iter()
        .find(|bucket| usize::from(bucket.redundancy.blocks()) > left);
    Ok(match wide {
        Some(bucket) if !drain.is_empty() => Err(Problem::new(
            Code::StorageDegraded,
            format!(
                "{left} Hosts would be left, and the bucket {} is kept as {}, on {}: add Hosts \
                 first, or change the bucket and what is in it.",
                bucket.name,
                bucket.redundancy,
                bucket.redundancy.blocks()
            ),
        )),
        _ => Ok(()),
    })
}

/// Bytes by which Hosts are too full.
pub(super) fn imbalance(layout: &Layout, candidates: &[Candidate]) -> u64 {
    if layout.rebalance {
        excess(candidates)
    } else {
        0
    }
}

/// What the staged layout would do as things are now.
pub(super) async fn plan(
    service: &Service,
    known: &Known,
    mut candidates: Vec<Candidate>,
    rate: u64,
) -> Result<LayoutPlan, Problem> {
    let layout = known.staged.clone();
    let (blocks, bytes) = known.load(&layout.drain);
    let bytes = bytes + imbalance(&layout, &candidates);
    for candidate in &mut candidates {
        if layout.drain.contains(&candidate.host) {
            candidate.standing = Standing::Closed;
        }
    }
    let mut stuck = None;
    for host in &layout.drain {
        let (stored, _) = stored_on(service, *host, 0, TRIED).await?;
        let stored: Vec<StoredBlock> = stored.into_iter().map(|(stored, _)| stored).collect();
        let all = PlanLimits {
            moves: usize::MAX,
            bytes: u64::MAX,
        };
        let plan = drain(&candidates, &stored, all, 0);
        if let Some((block, why)) = plan.stuck.first() {
            stuck = Some(format!("{block} has nowhere to go: {why}"));
        }
    }
    Ok(LayoutPlan {
        layout,
        blocks,
        bytes,
        seconds: bytes.checked_div(rate).unwrap_or(0),
        redundancy: "Each block is copied and read back before its old place is given up: every \
                     object bears as many losses as ever, all the way."
            .to_owned(),
        stuck,
    })
}

/// Blocks on a Host as plans want them, with their stripes, and where the next
/// page begins (`None`: there is none).
pub(in super::super) async fn stored_on(
    service: &Service,
    host: NodeId,
    after: u64,
    limit: u32,
) -> Result<(Vec<(StoredBlock, LayoutStripe)>, Option<u64>), Problem> {
    service
        .read(move |connection| {
            let page = query::blocks_on(connection, host, after, limit)?;
            let next = page.last().map(|block| block.cursor);
            let mut stored = Vec::with_capacity(page.len());
            for on in page {
                let Some(stripe) = query::stripe(connection, on.block.stripe)? else {
                    continue;
                };
                let others = stripe.blocks.iter().map(|block| block.host);
                let block = StoredBlock {
                    block: on.block,
                    host,
                    bytes: on.payload_length + PREFIX_BYTES_MAX as u64,
                    others: others.filter(|other| *other != host).collect(),
                };
                stored.push((block, stripe));
            }
            Ok((stored, next))
        })
        .await
}
