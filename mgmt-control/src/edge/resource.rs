//! Elements and Hosts.

use actix_web::{
    HttpResponse, get,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        resource::{ResourceRow, ResourceView},
    },
    role::NodeKind,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, resource};

/// Which resources, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceQuery {
    /// Only this kind.
    kind: Option<NodeKind>,
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists Elements and Hosts.
#[utoipa::path(tag = "resources", security(("token" = [])), params(ResourceQuery),
    responses((status = 200, body = Page<ResourceRow>), Refusals))]
#[get("/api/v1/resources")]
pub(super) async fn resource_list(
    _: Allowed<allow::ResourceList>,
    control: Data<Control>,
    query: Query<ResourceQuery>,
) -> Result<Json<Page<ResourceRow>>, Refusal> {
    let ResourceQuery { kind, after, limit } = query.into_inner();
    let rows = resource::resource_list(&control, kind);
    Ok(Json(
        PageQuery::new(after, limit).cut(rows, |row| row.id.to_string())?,
    ))
}

/// Shows an Element or Host, by id, by the beginning of its id, or by name.
#[utoipa::path(tag = "resources", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = ResourceView), Refusals))]
#[get("/api/v1/resources/{id}")]
pub(super) async fn resource_view(
    _: Allowed<allow::ResourceView>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<ResourceView>, Refusal> {
    Ok(Json(resource::resource_view(&control, &id)?))
}

/// Its document, as XML.
#[utoipa::path(tag = "resources", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, description = "The document", body = String, content_type = "application/xml"), Refusals))]
#[get("/api/v1/resources/{id}/xml")]
pub(super) async fn resource_xml(
    _: Allowed<allow::ResourceXml>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<HttpResponse, Refusal> {
    let document = resource::resource_xml(&control, &id)?;
    Ok(HttpResponse::Ok()
        .content_type("application/xml; charset=utf-8")
        .body(document))
}
