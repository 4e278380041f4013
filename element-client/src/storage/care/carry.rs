//! Doing what an applied layout says: blocks are copied off Hosts that are to
//! go, and from fuller Hosts to emptier ones, at the repair rate and after all
//! that is lost. A block's old copy stays a while, for those who read it still.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gridmart_fabric::block::BlockHosts as _;
use gridmart_schemas::{
    id::{BlockId, NodeId},
    problem::{Code, Problem},
};
use tokio::time::Instant;

use super::{
    audit::nobodys_remove,
    repair::{Pace, read_block},
    roster::known_take_over,
};
use crate::storage::{
    Se,
    data::Damage,
    layout::{applied, set_applied, settled, stored_on},
    metadata::{Change, LayoutStripe, query},
    placement::{Move, PlanLimits, StoredBlock, drain, is_to_give, rebalance},
    service::Service,
};

/// How often it is looked whether a layout is applied.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is tried after nothing could be moved.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long the next round of rebalancing waits: what found no room beside old
/// copies, or a Host that was away, may find it then.
const ROUND_PAUSE: Duration = Duration::from_secs(12);
/// Blocks that are looked up at a time.
const PAGE: u32 = 64;
/// Blocks that are moved at a time: their reads and writes overlap.
const AT_A_TIME: usize = 4;
/// What one round of rebalancing moves.
const ROUND: PlanLimits = PlanLimits {
    moves: 256,
    bytes: 1024 * 1024 * 1024,
};
/// Old copies of blocks that have moved. What is forgotten with the Element is
/// found by an audit.
type Left = VecDeque<(Instant, NodeId, BlockId)>;

/// Carries until the Element ends.
pub(super) async fn keep(se: &Arc<Se>, service: &Arc<Service>) {
    let mut left = Left::new();
    loop {
        let (pause, word) = match step(se, service, &mut left).await {
            Ok(Step::Idle) => (LOOK_PAUSE, None),
            Ok(Step::Moved) => (Duration::ZERO, None),
            Ok(Step::Round) => (ROUND_PAUSE, None),
            Ok(Step::Waits(why)) => (RETRY_PAUSE, Some(why)),
            Err(problem) => (RETRY_PAUSE, Some(problem.detail)),
        };
        *se.goods.carrying.lock() = word;
        clear(service, &mut left, se.goods.collection.grace).await;
        tokio::time::sleep(pause).await;
    }
}

enum Step {
    Idle,
    Moved,
    Round,
    Waits(String),
}

async fn step(se: &Arc<Se>, service: &Arc<Service>, left: &mut Left) -> Result<Step, Problem> {
    let (mut layout, lost, strays) = service
        .read(|connection| {
            let mut strays = Vec::new();
            for row in query::hosts(connection)? {
                if row.removed.is_some() && query::blocks_count(connection, row.host)? > 0 {
                    strays.push(row.host);
                }
            }
            let lost = query::repair_count(connection)?;
            Ok((applied(connection)?, lost, strays))
        })
        .await?;
    service.data().hosts.set_leaving(&layout.drain);
    if layout.is_empty() && strays.is_empty() {
        return Ok(Step::Idle);
    }
    if lost > 0 {
        let why = format!("{lost} lost blocks are made anew first");
        return Ok(Step::Waits(why));
    }
    let mut pace = Pace::new(se.base.read().configuration.repair_rate);
    // What was put there while they went: on its way when they were drained.
    if let Some(host) = strays.first() {
        return drain_some(service, *host, &mut pace, left).await;
    }
    if let Some(host) = layout.drain.first().copied() {
        let count = service
            .read(move |connection| query::blocks_count(connection, host))
            .await?;
        if count > 0 {
            return drain_some(service, host, &mut pace, left).await;
        }
        service.commit(Change::HostRemoved { host }).await?;
        // Before it ceases to be one that leaves.
        known_take_over(service).await?;
        tracing::info!(%host, "a Host is drained, and gets no blocks any more");
        layout.drain.retain(|other| *other != host);
        set_applied(service, &layout).await?;
        return Ok(Step::Moved);
    }
    let planned = rebalance_some(service, &mut pace, left).await?;
    if planned == 0 {
        layout.rebalance = false;
        set_applied(service, &layout).await?;
        tracing::info!("the Hosts are balanced");
        return Ok(Step::Idle);
    }
    Ok(Step::Round)
}

/// Moves some blocks off a Host.
async fn drain_some(
    service: &Arc<Service>,
    host: NodeId,
    pace: &mut Pace,
    left: &mut Left,
) -> Result<Step, Problem> {
    let hosts = &service.data().hosts;
    if !hosts.is_readable(host) {
        let why = format!(
            "the Host {host} cannot be read; after the repair delay its blocks are made anew"
        );
        return Ok(Step::Waits(why));
    }
    let (stored_here, _) = stored_on(service, host, 0, PAGE).await?;
    let blocks: Vec<StoredBlock> = stored_here
        .iter()
        .map(|(stored, _)| stored.clone())
        .collect();
    let plan = drain(&hosts.candidates(), &blocks, ROUND, rand::random());
    let stuck = plan.stuck.first();
    let stuck = stuck.map(|(block, why)| format!("{block} has nowhere to go: {why}"));
    let moved = carry_all(service, &stored_here, &plan.moves, pace, left).await;
    Ok(match (moved, stuck) {
        (0, Some(why)) => Step::Waits(why),
        (0, None) => Step::Waits("no block could be moved now".to_owned()),
        _ => Step::Moved,
    })
}

/// One round; gives how many blocks were to be moved.
async fn rebalance_some(
    service: &Arc<Service>,
    pace: &mut Pace,
    left: &mut Left,
) -> Result<usize, Problem> {
    let told = service.data().hosts.candidates();
    let mut candidates = service
        .read(move |connection| settled(connection, told))
        .await?;
    let hosts: Vec<NodeId> = candidates.iter().map(|candidate| candidate.host).collect();
    let (mut planned, mut limits) = (0, ROUND);
    for host in hosts {
        let mut after = Some(0);
        while let Some(from) = after
            && is_to_give(&candidates, host)
            && limits.moves > 0
        {
            let (stored_here, next) = stored_on(service, host, from, PAGE).await?;
            after = next;
            let blocks: Vec<StoredBlock> = stored_here
                .iter()
                .map(|(stored, _)| stored.clone())
                .collect();
            let plan = rebalance(&candidates, &blocks, limits);
            carry_all(service, &stored_here, &plan.moves, pace, left).await;
            plan.shift(&mut candidates);
            limits = limits.less(&plan);
            planned += plan.moves.len();
        }
    }
    Ok(planned)
}

async fn carry_all(
    service: &Arc<Service>,
    stored_here: &[(StoredBlock, LayoutStripe)],
    moves: &[Move],
    pace: &mut Pace,
    left: &mut Left,
) -> usize {
    let mut done = 0;
    for some in moves.chunks(AT_A_TIME) {
        let carried = some.iter().map(async |step| {
            let stripe = stored_here
                .iter()
                .find(|(stored, _)| stored.block == step.block);
            match stripe {
                Some((_, stripe)) => carry(service, stripe, step).await,
                None => Ok(()),
            }
        });
        let carried = futures_util::future::join_all(carried).await;
        for (step, carried) in some.iter().zip(carried) {
            match carried {
                Ok(()) => {
                    done += 1;
                    pace.on_bytes(step.bytes);
                    left.push_back((Instant::now(), step.from, step.block));
                }
                // It was deleted meanwhile, or made anew.
                Err(problem) if problem.code == Code::GenerationConflict => {}
                Err(problem) => {
                    tracing::warn!(block = %step.block, %problem, "a block is not moved yet");
                }
            }
        }
        pace.wait().await;
    }
    done
}

/// Copies a block, reads it back, and has the metadata say where it is.
async fn carry(service: &Service, stripe: &LayoutStripe, step: &Move) -> Result<(), Problem> {
    let Move {
        block, from, to, ..
    } = *step;
    let hosts = &service.data().hosts;
    let placed = stripe
        .blocks
        .iter()
        .find(|placed| placed.position == block.position);
    let Some(root) = placed.map(|placed| placed.root) else {
        return Ok(());
    };
    let read = read_block(service, stripe, from, block, root).await;
    let bytes = read.inspect_err(|problem| {
        if matches!(problem.code, Code::BlockDamaged | Code::NotFound) {
            service.data().suspect(Damage {
                stripe: block.stripe,
                position: block.position,
                host: from,
            });
        }
    })?;
    let _moving = service.moving().read().await;
    hosts.put(to, bytes).await?;
    read_block(service, stripe, to, block, root).await?;
    let moved = Change::BlockMoved {
        block,
        from: Some(from),
        to,
        root,
    };
    service.commit(moved).await?;
    Ok(())
}

/// Deletes old copies that nobody reads any more.
async fn clear(service: &Service, left: &mut Left, grace: Duration) {
    while let Some((since, host, block)) = left.front().copied() {
        if since.elapsed() < grace {
            return;
        }
        left.pop_front();
        // One that has come back meanwhile stays.
        if let Err(problem) = nobodys_remove(service, host, vec![block]).await {
            tracing::info!(%host, %block, %problem, "an old copy of a block stays for now");
        }
    }
}
