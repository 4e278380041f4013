//! What the queue wants done: it decides, others act.

use gridmart_schemas::{
    id::{Digest, LeaseId, NodeId},
    problem::Problem,
};

use super::entry::{EntryKey, SessionId};

/// One thing to do, in the order in which it was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the client of its new lease.
    Granted {
        /// For which entry.
        entry: EntryKey,
        /// The lease, active from now on.
        lease: LeaseId,
    },
    /// Ask the client to give a lease back when its calls end.
    Recalled {
        /// Whom.
        session: SessionId,
        /// Which lease.
        lease: LeaseId,
    },
    /// Tell the client that a lease has ended.
    Over {
        /// Whom.
        session: SessionId,
        /// Which lease.
        lease: LeaseId,
        /// Why.
        problem: Problem,
    },
    /// Tell the client that an entry will not be served.
    Refused {
        /// Which entry.
        entry: EntryKey,
        /// Why.
        problem: Problem,
    },
    /// Tell the client its place.
    Position {
        /// Which entry.
        entry: EntryKey,
        /// From 1.
        position: u32,
    },
    /// Bring an application to a Host; answer with `on_ensured`.
    Ensure {
        /// Where to.
        host: NodeId,
        /// Which package.
        digest: Digest,
    },
    /// Fetch a package and read its needs; answer with `on_application_known`
    /// or `on_application_failed`.
    Fetch {
        /// Which package.
        digest: Digest,
    },
    /// Tell the Host that a lease has ended.
    EndOnHost {
        /// Which Host.
        host: NodeId,
        /// Which lease.
        lease: LeaseId,
        /// End what runs, too.
        kill: bool,
        /// Why, for the caller.
        reason: String,
    },
    /// Keep the lease over a restart of the Element.
    Remember {
        /// Which lease.
        lease: LeaseId,
    },
    /// The lease is not in force any more.
    Forget {
        /// Which lease.
        lease: LeaseId,
    },
}
