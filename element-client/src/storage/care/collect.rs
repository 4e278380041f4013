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
    metadata::{CLAIMABLE, Change, Garbage, Moment, query},
    service::Service,
};

/// How often deleted objects' blocks are looked for.
const PAUSE: Duration = Duration::from_secs(10);
/// Stripes that are collected with one change.
const PAGE: u32 = 256;

/// How long blocks stay that nothing names.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Collection {
    /// Those of deleted objects, for those who read them still.
    grace: Duration,
    /// Those that nobody has committed.
    unclaimed: Duration,
    /// How often all blocks of the Hosts are compared with the metadata.
    sweep_pause: Duration,
}

impl Collection {
    /// As it should be; or all of it after so long.
    pub(in super::super) fn after(period: Option<Duration>) -> Self {
        period.map_or(
            Self {
                grace: Duration::from_mins(1),
                unclaimed: CLAIMABLE,
                sweep_pause: Duration::from_hours(6),
            },
            |period| Self {
                grace: period,
                unclaimed: period,
                sweep_pause: period,
            },
        )
    }
}

/// Collects until the Element ends.
pub(super) async fn keep(service: &Arc<Service>, collection: Collection) {
    let mut swept = tokio::time::Instant::now();
    loop {
        match collect(service, collection.grace).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::warn!(%problem, "garbage stays for now"),
        }
        if swept.elapsed() >= collection.sweep_pause {
            swept = tokio::time::Instant::now();
            sweep(service, collection.unclaimed).await;
        }
        tokio::time::sleep(PAUSE.min(collection.grace)).await;
    }
}

fn before(age: Duration) -> Moment {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Moment::from_microseconds(Moment::now().microseconds().saturating_sub(age))
}

/// Has the blocks of some deleted objects removed; true if there may be more.
async fn collect(service: &Service, grace: Duration) -> Result<bool, Problem> {
    let hosts = &service.data().hosts;
    let read = service.read(move |connection| query::garbage_page(connection, before(grace), PAGE));
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
async fn sweep(service: &Service, unclaimed: Duration) {
    let rows = match service.read(query::hosts).await {
        Ok(rows) => rows,
        Err(problem) => return tracing::warn!(%problem, "blocks of nobody stay for now"),
    };
    for row in rows {
        if !service.data().hosts.is_readable(row.host) {
            continue;
        }
        match sweep_host(service, row.host, unclaimed).await {
            Ok(0) => {}
            Ok(blocks) => tracing::info!(host = %row.host, blocks, "blocks of nobody are removed"),
            Err(problem) => {
                tracing::warn!(host = %row.host, %problem, "blocks of nobody stay for now");
            }
        }
    }
}

async fn sweep_host(service: &Service, host: NodeId, unclaimed: Duration) -> Result<u64, Problem> {
    let hosts = &service.data().hosts;
    let (mut after, mut removed) = (None, 0);
    loop {
        let listed = hosts.list(host, after).await?;
        after = listed.blocks.last().map(|block| block.id);
        let ids = listed.blocks.iter().map(|block| block.id);
        let old: Vec<BlockId> = ids.filter(|id| is_old(id.stripe, unclaimed)).collect();
        // A block that is being moved is named once it is there.
        let _still = service.moving().write().await;
        let nobodys = nobodys(service, host, old).await?;
        removed += nobodys.len() as u64;
        hosts.delete([(host, nobodys)].into()).await;
        if listed.is_last || after.is_none() {
            return Ok(removed);
        }
    }
}

/// Of some old blocks on a Host, those that should not be there.
async fn nobodys(
    service: &Service,
    host: NodeId,
    old: Vec<BlockId>,
) -> Result<Vec<BlockId>, Problem> {
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

/// Whether nobody can commit it any more: the id of a stripe tells when it was
/// made.
fn is_old(stripe: StripeId, unclaimed: Duration) -> bool {
    let made = stripe
        .as_uuid()
        .get_timestamp()
        .map(|made| made.to_unix().0);
    let now = OffsetDateTime::now_utc().unix_timestamp().cast_unsigned();
    made.is_some_and(|made| made.saturating_add(unclaimed.as_secs()) < now)
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
        assert!(!is_old(StripeId::generate(), CLAIMABLE));
        assert!(!is_old(aged(25 * 3600), CLAIMABLE));
        assert!(is_old(aged(27 * 3600), CLAIMABLE));
        // What tells no time is left alone.
        assert!(!is_old(StripeId::from_uuid(Uuid::from_u128(1)), CLAIMABLE));
    }
}
