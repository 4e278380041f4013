//! What each failed link changes, computed from what its failure touches and nothing else.
//!
//! - A *bridge* cuts its component in two: the pairs across are lost, all others keep
//!   their cost.
//! - Any other link loses no pair, and changes costs only inside its *block* (what hangs
//!   together without bridges), where each node counts for all the nodes that reach the
//!   block through it. A pair is touched if all its shortest paths cross the link. The
//!   pairs are found from one end: for each start node and each link of its block that
//!   leads away from it, the nodes that lose their shortest path are marked, and only
//!   these get a new distance, by a search that begins at their unmarked neighbours. A
//!   touched pair has its ends on different sides of the link, so that looking along each
//!   link in one direction finds every pair once.
//!
//! Everything is whole numbers, and start nodes are independent of each other: their sums
//! may be computed anywhere and added in any order.

use crate::bridge::{Sides, bridges_find};
use crate::graph::{Frontier, Graph, UNREACHED};
use crate::network::{Link, Network};

/// Works through the start nodes of one network.
#[derive(Debug)]
pub struct Analysis<'a> {
    links: &'a [Link],
    graph: Graph,
    bridges: Vec<Option<Sides>>,
    blocks: Blocks,
    detour: Detour,
}

impl<'a> Analysis<'a> {
    /// Prepares a network; takes time in proportion to its size.
    pub fn new(network: &'a Network) -> Self {
        let graph = Graph::new(network);
        let bridges = bridges_find(network, &graph);
        Self {
            links: network.links(),
            blocks: Blocks::new(network, &bridges),
            detour: Detour::new(graph.node_count()),
            graph,
            bridges,
        }
    }

    /// Unordered node pairs connected before the failure of a link and not after.
    pub fn disconnected_pairs(&self, link: u32) -> u64 {
        self.bridges[link as usize].map_or(0, |sides| sides.source * sides.target)
    }

    /// Looks from one node. Adds to each link's entry in `increases` what its failure adds
    /// to the shortest costs of the pairs that are counted from here, and returns the sum
    /// of shortest costs to the nodes after this one, before any failure.
    pub fn start_node(&mut self, start: u32, increases: &mut [u64]) -> u64 {
        let row = self.graph.distances(start);
        let weight = self.blocks.weights[start as usize];
        for (number, link) in (0..).zip(self.links) {
            let (tail, head) = direction(number, *link);
            let same_block =
                self.blocks.pieces[tail as usize] == self.blocks.pieces[start as usize];
            if same_block
                && self.bridges[number as usize].is_none()
                && row[tail as usize] + link.cost == row[head as usize]
            {
                let grown = self.detour.increase(&self.blocks, &row, number, head);
                increases[number as usize] += weight * grown;
            }
        }
        let later = row.iter().skip(start as usize + 1);
        later
            .filter(|&&cost| cost != UNREACHED)
            .map(|&cost| u64::from(cost))
            .sum()
    }
}

/// The direction in which a link is looked along. Files put the lower node first; taking
/// turns spreads the work evenly over the start nodes.
fn direction(number: u32, link: Link) -> (u32, u32) {
    if number.is_multiple_of(2) {
        (link.source, link.target)
    } else {
        (link.target, link.source)
    }
}

/// The network without its bridges.
#[derive(Debug)]
struct Blocks {
    graph: Graph,
    /// Which block each node belongs to.
    pieces: Vec<u32>,
    /// How many nodes reach a node's block through it, itself included.
    weights: Vec<u64>,
}

impl Blocks {
    fn new(network: &Network, bridges: &[Option<Sides>]) -> Self {
        let mut weights = vec![1; network.ids().len()];
        for (link, sides) in network.links().iter().zip(bridges) {
            if let Some(sides) = sides {
                weights[link.source as usize] += sides.target;
                weights[link.target as usize] += sides.source;
            }
        }
        let graph = Graph::with_links(network, |link| bridges[link].is_none());
        Self {
            pieces: graph.pieces(),
            graph,
            weights,
        }
    }
}

/// Working memory of one search, clean between two.
#[derive(Debug)]
struct Detour {
    /// Whether a node lost all its shortest paths.
    touched: Vec<bool>,
    /// The nodes that did, in the order found.
    order: Vec<u32>,
    /// Best new distance so far; meaningful for touched nodes.
    distances: Vec<u32>,
    frontier: Frontier,
}

impl Detour {
    fn new(nodes: usize) -> Self {
        Self {
            touched: vec![false; nodes],
            order: Vec::new(),
            distances: vec![UNREACHED; nodes],
            frontier: Frontier::default(),
        }
    }

    /// By how much, weighted, the nodes beyond `head` move away from the start of `row`
    /// when link `failed`, which leads to `head`, is gone.
    fn increase(&mut self, blocks: &Blocks, row: &[u32], failed: u32, head: u32) -> u64 {
        self.touched_find(&blocks.graph, row, failed, head);
        self.frontier_seed(&blocks.graph, row, failed);
        let mut increase = 0;
        while let Some((distance, node)) = self.frontier.pop() {
            if distance > self.distances[node as usize] {
                continue;
            }
            let grown = distance - row[node as usize];
            increase += blocks.weights[node as usize] * u64::from(grown);
            for arc in blocks
                .graph
                .arcs(node)
                .iter()
                .filter(|arc| arc.link != failed)
            {
                self.approach(arc.head, distance + arc.cost);
            }
        }
        for node in self.order.drain(..) {
            self.touched[node as usize] = false;
            self.distances[node as usize] = UNREACHED;
        }
        increase
    }

    /// Marks every node all of whose shortest paths from the start of `row` use the link.
    fn touched_find(&mut self, graph: &Graph, row: &[u32], failed: u32, head: u32) {
        self.touch_unless_supported(graph, row, failed, head);
        let mut next = 0;
        while let Some(&node) = self.order.get(next) {
            next += 1;
            for arc in graph.arcs(node) {
                let follows = row[node as usize] + arc.cost == row[arc.head as usize];
                if follows && !self.touched[arc.head as usize] {
                    self.touch_unless_supported(graph, row, failed, arc.head);
                }
            }
        }
    }

    /// Asked again for a node whenever one of its predecessors is touched, so that the
    /// last one decides.
    fn touch_unless_supported(&mut self, graph: &Graph, row: &[u32], failed: u32, node: u32) {
        let supported = graph.arcs(node).iter().any(|arc| {
            arc.link != failed
                && !self.touched[arc.head as usize]
                && row[arc.head as usize] + arc.cost == row[node as usize]
        });
        if !supported {
            self.touched[node as usize] = true;
            self.order.push(node);
        }
    }

    /// Gives each touched node the best distance over one that is not.
    fn frontier_seed(&mut self, graph: &Graph, row: &[u32], failed: u32) {
        for at in 0..self.order.len() {
            let node = self.order[at];
            let entries = graph
                .arcs(node)
                .iter()
                .filter(|arc| arc.link != failed && !self.touched[arc.head as usize]);
            let best = entries.map(|arc| row[arc.head as usize] + arc.cost).min();
            if let Some(best) = best {
                self.approach(node, best);
            }
        }
    }

    fn approach(&mut self, node: u32, distance: u32) {
        if self.touched[node as usize] && distance < self.distances[node as usize] {
            self.distances[node as usize] = distance;
            self.frontier.push(distance, node);
        }
    }
}
