//! An Element's log, and Hosts in memory.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use gridmart_schemas::{id::NodeId, wire::desired::ElementDesired};
use parking_lot::Mutex;

use super::super::{
    hosts::LogHosts,
    members::{Followed, Members, first_members},
    snapshots::{Bounds, Snapshots},
};
use crate::storage::{
    metadata::{
        FanOut, Loss, Membership, Readers, RebuildError, Rebuilt, Replica, Writer, WriterMark,
        WriterThread, open_writer, rebuild, recover, tests::sim_replica::SimReplica,
    },
    pool::Pool,
    scene::arrive,
};

/// Hosts in memory, and the pool that knows them.
#[derive(Clone, Default)]
pub(super) struct Hosts {
    pub(super) pool: Arc<Mutex<Pool>>,
    replicas: Arc<Mutex<HashMap<NodeId, Arc<SimReplica>>>>,
    order: Vec<NodeId>,
    revoked: Vec<NodeId>,
}

impl Hosts {
    pub(super) fn of(count: usize) -> Self {
        let mut hosts = Self::default();
        for _ in 0..count {
            hosts.join();
        }
        hosts
    }

    /// One more.
    pub(super) fn join(&mut self) -> NodeId {
        let id = NodeId::generate();
        self.replicas.lock().insert(id, SimReplica::new(id));
        self.order.push(id);
        self.back(id);
        id
    }

    /// All, revoked ones as well.
    pub(super) fn ids(&self) -> &[NodeId] {
        &self.order
    }

    pub(super) fn replica(&self, id: NodeId) -> Arc<SimReplica> {
        Arc::clone(&self.replicas.lock()[&id])
    }

    pub(super) fn away(&self, id: NodeId) {
        self.replica(id).away(true);
        self.pool.lock().on_host_lost(id);
    }

    pub(super) fn back(&self, id: NodeId) {
        self.replica(id).away(false);
        let room = (1_000, 0, 0);
        arrive(&mut self.pool.lock(), id, room, std::time::Instant::now());
    }

    pub(super) fn revoke(&mut self, id: NodeId) {
        self.replica(id).away(true);
        self.revoked.push(id);
        let desired = ElementDesired {
            revoked: self.revoked.clone(),
            ..ElementDesired::default()
        };
        self.pool.lock().on_desired(&desired);
    }

    pub(super) fn is_revoked(&self, id: NodeId) -> bool {
        self.revoked.contains(&id)
    }

    pub(super) fn log_hosts(&self) -> LogHosts {
        let replicas = Arc::clone(&self.replicas);
        LogHosts {
            pool: Arc::clone(&self.pool),
            replica: Arc::new(move |id| Arc::clone(&replicas.lock()[&id]) as Arc<dyn Replica>),
        }
    }

    /// Those that a rebuild may ask.
    pub(super) fn asked(&self) -> Vec<Arc<dyn Replica>> {
        let asked = self.order.iter().filter(|id| !self.is_revoked(**id));
        asked
            .map(|id| self.replica(*id) as Arc<dyn Replica>)
            .collect()
    }

    pub(super) fn rebuild(&self, path: &std::path::Path) -> Result<Rebuilt, RebuildError> {
        rebuild(path, &self.asked(), Loss::Refuse, WriterMark::random())
    }
}

/// A log that runs.
pub(super) struct Running {
    pub(super) writer: Writer,
    pub(super) members: Arc<Members>,
    pub(super) fan_out: Arc<FanOut>,
    hosts: LogHosts,
    path: PathBuf,
    thread: Option<WriterThread>,
}

impl Running {
    /// Starts the log of a store, or the first one.
    pub(super) async fn start(path: PathBuf, hosts: &Hosts, patience: Duration) -> Self {
        let log_hosts = hosts.log_hosts();
        let mut connection = open_writer(&path).unwrap();
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        let membership = Membership::read(&connection).unwrap();
        let replicas = log_hosts.replicas(&membership.hosts());
        let mark = WriterMark::random();
        let recovered = recover(&mut connection, &replicas, mark).unwrap();
        let membership = Membership::read(&connection).unwrap();
        let readers = Readers::open(&path, 4).unwrap();
        let fan_out = Arc::new(FanOut::new(readers.clone(), Duration::from_secs(10)));
        fan_out.members_set(log_hosts.replicas(&membership.hosts()), membership.clone());
        let shared = Arc::clone(&fan_out);
        let (writer, thread) = Writer::start(connection, &recovered, shared).unwrap();
        let is_new = membership.sets().is_empty();
        let members = Arc::new(Members::new(
            log_hosts.clone(),
            readers,
            Arc::clone(&fan_out),
            writer.clone(),
            membership,
            patience,
        ));
        if is_new {
            let first = first_members(&log_hosts).unwrap();
            members.begin(first).await.unwrap();
        } else {
            // Hosts that are away make it fail; it goes on with the next write.
            let _ = writer.assure().await;
        }
        Self {
            writer,
            members,
            fan_out,
            hosts: log_hosts,
            path,
            thread: Some(thread),
        }
    }

    /// Until the members are those that there should be.
    pub(super) async fn settle(&self) {
        for _ in 0..500 {
            if self.members.follow().await.unwrap() == Followed::Settled {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("they do not settle: {:?}", self.members.membership().await);
    }

    pub(super) fn snapshots(&self, bounds: Bounds) -> Snapshots {
        Snapshots {
            store: self.path.clone(),
            bounds,
            hosts: self.hosts.clone(),
            fan_out: Arc::clone(&self.fan_out),
            writer: self.writer.clone(),
            members: Arc::clone(&self.members),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            tokio::task::block_in_place(|| thread.stop());
        }
        let fan_out = Arc::clone(&self.fan_out);
        tokio::task::block_in_place(|| fan_out.members_set(Vec::new(), Membership::default()));
    }
}
