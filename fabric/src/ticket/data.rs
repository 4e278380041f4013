//! What tickets say of databases.

use std::time::Duration;

use gridmart_schemas::{
    id::{DatabaseId, KeyHash, NodeId},
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    LIFE_MAX, LOG_TYPE, TICKET_BYTES_MAX, Times,
    claims::{Claims, claims},
    verifying::judge,
};

/// A ticket for a log: an Element permits a shadow's Host to read the log of one
/// database, and snapshots of it, on the Host of its core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogClaims {
    /// The Element.
    pub iss: NodeId,
    /// The Host of the shadow.
    pub sub: NodeId,
    /// The Host of the core.
    pub aud: NodeId,
    /// The TLS key of the shadow's Host.
    pub presenter: KeyHash,
    /// The database.
    pub database: DatabaseId,
    /// The version of the rules of what the shadow may hold; absent: all. The Host of
    /// the core has the rules from the Element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_version: Option<u64>,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
}

claims!(LogClaims, LOG_TYPE, LIFE_MAX, TICKET_BYTES_MAX, "Host");
