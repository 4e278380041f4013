//! Collecting garbage: blocks of stripes that nothing names any more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gridmart_schemas::{
    id::{BlockId, NodeId, StripeId},
    problem::Problem,
};

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
    /// Those of deleted objects and moved blocks, for those who read them still.
    pub(in super::super) grace: Duration,
    /// Those that nobody has committed.
    pub(super) unclaimed: Duration,
    /// How often the blocks of a Host are compared with the metadata, at least.
    pub(super) audit_pause: Duration,
}

impl Collection {
    /// As it should be; or all of it after so long.
    pub(in super::super) fn after(period: Option<Duration>) -> Self {
        period.map_or(
            Self {
                grace: Duration::from_mins(1),
                unclaimed: CLAIMABLE,
                audit_pause: Duration::from_hours(6),
            },
            |period| Self {
                grace: period,
                unclaimed: period,
                audit_pause: period,
            },
        )
    }
}

/// Collects until the Element ends.
pub(super) async fn keep(service: &Arc<Service>, collection: Collection) {
    loop {
        match collect(service, collection.grace).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::warn!(%problem, "garbage stays for now"),
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
    // What a Host that is away keeps is found by an audit when it is back.
    hosts.delete(blocks).await;
    let stripes: Vec<StripeId> = page.iter().map(|garbage| garbage.stripe).collect();
    let full = stripes.len() >= PAGE as usize;
    service.commit(Change::StripesCollected { stripes }).await?;
    Ok(full)
}
