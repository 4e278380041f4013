//! The way into the grid: access, queue, leases, calls streams.
//!
//! - `access`: decisions of the controller, cached until shortly before expiry;
//! - `session`: one queue stream per Element, and the leases it granted;
//! - `entry`: what happens to one place in the queue, until it is read;
//! - `placement`: from a need to a lease, alternatives included;
//! - `rounds`: which Element is asked next, without I/O;
//! - `presence`: whether a Host is there still, without I/O;
//! - `tries`: what follows from a lease that cannot be used, without I/O;
//! - `stream`: dialling a Host and attaching under a lease, again after a cut;
//! - `outbox`: frames on their way out, in order, never waited for;
//! - `grants`: tickets for Hosts that move the files of calls;
//! - `link`: the calls of one lease over its stream;
//! - `pool`: leases kept for the next call, and who waits for a slot.

mod access;
mod avoided;
mod entry;
pub(crate) mod grants;
mod link;
mod outbox;
mod placement;
mod pool;
pub mod presence;
pub mod rounds;
mod session;
#[cfg(test)]
mod session_tests;
mod stream;
pub mod tries;

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridmart_fabric::{identity::EphemeralKey, tls::ClientTls};
use gridmart_schemas::{
    api::access::ElementAccess,
    id::{KeyHash, NodeId},
};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use access::{Access, Need};
pub(crate) use avoided::Avoided;
pub(crate) use link::{Link, bare};
pub(crate) use outbox::Outbox;
pub(crate) use placement::{Demand, Placement, ROUND_INTERVAL, Waited};
pub(crate) use pool::{Slot, Wanted};
pub(crate) use session::{LeaseHold, LeaseState};
pub(crate) use stream::{CallsStream, attach, attach_frame, reattach};

use crate::{
    data::DataPlane,
    error::Error,
    http::Http,
    storage::{Plane, TransferMemory},
};
use access::AccessCache;
use pool::Pool;
use session::Session;

/// How long `close` waits for the last words to leave.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Everything that clones of a client share beyond HTTP.
pub(crate) struct Grid {
    tls: ClientTls,
    access: AccessCache,
    sessions: Mutex<HashMap<NodeId, Arc<Session>>>,
    pool: Arc<Pool>,
    storage: Arc<Plane>,
    data: DataPlane,
    /// What has last words to say when the client closes.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Grid {
    /// Makes a TLS key of its own: tickets are bound to it.
    pub(crate) fn new(http: Http, root_pem: &str) -> Result<Self, Error> {
        let unusable = |e: &dyn std::fmt::Display| {
            Error::Invalid(format!(
                "TLS cannot be set up with the controller's CA: {e}"
            ))
        };
        let key = EphemeralKey::generate().map_err(|e| unusable(&e))?;
        let presenter: KeyHash = key.key_hash().clone();
        let tls = ClientTls::ephemeral(root_pem, &key).map_err(|e| unusable(&e))?;
        let stop = CancellationToken::new();
        let pool = Pool::start(&stop);
        let tasks = TaskTracker::new();
        let storage = Plane::new(
            Arc::new(http.clone()),
            presenter.clone(),
            &tls,
            TransferMemory::default(),
            tasks.clone(),
        );
        let data = DataPlane::new(http.clone(), presenter.clone(), tls.clone(), tasks.clone());
        Ok(Self {
            tls,
            data,
            access: AccessCache::new(http, presenter),
            storage: Arc::new(storage),
            sessions: Mutex::default(),
            pool,
            tasks,
            stop,
        })
    }

    /// Asks the controller, or remembers what it said; waits for a while for
    /// those who could serve it and are away.
    pub(crate) async fn access(&self, need: &Need) -> Result<Arc<Access>, Error> {
        placement::decision(self, need, &mut rounds::Rounds::default()).await
    }

    /// What all transfers share.
    pub(crate) const fn storage(&self) -> &Arc<Plane> {
        &self.storage
    }

    /// What all statements share.
    pub(crate) const fn data(&self) -> &DataPlane {
        &self.data
    }

    pub(crate) const fn tls(&self) -> &ClientTls {
        &self.tls
    }

    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The queue stream to an Element; dialled when it is used.
    fn session(&self, element: &ElementAccess) -> Arc<Session> {
        let mut sessions = self.sessions.lock();
        let session = sessions
            .entry(element.element)
            .or_insert_with(|| Session::new(element, self.tls.clone(), self.stop.child_token()));
        session.update(element);
        Arc::clone(session)
    }

    /// Gives a slot for one call.
    pub(crate) async fn slot(self: &Arc<Self>, wanted: &Wanted<'_>) -> Result<Slot, Error> {
        self.pool.slot(self, wanted).await
    }

    pub(crate) async fn close(&self) {
        self.pool.close();
        self.tasks.close();
        // What could not end or leave in time is ended by the other sides' grace.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.tasks.wait()).await;
        let sessions: Vec<_> = self
            .sessions
            .lock()
            .drain()
            .map(|(_, session)| session)
            .collect();
        let flushed = async {
            for session in &sessions {
                session.close().await;
            }
            self.storage.close().await;
            self.data.close().await;
        };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, flushed).await;
        self.tasks.reopen();
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        self.pool.close();
        self.stop.cancel();
    }
}
