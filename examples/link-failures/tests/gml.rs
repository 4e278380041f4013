//! GML files as they come: quirks that must be survived, faults that must be named.

#![allow(clippy::expect_used, reason = "what fails in a helper fails the test")]

use link_failures::gml::parse;
use link_failures::topology::{Place, Topology, link_cost, topology_read};
use proptest::prelude::*;

fn read(text: &str) -> Topology {
    topology_read(text.as_bytes()).expect("well formed")
}

fn fault_of(text: &str) -> String {
    topology_read(text.as_bytes())
        .expect_err("malformed")
        .to_string()
}

#[expect(clippy::unnecessary_wraps, reason = "as links have them")]
fn place(latitude: f64, longitude: f64) -> Option<Place> {
    Some(Place {
        latitude,
        longitude,
    })
}

/// Two places on one meridian so far apart.
fn cost_of_kilometres(kilometres: f64) -> u32 {
    link_cost(
        place(0.0, 10.0),
        place((kilometres / 6371.0088).to_degrees(), 10.0),
    )
}

#[test]
fn costs_are_rounded_half_up_and_at_least_one() {
    let rounded = [
        (0.0, 1),
        (0.4, 1),
        (1.499_999, 1),
        (1.500_001, 2),
        (2.499_999, 2),
        (2.500_001, 3),
        (1_000.499_9, 1_000),
        (1_000.500_1, 1_001),
    ];
    for (kilometres, cost) in rounded {
        assert_eq!(cost_of_kilometres(kilometres), cost, "{kilometres} km");
    }
}

#[test]
fn costs_are_great_circle_distances() {
    // Half round the Earth, in whatever way the antipodes are written.
    for (one, other) in [
        (place(90.0, 0.0), place(-90.0, 77.0)),
        (place(0.0, -90.0), place(0.0, 90.0)),
        (place(33.3, 12.0), place(-33.3, -168.0)),
    ] {
        assert_eq!(link_cost(one, other), 20_015);
    }
    // New York to Chicago, and the short way over the date line.
    assert_eq!(
        link_cost(place(40.71427, -74.00597), place(41.85003, -87.65005)),
        1_146
    );
    assert_eq!(link_cost(place(0.0, 179.5), place(0.0, -179.5)), 111);
    assert_eq!(link_cost(place(0.0, 359.5), place(0.0, 0.5)), 111);
}

#[test]
fn a_missing_coordinate_costs_one_hundred() {
    assert_eq!(link_cost(place(1.0, 1.0), None), 100);
    assert_eq!(link_cost(None, None), 100);
    let half = "graph [ node [ id 1 Latitude 5.0 ] node [ id 2 Latitude 5.0 Longitude 6 ] edge [ source 1 target 2 ] ]";
    assert_eq!(read(half).network.links()[0].cost, 100);
}

#[test]
fn nodes_are_ids_and_links_keep_their_order() {
    let topology = read(
        "# made by hand\nCreator \"x\"\ngraph [\n directed 1\n label \" Two Names \"\n\
         edge [ source 30 target 7 ]\n node [ id 7 label \"same\" ]\n node [ id 30 label \"same\" ]\n\
         edge [ target 30 source 7 LinkLabel \"parallel\" ] edge [ source 7 target 7 ] ]",
    );
    let network = &topology.network;
    assert_eq!((network.name(), network.ids()), ("Two Names", &[7, 30][..]));
    let ends: Vec<_> = network
        .links()
        .iter()
        .map(|link| (link.source, link.target))
        .collect();
    assert_eq!(ends, [(1, 0), (0, 1), (0, 0)]);
    assert_eq!(topology.labels[&7], topology.labels[&30]);
}

#[test]
fn a_network_is_called_by_its_label_or_else_by_what_there_is() {
    let name = |inside: &str| {
        read(&format!("graph [ {inside} ]"))
            .network
            .name()
            .to_owned()
    };
    assert_eq!(name("name \"c\" Network \"b\" label \"a\""), "a");
    assert_eq!(name("name \"c\" Network \"b\" label \"\""), "b");
    assert_eq!(name("name \"c\""), "c");
    assert_eq!(name(""), "");
}

#[test]
fn what_makes_no_network_names_the_line() {
    let cases = [
        ("", "line 1: ", "no \"graph"),
        ("graph 5", "line 1: ", "list in brackets"),
        ("graph [ ]\ngraph [ ]", "line 2: ", "second graph"),
        ("graph [\nnode 5 ]", "line 2: ", "list in brackets"),
        (
            "graph [\nnode [ label \"x\" ] ]",
            "line 2: ",
            "node has no \"id\"",
        ),
        ("graph [\nnode [\nid \"x\" ] ]", "line 3: ", "whole number"),
        ("graph [ node [ id 1\nid 2 ] ]", "line 2: ", "twice"),
        (
            "graph [ node [ id 1 ]\nnode [ id 1 ] ]",
            "line 2: ",
            "id 1 is used twice, first on line 1",
        ),
        (
            "graph [ node [ id 1\nLatitude 90.5 ] ]",
            "line 2: ",
            "-90 and 90",
        ),
        (
            "graph [ node [ id 1\nLongitude -361 ] ]",
            "line 2: ",
            "-360 and 360",
        ),
        (
            "graph [ node [ id 1\nLatitude \"north\" ] ]",
            "line 2: ",
            "number of degrees",
        ),
        (
            "graph [ node [ id 1 ]\n\nedge [ source 1 ] ]",
            "line 3: ",
            "edge has no \"target\"",
        ),
        (
            "graph [ node [ id 1 ]\nedge [ source 1\ntarget 2 ] ]",
            "line 3: ",
            "target 2 is not",
        ),
        (
            "graph [ node [ id 1 ]\nedge [ source 1.5 target 1 ] ]",
            "line 2: ",
            "whole number",
        ),
        ("graph [\nnode [ id 0\n", "line 3: ", "opened on line 2"),
    ];
    for (text, line, words) in cases {
        let fault = fault_of(text);
        assert!(
            fault.starts_with(line) && fault.contains(words),
            "{text:?}: {fault}"
        );
    }
}

#[test]
fn too_many_nodes_are_refused_where_they_are_too_many() {
    let nodes: Vec<_> = (0..=20_000)
        .map(|id| format!("node [ id {id} ]\n"))
        .collect();
    let nodes = nodes.concat();
    assert!(fault_of(&format!("graph [\n{nodes}]")).starts_with("line 20002: more than 20000"));
}

fn abilene() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/Abilene.gml")).expect("in the tree")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = topology_read(&bytes);
    }

    #[test]
    fn random_tokens_never_panic(tokens in prop::collection::vec(
        prop::sample::select(vec![
            "graph", "node", "edge", "id", "source", "target", "Latitude", "[", "]", "1", "2",
            "-1.5e3", "+", ".", "\"", "\"&#x41;\"", "&", "#", "\n", "99999999999999999999",
        ]), 0..80)) {
        let _ = topology_read(tokens.join(" ").as_bytes());
    }

    #[test]
    fn damaged_files_never_panic_and_faults_lie_within(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let mut file = abilene();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if truncate {
            file.truncate(cut.index(file.len()));
        }
        let lines = file.split(|&byte| byte == b'\n').count();
        if let Err(error) = topology_read(&file) {
            prop_assert!((1..=lines).contains(&error.line), "{}", error);
        }
    }

    #[test]
    fn strings_come_back(text in "[^\"&\u{0}]{0,40}") {
        let file = format!("key \"{text}\"");
        let entries = parse(file.as_bytes()).expect("well formed");
        prop_assert_eq!(&entries[0].value, &link_failures::gml::Value::Text(text));
    }
}
