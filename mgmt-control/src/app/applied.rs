//! Applied or pending: which nodes have not made a recorded wish true yet.

use std::time::Duration;

use gridmart_schemas::id::{Digest, NodeId};

use super::Control;
use crate::{
    access::deployment::fits,
    catalogue::{View, application::Application},
};

/// What a wish was recorded for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An Element.
    Element(NodeId),
    /// A Host.
    Host(NodeId),
    /// An application version, wherever it is.
    Application(Digest),
    /// An application version on one Host.
    ApplicationOnHost(Digest, NodeId),
}

/// Waits until all nodes concerned have applied the present wishes, or those
/// that have not are away, or the time is over. Names those that have not.
pub async fn wait_applied(control: &Control, targets: &[Target], limit: Duration) -> Vec<String> {
    let mut changes = control.catalogue.observed.changes();
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let view = control.catalogue.view();
        let waiting = pending(&view, targets);
        let hopeless = waiting.iter().all(|node| !node.reachable);
        let over = tokio::time::timeout_at(deadline, async {
            if hopeless {
                return false;
            }
            changes.changed().await.is_ok()
        });
        if !over.await.unwrap_or(false) {
            return names(&view, &waiting);
        }
    }
}

/// The names of nodes that have not applied a wish for this target.
pub fn pending_names(view: &View, target: Target) -> Vec<String> {
    names(view, &pending(view, &[target]))
}

fn names(view: &View, waiting: &[Waiting]) -> Vec<String> {
    let mut names: Vec<String> = waiting.iter().map(|node| view.name_of(node.node)).collect();
    names.sort();
    names.dedup();
    names
}

struct Waiting {
    node: NodeId,
    reachable: bool,
}

fn pending(view: &View, targets: &[Target]) -> Vec<Waiting> {
    targets
        .iter()
        .flat_map(|target| pending_of(view, target))
        .collect()
}

fn pending_of(view: &View, target: &Target) -> Vec<Waiting> {
    let catalogue = &view.catalogue;
    let wish_of = |id: NodeId| {
        catalogue
            .nodes
            .get(&id)
            .map_or(0, |node| node.wish.generation)
    };
    match target {
        Target::Element(id) => {
            let applied = view
                .element_observed(*id)
                .map_or(0, |element| element.applied);
            waiting(applied < wish_of(*id), *id, element_connected(view, *id))
        }
        Target::Host(id) => {
            let applied = view.host_observed(*id).map_or(0, |host| host.applied);
            waiting(applied < wish_of(*id), *id, host_connected(view, *id))
        }
        Target::Application(digest) => {
            let Some(application) = catalogue.applications.get(digest) else {
                return Vec::new();
            };
            let elements = catalogue
                .live_computing_elements()
                .filter(|(node, element)| fits(catalogue, node, element, application))
                .filter(|(node, _)| {
                    recorded(view, node.id, application) < application.wish.generation
                })
                .map(|(node, _)| Waiting {
                    node: node.id,
                    reachable: element_connected(view, node.id),
                });
            let hosts = view
                .observed
                .hosts
                .keys()
                .filter(|id| !host_applied(view, application, **id))
                .map(|id| Waiting {
                    node: *id,
                    reachable: host_connected(view, *id),
                });
            elements.chain(hosts).collect()
        }
        Target::ApplicationOnHost(digest, host) => {
            let Some(application) = catalogue.applications.get(digest) else {
                return Vec::new();
            };
            let known = host_generation(view, application, *host).is_some();
            // A Host that does not hold it applies it by knowing of it.
            let applied = if known {
                host_applied(view, application, *host)
            } else {
                host_connected(view, *host)
            };
            waiting(!applied, *host, host_connected(view, *host))
        }
    }
}

fn waiting(is_waiting: bool, node: NodeId, reachable: bool) -> Vec<Waiting> {
    if is_waiting {
        vec![Waiting { node, reachable }]
    } else {
        Vec::new()
    }
}

pub(super) fn element_connected(view: &View, id: NodeId) -> bool {
    view.element_observed(id)
        .is_some_and(|element| element.connected)
}

fn host_connected(view: &View, id: NodeId) -> bool {
    view.host_observed(id)
        .is_some_and(|host| host.connected && element_connected(view, host.element))
}

fn recorded(view: &View, element: NodeId, application: &Application) -> u64 {
    view.element_observed(element)
        .and_then(|element| element.recorded_wish(application))
        .map_or(0, |recorded| recorded.wish.generation)
}

/// The generation that a Host has applied for an application that it holds.
fn host_generation(view: &View, application: &Application, host: NodeId) -> Option<u64> {
    let deployments = &view.host_observed(host)?.deployments;
    let told = deployments
        .iter()
        .find(|told| told.digest == application.digest)?;
    Some(told.generation)
}

fn host_applied(view: &View, application: &Application, host: NodeId) -> bool {
    let wanted = view.catalogue.wish_on_host(application, host).generation;
    host_generation(view, application, host).is_none_or(|applied| applied >= wanted)
}
