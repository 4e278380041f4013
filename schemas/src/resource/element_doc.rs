//! What the local information bases of all kinds of Elements have: the wish,
//! the common part of the configuration, the Host table, the join tokens.

use serde::{Deserialize, Serialize};

use super::{Extensions, validate::Check};
use crate::{
    scalar::{Seconds, Token, TokenHash, Uri, UtcTime},
    wire::desired::Wish,
    xml::{Document, Element, xml_record},
};

/// A Host's description, as its Element keeps it.
pub(crate) trait PoolHost: Document + Element + Check {
    fn id(&self) -> &Uri;
    fn element(&self) -> &Uri;
}

xml_record!(Wish {
    children {
        desired = "DesiredState",
        generation = "Generation",
        cut_epoch = "CutEpoch",
    }
});

/// How every Element watches its Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommonConfiguration {
    /// How often a Host reports; above 0.
    pub heartbeat_interval: Seconds,
    /// How long a Host may take to answer a probe; above 0.
    pub probe_timeout: Seconds,
    /// `WorstResponseTime` of a Host is never below this.
    pub response_time_floor: Seconds,
}

xml_record!(CommonConfiguration {
    children {
        heartbeat_interval = "HeartbeatInterval",
        probe_timeout = "ProbeTimeout",
        response_time_floor = "ResponseTimeFloor",
    }
});

impl Default for CommonConfiguration {
    fn default() -> Self {
        Self {
            heartbeat_interval: Seconds::from_secs(5),
            probe_timeout: Seconds::from_secs(5),
            response_time_floor: Seconds::from_secs(5),
        }
    }
}

/// The Hosts of an Element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostTable<H> {
    /// Each once.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostEntry<H>>,
}

xml_record!(HostTable<H: PoolHost> {
    children {
        hosts = "Host",
    }
});

impl<H> Default for HostTable<H> {
    fn default() -> Self {
        Self { hosts: Vec::new() }
    }
}

/// One Host of an Element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostEntry<H> {
    /// As it last described itself; its State is not kept here.
    pub host: H,
    /// When it joined.
    pub joined_at: UtcTime,
    /// What it should be.
    pub wish: Wish,
    /// Its certificate is refused; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<bool>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(HostEntry<H: PoolHost> {
    children {
        host = { H::ROOT },
        joined_at = "JoinedAt",
        wish = "Desired",
        revoked = "Revoked",
    }
    open { extensions }
});

impl<H> HostEntry<H> {
    /// A Host that has just joined and should work.
    pub fn new(host: H, joined_at: UtcTime) -> Self {
        Self {
            host,
            joined_at,
            wish: Wish::default(),
            revoked: None,
            extensions: Extensions::default(),
        }
    }

    /// Whether its certificate is refused.
    pub fn is_revoked(&self) -> bool {
        self.revoked == Some(true)
    }
}

/// Tokens with which Hosts may join.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinTokens {
    /// Each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<JoinTokenEntry>,
}

xml_record!(JoinTokens {
    children {
        tokens = "JoinToken",
    }
});

/// One token, known by its hash only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinTokenEntry {
    /// Hash of its secret.
    pub hash: TokenHash,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Token>,
    /// When it ends.
    pub expires: UtcTime,
    /// How many Hosts may still join with it.
    pub remaining: u32,
}

xml_record!(JoinTokenEntry {
    children {
        hash = "Hash",
        label = "Label",
        expires = "Expires",
        remaining = "Remaining",
    }
});
