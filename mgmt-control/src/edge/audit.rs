//! The audit log.

use actix_web::{
    get,
    web::{Data, Json, Query},
};
use gridmart_schemas::api::{Page, audit::AuditRow};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{Control, audit};

/// Lists what was done, newest first.
#[utoipa::path(tag = "audit", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Page<AuditRow>), Refusals))]
#[get("/api/v1/audit")]
pub(super) async fn audit_list(
    _: Allowed<allow::AuditList>,
    control: Data<Control>,
    page: Query<PageQuery>,
) -> Result<Json<Page<AuditRow>>, Refusal> {
    Ok(Json(
        audit::audit_list(&control, page.before()?, page.limit()).await?,
    ))
}
