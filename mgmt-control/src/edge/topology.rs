//! The whole supermarket as a picture needs it.

use actix_web::{
    get,
    web::{Data, Json},
};
use gridmart_schemas::api::topology::TopologyView;

use super::{
    answer::Refusals,
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, topology};

/// Tells Elements, Hosts and the applications on them, in columns.
#[utoipa::path(tag = "resources", security(("token" = [])),
    responses((status = 200, body = TopologyView), Refusals))]
#[get("/api/v1/topology")]
pub(super) async fn topology_view(
    _: Allowed<allow::TopologyView>,
    control: Data<Control>,
) -> Json<TopologyView> {
    let view = control.catalogue.view();
    Json(topology::topology_view(&view, control.node))
}
