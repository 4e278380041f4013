//! What Elements say of themselves and of their Hosts: recorded if it is new.
//!
//! Invariant: a description's ID is that of the node whose certificate said it,
//! and an Element speaks for its own Hosts alone.

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    resource::any::AnyElement,
    scalar::Uri,
    wire::control_element::HostSummary,
};

use super::Control;
use crate::{
    catalogue::{
        Update,
        node::{Element, Host, Node},
    },
    failure::Failure,
};

/// Addresses of one door that are kept.
const ENDPOINTS_MAX: usize = 16;

/// Records what an Element says of itself, if it is new.
pub async fn element_describe(
    control: &Control,
    id: NodeId,
    endpoints: Option<Vec<String>>,
    mut description: AnyElement,
) -> Result<(), Failure> {
    identity_check(description.id(), id)?;
    kind_check(control, &description, id)?;
    description.take_state();
    let known = control.catalogue.snapshot().elements.get(&id).cloned();
    let endpoints = match (endpoints, &known) {
        (Some(endpoints), _) => endpoints.into_iter().take(ENDPOINTS_MAX).collect(),
        (None, Some(known)) => known.endpoints.clone(),
        (None, None) => Vec::new(),
    };
    let element = Element {
        id,
        endpoints,
        description,
    };
    if known.is_some_and(|known| *known == element) {
        return Ok(());
    }
    control
        .catalogue
        .update(move |update| {
            rename(update, id, element.description.common_info().name.as_str())?;
            Ok(update.put_element(element)?)
        })
        .await
}

/// Records what an Element says of its Hosts, as far as it is new. Hosts that
/// are not this Element's are left out.
pub async fn host_describe(
    control: &Control,
    element: NodeId,
    summaries: &[HostSummary],
) -> Result<(), Failure> {
    let catalogue = control.catalogue.snapshot();
    let mut changed = Vec::new();
    for summary in summaries {
        let mut description = summary.host.clone();
        description.take_state();
        let owned = catalogue
            .nodes
            .get(&summary.id)
            .is_some_and(|node| node.parent == element && node.kind == description.kind());
        if !owned || identity_check(description.id(), summary.id).is_err() {
            tracing::warn!(node.id = %summary.id, element.id = %element, "a Host that is not this Element's was told of");
            continue;
        }
        let host = Host {
            id: summary.id,
            element,
            description,
        };
        if catalogue
            .hosts
            .get(&host.id)
            .is_none_or(|known| **known != host)
        {
            changed.push(host);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    control
        .catalogue
        .update(move |update| {
            for host in changed {
                rename(
                    update,
                    host.id,
                    host.description.common_info().name.as_str(),
                )?;
                update.put_host(host)?;
            }
            Ok(())
        })
        .await
}

fn identity_check(said: &Uri, certified: NodeId) -> Result<(), Problem> {
    if said.to_uuid() == Some(*certified.as_uuid()) {
        return Ok(());
    }
    let detail = format!(
        "The description's ID is {said}, but its node is {}.",
        certified.to_urn()
    );
    Err(Problem::new(Code::InvalidDocument, detail))
}

/// What an Element says that it is, its certificate has to say as well.
fn kind_check(control: &Control, said: &AnyElement, id: NodeId) -> Result<(), Problem> {
    let node = control.catalogue.snapshot().nodes.get(&id).cloned();
    match node {
        Some(node) if node.kind != said.kind() => Err(Problem::new(
            Code::InvalidDocument,
            format!(
                "The description is of a {}, but its node is a {}.",
                said.kind(),
                node.kind
            ),
        )),
        _ => Ok(()),
    }
}

/// A node's name is what its own description says.
fn rename(update: &mut Update<'_>, id: NodeId, name: &str) -> Result<(), Failure> {
    let known = update.snapshot().nodes.get(&id).cloned();
    if let Some(node) = known.filter(|node| node.name != name) {
        update.put_node(Node {
            name: name.to_owned(),
            ..Node::clone(&node)
        })?;
    }
    Ok(())
}
