//! The job in parts: `split` cuts it, `run` does one piece, `merge` puts all together.
//!
//! A part is a range of start nodes, from which every failure is looked at, and a range of
//! links, of which the part names ends and lost pairs; the whole network is in it in
//! compact form. It is one line of JSON that needs nothing else. Start nodes and not links
//! divide the work, because the search from a node before any failure serves all links:
//! cut by links, nearly every part would repeat nearly every such search, which on Kdl
//! more than doubles the work.
//!
//! Link costs are computed by `split` alone, so that every machine counts with the same
//! whole numbers. The result does not depend on how many parts there are.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::impact::Analysis;
use crate::network::{Link, MAX_LINKS, Network, NetworkError};
use crate::report::{RankedLink, Report, line_of};

/// Version of the two formats below; other versions are refused.
const FORMAT: u32 = 1;
/// Parts made where none are asked for: several for each of eight Hosts with a few slots,
/// so that the last one to finish is not much later than the others.
pub const DEFAULT_PARTS: usize = 48;
/// Most parts that may be asked for.
pub const MAX_PARTS: usize = 10_000;

/// Input of one `run`.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    format: u32,
    /// Which part, from 0.
    number: usize,
    parts: usize,
    topology: String,
    ids: Vec<i64>,
    /// Ends, as positions in `ids`, and cost.
    links: Vec<(u32, u32, u32)>,
    /// Start nodes of this part, as positions in `ids`.
    start_nodes: Range<u32>,
    /// Links that this part describes.
    described: Range<u32>,
}

/// Output of one `run`.
#[derive(Debug, Serialize, Deserialize)]
struct PartResult {
    format: u32,
    /// Which part, from 0.
    number: usize,
    parts: usize,
    topology: String,
    nodes: usize,
    links: usize,
    /// Sum of shortest costs counted from this part's start nodes, before any failure.
    baseline: u64,
    /// Number of the first link described.
    first: usize,
    /// For each of them: source id, target id, cost, disconnected pairs.
    described: Vec<(i64, i64, u32, u64)>,
    /// Number of a link, any link, and what its failure adds to costs counted here.
    increases: Vec<(usize, u64)>,
}

/// What cannot be run or merged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PartError {
    #[error("the part is not what `split` writes")]
    PartMalformed(#[source] serde_json::Error),
    #[error("the part holds no network")]
    PartNetwork(#[source] NetworkError),
    #[error("the part asks for {what} {}..{} of {count}", range.start, range.end)]
    PartRange {
        what: &'static str,
        range: Range<u32>,
        count: usize,
    },
    #[error("line {line} is not what `run` writes")]
    ResultMalformed {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "format {found} on line {line}; this program reads format {FORMAT}, so use one version for all steps"
    )]
    WrongFormat { line: usize, found: u32 },
    #[error("line {line} belongs to another job than line 1")]
    OtherJob { line: usize },
    #[error(
        "line {line} is the result of part {found} where part {expected} belongs; give all parts once, in order"
    )]
    OutOfOrder {
        line: usize,
        found: usize,
        expected: usize,
    },
    #[error("only {found} of {expected} parts; give the outputs of all")]
    Incomplete { found: usize, expected: usize },
    #[error("the parts hold {found} links where the network has {expected}")]
    LinksMissing { found: usize, expected: usize },
    #[error("line {line} tells of link {link}, which the network does not have")]
    NoSuchLink { line: usize, link: usize },
    #[error("the costs add up to more than 64 bits hold")]
    Overflow,
    #[error("there are no results to merge")]
    Nothing,
}

/// Cuts the job into at most `parts` parts (at least one), each one line.
pub fn split(network: &Network, parts: usize) -> impl Iterator<Item = String> + '_ {
    let links: Vec<_> = network
        .links()
        .iter()
        .map(|link| (link.source, link.target, link.cost))
        .collect();
    let parts = parts.clamp(1, MAX_PARTS).min(network.ids().len().max(1));
    (0..parts).map(move |number| {
        line_of(&Part {
            format: FORMAT,
            number,
            parts,
            topology: network.name().to_owned(),
            ids: network.ids().to_vec(),
            described: share(links.len(), number, parts),
            start_nodes: share(network.ids().len(), number, parts),
            links: links.clone(),
        })
    })
}

/// Does one part and returns its result, one line.
pub fn run(part: &[u8]) -> Result<String, PartError> {
    let part: Part = serde_json::from_slice(part).map_err(PartError::PartMalformed)?;
    format_check(part.format, 1)?;
    let links = part.links.iter().map(|&(source, target, cost)| Link {
        source,
        target,
        cost,
    });
    let network =
        Network::new(part.topology, part.ids, links.collect()).map_err(PartError::PartNetwork)?;
    let start_nodes = range_checked("nodes", part.start_nodes, network.ids().len())?;
    let described = range_checked("links", part.described, network.links().len())?;

    let mut analysis = Analysis::new(&network);
    let mut increases = vec![0; network.links().len()];
    let baseline = start_nodes
        .map(|node| analysis.start_node(node, &mut increases))
        .sum();
    let id = |node: u32| network.ids()[node as usize];
    let first = described.start as usize;
    let described = described.map(|number| {
        let link = network.links()[number as usize];
        let pairs = analysis.disconnected_pairs(number);
        (id(link.source), id(link.target), link.cost, pairs)
    });
    Ok(line_of(&PartResult {
        format: FORMAT,
        number: part.number,
        parts: part.parts,
        topology: network.name().to_owned(),
        nodes: network.ids().len(),
        links: network.links().len(),
        baseline,
        first,
        described: described.collect(),
        increases: (0..).zip(increases).filter(|&(_, sum)| sum > 0).collect(),
    }))
}

/// Puts the results of all parts, one per line in part order, together.
pub fn merge(results: &[u8]) -> Result<Report, PartError> {
    let mut sum: Option<Sum> = None;
    let rows = (1..).zip(results.split(|&byte| byte == b'\n'));
    for (line, raw) in rows.filter(|(_, raw)| !raw.trim_ascii().is_empty()) {
        let result: PartResult = serde_json::from_slice(raw)
            .map_err(|source| PartError::ResultMalformed { line, source })?;
        format_check(result.format, line)?;
        sum.get_or_insert_with(|| Sum::new(&result))
            .add(line, result)?;
    }
    sum.ok_or(PartError::Nothing)?.finish()
}

/// What the results read so far add up to.
struct Sum {
    parts: usize,
    topology: String,
    nodes: usize,
    link_count: usize,
    found: usize,
    baseline: u64,
    /// Links described so far; their increases are in the next field.
    links: Vec<RankedLink>,
    increases: Vec<u64>,
}

impl Sum {
    /// An empty sum for the job that this result belongs to.
    fn new(result: &PartResult) -> Self {
        Self {
            parts: result.parts,
            topology: result.topology.clone(),
            nodes: result.nodes,
            link_count: result.links,
            found: 0,
            baseline: 0,
            links: Vec::new(),
            increases: Vec::new(),
        }
    }

    fn add(&mut self, line: usize, result: PartResult) -> Result<(), PartError> {
        let job = (result.parts, result.nodes, result.links);
        if job != (self.parts, self.nodes, self.link_count) || result.topology != self.topology {
            return Err(PartError::OtherJob { line });
        }
        if result.number != self.found || result.first != self.links.len() {
            return Err(PartError::OutOfOrder {
                line,
                found: result.number,
                expected: self.found,
            });
        }
        self.found += 1;
        self.baseline = added(self.baseline, result.baseline)?;
        for (link, increase) in result.increases {
            if link >= self.link_count.min(MAX_LINKS) {
                return Err(PartError::NoSuchLink { line, link });
            }
            if link >= self.increases.len() {
                self.increases.resize(link + 1, 0);
            }
            self.increases[link] = added(self.increases[link], increase)?;
        }
        for (source, target, cost, disconnected_pairs) in result.described {
            self.links.push(RankedLink {
                rank: 0,
                edge: self.links.len(),
                source,
                target,
                cost,
                disconnected_pairs,
                total_increase: 0,
            });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report, PartError> {
        if self.found != self.parts {
            return Err(PartError::Incomplete {
                found: self.found,
                expected: self.parts,
            });
        }
        if self.links.len() != self.link_count {
            return Err(PartError::LinksMissing {
                found: self.links.len(),
                expected: self.link_count,
            });
        }
        for (link, increase) in self.links.iter_mut().zip(self.increases) {
            link.total_increase = increase;
        }
        Ok(Report::ranked(
            self.topology,
            self.nodes,
            self.baseline,
            self.links,
        ))
    }
}

fn added(sum: u64, more: u64) -> Result<u64, PartError> {
    sum.checked_add(more).ok_or(PartError::Overflow)
}

/// The part-th of `parts` nearly equal ranges of `0..count`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "counts are below MAX_LINKS"
)]
fn share(count: usize, part: usize, parts: usize) -> Range<u32> {
    let bound = |part: usize| (count * part / parts) as u32;
    bound(part)..bound(part + 1)
}

fn range_checked(
    what: &'static str,
    range: Range<u32>,
    count: usize,
) -> Result<Range<u32>, PartError> {
    if range.start <= range.end && range.end as usize <= count {
        Ok(range)
    } else {
        Err(PartError::PartRange { what, range, count })
    }
}

fn format_check(found: u32, line: usize) -> Result<(), PartError> {
    if found == FORMAT {
        Ok(())
    } else {
        Err(PartError::WrongFormat { line, found })
    }
}
