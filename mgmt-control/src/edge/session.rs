//! Signing in, and whom to trust.

use actix_web::{
    HttpRequest, HttpResponse, get, post,
    web::{Data, Json},
};
use gridmart_schemas::api::person::{ApiTokenMade, LoginRequest, PersonView};

use super::{
    answer::{Refusal, Refusals},
    authorization::{Allowed, Whoami, remote_address, request_id},
};
use crate::app::{Control, session};

/// Signs in with a password; gives an API token.
#[utoipa::path(tag = "people", request_body = LoginRequest, responses((status = 200, body = ApiTokenMade), Refusals))]
#[post("/api/v1/login")]
pub(super) async fn login(
    request: HttpRequest,
    control: Data<Control>,
    body: Json<LoginRequest>,
) -> Result<Json<ApiTokenMade>, Refusal> {
    let from = remote_address(&request);
    let made = session::login(&control, request_id(&request), from, body.into_inner()).await?;
    Ok(Json(made))
}

/// Tells who asks.
#[utoipa::path(tag = "people", security(("token" = [])), responses((status = 200, body = PersonView), Refusals))]
#[get("/api/v1/whoami")]
pub(super) async fn whoami(allowed: Allowed<Whoami>) -> Json<PersonView> {
    Json(session::whoami(&allowed))
}

/// The root certificate of this controller's authority, to be pinned.
#[utoipa::path(tag = "nodes",
    responses((status = 200, description = "PEM", body = String, content_type = "application/x-pem-file"), Refusals))]
#[get("/api/v1/authority")]
pub(super) async fn authority(control: Data<Control>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/x-pem-file")
        .body(control.authority.root_pem().to_owned())
}
