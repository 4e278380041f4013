//! The pool as the log sees it.

use std::sync::Arc;

use gridmart_schemas::id::NodeId;
use parking_lot::Mutex;

use crate::storage::{metadata::Replica, pool::Pool};

/// The Hosts, and how the copies of the log on them are reached.
#[derive(Clone)]
pub(super) struct LogHosts {
    pub(super) pool: Arc<Mutex<Pool>>,
    pub(super) replica: Arc<dyn Fn(NodeId) -> Arc<dyn Replica> + Send + Sync>,
}

impl LogHosts {
    /// The copies on these Hosts.
    pub(super) fn replicas<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a NodeId>,
    ) -> Vec<Arc<dyn Replica>> {
        let hosts = hosts.into_iter();
        hosts.map(|host| (self.replica)(*host)).collect()
    }
}
