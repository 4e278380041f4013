//! What is lost now.

use std::{collections::BTreeMap, time::Duration};

use gridmart_schemas::{
    id::{NodeId, StripeId},
    problem::Problem,
};
use rusqlite::Connection;

use super::Lost;
use crate::storage::{
    metadata::{LayoutStripe, RepairMark, StoreError, query},
    service::Service,
};

/// Stripes that are looked up at a time.
const PAGE: u32 = 64;

/// What is lost, as far as it is looked up at a time.
pub(super) struct Work {
    pub(super) stripes: Vec<Lost>,
    /// The last place that was looked at of those that are noted one by one, if there
    /// may be more after it.
    pub(super) last: Option<RepairMark>,
    /// Hosts that are given up and have blocks still.
    pub(super) hosts: Vec<NodeId>,
    /// Blocks that are lost, all in all.
    pub(super) left: u64,
}

/// Finds what is lost, after a place of what is noted one by one; Hosts are given up
/// after so long a silence.
pub(super) async fn find(
    service: &Service,
    delay: Duration,
    after: RepairMark,
) -> Result<Work, Problem> {
    let hosts = &service.data().hosts;
    let mut given_up = hosts.given_up(delay);
    let rows = service.read(query::hosts).await?;
    // Those that the Host table does not have any more.
    given_up.extend(
        rows.iter()
            .map(|row| row.host)
            .filter(|host| !hosts.has(*host)),
    );
    service
        .read(move |connection| look_up(connection, &given_up, after))
        .await
}

fn look_up(
    connection: &Connection,
    given_up: &[NodeId],
    after: RepairMark,
) -> Result<Work, StoreError> {
    let mut found: BTreeMap<StripeId, Lost> = BTreeMap::new();
    let mut add = |stripe: LayoutStripe, position: u8| {
        let lost = found.entry(stripe.id).or_insert_with(|| Lost {
            stripe,
            positions: Vec::new(),
        });
        if !lost.positions.contains(&position) {
            lost.positions.push(position);
        }
    };
    let page = query::repair_page(connection, after, PAGE)?;
    let is_full = page.len() == PAGE as usize;
    let last = page.last().map(|wanted| wanted.mark).filter(|_| is_full);
    for wanted in page {
        add(wanted.stripe, wanted.position);
    }
    let mut left = query::repair_count(connection)?;
    let mut hosts = Vec::new();
    for host in given_up {
        let count = query::blocks_count(connection, *host)?;
        if count == 0 {
            continue;
        }
        left += count;
        hosts.push(*host);
        for block in query::blocks_on(connection, *host, 0, PAGE)? {
            if let Some(stripe) = query::stripe(connection, block.block.stripe)? {
                add(stripe, block.block.position);
            }
        }
    }
    // A stripe may lie on several of them.
    for lost in found.values_mut() {
        let more = lost.stripe.blocks.iter().filter(|block| {
            given_up.contains(&block.host) && !lost.positions.contains(&block.position)
        });
        let more: Vec<u8> = more.map(|block| block.position).collect();
        lost.positions.extend(more);
    }
    Ok(Work {
        stripes: found.into_values().collect(),
        last,
        hosts,
        left,
    })
}
