//! Choosing Hosts for new blocks.
//!
//! Hosts are drawn one after the other, each as likely as it has free space,
//! among those that share the fewest failure labels with the ones drawn before.
//! So blocks are on distinct racks where there are enough racks, and spread as
//! evenly as they can be where there are not.

use gridmart_schemas::id::NodeId;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::candidate::{Candidate, TooFewHosts};

/// Chooses distinct Hosts for the blocks of a new stripe, of so many bytes each;
/// by position, in no order that says anything.
pub(super) fn choose(
    hosts: &[Candidate],
    blocks: usize,
    bytes: u64,
    seed: u64,
) -> Result<Vec<NodeId>, TooFewHosts> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut chosen = draw(hosts, &[], blocks, bytes, &mut random)?;
    // What is drawn first is larger: positions shall not tell.
    chosen.shuffle(&mut random);
    Ok(chosen)
}

/// The same; on as many as can take one, where those are at least so many.
pub fn choose_least(
    hosts: &[Candidate],
    (blocks, least): (usize, usize),
    bytes: u64,
    seed: u64,
) -> Result<Vec<NodeId>, TooFewHosts> {
    let fit = hosts.iter().filter(|host| host.unfit(bytes, &[]).is_none());
    let there = fit.count().clamp(least.min(blocks), blocks);
    choose(hosts, there, bytes, seed)
}

/// Chooses a Host on which a block is made anew; `holders` have the stripe's
/// other blocks.
pub fn choose_for_repair(
    hosts: &[Candidate],
    holders: &[NodeId],
    bytes: u64,
    seed: u64,
) -> Result<NodeId, TooFewHosts> {
    let mut random = StdRng::seed_from_u64(seed);
    let drawn = draw(hosts, holders, 1, bytes, &mut random)?;
    let first = drawn.first().copied();
    first.ok_or_else(|| too_few(hosts, holders, 1, bytes))
}

fn too_few(hosts: &[Candidate], holders: &[NodeId], wanted: usize, bytes: u64) -> TooFewHosts {
    let unfit = |host: &Candidate| host.unfit(bytes, holders).map(|why| (host.host, why));
    let refused: Vec<_> = hosts.iter().filter_map(unfit).collect();
    TooFewHosts {
        wanted,
        fit: hosts.len() - refused.len(),
        bytes,
        refused,
    }
}

fn draw(
    hosts: &[Candidate],
    holders: &[NodeId],
    wanted: usize,
    bytes: u64,
    random: &mut StdRng,
) -> Result<Vec<NodeId>, TooFewHosts> {
    let holding = |host: &&Candidate| holders.contains(&host.host);
    let mut chosen = Vec::with_capacity(wanted);
    // Each that fits, and how many labels it shares with those that are chosen.
    let mut open: Vec<(&Candidate, usize)> = hosts
        .iter()
        .filter(|host| host.unfit(bytes, holders).is_none())
        .map(|host| (host, host.conflicts(hosts.iter().filter(holding))))
        .collect();
    if open.len() < wanted {
        return Err(too_few(hosts, holders, wanted, bytes));
    }
    while chosen.len() < wanted
        && let Some(at) = draw_one(&open, random)
    {
        let (next, _) = open.swap_remove(at);
        for (other, conflicts) in &mut open {
            *conflicts += other.shared_labels(next);
        }
        chosen.push(next.host);
    }
    Ok(chosen)
}

/// Draws among those with the fewest conflicts, by free space.
fn draw_one(open: &[(&Candidate, usize)], random: &mut StdRng) -> Option<usize> {
    let fewest = open.iter().map(|(_, conflicts)| *conflicts).min()?;
    let best = || {
        let all = open.iter().enumerate();
        all.filter(|(_, (_, conflicts))| *conflicts == fewest)
            .map(|(at, (host, _))| (at, u128::from(host.free)))
    };
    let total: u128 = best().map(|(_, free)| free).sum();
    let mut left = random.random_range(0..total.max(1));
    for (at, free) in best() {
        if left < free {
            return Some(at);
        }
        left -= free;
    }
    best().next().map(|(at, _)| at)
}
