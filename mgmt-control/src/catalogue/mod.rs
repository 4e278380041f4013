//! The catalogue: people, nodes, applications and what should be.
//!
//! Invariants: readers see immutable snapshots and never wait; one writer
//! thread commits to the store first and swaps the snapshot afterwards, so
//! nothing is shown that a crash could take back. What heartbeats say is kept
//! beside it, in memory only ([`observed`]). No other code touches either.

pub mod application;
pub mod audit;
pub(crate) mod event;
mod health;
pub mod node;
pub mod observed;
pub mod person;
mod query;
#[cfg(test)]
pub(crate) mod sample;
pub mod snapshot;
mod update;

use std::{path::Path, sync::Arc, thread::JoinHandle};

use arc_swap::ArcSwap;
use gridmart_schemas::problem::Problem;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use self::{health::StoreHealth, observed::ObservedCell, update::Job};
pub use self::{query::View, snapshot::Snapshot, update::Update};
use crate::{
    failure::Failure,
    store::{self, StoreError},
};

/// Changes that may wait for the writer: a commit takes milliseconds and some
/// hundred of them, so more than this means that the disk is stuck. A hundred
/// Elements whose Hosts join at once stay below it.
const WAITING_CHANGES_MAX: usize = 8192;

/// Name of the database in the data folder.
pub const DATABASE: &str = "control.sqlite";

/// Key of the secret that sessions of browsers rest on.
const SESSION_KEY: &str = "session_key";
/// Key of what is written only to see whether it can be.
const TRIED: &str = "tried";

/// The catalogue's handle; one per process.
pub struct Catalogue {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    reader: Arc<Mutex<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// What heartbeats say.
    pub observed: ObservedCell,
    /// Makes what sessions of browsers prove themselves with; never leaves.
    pub(crate) session_key: [u8; 32],
}

/// What the writer thread and the readers share.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    changed: watch::Sender<u64>,
    health: StoreHealth,
}

impl Catalogue {
    /// Opens the database in the data folder, reads it whole, and starts the
    /// writer thread.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(DATABASE);
        let connection = store::open_writer(&path)?;
        let session_key = store::secret_ensure(&connection, SESSION_KEY)?;
        let snapshot = Snapshot::load(&connection)?;
        let reader = store::open_reader(&path)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            changed: watch::Sender::new(0),
            health: StoreHealth::default(),
        });
        let (jobs, queue) = mpsc::channel(WAITING_CHANGES_MAX);
        let writer = update::spawn_writer(connection, Arc::clone(&shared), queue)?;
        Ok(Self {
            shared,
            jobs,
            reader: Arc::new(Mutex::new(reader)),
            writer: Mutex::new(Some(writer)),
            observed: ObservedCell::default(),
            session_key,
        })
    }

    /// Why the store takes no changes, if it takes none.
    pub fn ailment(&self) -> Option<Problem> {
        self.shared.health.problem()
    }

    /// Whether it takes none, and a change may find that it does again.
    pub(crate) fn may_recover(&self) -> bool {
        self.shared.health.may_pass()
    }

    /// Makes a change that changes nothing, to see whether the store takes it.
    pub(crate) async fn try_write(&self) -> Result<(), Failure> {
        self.update(|update| {
            // New each time, so that there is something to write.
            let now = update.now().unix_timestamp().to_string();
            Ok(store::meta_put(update.transaction(), TRIED, &now)?)
        })
        .await
    }

    /// Ends the writer thread after what it has begun. Takes a blocking task.
    pub fn close(self: Arc<Self>) {
        let writer = self.writer.lock().take();
        // The writer ends when the last sender is gone or says so.
        let (acknowledge, _) = tokio::sync::oneshot::channel();
        let _ = self.jobs.blocking_send(Job::Stop(acknowledge));
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the catalogue's writer thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
