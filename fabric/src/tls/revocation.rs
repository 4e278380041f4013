//! Revoked nodes, shared by all doors and dials of a process.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gridmart_schemas::id::NodeId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Inner {
    revoked: HashSet<NodeId>,
    /// Ends the connections of a node. Only nodes with a certificate of ours
    /// get here, so the table is bounded by how many there are.
    live: HashMap<NodeId, CancellationToken>,
}

/// The set of revoked nodes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    inner: Arc<Mutex<Inner>>,
}

impl Revocations {
    /// Begins with nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses the node from now on and cuts its connections.
    pub fn revoke(&self, node: NodeId) {
        let mut inner = self.inner.lock();
        inner.revoked.insert(node);
        if let Some(live) = inner.live.remove(&node) {
            live.cancel();
        }
    }

    /// Refuses exactly these from now on and cuts their connections.
    pub fn replace(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let mut inner = self.inner.lock();
        inner.revoked = nodes.into_iter().collect();
        let Inner { revoked, live } = &mut *inner;
        for (_, connections) in live.extract_if(|node, _| revoked.contains(node)) {
            connections.cancel();
        }
    }

    /// Whether the node is revoked.
    pub fn contains(&self, node: NodeId) -> bool {
        self.inner.lock().revoked.contains(&node)
    }

    /// What ends a connection of that node; `None` if it may have none.
    pub(super) fn connection(&self, node: NodeId) -> Option<CancellationToken> {
        let mut inner = self.inner.lock();
        if inner.revoked.contains(&node) {
            return None;
        }
        Some(inner.live.entry(node).or_default().child_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoking_cuts_and_refuses() {
        let revocations = Revocations::new();
        let (bad, good) = (NodeId::generate(), NodeId::generate());
        let cut = revocations.connection(bad).unwrap();
        let kept = revocations.connection(good).unwrap();
        revocations.revoke(bad);
        assert!(cut.is_cancelled() && !kept.is_cancelled());
        assert!(revocations.contains(bad) && revocations.connection(bad).is_none());
        revocations.replace([good]);
        assert!(kept.is_cancelled());
        assert!(!revocations.contains(bad));
        assert!(!revocations.connection(bad).unwrap().is_cancelled());
    }
}
