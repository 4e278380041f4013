//! What the parts of a running Host share.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gridmart_fabric::{
    identity::IdentityCell,
    stream::Peer,
    telemetry::Metrics,
    tls::{ClientTls, Expected, Revocations},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    resource::enumeration::ServingState,
    role::Desired,
    scalar::Seconds,
};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use super::{
    command::Commands,
    disk_watch::DiskWatch,
    profile::{self, Profile},
    relay::{self, Relay},
    trust::Trust,
};

/// Between heartbeats, until the Element has said.
const HEARTBEAT_DEFAULT_MS: u64 = 5000;
/// Heartbeats are never further apart, nor closer, whatever the Element says.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
const HEARTBEAT_MAX: Duration = Duration::from_mins(1);

/// The Host, as a member of its Element's pool.
pub(crate) struct Member {
    /// Who it is.
    pub(crate) node: NodeId,
    /// This start of its process.
    pub(crate) incarnation: Incarnation,
    pub(crate) data_dir: PathBuf,
    /// Whether the disk takes what has to be written.
    pub(crate) disk_watch: Arc<DiskWatch>,
    /// What should be.
    pub(crate) commands: Commands,
    /// How the Element's tickets are judged.
    pub(crate) trust: Trust,
    /// What it says of itself, whatever its goods are.
    pub(crate) profile: Profile,
    pub(crate) metrics: Metrics,
    /// Who came in at the door and stays: upgraded connections.
    pub(crate) visits: TaskTracker,
    /// Something in the description has changed.
    pub(crate) changed: Arc<Notify>,
    /// `HOST:PORT` of the Element's door, and who has to be there.
    pub(crate) element: (Vec<String>, Expected),
    pub(crate) tls: ClientTls,
    pub(crate) identity: Arc<IdentityCell>,
    pub(super) revocations: Revocations,
    /// How programs come, if not by dialling.
    pub(super) relay: Option<Relay>,
    /// The stream that stands, if one does.
    pub(super) link: watch::Sender<Option<Peer>>,
    pub(super) heartbeat_ms: AtomicU64,
}

impl Member {
    pub(super) const fn heartbeat_default() -> AtomicU64 {
        AtomicU64::new(HEARTBEAT_DEFAULT_MS)
    }

    /// Follows the stream to the Element: absent while none stands.
    pub(crate) fn link(&self) -> watch::Receiver<Option<Peer>> {
        self.link.subscribe()
    }

    /// The stream that stands, if one does.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.link.borrow().clone()
    }

    /// Whether programs reach the Host through its Element alone.
    pub(crate) const fn is_relayed(&self) -> bool {
        self.relay.is_some()
    }

    /// Why nobody can come, if that is so.
    pub(crate) fn unreachable(&self) -> Option<&'static str> {
        let relay = self.relay.as_ref()?;
        (!relay.is_served()).then_some(relay::UNSERVED)
    }

    /// A stopped Host is draining until it is idle; one that nobody can reach is
    /// as good as stopped.
    pub(crate) fn serving_state(&self, is_idle: bool) -> ServingState {
        let desired = if self.unreachable().is_none() {
            self.commands.host().desired
        } else {
            Desired::Closed
        };
        profile::serving_state(desired, is_idle)
    }

    /// For how long a State that is observed now is a fact.
    pub(crate) fn validity(&self) -> Seconds {
        profile::validity(self.heartbeat())
    }

    /// Where a part of its goods keeps what it has.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }

    /// Between two heartbeats.
    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.load(Ordering::Relaxed))
    }

    /// Takes the interval that the Element wants.
    pub(super) fn on_heartbeat_interval(&self, seconds: u32) {
        let interval = Duration::from_secs(u64::from(seconds)).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        self.heartbeat_ms.store(
            u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Waits until the stream's welcome is applied: what the Element asks may
    /// overtake it.
    pub(crate) async fn welcomed(&self) -> Result<(), Problem> {
        let mut link = self.link();
        let standing = link.wait_for(|peer| peer.as_ref().is_some_and(|peer| !peer.is_closed()));
        match tokio::time::timeout(super::comm::HELLO_TIME_MAX, standing).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Problem::new(
                Code::Unavailable,
                "The Host has not been welcomed by its Element yet.",
            )),
        }
    }

    /// The stream is over.
    pub(super) fn forget(&self, peer: &Peer) {
        self.link.send_if_modified(|present| {
            let is_this = present
                .as_ref()
                .is_some_and(|present| present.is_same(peer));
            if is_this {
                *present = None;
            }
            is_this
        });
    }
}
