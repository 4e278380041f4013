//! What should be on an Element: computed whole from the catalogue, so that
//! it is the same however often it is computed.

use gridmart_fabric::need::manifest_needs;
use gridmart_fabric::rule::{self, Subject};
use gridmart_schemas::{
    id::NodeId,
    resource::enumeration::AeKind,
    role::{NodeKind, Operation, Role},
    wire::desired::{ApplicationWish, ElementDesired, HostWish, PersonRole, Wish},
};
use time::OffsetDateTime;

use super::{
    fit::{self, Ground},
    verdict::Failed,
};
use crate::catalogue::{
    Snapshot,
    application::Application,
    node::{Element, Host, Node},
};

/// All that should be in an Element's pool.
pub fn element_desired(catalogue: &Snapshot, id: NodeId, now: OffsetDateTime) -> ElementDesired {
    let wish = catalogue
        .nodes
        .get(&id)
        .map_or_else(Wish::default, |node| node.wish);
    let hosts = catalogue
        .live_hosts_of(id)
        .filter_map(|(node, _)| host_wish(catalogue, node))
        .collect();
    let applications = match (catalogue.nodes.get(&id), catalogue.elements.get(&id)) {
        (Some(node), Some(element)) => offered(catalogue, node, element),
        _ => Vec::new(),
    };
    // A certificate that has run out is refused anyway, so the list is bounded.
    let revoked = catalogue
        .revoked
        .iter()
        .filter_map(|id| catalogue.nodes.get(id))
        .filter(|node| node.not_after > now)
        .map(|node| node.id)
        .collect();
    ElementDesired {
        wish,
        hosts,
        applications,
        revoked,
        people: people(catalogue, id),
    }
}

/// Whoever may sign in, for an Element that knows people's own keys.
fn people(catalogue: &Snapshot, id: NodeId) -> Vec<PersonRole> {
    let kind = catalogue.nodes.get(&id).map(|node| node.kind);
    let knows_keys = [NodeKind::StorageElement, NodeKind::DataElement].map(Some);
    if !knows_keys.contains(&kind) {
        return Vec::new();
    }
    catalogue
        .people
        .values()
        .filter(|person| person.enabled)
        .map(|person| PersonRole {
            name: person.name.clone(),
            role: person.role,
            domain: person.domain.clone(),
        })
        .collect()
}

fn host_wish(catalogue: &Snapshot, node: &Node) -> Option<HostWish> {
    let apart = catalogue.host_wishes.get(&node.id);
    let applications: Vec<ApplicationWish> = apart
        .into_iter()
        .flatten()
        .filter_map(|(digest, wish)| Some(catalogue.applications.get(digest)?.to_wish(*wish)))
        .collect();
    let told = node.wish != Wish::default() || !applications.is_empty();
    told.then_some(HostWish {
        host: node.id,
        wish: node.wish,
        applications,
    })
}

fn offered(catalogue: &Snapshot, node: &Node, element: &Element) -> Vec<ApplicationWish> {
    catalogue
        .applications
        .values()
        .filter(|application| {
            takes(catalogue, element, application) && fits(catalogue, node, element, application)
        })
        .map(|application| application.to_wish(application.wish))
        .collect()
}

/// An Element that says who may upload to it takes nothing from others; one
/// that says nothing of uploads leaves it to the controller.
fn takes(catalogue: &Snapshot, element: &Element, application: &Application) -> bool {
    let rules = &element.description.access().rules;
    let restricted = rules.iter().any(|rule| {
        rule.operations
            .as_ref()
            .is_some_and(|operations| operations.contains(&Operation::Upload))
    });
    if !restricted {
        return true;
    }
    let owner = catalogue.people.get(&application.owner);
    let subject = Subject {
        person: &application.owner,
        role: owner.map_or(Role::Viewer, |owner| owner.role),
        domain: owner.and_then(|owner| owner.domain.as_deref()),
        application: Some(&application.name),
    };
    rule::evaluate(rules, &subject, Operation::Upload, None).allowed
}

/// Whether a Host of the Element is what the application needs.
pub fn fits(
    catalogue: &Snapshot,
    node: &Node,
    element: &Element,
    application: &Application,
) -> bool {
    if application.manifest.info.kind != AeKind::Task {
        return false;
    }
    let needs = manifest_needs(&application.manifest.needs);
    let ground = Ground {
        catalogue,
        application: Some(application),
        node,
        element,
    };
    let hosts: Vec<&Host> = catalogue
        .live_hosts_of(node.id)
        .map(|(_, host)| host.as_ref())
        .collect();
    let mut failed = Failed::default();
    for need in needs.iter().filter(|need| need.is_of_element()) {
        fit::check_element(&ground, &hosts, need, &mut failed);
    }
    failed.is_none()
        && hosts.iter().any(|host| {
            let mut failed = Failed::default();
            for need in needs.iter().filter(|need| !need.is_of_element()) {
                fit::check_host(&ground, host, need, &mut failed);
            }
            failed.is_none()
        })
}
