//! The copy of the log on one Host, over its door.
//!
//! Calls come from plain threads and block; each ends in a bounded time. Where
//! the Host's door is, is asked at each call: a Host that comes back on another
//! port is found again.

use std::{
    future::Future,
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use gridmart_fabric::{
    block::ClientLimits,
    ledger::{LedgerClient, SnapshotPieces},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::ledger::{LedgerAppended, LedgerPosition, LedgerSnapshot, LedgerStatus},
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::hosts::LogHosts;
use crate::storage::{
    metadata::{Append, Entry, Epoch, Position, Replica, ReplicaError, SnapshotHead, Tail},
    pool::Pool,
};

/// How long a call may take. Longer than a commit is waited for: a slow Host
/// still gets its records, and counts again.
const CALL_MAX: Duration = Duration::from_secs(15);
/// A snapshot gets a second more for each so many bytes.
const SNAPSHOT_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// Bytes of a snapshot that are sent at a time, and how many such pieces wait.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_WAITING: usize = 4;
/// A Host serves four requests to its ledger at a time; one is left for others.
const LIMITS: ClientLimits = ClientLimits {
    connections: 3,
    place: Duration::from_secs(5),
    idle: Duration::from_secs(5),
    progress: Duration::from_secs(5),
};

/// How the Element reaches its Hosts.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) pool: Arc<Mutex<Pool>>,
    pub(crate) tls: ClientTls,
    pub(crate) runtime: Handle,
    /// Calls end with it.
    pub(crate) stop: CancellationToken,
}

impl Ways {
    /// The pool, and the copies of the log on its Hosts.
    pub(super) fn log_hosts(&self) -> LogHosts {
        let ways = self.clone();
        LogHosts {
            pool: Arc::clone(&self.pool),
            replica: Arc::new(move |host| Arc::new(HostReplica::new(host, ways.clone()))),
        }
    }
}

/// See the module.
pub(super) struct HostReplica {
    host: NodeId,
    ways: Ways,
    known: Mutex<Option<Known>>,
}

/// A client, and where its Host's door was.
struct Known {
    endpoints: Vec<String>,
    client: LedgerClient,
}

impl HostReplica {
    pub(super) fn new(host: NodeId, ways: Ways) -> Self {
        Self {
            host,
            ways,
            known: Mutex::default(),
        }
    }

    fn client(&self) -> Result<LedgerClient, ReplicaError> {
        let endpoints = {
            let pool = self.ways.pool.lock();
            let host = pool.host(self.host).filter(|host| !host.revoked);
            host.map(|host| host.endpoints.clone())
        };
        let away = |why: &str| ReplicaError::Away(why.to_owned());
        let endpoints = endpoints.ok_or_else(|| away("it is no Host of this pool any more"))?;
        if endpoints.is_empty() {
            return Err(away("it has not come since the Element's start"));
        }
        let mut known = self.known.lock();
        if let Some(known) = known.as_ref().filter(|known| known.endpoints == endpoints) {
            return Ok(known.client.clone());
        }
        let expected = (self.host, NodeKind::StorageHost);
        let tls = self.ways.tls.clone();
        let client = LedgerClient::new(endpoints.clone(), expected, tls, LIMITS);
        *known = Some(Known {
            endpoints,
            client: client.clone(),
        });
        Ok(client)
    }

    /// Does what is asked of the Host, in so long.
    fn wait<T>(
        &self,
        most: Duration,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, ReplicaError> {
        let stop = &self.ways.stop;
        let waited = self.ways.runtime.block_on(async {
            // The timer belongs to the runtime.
            stop.run_until_cancelled(timeout(most, work)).await
        });
        match waited {
            Some(Ok(done)) => done.map_err(|problem| error_of(&problem)),
            Some(Err(_)) => Err(ReplicaError::Away(format!(
                "no answer in {} s",
                most.as_secs()
            ))),
            None => Err(ReplicaError::Away("this Element is going down".to_owned())),
        }
    }

    fn status(&self, client: &LedgerClient) -> Result<LedgerStatus, ReplicaError> {
        self.wait(CALL_MAX, client.status())
    }
}

const fn to_wire(position: Position) -> LedgerPosition {
    LedgerPosition {
        epoch: position.epoch.number(),
        sequence: position.sequence,
    }
}

const fn from_wire(position: LedgerPosition) -> Position {
    Position {
        epoch: Epoch::new(position.epoch),
        sequence: position.sequence,
    }
}

const fn tail_of(status: &LedgerStatus) -> Tail {
    Tail {
        newest: Epoch::new(status.epoch),
        last: from_wire(status.last),
    }
}

/// What a refusal means; those that carry a position are looked at where they
/// can come.
fn error_of(problem: &Problem) -> ReplicaError {
    let why = problem.detail.clone();
    match problem.code {
        Code::Unavailable | Code::TimedOut | Code::Busy => ReplicaError::Away(why),
        _ => ReplicaError::Failed(why),
    }
}

impl Replica for HostReplica {
    fn host(&self) -> NodeId {
        self.host
    }

    fn tail(&self) -> Result<Tail, ReplicaError> {
        let status = self.status(&self.client()?)?;
        Ok(tail_of(&status))
    }

    fn claim(&self, epoch: Epoch) -> Result<Tail, ReplicaError> {
        let client = self.client()?;
        let claim = client.append(epoch.number(), to_wire(Position::START), &[]);
        match self.wait(CALL_MAX, claim)? {
            LedgerAppended::Stale { newest } => Err(stale(newest)),
            // What it has does not matter to a claim.
            LedgerAppended::Appended { .. } | LedgerAppended::Gap { .. } => {
                Ok(tail_of(&self.status(&client)?))
            }
        }
    }

    fn append(&self, append: &Append) -> Result<(), ReplicaError> {
        let records: Vec<_> = append.entries.iter().map(record_of).collect();
        let client = self.client()?;
        let sent = client.append(append.epoch.number(), to_wire(append.previous), &records);
        match self.wait(CALL_MAX, sent)? {
            LedgerAppended::Appended { last } if from_wire(last) == append.last() => Ok(()),
            LedgerAppended::Appended { last } => Err(ReplicaError::Failed(format!(
                "it says that it has taken records up to {}, where {} was sent",
                from_wire(last),
                append.last()
            ))),
            LedgerAppended::Gap { there } => Err(ReplicaError::Gap {
                has: from_wire(there),
            }),
            LedgerAppended::Stale { newest } => Err(stale(newest)),
        }
    }

    fn read(&self, after: u64, bytes_max: usize) -> Result<Vec<Entry>, ReplicaError> {
        let client = self.client()?;
        let read = self.wait(CALL_MAX, async {
            match client.records(after, bytes_max).await {
                Ok(records) => Ok(Ok(records)),
                Err(problem) if problem.code == Code::LedgerGap => Ok(Err(client.status().await?)),
                Err(problem) => Err(problem),
            }
        })?;
        let records = read.map_err(|status| ReplicaError::Gap {
            has: from_wire(status.base),
        })?;
        let entry = |(position, bytes): (LedgerPosition, Bytes)| Entry {
            position: from_wire(position),
            bytes: Arc::from(&*bytes),
        };
        Ok(records.into_iter().map(entry).collect())
    }

    fn snapshot_put(
        &self,
        epoch: Epoch,
        head: &SnapshotHead,
        content: &mut dyn Read,
    ) -> Result<(), ReplicaError> {
        let client = self.client()?;
        let snapshot = LedgerSnapshot {
            position: to_wire(head.position),
            bytes: head.bytes,
            hash: blake3::Hash::from_bytes(head.hash).to_hex().to_string(),
        };
        let (pieces, source) = mpsc::channel(PIECES_WAITING);
        let most = transfer_max(head.bytes);
        let sending = self.ways.runtime.spawn(timeout(most, async move {
            client.snapshot_put(epoch.number(), &snapshot, source).await
        }));
        let read = feed(content, &pieces);
        drop(pieces);
        let sent = self.wait(most, async {
            let joined = sending.await;
            let internal = |error: String| Problem::new(Code::Internal, error);
            let timed = joined.map_err(|error| internal(error.to_string()))?;
            timed.map_err(|_| Problem::new(Code::TimedOut, "the snapshot took too long"))?
        });
        read.map_err(|error| {
            ReplicaError::Failed(format!("the snapshot cannot be read here: {error}"))
        })?;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => self.explain_snapshot(head, error),
        }
    }

    fn snapshot_get(&self, into: &mut dyn Write) -> Result<Option<SnapshotHead>, ReplicaError> {
        let client = self.client()?;
        let begun = self.wait(CALL_MAX, async {
            match client.snapshot_get().await {
                Ok(pieces) => Ok(Some(pieces)),
                Err(problem) if problem.code == Code::NotFound => Ok(None),
                Err(problem) => Err(problem),
            }
        });
        let Some(mut pieces) = begun? else {
            return Ok(None);
        };
        let head = head_of(pieces.snapshot())?;
        while let Some(piece) = self.wait(CALL_MAX, next(&mut pieces))? {
            into.write_all(&piece).map_err(|error| {
                ReplicaError::Failed(format!("the snapshot cannot be written here: {error}"))
            })?;
        }
        Ok(Some(head))
    }
}

impl HostReplica {
    /// A Host that has a newer snapshot refuses an older one; that is as good.
    fn explain_snapshot(
        &self,
        head: &SnapshotHead,
        error: ReplicaError,
    ) -> Result<(), ReplicaError> {
        let status = self.status(&self.client()?)?;
        let newer = status.base.sequence >= head.position.sequence;
        newer.then_some(()).ok_or(error)
    }
}

async fn next(pieces: &mut SnapshotPieces) -> Result<Option<Bytes>, Problem> {
    pieces.piece().await
}

fn record_of(entry: &Entry) -> (LedgerPosition, Bytes) {
    let bytes = Bytes::from_owner(Arc::clone(&entry.bytes));
    (to_wire(entry.position), bytes)
}

const fn stale(newest: u64) -> ReplicaError {
    ReplicaError::StaleEpoch {
        newest: Epoch::new(newest),
    }
}

fn transfer_max(bytes: u64) -> Duration {
    CALL_MAX + Duration::from_secs(bytes / SNAPSHOT_BYTES_PER_SECOND)
}

/// Hands the content on piece by piece, until its end or until nobody takes it
/// any more; why, tells who takes it.
fn feed(content: &mut dyn Read, pieces: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = content.read(&mut piece)?;
        piece.truncate(read);
        if read == 0 || pieces.blocking_send(piece.into()).is_err() {
            return Ok(());
        }
    }
}

fn head_of(snapshot: &LedgerSnapshot) -> Result<SnapshotHead, ReplicaError> {
    let hash = blake3::Hash::from_hex(&snapshot.hash).map_err(|error| {
        ReplicaError::Failed(format!("the hash of its snapshot cannot be read: {error}"))
    })?;
    Ok(SnapshotHead {
        position: from_wire(snapshot.position),
        bytes: snapshot.bytes,
        hash: hash.into(),
    })
}
