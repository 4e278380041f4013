//! The whole supermarket as a picture needs it.

use std::collections::BTreeMap;

use gridmart_schemas::{
    api::topology::{TopologyElement, TopologyHosts, TopologyView},
    id::{Digest, NodeId},
};

use super::resource::Present;
use crate::catalogue::{View, node::Node};

/// Controller, domains, Elements, Hosts, and the applications on them.
pub fn topology_view(view: &View, controller: NodeId) -> TopologyView {
    let mut elements: Vec<&Node> = view
        .catalogue
        .nodes
        .values()
        .map(AsRef::as_ref)
        .filter(|node: &&Node| node.kind.is_element() && !node.revoked)
        .collect();
    elements.sort_by(|one, other| (&one.domain, &one.name).cmp(&(&other.domain, &other.name)));
    let mut domains = Numbered::default();
    let mut applications = Numbered::default();
    let mut hosts = TopologyHosts::default();
    let elements = elements
        .into_iter()
        .map(|node| {
            let first = hosts.ids.len();
            add_hosts(view, node, &mut hosts, &mut applications);
            TopologyElement {
                id: node.id,
                kind: node.kind,
                name: node.name.clone(),
                domain: domains.place(&node.domain),
                condition: Present::of(view, node).condition(),
                first_host: count(first),
                hosts: count(hosts.ids.len() - first),
            }
        })
        .collect();
    let names = |digest: &Digest| {
        let known = view.catalogue.applications.get(digest);
        known.map_or_else(
            || digest.to_string(),
            |known| format!("{}@{}", known.name, known.version),
        )
    };
    TopologyView {
        controller,
        domains: domains.into_list(),
        applications: applications.into_list().iter().map(names).collect(),
        elements,
        hosts,
    }
}

fn add_hosts(
    view: &View,
    element: &Node,
    hosts: &mut TopologyHosts,
    applications: &mut Numbered<Digest>,
) {
    let mut members: Vec<_> = view.catalogue.live_hosts_of(element.id).collect();
    members.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    for (node, _) in members {
        let present = Present::of(view, node);
        let used = used_percent(
            present.total_slots.map(u64::from),
            present.free_slots.map(u64::from),
        );
        let used = used.or_else(|| used_percent(present.total_bytes, present.free_bytes));
        let told = view.host_observed(node.id);
        let on_it = told.map(|told| told.deployments.as_slice());
        hosts.ids.push(node.id);
        hosts.names.push(node.name.clone());
        hosts.conditions.push(present.condition());
        hosts.used_percent.push(used);
        hosts.applications.push(
            on_it
                .unwrap_or_default()
                .iter()
                .map(|deployment| applications.place(&deployment.digest))
                .collect(),
        );
    }
}

fn used_percent(total: Option<u64>, free: Option<u64>) -> Option<u8> {
    let (total, free) = (total?, free?);
    let used = u128::from(total.saturating_sub(free)) * 100;
    u8::try_from(used.checked_div(u128::from(total))?).ok()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Names that are told once, and named by their place afterwards.
struct Numbered<T>(BTreeMap<T, u32>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord + Clone> Numbered<T> {
    fn place(&mut self, name: &T) -> u32 {
        if let Some(place) = self.0.get(name) {
            return *place;
        }
        let place = count(self.0.len());
        self.0.insert(name.clone(), place);
        place
    }

    fn into_list(self) -> Vec<T> {
        let mut list: Vec<(u32, T)> = self.0.into_iter().map(|(name, at)| (at, name)).collect();
        list.sort_by_key(|(at, _)| *at);
        list.into_iter().map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{role::Desired, wire::control_element::Deployment};

    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample};

    #[test]
    fn every_host_stands_with_its_element() {
        let mut sample = Sample::default();
        let (one, two) = (
            sample.element("ce-1", "lab", 1),
            sample.element("ce-2", "lab", 1),
        );
        let digest = sample.application("hello", "1", None);
        for (element, name) in [(two, "b"), (one, "c"), (two, "a")] {
            let host = sample.host(element, name, HostFacts::default());
            sample.hear_host(host, |heard| {
                heard.deployments = vec![Deployment {
                    digest: digest.clone(),
                    state: "installedverified".to_owned(),
                    generation: 1,
                    serving: Desired::Production,
                    reason: None,
                }];
            });
        }
        let told = topology_view(&sample.raw_view(), NodeId::generate());
        assert_eq!(told.domains, ["lab"]);
        assert_eq!(told.applications, ["hello@1"]);
        assert_eq!(told.hosts.names, ["c", "a", "b"]);
        assert_eq!(told.hosts.used_percent, [Some(0); 3]);
        assert_eq!(told.hosts.applications, [[0], [0], [0]]);
        let places: Vec<_> = told
            .elements
            .iter()
            .map(|element| (element.name.as_str(), element.first_host, element.hosts))
            .collect();
        assert_eq!(places, [("ce-1", 0, 1), ("ce-2", 1, 2)]);
    }
}
