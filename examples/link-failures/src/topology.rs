//! From a GML file to a [`Network`]: which node is which, and what a link costs.
//!
//! A node is its `id`; labels may repeat. Every edge is taken as undirected, whatever the
//! file's `directed` says. Links between the same two nodes are different links, and a
//! link from a node to itself is one that nothing depends on.

use std::collections::HashMap;

use crate::gml::{self, Entry, Fault, GmlError, Value};
use crate::network::{Link, MAX_LINKS, MAX_NODES, Network};

/// Mean radius of the Earth in km.
const EARTH_RADIUS_KM: f64 = 6371.0088;
/// Cost of a link one of whose ends has no coordinates.
const UNPLACED_COST: u32 = 100;
/// Longest name of a network that is kept, in characters.
const MAX_NAME_LENGTH: usize = 255;

/// A place on Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// North of the equator, -90 to 90.
    pub latitude: f64,
    /// East of Greenwich, -360 to 360 (some files count eastward all the way round).
    pub longitude: f64,
}

/// What a file says about a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// What the computation needs.
    pub network: Network,
    /// Label of each node id that has one, for people.
    pub labels: HashMap<i64, String>,
}

/// Reads a GML file.
pub fn topology_read(document: &[u8]) -> Result<Topology, GmlError> {
    let entries = gml::parse(document)?;
    let mut graphs = entries.iter().filter(|entry| entry.key == "graph");
    let graph = graphs.next().ok_or_else(|| Fault::NoGraph.at(1))?;
    if let Some(second) = graphs.next() {
        return Err(Fault::SecondGraph.at(second.line));
    }
    let content = list_of(graph)?;
    let nodes = nodes_read(content)?;
    let links = links_read(content, &nodes)?;
    let labels = nodes
        .iter()
        .filter_map(|node| Some((node.id, node.label.clone()?)))
        .collect();
    let ids = nodes.iter().map(|node| node.id).collect();
    let network = Network::new(name_of(content), ids, links)
        .map_err(|error| Fault::from(error).at(graph.line))?;
    Ok(Topology { network, labels })
}

/// Cost of a link: great-circle distance in km, rounded half up, at least 1.
pub fn link_cost(one: Option<Place>, other: Option<Place>) -> u32 {
    let (Some(one), Some(other)) = (one, other) else {
        return UNPLACED_COST;
    };
    let (lat1, lat2) = (one.latitude.to_radians(), other.latitude.to_radians());
    let half_lat = (lat2 - lat1) / 2.0;
    let half_lon = (other.longitude - one.longitude).to_radians() / 2.0;
    let chord = half_lat.sin().powi(2) + lat1.cos() * lat2.cos() * half_lon.sin().powi(2);
    // Rounding may carry antipodes a hair above 1, where there is no arc sine.
    let kilometres = 2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin();
    kilometres_rounded(kilometres).max(1)
}

/// Rounds half up a distance that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no two places are further apart than 20,016 km"
)]
fn kilometres_rounded(kilometres: f64) -> u32 {
    kilometres.round() as u32
}

/// A node as the file has it.
struct Node {
    id: i64,
    line: usize,
    label: Option<String>,
    place: Option<Place>,
}

fn nodes_read(graph: &[Entry]) -> Result<Vec<Node>, GmlError> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut first_lines: HashMap<i64, usize> = HashMap::new();
    for entry in graph.iter().filter(|entry| entry.key == "node") {
        if nodes.len() == MAX_NODES {
            return Err(Fault::TooManyNodes.at(entry.line));
        }
        let node = node_read(entry)?;
        if let Some(first) = first_lines.insert(node.id, node.line) {
            return Err(Fault::NodeTwice { id: node.id, first }.at(node.line));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn node_read(entry: &Entry) -> Result<Node, GmlError> {
    let list = list_of(entry)?;
    let (id, line) = integer_of(list, "node", "id", entry.line)?;
    let label = list.iter().find_map(|entry| match &entry.value {
        Value::Text(text) if entry.key == "label" => Some(text.clone()),
        _ => None,
    });
    let latitude = degrees_of(list, "Latitude", 90)?;
    let longitude = degrees_of(list, "Longitude", 360)?;
    let place = latitude.zip(longitude).map(|(latitude, longitude)| Place {
        latitude,
        longitude,
    });
    Ok(Node {
        id,
        line,
        label,
        place,
    })
}

fn links_read(graph: &[Entry], nodes: &[Node]) -> Result<Vec<Link>, GmlError> {
    let positions: HashMap<i64, u32> = nodes.iter().map(|node| node.id).zip(0..).collect();
    let mut links = Vec::new();
    for entry in graph.iter().filter(|entry| entry.key == "edge") {
        if links.len() == MAX_LINKS {
            return Err(Fault::TooManyLinks.at(entry.line));
        }
        let list = list_of(entry)?;
        let end = |key: &'static str| {
            let (id, line) = integer_of(list, "edge", key, entry.line)?;
            let position = positions.get(&id).copied();
            position.ok_or_else(|| Fault::NoSuchNode { end: key, id }.at(line))
        };
        let (source, target) = (end("source")?, end("target")?);
        let place = |position: u32| nodes[position as usize].place;
        links.push(Link {
            source,
            target,
            cost: link_cost(place(source), place(target)),
        });
    }
    Ok(links)
}

/// What the graph is called: its `label`, else `Network`, else `name`, else nothing.
fn name_of(graph: &[Entry]) -> String {
    let named = |key: &str| {
        graph.iter().find_map(|entry| match &entry.value {
            Value::Text(text) if entry.key == key && !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        })
    };
    let name = named("label")
        .or_else(|| named("Network"))
        .or_else(|| named("name"));
    name.unwrap_or_default()
        .chars()
        .take(MAX_NAME_LENGTH)
        .collect()
}

fn list_of(entry: &Entry) -> Result<&[Entry], GmlError> {
    match &entry.value {
        Value::List(list) => Ok(list),
        _ => Err(wrong_kind(entry, "a list in brackets")),
    }
}

/// The entry of that key, which may stand at most once.
fn only<'a>(
    list: &'a [Entry],
    list_name: &'static str,
    key: &'static str,
) -> Result<Option<&'a Entry>, GmlError> {
    let mut found = list.iter().filter(|entry| entry.key == key);
    let first = found.next();
    match (first, found.next()) {
        (Some(first), Some(second)) => Err(Fault::GivenTwice {
            list: list_name,
            key,
            first: first.line,
        }
        .at(second.line)),
        _ => Ok(first),
    }
}

/// A required whole number and its line.
fn integer_of(
    list: &[Entry],
    list_name: &'static str,
    key: &'static str,
    line: usize,
) -> Result<(i64, usize), GmlError> {
    let missing = || {
        Fault::Missing {
            list: list_name,
            key,
        }
        .at(line)
    };
    let entry = only(list, list_name, key)?.ok_or_else(missing)?;
    match entry.value {
        Value::Integer(number) => Ok((number, entry.line)),
        _ => Err(wrong_kind(entry, "a whole number")),
    }
}

/// A coordinate within `limit` degrees of zero, where there is one.
fn degrees_of(list: &[Entry], key: &'static str, limit: u16) -> Result<Option<f64>, GmlError> {
    let Some(entry) = only(list, "node", key)? else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "out of range long before it is lost"
    )]
    let degrees = match entry.value {
        Value::Real(number) => number,
        Value::Integer(number) => number as f64,
        _ => return Err(wrong_kind(entry, "a number of degrees")),
    };
    if degrees.abs() > f64::from(limit) {
        return Err(Fault::OutOfRange { key, limit }.at(entry.line));
    }
    Ok(Some(degrees))
}

fn wrong_kind(entry: &Entry, expected: &'static str) -> GmlError {
    Fault::WrongKind {
        key: entry.key.clone(),
        expected,
    }
    .at(entry.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up() {
        let rounded = [
            (0.5, 1),
            (1.5, 2),
            (2.5, 3),
            (20_014.5, 20_015),
            (2.499_999_999, 2),
        ];
        for (kilometres, cost) in rounded {
            assert_eq!(kilometres_rounded(kilometres), cost, "{kilometres} km");
        }
    }
}
