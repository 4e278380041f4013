//! The fast algorithm against the slow one, whole and in parts.

#![allow(clippy::expect_used, reason = "what fails in a helper fails the test")]

mod slow;

use link_failures::network::{Link, Network};
use link_failures::part;
use link_failures::report::Report;
use link_failures::topology::topology_read;
use proptest::prelude::*;

fn real_network(name: &str) -> Network {
    let path = format!("{}/data/{name}.gml", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).expect("the file is in the tree");
    topology_read(&file)
        .expect("the file is well formed")
        .network
}

fn in_parts(network: &Network, parts: usize) -> Report {
    let results: String = part::split(network, parts)
        .map(|part| part::run(part.as_bytes()).expect("the part runs") + "\n")
        .collect();
    part::merge(results.as_bytes()).expect("the results merge")
}

/// Numbers of an independent program, written in another language for this purpose.
#[test]
fn real_networks_have_the_stated_size_and_cost() {
    let stated = [
        ("Abilene", 11, 14, 126_785),
        ("Geant2012", 40, 61, 1_542_479),
        ("UsCarrier", 158, 189, 10_110_653),
    ];
    for (name, nodes, links, cost) in stated {
        let report = Report::compute(&real_network(name));
        let found = (report.nodes, report.links, report.baseline_total_cost);
        assert_eq!(found, (nodes, links, cost), "{name}");
        assert_eq!(report.topology, name);
        assert_eq!(report.links_by_impact.len(), links);
    }
}

#[test]
fn abilene_and_geant_are_exact() {
    for name in ["Abilene", "Geant2012"] {
        let network = real_network(name);
        assert_eq!(Report::compute(&network), slow::report(&network), "{name}");
    }
}

#[test]
#[ignore = "some minutes"]
fn us_carrier_and_kdl_are_exact() {
    for name in ["UsCarrier", "Kdl"] {
        let network = real_network(name);
        assert_eq!(Report::compute(&network), slow::report(&network), "{name}");
    }
}

#[test]
fn parts_give_the_same_bytes() {
    for (name, counts) in [
        ("Abilene", vec![1, 2, 3, 11, 500]),
        ("UsCarrier", vec![1, 7, part::DEFAULT_PARTS, 158]),
        ("Kdl", vec![part::DEFAULT_PARTS]),
    ] {
        let network = real_network(name);
        let whole = Report::compute(&network).to_json();
        for count in counts {
            assert_eq!(
                in_parts(&network, count).to_json(),
                whole,
                "{name}, {count} parts"
            );
        }
    }
}

#[test]
fn real_networks_make_enough_parts_for_many_hosts() {
    for name in ["UsCarrier", "Kdl"] {
        let network = real_network(name);
        assert_eq!(
            part::split(&network, part::DEFAULT_PARTS).count(),
            48,
            "{name}"
        );
    }
}

#[test]
fn the_empty_network_has_an_empty_result() {
    let network = Network::new("none".to_owned(), vec![], vec![]).expect("valid");
    let json =
        r#"{"topology":"none","nodes":0,"links":0,"baseline_total_cost":0,"links_by_impact":[]}"#;
    assert_eq!(Report::compute(&network).to_json(), json);
    assert_eq!(in_parts(&network, 48).to_json(), json);
}

/// Bridges and blocks hung together in a long chain: no recursion may be as deep.
#[test]
fn a_long_chain_is_no_danger() {
    let count = 3_000;
    let links = (1..count).map(|node| Link {
        source: node - 1,
        target: node,
        cost: 1,
    });
    let ids = (0..i64::from(count)).collect();
    let network = Network::new("chain".to_owned(), ids, links.collect()).expect("valid");
    let report = Report::compute(&network);
    let worst = &report.links_by_impact[0];
    assert_eq!(
        (worst.edge, worst.disconnected_pairs),
        (1_499, 1_500 * 1_500)
    );
    // Sum over the chain of distance times number of pairs at it: (n³ - n) / 6.
    assert_eq!(report.baseline_total_cost, (3_000_u64.pow(3) - 3_000) / 6);
}

/// Small multigraphs; few costs, so that equally short paths are common.
fn small_network() -> impl Strategy<Value = Network> {
    (1_u32..14).prop_flat_map(|nodes| {
        let link = (
            0..nodes,
            0..nodes,
            prop_oneof![4 => 1_u32..4, 1 => 1_u32..20_000],
        );
        let links = prop::collection::vec(link, 0..28);
        let first_id = -5_i64..5;
        (links, first_id).prop_map(move |(links, first_id)| {
            let ids = (0..i64::from(nodes))
                .map(|node| first_id + 3 * node)
                .collect();
            let links = links.into_iter().map(|(source, target, cost)| Link {
                source,
                target,
                cost,
            });
            Network::new("random".to_owned(), ids, links.collect()).expect("valid")
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_are_exact(network in small_network(), parts in 1_usize..9) {
        let expected = slow::report(&network);
        prop_assert_eq!(&Report::compute(&network), &expected);
        prop_assert_eq!(&in_parts(&network, parts), &expected);
    }
}
