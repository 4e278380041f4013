//! Keeps the mirror at the server's heels.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::data::{Epoch, LogPoint, Position};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Place as _, Source,
    file::{Mirror, Taken},
    seat::BEYOND_ALL,
};
use crate::data::{
    engine::{EngineError, sqlite::Readers},
    log::{LogBounds, Whole},
};

/// Threads that read the mirror for shadows.
const READERS: usize = 2;
/// Without a word, the server's log is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure it is tried again after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// What goes on failing is told so often.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);
/// A write is answered after so long although the mirror has not got it: it is committed.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A mirror that is kept.
pub(in super::super) struct Log<S: Source> {
    mirror: Arc<Mutex<Mirror>>,
    pub(super) readers: Readers,
    last: watch::Sender<LogPoint>,
    /// Up to where the server's log was looked at.
    looked: watch::Sender<S::Place>,
    wake: Notify,
    /// Why it cannot go on, if that is so.
    broken: Mutex<Option<String>>,
    stop: CancellationToken,
}

impl<S: Source> Log<S> {
    /// Opens the mirror of a copy and keeps it until it is closed; `None`: the copy has none.
    pub(super) fn open(
        path: &Path,
        bounds: LogBounds,
        source: &Arc<S>,
    ) -> Result<Option<Arc<Self>>, EngineError> {
        let Some(mirror) = Mirror::open(path, bounds)? else {
            return Ok(None);
        };
        let log = Arc::new(Self {
            last: watch::Sender::new(mirror.last()),
            looked: watch::Sender::new(place::<S>(&mirror)?),
            mirror: Arc::new(Mutex::new(mirror)),
            readers: Readers::start(path, READERS)?,
            wake: Notify::new(),
            broken: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let keeping = keep(Arc::clone(&log), Arc::clone(source));
        tokio::spawn(log.stop.clone().run_until_cancelled_owned(keeping));
        Ok(Some(log))
    }

    /// What the mirror has of the server's log.
    pub(in super::super) fn applied(&self) -> Result<S::Place, EngineError> {
        place::<S>(&self.mirror.lock())
    }

    /// Applies transactions, which the mirror does not have yet.
    pub(in super::super) async fn apply(
        &self,
        transactions: Vec<Taken<S>>,
    ) -> Result<(), EngineError> {
        let mirror = Arc::clone(&self.mirror);
        let applied = tokio::task::spawn_blocking(move || mirror.lock().take(&transactions)).await;
        let last = applied.map_err(|error| EngineError::Internal(error.to_string()))??;
        self.last.send_if_modified(|told| {
            let is_new = *told != last;
            *told = last;
            is_new
        });
        Ok(())
    }

    /// Up to where the server's log was looked at.
    pub(in super::super) fn looked(&self) -> S::Place {
        self.looked.borrow().clone()
    }

    /// What the server's log has up to there is in the mirror, or of others.
    pub(in super::super) fn look(&self, place: S::Place) {
        self.looked.send_if_modified(|looked| {
            let is_new = !looked.has(&place);
            if is_new {
                *looked = place;
            }
            is_new
        });
    }

    /// Its last entry.
    pub(super) fn last(&self) -> LogPoint {
        *self.last.borrow()
    }

    /// Tells of each entry.
    pub(super) fn watch(&self) -> watch::Receiver<LogPoint> {
        self.last.subscribe()
    }

    /// Waits until the mirror has what the server has up to there; gives its position.
    pub(super) async fn reach(&self, place: &S::Place) -> Position {
        if self.broken().is_some() {
            return BEYOND_ALL;
        }
        self.wake.notify_one();
        let mut looked = self.looked.subscribe();
        let reached = looked.wait_for(|looked| looked.has(place));
        if tokio::time::timeout(WAIT_MAX, reached).await.is_ok() {
            return self.last().position;
        }
        tracing::warn!("a write is answered before shadows can be told of it");
        BEYOND_ALL
    }

    /// Applies nothing from here on; waits for what is being applied.
    pub(super) fn close(&self) {
        self.stop.cancel();
        self.mirror.lock().is_closed = true;
    }

    /// The schema as the server tells it whole, after a change that the mirror has.
    pub(super) fn keep_whole(&self, whole: &Whole) -> Result<(), EngineError> {
        self.mirror.lock().keep_whole(&S::ENGINE, whole)
    }

    /// All shadows have the log up to there.
    pub(super) fn confirm(&self, position: Position) {
        let mut mirror = self.mirror.lock();
        mirror.confirmed = mirror.confirmed.max(position);
    }

    /// Another core has taken over.
    pub(super) fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        self.mirror.lock().fence(newest)
    }

    /// Why it has to be made anew, if that is so.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }
}

/// Brings all that a server's log has up to a place into the mirror of a core that was
/// replaced. The mirror keeps all of its own log: what that core alone had is read from it.
pub(in super::super) async fn finish<S: Source>(
    file: &Path,
    source: &Arc<S>,
    place: &S::Place,
) -> Result<(), EngineError> {
    let lost = |why: String| EngineError::Damaged { why };
    let bounds = LogBounds {
        bytes_max: u64::MAX,
        bytes_kept: u64::MAX,
    };
    let log = Log::open(file, bounds, source)?;
    let log = log.ok_or_else(|| lost("it has kept no log for shadows".to_owned()))?;
    if !place.has(&log.applied()?) {
        log.close();
        return Err(lost(
            "the server's log is before what it has told".to_owned(),
        ));
    }
    let reached = log.reach(place).await;
    log.close();
    if reached != BEYOND_ALL {
        return Ok(());
    }
    Err(match log.broken() {
        Some(why) => lost(why),
        None => EngineError::Unreachable {
            why: "it has not told all of its log yet".to_owned(),
        },
    })
}

fn place<S: Source>(mirror: &Mirror) -> Result<S::Place, EngineError> {
    mirror.place().parse().map_err(|_| EngineError::Damaged {
        why: format!("its place in the log of {} cannot be read", S::NAME),
    })
}

async fn keep<S: Source>(log: Arc<Log<S>>, source: Arc<S>) {
    let mut complained: Option<Instant> = None;
    loop {
        // A fault of a driver's ends a task of its own.
        let mut following = JoinSet::new();
        let (own, own_log) = (Arc::clone(&source), Arc::clone(&log));
        following.spawn(async move { own.follow(&own_log).await });
        let followed = match following.join_next().await {
            Some(Err(error)) => Err(EngineError::Internal(error.to_string())),
            Some(Ok(followed)) => followed,
            None => return,
        };
        let error = match followed {
            Ok(()) => {
                complained = None;
                let _ = tokio::time::timeout(LOOK_EVERY, log.wake.notified()).await;
                continue;
            }
            Err(EngineError::Stopping) => return,
            Err(error) => error,
        };
        if complained.is_none_or(|since| since.elapsed() > COMPLAIN_EVERY) {
            let server = S::NAME;
            tracing::error!(%error, server, "the log of a server cannot be followed");
            complained = Some(Instant::now());
        }
        let is_of_no_use = matches!(
            error,
            EngineError::Damaged { .. } | EngineError::Diverged { .. }
        );
        if is_of_no_use || S::is_gone(&error) {
            *log.broken.lock() = Some(error.to_string());
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
