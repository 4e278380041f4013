//! What is told of a call when it has ended. States are those of BES (GFD.108).

use serde::{Deserialize, Serialize};

use super::{sql_session::SqlSessionRecord, transfer::TransferRecord};
use crate::{
    id::{CallId, Digest, JobId, LeaseId, NodeId, PersonName, ReportId, RequestId},
    problem::Code,
};

/// The BES state of a call and its sub-state (GLUE.md, section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum CallState {
    /// Accepted or queued.
    Pending,
    /// Staging, executing, or its Host is silent.
    Running,
    /// The process ended by itself, with any exit code.
    Finished,
    /// The system could not run it to its end.
    Failed,
    /// `kill`, or the caller went away.
    Terminated,
}

impl CallState {
    /// Tells whether the state is never left.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Terminated)
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallEnd {
    /// A terminal state.
    pub state: CallState,
    /// Exit code, if the process ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it (DRMAA `terminatingSignal`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it failed or was terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    /// The same in words: which limit, who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Wall time from process start to end, microseconds.
    pub wall_us: u64,
    /// CPU time of the whole tree, microseconds.
    pub cpu_us: u64,
    /// Largest resident set, bytes.
    pub max_resident_bytes: u64,
    /// Bytes the call wrote to stdout.
    pub stdout_bytes: u64,
    /// Bytes the call wrote to stderr.
    pub stderr_bytes: u64,
    /// Bytes of buckets' objects that were brought into its work folder.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub staged_in_bytes: u64,
    /// Bytes of its work folder that were stored in buckets.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub staged_out_bytes: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

impl CallEnd {
    /// Tells whether the process ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.state == CallState::Finished && self.exit_code == Some(0)
    }
}

/// GLUE 2 `ComputingActivity`, in our names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallRecord {
    /// Which call.
    pub call: CallId,
    /// The map it was a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Which part, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// Whose.
    pub owner: PersonName,
    /// `AppName`.
    pub application: String,
    /// `AppVersion`.
    pub version: String,
    /// Content hash of what ran.
    pub digest: Digest,
    /// Where it ran.
    pub host: NodeId,
    /// Under which lease; an older Host does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// The request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// When the Host accepted it, by the Host's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub submitted: time::OffsetDateTime,
    /// When it ended, by the Host's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub ended: time::OffsetDateTime,
    /// How it ended.
    pub end: CallEnd,
}

/// Parts of one map that ended on one Host and are not told one by one:
/// successful parts are counted, failed ones are records as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobProgress {
    /// Which report this is; one that comes again counts once. Not given in sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportId>,
    /// Under which lease they ran; an older Host does not say. Not given in
    /// sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub lease: Option<LeaseId>,
    /// When the last of them ended, by the Host's clock; an older Host does not
    /// say. Not given in sums.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(ignore)]
    pub ended: Option<time::OffsetDateTime>,
    /// Which map.
    pub job: JobId,
    /// Whose.
    pub owner: PersonName,
    /// `AppName`.
    pub application: String,
    /// `AppVersion`.
    pub version: String,
    /// Where.
    pub host: NodeId,
    /// Parts that ended with exit code 0 since the last report.
    pub finished: u64,
    /// Parts that ended otherwise.
    pub failed: u64,
    /// Wall time of these parts together, microseconds.
    pub wall_us: u64,
    /// CPU time of these parts together, microseconds.
    pub cpu_us: u64,
}

/// A batch of records: child → parent, acknowledged when the parent has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecords {
    /// Counted per sender and incarnation; a repeated batch is recognised.
    pub sequence: u64,
    /// When it is told, by the sender's clock: so its receiver knows how long
    /// ago each call has ended. An older sender does not say.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub told: Option<time::OffsetDateTime>,
    /// Ended calls.
    #[serde(default)]
    pub records: Vec<CallRecord>,
    /// Progress of maps.
    #[serde(default)]
    pub jobs: Vec<JobProgress>,
    /// Ended transfers, of a Storage Element.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferRecord>,
    /// Ended SQL sessions, of a Data Element.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql_sessions: Vec<SqlSessionRecord>,
}

impl CallRecords {
    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.records.len() + self.jobs.len() + self.transfers.len() + self.sql_sessions.len()
    }
}

super::requests! { CallRecords = "call-records" => super::Done }
