//! Is it there, is it ready, what does it offer, how much does it do.

use actix_web::{HttpResponse, get, web::Data};
use gridmart_fabric::telemetry::METRICS_CONTENT_TYPE;
use gridmart_schemas::problem::{Code, Problem};

use super::{
    answer::{Refusal, Refusals},
    authorization::{Allowed, Metrics},
};
use crate::app::Control;

/// Tells that the process answers.
#[utoipa::path(tag = "service", responses((status = 204, description = "It answers"), Refusals))]
#[get("/healthz")]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Tells that all requests are taken: not while it goes down, nor while its
/// disk refuses changes (reading and access to applications go on).
#[utoipa::path(tag = "service", responses((status = 204, description = "It takes all requests"), Refusals))]
#[get("/readyz")]
pub(super) async fn readyz(control: Data<Control>) -> Result<HttpResponse, Refusal> {
    if control.shutdown.is_cancelled() {
        return Err(Problem::new(Code::Unavailable, "The controller is going down.").into());
    }
    if let Some(problem) = control.catalogue.ailment() {
        return Err(problem.into());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// This document.
#[utoipa::path(tag = "service", responses((status = 200, description = "The API document", body = Object), Refusals))]
#[get("/openapi.json")]
pub(super) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok().json(super::openapi())
}

/// Numbers for Prometheus.
#[utoipa::path(tag = "service", security(("token" = [])),
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "text/plain"), Refusals))]
#[get("/metrics")]
pub(super) async fn metrics(_: Allowed<Metrics>, control: Data<Control>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(METRICS_CONTENT_TYPE)
        .body(control.metrics.registry.encode())
}
