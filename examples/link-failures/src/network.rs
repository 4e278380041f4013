//! The network under study: an undirected multigraph with whole-number link costs.
//!
//! Invariants, checked once on the way in: ids are unique, every link's ends exist, every
//! cost lies in `1..=MAX_COST`, and the sizes are bounded, so that no path cost overflows
//! `u32` and no sum over all pairs overflows `u64`.

use std::collections::HashSet;

/// Most nodes taken. Bounds the sum over all pairs: 20,000² / 2 pairs of at most
/// 20,000 × 20,100 km stay below 2⁶⁴.
pub const MAX_NODES: usize = 20_000;
/// Most links taken.
pub const MAX_LINKS: usize = 200_000;
/// Highest cost of one link, in km: just above half the Earth's circumference.
pub const MAX_COST: u32 = 20_100;

/// One link. Its ends are positions in the network's node list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The end that the file calls source.
    pub source: u32,
    /// The end that the file calls target.
    pub target: u32,
    /// Cost in km, at least 1.
    pub cost: u32,
}

/// A network. Links keep the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    name: String,
    ids: Vec<i64>,
    links: Vec<Link>,
}

/// Nodes and links that make no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NetworkError {
    #[error("{count} nodes are more than {MAX_NODES}")]
    TooManyNodes { count: usize },
    #[error("{count} links are more than {MAX_LINKS}")]
    TooManyLinks { count: usize },
    #[error("node id {id} is used twice")]
    NodeTwice { id: i64 },
    #[error("link {link} ends at node number {node}, which does not exist")]
    NoSuchNode { link: usize, node: u32 },
    #[error("link {link} costs {cost}; a cost lies between 1 and {MAX_COST}")]
    CostOutOfRange { link: usize, cost: u32 },
}

impl Network {
    /// Checks and takes nodes (by id) and links (by position in `ids`).
    pub fn new(name: String, ids: Vec<i64>, links: Vec<Link>) -> Result<Self, NetworkError> {
        if ids.len() > MAX_NODES {
            return Err(NetworkError::TooManyNodes { count: ids.len() });
        }
        if links.len() > MAX_LINKS {
            return Err(NetworkError::TooManyLinks { count: links.len() });
        }
        let mut seen = HashSet::with_capacity(ids.len());
        if let Some(&id) = ids.iter().find(|&&id| !seen.insert(id)) {
            return Err(NetworkError::NodeTwice { id });
        }
        for (number, link) in links.iter().enumerate() {
            let ends = [link.source, link.target];
            if let Some(&node) = ends.iter().find(|&&end| end as usize >= ids.len()) {
                return Err(NetworkError::NoSuchNode { link: number, node });
            }
            if !(1..=MAX_COST).contains(&link.cost) {
                return Err(NetworkError::CostOutOfRange {
                    link: number,
                    cost: link.cost,
                });
            }
        }
        Ok(Self { name, ids, links })
    }

    /// What the file calls the network; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Node ids in the order of the file.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// Links in the order of the file.
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_network() {
        let link = |source, target, cost| Link {
            source,
            target,
            cost,
        };
        let make = |ids: &[i64], links: &[Link]| {
            Network::new(String::new(), ids.to_vec(), links.to_vec()).map(|_| ())
        };
        assert_eq!(make(&[], &[]), Ok(()));
        assert_eq!(
            make(&[7, 9], &[link(0, 1, MAX_COST), link(1, 1, 1)]),
            Ok(())
        );
        assert_eq!(make(&[7, 7], &[]), Err(NetworkError::NodeTwice { id: 7 }));
        assert_eq!(
            make(&[7, 9], &[link(0, 2, 1)]),
            Err(NetworkError::NoSuchNode { link: 0, node: 2 })
        );
        for cost in [0, MAX_COST + 1] {
            assert_eq!(
                make(&[7, 9], &[link(0, 1, 1), link(0, 1, cost)]),
                Err(NetworkError::CostOutOfRange { link: 1, cost })
            );
        }
        let many: Vec<i64> = (0..=20_000).collect();
        assert_eq!(
            make(&many, &[]),
            Err(NetworkError::TooManyNodes { count: 20_001 })
        );
        assert_eq!(
            make(&[1], &vec![link(0, 0, 1); MAX_LINKS + 1]),
            Err(NetworkError::TooManyLinks {
                count: MAX_LINKS + 1
            })
        );
    }
}
