//! Who asks: signing in with a password, and API tokens.
//!
//! A token is `gmt1.ID.SECRET`, a session's cookie `gms1.ID.SECRET`; only the
//! hash of the secret is kept, and it is checked against the snapshot: no disk
//! and no argon2 on a request's path. Neither passes for the other.

use std::{net::IpAddr, sync::Arc, time::Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gridmart_fabric::throttle::Guesser;
use gridmart_schemas::{
    api::person::{ApiTokenMade, LoginRequest},
    id::{PersonName, RequestId, TokenId},
    problem::{Code, Problem},
};
use time::{Duration, OffsetDateTime};

use super::{
    Control,
    context::{Actor, Context},
};
use crate::{
    catalogue::{
        Snapshot,
        audit::AuditEntry,
        person::{ApiToken, Person},
    },
    failure::Failure,
};

/// Version and recognition mark of a token's text form.
const TOKEN_PREFIX: &str = "gmt1.";
/// The same of a session's cookie.
const SESSION_PREFIX: &str = "gms1.";
/// The most bytes of a token's text.
const TEXT_BYTES_MAX: usize = 256;
const SECRET_BYTES: usize = 32;
/// How long a token lives that `login` makes.
const LOGIN_LIFE: Duration = Duration::days(30);
/// A session's secret serves so long beside the next one, for requests that
/// are on their way when it changes.
pub(super) const SECRET_BEFORE_LIFE: Duration = Duration::minutes(1);
/// The longest label.
pub const LABEL_CHARACTERS_MAX: usize = 100;

/// A new token: its text, shown once, and what is kept.
pub fn make_token(
    person: &PersonName,
    label: &str,
    now: OffsetDateTime,
    life: Duration,
) -> (String, ApiToken) {
    let id = TokenId::generate();
    let secret = make_secret();
    let token = ApiToken {
        id,
        person: person.clone(),
        label: label.chars().take(LABEL_CHARACTERS_MAX).collect(),
        secret_hash: hash(&secret),
        created: now.truncate_to_second(),
        expires: now.truncate_to_second() + life,
        session: None,
    };
    (format!("{TOKEN_PREFIX}{id}.{secret}"), token)
}

/// A secret nobody guesses, as text.
pub(super) fn make_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>())
}

/// What is kept of a secret.
pub(super) fn hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// The text of a session's cookie.
pub(super) fn cookie_text(id: TokenId, secret: &str) -> String {
    format!("{SESSION_PREFIX}{id}.{secret}")
}

/// What a request shows to say who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// An API token.
    Token(&'a str),
    /// A session's cookie.
    Cookie(&'a str),
}

/// Who asks, and what says so.
#[derive(Clone)]
pub struct SignedIn {
    /// Who.
    pub actor: Actor,
    /// The API token or session.
    pub token: Arc<ApiToken>,
}

/// Tells who shows a token or a cookie.
pub fn authenticate(
    catalogue: &Snapshot,
    shown: Shown<'_>,
    now: OffsetDateTime,
) -> Result<SignedIn, Problem> {
    let (text, prefix, what) = match shown {
        Shown::Token(text) => (text, TOKEN_PREFIX, "This API token is not known"),
        Shown::Cookie(text) => (text, SESSION_PREFIX, "This session is not known"),
    };
    let refused = || {
        let detail = format!("{what}, or its time is over.");
        Problem::new(Code::CredentialsRefused, detail)
    };
    let (id, secret) = Some(text)
        .filter(|text| text.len() <= TEXT_BYTES_MAX)
        .and_then(|text| text.strip_prefix(prefix)?.split_once('.'))
        .ok_or_else(refused)?;
    let id: TokenId = id.parse().map_err(|_| refused())?;
    let is_session = matches!(shown, Shown::Cookie(_));
    let token = catalogue
        .api_tokens
        .get(&id)
        .filter(|token| token.session.is_some() == is_session)
        .ok_or_else(refused)?;
    if !is_secret_of(token, secret, now) || token.is_over(now) {
        return Err(refused());
    }
    signed_in(catalogue, token).ok_or_else(refused)?
}

/// Tells whose session this is, for what the controller does for it.
pub fn authenticate_session(
    catalogue: &Snapshot,
    session: Option<TokenId>,
    now: OffsetDateTime,
) -> Result<SignedIn, Problem> {
    let refused = || Problem::new(Code::CredentialsRefused, "This session is over.");
    let token = session.and_then(|id| catalogue.api_tokens.get(&id));
    let token = token.filter(|token| token.session.is_some() && !token.is_over(now));
    signed_in(catalogue, token.ok_or_else(refused)?).ok_or_else(refused)?
}

/// The person of a token; `None`: there is none any more.
fn signed_in(catalogue: &Snapshot, token: &Arc<ApiToken>) -> Option<Result<SignedIn, Problem>> {
    let person = catalogue.people.get(&token.person)?;
    if !person.enabled {
        return Some(Err(Problem::new(
            Code::CredentialsRefused,
            format!(
                "{} may not sign in: an admin has disabled the account.",
                person.name
            ),
        )));
    }
    let actor = Actor {
        name: person.name.clone(),
        role: person.role,
        domain: person.domain.clone(),
    };
    let token = Arc::clone(token);
    Some(Ok(SignedIn { actor, token }))
}

/// Comparing two of BLAKE3's hashes takes equal time for all.
fn is_secret_of(token: &ApiToken, secret: &str, now: OffsetDateTime) -> bool {
    let secret = blake3::hash(secret.as_bytes());
    let is = |kept: &String| blake3::Hash::from_hex(kept).is_ok_and(|kept| kept == secret);
    let before = token
        .session
        .as_ref()
        .filter(|session| session.rotated + SECRET_BEFORE_LIFE > now)
        .and_then(|session| session.secret_hash_before.as_ref());
    is(&token.secret_hash) || before.is_some_and(is)
}

/// Whether this request shows the secret of now, not the one before.
pub(super) fn is_newest_secret(token: &ApiToken, text: &str) -> bool {
    let secret = text.rsplit_once('.').map_or("", |(_, secret)| secret);
    blake3::Hash::from_hex(&token.secret_hash)
        .is_ok_and(|kept| kept == blake3::hash(secret.as_bytes()))
}

/// Checks a name and a password, slowed down where they were wrong before.
pub(super) async fn check_password(
    control: &Control,
    from: IpAddr,
    entry: &AuditEntry,
    name: &PersonName,
    password: String,
) -> Result<Arc<Person>, Failure> {
    let guesser = Guesser::Person(name.to_string(), from.into());
    let guessers = [guesser.clone(), Guesser::Address(from.into())];
    control.throttle.admit(&guessers, Instant::now())?;
    let person = control.catalogue.snapshot().people.get(name).cloned();
    let hash = person.as_ref().map(|person| person.password_hash.clone());
    let good = control.passwords.verify(password, hash).await?;
    let Some(person) = person.filter(|person| good && person.enabled) else {
        control.throttle.on_failure(&guessers, Instant::now());
        control
            .audit_refusal(entry.clone(), Code::CredentialsRefused.as_str())
            .await;
        return Err(Problem::new(Code::CredentialsRefused, "Name or password is wrong.").into());
    };
    control.throttle.on_success(&guesser);
    Ok(person)
}

/// An entry for the audit log about a person who signs in.
pub(super) fn login_entry(request: RequestId, name: &PersonName, detail: String) -> AuditEntry {
    AuditEntry {
        actor: name.to_string(),
        action: "person.login",
        target: name.to_string(),
        request: Some(request),
        detail,
    }
}

/// Signs a person in: checks the password, makes an API token.
pub async fn login(
    control: &Control,
    request: RequestId,
    from: IpAddr,
    login: LoginRequest,
) -> Result<ApiTokenMade, Failure> {
    let LoginRequest {
        name,
        password,
        label,
    } = login;
    let entry = login_entry(request, &name, format!("from {from}"));
    let person = check_password(control, from, &entry, &name, password).await?;
    let label = if label.is_empty() {
        "login".to_owned()
    } else {
        label
    };
    control
        .administer(entry, move |update| {
            let (text, token) = make_token(&person.name, &label, update.now(), LOGIN_LIFE);
            let made = ApiTokenMade {
                token: text,
                id: token.id,
                expires: token.expires,
            };
            update.put_api_token(token)?;
            Ok(made)
        })
        .await
}

/// Tells who asks.
pub fn whoami(context: &Context) -> gridmart_schemas::api::person::PersonView {
    let Actor { name, role, domain } = context.actor.clone();
    gridmart_schemas::api::person::PersonView {
        name,
        role,
        domain,
        enabled: true,
    }
}
