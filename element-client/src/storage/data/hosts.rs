//! The ways to the Hosts of the pool.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_fabric::{
    block::{BlockClient, BlockHosts, ClientLimits, EncodedBlock},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::{BlockId, Incarnation, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::block::{BLOCKS_MAX, BlockRead, BlocksListed},
};
use parking_lot::{Mutex, RwLock};

use super::lane::{Lane, REQUESTS_MAX};
use crate::storage::{
    placement::{Candidate, Standing},
    pool::Pool,
};

/// Reads at a time: as many as the Host serves its Element.
const READS_MAX: usize = 8;
/// A transfer in which nothing moves for so long is given up. A Host that syncs
/// slowly takes seconds; one that stands still is called down by its probe.
const PROGRESS: Duration = Duration::from_secs(15);

/// The Hosts, and the connections to them.
pub(crate) struct Hosts {
    pool: Arc<Mutex<Pool>>,
    tls: ClientTls,
    /// Those that the metadata know: only they get blocks.
    known: RwLock<HashSet<NodeId>>,
    /// Those that were removed from the metadata: they may keep blocks still.
    removed: RwLock<HashSet<NodeId>>,
    /// Those that are drained: they get none.
    leaving: RwLock<HashSet<NodeId>>,
    ways: Mutex<HashMap<NodeId, Way>>,
}

/// A way to one Host; replaced when its door moves.
#[derive(Clone)]
struct Way {
    endpoints: Vec<String>,
    reads: BlockClient,
    puts: Lane,
}

impl Hosts {
    pub(crate) fn new(pool: Arc<Mutex<Pool>>, tls: ClientTls) -> Self {
        Self {
            pool,
            tls,
            known: RwLock::default(),
            removed: RwLock::default(),
            leaving: RwLock::default(),
            ways: Mutex::default(),
        }
    }

    /// Takes over which Hosts the metadata know, and which of them they have
    /// removed.
    pub(crate) fn set_known(&self, known: HashSet<NodeId>, removed: HashSet<NodeId>) {
        *self.known.write() = known;
        *self.removed.write() = removed;
    }

    /// Takes over which Hosts are drained.
    pub(crate) fn set_leaving(&self, leaving: &[NodeId]) {
        *self.leaving.write() = leaving.iter().copied().collect();
    }

    /// Hosts of the pool that the metadata do not know yet.
    pub(crate) fn unknown(&self) -> Vec<NodeId> {
        let known = self.known.read();
        let pool = self.pool.lock();
        let hosts = pool.hosts().filter(|(_, host)| !host.revoked);
        let unknown = hosts.filter(|(id, _)| !known.contains(id));
        unknown.map(|(id, _)| id).collect()
    }

    /// All Hosts, as placement sees them now.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = self.pool.lock().candidates();
        let known = self.known.read();
        candidates.retain(|candidate| known.contains(&candidate.host));
        let leaving = self.leaving.read();
        for candidate in &mut candidates {
            if leaving.contains(&candidate.host) && candidate.standing == Standing::Open {
                candidate.standing = Standing::Closed;
            }
        }
        candidates
    }

    /// Whether blocks on it can be read now.
    pub(crate) fn is_readable(&self, host: NodeId) -> bool {
        let pool = self.pool.lock();
        pool.host(host)
            .is_some_and(|host| host.readable().is_some())
    }

    /// The Hosts that the metadata know or have removed, and that can be read
    /// now: their present start, and how many damaged blocks they tell of.
    pub(crate) fn told(&self) -> Vec<(NodeId, Incarnation, u64)> {
        let (known, removed) = (self.known.read(), self.removed.read());
        let pool = self.pool.lock();
        let told = pool.hosts().filter_map(|(id, host)| {
            let state = host.readable()?;
            Some((
                id,
                host.incarnation?,
                state.damaged_block_count.unwrap_or(0),
            ))
        });
        told.filter(|(id, ..)| known.contains(id) || removed.contains(id))
            .collect()
    }

    /// Deletes blocks; those that a Host could not delete are left to the
    /// collection.
    pub(crate) async fn delete(&self, blocks: BTreeMap<NodeId, Vec<BlockId>>) {
        for (host, ids) in blocks {
            let Ok(way) = self.way(host) else { continue };
            for ids in ids.chunks(BLOCKS_MAX) {
                if let Err(problem) = way.reads.delete(ids).await {
                    tracing::info!(%host, code = %problem.code, "blocks stay for the collection");
                    break;
                }
            }
        }
    }

    /// Hosts whose blocks are to be made anew, after so long a silence.
    pub(crate) fn given_up(&self, delay: Duration) -> Vec<NodeId> {
        self.pool.lock().given_up(delay, Instant::now())
    }

    /// Whether the pool has such a Host.
    pub(crate) fn has(&self, host: NodeId) -> bool {
        self.pool.lock().host(host).is_some()
    }

    /// Lists blocks on a Host in the order of their ids, those after one.
    pub(crate) async fn list(
        &self,
        host: NodeId,
        after: Option<BlockId>,
    ) -> Result<BlocksListed, Problem> {
        self.way(host)?.reads.list(after).await
    }

    fn way(&self, host: NodeId) -> Result<Way, Problem> {
        let endpoints = {
            let pool = self.pool.lock();
            let known = pool.host(host).filter(|host| !host.revoked);
            known.map(|host| host.endpoints.clone()).unwrap_or_default()
        };
        if endpoints.is_empty() {
            return Err(Problem::new(
                Code::HostDown,
                format!("Where the Host {host} is, is not known now."),
            ));
        }
        let mut ways = self.ways.lock();
        match ways.get(&host) {
            Some(way) if way.endpoints == endpoints => Ok(way.clone()),
            _ => {
                let way = self.open(host, endpoints);
                ways.insert(host, way.clone());
                Ok(way)
            }
        }
    }

    fn open(&self, host: NodeId, endpoints: Vec<String>) -> Way {
        let client = |connections| {
            BlockClient::new(
                endpoints.clone(),
                (host, NodeKind::StorageHost),
                self.tls.clone(),
                ClientLimits {
                    connections,
                    progress: PROGRESS,
                    ..ClientLimits::default()
                },
            )
        };
        Way {
            reads: client(READS_MAX),
            puts: Lane::start(client(REQUESTS_MAX)),
            endpoints,
        }
    }
}

impl BlockHosts for Hosts {
    async fn put(&self, host: NodeId, block: EncodedBlock) -> Result<(), Problem> {
        self.way(host)?.puts.put(block).await
    }

    async fn read(
        &self,
        host: NodeId,
        reads: Vec<BlockRead>,
    ) -> Vec<(BlockRead, Result<Bytes, Problem>)> {
        let asked = match self.way(host) {
            Ok(way) => way.reads.read(None, reads.clone()).await,
            Err(problem) => Err(problem),
        };
        let mut answers = match asked {
            Ok(answers) => answers,
            Err(problem) => {
                let refused = |read| (read, Err(problem.clone()));
                return reads.into_iter().map(refused).collect();
            }
        };
        let mut told = Vec::with_capacity(reads.len());
        while let Some(answer) = answers.next().await {
            told.push(answer);
        }
        told
    }
}
