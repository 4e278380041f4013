//! Comparing what Hosts have with what the metadata say: blocks that a Host has
//! lost or found damaged are made anew before somebody needs them, and blocks
//! of nobody are removed.
//!
//! A Host is audited when it has come, or come again, when it tells of damaged
//! blocks, and now and then.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::{
    id::{BlockId, Incarnation, NodeId, StripeId},
    problem::Problem,
    wire::block::BlockListed,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{collect::Collection, damage};
use crate::storage::{data::Damage, metadata::query, service::Service};

/// How often it is looked whether a Host is to be audited.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// A Host that tells of damaged blocks is audited again after so many times the time
/// that its last audit took, within these bounds: of one block made good and another
/// one found, its count alone tells nothing.
const DAMAGED_SHARE: u32 = 20;
const DAMAGED_PAUSE: [Duration; 2] = [Duration::from_secs(5), Duration::from_mins(1)];
/// Blocks of the metadata that are compared at a time.
const PAGE: u32 = 1000;

/// How a Host was when it was audited last.
struct Audited {
    at: Instant,
    took: Duration,
    incarnation: Incarnation,
    damaged: u64,
}

impl Audited {
    fn is_due(&self, told: (Incarnation, u64), pause: Duration, now: Instant) -> bool {
        let (incarnation, damaged) = told;
        let since = now.saturating_duration_since(self.at);
        let [least, most] = DAMAGED_PAUSE;
        let soon = self.took.saturating_mul(DAMAGED_SHARE).clamp(least, most);
        self.incarnation != incarnation
            || damaged > self.damaged
            || (damaged > 0 && since >= soon)
            || since >= pause
    }
}

/// What an audit has found.
#[derive(Default)]
struct Found {
    /// Blocks of nobody, which are removed.
    nobodys: usize,
    /// Blocks that should be there and are not, or are damaged.
    suspect: usize,
}

/// Audits until the Element ends.
pub(super) async fn keep(service: &Arc<Service>, collection: Collection) {
    let hosts = &service.data().hosts;
    let mut audited: BTreeMap<NodeId, Audited> = BTreeMap::new();
    loop {
        for (host, incarnation, damaged) in hosts.told() {
            let (last, at) = (audited.get(&host), Instant::now());
            let pause = collection.audit_pause;
            if last.is_some_and(|last| !last.is_due((incarnation, damaged), pause, at)) {
                continue;
            }
            match audit(service, host, collection.unclaimed).await {
                Ok(found) => tell(host, &found),
                // Its stream is gone, or it is busy: its next look is the next.
                Err(problem) => {
                    tracing::info!(%host, %problem, "a Host is not audited yet");
                    continue;
                }
            }
            let now = Audited {
                at,
                took: at.elapsed(),
                incarnation,
                damaged,
            };
            audited.insert(host, now);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn tell(host: NodeId, found: &Found) {
    let Found { nobodys, suspect } = *found;
    if nobodys > 0 {
        tracing::info!(%host, blocks = nobodys, "blocks of nobody are removed");
    }
    if suspect > 0 {
        tracing::warn!(%host, blocks = suspect, "a Host lacks blocks, or has damaged ones");
    }
}

/// Goes through all blocks of a Host.
async fn audit(service: &Service, host: NodeId, unclaimed: Duration) -> Result<Found, Problem> {
    let hosts = &service.data().hosts;
    let (mut after, mut found) = (None, Found::default());
    loop {
        let listed = hosts.list(host, after).await?;
        let last = listed.blocks.last().map(|block| block.id);
        let until = last.filter(|_| !listed.is_last);
        found.suspect += missing(service, host, (after, until), &listed.blocks).await?;
        let damaged = listed.blocks.iter().filter(|block| block.damaged);
        for block in damaged {
            found.suspect += 1;
            suspect(service, host, block.id).await?;
        }
        let ids = listed.blocks.iter().map(|block| block.id);
        let old = ids.filter(|id| is_old(id.stripe, unclaimed)).collect();
        found.nobodys += nobodys_remove(service, host, old).await?;
        if until.is_none() {
            return Ok(found);
        }
        after = until;
    }
}

/// Looks at blocks that should be in a part of a Host's list and are not. Those
/// that were put meanwhile are there when they are looked at.
async fn missing(
    service: &Service,
    host: NodeId,
    (after, until): (Option<BlockId>, Option<BlockId>),
    listed: &[BlockListed],
) -> Result<usize, Problem> {
    let listed: HashSet<BlockId> = listed.iter().map(|block| block.id).collect();
    let (mut after, mut count) = (after, 0);
    loop {
        let page = service
            .read(move |connection| query::blocks_between(connection, host, after, until, PAGE))
            .await?;
        for block in page.iter().filter(|block| !listed.contains(block)) {
            count += 1;
            suspect(service, host, *block).await?;
        }
        match page.last() {
            Some(last) => after = Some(*last),
            None => return Ok(count),
        }
    }
}

async fn suspect(service: &Service, host: NodeId, block: BlockId) -> Result<(), Problem> {
    let BlockId { stripe, position } = block;
    let damage = Damage {
        stripe,
        position,
        host,
    };
    damage::note(service, damage).await
}

/// Removes those of some blocks on a Host that the metadata never heard of, or
/// know to be elsewhere; gives how many.
pub(super) async fn nobodys_remove(
    service: &Service,
    host: NodeId,
    blocks: Vec<BlockId>,
) -> Result<usize, Problem> {
    // A block that is being moved is named once it is there.
    let _still = service.moving().write().await;
    let nobodys = nobodys(service, host, blocks).await?;
    let count = nobodys.len();
    if count > 0 {
        let hosts = &service.data().hosts;
        hosts.delete([(host, nobodys)].into()).await;
    }
    Ok(count)
}

/// Of some blocks on a Host, those that should not be there.
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
    use crate::storage::metadata::CLAIMABLE;

    #[test]
    fn a_host_with_damage_is_audited_soon_again_and_one_whose_audit_is_long_later() {
        let (incarnation, at) = (Incarnation::generate(), Instant::now());
        let is_due = |took, (before, damaged), after| {
            let audited = Audited {
                at,
                took: Duration::from_secs(took),
                incarnation,
                damaged: before,
            };
            audited.is_due((incarnation, damaged), Duration::from_hours(6), at + after)
        };
        let [soon, late] = DAMAGED_PAUSE;
        assert!(is_due(0, (1, 2), Duration::ZERO));
        assert!(!is_due(0, (1, 1), Duration::ZERO));
        assert!(is_due(0, (1, 1), soon));
        assert!(!is_due(30, (1, 1), soon) && is_due(30, (1, 1), late));
        assert!(!is_due(0, (1, 0), late) && is_due(0, (1, 0), Duration::from_hours(6)));
    }

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
