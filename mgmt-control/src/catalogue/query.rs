//! Reading: snapshots for whatever is decided, the store for long lists
//! (records of calls, audit log) that are not kept in memory.

use std::{sync::Arc, time::Instant};

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
};
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    Catalogue, Snapshot,
    node::Node,
    observed::{ElementObserved, HostObserved, Observed},
};
use crate::{failure::Failure, store::StoreError};

/// What people name.
const RESOURCE_KINDS: &[NodeKind] = &[
    NodeKind::ComputingElement,
    NodeKind::ComputeHost,
    NodeKind::StorageElement,
    NodeKind::StorageHost,
    NodeKind::DataElement,
    NodeKind::DataHost,
];

/// Everything that a decision looks at, at one moment.
#[derive(Clone)]
pub struct View {
    /// What is recorded.
    pub catalogue: Arc<Snapshot>,
    /// What was heard.
    pub observed: Arc<Observed>,
    /// The moment, by the controller's monotonic clock.
    pub now: Instant,
}

impl Catalogue {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Snapshot and observations of this moment.
    pub fn view(&self) -> View {
        View {
            catalogue: self.snapshot(),
            observed: self.observed.load(),
            now: Instant::now(),
        }
    }

    /// Wakes whenever a new snapshot is shown.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Reads from the store in a blocking task.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || query(&reader.lock()));
        read.await
            .map_err(|error| Failure::internal("reading the store", &error))?
            .map_err(Failure::from)
    }
}

impl View {
    /// Finds an Element or Host by id, by the beginning of its id, or by name.
    pub fn resource(&self, text: &str) -> Result<Arc<Node>, Problem> {
        self.resource_of(text, RESOURCE_KINDS)
    }

    /// The same, among some kinds only.
    pub fn resource_of(&self, text: &str, kinds: &[NodeKind]) -> Result<Arc<Node>, Problem> {
        let nodes = || {
            self.catalogue
                .nodes
                .values()
                .filter(|node| kinds.contains(&node.kind))
        };
        if let Ok(id) = text.parse::<NodeId>() {
            let node = self.catalogue.nodes.get(&id);
            return node
                .filter(|node| kinds.contains(&node.kind))
                .cloned()
                .ok_or_else(|| unknown(text));
        }
        // A name that a live node bears wins over those of revoked ones.
        let named: Vec<_> = nodes().filter(|node| node.name == text).collect();
        let live: Vec<_> = named.iter().copied().filter(|node| !node.revoked).collect();
        let by_name = if live.is_empty() { named } else { live };
        let found = if by_name.is_empty() && is_id_prefix(text) {
            nodes()
                .filter(|node| node.id.to_string().starts_with(text))
                .collect()
        } else {
            by_name
        };
        match found.as_slice() {
            [] => Err(unknown(text)),
            [node] => Ok(Arc::clone(node)),
            several => Err(ambiguous(text, several)),
        }
    }

    /// What was heard of an Element; `None`: nothing since the start.
    pub fn element_observed(&self, id: NodeId) -> Option<&Arc<ElementObserved>> {
        self.observed.elements.get(&id)
    }

    /// What was heard of a Host; `None`: nothing since the start.
    pub fn host_observed(&self, id: NodeId) -> Option<&Arc<HostObserved>> {
        self.observed.hosts.get(&id)
    }

    /// The name of a node, or its id.
    pub fn name_of(&self, id: NodeId) -> String {
        self.catalogue
            .nodes
            .get(&id)
            .map_or_else(|| id.to_string(), |node| node.name.clone())
    }
}

/// Four characters at least: fewer are ambiguous sooner or later.
fn is_id_prefix(text: &str) -> bool {
    text.len() >= 4
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn unknown(text: &str) -> Problem {
    let shown: String = text.chars().take(80).collect();
    Problem::new(
        Code::NotFound,
        format!("There is no Element or Host {shown:?}."),
    )
}

fn ambiguous(text: &str, several: &[&Arc<Node>]) -> Problem {
    /// Enough to choose from.
    const SHOWN: usize = 8;
    let ids: Vec<String> = several
        .iter()
        .take(SHOWN)
        .map(|node| node.id.to_string())
        .collect();
    Problem::new(
        Code::InvalidRequest,
        format!(
            "{text:?} means several resources: {}. Give more of the id.",
            ids.join(", ")
        ),
    )
}
