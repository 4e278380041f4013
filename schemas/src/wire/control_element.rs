//! Element ⇄ controller, on the stream that the Element dials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{desired::ElementDesired, element_host::LogAnswer, notices, requests};
use crate::{
    api::explain::Explanation,
    id::{CallId, Digest, Incarnation, JobId, LeaseId, NodeId},
    resource::any::{AnyElement, AnyElementState, AnyHost, AnyHostState},
    role::{Desired, NodeKind},
};

/// Where an application stands on a node (GLUE 2 `AppEnvState`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Deployment {
    /// Content hash of the package.
    pub digest: Digest,
    /// A value of GLUE 2 `AppEnvState_t`.
    pub state: String,
    /// Generation of the wish that is applied.
    pub generation: u64,
    /// Whether it takes calls.
    pub serving: Desired,
    /// Why it is broken or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A Host as its Element tells the controller: told whole when it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostSummary {
    /// The Host's description; State as the Element knows it.
    pub host: AnyHost,
    /// Its node id.
    pub id: NodeId,
    /// Whether its stream stands.
    pub connected: bool,
    /// Generation of the wish that it has applied.
    pub generation: u64,
    /// Applications on it.
    #[serde(default)]
    pub deployments: Vec<Deployment>,
}

/// First message of an Element on a new stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementHello {
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Software version, for people.
    pub software: String,
    /// Its description, State included.
    pub element: AnyElement,
    /// `HOST:PORT` of the door for SDKs and Hosts, most preferred first.
    pub endpoints: Vec<String>,
    /// All its Hosts: told once per stream, deltas follow.
    pub hosts: Vec<HostSummary>,
    /// Applications that it holds.
    pub deployments: Vec<Deployment>,
    /// Generation of the wish that it has applied.
    pub generation: u64,
}

/// Answer to the hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementWelcome {
    /// Seconds between two heartbeats.
    pub heartbeat_interval: u32,
    /// Keys that sign access tickets: key id → `SubjectPublicKeyInfo`, PEM.
    pub ticket_keys: BTreeMap<String, String>,
    /// What should be.
    pub desired: ElementDesired,
    /// The controller's clock, seconds since 1970: nothing is judged by it, but
    /// what is judged by the Element's own is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// Element → controller, each interval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementHeartbeat {
    /// Counted per stream.
    pub sequence: u64,
    /// The Element's numbers.
    pub state: AnyElementState,
    /// State that changed on the Element's Hosts since the last heartbeat.
    #[serde(default)]
    pub hosts: Vec<HostDelta>,
}

/// The changing part of a Host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostDelta {
    /// Which Host.
    pub id: NodeId,
    /// Whether its stream stands.
    pub connected: bool,
    /// Its State, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AnyHostState>,
    /// Milliseconds since the Element last heard it, by the Element's clock.
    pub age_ms: u64,
}

/// Element → controller: Hosts that joined or whose description changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostsChanged {
    /// Told whole.
    pub hosts: Vec<HostSummary>,
    /// Applications on the Element itself, if they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<Vec<Deployment>>,
}

/// Element → controller: the Element's own document was changed by hand or by
/// a command (Info, Policy, `AccessControlBase`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementChanged {
    /// Told whole.
    pub element: AnyElement,
}

/// Controller → Element: what should be, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementDesire {
    /// What should be.
    pub desired: ElementDesired,
}

/// The Element has recorded it (not: all Hosts have applied it).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElementApplied {
    /// Generation of the Element's own wish that is now in force.
    pub generation: u64,
}

/// Controller → Element: make a join token for a Host of your pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinTokenCreate {
    /// For which kind; an Element makes them for its own Hosts only.
    pub kind: NodeKind,
    /// How often it may be used.
    pub uses: u32,
    /// How long it may be used, seconds.
    pub expires_in: u64,
    /// For people.
    pub label: String,
}

/// The token, shown once.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinTokenMade {
    /// The whole token; only its hash is kept.
    pub token: String,
    /// Where to join: `HOST:PORT` of the Element's door.
    pub endpoint: String,
}

/// Controller → Element: end one call, on whichever Host it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallTerminate {
    /// Which call.
    pub call: CallId,
    /// Who wants it, for the record.
    pub by: String,
}

/// Controller → Element: end all parts of a map, waiting ones included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobTerminate {
    /// Which map.
    pub job: JobId,
    /// Who wants it, for the record.
    pub by: String,
}

/// What a terminate has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// Calls ended now.
    pub ended: u64,
}

/// What an Element is asked to explain, or to tell the owner of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A call: running, or lately ended.
    Call(CallId),
    /// A map.
    Job(JobId),
    /// A lease.
    Lease(LeaseId),
    /// A Host.
    Host(NodeId),
}

/// Controller → Element: why here, why waiting, why refused?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explain {
    /// Of what.
    pub subject: Subject,
}

/// What is running and waiting now, for people (`gridmart show`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActivityList {
    /// At most this many rows of each.
    pub limit: u32,
}

/// A running call or a waiting entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Activity {
    /// The call, or the queue entry while it waits.
    pub id: String,
    /// The map, if it is a part of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Whose.
    pub owner: String,
    /// `AppName`.
    pub application: String,
    /// BES state and our sub-state, `Running:Executing`.
    pub state: String,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<NodeId>,
    /// Place in the queue, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Milliseconds since it entered that state.
    pub age_ms: u64,
}

/// Answer to [`ActivityList`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Activities {
    /// Running calls first, then waiting entries in order.
    pub activities: Vec<Activity>,
}

/// Controller → Element: what did the application print?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogRead {
    /// Which version.
    pub digest: Digest,
    /// Only calls of this person; absent: of everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Per Host: read on from here (an earlier answer's cursor).
    #[serde(default)]
    pub cursors: BTreeMap<NodeId, u64>,
    /// At most this many bytes of each Host.
    pub bytes_max: u32,
}

/// Answer: what each Host has; also that of
/// `GET /api/v1/applications/{name}/logs` (`?version=`, `?cursors=`).
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogsRead {
    /// By Host; a Host that is away is missing.
    pub hosts: BTreeMap<NodeId, LogAnswer>,
}

notices! {
    ElementHeartbeat = "element-heartbeat",
    HostsChanged = "hosts-changed",
    ElementChanged = "element-changed",
}
requests! {
    ElementHello = "element-hello" => ElementWelcome,
    ElementDesire = "element-desire" => ElementApplied,
    JoinTokenCreate = "join-token-create" => JoinTokenMade,
    CallTerminate = "call-terminate" => Terminated,
    JobTerminate = "job-terminate" => Terminated,
    Explain = "explain" => Explanation,
    ActivityList = "activity-list" => Activities,
    LogRead = "log-read" => LogsRead,
}
