//! Where Storage Elements keep blocks.

use actix_web::{
    get, post, put,
    web::{Data, Json, Path},
};
use gridmart_schemas::{api::layout::LayoutRequest, wire::layout::LayoutTold};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, layout};

/// Tells which Hosts of a Storage Element keep blocks, and what is being changed.
#[utoipa::path(tag = "storage", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = LayoutTold), Refusals))]
#[get("/api/v1/resources/{id}/layout")]
pub(super) async fn layout_view(
    allowed: Allowed<allow::LayoutView>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<LayoutTold>, Refusal> {
    Ok(Json(layout::layout_view(&control, &allowed, &id).await?))
}

/// Stages a change, in place of what was staged; tells what it would do.
#[utoipa::path(tag = "storage", security(("token" = [])), request_body = LayoutRequest, params(("id" = String, Path)),
    responses((status = 200, body = LayoutTold), Refusals))]
#[put("/api/v1/resources/{id}/layout")]
pub(super) async fn layout_stage(
    allowed: Allowed<allow::LayoutStage>,
    control: Data<Control>,
    id: Path<String>,
    body: Json<LayoutRequest>,
) -> Result<Json<LayoutTold>, Refusal> {
    Ok(Json(
        layout::layout_stage(&control, &allowed, &id, body.into_inner()).await?,
    ))
}

/// Begins with what is staged.
#[utoipa::path(tag = "storage", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = LayoutTold), Refusals))]
#[post("/api/v1/resources/{id}/layout/apply")]
pub(super) async fn layout_apply(
    allowed: Allowed<allow::LayoutApply>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<LayoutTold>, Refusal> {
    Ok(Json(layout::layout_apply(&control, &allowed, &id).await?))
}

/// Takes back what is staged; if nothing is, what is being done.
#[utoipa::path(tag = "storage", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = LayoutTold), Refusals))]
#[post("/api/v1/resources/{id}/layout/revert")]
pub(super) async fn layout_revert(
    allowed: Allowed<allow::LayoutRevert>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<LayoutTold>, Refusal> {
    Ok(Json(layout::layout_revert(&control, &allowed, &id).await?))
}
