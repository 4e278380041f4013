//! Around every request: its id, one line in the log, its numbers.

use std::time::{Duration, Instant};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    middleware::Next,
    web::Data,
};
use gridmart_fabric::telemetry::in_request;
use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
};
use tokio::time::timeout;

use super::{
    answer::Refusal,
    authorization::{Action as _, ApplicationUpload},
};
use crate::{app::Control, metrics::RequestLabels};

/// How long a request may take, its body included.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// What is done at Elements and Hosts for a browser.
const GATEWAY: &str = "/api/v1/console/";

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request under its id (the caller's, if that is a UUID), and logs it.
pub(super) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(RequestId::generate);
    request.extensions_mut().insert(id);
    let started = Instant::now();
    // These take as long as their bytes come, and have bounds of their own.
    let limit = if is_long(&request) {
        Duration::MAX
    } else {
        ANSWER_MAX
    };
    let answered = in_request(Some(id), async {
        let answered = timeout(limit, next.call(request)).await;
        let answered = answered.unwrap_or_else(|_| Err(late(id).into()));
        if let Ok(response) = &answered {
            log(response, started);
        }
        answered
    });
    let mut response = answered.await?;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The console's page is the same for everybody; all else is not kept.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

fn is_long(request: &ServiceRequest) -> bool {
    let row = ApplicationUpload::ROW;
    let is_upload = request.method().as_str() == row.method && request.path() == row.path;
    is_upload || request.path().starts_with(GATEWAY)
}

fn late(id: RequestId) -> Refusal {
    let detail = format!("No answer within {} s.", ANSWER_MAX.as_secs());
    Problem::new(Code::TimedOut, detail)
        .with_request(Some(id))
        .into()
}

fn log<B>(response: &ServiceResponse<B>, started: Instant) {
    let request = response.request();
    let took = started.elapsed();
    let status = response.status().as_u16();
    let refusal = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Refusal>());
    tracing::info!(
        http.method = %request.method(),
        http.route = request.match_pattern().as_deref().unwrap_or("(none)"),
        http.status = status,
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        peer = request.peer_addr().map(tracing::field::display),
        code = refusal.map(|refusal| tracing::field::display(refusal.problem().code)),
        detail = refusal.map(|refusal| refusal.problem().detail.as_str()),
        "request"
    );
    if let Some(control) = request.app_data::<Data<Control>>() {
        let labels = RequestLabels {
            method: request.method().to_string(),
            status,
        };
        control.metrics.requests.get_or_create(&labels).inc();
        control.metrics.request_seconds.observe(took.as_secs_f64());
    }
}
