//! Join tokens and nodes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{NodeId, TokenId},
    role::NodeKind,
};

/// `POST /api/v1/join-tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// `ce`: made by the controller. `chost`: made by the Element `element`.
    pub kind: NodeKind,
    /// The domain that the joined node will belong to (for `ce`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The Element that the Host shall join, by id or name (for `chost`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// How often it may be used; default 1.
    #[serde(default = "once")]
    pub uses: u32,
    /// Seconds that it may be used; default one hour, at most 30 days.
    #[serde(default = "hour")]
    pub expires_in: u64,
    /// For people.
    #[serde(default)]
    pub label: String,
}

fn once() -> u32 {
    1
}

fn hour() -> u64 {
    3600
}

/// The token, shown once.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinTokenView {
    /// The whole token; only its hash is kept.
    pub token: String,
    /// Where to join: `HOST:PORT`.
    pub endpoint: String,
    /// The line to type on the new machine.
    pub command: String,
}

/// A row of `GET /api/v1/join-tokens` (those of the controller).
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinTokenRow {
    /// Its public part.
    pub id: TokenId,
    /// For which kind.
    pub kind: NodeKind,
    /// For which domain.
    pub domain: String,
    /// Uses left.
    pub uses_left: u32,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub expires: time::OffsetDateTime,
    /// For people.
    pub label: String,
}

/// A row of `GET /api/v1/nodes`: certificates. `POST /api/v1/nodes/{id}/revoke`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// Its kind.
    pub kind: NodeKind,
    /// Its domain.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// When its certificate runs out.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub not_after: time::OffsetDateTime,
    /// Whether it was revoked.
    pub revoked: bool,
}
