//! Host ⇄ Element, on the stream that the Host dials.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{control_element::Deployment, desired::HostDesired, notices, requests};
use crate::{
    id::{CallId, Digest, Incarnation, JobId, LeaseId, NodeId, PersonName, RelayNonce},
    resource::any::{AnyHost, AnyHostState},
};

/// A lease that a Host holds, as it tells a (restarted) Element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Which lease.
    pub lease: LeaseId,
    /// Whose.
    pub owner: PersonName,
    /// What may be called.
    pub digest: Digest,
    /// `AppName`.
    pub application: String,
    /// How many slots.
    pub slots: u32,
    /// Calls that run under it now.
    pub running: Vec<CallId>,
    /// Whether an SDK is attached to it.
    pub attached: bool,
}

/// Host → Element, before the hello: I cannot be dialled; will you join programs
/// to me? An Element that does not know the question refuses it; the Host then
/// says in its hello that it is closed, and why.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RelayAsk {}

/// First message of a Host on a new stream, but for [`RelayAsk`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostHello {
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Software version, for people.
    pub software: String,
    /// Its description, State included.
    pub host: AnyHost,
    /// `HOST:PORT` of its calls door, most preferred first.
    pub endpoints: Vec<String>,
    /// It cannot be dialled and has no door: programs reach it through its
    /// Element.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
    /// Leases in force.
    pub leases: Vec<HeldLease>,
    /// Applications that it holds.
    pub deployments: Vec<Deployment>,
    /// Generation of the wish that it has applied.
    pub generation: u64,
}

/// Answer to the hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostWelcome {
    /// Seconds between two heartbeats.
    pub heartbeat_interval: u32,
    /// Key that signs this Element's leases: `SubjectPublicKeyInfo`, PEM.
    pub lease_key: String,
    /// Seconds that a lost caller may take to attach again.
    pub reattach_grace: u32,
    /// What should be.
    pub desired: HostDesired,
    /// Leases told in the hello that are not valid any more: end them.
    #[serde(default)]
    pub ended_leases: Vec<LeaseId>,
    /// Nodes whose certificates are refused.
    #[serde(default)]
    pub revoked: Vec<NodeId>,
    /// The Element's clock, seconds since 1970: nothing is judged by it, but
    /// what is judged by the Host's own is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// Host → Element, each interval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostHeartbeat {
    /// Counted per stream.
    pub sequence: u64,
    /// The Host's numbers.
    pub state: AnyHostState,
    /// Slots in use per lease; a lease without an attached SDK says so.
    #[serde(default)]
    pub leases: Vec<HeldLease>,
}

/// Host → Element: its description or deployments changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostChanged {
    /// Told whole.
    pub host: AnyHost,
    /// Told whole.
    pub deployments: Vec<Deployment>,
    /// Generation of the wish that it has applied.
    pub generation: u64,
}

/// Host → Element: leases that ended by themselves (caller gone beyond grace).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeasesEnded {
    /// Which.
    pub leases: Vec<LeaseId>,
}

/// Element → Host: what should be, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostDesire {
    /// What should be.
    pub desired: HostDesired,
    /// Nodes whose certificates are refused.
    #[serde(default)]
    pub revoked: Vec<NodeId>,
}

/// The Host has recorded and applied it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostApplied {
    /// Generation of the Host's own wish that is now in force.
    pub generation: u64,
}

/// Element → Host: are you there? (timeout probe)
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Probe {}

/// It is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// This start of its process.
    pub incarnation: Incarnation,
}

/// Element → Host: a program is here for you. Dial `/v1/data/{nonce}` at my door,
/// and serve what comes there as at a door of your own. Answered when it is
/// dialled, or with why it is not.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RelayDial {
    /// For this one time.
    pub nonce: RelayNonce,
    /// Where the program is, as the Element sees it; for the log.
    pub caller: SocketAddr,
}

/// Element → Host: have this application ready, however long it takes.
/// Answered when it is `installedverified`, or with a problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplicationEnsure {
    /// Content hash of the package.
    pub digest: Digest,
    /// Bytes of the package.
    pub size: u64,
}

/// Element → Host: a lease is recalled, killed or given back; end what runs
/// under it if `kill`, else take no new calls and forget it when idle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseEnd {
    /// Which lease.
    pub lease: LeaseId,
    /// End what runs.
    pub kill: bool,
    /// Why, for the caller.
    pub reason: String,
}

/// Element → Host: end one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostCallTerminate {
    /// Which call.
    pub call: CallId,
    /// Who wants it.
    pub by: String,
}

/// Element → Host: end all parts of a map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostJobTerminate {
    /// Which map.
    pub job: JobId,
    /// Who wants it.
    pub by: String,
}

/// Element → Host: what did the application print?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostLogRead {
    /// Which version.
    pub digest: Digest,
    /// Only calls of this person; absent: of everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Read on from here; absent: the last `bytes_max` bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// At most this many bytes.
    pub bytes_max: u32,
}

/// Whole lines, and where to read on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogAnswer {
    /// Where to read on.
    pub cursor: u64,
    /// Lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Older lines were dropped between the cursor asked for and these.
    #[serde(default)]
    pub gap: bool,
}

/// One line of a call's stderr, or of the Host about the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When, by the Host's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub time: time::OffsetDateTime,
    /// Which call.
    pub call: CallId,
    /// Whose.
    pub owner: PersonName,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

notices! {
    HostHeartbeat = "host-heartbeat",
    HostChanged = "host-changed",
    LeasesEnded = "leases-ended",
}
requests! {
    RelayAsk = "relay-ask" => super::Done,
    HostHello = "host-hello" => HostWelcome,
    HostDesire = "host-desire" => HostApplied,
    Probe = "probe" => ProbeAnswer,
    RelayDial = "relay-dial" => super::Done,
    ApplicationEnsure = "application-ensure" => Deployment,
    LeaseEnd = "lease-end" => super::Done,
    HostCallTerminate = "host-call-terminate" => super::control_element::Terminated,
    HostJobTerminate = "host-job-terminate" => super::control_element::Terminated,
    HostLogRead = "host-log-read" => LogAnswer,
}
