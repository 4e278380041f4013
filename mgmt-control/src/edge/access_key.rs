//! Access keys.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::api::access_key::{AccessKeyCreate, AccessKeyMade, AccessKeysView};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, access_key};

/// Which Storage or Data Element is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyElementQuery {
    /// Its id or name; absent: to make one, the only Storage Element; else whichever
    /// knows the key.
    element: Option<String>,
}

/// Makes an access key for the asker; its secret is shown this once.
#[utoipa::path(tag = "storage", security(("token" = [])), request_body = AccessKeyCreate,
    params(KeyElementQuery), responses((status = 201, body = AccessKeyMade), Refusals))]
#[post("/api/v1/access-keys")]
pub(super) async fn access_key_create(
    allowed: Allowed<allow::AccessKeyCreate>,
    control: Data<Control>,
    query: Query<KeyElementQuery>,
    body: Json<AccessKeyCreate>,
) -> Result<HttpResponse, Refusal> {
    let (element, wanted) = (query.element.as_deref(), body.into_inner());
    let made = access_key::access_key_create(&control, &allowed, element, wanted).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Lists the asker's access keys.
#[utoipa::path(tag = "storage", security(("token" = [])), params(KeyElementQuery),
    responses((status = 200, body = AccessKeysView), Refusals))]
#[get("/api/v1/access-keys")]
pub(super) async fn access_key_list(
    allowed: Allowed<allow::AccessKeyList>,
    control: Data<Control>,
    query: Query<KeyElementQuery>,
) -> Result<Json<AccessKeysView>, Refusal> {
    let element = query.element.as_deref();
    let listed = access_key::access_key_list(&control, &allowed, element).await?;
    Ok(Json(listed))
}

/// Makes an access key of the asker worthless at once.
#[utoipa::path(tag = "storage", security(("token" = [])),
    params(("id" = String, Path), KeyElementQuery),
    responses((status = 204, description = "It is worthless"), Refusals))]
#[delete("/api/v1/access-keys/{id}")]
pub(super) async fn access_key_delete(
    allowed: Allowed<allow::AccessKeyDelete>,
    control: Data<Control>,
    id: Path<String>,
    query: Query<KeyElementQuery>,
) -> Result<HttpResponse, Refusal> {
    let element = query.element.as_deref();
    access_key::access_key_delete(&control, &allowed, element, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
