//! Join tokens.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        join_token::{JoinTokenRequest, JoinTokenRow, JoinTokenView},
    },
    id::TokenId,
};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, join_token};

/// Lists the controller's join tokens that are in force.
#[utoipa::path(tag = "nodes", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<JoinTokenRow>), Refusals))]
#[get("/api/v1/join-tokens")]
pub(super) async fn join_token_list(
    _: Allowed<allow::JoinTokenList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<JoinTokenRow>>, Refusal> {
    Ok(Json(
        page.cut(join_token::join_token_list(&control), |row| {
            row.id.to_string()
        })?,
    ))
}

/// Makes a join token for an Element, or has an Element make one for a Host.
#[utoipa::path(tag = "nodes", security(("token" = [])), request_body = JoinTokenRequest,
    responses((status = 201, body = JoinTokenView), Refusals))]
#[post("/api/v1/join-tokens")]
pub(super) async fn join_token_create(
    allowed: Allowed<allow::JoinTokenCreate>,
    control: Data<Control>,
    body: Json<JoinTokenRequest>,
) -> Result<HttpResponse, Refusal> {
    let made = join_token::join_token_create(&control, &allowed, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Takes a join token back.
#[utoipa::path(tag = "nodes", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
#[delete("/api/v1/join-tokens/{id}")]
pub(super) async fn join_token_delete(
    allowed: Allowed<allow::JoinTokenDelete>,
    control: Data<Control>,
    id: Path<TokenId>,
) -> Result<HttpResponse, Refusal> {
    join_token::join_token_delete(&control, &allowed, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
