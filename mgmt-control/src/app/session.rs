//! Who asks: signing in with a password, and API tokens.
//!
//! A token is `gmt1.ID.SECRET`; only the hash of its secret is kept, and it is
//! checked against the snapshot: no disk and no argon2 on a request's path.

use std::{net::IpAddr, time::Instant};

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
    catalogue::{Snapshot, audit::AuditEntry, person::ApiToken},
    failure::Failure,
};

/// Version and recognition mark of the text form.
const PREFIX: &str = "gmt1.";
/// The most bytes of a token's text.
const TEXT_BYTES_MAX: usize = 256;
const SECRET_BYTES: usize = 32;
/// How long a token lives that `login` makes.
const LOGIN_LIFE: Duration = Duration::days(30);
/// The longest label.
pub const LABEL_CHARACTERS_MAX: usize = 100;

/// A new token: its text, shown once, and what is kept.
pub fn make_token(
    person: &PersonName,
    label: &str,
    now: OffsetDateTime,
    life: Duration,
) -> (String, ApiToken) {
    let secret: [u8; SECRET_BYTES] = rand::random();
    let id = TokenId::generate();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let token = ApiToken {
        id,
        person: person.clone(),
        label: label.chars().take(LABEL_CHARACTERS_MAX).collect(),
        secret_hash: blake3::hash(secret.as_bytes()).to_hex().to_string(),
        created: now.truncate_to_second(),
        expires: now.truncate_to_second() + life,
    };
    (format!("{PREFIX}{id}.{secret}"), token)
}

/// Tells who bears a token.
pub fn authenticate(
    catalogue: &Snapshot,
    text: &str,
    now: OffsetDateTime,
) -> Result<Actor, Problem> {
    let refused = || {
        Problem::new(
            Code::CredentialsRefused,
            "This API token is not known, or its time is over.",
        )
    };
    let (id, secret) = Some(text)
        .filter(|text| text.len() <= TEXT_BYTES_MAX)
        .and_then(|text| text.strip_prefix(PREFIX)?.split_once('.'))
        .ok_or_else(refused)?;
    let id: TokenId = id.parse().map_err(|_| refused())?;
    let token = catalogue.api_tokens.get(&id).ok_or_else(refused)?;
    let kept = blake3::Hash::from_hex(&token.secret_hash).map_err(|_| refused())?;
    // Comparing two of BLAKE3's hashes takes equal time for all.
    if blake3::hash(secret.as_bytes()) != kept || token.expires <= now {
        return Err(refused());
    }
    let person = catalogue.people.get(&token.person).ok_or_else(refused)?;
    if !person.enabled {
        return Err(Problem::new(
            Code::CredentialsRefused,
            format!(
                "{} may not sign in: an admin has disabled the account.",
                person.name
            ),
        ));
    }
    Ok(Actor {
        name: person.name.clone(),
        role: person.role,
        domain: person.domain.clone(),
    })
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
    let guesser = Guesser::Person(name.to_string(), from.into());
    let guessers = [guesser.clone(), Guesser::Address(from.into())];
    control.throttle.admit(&guessers, Instant::now())?;
    let entry = AuditEntry {
        actor: name.to_string(),
        action: "person.login",
        target: name.to_string(),
        request: Some(request),
        detail: format!("from {from}"),
    };
    let person = control.catalogue.snapshot().people.get(&name).cloned();
    let hash = person.as_ref().map(|person| person.password_hash.clone());
    let good = control.passwords.verify(password, hash).await?;
    let person = person.filter(|person| good && person.enabled);
    let Some(person) = person else {
        control.throttle.on_failure(&guessers, Instant::now());
        control
            .audit_refusal(entry, Code::CredentialsRefused.as_str())
            .await;
        return Err(Problem::new(Code::CredentialsRefused, "Name or password is wrong.").into());
    };
    control.throttle.on_success(&guesser);
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
