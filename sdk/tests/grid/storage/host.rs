//! A storage Host: keeps blocks in memory, and gives them to who has a ticket.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture, stream};
use gridmart_fabric::{
    block::{BlockAssembler, CHUNK_BYTES, EncodedBlock, FrameKind, frame_header},
    door::{
        BodyPieces, Request, Response, Service, json_body, json_response, problem_response,
        stream_response, ticket_shown,
    },
    identity::PeerIdentity,
};
use gridmart_sdk::schemas::{
    id::{BlockId, Incarnation, NodeId, VersionId},
    problem::{Code, Problem},
    role::NodeKind,
    storage::BlockRoot,
    wire::{
        block::{BODY_BYTES_MAX, BlockRead, BlockStored, BlocksStored, JSON_BYTES_MAX},
        storage::HostDoor,
    },
};
use http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{host::Gate, nodes::Site};

/// What a Host signs, in this simulation in the open.
#[derive(Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) host: NodeId,
    pub(crate) version: VersionId,
    pub(crate) id: BlockId,
    pub(crate) root: BlockRoot,
}

pub(crate) struct Shelf {
    pub(crate) id: NodeId,
    address: SocketAddr,
    door: CancellationToken,
    blocks: Mutex<HashMap<BlockId, EncodedBlock>>,
    /// Refuses to write.
    pub(crate) full: AtomicBool,
    /// Takes no ticket with a smaller number.
    pub(crate) tickets_from: AtomicU64,
    /// Gives other bytes than it was given.
    damaged: Mutex<BTreeSet<BlockId>>,
    /// Writes nothing until it is opened.
    pub(crate) gate: Gate,
    pub(crate) puts: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
}

impl Shelf {
    pub(crate) async fn start(site: &Site) -> Arc<Self> {
        let id = NodeId::generate();
        let door = CancellationToken::new();
        let kind = NodeKind::StorageHost;
        let visits = Arc::new(Visits(Mutex::default()));
        let service: Arc<dyn Service> = Arc::clone(&visits) as Arc<dyn Service>;
        let address = site
            .door(id, kind, "127.0.0.1:0", service, door.clone())
            .await;
        let shelf = Arc::new(Self {
            id,
            address,
            door,
            blocks: Mutex::default(),
            full: AtomicBool::new(false),
            tickets_from: AtomicU64::new(0),
            damaged: Mutex::default(),
            gate: Gate::default(),
            puts: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
        });
        *visits.0.lock() = Some(Arc::clone(&shelf));
        shelf
    }

    pub(crate) fn way(&self, operation: &str, version: VersionId, number: u64) -> HostDoor {
        HostDoor {
            name: "shelf".to_owned(),
            endpoints: vec![self.address.to_string()],
            ticket: format!("{operation}:{version}:{number}"),
        }
    }

    /// It goes, and does not come back.
    pub(crate) fn stop(&self) {
        self.door.cancel();
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.door.is_cancelled()
    }

    pub(crate) fn has(&self, id: BlockId, root: &BlockRoot) -> bool {
        let blocks = self.blocks.lock();
        blocks
            .get(&id)
            .is_some_and(|block| block.prefix().root() == root)
    }

    /// Damages all that it has now; tells how many blocks.
    pub(crate) fn damage(&self) -> usize {
        let ids = self.blocks.lock().keys().copied().collect::<BTreeSet<_>>();
        *self.damaged.lock() = ids;
        self.damaged.lock().len()
    }

    /// Loses all that it has now.
    pub(crate) fn lose(&self) {
        self.blocks.lock().clear();
    }

    fn admit(&self, request: &Request, operation: &str) -> Result<VersionId, Problem> {
        let ticket = ticket_shown(request)?;
        let words: Vec<&str> = ticket.split(':').collect();
        let [permitted, version, number] = words[..] else {
            panic!("{ticket} is no ticket");
        };
        assert_eq!(permitted, operation);
        if number.parse::<u64>().unwrap() < self.tickets_from.load(Ordering::SeqCst) {
            return Err(Problem::new(Code::TicketExpired, "It has ended."));
        }
        Ok(version.parse().unwrap())
    }

    async fn answer(&self, request: Request) -> Result<Response, Problem> {
        match request.uri().path() {
            "/v1/blocks" => self.put(request).await,
            "/v1/blocks/read" => self.read(request).await,
            other => panic!("nobody asks for {other}"),
        }
    }

    async fn put(&self, request: Request) -> Result<Response, Problem> {
        let version = self.admit(&request, "put")?;
        if self.full.load(Ordering::SeqCst) {
            return Err(Problem::new(Code::StorageFailed, "The disk is full."));
        }
        let mut pieces = BodyPieces::new(request, BODY_BYTES_MAX as u64)?;
        let mut assembler = BlockAssembler::default();
        let mut came = Vec::new();
        while let Some(piece) = pieces.next().await? {
            assembler.push(piece);
            while let Some(block) = assembler.block()? {
                came.push(block);
            }
        }
        self.gate.pass().await;
        let [block] = &came[..] else {
            panic!("{} blocks in one request", came.len());
        };
        let header = block.prefix().header();
        assert_eq!(header.identity().version, version);
        let (id, root) = (header.id(), *block.prefix().root());
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.blocks.lock().insert(id, block.clone());
        let receipt = Receipt {
            host: self.id,
            version,
            id,
            root,
        };
        let stored = BlocksStored {
            host: self.id,
            incarnation: Incarnation::generate(),
            blocks: vec![BlockStored::Stored { id, root }],
            receipt: Some(serde_json::to_string(&receipt).unwrap()),
        };
        Ok(json_response(StatusCode::OK, &stored))
    }

    async fn read(&self, request: Request) -> Result<Response, Problem> {
        let version = self.admit(&request, "get")?;
        let reads: Vec<BlockRead> = json_body(request, JSON_BYTES_MAX).await?;
        let frames: Vec<_> = reads
            .iter()
            .flat_map(|read| self.frame(version, read))
            .map(Ok)
            .collect();
        Ok(stream_response(
            "application/octet-stream",
            stream::iter(frames),
        ))
    }

    fn frame(&self, version: VersionId, read: &BlockRead) -> Vec<Bytes> {
        let Some(block) = self.blocks.lock().get(&read.id).cloned() else {
            let problem = Problem::new(Code::NotFound, "It is not here.");
            let text = serde_json::to_vec(&problem).unwrap();
            let header = frame_header(FrameKind::Problem, text.len());
            return vec![Bytes::copy_from_slice(&header), text.into()];
        };
        let header = block.prefix().header();
        assert_eq!(header.identity().version, version);
        let (first, chunks) = (read.first_chunk as usize, read.chunks as usize);
        let begin = first * CHUNK_BYTES;
        let end = begin + header.range_bytes(first, chunks);
        let mut payload = block.payload()[begin..end].to_vec();
        if self.damaged.lock().contains(&read.id)
            && let Some(byte) = payload.first_mut()
        {
            *byte ^= 1;
        }
        self.bytes_read
            .fetch_add(payload.len() as u64, Ordering::SeqCst);
        let prefix = block.prefix().bytes().clone();
        let frame = frame_header(FrameKind::Block, prefix.len() + payload.len());
        vec![Bytes::copy_from_slice(&frame), prefix, payload.into()]
    }
}

/// Its door, which is opened before it is known where.
struct Visits(Mutex<Option<Arc<Shelf>>>);

impl Service for Visits {
    fn handle(&self, _: PeerIdentity, _: SocketAddr, request: Request) -> BoxFuture<'_, Response> {
        let visited = self.0.lock().clone().unwrap();
        async move {
            let answer = visited.answer(request).await;
            answer.unwrap_or_else(|problem| problem_response(&problem))
        }
        .boxed()
    }
}
