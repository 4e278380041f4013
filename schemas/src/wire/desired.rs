//! Desired state: what should be, decided by the controller, kept by each node
//! on its disk, applied idempotently. The whole of it travels each time.

use serde::{Deserialize, Serialize};

use crate::{
    id::{Digest, NodeId, PersonName},
    role::{Desired, Role},
};

/// What one thing should be, and the generation it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Wish {
    /// Taking work or not.
    pub desired: Desired,
    /// Grows with every command on this thing; an older one is refused.
    pub generation: u64,
    /// Grows with every `kill`; work begun under an older epoch is ended.
    pub cut_epoch: u64,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            desired: Desired::Production,
            generation: 0,
            cut_epoch: 0,
        }
    }
}

/// An application version that an Element or Host should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApplicationWish {
    /// Content hash of the package.
    pub digest: Digest,
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
    /// Bytes of the package.
    pub size: u64,
    /// What it should be on this node.
    pub wish: Wish,
}

/// A Host as its Element's desired state names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWish {
    /// Which Host.
    pub host: NodeId,
    /// What it should be.
    pub wish: Wish,
    /// Applications whose wish on this Host differs from the Element's.
    #[serde(default)]
    pub applications: Vec<ApplicationWish>,
}

/// Controller → Element: all that should be in the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementDesired {
    /// Of the Element itself.
    pub wish: Wish,
    /// Hosts whose wish is not the default.
    #[serde(default)]
    pub hosts: Vec<HostWish>,
    /// Applications that the Element offers.
    #[serde(default)]
    pub applications: Vec<ApplicationWish>,
    /// Nodes whose certificates and streams are refused from now on.
    #[serde(default)]
    pub revoked: Vec<NodeId>,
    /// For an Element that knows access keys: who may use them, and what they may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<PersonRole>,
}

/// What a person may be now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRole {
    /// Who.
    pub name: PersonName,
    /// What.
    pub role: Role,
    /// The domain that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Element → Host: all that should be on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDesired {
    /// Of the Host itself.
    pub wish: Wish,
    /// Cut epoch of the Element: work begun under an older one is ended.
    #[serde(default)]
    pub element_cut_epoch: u64,
    /// Applications, with the newer of the Element's and the Host's wish.
    #[serde(default)]
    pub applications: Vec<ApplicationWish>,
}
