//! How everything is, and was.

use actix_web::{
    get,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::api::{
    history::{HistoryView, Span},
    overview::OverviewView,
};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::{app::Control, feed::overview_for};

/// How far back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// The last hour (of itself) or day.
    #[param(inline)]
    span: Option<Span>,
}

impl HistoryQuery {
    fn span(&self) -> Span {
        self.span.unwrap_or(Span::Hour)
    }
}

/// Tells how everything is, and what needs a person; a second old at most.
#[utoipa::path(tag = "watching", security(("token" = [])),
    responses((status = 200, body = OverviewView), Refusals))]
#[get("/api/v1/overview")]
pub(super) async fn overview_view(
    allowed: Allowed<allow::OverviewView>,
    control: Data<Control>,
) -> Json<OverviewView> {
    let whole = control.feed.overview(&control);
    Json(overview_for(&whole, allowed.actor.is_operator()))
}

/// Tells how the whole was: slots, calls, failures, storage.
#[utoipa::path(tag = "watching", security(("token" = [])), params(HistoryQuery),
    responses((status = 200, body = HistoryView), Refusals))]
#[get("/api/v1/overview/history")]
pub(super) async fn overview_history(
    _: Allowed<allow::OverviewHistory>,
    control: Data<Control>,
    query: Query<HistoryQuery>,
) -> Json<HistoryView> {
    let now = OffsetDateTime::now_utc();
    Json(control.feed.history.of_whole(query.span(), now))
}

/// Tells how an Element or Host was, by id or name.
#[utoipa::path(tag = "watching", security(("token" = [])), params(("id" = String, Path), HistoryQuery),
    responses((status = 200, body = HistoryView), Refusals))]
#[get("/api/v1/resources/{id}/history")]
pub(super) async fn resource_history(
    _: Allowed<allow::ResourceHistory>,
    control: Data<Control>,
    id: Path<String>,
    query: Query<HistoryQuery>,
) -> Result<Json<HistoryView>, Refusal> {
    let node = control.catalogue.view().resource(&id)?;
    let now = OffsetDateTime::now_utc();
    Ok(Json(control.feed.history.of_node(&node, query.span(), now)))
}
