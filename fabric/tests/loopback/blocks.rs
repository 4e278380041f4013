//! The block client against a small service behind a real door.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use gridmart_fabric::{
    block::{
        BlockAssembler, BlockClient, CHUNK_BYTES, ClientLimits, EncodedBlock, Fault, FrameKind,
        KnownStripe, StripeIdentity, StripeReader, build_stripe, frame_header,
    },
    door::{self, BodyPieces, Door, DoorLimits, Request, Response, Service},
    identity::{EphemeralKey, IdentityCell, PeerIdentity},
    ticket::{BlockClaims, BlockCut, BlockOperation, LIFE_MAX, SigningKey, Times, VerifyingKeys},
    tls::{ClientTls, Expected, Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{BlockId, BucketId, Incarnation, KeyHash, NodeId, StripeId, VersionId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::block::{BlockRead, BlockStored, BlocksDeleted, BlocksStored},
};
use http::StatusCode;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::common::{Grid, soon};

#[derive(Clone, Copy)]
enum End {
    Closed,
    Halted,
}

/// Keeps blocks in memory, for its own Element and for holders of a ticket.
struct Shelf {
    host: NodeId,
    keys: VerifyingKeys,
    blocks: Mutex<HashMap<BlockId, EncodedBlock>>,
    /// The most bytes of a put.
    body_bytes_max: Mutex<u64>,
    /// Connections that requests came on.
    remotes: Mutex<Vec<SocketAddr>>,
    requests: AtomicUsize,
    /// Each request needs one of these to be answered.
    pace: Semaphore,
    /// Requests on which the Host hangs up.
    hang_ups: AtomicUsize,
    /// Answers to reads end after so many bytes, or halt there for ever.
    cut: Mutex<Option<(usize, End)>>,
}

impl Shelf {
    async fn answer(&self, peer: &PeerIdentity, request: Request) -> Result<Response, Problem> {
        let claims = self.claims(peer, &request)?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/v1/blocks" => self.put(claims.as_ref(), request).await,
            "/v1/blocks/read" => self.read(request).await,
            "/v1/blocks/delete" => {
                let ids: Vec<BlockId> = door::json_body(request, 64 * 1024).await?;
                let mut blocks = self.blocks.lock();
                blocks.retain(|id, _| !ids.contains(id));
                let deleted = BlocksDeleted { refused: vec![] };
                Ok(door::json_response(StatusCode::OK, &deleted))
            }
            _ => Err(Problem::new(Code::NotFound, "There is nothing here.")),
        }
    }

    fn claims(
        &self,
        peer: &PeerIdentity,
        request: &Request,
    ) -> Result<Option<BlockClaims>, Problem> {
        if peer.require_any_node().is_ok() {
            return Ok(None);
        }
        let (ticket, key) = (door::ticket_shown(request)?, peer.require_key()?);
        let now = OffsetDateTime::now_utc();
        self.keys
            .verify_block(ticket, self.host, key, now)
            .map(Some)
    }

    async fn put(
        &self,
        claims: Option<&BlockClaims>,
        request: Request,
    ) -> Result<Response, Problem> {
        let mut body = BodyPieces::new(request, *self.body_bytes_max.lock())?;
        let mut assembler = BlockAssembler::default();
        let mut blocks = Vec::new();
        while let Some(piece) = body.next().await? {
            assembler.push(piece);
            while let Some(block) = assembler.block()? {
                let (id, header) = (block.prefix().header().id(), block.prefix().header());
                if let Some(claims) = claims {
                    claims.permit(BlockOperation::Put, id, header.identity().version)?;
                }
                blocks.push(BlockStored::Stored {
                    id,
                    root: *block.prefix().root(),
                });
                self.blocks.lock().insert(id, block);
            }
        }
        let stored = BlocksStored {
            host: self.host,
            incarnation: Incarnation::generate(),
            blocks,
            receipt: None,
        };
        Ok(door::json_response(StatusCode::OK, &stored))
    }

    async fn read(&self, request: Request) -> Result<Response, Problem> {
        let reads: Vec<BlockRead> = door::json_body(request, 64 * 1024).await?;
        let blocks = self.blocks.lock();
        let mut answer = Vec::new();
        for read in reads {
            let Some(block) = blocks.get(&read.id) else {
                let problem = Problem::new(Code::NotFound, "There is no such block here.");
                let problem = serde_json::to_vec(&problem).unwrap();
                answer.extend(frame_header(FrameKind::Problem, problem.len()));
                answer.extend(problem);
                continue;
            };
            let prefix = block.prefix();
            let (first, chunks) = (read.first_chunk as usize, read.chunks as usize);
            let length = prefix.header().range_bytes(first, chunks);
            let begin = first * CHUNK_BYTES;
            let whole = prefix.bytes().len() + length;
            answer.extend(frame_header(FrameKind::Block, whole));
            answer.extend_from_slice(prefix.bytes());
            answer.extend_from_slice(&block.payload()[begin..begin + length]);
        }
        let cut = *self.cut.lock();
        if let Some((bytes, _)) = cut {
            answer.truncate(bytes);
        }
        let rest = stream::pending().take_until(match cut {
            Some((_, End::Halted)) => std::future::pending().boxed(),
            _ => std::future::ready(()).boxed(),
        });
        let frame = Ok(Frame::data(Bytes::from(answer)));
        let body = StreamBody::new(stream::iter([frame]).chain(rest));
        Ok(Response::new(body.boxed_unsync()))
    }
}

impl Service for Shelf {
    fn handle(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        async move {
            self.remotes.lock().push(remote);
            let hang_up = |left: usize| left.checked_sub(1);
            let order = Ordering::SeqCst;
            if self.hang_ups.fetch_update(order, order, hang_up).is_ok() {
                // Ends the connection without an answer.
                std::panic::resume_unwind(Box::new("hung up"));
            }
            let _pace = self.pace.acquire().await.unwrap();
            self.answer(&peer, request)
                .await
                .unwrap_or_else(|problem| door::problem_response(&problem))
        }
        .boxed()
    }
}

/// A Host with a shelf, and its Element.
struct Site {
    grid: Grid,
    shelf: Arc<Shelf>,
    expected: Expected,
    endpoints: Vec<String>,
    element: SigningKey,
    element_tls: ClientTls,
}

impl Site {
    async fn open() -> Self {
        let grid = Grid::new();
        let element = grid.node(NodeKind::ComputingElement);
        let host = grid.node(NodeKind::ComputeHost);
        let signing = element.signing_key();
        let mut keys = VerifyingKeys::default();
        keys.insert(signing.issuer(), signing.spki_pem()).unwrap();
        let shelf = Arc::new(Shelf {
            host: host.node(),
            keys,
            blocks: Mutex::default(),
            body_bytes_max: Mutex::new(1 << 26),
            remotes: Mutex::default(),
            requests: AtomicUsize::new(0),
            pace: Semaphore::new(100),
            hang_ups: AtomicUsize::new(0),
            cut: Mutex::new(None),
        });
        let expected = (host.node(), NodeKind::ComputeHost);
        let tls = ServerTls::new(IdentityCell::new(host), Revocations::new()).unwrap();
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let door = Door::bind(listen, tls, DoorLimits::default())
            .await
            .unwrap();
        let endpoints = vec![door.local_addr().to_string()];
        tokio::spawn(door.serve(shelf.clone(), CancellationToken::new()));
        Self {
            element_tls: ClientTls::node(IdentityCell::new(element), Revocations::new()).unwrap(),
            element: signing,
            grid,
            shelf,
            expected,
            endpoints,
        }
    }

    fn client(&self) -> BlockClient {
        self.client_with(ClientLimits::default())
    }

    fn client_with(&self, limits: ClientLimits) -> BlockClient {
        let tls = self.element_tls.clone();
        BlockClient::new(self.endpoints.clone(), self.expected, tls, limits)
    }

    fn connections(&self) -> usize {
        let mut remotes = self.shelf.remotes.lock().clone();
        remotes.sort();
        remotes.dedup();
        remotes.len()
    }

    fn ticket(&self, presenter: &KeyHash, version: VersionId) -> String {
        let Times { nbf, iat, exp } = Times::starting(OffsetDateTime::now_utc(), LIFE_MAX);
        let claims = BlockClaims {
            iss: self.element.issuer(),
            sub: "alice".parse().unwrap(),
            aud: self.expected.0,
            presenter: presenter.clone(),
            version,
            transfer: None,
            operation: BlockOperation::Put,
            bytes: 1 << 30,
            cut: BlockCut::default(),
            nbf,
            iat,
            exp,
            jti: Uuid::now_v7(),
        };
        self.element.sign_block(&claims).unwrap()
    }
}

fn stripe(bytes: usize) -> (Bytes, StripeIdentity, Vec<EncodedBlock>) {
    let data: Bytes = (0..=250).cycle().take(bytes).collect::<Vec<u8>>().into();
    let identity = StripeIdentity {
        redundancy: "rs(4,2)".parse().unwrap(),
        bucket: BucketId::generate(),
        version: VersionId::generate(),
        stripe: StripeId::generate(),
        ordinal: 0,
        stripe_bytes: bytes as u64,
        epoch: 1,
    };
    let blocks = build_stripe(identity, &data).unwrap();
    (data, identity, blocks)
}

fn whole(block: &EncodedBlock) -> BlockRead {
    BlockRead {
        id: block.prefix().header().id(),
        first_chunk: 0,
        chunks: u32::try_from(block.prefix().header().chunks()).unwrap(),
    }
}

#[tokio::test]
async fn a_stripe_is_written_read_around_a_loss_and_deleted_on_one_connection() {
    let site = Site::open().await;
    let client = site.client();
    let (data, identity, blocks) = stripe(9_000_000);
    let stored = soon("a put", client.put(None, &blocks)).await.unwrap();
    assert_eq!((stored.host, stored.blocks.len()), (site.expected.0, 6));
    let lost = blocks[1].prefix().header().id();
    let deleted = soon("a delete", client.delete(&[lost])).await.unwrap();
    assert_eq!(deleted.refused, []);
    let roots = blocks.iter().map(|block| Some(*block.prefix().root()));
    let roots = roots.collect();
    let (length, redundancy) = (identity.stripe_bytes, identity.redundancy);
    let known = KnownStripe::new(identity.stripe, redundancy, length, roots).unwrap();
    let mut reader = StripeReader::new(known, 0..length, &[]);
    while !reader.is_complete() {
        let reads = reader.reads().unwrap();
        let mut answers = soon("a read", client.read(None, reads)).await.unwrap();
        while let Some((read, answer)) = soon("a block", answers.next()).await {
            match answer {
                Ok(bytes) => reader.on_block(&read, &bytes),
                Err(problem) => {
                    assert_eq!(problem.code, Code::NotFound);
                    reader.on_fault(read.id.position, Fault::Missing);
                }
            }
        }
    }
    let read = reader.finish().unwrap();
    assert_eq!(read.faults, [(1, Fault::Missing)]);
    assert_eq!(read.pieces.concat(), data);
    assert_eq!(site.connections(), 1);
}

#[tokio::test]
async fn programs_show_a_ticket_for_the_object_version() {
    let site = Site::open().await;
    let key = EphemeralKey::generate().unwrap();
    let tls = ClientTls::ephemeral(site.grid.authority.root_pem(), &key).unwrap();
    let limits = ClientLimits::default();
    let client = BlockClient::new(site.endpoints.clone(), site.expected, tls, limits);
    let (_, identity, blocks) = stripe(1000);
    let ticket = site.ticket(key.key_hash(), identity.version);
    let put = |ticket| {
        let (client, blocks) = (client.clone(), blocks.clone());
        async move {
            soon("a put", client.put(ticket, &blocks))
                .await
                .map_err(|problem| problem.code)
        }
    };
    assert!(put(Some(&ticket)).await.is_ok());
    assert_eq!(put(None).await, Err(Code::Unauthenticated));
    let other = EphemeralKey::generate().unwrap();
    let stolen = site.ticket(other.key_hash(), identity.version);
    assert_eq!(put(Some(&stolen)).await, Err(Code::TicketKeyMismatch));
    let foreign = site.ticket(key.key_hash(), VersionId::generate());
    assert_eq!(put(Some(&foreign)).await, Err(Code::TicketForeign));
}

#[tokio::test]
async fn no_more_connections_than_stated_are_used() {
    let site = Site::open().await;
    let limits = ClientLimits {
        connections: 2,
        ..ClientLimits::default()
    };
    let client = site.client_with(limits);
    let (_, _, blocks) = stripe(1000);
    let puts = (0..10).map(|_| client.put(None, &blocks));
    for put in soon("puts", futures_util::future::join_all(puts)).await {
        put.unwrap();
    }
    assert_eq!(site.shelf.requests.load(Ordering::SeqCst), 10);
    assert!(site.connections() <= 2, "{}", site.connections());
}

#[tokio::test]
async fn who_waits_for_a_connection_or_an_answer_does_not_wait_for_ever() {
    let site = Site::open().await;
    let limits = ClientLimits {
        connections: 1,
        place: Duration::from_millis(20),
        progress: Duration::from_secs(1),
        ..ClientLimits::default()
    };
    let client = site.client_with(limits);
    let (_, _, blocks) = stripe(1000);
    let all = site.shelf.pace.acquire_many(100).await.unwrap();
    let (first, second) = soon("refusals", async {
        tokio::join!(client.put(None, &blocks), client.put(None, &blocks))
    })
    .await;
    assert_eq!(first.unwrap_err().code, Code::TimedOut);
    assert_eq!(second.unwrap_err().code, Code::Busy);
    drop(all);
    soon("a put", client.put(None, &blocks)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_died_while_it_idled_is_not_the_end() {
    let site = Site::open().await;
    let client = site.client();
    let (_, _, blocks) = stripe(1000);
    let put = || async {
        soon("a put", client.put(None, &blocks))
            .await
            .map(|_| ())
            .map_err(|problem| problem.code)
    };
    let hang_ups = |count| site.shelf.hang_ups.store(count, Ordering::SeqCst);
    // A new connection that fails is told.
    hang_ups(1);
    assert_eq!(put().await, Err(Code::Unavailable));
    assert_eq!(put().await, Ok(()));
    assert_eq!(site.connections(), 2);
    hang_ups(1);
    assert_eq!(put().await, Ok(()));
    assert_eq!(site.connections(), 3);
    // Once is enough.
    hang_ups(2);
    assert_eq!(put().await, Err(Code::Unavailable));
    assert_eq!(site.connections(), 4);
}

/// What each of six reads is answered with, when the answer comes to its `end`
/// within the second.
async fn broken_answers(end: End) -> Vec<Result<(), Code>> {
    let site = Site::open().await;
    let limits = ClientLimits {
        progress: Duration::from_secs(1),
        ..ClientLimits::default()
    };
    let client = site.client_with(limits);
    let (_, _, blocks) = stripe(400_000);
    soon("a put", client.put(None, &blocks)).await.unwrap();
    let one = blocks[0].prefix().header().encoded_bytes();
    *site.shelf.cut.lock() = Some((one + one / 2, end));
    let reads: Vec<BlockRead> = blocks.iter().map(whole).collect();
    let mut answers = soon("a read", client.read(None, reads)).await.unwrap();
    let mut codes = Vec::new();
    while let Some((_, answer)) = soon("an answer", answers.next()).await {
        codes.push(answer.map(|_| ()).map_err(|problem| problem.code));
    }
    codes
}

#[tokio::test]
async fn each_read_has_an_answer_when_the_transfer_breaks_or_halts() {
    let closed = broken_answers(End::Closed).await;
    assert_eq!(closed[0], Ok(()));
    assert_eq!(closed[1..], [Err(Code::Unavailable); 5]);
    let halted = broken_answers(End::Halted).await;
    assert_eq!(halted[0], Ok(()));
    assert_eq!(halted[1..], [Err(Code::TimedOut); 5]);
}

#[tokio::test]
async fn who_sends_more_than_the_door_takes_hears_why() {
    let site = Site::open().await;
    let client = site.client();
    let (_, _, blocks) = stripe(1000);
    *site.shelf.body_bytes_max.lock() = 1000;
    let refused = soon("a put", client.put(None, &blocks)).await;
    assert_eq!(refused.unwrap_err().code, Code::TooLarge);
    soon("a put", client.put(None, &blocks[..1])).await.unwrap();
}

#[tokio::test]
async fn requests_over_the_limits_are_not_sent() {
    let site = Site::open().await;
    let client = site.client();
    let (_, _, blocks) = stripe(16 * 1024 * 1024);
    let many: Vec<EncodedBlock> = blocks.iter().cycle().take(17).cloned().collect();
    let refused = client.put(None, &many).await.unwrap_err();
    assert_eq!(refused.code, Code::TooLarge);
    let refused = client.read(None, vec![whole(&blocks[0]); 17]).await;
    assert_eq!(refused.unwrap_err().code, Code::TooLarge);
    let refused = client.delete(&vec![whole(&blocks[0]).id; 1025]).await;
    assert_eq!(refused.unwrap_err().code, Code::TooLarge);
    assert_eq!(site.connections(), 0);
}
