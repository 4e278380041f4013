//! Sessions of browsers.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header::SET_COOKIE,
    post,
    web::{Data, Json},
};
use gridmart_schemas::{
    api::session::{SessionCreate, SessionView},
    problem::{Code, Problem},
};
use time::OffsetDateTime;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed, actions_of, remote_address, request_id},
    cookie,
    origin::require_same_origin,
};
use crate::{
    app::{
        Control,
        console_session::{self, csrf},
        session::{Shown, SignedIn, authenticate},
    },
    catalogue::person::SESSION_IDLE,
};

/// Signs in with a password or an API token; sets the session's cookie
/// (`HttpOnly`, `SameSite=Strict`), whose secret changes every ten minutes.
#[utoipa::path(tag = "people", request_body = SessionCreate,
    responses((status = 200, body = SessionView), Refusals))]
#[post("/api/v1/session")]
pub(super) async fn session_create(
    request: HttpRequest,
    control: Data<Control>,
    body: Json<SessionCreate>,
) -> Result<HttpResponse, Refusal> {
    require_same_origin(&request)?;
    let signed_in = |text: &str| {
        let now = OffsetDateTime::now_utc();
        authenticate(&control.catalogue.snapshot(), Shown::Cookie(text), now)
    };
    let before = cookie::shown(&request).and_then(|text| signed_in(&text).ok());
    let made = console_session::session_create(
        &control,
        request_id(&request),
        remote_address(&request),
        body.into_inner(),
        before.map(|before| before.token.id),
    )
    .await?;
    let view = view(&control, &signed_in(&made.text)?);
    Ok(HttpResponse::Ok()
        .insert_header((SET_COOKIE, cookie::set(&request, &made)))
        .json(view))
}

/// Tells who is signed in, and what they may do.
#[utoipa::path(tag = "people", responses((status = 200, body = SessionView), Refusals))]
#[get("/api/v1/session")]
pub(super) async fn session_view(
    allowed: Allowed<allow::SessionView>,
    control: Data<Control>,
) -> Result<Json<SessionView>, Refusal> {
    require_session(&allowed)?;
    Ok(Json(view(&control, &allowed.signed_in())))
}

/// Signs out: the session is refused from now on.
#[utoipa::path(tag = "people", responses((status = 204, description = "It has ended"), Refusals))]
#[delete("/api/v1/session")]
pub(super) async fn session_delete(
    request: HttpRequest,
    allowed: Allowed<allow::SessionDelete>,
    control: Data<Control>,
) -> Result<HttpResponse, Refusal> {
    require_session(&allowed)?;
    console_session::session_delete(&control, &allowed, allowed.token().id).await?;
    Ok(HttpResponse::NoContent()
        .insert_header((SET_COOKIE, cookie::unset(&request)))
        .finish())
}

fn require_session<A>(allowed: &Allowed<A>) -> Result<(), Problem> {
    if allowed.token().session.is_some() {
        return Ok(());
    }
    let detail = "An API token is no session; `GET /api/v1/whoami` tells who bears it.";
    Err(Problem::new(Code::InvalidRequest, detail))
}

fn view(control: &Control, signed_in: &SignedIn) -> SessionView {
    let SignedIn { actor, token } = signed_in;
    SessionView {
        person: actor.name.clone(),
        role: actor.role,
        domain: actor.domain.clone(),
        csrf: csrf(control, token.id),
        expires: token.expires,
        idle_seconds: SESSION_IDLE.whole_seconds().unsigned_abs(),
        may: actions_of(actor.role).map(str::to_owned).collect(),
    }
}
