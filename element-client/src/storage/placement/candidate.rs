//! A Host as placement sees it.

use std::{collections::BTreeMap, fmt};

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    scalar::FailureLabel,
};

/// A Host that may get blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub host: NodeId,
    /// Whether it takes blocks.
    pub standing: Standing,
    /// Bytes that further blocks can take, within its owner's Policy.
    pub free: u64,
    /// Bytes that blocks take.
    pub used: u64,
    /// What it shares with others when it fails.
    pub labels: Vec<FailureLabel>,
}

/// Whether a Host takes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Open,
    /// Its owner has stopped it, or it is being drained.
    Closed,
    /// It was not heard in time.
    Stale,
    /// Its disk takes no writes.
    ReadOnly,
}

/// Why a Host gets no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// Its owner has stopped it, or it is being drained.
    Closed,
    /// It was not heard in time.
    Stale,
    /// Its disk takes no writes.
    ReadOnly,
    /// It has no room.
    Full,
    /// It has a block of the stripe.
    Holds,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "stopped or being drained",
            Self::Stale => "not heard of",
            Self::ReadOnly => "read-only",
            Self::Full => "full",
            Self::Holds => "holding a block of the stripe",
        })
    }
}

impl Candidate {
    /// The Host as it will be when it holds its own blocks and nothing else, of
    /// so many bytes: what a Host tells lags behind moves, and counts old copies
    /// that are about to go.
    #[must_use]
    pub fn settled(mut self, bytes: u64) -> Self {
        let capacity = self.used.saturating_add(self.free);
        self.used = bytes.min(capacity);
        self.free = capacity - self.used;
        self
    }

    /// Why it cannot take a block of so many bytes, if it cannot; `holders`
    /// have the stripe's other blocks.
    pub(super) fn unfit(&self, bytes: u64, holders: &[NodeId]) -> Option<Unfit> {
        match self.standing {
            Standing::Closed => Some(Unfit::Closed),
            Standing::Stale => Some(Unfit::Stale),
            Standing::ReadOnly => Some(Unfit::ReadOnly),
            Standing::Open if holders.contains(&self.host) => Some(Unfit::Holds),
            // A Host of no free bytes weighs nothing, even for an empty block.
            Standing::Open if self.free < bytes.max(1) => Some(Unfit::Full),
            Standing::Open => None,
        }
    }

    /// How many labels it shares with another one.
    pub(super) fn shared_labels(&self, other: &Self) -> usize {
        self.labels
            .iter()
            .filter(|label| other.labels.contains(label))
            .count()
    }

    /// With how many labels it would fail together with those of `hosts` that
    /// hold the stripe.
    pub(super) fn conflicts<'a>(&self, holders: impl IntoIterator<Item = &'a Self>) -> usize {
        let shared = holders.into_iter().map(|other| self.shared_labels(other));
        shared.sum()
    }
}

/// Not as many Hosts can take a block as are needed; of each Host that cannot,
/// why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} Hosts are needed and {fit} can take a block of {bytes} bytes{}", reasons(.refused))]
pub struct TooFewHosts {
    /// How many are needed.
    pub wanted: usize,
    /// How many can.
    pub fit: usize,
    /// Bytes of the block.
    pub bytes: u64,
    /// The others.
    pub refused: Vec<(NodeId, Unfit)>,
}

impl From<TooFewHosts> for Problem {
    fn from(error: TooFewHosts) -> Self {
        Self::new(
            Code::StorageDegraded,
            format!("There is no room for the data as its bucket wants it kept: {error}."),
        )
    }
}

fn reasons(refused: &[(NodeId, Unfit)]) -> String {
    let mut counts: BTreeMap<Unfit, usize> = BTreeMap::new();
    for (_, unfit) in refused {
        *counts.entry(*unfit).or_default() += 1;
    }
    let words: Vec<String> = counts
        .into_iter()
        .map(|(unfit, count)| format!("{count} {unfit}"))
        .collect();
    if words.is_empty() {
        "; there are no others: add Hosts".to_owned()
    } else {
        format!("; of the others: {}", words.join(", "))
    }
}
