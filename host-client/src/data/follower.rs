//! Keeps a shadow following its core: pulls the log from the core's Host, applies
//! it, and begins with a snapshot where that is not enough. What a copy has that the
//! core has not is set aside before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use futures_util::future::BoxFuture;
use gridmart_fabric::stream::{Backoff, Handler, Incoming, Peer, StreamLimits, dial};
use gridmart_schemas::{
    data::Epoch,
    id::NodeId,
    problem::{Code, Problem},
    resource::enumeration::{ReplicaRole, SyncState},
    role::NodeKind,
    wire::replica::{LogDescribe, LogEntries, LogTold, SnapshotPiece, SnapshotRead, SnapshotTold},
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    comparison::{self, Asked},
    copy::{Copy, Opened},
    engine::{Engine as _, EngineError, sqlite::state_at},
    kept_aside::{keep_whole, note},
    log::{Role, history::History},
    promotion::{Returned, come_back},
    pulling::pull,
    shadow::{ShadowError, SqliteShadow},
    snapshot::{Install, SnapshotHead},
};
use crate::member::{Member, blocking};

/// Where databases are at a Host's door.
pub(super) const PATH: &str = "/v1/databases";
/// A core may take so long to answer a pull; it waits itself where nothing comes.
const PULL_TIME_MAX: Duration = Duration::from_secs(30);
/// A snapshot may take so long to be made, before its first piece comes.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_mins(10);

/// The way to a core, as the Element has told it last.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) core: NodeId,
    pub(super) endpoints: Vec<String>,
    pub(super) ticket: String,
    pub(super) epoch: Epoch,
}

/// See the module.
pub(super) struct Follower {
    way: watch::Sender<Option<Way>>,
    standing: Mutex<SyncState>,
    /// The epoch of the core whose log it has agreed with.
    followed: AtomicI64,
    /// Who wants it compared with its core.
    asked: Mutex<Vec<Asked>>,
    /// There is something else to do than to wait for the log.
    woken: Notify,
    /// Set once its task runs.
    begun: std::sync::atomic::AtomicBool,
    ended: CancellationToken,
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            way: watch::Sender::new(None),
            standing: Mutex::new(SyncState::Detached),
            followed: AtomicI64::new(0),
            asked: Mutex::default(),
            woken: Notify::new(),
            begun: std::sync::atomic::AtomicBool::new(false),
            ended: CancellationToken::new(),
        }
    }
}

impl Follower {
    /// Takes the way to the core; gives whether the task is still to be begun.
    pub(super) fn follow(&self, way: Way) -> bool {
        let leads = |way: &Way| (way.core, way.epoch, way.endpoints.clone());
        let now = leads(&way);
        let before = self.way.send_replace(Some(way));
        if before.as_ref().map(leads) != Some(now) {
            // What it waits for of the old core does not count any more.
            self.woken.notify_one();
        }
        !self.begun.swap(true, std::sync::atomic::Ordering::AcqRel)
    }

    /// Follows nobody until it is told of a way again.
    pub(super) fn halt(&self) {
        self.way.send_replace(None);
        for asked in self.asked.lock().drain(..) {
            asked.fail(became_core());
        }
        self.woken.notify_one();
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Cancelled when its copy goes.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// The epoch of the core that it follows; 0 before its log was seen.
    pub(super) fn followed(&self) -> Epoch {
        Epoch::new(self.followed.load(Ordering::Acquire))
    }

    /// Its log is that of the core of this epoch, as far as it goes.
    pub(super) fn agrees(&self, epoch: Epoch) {
        self.followed.fetch_max(epoch.number(), Ordering::AcqRel);
    }

    /// Has it compared with its core, soon.
    pub(super) fn compare(&self, asked: Asked) {
        self.asked.lock().push(asked);
        self.woken.notify_one();
    }

    /// It is to look at its copy again.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// How far the shadow is.
    pub(super) fn sync_state(&self) -> SyncState {
        *self.standing.lock()
    }

    /// The same while its file is not open.
    pub(super) fn sync_state_broken(&self) -> SyncState {
        match self.sync_state() {
            state @ (SyncState::Initialising | SyncState::Diverged) => state,
            _ => SyncState::Detached,
        }
    }

    pub(super) fn stands(&self, state: SyncState) {
        *self.standing.lock() = state;
    }
}

/// Answers nothing: a core asks its shadows nothing.
struct Nobody;

impl Handler for Nobody {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(std::future::ready(Err(incoming.unknown())))
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Follows until the copy is removed, or the Host goes down.
pub(super) async fn follow(member: Arc<Member>, copy: Arc<Copy>) {
    let (follower, backoff) = (&copy.follower, Backoff::default());
    let mut failures = 0;
    let mut ways = follower.way.subscribe();
    while !follower.ended.is_cancelled() {
        ways.mark_unchanged();
        let tried = follower
            .ended
            .run_until_cancelled(Box::pin(follow_once(&member, &copy, &mut failures)))
            .await;
        let problem = match tried {
            None => return,
            Some(Ok(())) => continue,
            Some(Err(problem)) => problem,
        };
        if failures == 0 {
            tracing::warn!(database.id = %copy.database, %problem, "a shadow hears nothing of its core, trying on");
        }
        if follower.sync_state() != SyncState::Diverged {
            follower.stands(SyncState::Detached);
        }
        for asked in follower.asked.lock().drain(..) {
            asked.fail(problem.clone());
        }
        failures += 1;
        let pause = tokio::time::sleep(backoff.pause(failures));
        // A new way is tried at once.
        tokio::select! {
            () = pause => {}
            _ = ways.changed() => {}
            () = follower.ended.cancelled() => {}
        }
    }
}

/// Follows over one stream, until something fails, or another Host has the core.
async fn follow_once(
    member: &Arc<Member>,
    copy: &Arc<Copy>,
    failures: &mut u32,
) -> Result<(), Problem> {
    let mut ways = copy.follower.way.subscribe();
    let way = ways.wait_for(Option::is_some).await;
    let way = way.ok().and_then(|way| way.clone());
    let way = way.ok_or_else(|| Problem::new(Code::Unavailable, "The Host goes down."))?;
    let expected = (way.core, NodeKind::DataHost);
    let limits = StreamLimits::default();
    let peer = dial(
        &way.endpoints,
        expected,
        &member.tls,
        PATH,
        Arc::new(Nobody),
        limits,
    )
    .await?;
    let closing = CloseOnDrop(peer);
    loop {
        // The newest ticket; another core is another stream.
        let ticket = match &*copy.follower.way.borrow() {
            Some(now)
                if (now.core, now.epoch) == (way.core, way.epoch)
                    && now.endpoints == way.endpoints =>
            {
                now.ticket.clone()
            }
            _ => return Ok(()),
        };
        let before = copy.follower.sync_state();
        step(copy, &closing.0, ticket, way.epoch).await?;
        *failures = 0;
        if copy.follower.sync_state() != before {
            // The Element is told at once.
            member.changed.notify_one();
        }
    }
}

/// Closes a stream that nobody needs any more.
struct CloseOnDrop(Peer);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// One pull, and what follows from it.
async fn step(copy: &Arc<Copy>, peer: &Peer, ticket: String, epoch: Epoch) -> Result<(), Problem> {
    let engine = copy.engine();
    let Opened::Shadow(shadow) = &*engine else {
        return begin_anew(copy, peer, ticket).await;
    };
    let asked = std::mem::take(&mut *copy.follower.asked.lock());
    if !asked.is_empty() {
        drop(engine);
        return comparison::compare(copy, peer, ticket, asked).await;
    }
    let history = shadow.history().await.map_err(|error| failed(&error))?;
    let of = (copy.database, ticket.clone());
    let pulled = tokio::select! {
        pulled = pull(peer, of, history, PULL_TIME_MAX) => pulled?,
        () = copy.follower.woken.notified() => return Ok(()),
    };
    let Some(LogEntries { entries, last }) = pulled else {
        drop(engine);
        return begin_anew(copy, peer, ticket).await;
    };
    let follower = &copy.follower;
    if !apply(copy, shadow, entries).await? {
        return Ok(());
    }
    follower.agrees(epoch);
    // What was committed since comes with the next pull.
    follower.stands(if shadow.position().position >= last {
        SyncState::Synchronised
    } else {
        SyncState::CatchingUp
    });
    Ok(())
}

/// Whether the copy goes on as it is; `false`: it has diverged, and is made anew.
pub(super) async fn apply(
    copy: &Arc<Copy>,
    shadow: &SqliteShadow,
    entries: Vec<gridmart_schemas::data::Entry>,
) -> Result<bool, Problem> {
    if entries.is_empty() {
        return Ok(true);
    }
    match shadow.apply(entries).await {
        // After a gap it is pulled again from where it is.
        Ok(_) | Err(ShadowError::Gap { .. }) => Ok(true),
        Err(ShadowError::Engine(error @ EngineError::Diverged { .. })) => {
            tracing::error!(database.id = %copy.database, %error, "a shadow is made anew");
            copy.follower.stands(SyncState::Diverged);
            // With its file closed the next step begins with a snapshot.
            copy.close();
            Ok(false)
        }
        Err(ShadowError::Engine(error)) => Err(failed(&error)),
    }
}

/// Brings a copy that cannot follow as it is behind its core: what it has that the core
/// has not is set aside; then it follows, if it was whole, or begins with a snapshot.
async fn begin_anew(copy: &Arc<Copy>, peer: &Peer, ticket: String) -> Result<(), Problem> {
    let describe = LogDescribe {
        database: copy.database,
        ticket: ticket.clone(),
    };
    let LogTold { epochs, last } = peer.ask(&describe, PULL_TIME_MAX).await?;
    let core = History { epochs, last };
    let parting = Arc::clone(copy);
    let follows = blocking(move || {
        let _one_at_a_time = parting.changing.blocking_lock();
        part(&parting, &core)
    });
    if follows.await? {
        copy.follower.stands(SyncState::CatchingUp);
        return Ok(());
    }
    fetch(copy, peer, ticket).await
}

/// Sets aside what the core has not; whether the copy can follow as it is.
pub(super) fn part(copy: &Copy, core: &History) -> Result<bool, Problem> {
    if copy.role() == ReplicaRole::Core {
        return Err(became_core());
    }
    copy.close();
    let Some(path) = copy.home.database().map_err(|error| failed(&error))? else {
        return Ok(false);
    };
    let state = match state_at(&path) {
        Ok(state) => state,
        Err(error) => {
            // Nobody can read what it had.
            tracing::error!(database.id = %copy.database, %error, "what is left of a copy cannot be read, and is made anew");
            return Ok(false);
        }
    };
    let was_core = state.role == Role::Core;
    let aside = &copy.shelf.aside;
    let unkept = |error: std::io::Error| {
        let detail = format!("What a copy alone had cannot be set aside: {error}.");
        Problem::new(Code::StorageFailed, detail)
    };
    let file = aside.file(copy.database, state.last).map_err(unkept)?;
    match come_back(&path, core, &file) {
        Ok(Returned::Follows(_)) if was_core => {
            copy.open_again();
            Ok(true)
        }
        Ok(Returned::Follows(_)) => Ok(false),
        Ok(Returned::Rebuild(kept)) => {
            if kept.missing > 0 {
                keep_whole(&path, &file).map_err(|error| failed(&error))?;
            }
            note(&kept).map_err(unkept)?;
            tracing::error!(
                database.id = %copy.database, file = %kept.file.display(), entries = kept.entries,
                after = %kept.common, through = %kept.last,
                "this copy had committed what the core has not: it is set aside in the file"
            );
            Ok(false)
        }
        Err(error @ EngineError::Storage { .. }) => Err(failed(&error)),
        Err(error) => {
            tracing::error!(database.id = %copy.database, %error, "what a copy alone may have had cannot be read");
            if was_core {
                keep_whole(&path, &file).map_err(|error| failed(&error))?;
            }
            Ok(false)
        }
    }
}

fn became_core() -> Problem {
    Problem::new(Code::Unavailable, "This copy has become the core.")
}

/// Fetches a snapshot, and puts it in the place of what is there.
async fn fetch(copy: &Arc<Copy>, peer: &Peer, ticket: String) -> Result<(), Problem> {
    copy.follower.stands(SyncState::Initialising);
    let mut read = SnapshotRead {
        database: copy.database,
        ticket,
        cursor: None,
    };
    let mut piece: SnapshotPiece = peer.ask(&read, SNAPSHOT_TIME_MAX).await?;
    let head = piece
        .head
        .take()
        .ok_or_else(|| Problem::new(Code::Internal, "A snapshot came without its head."))?;
    let (home, head) = (copy.home.clone(), head_of(copy, head));
    let mut install =
        blocking(move || Install::begin(&home, head).map_err(|error| failed(&error))).await?;
    loop {
        let bytes = STANDARD_NO_PAD.decode(&piece.bytes).map_err(|error| {
            Problem::new(
                Code::DigestMismatch,
                format!("A piece of a snapshot is no base64: {error}."),
            )
        })?;
        install = blocking(move || {
            install.write(&bytes).map_err(|error| failed(&error))?;
            Ok(install)
        })
        .await?;
        let Some(cursor) = piece.cursor else {
            break;
        };
        read.cursor = Some(cursor);
        piece = peer.ask(&read, PULL_TIME_MAX).await?;
    }
    let installed = Arc::clone(copy);
    blocking(move || {
        let _one_at_a_time = installed.changing.blocking_lock();
        if installed.role() == ReplicaRole::Core {
            return Err(became_core());
        }
        installed.close();
        let finished = install.finish().map_err(|error| failed(&error));
        installed.open_again();
        finished.map(drop)
    })
    .await?;
    tracing::info!(database.id = %copy.database, "a shadow was made from a snapshot");
    copy.follower.stands(SyncState::CatchingUp);
    Ok(())
}

fn head_of(copy: &Copy, told: SnapshotTold) -> SnapshotHead {
    SnapshotHead {
        database: *copy.database.as_uuid(),
        last: told.last,
        bytes: told.bytes,
        hash: told.hash,
    }
}

pub(super) fn failed(error: &EngineError) -> Problem {
    let code = match error {
        EngineError::Busy | EngineError::Stopping => Code::Busy,
        EngineError::Unreachable { .. } => Code::HostDown,
        EngineError::Storage { .. } | EngineError::InDoubt { .. } => Code::StorageFailed,
        _ => Code::Internal,
    };
    Problem::new(code, super::sentence(&error.to_string()))
}
