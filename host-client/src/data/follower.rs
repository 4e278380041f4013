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

use futures_util::future::BoxFuture;
use gridmart_fabric::stream::{Backoff, Handler, Incoming, Peer, StreamLimits, dial};
use gridmart_schemas::{
    data::Epoch,
    id::NodeId,
    problem::{Code, Problem},
    resource::enumeration::SyncState,
    role::NodeKind,
    wire::replica::LogEntries,
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    comparison::{self, Asked},
    copy::{Copy, Opened},
    engine::{Engine as _, EngineError},
    pace::Pace,
    pulling::pull,
    rebuilding::{became_core, begin_anew},
    shadow::{Shadow, ShadowError},
};
use crate::member::Member;

/// Where databases are at a Host's door.
pub(super) const PATH: &str = "/v1/databases";
/// A core where nothing comes answers before that.
const LATE_AFTER: Duration = Duration::from_secs(14);
/// A core may take so long to answer a pull; it waits itself where nothing comes.
pub(super) const PULL_TIME_MAX: Duration = Duration::from_secs(30);

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
    /// How much it asks for at a time.
    pub(super) pace: Pace,
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
            pace: Pace::default(),
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
    let holds = copy.mark().map(|mark| mark.hash);
    let pace = &copy.follower.pace;
    let pulling = pull(peer, of, (history, holds), pace, PULL_TIME_MAX);
    let late = tokio::time::sleep(LATE_AFTER);
    tokio::pin!(pulling, late);
    let mut is_late = false;
    let pulled = loop {
        tokio::select! {
            pulled = &mut pulling => break pulled?,
            () = copy.follower.woken.notified() => return Ok(()),
            () = &mut late, if !is_late => {
                // What is on its way for so long was committed before, and is not here.
                is_late = true;
                copy.follower.stands(SyncState::CatchingUp);
            }
        }
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
    shadow: &Shadow,
    entries: Vec<gridmart_schemas::data::Entry>,
) -> Result<bool, Problem> {
    if entries.is_empty() {
        return Ok(true);
    }
    match shadow.apply(entries).await {
        // After a gap it is pulled again from where it is.
        Ok(()) | Err(ShadowError::Gap { .. }) => Ok(true),
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

pub(super) fn failed(error: &EngineError) -> Problem {
    let code = match error {
        EngineError::Busy | EngineError::Stopping => Code::Busy,
        EngineError::Unreachable { .. } => Code::HostDown,
        EngineError::Logless { .. } => Code::PreconditionFailed,
        EngineError::Storage { .. } | EngineError::InDoubt { .. } => Code::StorageFailed,
        _ => Code::Internal,
    };
    Problem::new(code, super::sentence(&error.to_string()))
}
