//! Sessions of browsers: signed in with a password or an API token, borne by a
//! cookie whose secret changes every ten minutes.
//!
//! Invariants: only hashes of secrets are in the store; the secret before
//! serves a minute longer, and whoever shows it meanwhile is given the new one
//! again, so that an answer that was lost signs nobody out. What is derived
//! for [`csrf`] does not change with the secret.

use std::{collections::HashMap, net::IpAddr, time::Instant};

use gridmart_fabric::throttle::Guesser;
use gridmart_schemas::{
    api::session::SessionCreate,
    id::{RequestId, TokenId},
    problem::{Code, Problem},
};
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};

use super::{
    Control,
    context::Context,
    session::{
        SECRET_BEFORE_LIFE, Shown, SignedIn, authenticate, check_password, cookie_text, hash,
        is_newest_secret, login_entry, make_secret,
    },
};
use crate::{
    catalogue::{
        Catalogue, Update,
        person::{ApiToken, SESSION_ROTATION, SessionFacts},
    },
    failure::Failure,
};

/// How long a session lasts at most.
pub const SESSION_LIFE: Duration = Duration::hours(12);
/// Sessions of one person at a time; one more ends the oldest.
const SESSIONS_MAX: usize = 50;
/// For people who list their tokens.
const LABEL: &str = "console";

/// A session just begun, or one whose secret has changed.
pub struct Cookie {
    /// The value of the cookie.
    pub text: String,
    /// Until when it serves at most.
    pub expires: OffsetDateTime,
}

/// Secrets that were changed within the last minute; in memory only.
#[derive(Default)]
pub struct Rotations {
    fresh: Mutex<HashMap<TokenId, (Instant, String)>>,
}

impl Rotations {
    fn keep(&self, id: TokenId, text: &str, now: Instant) {
        let mut fresh = self.fresh.lock();
        let life = SECRET_BEFORE_LIFE.unsigned_abs();
        fresh.retain(|_, (since, _)| now.saturating_duration_since(*since) < life);
        fresh.insert(id, (now, text.to_owned()));
    }

    fn of(&self, id: TokenId, now: Instant) -> Option<String> {
        let fresh = self.fresh.lock();
        let (since, text) = fresh.get(&id)?;
        let age = now.saturating_duration_since(*since);
        (age < SECRET_BEFORE_LIFE.unsigned_abs()).then(|| text.clone())
    }
}

/// What a request under a session's cookie has to say to change something.
pub fn csrf(control: &Control, session: TokenId) -> String {
    blake3::keyed_hash(&control.catalogue.session_key, session.as_uuid().as_bytes())
        .to_hex()
        .to_string()
}

/// Whether it says so; takes equal time for all.
pub fn is_csrf(control: &Control, session: TokenId, said: &str) -> bool {
    let own = blake3::keyed_hash(&control.catalogue.session_key, session.as_uuid().as_bytes());
    blake3::Hash::from_hex(said).is_ok_and(|said| said == own)
}

/// Signs a person in; ends the session that the browser had before.
pub async fn session_create(
    control: &Control,
    request: RequestId,
    from: IpAddr,
    wanted: SessionCreate,
    before: Option<TokenId>,
) -> Result<Cookie, Failure> {
    let SessionCreate {
        name,
        password,
        token,
    } = wanted;
    let (person, parent, until) = match (name, password, token) {
        (Some(name), Some(password), None) => {
            let entry = login_entry(request, &name, words(from));
            let person = check_password(control, from, &entry, &name, password).await?;
            (person.name.clone(), None, None)
        }
        (None, None, Some(token)) => {
            let SignedIn { actor, token } = check_token(control, request, from, &token)?;
            (actor.name, Some(token.id), Some(token.expires))
        }
        _ => {
            let detail = "Sign in with `name` and `password`, or with `token` alone.";
            return Err(Problem::new(Code::InvalidRequest, detail).into());
        }
    };
    let entry = login_entry(request, &person, words(from));
    control
        .administer(entry, move |update| {
            // It may have been taken away while it was looked at.
            let catalogue = update.snapshot();
            let stands = |id| catalogue.api_tokens.contains_key(&id);
            let enabled = catalogue.people.get(&person).is_some_and(|one| one.enabled);
            if !enabled || !parent.is_none_or(stands) {
                return Err(refused().into());
            }
            if let Some(before) = before {
                update.remove_api_token(before)?;
            }
            make_room(update, &person)?;
            let now = update.now();
            let (id, secret) = (TokenId::generate(), make_secret());
            let life = now + SESSION_LIFE;
            let expires = until.map_or(life, |until| until.min(life));
            update.put_api_token(ApiToken {
                id,
                person,
                label: LABEL.to_owned(),
                secret_hash: hash(&secret),
                created: now,
                expires,
                session: Some(SessionFacts {
                    rotated: now,
                    secret_hash_before: None,
                    parent,
                }),
            })?;
            let text = cookie_text(id, &secret);
            Ok(Cookie { text, expires })
        })
        .await
}

fn words(from: IpAddr) -> String {
    format!("to the console, from {from}")
}

fn refused() -> Problem {
    Problem::new(
        Code::CredentialsRefused,
        "This API token is not known, or its time is over.",
    )
}

fn check_token(
    control: &Control,
    request: RequestId,
    from: IpAddr,
    token: &str,
) -> Result<SignedIn, Failure> {
    let guessers = [Guesser::Address(from.into())];
    control.throttle.admit(&guessers, Instant::now())?;
    let now = OffsetDateTime::now_utc();
    let known = authenticate(
        &control.catalogue.snapshot(),
        Shown::Token(token.trim()),
        now,
    );
    if known.is_err() {
        control.throttle.on_failure(&guessers, Instant::now());
        tracing::info!(request = %request, peer = %from, "refused: no such API token");
    }
    Ok(known?)
}

fn make_room(
    update: &mut Update<'_>,
    person: &gridmart_schemas::id::PersonName,
) -> Result<(), Failure> {
    let mut own: Vec<_> = update
        .snapshot()
        .api_tokens
        .values()
        .filter(|token| token.person == *person && token.session.is_some())
        .map(|token| (token.created, token.id))
        .collect();
    own.sort_unstable();
    let over = (own.len() + 1).saturating_sub(SESSIONS_MAX);
    for (_, id) in own.into_iter().take(over) {
        update.remove_api_token(id)?;
    }
    Ok(())
}

/// Signs out.
pub async fn session_delete(
    control: &Control,
    context: &Context,
    session: TokenId,
) -> Result<(), Failure> {
    let entry = context.act("person.logout", context.actor.name.to_string());
    control
        .administer(entry, move |update| Ok(update.remove_api_token(session)?))
        .await
}

/// Whether a request that shows this cookie is to be given another one.
pub fn is_renewal_due(token: &ApiToken, shown: &str, now: OffsetDateTime) -> bool {
    let Some(session) = &token.session else {
        return false;
    };
    session.rotated + SESSION_ROTATION <= now || !is_newest_secret(token, shown)
}

/// Changes the secret of a session whose secret is old; gives the new one to
/// whoever still shows the one before. `None`: there is nothing new.
pub async fn session_renew(
    catalogue: &Catalogue,
    rotations: &Rotations,
    id: TokenId,
    shown: String,
) -> Option<Cookie> {
    let known = catalogue.snapshot().api_tokens.get(&id).cloned()?;
    if !is_newest_secret(&known, &shown) {
        let (text, expires) = (rotations.of(id, Instant::now())?, known.expires);
        return Some(Cookie { text, expires });
    }
    let renewed = catalogue
        .update(move |update| rotate(update, id, &shown))
        .await;
    match renewed {
        Ok(cookie) => {
            let cookie = cookie?;
            rotations.keep(id, &cookie.text, Instant::now());
            Some(cookie)
        }
        Err(error) => {
            // The secret of now serves on.
            tracing::warn!(error = %error, "a session's secret could not be changed");
            None
        }
    }
}

/// Another request may have been first.
fn rotate(update: &mut Update<'_>, id: TokenId, shown: &str) -> Result<Option<Cookie>, Failure> {
    let now = update.now();
    let Some(known) = update.snapshot().api_tokens.get(&id).cloned() else {
        return Ok(None);
    };
    let is_due = |session: &&SessionFacts| session.rotated + SESSION_ROTATION <= now;
    let Some(session) = known.session.as_ref().filter(is_due) else {
        return Ok(None);
    };
    if !is_newest_secret(&known, shown) {
        return Ok(None);
    }
    let secret = make_secret();
    let session = SessionFacts {
        rotated: now,
        secret_hash_before: Some(known.secret_hash.clone()),
        parent: session.parent,
    };
    update.put_api_token(ApiToken {
        secret_hash: hash(&secret),
        session: Some(session),
        ..ApiToken::clone(&known)
    })?;
    Ok(Some(Cookie {
        text: cookie_text(id, &secret),
        expires: known.expires,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gridmart_schemas::role::Role;

    use super::*;
    use crate::catalogue::{Snapshot, person::Person};

    /// A session whose secret was last changed so long ago.
    async fn session(catalogue: &Catalogue, old: Duration) -> (TokenId, String) {
        let (id, secret) = (TokenId::generate(), make_secret());
        let text = cookie_text(id, &secret);
        catalogue
            .update(move |update| {
                let now = update.now();
                let person: gridmart_schemas::id::PersonName = "uma".parse().unwrap();
                update.put_person(Person {
                    name: person.clone(),
                    role: Role::User,
                    domain: None,
                    enabled: true,
                    password_hash: String::new(),
                    created: now,
                })?;
                Ok(update.put_api_token(ApiToken {
                    id,
                    person,
                    label: LABEL.to_owned(),
                    secret_hash: hash(&secret),
                    created: now - old,
                    expires: now - old + SESSION_LIFE,
                    session: Some(SessionFacts {
                        rotated: now - old,
                        secret_hash_before: None,
                        parent: None,
                    }),
                })?)
            })
            .await
            .unwrap();
        (id, text)
    }

    fn is_good(catalogue: &Snapshot, text: &str, later: Duration) -> bool {
        let now = OffsetDateTime::now_utc() + later;
        authenticate(catalogue, Shown::Cookie(text), now).is_ok()
    }

    #[tokio::test]
    async fn a_secret_changes_and_the_one_before_serves_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(folder.path()).unwrap();
        let rotations = Rotations::default();
        let (id, first) = session(&catalogue, Duration::minutes(11)).await;
        let renewed = session_renew(&catalogue, &rotations, id, first.clone()).await;
        let second = renewed.unwrap().text;
        assert_ne!(first, second);
        let snapshot = catalogue.snapshot();
        assert!(is_good(&snapshot, &second, Duration::ZERO));
        assert!(is_good(&snapshot, &first, Duration::seconds(50)));
        assert!(!is_good(&snapshot, &first, Duration::seconds(61)));
        assert!(is_good(&snapshot, &second, Duration::minutes(110)));
        assert!(!is_good(&snapshot, &second, Duration::minutes(121)));
        // The answer with the new one was lost: it is told again.
        let token = Arc::clone(&snapshot.api_tokens[&id]);
        assert!(is_renewal_due(&token, &first, OffsetDateTime::now_utc()));
        let again = session_renew(&catalogue, &rotations, id, first).await;
        assert_eq!(again.unwrap().text, second);
        // A fresh one is left alone, and nobody guesses.
        assert!(!is_renewal_due(&token, &second, OffsetDateTime::now_utc()));
        assert!(
            session_renew(&catalogue, &rotations, id, second.clone())
                .await
                .is_none()
        );
        let forged = cookie_text(id, &make_secret());
        assert!(!is_good(&snapshot, &forged, Duration::ZERO));
        // As an API token it is nothing.
        for text in [second.replace("gms1", "gmt1"), second] {
            let now = OffsetDateTime::now_utc();
            assert!(authenticate(&snapshot, Shown::Token(&text), now).is_err());
        }
        // A restart remembers what it needs to.
        tokio::task::spawn_blocking(move || Arc::new(catalogue).close())
            .await
            .unwrap();
        let again = Catalogue::open(folder.path()).unwrap().snapshot();
        let kept = again.api_tokens[&id].session.as_ref().unwrap();
        assert!(kept.secret_hash_before.is_some());
    }

    #[tokio::test]
    async fn what_idles_or_has_had_its_time_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(folder.path()).unwrap();
        let (idle, _) = session(&catalogue, Duration::minutes(121)).await;
        let (fresh, _) = session(&catalogue, Duration::minutes(5)).await;
        catalogue
            .update(|update| Ok(update.remove_expired_tokens()?))
            .await
            .unwrap();
        let known = catalogue.snapshot();
        assert!(!known.api_tokens.contains_key(&idle));
        assert!(known.api_tokens.contains_key(&fresh));
    }
}
