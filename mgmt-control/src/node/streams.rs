//! The Elements' control streams that stand now: one per Element.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    id::{NodeId, RequestId},
    problem::{Code, Problem},
    wire::Request,
};
use parking_lot::Mutex;

use crate::catalogue::observed::StreamNumber;

/// The streams by Element.
#[derive(Default)]
pub struct Streams {
    standing: Mutex<HashMap<NodeId, (StreamNumber, Peer)>>,
    last: AtomicU64,
}

impl Streams {
    /// Numbers a new stream.
    pub fn number(&self) -> StreamNumber {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes a stream whose hello was good; gives the older one of the same
    /// Element.
    pub fn put(&self, element: NodeId, number: StreamNumber, peer: Peer) -> Option<Peer> {
        let older = self.standing.lock().insert(element, (number, peer));
        older.map(|(_, older)| older)
    }

    /// Forgets a stream that has ended, unless a newer one took its place.
    pub fn remove(&self, element: NodeId, number: StreamNumber) {
        let mut standing = self.standing.lock();
        if standing
            .get(&element)
            .is_some_and(|(present, _)| *present == number)
        {
            standing.remove(&element);
        }
    }

    /// Closes the stream of an Element.
    pub fn close(&self, element: NodeId) {
        let stream = self.standing.lock().get(&element).cloned();
        if let Some((_, peer)) = stream {
            peer.close();
        }
    }

    /// Closes all streams.
    pub fn close_all(&self) {
        for (_, peer) in self.connected() {
            peer.close();
        }
    }

    /// The streams that stand, by Element.
    pub fn connected(&self) -> Vec<(NodeId, Peer)> {
        let standing = self.standing.lock();
        let mut all: Vec<_> = standing
            .iter()
            .map(|(id, (_, peer))| (*id, peer.clone()))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.standing.lock().len()
    }

    /// Asks one Element; `name` is for the refusal if it is away.
    pub async fn ask<R: Request>(
        &self,
        element: NodeId,
        name: &str,
        request: &R,
        on_behalf: Option<RequestId>,
        deadline: Duration,
    ) -> Result<R::Answer, Problem> {
        let peer = self
            .standing
            .lock()
            .get(&element)
            .map(|(_, peer)| peer.clone());
        let peer = peer.ok_or_else(|| {
            Problem::new(
                Code::ElementDown,
                format!("The Element {name} is away: it has no stream to the controller."),
            )
        })?;
        speaking_for(&peer, on_behalf).ask(request, deadline).await
    }

    /// Asks all Elements at once; each answers or fails by itself.
    pub async fn ask_all<R: Request>(
        &self,
        request: &R,
        on_behalf: Option<RequestId>,
        deadline: Duration,
    ) -> Vec<(NodeId, Result<R::Answer, Problem>)> {
        let asked = self.connected().into_iter().map(|(id, peer)| async move {
            (
                id,
                speaking_for(&peer, on_behalf).ask(request, deadline).await,
            )
        });
        join_all(asked).await
    }
}

fn speaking_for(peer: &Peer, request: Option<RequestId>) -> Peer {
    request.map_or_else(|| peer.clone(), |request| peer.with_request_id(request))
}
