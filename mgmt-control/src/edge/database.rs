//! Databases.

use actix_web::{
    HttpResponse, delete, get, patch, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::api::database::{
    DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView, DatabasesView,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, database};

/// Which Data Element is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ElementQuery {
    /// Its id or name; absent: whichever has the database.
    element: Option<String>,
}

impl ElementQuery {
    /// The database as people name it.
    pub(super) fn named(&self, database: &str) -> String {
        match &self.element {
            Some(element) => format!("{element}/{database}"),
            None => database.to_owned(),
        }
    }
}

/// Lists the databases that the asker may use.
#[utoipa::path(tag = "data", security(("token" = [])), params(ElementQuery),
    responses((status = 200, body = DatabasesView), Refusals))]
#[get("/api/v1/databases")]
pub(super) async fn database_list(
    allowed: Allowed<allow::DatabaseList>,
    control: Data<Control>,
    query: Query<ElementQuery>,
) -> Result<Json<DatabasesView>, Refusal> {
    let element = query.element.as_deref();
    Ok(Json(
        database::database_list(&control, &allowed, element).await?,
    ))
}

/// Makes a database, which is the asker's.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = DatabaseCreateRequest,
    responses((status = 201, body = DatabaseView), Refusals))]
#[post("/api/v1/databases")]
pub(super) async fn database_create(
    allowed: Allowed<allow::DatabaseCreate>,
    control: Data<Control>,
    body: Json<DatabaseCreateRequest>,
) -> Result<HttpResponse, Refusal> {
    let made = database::database_create(&control, &allowed, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Shows a database; its rules are shown to its owner and to operators.
#[utoipa::path(tag = "data", security(("token" = [])),
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = DatabaseView), Refusals))]
#[get("/api/v1/databases/{name}")]
pub(super) async fn database_view(
    allowed: Allowed<allow::DatabaseView>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
) -> Result<Json<DatabaseView>, Refusal> {
    let named = query.named(&name);
    Ok(Json(
        database::database_view(&control, &allowed, &named).await?,
    ))
}

/// Changes what a database's owner allows.
#[utoipa::path(tag = "data", security(("token" = [])), request_body = DatabaseChangeRequest,
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = DatabaseView), Refusals))]
#[patch("/api/v1/databases/{name}")]
pub(super) async fn database_change(
    allowed: Allowed<allow::DatabaseChange>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
    body: Json<DatabaseChangeRequest>,
) -> Result<Json<DatabaseView>, Refusal> {
    let named = query.named(&name);
    let change = body.into_inner();
    let changed = database::database_change(&control, &allowed, &named, change).await?;
    Ok(Json(changed))
}

/// Removes a database with all that is in it.
#[utoipa::path(tag = "data", security(("token" = [])),
    params(("name" = String, Path), ElementQuery),
    responses((status = 204, description = "It is gone"), Refusals))]
#[delete("/api/v1/databases/{name}")]
pub(super) async fn database_delete(
    allowed: Allowed<allow::DatabaseDelete>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
) -> Result<HttpResponse, Refusal> {
    database::database_delete(&control, &allowed, &query.named(&name)).await?;
    Ok(HttpResponse::NoContent().finish())
}
