//! An independent slow computation: Floyd and Warshall's all pairs, once per failure.
//!
//! Shares nothing with the program but the network it is given.

use link_failures::network::Network;
use link_failures::report::{RankedLink, Report};

/// The whole result, the slow way.
pub(crate) fn report(network: &Network) -> Report {
    let before = all_pairs(network, None);
    let mut links = Vec::new();
    for (edge, link) in network.links().iter().enumerate() {
        let after = all_pairs(network, Some(edge));
        let (mut disconnected_pairs, mut total_increase) = (0, 0);
        for (one, row) in before.iter().enumerate() {
            for (other, old) in row.iter().enumerate().skip(one + 1) {
                match (old, after[one][other]) {
                    (Some(_), None) => disconnected_pairs += 1,
                    (Some(old), Some(new)) => total_increase += new - old,
                    (None, _) => {}
                }
            }
        }
        links.push(RankedLink {
            rank: 0,
            edge,
            source: network.ids()[link.source as usize],
            target: network.ids()[link.target as usize],
            cost: link.cost,
            disconnected_pairs,
            total_increase,
        });
    }
    links.sort_by(|a, b| {
        b.disconnected_pairs
            .cmp(&a.disconnected_pairs)
            .then(b.total_increase.cmp(&a.total_increase))
            .then(a.edge.cmp(&b.edge))
    });
    for (place, link) in links.iter_mut().enumerate() {
        link.rank = place + 1;
    }
    Report {
        topology: network.name().to_owned(),
        nodes: network.ids().len(),
        links: links.len(),
        baseline_total_cost: before
            .iter()
            .enumerate()
            .flat_map(|(one, row)| row.iter().skip(one + 1).flatten())
            .sum(),
        links_by_impact: links,
    }
}

fn all_pairs(network: &Network, failed: Option<usize>) -> Vec<Vec<Option<u64>>> {
    let count = network.ids().len();
    let mut costs = vec![vec![None; count]; count];
    for (node, row) in costs.iter_mut().enumerate() {
        row[node] = Some(0);
    }
    for (edge, link) in network.links().iter().enumerate() {
        if Some(edge) != failed {
            let (one, other) = (link.source as usize, link.target as usize);
            let cost = Some(u64::from(link.cost));
            for (from, to) in [(one, other), (other, one)] {
                costs[from][to] =
                    costs[from][to].map_or(cost, |old: u64| cost.map(|new| old.min(new)));
            }
        }
    }
    for middle in 0..count {
        let through = costs[middle].clone();
        for row in &mut costs {
            let Some(first) = row[middle] else { continue };
            for (cell, second) in row.iter_mut().zip(&through) {
                if let Some(second) = second {
                    let sum = first + second;
                    *cell = Some(cell.map_or(sum, |old| old.min(sum)));
                }
            }
        }
    }
    costs
}
