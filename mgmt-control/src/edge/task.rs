//! Background tasks.

use actix_web::{
    get,
    web::{Data, Json, Query},
};
use gridmart_schemas::api::{Page, task::TaskRow};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::Control;

/// Lists what background tasks last did.
#[utoipa::path(tag = "service", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<TaskRow>), Refusals))]
#[get("/api/v1/tasks")]
pub(super) async fn task_list(
    _: Allowed<allow::TaskList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<TaskRow>>, Refusal> {
    Ok(Json(
        page.cut(control.tasks.list(), |row| row.name.clone())?,
    ))
}
