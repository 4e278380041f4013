//! What the Host tells its Element by itself: how it is with each heartbeat,
//! and what has changed shortly after it has.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    resource::enumeration::ServingState,
    wire::element_host::{HostChanged, HostHeartbeat},
};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{comm::Comm, renewal::renew_certificate};

/// Changes are gathered for a moment before they are told.
const CHANGE_PAUSE: Duration = Duration::from_millis(50);
/// How often a Host that drains looks whether it has.
const DRAIN_PAUSE: Duration = Duration::from_millis(500);

impl Comm {
    /// Tells the Element how the Host is, as long as a stream stands.
    pub(super) async fn tell_state(self: Arc<Self>, stop: CancellationToken) {
        let member = &self.member;
        let mut link = member.link();
        let mut sequence = 0;
        let mut renewal_due = Instant::now();
        loop {
            let peer = link
                .borrow_and_update()
                .clone()
                .filter(|peer| !peer.is_closed());
            let Some(peer) = peer else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = link.changed() => if changed.is_err() { return } else { continue },
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = peer.closed() => { member.forget(&peer); continue }
                _ = link.changed() => { sequence = 0; continue }
                () = tokio::time::sleep(member.heartbeat()) => {}
            }
            sequence += 1;
            self.look_at_disk().await;
            self.apply_unkept().await;
            self.beat(&peer, sequence).await;
            if renewal_due <= Instant::now() {
                renew_certificate(member, &peer).await;
                let identity = member.identity.current();
                let pause = identity.renewal_pause(OffsetDateTime::now_utc());
                renewal_due = Instant::now() + pause;
            }
        }
    }

    async fn beat(&self, peer: &Peer, sequence: u64) {
        let heartbeat = HostHeartbeat {
            sequence,
            state: self.goods.state(),
            leases: self.goods.leases(),
        };
        if let Err(problem) = peer.tell(&heartbeat).await {
            tracing::debug!(%problem, "a heartbeat did not leave");
        }
    }

    async fn look_at_disk(&self) {
        let watch = Arc::clone(&self.member.disk_watch);
        if watch.is_failing() {
            // It fails only by a panic, and then the next heartbeat tries again.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
    }

    /// Tells the Element what has changed, shortly after it has.
    pub(super) async fn tell_changes(self: Arc<Self>, stop: CancellationToken) {
        let mut served = self.serving_state();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.member.changed.notified() => {}
                () = self.member.disk_watch.changed.notified() => {}
                // A stopped Host ends to drain without anybody saying so.
                () = tokio::time::sleep(DRAIN_PAUSE), if served == ServingState::Draining => {
                    if self.serving_state() == served {
                        continue;
                    }
                }
            }
            tokio::time::sleep(CHANGE_PAUSE).await;
            served = self.serving_state();
            let Some(peer) = self.member.peer() else {
                continue;
            };
            let changed = HostChanged {
                host: self.goods.host(),
                deployments: self.goods.deployments(),
                generation: self.generation(),
            };
            if let Err(problem) = peer.tell(&changed).await {
                // The next hello tells all of it.
                tracing::debug!(%problem, "a change was not told");
            }
        }
    }

    fn serving_state(&self) -> ServingState {
        self.member.serving_state(self.goods.is_idle())
    }
}
