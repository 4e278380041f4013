//! What nodes wait for.

use gridmart_schemas::id::{Digest, LeaseId, NodeId};

use super::stage::Conn;

/// A timer of a node, in one life of it.
#[derive(Clone, Debug)]
pub(crate) enum Timer {
    /// Once in a while.
    Tick,
    /// The next heartbeat on a stream.
    Beat(Conn),
    /// A question is answered by now, or not at all.
    Patience(u64),
    /// The parent is dialled again.
    Redial,
    /// The controller looks whether an Element has recorded what should be.
    Sync(usize),
    /// An Element has fetched a package.
    Fetched(Digest),
    /// A Host's lost stream was waited for.
    ProbeReturn(NodeId),
    /// Records are gathered.
    Gather,
    /// Records are told again.
    TellRecords,
    /// A call of a slot ends.
    CallEnds(u64),
    /// An application is unpacked; the question is answered.
    Installed(Conn, u64, Digest),
    /// A stream whose lease is over may be closed.
    Farewell(Conn, u8),
    /// A program does the next thing that it has in mind.
    Act,
    /// A search for slots goes on.
    Search(u64),
    /// An Element's queue stream is dialled again.
    Session(usize),
    /// A Host is dialled again.
    Reattach(LeaseId),
    /// A Host whose stream is lost is asked after.
    AskAfter(LeaseId),
    /// A lease's ticket is renewed.
    Renew(LeaseId),
    /// A map enters the queue again.
    MapEnter,
}
