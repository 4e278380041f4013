//! The ways to Hosts, and the tickets for what is on its way.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_fabric::{
    block::{BlockClient, BlockHosts, ClientLimits, EncodedBlock},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        block::{BlockRead, BlockStored},
        storage::HostDoor,
    },
};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::plane::is_of_ticket;

/// Hosts to which connections are kept.
const HOSTS_MAX: usize = 1024;
/// A transfer in which nothing moves for so long is given up.
const PROGRESS: Duration = Duration::from_secs(15);
/// Whoever has not answered is asked last for so long.
const AWAY: Duration = Duration::from_secs(20);
/// Meanwhile it has so long to take a block: another one takes its place sooner
/// than a Host that merely syncs slowly is given up.
const AWAY_PATIENCE: Duration = Duration::from_secs(5);

/// The connections to Hosts that all transfers of a client share.
pub(super) struct HostClients {
    tls: ClientTls,
    known: Mutex<HashMap<NodeId, Known>>,
}

struct Known {
    endpoints: Vec<String>,
    client: BlockClient,
    away_until: Option<Instant>,
}

impl HostClients {
    pub(super) fn new(tls: ClientTls) -> Self {
        Self {
            tls,
            known: Mutex::default(),
        }
    }

    fn client(&self, host: NodeId, door: &HostDoor) -> BlockClient {
        let mut known = self.known.lock();
        if let Some(known) = known.get(&host)
            && known.endpoints == door.endpoints
        {
            return known.client.clone();
        }
        if known.len() >= HOSTS_MAX {
            // Whoever uses one of them goes on with it.
            known.clear();
        }
        let limits = ClientLimits {
            progress: PROGRESS,
            ..ClientLimits::default()
        };
        let expected = (host, NodeKind::StorageHost);
        let client = BlockClient::new(door.endpoints.clone(), expected, self.tls.clone(), limits);
        known.insert(
            host,
            Known {
                endpoints: door.endpoints.clone(),
                client: client.clone(),
                away_until: None,
            },
        );
        client
    }

    /// Whether it has answered when it was asked last, not long ago.
    pub(super) fn is_away(&self, host: NodeId) -> bool {
        let known = self.known.lock();
        let until = known.get(&host).and_then(|known| known.away_until);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// It does not answer.
    pub(super) fn set_away(&self, host: NodeId) {
        if let Some(known) = self.known.lock().get_mut(&host) {
            known.away_until = Some(Instant::now() + AWAY);
        }
    }
}

/// The Hosts that an Element has named for some stripes of one version.
pub(super) struct Doors<'a> {
    clients: &'a HostClients,
    ways: Mutex<BTreeMap<NodeId, HostDoor>>,
    receipts: Mutex<Vec<String>>,
    ticket_refused: AtomicBool,
}

impl<'a> Doors<'a> {
    pub(super) fn new(clients: &'a HostClients, doors: &Arc<BTreeMap<NodeId, HostDoor>>) -> Self {
        Self {
            clients,
            ways: Mutex::new((**doors).clone()),
            receipts: Mutex::default(),
            ticket_refused: AtomicBool::new(false),
        }
    }

    /// The Element names one more.
    pub(super) fn add(&self, host: NodeId, door: HostDoor) {
        self.ways.lock().insert(host, door);
    }

    /// What Hosts have signed.
    pub(super) fn into_receipts(self) -> Vec<String> {
        self.receipts.into_inner()
    }

    /// Whether a Host does not take its ticket: others would not either.
    pub(super) fn is_ticket_refused(&self) -> bool {
        self.ticket_refused.load(Ordering::Relaxed)
    }

    fn door(&self, host: NodeId) -> Result<(BlockClient, String), Problem> {
        let door = self.ways.lock().get(&host).cloned();
        let door = door.ok_or_else(|| {
            Problem::new(
                Code::HostDown,
                format!("The Element knows no way to the Host {host} now."),
            )
        })?;
        Ok((self.clients.client(host, &door), door.ticket))
    }

    fn on_problem(&self, host: NodeId, problem: &Problem) {
        let is_of_all = matches!(problem.code, Code::LimitExceeded | Code::Terminated);
        if is_of_ticket(problem.code) || is_of_all {
            self.ticket_refused.store(true, Ordering::Relaxed);
        } else if matches!(
            problem.code,
            Code::HostDown | Code::Unavailable | Code::TimedOut
        ) {
            self.clients.set_away(host);
        }
    }

    async fn put_one(&self, host: NodeId, block: EncodedBlock) -> Result<(), Problem> {
        let (client, ticket) = self.door(host)?;
        let stored = client.put(Some(&ticket), &[block]).await?;
        if let Some(BlockStored::Refused { problem, .. }) = stored.blocks.into_iter().next() {
            return Err(problem);
        }
        let receipt = stored.receipt.ok_or_else(|| {
            Problem::new(
                Code::Internal,
                "The Host has stored a block and has signed nothing.",
            )
        })?;
        self.receipts.lock().push(receipt);
        Ok(())
    }

    async fn read_all(
        &self,
        host: NodeId,
        reads: &[BlockRead],
    ) -> Result<Vec<(BlockRead, Result<Bytes, Problem>)>, Problem> {
        let (client, ticket) = self.door(host)?;
        let mut answers = client.read(Some(&ticket), reads.to_vec()).await?;
        let mut told = Vec::with_capacity(reads.len());
        while let Some(answer) = answers.next().await {
            told.push(answer);
        }
        Ok(told)
    }
}

impl BlockHosts for Doors<'_> {
    async fn put(&self, host: NodeId, block: EncodedBlock) -> Result<(), Problem> {
        let put = if self.clients.is_away(host) {
            let late = |_| {
                Err(Problem::new(
                    Code::HostDown,
                    format!("The Host {host} does not answer."),
                ))
            };
            let putting = timeout(AWAY_PATIENCE, self.put_one(host, block));
            putting.await.unwrap_or_else(late)
        } else {
            self.put_one(host, block).await
        };
        put.inspect_err(|problem| self.on_problem(host, problem))
    }

    async fn read(
        &self,
        host: NodeId,
        reads: Vec<BlockRead>,
    ) -> Vec<(BlockRead, Result<Bytes, Problem>)> {
        match self.read_all(host, &reads).await {
            Ok(told) => told,
            Err(problem) => {
                self.on_problem(host, &problem);
                let refused = |read| (read, Err(problem.clone()));
                reads.into_iter().map(refused).collect()
            }
        }
    }
}
