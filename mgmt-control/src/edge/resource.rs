//! Elements and Hosts.

use std::str::FromStr;

use actix_web::{
    HttpResponse, get,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::resource::{ResourceSort, ResourceView, ResourcesPage},
    role::UnknownName,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals, malformed},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{
    Control, resource,
    resource_page::{ResourceSearch, resource_page},
};

/// Which resources, in which order, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceQuery {
    /// Part of a name or a domain, or the beginning of an id.
    search: Option<String>,
    /// Only these kinds, with commas between them.
    kind: Option<String>,
    /// Only these conditions, with commas between them.
    condition: Option<String>,
    /// Only this Element and its Hosts, by id or name.
    element: Option<String>,
    /// Only this domain.
    domain: Option<String>,
    /// What to sort by; of itself by id.
    #[param(inline)]
    sort: Option<ResourceSort>,
    /// The other way round; what has no value stands at the end either way.
    #[serde(default)]
    descending: bool,
    /// `next` of the page before.
    after: Option<String>,
    /// Or how many rows come before the page.
    offset: Option<u64>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists Elements and Hosts.
#[utoipa::path(tag = "resources", security(("token" = [])), params(ResourceQuery),
    responses((status = 200, body = ResourcesPage), Refusals))]
#[get("/api/v1/resources")]
pub(super) async fn resource_list(
    _: Allowed<allow::ResourceList>,
    control: Data<Control>,
    query: Query<ResourceQuery>,
) -> Result<Json<ResourcesPage>, Refusal> {
    let ResourceQuery {
        search,
        kind,
        condition,
        element,
        domain,
        sort,
        descending,
        after,
        offset,
        limit,
    } = query.into_inner();
    let wanted = ResourceSearch {
        search,
        kinds: listed(kind.as_deref())?,
        conditions: listed(condition.as_deref())?,
        element,
        domain,
        sort,
        descending,
        after,
        offset,
        limit: PageQuery::new(None, limit).limit(),
    };
    Ok(Json(resource_page(&control.catalogue.view(), &wanted)?))
}

fn listed<T: FromStr<Err = UnknownName>>(text: Option<&str>) -> Result<Vec<T>, Refusal> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|error| malformed("query", &error)))
        .collect()
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
