//! Nodes and their certificates.

use actix_web::{
    get, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::api::{Page, join_token::NodeRow};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, node};

/// Lists all nodes that ever joined.
#[utoipa::path(tag = "nodes", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<NodeRow>), Refusals))]
#[get("/api/v1/nodes")]
pub(super) async fn node_list(
    _: Allowed<allow::NodeList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<NodeRow>>, Refusal> {
    Ok(Json(page.cut(node::node_list(&control), |row| {
        row.id.to_string()
    })?))
}

/// Shuts a node out for good: its streams end, its certificate is refused.
#[utoipa::path(tag = "nodes", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = NodeRow), Refusals))]
#[post("/api/v1/nodes/{id}/revoke")]
pub(super) async fn node_revoke(
    allowed: Allowed<allow::NodeRevoke>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<NodeRow>, Refusal> {
    Ok(Json(node::node_revoke(&control, &allowed, &id).await?))
}
