//! Applications on the shelf, and what they printed.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse, get, post,
    web::{Data, Json, Path, Payload, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        application::{ApplicationView, UploadDone},
    },
    id::NodeId,
    wire::control_element::LogsRead,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals, malformed},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, application, log};

/// Lists all versions of all applications.
#[utoipa::path(tag = "applications", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<ApplicationView>), Refusals))]
#[get("/api/v1/applications")]
pub(super) async fn application_list(
    _: Allowed<allow::ApplicationList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ApplicationView>>, Refusal> {
    let rows = application::application_list(&control);
    Ok(Json(page.cut(rows, |row| row.digest.to_string())?))
}

/// Lists the versions of one application.
#[utoipa::path(tag = "applications", security(("token" = [])), params(("name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ApplicationView>), Refusals))]
#[get("/api/v1/applications/{name}")]
pub(super) async fn application_versions(
    _: Allowed<allow::ApplicationVersions>,
    control: Data<Control>,
    name: Path<String>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ApplicationView>>, Refusal> {
    let rows = application::application_versions(&control, &name)?;
    Ok(Json(page.cut(rows, |row| row.digest.to_string())?))
}

/// Puts a version on the shelf: the body is the package.
#[utoipa::path(tag = "applications", security(("token" = [])),
    request_body(content = String, description = "zstd-compressed tar with AEDoc.xml at its top", content_type = "application/zstd"),
    responses((status = 201, body = UploadDone), (status = 200, description = "The very same package was there", body = UploadDone), Refusals))]
#[post("/api/v1/applications")]
pub(super) async fn application_upload(
    allowed: Allowed<allow::ApplicationUpload>,
    control: Data<Control>,
    body: Payload,
) -> Result<HttpResponse, Refusal> {
    let done = application::application_upload(&control, &allowed, body).await?;
    let mut answer = if done.created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(answer.json(done))
}

/// Which version.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PromoteQuery {
    /// The version that the name alone shall mean.
    version: String,
}

/// Makes a version the one that the name alone means.
#[utoipa::path(tag = "applications", security(("token" = [])), params(("name" = String, Path), PromoteQuery),
    responses((status = 200, body = ApplicationView), Refusals))]
#[post("/api/v1/applications/{name}/promote")]
pub(super) async fn application_promote(
    allowed: Allowed<allow::ApplicationPromote>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<PromoteQuery>,
) -> Result<Json<ApplicationView>, Refusal> {
    Ok(Json(
        application::application_promote(&control, &allowed, &name, &query.version).await?,
    ))
}

/// What to read of the logs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Which version; absent: the default one.
    version: Option<String>,
    /// JSON object: Host id → `cursor` of the answer before.
    cursors: Option<String>,
}

/// Reads what the application printed to stderr, by Host.
#[utoipa::path(tag = "applications", security(("token" = [])), params(("name" = String, Path), LogQuery),
    responses((status = 200, body = LogsRead), Refusals))]
#[get("/api/v1/applications/{name}/logs")]
pub(super) async fn application_logs(
    allowed: Allowed<allow::ApplicationLogs>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<LogQuery>,
) -> Result<Json<LogsRead>, Refusal> {
    let LogQuery { version, cursors } = query.into_inner();
    let cursors: BTreeMap<NodeId, u64> = match cursors {
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| malformed("`cursors`", &error))?
        }
        None => BTreeMap::new(),
    };
    let label = version.map_or_else(|| name.to_string(), |version| format!("{name}@{version}"));
    Ok(Json(
        log::log_read(&control, &allowed, &label, cursors).await?,
    ))
}
