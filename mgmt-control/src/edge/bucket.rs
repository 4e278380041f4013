//! Buckets, and how the Elements that keep them fare.

use actix_web::{
    HttpResponse, delete, get, patch, post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::bucket::{BucketChangeRequest, BucketCreateRequest, BucketView, BucketsView},
    wire::bucket::HealsTold,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, bucket};

/// Which Storage Element is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ElementQuery {
    /// Its id or name; absent: whichever has the bucket.
    element: Option<String>,
}

impl ElementQuery {
    /// The bucket as people name it.
    fn named(&self, bucket: &str) -> String {
        match &self.element {
            Some(element) => format!("{element}/{bucket}"),
            None => bucket.to_owned(),
        }
    }
}

/// Lists the buckets that the asker may use.
#[utoipa::path(tag = "storage", security(("token" = [])), params(ElementQuery),
    responses((status = 200, body = BucketsView), Refusals))]
#[get("/api/v1/buckets")]
pub(super) async fn bucket_list(
    allowed: Allowed<allow::BucketList>,
    control: Data<Control>,
    query: Query<ElementQuery>,
) -> Result<Json<BucketsView>, Refusal> {
    let element = query.element.as_deref();
    Ok(Json(
        bucket::bucket_list(&control, &allowed, element).await?,
    ))
}

/// Makes a bucket, which is the asker's.
#[utoipa::path(tag = "storage", security(("token" = [])), request_body = BucketCreateRequest,
    responses((status = 201, body = BucketView), Refusals))]
#[post("/api/v1/buckets")]
pub(super) async fn bucket_create(
    allowed: Allowed<allow::BucketCreate>,
    control: Data<Control>,
    body: Json<BucketCreateRequest>,
) -> Result<HttpResponse, Refusal> {
    let made = bucket::bucket_create(&control, &allowed, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(made))
}

/// Shows a bucket.
#[utoipa::path(tag = "storage", security(("token" = [])),
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = BucketView), Refusals))]
#[get("/api/v1/buckets/{name}")]
pub(super) async fn bucket_view(
    allowed: Allowed<allow::BucketView>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
) -> Result<Json<BucketView>, Refusal> {
    let named = query.named(&name);
    Ok(Json(bucket::bucket_view(&control, &allowed, &named).await?))
}

/// Changes what a bucket's owner allows.
#[utoipa::path(tag = "storage", security(("token" = [])), request_body = BucketChangeRequest,
    params(("name" = String, Path), ElementQuery),
    responses((status = 200, body = BucketView), Refusals))]
#[patch("/api/v1/buckets/{name}")]
pub(super) async fn bucket_change(
    allowed: Allowed<allow::BucketChange>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
    body: Json<BucketChangeRequest>,
) -> Result<Json<BucketView>, Refusal> {
    let named = query.named(&name);
    let change = body.into_inner();
    let changed = bucket::bucket_change(&control, &allowed, &named, change).await?;
    Ok(Json(changed))
}

/// Removes an empty bucket.
#[utoipa::path(tag = "storage", security(("token" = [])),
    params(("name" = String, Path), ElementQuery),
    responses((status = 204, description = "It is gone"), Refusals))]
#[delete("/api/v1/buckets/{name}")]
pub(super) async fn bucket_delete(
    allowed: Allowed<allow::BucketDelete>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<ElementQuery>,
) -> Result<HttpResponse, Refusal> {
    bucket::bucket_delete(&control, &allowed, &query.named(&name)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Tells what is lost on a Storage Element, and what was repaired lately.
#[utoipa::path(tag = "storage", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = HealsTold), Refusals))]
#[get("/api/v1/resources/{id}/heals")]
pub(super) async fn heal_list(
    allowed: Allowed<allow::HealList>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<HealsTold>, Refusal> {
    Ok(Json(bucket::heal_list(&control, &allowed, &id).await?))
}
