//! What happened.

use actix_web::{
    get,
    web::{Data, Json, Query},
};
use gridmart_schemas::api::{Page, event::EventView};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, event};

/// About what, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQuery {
    /// Only about this: a resource by id or name, an application by name, …
    subject: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists changes of state and commands, newest first; the last ten thousand
/// are kept. Who did it, and what is done with goods and calls, is told to
/// operators.
#[utoipa::path(tag = "watching", security(("token" = [])), params(EventQuery),
    responses((status = 200, body = Page<EventView>), Refusals))]
#[get("/api/v1/events")]
pub(super) async fn event_list(
    allowed: Allowed<allow::EventList>,
    control: Data<Control>,
    query: Query<EventQuery>,
) -> Result<Json<Page<EventView>>, Refusal> {
    let EventQuery {
        subject,
        after,
        limit,
    } = query.into_inner();
    let page = PageQuery::new(after, limit);
    let (before, limit) = (page.before()?, page.limit());
    Ok(Json(
        event::event_list(&control, &allowed.actor, subject, before, limit).await?,
    ))
}
