//! SQL sessions: those that stand, those that have ended, and killed.

use actix_web::{
    get, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::{
        Page,
        command::CommandView,
        sql_session::{SqlSessionShown, SqlSessionsView},
    },
    id::SqlSessionId,
    wire::sql_session::SqlSessionRecord,
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
    sql_session::{self, Meant},
};

/// On which database and whose, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SqlSessionQuery {
    /// Only on the database of this name.
    database: Option<String>,
    /// Only of this person; people see their own, operators all.
    person: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

/// Lists SQL sessions that stand, on all Data Elements that answer.
#[utoipa::path(tag = "SQL sessions", security(("token" = [])), params(SqlSessionQuery),
    responses((status = 200, body = SqlSessionsView), Refusals))]
#[get("/api/v1/sql-sessions")]
pub(super) async fn sql_session_list(
    allowed: Allowed<allow::SqlSessionList>,
    control: Data<Control>,
    query: Query<SqlSessionQuery>,
) -> Result<Json<SqlSessionsView>, Refusal> {
    let SqlSessionQuery {
        database,
        person,
        after: _,
        limit,
    } = query.into_inner();
    let limit = PageQuery::new(None, limit).limit();
    let meant = Meant { database, person };
    Ok(Json(
        sql_session::sql_session_list(&control, &allowed, &meant, limit).await?,
    ))
}

/// Lists ended SQL sessions, newest first.
#[utoipa::path(tag = "SQL sessions", security(("token" = [])), params(SqlSessionQuery),
    responses((status = 200, body = Page<SqlSessionRecord>), Refusals))]
#[get("/api/v1/sql-session-records")]
pub(super) async fn sql_session_record_list(
    allowed: Allowed<allow::SqlSessionRecordList>,
    control: Data<Control>,
    query: Query<SqlSessionQuery>,
) -> Result<Json<Page<SqlSessionRecord>>, Refusal> {
    let SqlSessionQuery {
        database,
        person,
        after,
        limit,
    } = query.into_inner();
    let page = PageQuery::new(after, limit);
    let meant = Meant { database, person };
    let (before, limit) = (page.before()?, page.limit());
    let listed = sql_session::sql_session_record_list(&control, &allowed, meant, before, limit);
    Ok(Json(listed.await?))
}

/// Shows one SQL session, standing or ended.
#[utoipa::path(tag = "SQL sessions", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = SqlSessionShown), Refusals))]
#[get("/api/v1/sql-sessions/{id}")]
pub(super) async fn sql_session_view(
    allowed: Allowed<allow::SqlSessionView>,
    control: Data<Control>,
    id: Path<SqlSessionId>,
) -> Result<Json<SqlSessionShown>, Refusal> {
    Ok(Json(
        sql_session::sql_session_view(&control, &allowed, id.into_inner()).await?,
    ))
}

/// Ends one SQL session: what it has not committed is taken back.
#[utoipa::path(tag = "SQL sessions", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CommandView), Refusals))]
#[post("/api/v1/sql-sessions/{id}/kill")]
pub(super) async fn sql_session_kill(
    allowed: Allowed<allow::SqlSessionKill>,
    control: Data<Control>,
    id: Path<SqlSessionId>,
) -> Result<Json<CommandView>, Refusal> {
    Ok(Json(
        sql_session::sql_session_kill(&control, &allowed, id.into_inner()).await?,
    ))
}
