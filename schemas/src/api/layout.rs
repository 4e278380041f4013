//! Where a Storage Element keeps blocks.

use serde::{Deserialize, Serialize};

/// A layout to be staged, in place of what was staged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutRequest {
    /// Hosts that are to go, by name or id; their blocks are copied to others
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drain: Vec<String>,
    /// Whether blocks are to be moved from fuller Hosts to emptier ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebalance: bool,
}
