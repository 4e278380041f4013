//! Adjacency of a network and shortest paths from one node.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::network::{Link, Network};

/// Distance to a node that cannot be reached.
pub const UNREACHED: u32 = u32::MAX;

/// One direction of a link, seen from the node it leaves.
#[derive(Debug, Clone, Copy)]
pub struct Arc {
    /// The node it leads to.
    pub head: u32,
    /// Cost of the link.
    pub cost: u32,
    /// Position of the link in the network.
    pub link: u32,
}

/// For each node the links that leave it, self-loops left out: no shortest path uses one.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Where each node's arcs begin; one more entry than there are nodes.
    starts: Vec<usize>,
    arcs: Vec<Arc>,
}

impl Graph {
    /// The whole network.
    pub fn new(network: &Network) -> Self {
        Self::with_links(network, |_| true)
    }

    /// The network with only those links for whose position `keep` holds.
    pub fn with_links(network: &Network, keep: impl Fn(usize) -> bool) -> Self {
        let kept =
            |&(number, link): &(u32, &Link)| link.source != link.target && keep(number as usize);
        let nodes = network.ids().len();
        let mut starts = vec![0; nodes + 1];
        for (_, link) in (0..).zip(network.links()).filter(kept) {
            starts[link.source as usize + 1] += 1;
            starts[link.target as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let nowhere = Arc {
            head: 0,
            cost: 0,
            link: 0,
        };
        let mut arcs = vec![nowhere; starts[nodes]];
        let mut free = starts.clone();
        for (number, link) in (0..).zip(network.links()).filter(kept) {
            for (tail, head) in [(link.source, link.target), (link.target, link.source)] {
                let slot = &mut free[tail as usize];
                arcs[*slot] = Arc {
                    head,
                    cost: link.cost,
                    link: number,
                };
                *slot += 1;
            }
        }
        Self { starts, arcs }
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// For each node the number of the connected piece it belongs to.
    pub fn pieces(&self) -> Vec<u32> {
        const UNSEEN: u32 = u32::MAX;
        let mut pieces = vec![UNSEEN; self.node_count()];
        let mut open = Vec::new();
        for first in (0..).take(self.node_count()) {
            if pieces[first as usize] == UNSEEN {
                pieces[first as usize] = first;
                open.push(first);
            }
            while let Some(node) = open.pop() {
                for arc in self.arcs(node) {
                    if pieces[arc.head as usize] == UNSEEN {
                        pieces[arc.head as usize] = first;
                        open.push(arc.head);
                    }
                }
            }
        }
        pieces
    }

    /// The arcs that leave a node.
    pub fn arcs(&self, node: u32) -> &[Arc] {
        &self.arcs[self.starts[node as usize]..self.starts[node as usize + 1]]
    }

    /// Shortest cost from `source` to every node, [`UNREACHED`] where there is no path.
    pub fn distances(&self, source: u32) -> Vec<u32> {
        let mut distances = vec![UNREACHED; self.node_count()];
        let mut frontier = Frontier::default();
        distances[source as usize] = 0;
        frontier.push(0, source);
        while let Some((distance, node)) = frontier.pop() {
            if distance > distances[node as usize] {
                continue;
            }
            for arc in self.arcs(node) {
                let next = distance + arc.cost;
                if next < distances[arc.head as usize] {
                    distances[arc.head as usize] = next;
                    frontier.push(next, arc.head);
                }
            }
        }
        distances
    }
}

/// Nodes seen and not settled, nearest first. A node may be in it more than once.
#[derive(Debug, Default)]
pub(crate) struct Frontier {
    // Distance and node in one word: one comparison instead of two.
    heap: BinaryHeap<Reverse<u64>>,
}

impl Frontier {
    pub(crate) fn push(&mut self, distance: u32, node: u32) {
        self.heap
            .push(Reverse(u64::from(distance) << 32 | u64::from(node)));
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "takes apart what push put together"
    )]
    pub(crate) fn pop(&mut self) -> Option<(u32, u32)> {
        let Reverse(word) = self.heap.pop()?;
        Some(((word >> 32) as u32, word as u32))
    }
}
