//! What runs, waits and has ended.

use actix_web::{
    get,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        activity::{ActivitiesView, CallView, JobView},
    },
    id::{CallId, JobId},
    wire::record::CallRecord,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, activity};

/// Of which application, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ActivityQuery {
    /// Only of this application.
    application: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists what runs and waits now, on all Elements that answer.
#[utoipa::path(tag = "activities", security(("token" = [])), params(ActivityQuery),
    responses((status = 200, body = ActivitiesView), Refusals))]
#[get("/api/v1/activities")]
pub(super) async fn activity_list(
    allowed: Allowed<allow::ActivityList>,
    control: Data<Control>,
    query: Query<ActivityQuery>,
) -> Json<ActivitiesView> {
    let ActivityQuery {
        application,
        after: _,
        limit,
    } = query.into_inner();
    let limit = PageQuery::new(None, limit).limit();
    Json(activity::activity_list(&control, &allowed, application.as_deref(), limit).await)
}

/// Lists ended calls, newest first.
#[utoipa::path(tag = "activities", security(("token" = [])), params(ActivityQuery),
    responses((status = 200, body = Page<CallRecord>), Refusals))]
#[get("/api/v1/calls")]
pub(super) async fn call_list(
    _: Allowed<allow::CallList>,
    control: Data<Control>,
    query: Query<ActivityQuery>,
) -> Result<Json<Page<CallRecord>>, Refusal> {
    let ActivityQuery {
        application,
        after,
        limit,
    } = query.into_inner();
    let page = PageQuery::new(after, limit);
    Ok(Json(
        activity::call_list(&control, application, page.before()?, page.limit()).await?,
    ))
}

/// Shows a call that has ended: all of its attempts.
#[utoipa::path(tag = "activities", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CallView), Refusals))]
#[get("/api/v1/calls/{id}")]
pub(super) async fn call_view(
    _: Allowed<allow::CallView>,
    control: Data<Control>,
    id: Path<CallId>,
) -> Result<Json<CallView>, Refusal> {
    Ok(Json(activity::call_view(&control, id.into_inner()).await?))
}

/// Shows what is known of a map.
#[utoipa::path(tag = "activities", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = JobView), Refusals))]
#[get("/api/v1/jobs/{id}")]
pub(super) async fn job_view(
    _: Allowed<allow::JobView>,
    control: Data<Control>,
    id: Path<JobId>,
) -> Result<Json<JobView>, Refusal> {
    Ok(Json(activity::job_view(&control, id.into_inner()).await?))
}
