//! Which Hosts should hold the log. Pure: what is known of the Hosts goes in.

use std::collections::BTreeSet;

use gridmart_schemas::{id::NodeId, scalar::FailureLabel};

use crate::storage::metadata::MemberSet;

/// A Host of the pool that may still come back.
#[derive(Clone, Debug)]
pub(super) struct Prospect {
    pub(super) host: NodeId,
    /// It may become a member now.
    pub(super) is_fit: bool,
    /// It has been away, or did not follow, for so long that another one shall
    /// take its place.
    pub(super) is_overdue: bool,
    /// What it shares with others when it fails.
    pub(super) labels: Vec<FailureLabel>,
}

/// On how many Hosts a record has to be where buckets bear so many losses: then
/// the metadata bears as many, even if the Element is lost as well. In a pool
/// with too few Hosts for that, on more than half of them: so some can be away.
pub(super) fn wanted(losses: usize, hosts: usize) -> usize {
    (losses.max(1) + 1).min(hosts / 2 + 1)
}

/// The members that there should be; none without a fit Host. Those that are
/// stay, unless one that is overdue can be replaced; others are chosen apart
/// from them, as failure labels tell.
pub(super) fn plan(
    now: Option<&MemberSet>,
    prospects: &[Prospect],
    losses: usize,
) -> Option<MemberSet> {
    let wanted = wanted(losses, prospects.len());
    let is_member = |one: &Prospect| now.is_some_and(|set| set.hosts.contains(&one.host));
    let mut left: Vec<&Prospect> = prospects
        .iter()
        .filter(|one| one.is_fit || is_member(one))
        .collect();
    let mut chosen: Vec<&Prospect> = Vec::new();
    while chosen.len() < 2 * wanted - 1 {
        let rank = |one: &&&Prospect| {
            let shared = chosen.iter().map(|other| shared_labels(one, other));
            let is_overdue = is_member(one) && one.is_overdue;
            (is_overdue, !is_member(one), shared.sum::<usize>(), one.host)
        };
        let Some(best) = left.iter().min_by_key(rank).map(|best| best.host) else {
            break;
        };
        let at = left.iter().position(|one| one.host == best);
        chosen.extend(at.map(|at| left.swap_remove(at)));
    }
    let hosts: BTreeSet<NodeId> = chosen.iter().map(|one| one.host).collect();
    let wanted = wanted.min(hosts.len());
    (wanted > 0).then_some(MemberSet { hosts, wanted })
}

fn shared_labels(one: &Prospect, other: &Prospect) -> usize {
    let labels = one.labels.iter();
    labels.filter(|label| other.labels.contains(label)).count()
}
