//! What placement promises.

use std::collections::{BTreeMap, BTreeSet};

use gridmart_schemas::{
    id::{BlockId, NodeId, StripeId},
    scalar::FailureLabel,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{choose::choose, *};

const MIB: u64 = 1024 * 1024;

fn node(number: usize) -> NodeId {
    NodeId::from_uuid(Uuid::from_u128(number as u128 + 1))
}

fn host(number: usize, free: u64, labels: &[&str]) -> Candidate {
    Candidate {
        host: node(number),
        standing: Standing::Open,
        free,
        used: 0,
        labels: labels
            .iter()
            .map(|label| FailureLabel::new(label).unwrap())
            .collect(),
    }
}

/// How many blocks each label of a key holds.
fn per_label(hosts: &[Candidate], chosen: &[NodeId], key: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for host in hosts.iter().filter(|host| chosen.contains(&host.host)) {
        let label = host.labels.iter().find(|label| label.key() == key).unwrap();
        *counts.entry(label.value().to_owned()).or_default() += 1;
    }
    counts
}

/// Places stripes, and counts what each Host gets.
fn fill(hosts: &mut [Candidate], stripes: u64, blocks: usize, bytes: u64) {
    for seed in 0..stripes {
        let chosen = choose(hosts, blocks, bytes, seed).unwrap();
        for host in hosts.iter_mut().filter(|host| chosen.contains(&host.host)) {
            host.free -= bytes;
            host.used += bytes;
        }
    }
}

proptest! {
    #[test]
    fn hosts_are_distinct_fit_and_spread(
        racks in proptest::collection::vec(1_usize..6, 1..8),
        unfit in proptest::collection::btree_set(0_usize..40, 0..8),
        blocks in 1_usize..9,
        seed: u64,
    ) {
        let mut hosts = Vec::new();
        for (rack, size) in racks.iter().enumerate() {
            for _ in 0..*size {
                hosts.push(host(hosts.len(), 100 * MIB, &[&format!("rack=r{rack}")]));
            }
        }
        let count = hosts.len();
        for at in unfit.iter().filter(|at| **at < count) {
            match at % 4 {
                0 => hosts[*at].standing = Standing::Closed,
                1 => hosts[*at].standing = Standing::Stale,
                2 => hosts[*at].standing = Standing::ReadOnly,
                _ => hosts[*at].free = MIB - 1,
            }
        }
        let fit = |host: &&Candidate| host.standing == Standing::Open && host.free >= MIB;
        let fits: Vec<Candidate> = hosts.iter().filter(fit).cloned().collect();
        match choose(&hosts, blocks, MIB, seed) {
            Err(error) => {
                prop_assert!(fits.len() < blocks);
                prop_assert_eq!((error.wanted, error.fit), (blocks, fits.len()));
                prop_assert_eq!(error.refused.len(), hosts.len() - fits.len());
            }
            Ok(chosen) => {
                prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), blocks);
                prop_assert!(chosen.iter().all(|id| fits.iter().any(|host| host.host == *id)));
                let everyone: Vec<NodeId> = fits.iter().map(|host| host.host).collect();
                let sizes = per_label(&fits, &everyone, "rack");
                let got = per_label(&fits, &chosen, "rack");
                let most = got.values().max().unwrap();
                // No rack has two more than another that could have taken one.
                for (rack, size) in &sizes {
                    let here = got.get(rack).copied().unwrap_or(0);
                    prop_assert!(here == *size || here + 1 >= *most, "{:?} of {:?}", got, sizes);
                }
                prop_assert_eq!(choose(&hosts, blocks, MIB, seed).unwrap(), chosen);
            }
        }
    }

    #[test]
    fn a_repair_goes_where_nothing_of_the_stripe_is(
        holders in proptest::collection::btree_set(0_usize..12, 1..8),
        seed: u64,
    ) {
        let hosts: Vec<Candidate> = (0..12)
            .map(|at| host(at, 100 * MIB, &[&format!("rack=r{}", at % 6)]))
            .collect();
        let ids: Vec<NodeId> = holders.iter().map(|at| node(*at)).collect();
        let to = choose_for_repair(&hosts, &ids, MIB, seed).unwrap();
        prop_assert!(!ids.contains(&to));
        let used: BTreeSet<usize> = holders.iter().map(|at| at % 6).collect();
        let at = hosts.iter().position(|host| host.host == to).unwrap();
        prop_assert!(used.len() == 6 || !used.contains(&(at % 6)));
    }
}

#[test]
fn equal_hosts_fill_equally() {
    for (count, blocks) in [(6, 3), (9, 6), (21, 6), (24, 3)] {
        let mut hosts: Vec<Candidate> = (0..count)
            .map(|at| host(at, 1 << 40, &[&format!("rack=r{}", at % 3)]))
            .collect();
        fill(&mut hosts, 10_000, blocks, 4 * MIB);
        let used = || hosts.iter().map(|host| host.used);
        let (least, most) = (used().min().unwrap(), used().max().unwrap());
        assert!(most * 10 <= least * 12, "{count}: {least} to {most}");
    }
}

#[test]
fn unequal_hosts_fill_by_their_size() {
    let size = |at: usize| (1 + at as u64 % 4) * 20_000 * MIB;
    let mut hosts: Vec<Candidate> = (0..16).map(|at| host(at, size(at), &[])).collect();
    let total: u64 = (0..16).map(size).sum();
    // Until half of all is full.
    fill(&mut hosts, total / 2 / (3 * 4 * MIB), 3, 4 * MIB);
    for (at, host) in hosts.iter().enumerate() {
        let percent = host.used * 100 / size(at);
        assert!((44..=56).contains(&percent), "{at} is full to {percent} %");
    }
}

#[test]
fn several_labels_count_together() {
    // Two rooms of three racks each, two Hosts in each rack.
    let hosts: Vec<Candidate> = (0..12)
        .map(|at| {
            let labels = [format!("room={}", at % 2), format!("rack={}", at % 6)];
            host(at, MIB, &[&labels[0], &labels[1]])
        })
        .collect();
    for seed in 0..200 {
        let chosen = choose(&hosts, 6, 1, seed).unwrap();
        assert!(
            per_label(&hosts, &chosen, "room")
                .values()
                .all(|count| *count == 3)
        );
        assert_eq!(per_label(&hosts, &chosen, "rack").len(), 6);
    }
}

#[test]
fn too_few_hosts_say_why() {
    let mut hosts: Vec<Candidate> = (0..5).map(|at| host(at, 10, &[])).collect();
    hosts[0].standing = Standing::Closed;
    hosts[1].standing = Standing::Stale;
    hosts[2].free = 9;
    let error = choose(&hosts, 3, 10, 1).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "3 Hosts are needed and 2 can take a block of 10 bytes; of the others: 1 stopped or being \
         drained, 1 not heard of, 1 full"
    );
    assert!(
        choose(&[], 1, 1, 1)
            .unwrap_err()
            .to_string()
            .contains("add Hosts")
    );
    let repair = choose_for_repair(&hosts, &[node(3), node(4)], 1, 1).unwrap();
    assert_eq!(repair, node(2));
}

#[test]
fn as_many_hosts_as_there_are_will_do_where_that_is_said() {
    let mut hosts: Vec<Candidate> = (0..7).map(|at| host(at, 10, &[])).collect();
    let count = |hosts: &[Candidate], least| {
        choose_least(hosts, (6, least), 10, 1)
            .map(|chosen| chosen.len())
            .map_err(|error| (error.wanted, error.fit))
    };
    assert_eq!(count(&hosts, 4), Ok(6));
    hosts[0].standing = Standing::Stale;
    hosts[3].standing = Standing::Closed;
    assert_eq!(count(&hosts, 4), Ok(5));
    assert_eq!(count(&hosts, 6), Err((6, 5)));
    hosts[1].free = 9;
    hosts[2].free = 9;
    assert_eq!(count(&hosts, 4), Err((4, 3)));
    assert_eq!(count(&hosts, 3), Ok(3));
}

fn stored(number: usize, on: usize, others: &[usize]) -> StoredBlock {
    StoredBlock {
        block: BlockId {
            stripe: StripeId::from_uuid(Uuid::from_u128(number as u128)),
            position: 0,
        },
        host: node(on),
        bytes: MIB,
        others: others.iter().map(|at| node(*at)).collect(),
    }
}

const ALL: PlanLimits = PlanLimits {
    moves: usize::MAX,
    bytes: u64::MAX,
};

#[test]
fn a_drained_host_gives_its_blocks_to_others_as_long_as_they_have_room() {
    let mut hosts: Vec<Candidate> = (0..4).map(|at| host(at, 3 * MIB, &[])).collect();
    hosts[0].standing = Standing::Closed;
    let blocks: Vec<StoredBlock> = (0..10).map(|number| stored(number, 0, &[1])).collect();
    let plan = drain(&hosts, &blocks, ALL, 7);
    // Host 1 has the other block of each.
    assert_eq!(
        (plan.moves.len(), plan.bytes, plan.stuck.len()),
        (6, 6 * MIB, 4)
    );
    assert!(
        plan.moves
            .iter()
            .all(|one| one.from == node(0) && [node(2), node(3)].contains(&one.to))
    );
    let limits = PlanLimits {
        moves: 100,
        bytes: 2 * MIB,
    };
    assert_eq!(drain(&hosts, &blocks, limits, 7).moves.len(), 2);
}

#[test]
fn a_host_that_joins_many_gets_its_share_though_none_of_them_is_much_too_full() {
    // With it, the mean falls from 50 to 45.5 percent: nobody is above the band.
    let mut hosts: Vec<Candidate> = (0..11).map(|at| host(at, 100 * MIB, &[])).collect();
    for full in &mut hosts[..10] {
        (full.used, full.free) = (50 * MIB, 50 * MIB);
    }
    assert!(is_to_give(&hosts, node(3)) && !is_to_give(&hosts, node(10)));
    assert!(
        excess(&hosts).abs_diff(45 * MIB) < MIB,
        "{}",
        excess(&hosts)
    );
    let blocks: Vec<StoredBlock> = (0..500)
        .map(|number| stored(number, number % 10, &[(number + 1) % 10]))
        .collect();
    let plan = rebalance(&hosts, &blocks, ALL);
    plan.shift(&mut hosts);
    assert!(plan.moves.iter().all(|one| one.to == node(10)));
    let used: Vec<u64> = hosts.iter().map(|host| host.used / MIB).collect();
    assert!((40..=46).contains(&used[10]), "{used:?}");
    assert!(
        used[..10].iter().all(|used| (44..=50).contains(used)),
        "{used:?}"
    );
    assert_eq!(excess(&hosts), 0);
    assert_eq!(rebalance(&hosts, &blocks, ALL), Plan::default());
}

#[test]
fn a_host_is_judged_by_what_it_is_to_hold_not_by_what_it_told_before_moves() {
    // Four gave a fifth its share, and none of the five has told of that.
    let told: Vec<Candidate> = (0..5)
        .map(|at| {
            let used = if at < 4 { 50 * MIB } else { 0 };
            Candidate {
                used,
                ..host(at, 100 * MIB - used, &[])
            }
        })
        .collect();
    assert!(excess(&told) > 0);
    let settled: Vec<Candidate> = told
        .into_iter()
        .map(|told| told.settled(40 * MIB))
        .collect();
    assert_eq!(settled[4].used + settled[4].free, 100 * MIB);
    assert_eq!(excess(&settled), 0);
    assert!(!settled.iter().any(|one| is_to_give(&settled, one.host)));
    // More than there is room for is no underflow.
    assert_eq!(host(1, MIB, &[]).settled(2 * MIB).free, 0);
}

#[test]
fn rebalancing_ends_within_the_band_and_keeps_the_spread() {
    let mut hosts: Vec<Candidate> = (0..6)
        .map(|at| host(at, 100 * MIB, &[&format!("rack=r{}", at / 2)]))
        .collect();
    for full in &mut hosts[..2] {
        (full.used, full.free) = (90 * MIB, 10 * MIB);
    }
    let blocks: Vec<StoredBlock> = (0..180)
        .map(|number| stored(number, number % 2, &[2 + number % 2]))
        .collect();
    let plan = rebalance(&hosts, &blocks, ALL);
    let mut used: BTreeMap<NodeId, u64> = hosts.iter().map(|host| (host.host, host.used)).collect();
    for one in &plan.moves {
        *used.get_mut(&one.from).unwrap() -= one.bytes;
        *used.get_mut(&one.to).unwrap() += one.bytes;
    }
    // Hosts 2 and 3 share a rack with what holds the other block.
    assert_eq!((used[&node(2)], used[&node(3)]), (0, 0));
    for at in [4, 5] {
        assert!((29..=31).contains(&(used[&node(at)] / MIB)), "{used:?}");
    }
    // Once the emptier ones are as full as all together, nothing moves any more.
    for host in &mut hosts {
        let now = used[&host.host];
        (host.used, host.free) = (now, 100 * MIB - now);
    }
    assert_eq!(rebalance(&hosts, &blocks, ALL), Plan::default());
}
