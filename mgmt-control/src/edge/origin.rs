//! Whether a request of a browser comes from the console itself: another
//! site's page can have a browser send one, with the cookie if the site is a
//! neighbour (another port of the same machine is one).

use actix_web::{
    HttpRequest,
    http::header::{HOST, HeaderName, ORIGIN},
};
use gridmart_schemas::{
    id::TokenId,
    problem::{Code, Problem},
};

use crate::app::{Control, console_session::is_csrf};

/// What a page says to prove that it can read this door's answers.
const CSRF: HeaderName = HeaderName::from_static("x-gridmart-csrf");
/// Where a browser says that a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request under a session's cookie that the console did not make.
pub(super) fn require_own(
    request: &HttpRequest,
    control: &Control,
    session: TokenId,
) -> Result<(), Problem> {
    if request.method().is_safe() {
        // A person may type an address; nobody else may have it asked for.
        return match text(request, &SEC_FETCH_SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(foreign()),
        };
    }
    require_same_origin(request)?;
    if text(request, &CSRF)?.is_some_and(|said| is_csrf(control, session, said)) {
        return Ok(());
    }
    let detail = format!(
        "{} {} under a session's cookie needs the header {CSRF} that `GET /api/v1/session` tells.",
        request.method(),
        request.match_pattern().unwrap_or_default()
    );
    Err(Problem::new(Code::RequestForged, detail))
}

/// Refuses what a page of another origin sends. A program that is no browser
/// says nothing of where it comes from.
pub(super) fn require_same_origin(request: &HttpRequest) -> Result<(), Problem> {
    if let Some(site) = text(request, &SEC_FETCH_SITE)?
        && site != "same-origin"
    {
        return Err(foreign());
    }
    let Some(origin) = text(request, &ORIGIN)? else {
        return Ok(());
    };
    // Before a plain door on loopback may stand one that speaks TLS.
    let own = origin.strip_prefix("https://").or_else(|| {
        origin
            .strip_prefix("http://")
            .filter(|_| !request.app_config().secure())
    });
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => text(request, &HOST)?,
    };
    match (own, host) {
        (Some(own), Some(host)) if own.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(foreign()),
    }
}

/// A header that stands once, in text.
fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut all = request.headers().get_all(name);
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| foreign()),
        (Some(_), Some(_)) => Err(foreign()),
    }
}

fn foreign() -> Problem {
    Problem::new(
        Code::RequestForged,
        "This request comes from a page of another origin.",
    )
}
