//! Heal certificates: a Storage Element states what a run of repair has done.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::id::NodeId;

/// What a run of repair has done, from the moment when something was found lost
/// to the one when nothing was any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealCertificate {
    /// Its number.
    #[schema(value_type = String)]
    pub id: Uuid,
    /// The Element.
    pub element: NodeId,
    /// When something was found lost.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String)]
    pub began: OffsetDateTime,
    /// When nothing was any more.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String)]
    pub ended: OffsetDateTime,
    /// Hosts that were given up.
    pub hosts_lost: Vec<NodeId>,
    /// Blocks that were made anew.
    pub blocks_rebuilt: u64,
    /// Of these, those that were read back from their new Hosts and are what
    /// they were.
    pub blocks_read_back: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// Tries that came to nothing, and were made again.
    pub failures: u64,
    /// Blocks that are lost still: none, or there is no certificate.
    pub blocks_short: u64,
    /// BLAKE3 over id, Host and root of each block, in the order in which they
    /// were made.
    pub digest: String,
}

/// A certificate, and the Element's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignedHeal {
    /// What is stated.
    pub certificate: HealCertificate,
    /// The same as a compact JWS (ES256, type `gridmart-heal+jwt`).
    pub signature: String,
    /// The certificate of the key that signed, and what vouches for it but the
    /// root, PEM; absent: an older Element signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}
