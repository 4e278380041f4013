//! People and their API tokens, as the catalogue holds them.

use gridmart_schemas::{
    id::{PersonName, TokenId},
    role::Role,
};
use time::OffsetDateTime;

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

/// An API token; the token itself is not kept.
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
}
