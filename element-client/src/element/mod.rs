//! What every Element is and does, whatever it has on its shelf.
//!
//! An [`Element`] joins, keeps its identity and its information base, is told
//! by the controller what should be and has its Hosts make it so, lets Hosts
//! in, hears them and tells of them. What it offers besides is its [`Goods`]:
//! each kind of Element is an `Element` of other goods, and a folder beside
//! this one.

mod comm;
mod command;
pub(crate) mod description;
mod door;
mod enrol;
pub(crate) mod goods;
mod host_table;
pub(crate) mod link;
mod measure;
pub mod probe;
pub mod record;
pub mod standing;
pub(crate) mod start;
mod token;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use gridmart_fabric::{
    clock::ParentClock,
    identity::IdentityCell,
    telemetry::Metrics,
    throttle::Throttle,
    ticket::VerifyingKeys,
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    scalar::UtcTime,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::door::unknown_path;
use self::{
    comm::controller::Beat, command::Told, goods::Goods, link::Links, measure::Measures,
    probe::ProbeDesk, standing::StandingFile,
};
use crate::{group::Group, info_base::InfoBase, monitor::Monitor};

/// A running Element.
pub(crate) struct Element<G: Goods> {
    pub(crate) id: NodeId,
    pub(crate) controller: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) data_dir: PathBuf,
    /// `HOST:PORT` of the door, most preferred first.
    pub(crate) endpoints: Vec<String>,
    pub(crate) controller_endpoints: Vec<String>,
    pub(crate) base: InfoBase<G::Document>,
    pub(crate) standing: Mutex<StandingFile>,
    pub(crate) ticket_keys: RwLock<VerifyingKeys>,
    /// For what the Element itself has signed, when it is brought back.
    pub(crate) own_keys: RwLock<VerifyingKeys>,
    pub(crate) revocations: Revocations,
    pub(crate) tls: ClientTls,
    /// For those who try join tokens.
    pub(crate) throttle: Throttle,
    pub(crate) probes: ProbeDesk,
    pub(crate) links: Links,
    pub(crate) monitor: Monitor,
    /// Heartbeats to the controller.
    pub(crate) beat: Mutex<Beat>,
    pub(crate) metrics: Measures,
    pub(crate) registry: Metrics,
    /// One wish is applied at a time, so that the newest is applied last; it
    /// stays here until it is.
    pub(crate) applying: tokio::sync::Mutex<Option<Told>>,
    pub(crate) parent_clock: ParentClock,
    /// Held while the controller is told what has changed, so that each change
    /// goes over the stream that counts.
    pub(crate) telling: tokio::sync::Mutex<()>,
    /// The first welcome of the controller is applied.
    pub(crate) welcomed: CancellationToken,
    /// Hosts that were vouched for and are being noted.
    pub(crate) vouching: Group<NodeId, Result<(), String>>,
    /// Hosts that have not applied what they were told: told again next time.
    pub(crate) untold: Mutex<HashSet<NodeId>>,
    /// Something that the controller should hear soon.
    pub(crate) news: Notify,
    /// What should be has changed.
    pub(crate) desired_changed: Notify,
    pub(crate) started: tokio::time::Instant,
    pub(crate) started_at: UtcTime,
    /// How long Hosts may take to return after this Element's start.
    pub(crate) return_time: Duration,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// What it has on its shelf.
    pub(crate) goods: G,
}

impl<G: Goods> std::fmt::Debug for Element<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Element")
            .field("kind", &G::KIND)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<G: Goods> Element<G> {
    /// Runs what blocks for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let element = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&element))
            .await
            .map_err(|error| {
                tracing::error!(%error, "work for the disk has failed");
                Problem::new(
                    Code::Internal,
                    "The Element failed to do its work for the disk.",
                )
            })
    }
}
