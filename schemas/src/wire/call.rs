//! SDK ⇄ Host: what the JSON frames of a calls stream say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::staging::Staged;
use crate::id::{CallId, Incarnation, JobId, NodeId, RequestId};

/// Opens a calls stream under one lease; repeated with a renewed ticket.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attach {
    /// The lease ticket.
    pub ticket: String,
    /// Protocol version, `[major, minor]`.
    pub v: [u16; 2],
}

/// The Host takes calls under the lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attached {
    /// The Host.
    pub host: NodeId,
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Calls of this lease that it still holds (running, or ended and not
    /// closed): an SDK that comes back opens them again with `resume`.
    #[serde(default)]
    pub held: Vec<CallId>,
    /// Protocol version, `[major, minor]`.
    pub v: [u16; 2],
}

/// Which command of the application's AEDoc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `Command`: one call, or one part of a map.
    #[default]
    Run,
    /// `Split`: input → one part per line.
    Split,
    /// `Merge`: all outputs in part order → result.
    Merge,
}

/// The place of a call in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// Which map.
    pub job: JobId,
    /// Which part, from 0; absent for split and merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// Which attempt, from 1.
    pub attempt: u32,
}

/// Begins a call on this channel, or goes on with one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallOpen {
    /// Chosen by the SDK. A call id that the Host holds already is not begun
    /// again: it is gone on with, from `resume`.
    pub call: CallId,
    /// Arguments, appended to the AEDoc's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Added to the AEDoc's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Which command.
    #[serde(default, skip_serializing_if = "is_run")]
    pub step: Step,
    /// Set for a part of a map: its output is spooled on the Host until the
    /// attempt ends, so that a slow reader holds no slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
    /// The person's request, for the logs of all tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// End it after so many seconds, if that is less than the limits say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_seconds_max: Option<u64>,
    /// Files that it takes from buckets and leaves in them; only for Hosts of
    /// [`STAGING_MINOR`](super::staging::STAGING_MINOR) and later.
    #[serde(default, skip_serializing_if = "Staged::is_empty")]
    pub staged: Staged,
    /// Go on with a call after a lost connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_run(step: &Step) -> bool {
    *step == Step::Run
}

/// Where the SDK stands with a call that it goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Bytes of stdout that it has.
    pub stdout: u64,
    /// Bytes of stderr that it has.
    pub stderr: u64,
}

/// The call was accepted; its process runs or waits for a slot of its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStarted {
    /// This start of the Host's process.
    pub incarnation: Incarnation,
    /// Bytes of stdin that the Host has (more than 0 only after a resume).
    pub stdin: u64,
    /// Of these, how many the process has taken: they are credited herewith. Credit
    /// that follows is for what comes after them.
    #[serde(default)]
    pub stdin_taken: u64,
}

/// Ends a call's process tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallCancel {
    /// Why, for the record.
    pub reason: String,
}
