//! The cookie of a session: read, set, changed with the answer to whatever
//! request comes when its secret is old.

use actix_web::{
    Error, HttpMessage as _, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{COOKIE, HeaderValue, SET_COOKIE},
    middleware::Next,
    web::Data,
};
use gridmart_schemas::id::TokenId;
use time::OffsetDateTime;

use crate::{
    app::{
        Control,
        console_session::{Cookie, is_renewal_due, session_renew},
    },
    catalogue::person::ApiToken,
};

/// Its name where the door speaks plain HTTP (on loopback alone).
pub(super) const PLAIN: &str = "gridmart_session";
/// Its name over TLS: a browser takes it from this very host alone, never from
/// a neighbour in its domain.
const SECURE: &str = "__Host-gridmart_session";

/// What to do once the answer is there.
#[derive(Clone)]
struct Renewal {
    session: TokenId,
    shown: String,
}

fn name(request: &HttpRequest) -> &'static str {
    if request.app_config().secure() {
        SECURE
    } else {
        PLAIN
    }
}

/// The cookie that a request shows.
pub(super) fn shown(request: &HttpRequest) -> Option<String> {
    let name = name(request);
    request
        .headers()
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
}

/// Notes that a request came under this cookie, which may be due to change.
pub(super) fn note(request: &HttpRequest, token: &ApiToken, shown: String, now: OffsetDateTime) {
    if is_renewal_due(token, &shown, now) {
        let session = token.id;
        request.extensions_mut().insert(Renewal { session, shown });
    }
}

/// The header that has a browser keep the cookie.
pub(super) fn set(request: &HttpRequest, cookie: &Cookie) -> String {
    let life = cookie.expires - OffsetDateTime::now_utc();
    line(request, &cookie.text, life.whole_seconds().max(0))
}

/// The header that has a browser forget it.
pub(super) fn unset(request: &HttpRequest) -> String {
    line(request, "", 0)
}

fn line(request: &HttpRequest, value: &str, life: i64) -> String {
    let secure = if request.app_config().secure() {
        "; Secure"
    } else {
        ""
    };
    let name = name(request);
    format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}")
}

/// Gives another cookie with the answer, where one is due.
pub(super) async fn renew<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let due = response.request().extensions().get::<Renewal>().cloned();
    let control = response.request().app_data::<Data<Control>>().cloned();
    // Signing in and out say what is to be kept.
    if let (Some(Renewal { session, shown }), Some(control)) = (due, control)
        && !response.headers().contains_key(SET_COOKIE)
        && let Some(cookie) =
            session_renew(&control.catalogue, &control.rotations, session, shown).await
        && let Ok(value) = HeaderValue::from_str(&set(response.request(), &cookie))
    {
        response.headers_mut().append(SET_COOKIE, value);
    }
    Ok(response)
}
