//! The one place that turns problems into `application/problem+json`.

use std::{collections::BTreeMap, fmt, num::NonZeroU32};

use actix_web::{
    HttpResponse, ResponseError,
    error::JsonPayloadError,
    http::{
        StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use gridmart_fabric::telemetry::current_request;
use gridmart_schemas::problem::{Code, Problem};
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema as _,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use crate::failure::Failure;

/// Media type of problem details (RFC 9457).
const PROBLEM_JSON: &str = "application/problem+json";

/// A problem on its way to the caller.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// What the caller is told.
    pub(super) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        failure.into_problem().into()
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let problem = Problem::clone(&self.0).with_request(current_request());
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_JSON);
        match self.status_code() {
            StatusCode::UNAUTHORIZED => response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = problem.retry_after.map_or(1, NonZeroU32::get);
                response.insert_header((RETRY_AFTER, seconds.to_string()))
            }
            StatusCode::SERVICE_UNAVAILABLE => match problem.retry_after {
                Some(seconds) => response.insert_header((RETRY_AFTER, seconds.to_string())),
                None => &mut response,
            },
            // What else would come of it is not even thrown away.
            StatusCode::PAYLOAD_TOO_LARGE => response.force_close(),
            _ => &mut response,
        };
        let text = serde_json::to_vec(&problem).unwrap_or_default();
        response.body(text)
    }
}

impl actix_web::Responder for Refusal {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

/// A JSON body that cannot be read.
pub(super) fn json_error(error: &JsonPayloadError) -> Refusal {
    match error {
        JsonPayloadError::Overflow { limit }
        | JsonPayloadError::OverflowKnownLength { limit, .. } => Problem::new(
            Code::TooLarge,
            format!("A JSON body has {limit} bytes at most."),
        )
        .into(),
        JsonPayloadError::Deserialize(cause) => malformed("body", cause),
        other => malformed("body", other),
    }
}

/// A part of a request that is not of the stated form.
pub(super) fn malformed(part: &str, error: &dyn fmt::Display) -> Refusal {
    Problem::new(
        Code::InvalidRequest,
        format!("The request's {part} is not understood: {error}."),
    )
    .into()
}

/// How every endpoint may refuse, for the API document.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(Problem::name())))
            .build();
        let response = ResponseBuilder::new()
            .description("Refused: problem details with a stable code")
            .content(PROBLEM_JSON, content)
            .build();
        [("default".to_owned(), response.into())].into()
    }
}

/// The schemas that [`Refusals`] refers to.
pub(super) fn problem_schemas() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    schemas
}
