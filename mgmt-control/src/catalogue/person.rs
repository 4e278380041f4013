//! People and their API tokens, as the catalogue holds them.

use gridmart_schemas::{
    id::{PersonName, TokenId},
    role::Role,
};
use time::{Duration, OffsetDateTime};

/// A session ends when its secret has not changed for so long, which it does
/// with the first request after each [`SESSION_ROTATION`].
pub const SESSION_IDLE: Duration = Duration::hours(2);
/// How long one secret of a session serves.
pub const SESSION_ROTATION: Duration = Duration::minutes(10);

/// A person.
#[derive(Clone)]
pub struct Person {
    /// Who.
    pub name: PersonName,
    /// What they may do.
    pub role: Role,
    /// The domain they belong to.
    pub domain: Option<String>,
    /// Whether they may sign in.
    pub enabled: bool,
    /// argon2id, in PHC form.
    pub password_hash: String,
    /// When they were added.
    pub created: OffsetDateTime,
}

/// An API token, or a session of a browser; the secret itself is not kept.
#[derive(Clone)]
pub struct ApiToken {
    /// Its public part.
    pub id: TokenId,
    /// Whose.
    pub person: PersonName,
    /// For people: what it is for.
    pub label: String,
    /// BLAKE3 of its secret, hex.
    pub secret_hash: String,
    /// When it was made.
    pub created: OffsetDateTime,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// Of a session.
    pub session: Option<SessionFacts>,
}

/// What a session has beyond an API token.
#[derive(Clone)]
pub struct SessionFacts {
    /// When its secret last changed: the last request is at most so much later
    /// as a secret stands.
    pub rotated: OffsetDateTime,
    /// BLAKE3 of the secret before, hex.
    pub secret_hash_before: Option<String>,
    /// The API token that the person signed in with.
    pub parent: Option<TokenId>,
}

impl ApiToken {
    /// Whether its time is over.
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        let idles = |session: &SessionFacts| session.rotated + SESSION_IDLE <= now;
        self.expires <= now || self.session.as_ref().is_some_and(idles)
    }
}
