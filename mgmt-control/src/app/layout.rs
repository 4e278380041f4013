//! Where Storage Elements keep blocks: their Elements are asked, and told.

use std::sync::Arc;

use gridmart_schemas::{
    api::layout::LayoutRequest,
    problem::{Code, Problem},
    role::NodeKind,
    wire::layout::{Layout, LayoutApply, LayoutRevert, LayoutShow, LayoutStage, LayoutTold},
};

use super::{
    Control, ELEMENT_ANSWER_MAX,
    bucket::{ask, order},
    context::Context,
};
use crate::{
    catalogue::{View, node::Node},
    failure::Failure,
};

/// Shows it.
pub async fn layout_view(
    control: &Control,
    context: &Context,
    element: &str,
) -> Result<LayoutTold, Failure> {
    let node = the_element(&control.catalogue.view(), element)?;
    Ok(ask(control, context, &node, &LayoutShow {}, ELEMENT_ANSWER_MAX).await?)
}

/// Stages a layout.
pub async fn layout_stage(
    control: &Control,
    context: &Context,
    element: &str,
    wanted: LayoutRequest,
) -> Result<LayoutTold, Failure> {
    let LayoutRequest { drain, rebalance } = wanted;
    let view = control.catalogue.view();
    let node = the_element(&view, element)?;
    let hosts = drain.iter().map(|host| host_of(&view, &node, host));
    let layout = Layout {
        drain: hosts.collect::<Result<_, _>>()?,
        rebalance,
    };
    if layout.is_empty() {
        let detail = "The layout changes nothing: name Hosts to drain, or ask for a rebalance.";
        return Err(Problem::new(Code::InvalidRequest, detail).into());
    }
    let request = LayoutStage { layout };
    let entry = context.act("layout.stage", node.name.clone());
    order(control, context, &node, entry, &request).await
}

/// Begins with what is staged.
pub async fn layout_apply(
    control: &Control,
    context: &Context,
    element: &str,
) -> Result<LayoutTold, Failure> {
    let node = the_element(&control.catalogue.view(), element)?;
    let entry = context.act("layout.apply", node.name.clone());
    order(control, context, &node, entry, &LayoutApply {}).await
}

/// Takes back what is staged, or ends what is being done.
pub async fn layout_revert(
    control: &Control,
    context: &Context,
    element: &str,
) -> Result<LayoutTold, Failure> {
    let node = the_element(&control.catalogue.view(), element)?;
    let entry = context.act("layout.revert", node.name.clone());
    order(control, context, &node, entry, &LayoutRevert {}).await
}

fn the_element(view: &View, element: &str) -> Result<Arc<Node>, Problem> {
    view.resource_of(element, &[NodeKind::StorageElement])
}

fn host_of(
    view: &View,
    element: &Node,
    host: &str,
) -> Result<gridmart_schemas::id::NodeId, Problem> {
    let found = view.resource_of(host, &[NodeKind::StorageHost])?;
    if found.parent == element.id {
        return Ok(found.id);
    }
    let detail = format!("{host} is no Host of the Element {}.", element.name);
    Err(Problem::new(Code::InvalidRequest, detail))
}
