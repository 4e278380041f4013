//! Transfers: under way, ended, and killed.

use actix_web::{
    get, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        command::CommandView,
        transfer::{TransferShown, TransfersView},
    },
    id::TransferId,
    wire::transfer::TransferRecord,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
    page::PageQuery,
};
use crate::app::{
    Control,
    transfer::{self, Meant},
};

/// Of which bucket and whom, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TransferQuery {
    /// Only of the bucket of this name.
    bucket: Option<String>,
    /// Only of this person; people see their own, operators all.
    owner: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists transfers that are under way, on all Storage Elements that answer.
#[utoipa::path(tag = "transfers", security(("token" = [])), params(TransferQuery),
    responses((status = 200, body = TransfersView), Refusals))]
#[get("/api/v1/transfers")]
pub(super) async fn transfer_list(
    allowed: Allowed<allow::TransferList>,
    control: Data<Control>,
    query: Query<TransferQuery>,
) -> Result<Json<TransfersView>, Refusal> {
    let TransferQuery {
        bucket,
        owner,
        after: _,
        limit,
    } = query.into_inner();
    let limit = PageQuery::new(None, limit).limit();
    let meant = Meant { bucket, owner };
    Ok(Json(
        transfer::transfer_list(&control, &allowed, &meant, limit).await?,
    ))
}

/// Lists ended transfers, newest first.
#[utoipa::path(tag = "transfers", security(("token" = [])), params(TransferQuery),
    responses((status = 200, body = Page<TransferRecord>), Refusals))]
#[get("/api/v1/transfer-records")]
pub(super) async fn transfer_record_list(
    allowed: Allowed<allow::TransferRecordList>,
    control: Data<Control>,
    query: Query<TransferQuery>,
) -> Result<Json<Page<TransferRecord>>, Refusal> {
    let TransferQuery {
        bucket,
        owner,
        after,
        limit,
    } = query.into_inner();
    let page = PageQuery::new(after, limit);
    let meant = Meant { bucket, owner };
    let (before, limit) = (page.before()?, page.limit());
    let listed = transfer::transfer_record_list(&control, &allowed, meant, before, limit);
    Ok(Json(listed.await?))
}

/// Shows one transfer, under way or ended.
#[utoipa::path(tag = "transfers", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = TransferShown), Refusals))]
#[get("/api/v1/transfers/{id}")]
pub(super) async fn transfer_view(
    allowed: Allowed<allow::TransferView>,
    control: Data<Control>,
    id: Path<TransferId>,
) -> Result<Json<TransferShown>, Refusal> {
    Ok(Json(
        transfer::transfer_view(&control, &allowed, id.into_inner()).await?,
    ))
}

/// Ends one transfer: nothing of it becomes visible any more.
#[utoipa::path(tag = "transfers", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CommandView), Refusals))]
#[post("/api/v1/transfers/{id}/kill")]
pub(super) async fn transfer_kill(
    allowed: Allowed<allow::TransferKill>,
    control: Data<Control>,
    id: Path<TransferId>,
) -> Result<Json<CommandView>, Refusal> {
    Ok(Json(
        transfer::transfer_kill(&control, &allowed, id.into_inner()).await?,
    ))
}
