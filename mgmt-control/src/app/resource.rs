//! Elements and Hosts, as people see them.

use gridmart_schemas::{
    api::resource::{Description, ResourceRow, ResourceView},
    id::NodeId,
    problem::{Code, Problem},
    resource::{Document as _, ce::ComputingElement, enumeration::HealthState, host::ComputeHost},
    role::NodeKind,
    wire::control_element::Deployment,
};

use super::{
    Control,
    applied::{Target, pending_names},
};
use crate::catalogue::{View, node::Node};

/// What is shown while a node has not been heard since the start.
const NOT_HEARD: &str = "unknown";

/// Lists Elements and Hosts that are not revoked.
pub fn resource_list(control: &Control, kind: Option<NodeKind>) -> Vec<ResourceRow> {
    let view = control.catalogue.view();
    view.catalogue
        .nodes
        .values()
        .filter(|node| !node.revoked && kind.is_none_or(|kind| node.kind == kind))
        .map(|node| row(&view, node))
        .collect()
}

/// Shows one, by id or name.
pub fn resource_view(control: &Control, text: &str) -> Result<ResourceView, Problem> {
    let view = control.catalogue.view();
    let node = view.resource(text)?;
    let (deployments, applied_generation) = told(&view, &node);
    Ok(ResourceView {
        row: row(&view, &node),
        wish: node.wish,
        applied_generation,
        deployments,
        description: description(&view, &node)?,
    })
}

/// Its document, State as last heard.
pub fn resource_xml(control: &Control, text: &str) -> Result<String, Problem> {
    let view = control.catalogue.view();
    let node = view.resource(text)?;
    Ok(match description(&view, &node)? {
        Description::ComputingElement(element) => element.to_xml(),
        Description::ComputeHost(host) => host.to_xml(),
    })
}

fn told(view: &View, node: &Node) -> (Vec<Deployment>, u64) {
    let of_element = view
        .element_observed(node.id)
        .map(|told| (told.deployments.clone(), told.applied));
    let of_host = || {
        view.host_observed(node.id)
            .map(|told| (told.deployments.clone(), told.applied))
    };
    of_element.or_else(of_host).unwrap_or_default()
}

fn description(view: &View, node: &Node) -> Result<Description, Problem> {
    let silent = || {
        Problem::new(
            Code::NotFound,
            format!("{} has joined, but has not told of itself yet.", node.name),
        )
    };
    if node.kind == NodeKind::ComputingElement {
        let known = view.catalogue.elements.get(&node.id).ok_or_else(silent)?;
        let state = view
            .element_observed(node.id)
            .and_then(|observed| observed.state.clone());
        Ok(Description::ComputingElement(ComputingElement {
            state,
            ..known.description.clone()
        }))
    } else {
        let known = view.catalogue.hosts.get(&node.id).ok_or_else(silent)?;
        let state = view
            .host_observed(node.id)
            .and_then(|observed| observed.state.clone());
        Ok(Description::ComputeHost(ComputeHost {
            state,
            ..known.description.clone()
        }))
    }
}

/// The numbers of a row: facts only while they are fresh.
#[derive(Default)]
struct Numbers {
    serving_state: Option<String>,
    health_state: Option<HealthState>,
    connected: bool,
    age_seconds: Option<u64>,
    total_slots: Option<u32>,
    free_slots: Option<u32>,
    running_jobs: Option<u32>,
}

fn row(view: &View, node: &Node) -> ResourceRow {
    let is_host = node.kind == NodeKind::ComputeHost;
    let numbers = if is_host {
        host_numbers(view, node.id)
    } else {
        element_numbers(view, node.id)
    };
    let target = if is_host {
        Target::Host(node.id)
    } else {
        Target::Element(node.id)
    };
    // What was heard last is shown; that it is well is not believed any more.
    let health = numbers
        .health_state
        .filter(|_| numbers.connected)
        .unwrap_or(HealthState::Unknown);
    ResourceRow {
        id: node.id,
        kind: node.kind,
        name: node.name.clone(),
        domain: node.domain.clone(),
        element: is_host.then_some(node.parent),
        serving_state: numbers
            .serving_state
            .unwrap_or_else(|| NOT_HEARD.to_owned()),
        health_state: health.to_string(),
        connected: numbers.connected,
        age_seconds: numbers.age_seconds,
        desired: node.wish.desired,
        pending: !pending_names(view, target).is_empty(),
        total_slots: numbers.total_slots,
        free_slots: numbers.free_slots,
        running_jobs: numbers.running_jobs,
    }
}

fn element_numbers(view: &View, id: NodeId) -> Numbers {
    let Some(observed) = view.element_observed(id) else {
        return Numbers::default();
    };
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(view.now);
    Numbers {
        serving_state: last.map(|state| state.common.serving_state.to_string()),
        health_state: last.map(|state| state.common.health_state),
        connected: fresh.is_some(),
        age_seconds: Some(observed.age(view.now).as_secs()),
        total_slots: fresh.map(|state| state.total_slots),
        free_slots: fresh.map(|state| state.free_job_slots),
        running_jobs: fresh.map(|state| state.running_jobs),
    }
}

fn host_numbers(view: &View, id: NodeId) -> Numbers {
    let Some(observed) = view.host_observed(id) else {
        return Numbers::default();
    };
    let element = view.element_observed(observed.element).map(AsRef::as_ref);
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(element, view.now);
    Numbers {
        serving_state: last.map(|state| state.common.serving_state.to_string()),
        health_state: last.map(|state| state.common.health_state),
        connected: fresh.is_some(),
        age_seconds: observed.age(element, view.now).map(|age| age.as_secs()),
        total_slots: fresh.map(|state| state.total_slots),
        free_slots: fresh.map(|state| state.free_job_slots),
        running_jobs: fresh.map(|state| state.running_jobs),
    }
}
