//! How the log is, for all who ask: doors, State, metrics.

use std::sync::Arc;

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tokio::sync::Notify;

use super::{super::Service, measure::LogFacts, rebuilder::RebuildOrder};
use crate::storage::metadata::{Append, FanOut, NotDurable, Replicas};

/// How far the log is.
enum Phase {
    /// On its way, and what it waits for.
    Opening(String),
    /// It is assured.
    Ready(Arc<Service>),
    /// It cannot be used until the Element is started anew, and why.
    Refused(String),
}

/// What is told of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogShown {
    /// On its way.
    Opening(String),
    /// Well.
    Ready,
    /// Changes were taken back lately, and why.
    Degraded(String),
    /// Out of use.
    Refused(String),
}

/// What the Element is started for.
pub(crate) enum Errand {
    /// To serve, with the store that was opened.
    Serve(Connection),
    /// To make its lost store anew, and to end.
    Rebuild(RebuildOrder),
}

/// The log of a Storage Element.
pub(crate) struct Log {
    /// Taken by whoever keeps the log.
    errand: Mutex<Option<Errand>>,
    phase: RwLock<Phase>,
    /// Told to who waits for the log to be assured.
    assured: Notify,
    trouble: Mutex<Option<String>>,
}

impl Log {
    /// Begun for this.
    pub(crate) fn new(errand: Errand) -> Self {
        Self {
            errand: Mutex::new(Some(errand)),
            phase: RwLock::new(Phase::Opening("the Element has just started".to_owned())),
            assured: Notify::new(),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn take_errand(&self) -> Option<Errand> {
        self.errand.lock().take()
    }

    /// What serves, if the log is assured.
    pub(crate) fn service(&self) -> Result<Arc<Service>, Problem> {
        let why = match &*self.phase.read() {
            Phase::Ready(service) => return Ok(Arc::clone(service)),
            Phase::Opening(why) => format!("The Element's metadata are not ready yet: {why}."),
            Phase::Refused(why) => format!("The Element's metadata are out of use: {why}."),
        };
        Err(Problem::new(Code::NotAccepting, why))
    }

    /// Waits for what serves, as long as it takes.
    pub(crate) async fn assured(&self) -> Arc<Service> {
        loop {
            // Before the look: what happens meanwhile is heard.
            let told = self.assured.notified();
            if let Ok(service) = self.service() {
                return service;
            }
            told.await;
        }
    }

    /// What is told of it.
    pub(crate) fn shown(&self) -> LogShown {
        match &*self.phase.read() {
            Phase::Opening(why) => LogShown::Opening(why.clone()),
            Phase::Refused(why) => LogShown::Refused(why.clone()),
            Phase::Ready(_) => match &*self.trouble.lock() {
                Some(why) => LogShown::Degraded(why.clone()),
                None => LogShown::Ready,
            },
        }
    }

    /// How far it is, once it is assured.
    pub(crate) fn facts(&self) -> Option<LogFacts> {
        match &*self.phase.read() {
            Phase::Ready(service) => Some(service.members.facts()),
            _ => None,
        }
    }

    /// It waits for something.
    pub(super) fn opening(&self, why: impl Into<String>) {
        let mut phase = self.phase.write();
        if !matches!(*phase, Phase::Refused(_)) {
            *phase = Phase::Opening(why.into());
        }
    }

    /// It is assured; unless it was refused meanwhile.
    pub(super) fn ready(&self, service: Arc<Service>) {
        let mut phase = self.phase.write();
        if !matches!(*phase, Phase::Refused(_)) {
            *phase = Phase::Ready(service);
            self.assured.notify_waiters();
        }
    }

    /// It is out of use for this run.
    pub(super) fn refuse(&self, why: impl Into<String>) {
        let mut phase = self.phase.write();
        if !matches!(*phase, Phase::Refused(_)) {
            let why = why.into();
            tracing::error!(why, "the metadata are out of use");
            *phase = Phase::Refused(why);
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(*self.phase.read(), Phase::Refused(_))
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.trouble.lock().is_some()
    }
}

/// The replicas of the log, and who hears what becomes of each round.
pub(super) struct Watched {
    pub(super) fan_out: Arc<FanOut>,
    pub(super) log: Arc<Log>,
}

impl Replicas for Watched {
    fn append(&self, append: Append) -> Result<(), NotDurable> {
        let result = self.fan_out.append(append);
        match &result {
            Err(error @ NotDurable::Superseded { .. }) => self.log.refuse(format!(
                "another Element has taken over ({error}); if this one shall go on, move its \
                 metadata.sqlite away and rebuild it with `gridmart element storage --rebuild`"
            )),
            Err(error) => *self.log.trouble.lock() = Some(error.to_string()),
            Ok(()) => *self.log.trouble.lock() = None,
        }
        result
    }
}
