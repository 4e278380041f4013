//! The whole supermarket as a picture needs it: columns instead of rows, so
//! that ten thousand Hosts are a few hundred kilobytes.

use serde::{Deserialize, Serialize};

use super::resource::Condition;
use crate::{id::NodeId, role::NodeKind};

/// `GET /api/v1/topology`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopologyView {
    /// The controller.
    pub controller: NodeId,
    /// Names of domains; places in this list are used below.
    pub domains: Vec<String>,
    /// `NAME@VERSION` of applications that stand somewhere.
    pub applications: Vec<String>,
    /// Elements by name.
    pub elements: Vec<TopologyElement>,
    /// Their Hosts, those of one Element together, by name.
    pub hosts: TopologyHosts,
}

/// An Element of the picture.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopologyElement {
    /// Its id.
    pub id: NodeId,
    /// `ce`, `se`, `de`.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// Its domain: a place in `domains`.
    pub domain: u32,
    /// How it is.
    pub condition: Condition,
    /// Its Hosts: the first one's place in the columns of `hosts`.
    pub first_host: u32,
    /// And how many.
    pub hosts: u32,
}

/// Hosts of the picture: the same place in each column is the same Host.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopologyHosts {
    /// Ids.
    pub ids: Vec<NodeId>,
    /// Names.
    pub names: Vec<String>,
    /// How they are.
    pub conditions: Vec<Condition>,
    /// What is used of slots or bytes, in percent; absent: not known.
    pub used_percent: Vec<Option<u8>>,
    /// Applications on them: places in `applications`.
    pub applications: Vec<Vec<u32>>,
}
