//! SDK ⇄ Element: the queue stream, `GET /v1/queue` on the Element's door,
//! upgraded to a WebSocket. One per client and Element; it outlives leases.
//!
//! A lost queue stream does not end leases at once: the client has the
//! reattach grace to come back with [`SessionOpen`].

use serde::{Deserialize, Serialize};

use super::{notices, requests};
use crate::{
    id::{CallId, EntryId, Incarnation, JobId, LeaseId, NodeId},
    problem::Problem,
};

/// The most Hosts that an entry may ask to avoid.
pub const AVOID_MAX: usize = 64;

/// First message on every queue stream.
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionOpen {
    /// Leases the client holds from before (a lost stream, a restarted
    /// Element): each with its lease ticket.
    #[serde(default)]
    pub leases: Vec<ResumedLease>,
}

/// A lease that the client brings along.
#[derive(Clone, Serialize, Deserialize)]
pub struct ResumedLease {
    /// Which lease.
    pub lease: LeaseId,
    /// Its ticket.
    pub ticket: String,
}

/// Answer to [`SessionOpen`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The Element.
    pub element: NodeId,
    /// Of the leases brought along: these are in force still.
    pub leases: Vec<LeaseId>,
    /// Seconds that the Element waits for a lost client.
    pub reattach_grace: u32,
}

/// Client → Element: I want slots.
#[derive(Clone, Serialize, Deserialize)]
pub struct QueueEnter {
    /// The access ticket.
    pub ticket: String,
    /// The client's own number for this entry.
    pub entry: EntryId,
    /// Slots wanted: 1 for a call, more for a map. Granted as they come free,
    /// in one or more leases (one per Host), until so many are granted.
    pub slots: u32,
    /// The map, for which slots are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Use at most so many Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_max: Option<u32>,
    /// Hosts to avoid: they failed for this caller.
    #[serde(default)]
    pub avoid: Vec<NodeId>,
    /// Higher goes first; bounded by the caller's role.
    #[serde(default)]
    pub priority: i32,
}

/// Answer: the place taken. Leases follow as [`LeaseGranted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntered {
    /// Place in the queue, from 1; 0: granted at once.
    pub position: u32,
}

/// Client → Element: I do not wait any more (leases stay).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueLeave {
    /// Which entry.
    pub entry: EntryId,
}

/// Element → client: the place has changed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct QueuePosition {
    /// Which entry.
    pub entry: EntryId,
    /// Place, from 1.
    pub position: u32,
}

/// Element → client: the entry is refused after all (stopped, killed, no Host
/// left that fits).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueRefused {
    /// Which entry.
    pub entry: EntryId,
    /// Why.
    pub problem: Problem,
}

/// The way to a Host that cannot be dialled: `/v1/relay/{host}` at the door of
/// its Element, with the lease ticket; what answers there is the Host's own door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The Element.
    pub element: NodeId,
    /// `HOST:PORT` of its door, most preferred first.
    pub endpoints: Vec<String>,
}

/// A lease: slots of one Host.
#[derive(Clone, Serialize, Deserialize)]
pub struct Lease {
    /// Which lease.
    pub lease: LeaseId,
    /// The Host.
    pub host: NodeId,
    /// Its name, for people.
    pub host_name: String,
    /// `HOST:PORT` of its calls door, most preferred first; none if it is
    /// reached through its Element.
    pub endpoints: Vec<String>,
    /// How it is reached, if it cannot be dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// How many calls may run at a time.
    pub slots: u32,
    /// The lease ticket, for the Host.
    pub ticket: String,
    /// Seconds until the ticket expires: renew before.
    pub expires_in: u32,
    /// Milliseconds after which a call is overdue (the Host's
    /// `State.WorstResponseTime`), to be reported with [`CallOverdue`].
    pub overdue_after_ms: u64,
    /// The Host's present start, to compare with the one that answers.
    pub incarnation: Incarnation,
}

/// Element → client.
#[derive(Clone, Serialize, Deserialize)]
pub struct LeaseGranted {
    /// For which entry.
    pub entry: EntryId,
    /// The lease.
    pub lease: Lease,
}

/// Element → client: others wait; give it back when the present calls end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRecalled {
    /// Which lease.
    pub lease: LeaseId,
}

/// Element → client: it is over now (killed, Host down, revoked).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseOver {
    /// Which lease.
    pub lease: LeaseId,
    /// Why.
    pub problem: Problem,
}

/// Client → Element: not needed any more, or recalled and idle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRelease {
    /// Which lease.
    pub lease: LeaseId,
}

/// Client → Element: a new ticket for a lease, before the old one expires.
#[derive(Clone, Serialize, Deserialize)]
pub struct LeaseRenew {
    /// Which lease.
    pub lease: LeaseId,
    /// A valid access ticket.
    pub ticket: String,
}

/// Client → Element: this call is older than the Host's worst response time
/// without a sign of life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallOverdue {
    /// Under which lease.
    pub lease: LeaseId,
    /// Which call.
    pub call: CallId,
}

/// What the probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum OverdueAnswer {
    /// It answers, as the process that it was: keep waiting, ask again later.
    Alive {
        /// The Host's present start.
        incarnation: Incarnation,
        /// Milliseconds after which to ask again.
        again_after_ms: u64,
    },
    /// It does not answer: the call has failed with `host-down`.
    Down {},
}

notices! {
    QueueLeave = "queue-leave",
    QueuePosition = "queue-position",
    QueueRefused = "queue-refused",
    LeaseGranted = "lease-granted",
    LeaseRecalled = "lease-recalled",
    LeaseOver = "lease-over",
    LeaseRelease = "lease-release",
}
requests! {
    SessionOpen = "session-open" => SessionOpened,
    QueueEnter = "queue-enter" => QueueEntered,
    LeaseRenew = "lease-renew" => Lease,
    CallOverdue = "call-overdue" => OverdueAnswer,
}
