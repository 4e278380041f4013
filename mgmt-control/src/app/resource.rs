//! Elements and Hosts, as people see them.

use gridmart_schemas::{
    api::resource::{Description, ResourceRow, ResourceView},
    id::NodeId,
    problem::{Code, Problem},
    resource::{
        any::{AnyElementState, AnyHostState},
        enumeration::HealthState,
    },
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
    Ok(description(&view, &node)?.to_xml())
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
    if node.kind.is_host() {
        let known = view.catalogue.hosts.get(&node.id).ok_or_else(silent)?;
        let mut host = known.description.clone();
        let observed = view.host_observed(node.id);
        if let Some(state) = observed.and_then(|observed| observed.state.clone()) {
            // A State of another kind would have been refused when it came.
            let _ = host.set_state(state);
        }
        return Ok(host.into());
    }
    let known = view.catalogue.elements.get(&node.id).ok_or_else(silent)?;
    let mut element = known.description.clone();
    let observed = view.element_observed(node.id);
    if let Some(state) = observed.and_then(|observed| observed.state.clone()) {
        let _ = element.set_state(state);
    }
    Ok(element.into())
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
    total_bytes: Option<u64>,
    free_bytes: Option<u64>,
}

fn row(view: &View, node: &Node) -> ResourceRow {
    let is_host = node.kind.is_host();
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
        total_bytes: numbers.total_bytes,
        free_bytes: numbers.free_bytes,
    }
}

fn element_numbers(view: &View, id: NodeId) -> Numbers {
    let Some(observed) = view.element_observed(id) else {
        return Numbers::default();
    };
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(view.now);
    let numbers = Numbers {
        serving_state: last.map(|state| state.common().serving_state.to_string()),
        health_state: last.map(|state| state.common().health_state),
        connected: fresh.is_some(),
        age_seconds: Some(observed.age(view.now).as_secs()),
        ..Numbers::default()
    };
    match fresh {
        None => numbers,
        Some(AnyElementState::Computing(state)) => Numbers {
            total_slots: Some(state.total_slots),
            free_slots: Some(state.free_job_slots),
            running_jobs: Some(state.running_jobs),
            ..numbers
        },
        Some(AnyElementState::Storage(state)) => Numbers {
            total_bytes: Some(state.total_online_size),
            free_bytes: Some(state.free_online_size),
            ..numbers
        },
        Some(AnyElementState::Data(state)) => Numbers {
            total_bytes: state.total_size,
            free_bytes: state
                .total_size
                .zip(state.used_size)
                .map(|(total, used)| total.saturating_sub(used)),
            running_jobs: Some(state.running_requests),
            ..numbers
        },
    }
}

fn host_numbers(view: &View, id: NodeId) -> Numbers {
    let Some(observed) = view.host_observed(id) else {
        return Numbers::default();
    };
    let element = view.element_observed(observed.element).map(AsRef::as_ref);
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(element, view.now);
    let numbers = Numbers {
        serving_state: last.map(|state| state.common().serving_state.to_string()),
        health_state: last.map(|state| state.common().health_state),
        connected: fresh.is_some(),
        age_seconds: observed.age(element, view.now).map(|age| age.as_secs()),
        ..Numbers::default()
    };
    match fresh {
        None => numbers,
        Some(AnyHostState::Compute(state)) => Numbers {
            total_slots: Some(state.total_slots),
            free_slots: Some(state.free_job_slots),
            running_jobs: Some(state.running_jobs),
            ..numbers
        },
        Some(AnyHostState::Storage(state)) => {
            let free = state.available_space();
            Numbers {
                total_bytes: Some(state.used_space().saturating_add(free)),
                free_bytes: Some(free),
                ..numbers
            }
        }
        Some(AnyHostState::Data(state)) => Numbers {
            total_bytes: Some(state.used_space.saturating_add(state.available_space)),
            free_bytes: Some(state.available_space),
            running_jobs: Some(state.running_requests),
            ..numbers
        },
    }
}
