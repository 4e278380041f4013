//! Streams of clients that stand now.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_fabric::stream::Peer;
use parking_lot::{Mutex, RwLock};

use super::{
    queue::entry::SessionId,
    untold::{News, Untold},
};

/// One client.
pub(super) struct Client {
    /// Its stream.
    pub(super) peer: Peer,
    /// What its stream had no room for. Taken under the queue's lock, never the
    /// other way round.
    pub(super) untold: Mutex<Untold<News>>,
}

/// The clients of an Element.
#[derive(Default)]
pub(crate) struct Clients {
    clients: RwLock<HashMap<SessionId, Arc<Client>>>,
    next_session: AtomicU64,
}

impl Clients {
    pub(crate) fn new_session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn get(&self, session: SessionId) -> Option<Arc<Client>> {
        self.clients.read().get(&session).cloned()
    }

    pub(crate) fn set(&self, session: SessionId, peer: Peer) {
        let client = Client {
            peer,
            untold: Mutex::default(),
        };
        self.clients.write().insert(session, Arc::new(client));
    }

    pub(crate) fn remove(&self, session: SessionId) {
        self.clients.write().remove(&session);
    }

    /// Ends all their streams.
    pub(crate) fn close_all(&self) {
        for client in self.clients.read().values() {
            client.peer.close();
        }
    }
}
