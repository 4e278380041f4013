//! Sessions of browsers: signing in for a cookie.

use serde::{Deserialize, Serialize};

use crate::{id::PersonName, role::Role};

/// `POST /api/v1/session`: name and password, or an API token.
#[derive(Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// Who; with `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// The password; with `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// An API token, in the place of both. The session ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Who is signed in, and what they may do. The session itself is a cookie that
/// no script can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Who.
    pub person: PersonName,
    /// Their role at present.
    pub role: Role,
    /// The domain they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What the header `x-gridmart-csrf` says with each request that changes
    /// something; the same as long as the session stands.
    pub csrf: String,
    /// When the session ends, whatever happens in it.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub expires: time::OffsetDateTime,
    /// It ends after so many seconds without a request (up to ten minutes
    /// sooner, since that is how finely requests are remembered).
    pub idle_seconds: u64,
    /// What this role may ask for: the actions of the authorization table.
    pub may: Vec<String>,
}
