//! Collecting garbage: blocks of stripes that nothing names any more, and blocks
//! on Hosts that the metadata never heard of, or know to be elsewhere.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::{
    id::{BlockId, NodeId, StripeId},
    problem::Problem,
};
use time::OffsetDateTime;

use crate::storage::{
    metadata::{Change, Garbage, Moment, query},
    service::Service,
};

/// How long the blocks of deleted objects stay, for those who read them still.
const GRACE: Duration = Duration::from_mins(1);
/// How long blocks that nobody has committed stay: longer than receipts are
/// good, and clocks differ.
const UNCLAIMED: Duration = Duration::from_hours(26);
/// How often deleted objects' blocks are looked for.
const PAUSE: Duration = Duration::from_secs(10);
/// How often all blocks of the Hosts are compared with the metadata.
const SWEEP_PAUSE: Duration = Duration::from_hours(6);
/// Stripes that are collected with one change.
const PAGE: u32 = 256;

/// Collects until the Element ends.
pub(super) async fn keep(service: &Arc<Service>) {
    let mut swept = tokio::time::Instant::now();
    loop {
        match collect(service).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::warn!(%problem, "garbage stays for now"),
        }
        if swept.elapsed() >= SWEEP_PAUSE {
            swept = tokio::time::Instant::now();
            sweep(service).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn before(age: Duration) -> Moment {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Moment::from_microseconds(Moment::now().microseconds().saturating_sub(age))
}

/// Has the blocks of some deleted objects removed; true if there may be more.
async fn collect(service: &Service) -> Result<bool, Problem> {
    let hosts = &service.data().hosts;
    let read = service.read(|connection| query::garbage_page(connection, before(GRACE), PAGE));
    let page: Vec<Garbage> = read.await?;
    if page.is_empty() {
        return Ok(false);
    }
    let mut blocks: BTreeMap<NodeId, Vec<BlockId>> = BTreeMap::new();
    for garbage in &page {
        for block in &garbage.blocks {
            let id = BlockId {
                stripe: garbage.stripe,
                position: block.position,
            };
            blocks.entry(block.host).or_default().push(id);
        }
    }
    // What a Host that is away keeps is found by a sweep when it is back.
    hosts.delete(blocks).await;
    let stripes: Vec<StripeId> = page.iter().map(|garbage| garbage.stripe).collect();
    let full = stripes.len() >= PAGE as usize;
    service.commit(Change::StripesCollected { stripes }).await?;
    Ok(full)
}

/// Compares what Hosts have with what they should have.
async fn sweep(service: &Service) {
    let rows = match service.read(query::hosts).await {
        Ok(rows) => rows,
        Err(problem) => return tracing::warn!(%problem, "blocks of nobody stay for now"),
    };
    for row in rows {
        if !service.data().hosts.is_readable(row.host) {
            continue;
        }
        match sweep_host(service, row.host).await {
            Ok(0) => {}
            Ok(blocks) => tracing::info!(host = %row.host, blocks, "blocks of nobody are removed"),
            Err(problem) => {
                tracing::warn!(host = %row.host, %problem, "blocks of nobody stay for now");
            }
        }
    }
}

async fn sweep_host(service: &Service, host: NodeId) -> Result<u64, Problem> {
    let hosts = &service.data().hosts;
    let (mut after, mut removed) = (None, 0);
    loop {
        let listed = hosts.list(host, after).await?;
        after = listed.blocks.last().map(|block| block.id);
        let ids: Vec<BlockId> = listed.blocks.iter().map(|block| block.id).collect();
        let nobodys = nobodys(service, host, ids).await?;
        removed += nobodys.len() as u64;
        hosts.delete([(host, nobodys)].into()).await;
        if listed.is_last || after.is_none() {
            return Ok(removed);
        }
    }
}

/// Of some blocks on a Host, those that should not be there. The id of a stripe
/// tells when it was made: young ones may be committed yet.
async fn nobodys(
    service: &Service,
    host: NodeId,
    ids: Vec<BlockId>,
) -> Result<Vec<BlockId>, Problem> {
    let old: Vec<BlockId> = ids.into_iter().filter(|id| is_old(id.stripe)).collect();
    service
        .read(move |connection| {
            let mut nobodys = Vec::new();
            let mut placed: (Option<StripeId>, HashSet<u8>) = (None, HashSet::new());
            for id in old {
                if placed.0 != Some(id.stripe) {
                    let known = query::stripe(connection, id.stripe)?;
                    let here = known.into_iter().flat_map(|stripe| stripe.blocks);
                    let here = here.filter(|block| block.host == host);
                    placed = (Some(id.stripe), here.map(|block| block.position).collect());
                }
                if !placed.1.contains(&id.position) {
                    nobodys.push(id);
                }
            }
            Ok(nobodys)
        })
        .await
}

fn is_old(stripe: StripeId) -> bool {
    let made = stripe
        .as_uuid()
        .get_timestamp()
        .map(|made| made.to_unix().0);
    let now = OffsetDateTime::now_utc().unix_timestamp().cast_unsigned();
    made.is_some_and(|made| made.saturating_add(UNCLAIMED.as_secs()) < now)
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp, Uuid};

    use super::*;

    #[test]
    fn only_blocks_that_no_receipt_can_claim_any_more_are_old() {
        let now = OffsetDateTime::now_utc().unix_timestamp().cast_unsigned();
        let aged = |seconds: u64| {
            let made = Timestamp::from_unix(NoContext, now - seconds, 0);
            StripeId::from_uuid(Uuid::new_v7(made))
        };
        assert!(!is_old(StripeId::generate()));
        assert!(!is_old(aged(25 * 3600)));
        assert!(is_old(aged(27 * 3600)));
        // What tells no time is left alone.
        assert!(!is_old(StripeId::from_uuid(Uuid::from_u128(1))));
    }
}
