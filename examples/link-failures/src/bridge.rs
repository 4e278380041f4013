//! Which links are bridges: those whose loss cuts their component in two.

use crate::graph::{Arc, Graph};
use crate::network::Network;

/// How many nodes a bridge has on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides {
    /// Nodes that stay connected to the link's source.
    pub(crate) source: u64,
    /// Nodes that stay connected to the link's target.
    pub(crate) target: u64,
}

/// A node as the depth-first search sees it.
#[derive(Debug, Clone, Copy)]
struct Visit {
    node: u32,
    /// The arc by which it was found, turned round; none for the first of a component.
    back: Option<Arc>,
    /// Where in the order its component begins.
    root: u32,
}

/// For each link its two sides, if it is a bridge. Parallel links and self-loops are none.
pub(crate) fn bridges_find(network: &Network, graph: &Graph) -> Vec<Option<Sides>> {
    let (visits, place) = depth_first(graph);
    let count = visits.len();
    // Number of nodes below and at each place, and the earliest place reachable from there
    // without the arc to its parent.
    let mut size = vec![1_u64; count];
    let mut low: Vec<u32> = (0..).take(count).collect();
    let mut bridges = vec![None; network.links().len()];
    for at in (0..count).rev() {
        let visit = visits[at];
        let back_link = visit.back.map(|arc| arc.link);
        for arc in graph
            .arcs(visit.node)
            .iter()
            .filter(|arc| Some(arc.link) != back_link)
        {
            low[at] = low[at].min(place[arc.head as usize]);
        }
        if let Some(back) = visit.back {
            let parent = place[back.head as usize] as usize;
            low[parent] = low[parent].min(low[at]);
            size[parent] += size[at];
        }
    }
    for (at, visit) in visits.iter().enumerate() {
        let Some(back) = visit.back else { continue };
        if low[at] as usize == at {
            let (below, above) = (size[at], size[visit.root as usize] - size[at]);
            let child_is_source = network.links()[back.link as usize].source == visit.node;
            bridges[back.link as usize] = Some(if child_is_source {
                Sides {
                    source: below,
                    target: above,
                }
            } else {
                Sides {
                    source: above,
                    target: below,
                }
            });
        }
    }
    bridges
}

/// Visits all nodes depth first, without recursion (a chain may be long). Returns the
/// visits in order, and for each node its place in that order.
fn depth_first(graph: &Graph) -> (Vec<Visit>, Vec<u32>) {
    const UNSEEN: u32 = u32::MAX;
    let mut visits: Vec<Visit> = Vec::with_capacity(graph.node_count());
    let mut place = vec![UNSEEN; graph.node_count()];
    // The path from the root down, with how many arcs of each node were followed.
    let mut path: Vec<(u32, usize)> = Vec::new();
    for first in (0..).take(graph.node_count()) {
        if place[first as usize] != UNSEEN {
            continue;
        }
        let root = next_place(&visits);
        place[first as usize] = root;
        visits.push(Visit {
            node: first,
            back: None,
            root,
        });
        path.push((first, 0));
        while let Some((node, followed)) = path.last_mut() {
            let Some(&arc) = graph.arcs(*node).get(*followed) else {
                path.pop();
                continue;
            };
            *followed += 1;
            if place[arc.head as usize] == UNSEEN {
                let back = Arc { head: *node, ..arc };
                place[arc.head as usize] = next_place(&visits);
                visits.push(Visit {
                    node: arc.head,
                    back: Some(back),
                    root,
                });
                path.push((arc.head, 0));
            }
        }
    }
    (visits, place)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "MAX_NODES is far below 2^32"
)]
fn next_place(visits: &[Visit]) -> u32 {
    visits.len() as u32
}
