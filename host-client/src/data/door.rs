//! `GET /v1/databases`: where the own Element runs statements on copies of databases,
//! and where shadows on other Hosts read a core's log, each with a ticket.

mod log;
mod shadows;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{self, Request, Response},
    identity::PeerIdentity,
    socket::SocketLimits,
    stream::{Handler, Incoming, Peer, StreamLimits, reply, run_stream},
};
use gridmart_schemas::{
    id::{DatabaseId, KeyHash},
    problem::{Code, Problem},
    role::Desired,
    wire::{
        Done, Request as _,
        data::{CURSORS_MAX, CursorNumber},
        replica::{
            LogDescribe, LogPull, ReplicaAnswer, ReplicaBegin, ReplicaCancel, ReplicaClose,
            ReplicaCompare, ReplicaControl, ReplicaDescribe, ReplicaDrain, ReplicaFollow,
            ReplicaLead, ReplicaMake, ReplicaParts, ReplicaRemove, ReplicaRows, ReplicaRun,
            ReplicaStand, ReplicaStatementKind, SnapshotRead, SumsRead,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use self::{log::Outgoing, shadows::Summing};
use super::{
    copies::Copies,
    copy::Opened,
    engine::{Cancel, Engine as _, EngineError},
    follower::{PATH, failed},
    run::{OpenRows, piece_of, run},
    transactions::Transactions,
};
use crate::member::{Member, blocking, nothing_there};

/// Requests of the Element that are served at a time; more wait.
const REQUESTS_MAX: usize = 512;
/// Snapshots that are on their way to other Hosts.
const SNAPSHOTS_MAX: usize = 4;

/// A result that nobody asks on for so long is given up: it keeps a reader of its
/// database from others.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// What the door serves.
pub(super) struct Databases {
    pub(super) member: Arc<Member>,
    pub(super) copies: Arc<Copies>,
    /// Statements that run, and results that are open.
    pub(super) running: AtomicUsize,
    /// What a kill ends.
    pub(super) cut: super::cut::Cut,
    snapshots: Arc<tokio::sync::Semaphore>,
}

impl Databases {
    pub(super) fn new(member: Arc<Member>, copies: Arc<Copies>) -> Self {
        Self {
            member,
            copies,
            running: AtomicUsize::new(0),
            cut: super::cut::Cut::default(),
            snapshots: Arc::new(tokio::sync::Semaphore::new(SNAPSHOTS_MAX)),
        }
    }

    /// Answers who comes.
    pub(super) fn visit(
        self: &Arc<Self>,
        peer: PeerIdentity,
        mut request: Request,
    ) -> Result<Response, Problem> {
        if request.method() != http::Method::GET || request.uri().path() != PATH {
            return Err(nothing_there(&request));
        }
        peer.require_any_node()?;
        let (element, kind) = self.member.element.1;
        let node = peer.node.as_ref();
        let is_element = node.is_some_and(|node| node.id == element && node.kind == kind);
        let stream = Arc::new(DatabasesStream {
            databases: Arc::clone(self),
            is_element,
            presenter: peer.require_key()?.clone(),
            rows: Arc::default(),
            snapshots: Mutex::default(),
            sums: Mutex::default(),
            transactions: Transactions::default(),
            marks: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let limits = StreamLimits {
            requests_running: REQUESTS_MAX,
            ..StreamLimits::default().with_rows()
        };
        let (response, pending) =
            door::upgrade(&mut request, SocketLimits::envelopes(limits.message_bytes))?;
        self.member.visits.spawn(async move {
            match pending.socket().await {
                Ok(socket) => {
                    let (peer, _) = run_stream(socket, peer, stream, limits);
                    peer.closed().await;
                }
                Err(problem) => tracing::debug!(%problem, "a stream for databases did not begin"),
            }
        });
        Ok(response)
    }
}

/// Gives up a result that nobody asks on for, unless it is dropped before.
struct Idle(tokio::task::JoinHandle<()>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One stream, of the own Element or of another Host.
struct DatabasesStream {
    databases: Arc<Databases>,
    is_element: bool,
    presenter: KeyHash,
    rows: Arc<Mutex<BTreeMap<CursorNumber, (OpenRows, Idle)>>>,
    snapshots: Mutex<BTreeMap<CursorNumber, Outgoing>>,
    sums: Mutex<BTreeMap<CursorNumber, Summing>>,
    transactions: Transactions,
    /// Statements that may be given up, by their marks.
    marks: Mutex<BTreeMap<u64, Cancel>>,
    next: AtomicU64,
}

impl DatabasesStream {
    async fn answer(&self, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            LogPull::KIND => return reply(&self.pull(incoming.read()?).await?),
            SnapshotRead::KIND => return reply(&self.snapshot(incoming.read()?).await?),
            LogDescribe::KIND => return reply(&self.log_describe(incoming.read()?).await?),
            SumsRead::KIND => return reply(&self.sums(incoming.read()?).await?),
            _ if !self.is_element => {
                return Err(Problem::new(
                    Code::NotAuthorized,
                    "This is for the Host's own Element only.",
                ));
            }
            _ => {}
        }
        match incoming.kind.as_str() {
            ReplicaRun::KIND => reply(&self.run(incoming.read()?).await?),
            ReplicaRows::KIND => {
                let ReplicaRows { cursor } = incoming.read()?;
                reply(&self.next_rows(cursor).await?)
            }
            ReplicaClose::KIND => {
                let ReplicaClose { cursor } = incoming.read()?;
                self.rows.lock().remove(&cursor);
                reply(&Done {})
            }
            ReplicaBegin::KIND => {
                let asked: ReplicaBegin = incoming.read()?;
                self.require_accepting(asked.cut_epoch)?;
                let databases = &self.databases;
                reply(&self.transactions.begin(databases, asked).await?)
            }
            ReplicaControl::KIND => reply(&self.transactions.control(incoming.read()?).await),
            ReplicaCancel::KIND => {
                let ReplicaCancel { mark } = incoming.read()?;
                if let Some(running) = self.marks.lock().remove(&mark) {
                    running.cancel();
                }
                reply(&Done {})
            }
            ReplicaMake::KIND => {
                let ReplicaMake {
                    database,
                    role,
                    engine,
                } = incoming.read()?;
                let copies = Arc::clone(&self.databases.copies);
                blocking(move || copies.make(database, role, &engine).map(drop)).await?;
                self.databases.member.changed.notify_one();
                reply(&Done {})
            }
            ReplicaRemove::KIND => {
                let ReplicaRemove { database, whole } = incoming.read()?;
                let copies = Arc::clone(&self.databases.copies);
                blocking(move || copies.remove(database, whole)).await?;
                self.databases.member.changed.notify_one();
                reply(&Done {})
            }
            ReplicaDescribe::KIND => {
                let ReplicaDescribe { database } = incoming.read()?;
                reply(&self.describe(database).await?)
            }
            ReplicaFollow::KIND => reply(&self.follow(incoming.read()?).await?),
            ReplicaLead::KIND => reply(&self.lead(incoming.read()?).await?),
            ReplicaParts::KIND => {
                let ReplicaParts { database, parts } = incoming.read()?;
                self.databases.copies.get(database)?.parts.tell(parts);
                reply(&Done {})
            }
            ReplicaDrain::KIND => reply(&self.drain(incoming.read()?).await?),
            ReplicaStand::KIND => reply(&self.stand(incoming.read()?).await?),
            ReplicaCompare::KIND => reply(&self.compare(incoming.read()?).await?),
            _ => Err(incoming.unknown()),
        }
    }

    fn number(&self) -> CursorNumber {
        CursorNumber(self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn describe(
        &self,
        database: DatabaseId,
    ) -> Result<gridmart_schemas::data::Schema, Problem> {
        let copy = self.databases.copies.get(database)?;
        let engine = copy.engine();
        let described = match &*engine {
            Opened::Core(core) => core.describe().await,
            Opened::Shadow(shadow) => shadow.describe().await,
            Opened::Broken(why) => return Err(copy.unusable(why)),
        };
        described.map_err(|error| failed(&error))
    }

    fn require_accepting(&self, cut_epoch: u64) -> Result<(), Problem> {
        let member = &self.databases.member;
        if member.commands.host().desired == Desired::Closed {
            return Err(Problem::new(Code::NotAccepting, "The Host is stopped."));
        }
        let desired = member.commands.desired();
        if cut_epoch < desired.element_cut_epoch {
            return Err(Problem::new(
                Code::TicketCut,
                "The Element was killed since the statement was begun.",
            ));
        }
        Ok(())
    }

    async fn run(&self, asked: ReplicaRun) -> Result<ReplicaAnswer, Problem> {
        self.require_accepting(asked.cut_epoch)?;
        if self.rows.lock().len() >= CURSORS_MAX * REQUESTS_MAX {
            return Err(Problem::new(
                Code::Busy,
                "Too many results are open on this Host.",
            ));
        }
        let cancel = Cancel::default();
        let mark = asked.mark;
        if let Some(mark) = mark {
            self.marks.lock().insert(mark, cancel.clone());
        }
        let outcome = if let Some(number) = asked.transaction {
            let transactions = &self.transactions;
            transactions
                .run(&self.databases, number, asked, cancel)
                .await
        } else {
            self.run_alone(asked, cancel).await
        };
        if let Some(mark) = mark {
            self.marks.lock().remove(&mark);
        }
        Ok(self.kept(self.number(), outcome?))
    }

    /// Runs a statement that is a transaction of its own.
    async fn run_alone(
        &self,
        asked: ReplicaRun,
        cancel: Cancel,
    ) -> Result<(ReplicaAnswer, Option<OpenRows>), Problem> {
        let is_read = asked.kind == ReplicaStatementKind::Read;
        let running = run(&self.databases, asked, cancel.clone());
        if !is_read {
            // What the engine has of it is answered with what became of it.
            return running.await;
        }
        tokio::select! {
            outcome = running => outcome,
            () = cancel.cancelled() => {
                let cancelled = ReplicaAnswer::Refused(fault(&EngineError::Cancelled));
                Ok((cancelled, None))
            }
        }
    }

    /// Keeps a result that is not at its end.
    fn kept(
        &self,
        cursor: CursorNumber,
        (mut answer, open): (ReplicaAnswer, Option<OpenRows>),
    ) -> ReplicaAnswer {
        if let (ReplicaAnswer::Rows(piece), Some(open)) = (&mut answer, open) {
            piece.cursor = Some(cursor);
            let rows = Arc::clone(&self.rows);
            let idle = tokio::spawn(async move {
                tokio::time::sleep(IDLE_MAX).await;
                rows.lock().remove(&cursor);
            });
            self.rows.lock().insert(cursor, (open, Idle(idle)));
        }
        answer
    }

    async fn next_rows(&self, cursor: CursorNumber) -> Result<ReplicaAnswer, Problem> {
        // Taken out while it is read, so that nobody reads it twice.
        let open = self.rows.lock().remove(&cursor);
        let (open, _) = open.ok_or_else(|| {
            let detail = format!(
                "There is no such result, or nobody has asked for its rows for {} s.",
                IDLE_MAX.as_secs()
            );
            Problem::new(Code::NotFound, detail)
        })?;
        Ok(self.kept(cursor, piece_of(open).await))
    }
}

impl Handler for DatabasesStream {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(self.answer(incoming))
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        tracing::debug!(kind = incoming.kind, "a notice for databases is left out");
        Box::pin(std::future::ready(()))
    }

    fn on_closed<'a>(&'a self, _: &'a Peer) -> BoxFuture<'a, ()> {
        self.rows.lock().clear();
        self.snapshots.lock().clear();
        self.sums.lock().clear();
        self.transactions.clear();
        Box::pin(std::future::ready(()))
    }
}

/// What a failure of an engine is in the words of SQL, where something was run; a problem
/// where nothing was.
pub(super) fn fault_of(
    error: &EngineError,
) -> Result<gridmart_schemas::wire::data::SqlFault, Problem> {
    match error {
        EngineError::Unreachable { .. } => Err(failed(error)),
        error => Ok(fault(error)),
    }
}

/// What a failure of an engine is in the words of SQL.
pub(super) fn fault(error: &EngineError) -> gridmart_schemas::wire::data::SqlFault {
    gridmart_schemas::wire::data::SqlFault {
        state: error.sql_state().to_owned(),
        message: error.to_string(),
        position: None,
    }
}
