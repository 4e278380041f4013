//! Moving blocks: off a Host that is to go, and from full Hosts to empty ones.

use std::collections::BTreeMap;

use gridmart_schemas::id::{BlockId, NodeId};

use super::{
    candidate::{Candidate, TooFewHosts},
    choose::choose_for_repair,
};

/// By how much of its capacity a Host may be fuller or emptier than all Hosts
/// together before blocks are moved, in percent: moving costs more than that
/// much imbalance.
const BAND_PERCENT: u64 = 5;

/// A block that may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Which one.
    pub block: BlockId,
    /// Where it is.
    pub host: NodeId,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Who has the stripe's other blocks.
    pub others: Vec<NodeId>,
}

/// A block, and where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which one.
    pub block: BlockId,
    /// Where it is.
    pub from: NodeId,
    /// Where it should be.
    pub to: NodeId,
    /// Bytes that it takes.
    pub bytes: u64,
}

/// What is to be moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One after the other.
    pub moves: Vec<Move>,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Blocks that have nowhere to go, and why.
    pub stuck: Vec<(BlockId, TooFewHosts)>,
}

/// How much a plan moves at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Blocks.
    pub moves: usize,
    /// Bytes.
    pub bytes: u64,
}

impl Plan {
    fn has_room(&self, bytes: u64, limits: PlanLimits) -> bool {
        self.moves.len() < limits.moves && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    /// Adds a move, and counts it in the table.
    fn push(&mut self, stored: &StoredBlock, to: NodeId, hosts: &mut [Candidate]) {
        let step = Move {
            block: stored.block,
            from: stored.host,
            to,
            bytes: stored.bytes,
        };
        step.shift(hosts);
        self.moves.push(step);
        self.bytes += stored.bytes;
    }

    /// Counts all of it in a table.
    pub fn shift(&self, hosts: &mut [Candidate]) {
        for step in &self.moves {
            step.shift(hosts);
        }
    }
}

impl PlanLimits {
    /// What is left of them after a plan.
    #[must_use]
    pub fn less(self, plan: &Plan) -> Self {
        Self {
            moves: self.moves.saturating_sub(plan.moves.len()),
            bytes: self.bytes.saturating_sub(plan.bytes),
        }
    }
}

/// Plans to move blocks off Hosts that are to go: each of `blocks` to a Host as
/// for a repair. Those Hosts are `Closed` in the table.
pub fn drain(hosts: &[Candidate], blocks: &[StoredBlock], limits: PlanLimits, seed: u64) -> Plan {
    let mut hosts = hosts.to_vec();
    let mut plan = Plan::default();
    for (stored, seed) in blocks.iter().zip(seed..) {
        if !plan.has_room(stored.bytes, limits) {
            break;
        }
        match choose_for_repair(&hosts, &holders(stored), stored.bytes, seed) {
            Ok(to) => plan.push(stored, to, &mut hosts),
            Err(why) => plan.stuck.push((stored.block, why)),
        }
    }
    plan
}

/// All that hold a block of the stripe.
fn holders(stored: &StoredBlock) -> Vec<NodeId> {
    let mut holders = stored.others.clone();
    holders.push(stored.host);
    holders
}

impl Move {
    fn shift(self, hosts: &mut [Candidate]) {
        for host in hosts {
            if host.host == self.to {
                host.free = host.free.saturating_sub(self.bytes);
                host.used = host.used.saturating_add(self.bytes);
            } else if host.host == self.from {
                host.free = host.free.saturating_add(self.bytes);
                host.used = host.used.saturating_sub(self.bytes);
            }
        }
    }
}

/// Plans to move blocks from Hosts that are fuller than all together to those
/// that are emptier, where one of the two is so by more than the band; never so
/// that a stripe's blocks share more failure labels than before. `blocks` are
/// some of those on the fuller Hosts.
///
/// It comes to an end: each move brings its goal nearer to what is fair by all
/// of its bytes, and its source away from that by less.
pub fn rebalance(hosts: &[Candidate], blocks: &[StoredBlock], limits: PlanLimits) -> Plan {
    let mut hosts = hosts.to_vec();
    let mean = Fill::of_all(&hosts);
    let places: BTreeMap<NodeId, usize> = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| (host.host, at))
        .collect();
    let mut plan = Plan::default();
    for stored in blocks {
        if !plan.has_room(stored.bytes, limits) {
            break;
        }
        let Some(source) = places.get(&stored.host).map(|at| &hosts[*at]) else {
            continue;
        };
        if !Fill::of(source).is_fuller(mean) {
            continue;
        }
        let others: Vec<&Candidate> = stored
            .others
            .iter()
            .filter_map(|other| places.get(other).map(|at| &hosts[*at]))
            .collect();
        if let Some(to) = emptier(&hosts, stored, source, &others, mean) {
            plan.push(stored, to, &mut hosts);
        }
    }
    plan
}

/// Whether blocks of this Host are to be moved to others, as far as their
/// stripes let them.
pub fn is_to_give(hosts: &[Candidate], host: NodeId) -> bool {
    let mean = Fill::of_all(hosts);
    let is_short = hosts.iter().any(|host| is_short(host, mean));
    let fills = hosts.iter().filter(|one| one.host == host).map(Fill::of);
    let mut fills = fills.filter(|fill| fill.is_fuller(mean));
    fills.any(|fill| is_short || fill.is_above(mean))
}

/// Bytes that are to be moved until no Host is fuller or emptier than all
/// together by more than the band.
pub fn excess(hosts: &[Candidate]) -> u64 {
    let mean = Fill::of_all(hosts);
    let fair = |fill: &Fill| mean.used * fill.capacity / mean.capacity.max(1);
    let above = hosts.iter().map(Fill::of);
    let above = above.filter(|fill| fill.is_above(mean));
    let above: u128 = above
        .map(|fill| fill.used.saturating_sub(fair(&fill)))
        .sum();
    let below = hosts.iter().filter(|host| is_short(host, mean));
    let below: u128 = below
        .map(Fill::of)
        .map(|fill| fair(&fill).saturating_sub(fill.used))
        .sum();
    u64::try_from(above.max(below)).unwrap_or(u64::MAX)
}

/// Whether a Host that takes blocks has too few.
fn is_short(host: &Candidate, mean: Fill) -> bool {
    host.standing == super::Standing::Open && Fill::of(host).is_below(mean)
}

/// The emptiest Host that can take a block and is not fuller than the mean then.
fn emptier(
    hosts: &[Candidate],
    stored: &StoredBlock,
    source: &Candidate,
    others: &[&Candidate],
    mean: Fill,
) -> Option<NodeId> {
    let is_above = Fill::of(source).is_above(mean);
    let bearable = source.conflicts(others.iter().copied());
    let holders = holders(stored);
    hosts
        .iter()
        .filter(|host| is_above || is_short(host, mean))
        .filter(|host| host.unfit(stored.bytes, &holders).is_none())
        .filter(|host| host.conflicts(others.iter().copied()) <= bearable)
        .map(|host| (host, Fill::of(host).with(stored.bytes)))
        .filter(|(_, fill)| !fill.is_fuller(mean))
        .min_by_key(|(_, fill)| fill.parts_per_million())
        .map(|(host, _)| host.host)
}

/// How full a Host is.
#[derive(Clone, Copy)]
struct Fill {
    used: u128,
    capacity: u128,
}

impl Fill {
    fn of(host: &Candidate) -> Self {
        Self {
            used: host.used.into(),
            capacity: u128::from(host.used) + u128::from(host.free),
        }
    }

    /// Of all Hosts that could take blocks together.
    fn of_all(hosts: &[Candidate]) -> Self {
        let open = hosts
            .iter()
            .filter(|host| host.standing == super::Standing::Open);
        open.map(Self::of).fold(
            Self {
                used: 0,
                capacity: 0,
            },
            |all, one| Self {
                used: all.used + one.used,
                capacity: all.capacity + one.capacity,
            },
        )
    }

    fn with(self, bytes: u64) -> Self {
        Self {
            used: self.used + u128::from(bytes),
            ..self
        }
    }

    fn is_fuller(self, other: Self) -> bool {
        self.used * other.capacity > other.used * self.capacity
    }

    /// Whether it is fuller by more than the band.
    fn is_above(self, mean: Self) -> bool {
        let band = u128::from(BAND_PERCENT);
        // used / capacity > mean + band / 100, without division.
        self.used * mean.capacity * 100 > (mean.used * 100 + mean.capacity * band) * self.capacity
    }

    /// Whether it is emptier by more than the band.
    fn is_below(self, mean: Self) -> bool {
        let band = u128::from(BAND_PERCENT);
        // used / capacity + band / 100 < mean, without division.
        (self.used * 100 + self.capacity * band) * mean.capacity < mean.used * 100 * self.capacity
    }

    fn parts_per_million(self) -> u128 {
        self.used * 1_000_000 / self.capacity.max(1)
    }
}
