//! Access: from "I need" to an Element and a ticket.

use actix_web::{
    post,
    web::{Data, Json},
};
use gridmart_schemas::api::{
    access::{AccessDecision, ApplicationAccessRequest, ComputeAccessRequest},
    bucket::BucketAccessRequest,
    database::DatabaseAccessRequest,
};

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, access};

/// Decides where an application may be called, and gives tickets.
#[utoipa::path(tag = "access", security(("token" = [])), request_body = ApplicationAccessRequest,
    responses((status = 200, body = AccessDecision), Refusals))]
#[post("/api/v1/access/applications")]
pub(super) async fn application_access(
    allowed: Allowed<allow::ApplicationAccess>,
    control: Data<Control>,
    body: Json<ApplicationAccessRequest>,
) -> Result<Json<AccessDecision>, Refusal> {
    Ok(Json(access::application_access(&control, &allowed, &body)?))
}

/// Decides where slots may be had, and gives tickets.
#[utoipa::path(tag = "access", security(("token" = [])), request_body = ComputeAccessRequest,
    responses((status = 200, body = AccessDecision), Refusals))]
#[post("/api/v1/access/compute")]
pub(super) async fn compute_access(
    allowed: Allowed<allow::ComputeAccess>,
    control: Data<Control>,
    body: Json<ComputeAccessRequest>,
) -> Result<Json<AccessDecision>, Refusal> {
    Ok(Json(access::compute_access(&control, &allowed, &body)?))
}

/// Decides whether a bucket may be used, and gives a ticket.
#[utoipa::path(tag = "access", security(("token" = [])), request_body = BucketAccessRequest,
    responses((status = 200, body = AccessDecision), Refusals))]
#[post("/api/v1/access/buckets")]
pub(super) async fn bucket_access(
    allowed: Allowed<allow::BucketAccess>,
    control: Data<Control>,
    body: Json<BucketAccessRequest>,
) -> Result<Json<AccessDecision>, Refusal> {
    Ok(Json(
        access::bucket_access(&control, &allowed, &body).await?,
    ))
}

/// Decides whether a database may be used, and gives a ticket.
#[utoipa::path(tag = "access", security(("token" = [])), request_body = DatabaseAccessRequest,
    responses((status = 200, body = AccessDecision), Refusals))]
#[post("/api/v1/access/databases")]
pub(super) async fn database_access(
    allowed: Allowed<allow::DatabaseAccess>,
    control: Data<Control>,
    body: Json<DatabaseAccessRequest>,
) -> Result<Json<AccessDecision>, Refusal> {
    Ok(Json(
        access::database_access(&control, &allowed, &body).await?,
    ))
}
