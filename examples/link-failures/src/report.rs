//! The result: all links ranked by what their failure does, as JSON and as a table.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::impact::Analysis;
use crate::network::Network;

/// Longest label in a table, in characters.
const MAX_LABEL_LENGTH: usize = 32;

/// The whole result. The order of fields is the order in the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the file calls the network.
    pub topology: String,
    /// Number of nodes.
    pub nodes: usize,
    /// Number of links.
    pub links: usize,
    /// Sum of shortest costs over the unordered connected pairs, before any failure; km.
    pub baseline_total_cost: u64,
    /// Every link, the most critical one first.
    pub links_by_impact: Vec<RankedLink>,
}

/// One link and what its failure does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedLink {
    /// Place in the ranking, from 1; 0 until it is known.
    pub rank: usize,
    /// Place in the file, from 0.
    pub edge: usize,
    /// Id of the node at one end.
    pub source: i64,
    /// Id of the node at the other.
    pub target: i64,
    /// Cost in km.
    pub cost: u32,
    /// Unordered node pairs connected before and not after.
    pub disconnected_pairs: u64,
    /// Sum of what the shortest costs of the pairs still connected grew by; km.
    pub total_increase: u64,
}

impl Report {
    /// Does the whole job here, on one thread.
    pub fn compute(network: &Network) -> Self {
        let mut analysis = Analysis::new(network);
        let mut increases = vec![0; network.links().len()];
        let nodes = (0..).take(network.ids().len());
        let baseline = nodes
            .map(|node| analysis.start_node(node, &mut increases))
            .sum();
        let id = |node: u32| network.ids()[node as usize];
        let links = (0..).zip(network.links()).zip(increases);
        let links = links.map(|((edge, link), total_increase)| RankedLink {
            rank: 0,
            edge: edge as usize,
            source: id(link.source),
            target: id(link.target),
            cost: link.cost,
            disconnected_pairs: analysis.disconnected_pairs(edge),
            total_increase,
        });
        let links = links.collect();
        Self::ranked(
            network.name().to_owned(),
            network.ids().len(),
            baseline,
            links,
        )
    }

    /// Ranks links: pairs lost, then cost added, both falling, then place in the file.
    pub fn ranked(
        topology: String,
        nodes: usize,
        baseline_total_cost: u64,
        mut links: Vec<RankedLink>,
    ) -> Self {
        links.sort_unstable_by_key(|link| {
            (
                Reverse(link.disconnected_pairs),
                Reverse(link.total_increase),
                link.edge,
            )
        });
        for (rank, link) in (1..).zip(&mut links) {
            link.rank = rank;
        }
        Self {
            topology,
            nodes,
            links: links.len(),
            baseline_total_cost,
            links_by_impact: links,
        }
    }

    /// The result as one line of JSON.
    pub fn to_json(&self) -> String {
        line_of(self)
    }

    /// A table for people: a heading and the `top` most critical links. Nodes are shown by
    /// id and, where there is one, by label.
    pub fn table(&self, top: usize, labels: &HashMap<i64, String>) -> String {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.links_by_impact.iter().take(top).map(|link| {
            [
                link.rank.to_string(),
                link.edge.to_string(),
                node_shown(link.source, labels),
                node_shown(link.target, labels),
                link.cost.to_string(),
                link.disconnected_pairs.to_string(),
                link.total_increase.to_string(),
            ]
        }));
        let mut text = format!(
            "{}: {} nodes, {} links, baseline total cost {} km\n\n",
            printable(&self.topology),
            self.nodes,
            self.links,
            self.baseline_total_cost
        );
        let widths: [usize; HEADINGS.len()] = std::array::from_fn(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = if TEXT_COLUMNS.contains(&column) {
                    write!(line, "{cell:<width$}  ")
                } else {
                    write!(line, "{cell:>width$}  ")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

const HEADINGS: [&str; 7] = [
    "rank",
    "edge",
    "source",
    "target",
    "km",
    "pairs lost",
    "km added",
];
const TEXT_COLUMNS: [usize; 2] = [2, 3];

/// Data of this program as one line of JSON.
#[expect(
    clippy::expect_used,
    reason = "numbers and strings always have a JSON form"
)]
pub(crate) fn line_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data serialises")
}

fn node_shown(id: i64, labels: &HashMap<i64, String>) -> String {
    match labels.get(&id) {
        Some(label) => format!("{id} {}", printable(label)),
        None => id.to_string(),
    }
}

/// A name from a file, cut to size and without anything that could steer a terminal.
fn printable(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain
        .take(MAX_LABEL_LENGTH)
        .collect::<String>()
        .trim()
        .to_owned()
}
