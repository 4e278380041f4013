//! Controller → Storage Element: which Hosts are to keep blocks. A layout is
//! staged, looked at, and then applied or taken back; both are kept in the
//! Element's log.

use serde::{Deserialize, Serialize};

use super::requests;
use crate::id::NodeId;

/// The most Hosts of a layout.
pub const DRAINED_MAX: usize = 1000;

/// What is to be changed about where blocks are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Layout {
    /// Hosts that are to go: their blocks are copied to others first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drain: Vec<NodeId>,
    /// Blocks are moved from fuller Hosts to emptier ones, once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebalance: bool,
}

impl Layout {
    /// Whether nothing is to be changed.
    pub const fn is_empty(&self) -> bool {
        self.drain.is_empty() && !self.rebalance
    }
}

/// How is the layout?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutShow {}

/// Stage a layout, in place of what was staged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutStage {
    /// What is to be changed.
    pub layout: Layout,
}

/// Begin with what is staged, in place of what is being done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutApply {}

/// Take back what is staged; if nothing is, what is being done. Blocks that
/// have moved stay where they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutRevert {}

/// What a Host is to the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayoutPlace {
    /// It keeps blocks.
    Kept,
    /// Its blocks are copied to others.
    Draining,
    /// It gets no blocks any more.
    Removed,
}

/// A Host of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LayoutHost {
    /// Its id.
    pub host: NodeId,
    /// Its name.
    pub name: String,
    /// What it is to the layout.
    pub place: LayoutPlace,
    /// Blocks that are there by the metadata.
    pub blocks: u64,
    /// Bytes in use on its disk; 0 while it is away.
    pub used: u64,
    /// Bytes free on its disk; 0 while it is away.
    pub free: u64,
}

/// What a staged layout would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LayoutPlan {
    /// What is to be changed.
    pub layout: Layout,
    /// Blocks to copy off drained Hosts.
    pub blocks: u64,
    /// Bytes to move, with rebalancing.
    pub bytes: u64,
    /// How long that takes at the repair rate, in seconds.
    pub seconds: u64,
    /// What the objects bear on the way, for people.
    pub redundancy: String,
    /// Why it could not be done to its end as things are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

/// How far an applied layout has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LayoutProgress {
    /// What is left to be changed.
    pub layout: Layout,
    /// Blocks left on drained Hosts.
    pub blocks_left: u64,
    /// Bytes left to move, with rebalancing.
    pub bytes_left: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// Answer to all of these; also that of `/api/v1/resources/{id}/layout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LayoutTold {
    /// The Hosts that the metadata know.
    pub hosts: Vec<LayoutHost>,
    /// What is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<LayoutPlan>,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<LayoutProgress>,
}

requests! {
    LayoutShow = "layout-show" => LayoutTold,
    LayoutStage = "layout-stage" => LayoutTold,
    LayoutApply = "layout-apply" => LayoutTold,
    LayoutRevert = "layout-revert" => LayoutTold,
}
