//! People, their roles and API tokens.

use serde::{Deserialize, Serialize};

use crate::{
    id::{PersonName, TokenId},
    role::Role,
};

/// `POST /api/v1/login`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Who.
    pub name: PersonName,
    /// The password.
    pub password: String,
    /// For people: what the token is for.
    #[serde(default)]
    pub label: String,
}

/// A new API token, shown once.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiTokenMade {
    /// The whole token; only its hash is kept.
    pub token: String,
    /// Its public part.
    pub id: TokenId,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub expires: time::OffsetDateTime,
}

/// `GET /api/v1/whoami`, and a row of `GET /api/v1/people`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PersonView {
    /// Who.
    pub name: PersonName,
    /// What they may do.
    pub role: Role,
    /// The domain they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Whether they may sign in.
    pub enabled: bool,
}

/// `POST /api/v1/people`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonCreate {
    /// Who.
    pub name: PersonName,
    /// What they may do.
    pub role: Role,
    /// The domain they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// First password, 12 characters or more.
    pub password: String,
}

/// `PATCH /api/v1/people/{name}`.
#[derive(Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// New role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// New password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// May sign in or not; a disabled person's tokens are refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `POST /api/v1/api-tokens`: for oneself, or (admin) for another person.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiTokenCreate {
    /// For whom; absent: for oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonName>,
    /// Seconds that it lives; default 30 days, at most 366 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// For people: what it is for.
    #[serde(default)]
    pub label: String,
}

/// A row of `GET /api/v1/api-tokens`; `DELETE /api/v1/api-tokens/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiTokenRow {
    /// Its public part.
    pub id: TokenId,
    /// Whose.
    pub person: PersonName,
    /// For people.
    pub label: String,
    /// Whether it is a session of a browser: a cookie, not a token to be sent.
    #[serde(default)]
    pub session: bool,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339", default = "epoch")]
    #[schema(value_type = String, format = "date-time")]
    pub created: time::OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub expires: time::OffsetDateTime,
}

const fn epoch() -> time::OffsetDateTime {
    time::OffsetDateTime::UNIX_EPOCH
}
