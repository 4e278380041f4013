//! Streams that stand now: to the controller, to Hosts.

use std::collections::HashMap;

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
};
use parking_lot::RwLock;
use tokio::sync::{Notify, futures::Notified};

/// The streams of an Element.
#[derive(Default)]
pub(crate) struct Links {
    controller: RwLock<Option<Peer>>,
    hosts: RwLock<HashMap<NodeId, (Peer, Incarnation)>>,
    change: Notify,
}

impl Links {
    /// Waits for the next stream that begins.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.change.notified()
    }

    pub(crate) fn controller(&self) -> Option<Peer> {
        self.controller
            .read()
            .clone()
            .filter(|peer| !peer.is_closed())
    }

    pub(crate) fn require_controller(&self) -> Result<Peer, Problem> {
        self.controller().ok_or_else(|| {
            Problem::new(
                Code::Unavailable,
                "The controller cannot be reached by this Element at present.",
            )
        })
    }

    pub(crate) fn set_controller(&self, peer: Peer) {
        *self.controller.write() = Some(peer);
        self.change.notify_waiters();
    }

    /// Whether this is the stream to the controller that stands now.
    pub(crate) fn is_controller(&self, peer: &Peer) -> bool {
        self.controller().is_some_and(|there| there.is_same(peer))
    }

    pub(crate) fn host(&self, id: NodeId) -> Option<Peer> {
        self.host_link(id).map(|(peer, _)| peer)
    }

    /// A Host's stream, and the start of the Host that it belongs to.
    pub(crate) fn host_link(&self, id: NodeId) -> Option<(Peer, Incarnation)> {
        self.hosts
            .read()
            .get(&id)
            .filter(|(peer, _)| !peer.is_closed())
            .cloned()
    }

    pub(crate) fn hosts(&self) -> Vec<(NodeId, Peer)> {
        self.hosts
            .read()
            .iter()
            .map(|(id, (peer, _))| (*id, peer.clone()))
            .collect()
    }

    pub(crate) fn host_incarnation(&self, id: NodeId) -> Option<Incarnation> {
        self.hosts
            .read()
            .get(&id)
            .map(|(_, incarnation)| *incarnation)
    }

    /// Takes a Host's stream. Gives the one that it succeeds, and the start of
    /// the Host that this belongs to.
    pub(crate) fn set_host(
        &self,
        id: NodeId,
        peer: &Peer,
        incarnation: Incarnation,
    ) -> Option<(Peer, Incarnation)> {
        let older = self.hosts.write().insert(id, (peer.clone(), incarnation));
        self.change.notify_waiters();
        older
    }

    /// Forgets a Host's stream; false if another one has taken its place.
    pub(crate) fn remove_host(&self, id: NodeId, peer: &Peer) -> bool {
        let mut hosts = self.hosts.write();
        let own = hosts.get(&id).is_some_and(|(there, _)| there.is_same(peer));
        if own {
            hosts.remove(&id);
        }
        own
    }

    /// Ends the streams that Hosts have dialled.
    pub(crate) fn close_hosts(&self) {
        for (peer, _) in self.hosts.read().values() {
            peer.close();
        }
    }
}
