//! Elements and Hosts, as people see them.

use gridmart_schemas::{
    api::resource::{Condition, Description, ResourceRow, ResourceView},
    id::NodeId,
    problem::{Code, Problem},
    resource::{
        any::{AnyElementState, AnyHostState},
        common::CommonState,
        enumeration::{HealthState, ServingState},
    },
    wire::control_element::Deployment,
};

use super::{
    Control,
    applied::{Target, pending_names},
};
use crate::catalogue::{View, node::Node};

/// What is shown while a node has not been heard since the start.
const NOT_HEARD: &str = "unknown";
/// Enough of why something is not well for a row.
const INFO_CHARACTERS_MAX: usize = 300;

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

/// What of a row changes: its present are facts only while they are fresh.
#[derive(Default)]
pub(super) struct Present<'a> {
    common: Option<&'a CommonState>,
    pub(super) connected: bool,
    pub(super) age_seconds: Option<u64>,
    pub(super) total_slots: Option<u32>,
    pub(super) free_slots: Option<u32>,
    pub(super) running_jobs: Option<u32>,
    pub(super) total_bytes: Option<u64>,
    pub(super) free_bytes: Option<u64>,
}

impl<'a> Present<'a> {
    /// How an Element or a Host is at present.
    pub(super) fn of(view: &'a View, node: &Node) -> Self {
        if node.kind.is_host() {
            host_present(view, node.id)
        } else {
            element_present(view, node.id)
        }
    }

    /// All of it in one word.
    pub(super) fn condition(&self) -> Condition {
        let Some(common) = self.common else {
            return Condition::Unknown;
        };
        if !self.connected {
            return Condition::Away;
        }
        match (common.health_state, common.serving_state) {
            (HealthState::Critical, _) => Condition::Critical,
            (_, ServingState::Closed) => Condition::Closed,
            (_, ServingState::Draining) => Condition::Draining,
            (HealthState::Warning, _) => Condition::Warning,
            (HealthState::Ok, _) => Condition::Ok,
            (HealthState::Unknown | HealthState::Other, _) => Condition::Unknown,
        }
    }
}

/// A row of the list.
pub fn row(view: &View, node: &Node) -> ResourceRow {
    let is_host = node.kind.is_host();
    let present = Present::of(view, node);
    let target = if is_host {
        Target::Host(node.id)
    } else {
        Target::Element(node.id)
    };
    let condition = present.condition();
    let Present {
        common,
        connected,
        age_seconds,
        total_slots,
        free_slots,
        running_jobs,
        total_bytes,
        free_bytes,
    } = present;
    // What was heard last is shown; that it is well is not believed any more.
    let health = common
        .map(|common| common.health_state)
        .filter(|_| connected)
        .unwrap_or(HealthState::Unknown);
    let info = common.and_then(|common| common.health_state_info.as_ref());
    ResourceRow {
        id: node.id,
        kind: node.kind,
        name: node.name.clone(),
        domain: node.domain.clone(),
        element: is_host.then_some(node.parent),
        serving_state: common.map_or_else(
            || NOT_HEARD.to_owned(),
            |common| common.serving_state.to_string(),
        ),
        health_state: health.to_string(),
        health_info: info.map(|info| info.as_str().chars().take(INFO_CHARACTERS_MAX).collect()),
        condition,
        connected,
        age_seconds,
        desired: node.wish.desired,
        pending: !pending_names(view, target).is_empty(),
        total_slots,
        free_slots,
        running_jobs,
        total_bytes,
        free_bytes,
    }
}

fn element_present(view: &View, id: NodeId) -> Present<'_> {
    let Some(observed) = view.element_observed(id) else {
        return Present::default();
    };
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(view.now);
    let present = Present {
        common: last.map(AnyElementState::common),
        connected: fresh.is_some(),
        age_seconds: Some(observed.age(view.now).as_secs()),
        ..Present::default()
    };
    match fresh {
        None => present,
        Some(AnyElementState::Computing(state)) => Present {
            total_slots: Some(state.total_slots),
            free_slots: Some(state.free_job_slots),
            running_jobs: Some(state.running_jobs),
            ..present
        },
        Some(AnyElementState::Storage(state)) => Present {
            total_bytes: Some(state.total_online_size),
            free_bytes: Some(state.free_online_size),
            ..present
        },
        Some(AnyElementState::Data(state)) => Present {
            total_bytes: state.total_size,
            free_bytes: state
                .total_size
                .zip(state.used_size)
                .map(|(total, used)| total.saturating_sub(used)),
            running_jobs: Some(state.running_requests),
            ..present
        },
    }
}

fn host_present(view: &View, id: NodeId) -> Present<'_> {
    let Some(observed) = view.host_observed(id) else {
        return Present::default();
    };
    let element = view.element_observed(observed.element).map(AsRef::as_ref);
    let last = observed.state.as_ref();
    let fresh = observed.fresh_state(element, view.now);
    let present = Present {
        common: last.map(AnyHostState::common),
        connected: fresh.is_some(),
        age_seconds: observed.age(element, view.now).map(|age| age.as_secs()),
        ..Present::default()
    };
    match fresh {
        None => present,
        Some(AnyHostState::Compute(state)) => Present {
            total_slots: Some(state.total_slots),
            free_slots: Some(state.free_job_slots),
            running_jobs: Some(state.running_jobs),
            ..present
        },
        Some(AnyHostState::Storage(state)) => {
            let free = state.available_space();
            Present {
                total_bytes: Some(state.used_space().saturating_add(free)),
                free_bytes: Some(free),
                ..present
            }
        }
        Some(AnyHostState::Data(state)) => Present {
            total_bytes: Some(state.used_space.saturating_add(state.available_space)),
            free_bytes: Some(state.available_space),
            running_jobs: Some(state.running_requests),
            ..present
        },
    }
}
