//! "Why?"

use actix_web::{
    get,
    web::{Data, Json, Path},
};
use gridmart_schemas::api::explain::Explanation;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::app::{Control, explanation};

/// Explains a request, a call, a map, a lease or a Host.
#[utoipa::path(tag = "access", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = Explanation), Refusals))]
#[get("/api/v1/explanations/{id}")]
pub(super) async fn explanation_view(
    allowed: Allowed<allow::ExplanationView>,
    control: Data<Control>,
    id: Path<String>,
) -> Result<Json<Explanation>, Refusal> {
    Ok(Json(
        explanation::explanation_view(&control, &allowed, &id).await?,
    ))
}
