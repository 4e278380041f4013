//! Shadows of databases.

use actix_web::{
    HttpResponse, delete, get, patch, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::database::{
        DatabaseView, ShadowAddRequest, ShadowChangeRequest, ShadowPromoteRequest, ShadowRequest,
    },
    wire::database::ShadowChecks,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    database::ElementQuery,
};
use crate::app::{Control, shadow};

/// Which shadow is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ShadowQuery {
    /// Id or name of the Data Element; absent: whichever has the database.
    element: Option<String>,
    /// Id or name of the Host; absent: all that have a shadow.
    host: Option<String>,
}

/// Adds a shadow to a database; it is loaded, and follows, by itself.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = ShadowAddRequest,
    params(("name" = String, Path), ElementQuery),
    responses((status = 201, body = DatabaseView), Refusals))]
#[post("/api/v1/databases/{name}/shadows")]
pub(super) async fn shadow_add(
    allowed: Allowed<allow::ShadowAdd>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
    body: Json<ShadowAddRequest>,
) -> Result<HttpResponse, Refusal> {
    let named = query.named(&name);
    let view = shadow::shadow_add(&control, &allowed, &named, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(view))
}

/// Changes what a shadow holds of its database; its copy is made anew.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = ShadowChangeRequest,
    params(("name" = String, Path), ("host" = String, Path), ElementQuery),
    responses((status = 200, body = DatabaseView), Refusals))]
#[patch("/api/v1/databases/{name}/shadows/{host}")]
pub(super) async fn shadow_change(
    allowed: Allowed<allow::ShadowChange>,
    control: Data<Control>,
    path: Path<(String, String)>,
    query: Query<ElementQuery>,
    body: Json<ShadowChangeRequest>,
) -> Result<Json<DatabaseView>, Refusal> {
    let (name, host) = path.into_inner();
    let (named, wanted) = (query.named(&name), body.into_inner());
    Ok(Json(
        shadow::shadow_change(&control, &allowed, &named, &host, wanted).await?,
    ))
}

/// Takes a shadow from a database; a Host that is away removes its copy when it comes
/// back.
#[utoipa::path(tag = "data", security(("token" = [])),
    params(("name" = String, Path), ("host" = String, Path), ElementQuery),
    responses((status = 200, body = DatabaseView), Refusals))]
#[delete("/api/v1/databases/{name}/shadows/{host}")]
pub(super) async fn shadow_remove(
    allowed: Allowed<allow::ShadowRemove>,
    control: Data<Control>,
    path: Path<(String, String)>,
    query: Query<ElementQuery>,
) -> Result<Json<DatabaseView>, Refusal> {
    let (name, host) = path.into_inner();
    let named = query.named(&name);
    Ok(Json(
        shadow::shadow_remove(&control, &allowed, &named, &host).await?,
    ))
}

/// Makes a shadow the core. A core that is there hands over, and nothing is lost; of one
/// that is lost the shadow has what it has got.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = ShadowPromoteRequest,
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = DatabaseView), Refusals))]
#[post("/api/v1/databases/{name}/shadows/promote")]
pub(super) async fn shadow_promote(
    allowed: Allowed<allow::ShadowPromote>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
    body: Json<ShadowPromoteRequest>,
) -> Result<Json<DatabaseView>, Refusal> {
    let named = query.named(&name);
    let wanted = body.into_inner();
    Ok(Json(
        shadow::shadow_promote(&control, &allowed, &named, wanted).await?,
    ))
}

/// Begins to compare shadows with their core, and waits a while for the outcome.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = ShadowRequest,
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = ShadowChecks), Refusals))]
#[post("/api/v1/databases/{name}/shadows/check")]
pub(super) async fn shadow_check(
    allowed: Allowed<allow::ShadowCheck>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
    body: Json<ShadowRequest>,
) -> Result<Json<ShadowChecks>, Refusal> {
    let (named, host) = (query.named(&name), body.into_inner().host);
    let told = shadow::shadow_check(&control, &allowed, &named, host.as_deref(), true).await?;
    Ok(Json(told))
}

/// Tells how comparisons of shadows with their core come out; waits a while for those
/// that run.
#[utoipa::path(tag = "data", security(("token" = [])),
    params(("name" = String, Path), ShadowQuery),
    responses((status = 200, body = ShadowChecks), Refusals))]
#[get("/api/v1/databases/{name}/shadows/check")]
pub(super) async fn shadow_check_view(
    allowed: Allowed<allow::ShadowCheckView>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ShadowQuery>,
) -> Result<Json<ShadowChecks>, Refusal> {
    let ShadowQuery { element, host } = query.into_inner();
    let named = match element {
        Some(element) => format!("{element}/{name}"),
        None => name.into_inner(),
    };
    let told = shadow::shadow_check(&control, &allowed, &named, host.as_deref(), false).await?;
    Ok(Json(told))
}
