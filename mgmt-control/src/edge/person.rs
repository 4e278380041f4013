//! People and their API tokens.

use actix_web::{
    HttpResponse, delete, get, patch, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        person::{
            ApiTokenCreate, ApiTokenMade, ApiTokenRow, PersonChange, PersonCreate, PersonView,
        },
    },
    id::{PersonName, TokenId},
};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, api_token, person};

/// Lists everybody.
#[utoipa::path(tag = "people", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<PersonView>), Refusals))]
#[get("/api/v1/people")]
pub(super) async fn person_list(
    _: Allowed<allow::PersonList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<PersonView>>, Refusal> {
    Ok(Json(page.cut(person::person_list(&control), |row| {
        row.name.to_string()
    })?))
}

/// Adds a person.
#[utoipa::path(tag = "people", security(("token" = [])), request_body = PersonCreate,
    responses((status = 201, body = PersonView), Refusals))]
#[post("/api/v1/people")]
pub(super) async fn person_create(
    allowed: Allowed<allow::PersonCreate>,
    control: Data<Control>,
    body: Json<PersonCreate>,
) -> Result<HttpResponse, Refusal> {
    let made = person::person_create(&control, &allowed, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Changes role, password, or whether they may sign in.
#[utoipa::path(tag = "people", security(("token" = [])), params(("name" = String, Path)),
    request_body = PersonChange, responses((status = 200, body = PersonView), Refusals))]
#[patch("/api/v1/people/{name}")]
pub(super) async fn person_change(
    allowed: Allowed<allow::PersonChange>,
    control: Data<Control>,
    name: Path<PersonName>,
    body: Json<PersonChange>,
) -> Result<Json<PersonView>, Refusal> {
    let changed =
        person::person_change(&control, &allowed, name.into_inner(), body.into_inner()).await?;
    Ok(Json(changed))
}

/// Lists one's own API tokens; admins see all.
#[utoipa::path(tag = "people", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<ApiTokenRow>), Refusals))]
#[get("/api/v1/api-tokens")]
pub(super) async fn api_token_list(
    allowed: Allowed<allow::ApiTokenList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ApiTokenRow>>, Refusal> {
    Ok(Json(page.cut(
        api_token::api_token_list(&control, &allowed),
        |row| row.id.to_string(),
    )?))
}

/// Makes an API token for oneself, or (admins) for another person.
#[utoipa::path(tag = "people", security(("token" = [])), request_body = ApiTokenCreate,
    responses((status = 201, body = ApiTokenMade), Refusals))]
#[post("/api/v1/api-tokens")]
pub(super) async fn api_token_create(
    allowed: Allowed<allow::ApiTokenCreate>,
    control: Data<Control>,
    body: Json<ApiTokenCreate>,
) -> Result<HttpResponse, Refusal> {
    let made = api_token::api_token_create(&control, &allowed, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Deletes an API token: it is refused from now on.
#[utoipa::path(tag = "people", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
#[delete("/api/v1/api-tokens/{id}")]
pub(super) async fn api_token_delete(
    allowed: Allowed<allow::ApiTokenDelete>,
    control: Data<Control>,
    id: Path<TokenId>,
) -> Result<HttpResponse, Refusal> {
    api_token::api_token_delete(&control, &allowed, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
