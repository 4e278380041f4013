//! Streams of clients that stand now.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use gridmart_fabric::stream::Peer;
use parking_lot::RwLock;

use super::queue::entry::SessionId;

/// The clients of an Element.
#[derive(Default)]
pub(crate) struct Clients {
    peers: RwLock<HashMap<SessionId, Peer>>,
    next_session: AtomicU64,
}

impl Clients {
    pub(crate) fn new_session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn get(&self, session: SessionId) -> Option<Peer> {
        self.peers.read().get(&session).cloned()
    }

    pub(crate) fn set(&self, session: SessionId, peer: Peer) {
        self.peers.write().insert(session, peer);
    }

    pub(crate) fn remove(&self, session: SessionId) {
        self.peers.write().remove(&session);
    }

    /// Ends all their streams.
    pub(crate) fn close_all(&self) {
        for peer in self.peers.read().values() {
            peer.close();
        }
    }
}
