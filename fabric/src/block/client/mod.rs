//! Writing, reading and deleting blocks on one Host.
//!
//! Invariants: no more connections than stated, none waited for without end; a
//! transfer may take as long as its bytes move; every request may be repeated
//! without harm, and is, once, when it was the first on a connection that had
//! idled and failed there.

mod answers;
mod body;
mod pool;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
    wire::block::{
        BLOCKS_MAX, BODY_BYTES_MAX, BlockRead, BlockStored, BlocksDeleted, BlocksStored,
    },
};
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

pub use self::answers::BlockAnswers;
use self::{
    body::Pieces,
    pool::{Pool, Taken},
};
use super::{CHUNK_BYTES, EncodedBlock};
use crate::{
    request::{Answer, refusal, whole},
    tls::{ClientTls, Expected},
    tunnel::TICKET_PREFIX,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The bounds of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Connections to the Host at a time.
    pub connections: usize,
    /// How long a request may wait for one.
    pub place: Duration,
    /// Connections that idled for this long are not used again; less than
    /// doors let them idle.
    pub idle: Duration,
    /// A transfer in which nothing moves for this long is given up; after the
    /// last byte was sent, how long its answer may take. May be exceeded once
    /// by as much.
    pub progress: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 4,
            place: Duration::from_secs(30),
            idle: Duration::from_secs(5),
            progress: Duration::from_secs(30),
        }
    }
}

/// A way to the blocks of one Host. Clones share its connections.
#[derive(Clone, Debug)]
pub struct BlockClient {
    pool: Arc<Pool>,
}

impl BlockClient {
    /// Of the expected Host, whose door is at one of the endpoints. Nothing is
    /// dialled yet.
    pub fn new(
        endpoints: Vec<String>,
        expected: Expected,
        tls: ClientTls,
        limits: ClientLimits,
    ) -> Self {
        Self {
            pool: Arc::new(Pool::new(endpoints, expected, tls, limits)),
        }
    }

    /// Writes blocks; the answer comes when they are durable, and tells of each
    /// block in order. Programs show a ticket; the Host's own Element does not.
    pub async fn put(
        &self,
        ticket: Option<&str>,
        blocks: &[EncodedBlock],
    ) -> Result<BlocksStored, Problem> {
        let bytes: usize = blocks
            .iter()
            .map(|block| block.prefix().header().encoded_bytes())
            .sum();
        within(blocks.len(), bytes)?;
        let pieces = blocks
            .iter()
            .flat_map(|block| [block.prefix().bytes().clone(), block.payload().clone()])
            .collect();
        let request = Request {
            path: "/v1/blocks",
            ticket,
            kind: BYTES,
            pieces,
        };
        let stored: BlocksStored = self.json(&request).await?;
        check_stored(&stored, blocks)?;
        Ok(stored)
    }

    /// Reads ranges of blocks; the answers come in the order of the reads.
    pub async fn read(
        &self,
        ticket: Option<&str>,
        reads: Vec<BlockRead>,
    ) -> Result<BlockAnswers, Problem> {
        let chunks: usize = reads.iter().map(|read| read.chunks as usize).sum();
        within(reads.len(), chunks.saturating_mul(CHUNK_BYTES))?;
        let request = Request {
            path: "/v1/blocks/read",
            ticket,
            kind: JSON,
            pieces: vec![json(&reads)?],
        };
        let (answer, taken) = self.exchange(&request).await?;
        let progress = self.pool.limits().progress;
        Ok(BlockAnswers::new(
            reads,
            answer.into_body(),
            taken,
            progress,
        ))
    }

    /// Deletes blocks; for the Host's own Element.
    pub async fn delete(&self, blocks: &[BlockId]) -> Result<BlocksDeleted, Problem> {
        within(blocks.len(), 0)?;
        self.json(&Request {
            path: "/v1/blocks/delete",
            ticket: None,
            kind: JSON,
            pieces: vec![json(&blocks)?],
        })
        .await
    }

    async fn json<A: DeserializeOwned>(&self, request: &Request<'_>) -> Result<A, Problem> {
        let (answer, taken) = self.exchange(request).await?;
        let bytes = whole(answer).await?;
        taken.give_back();
        serde_json::from_slice(&bytes).map_err(|error| formless(&error.to_string()))
    }

    /// Sends a request; gives what is no refusal, and the connection that it
    /// is still coming on.
    async fn exchange(&self, request: &Request<'_>) -> Result<(Answer, Taken), Problem> {
        let mut taken = self.pool.take().await?;
        let mut sent = taken.send(request.http()?).await;
        if taken.has_idled() && sent.as_ref().is_err_and(pool::SendError::is_lost) {
            // The Host may have closed it at that moment.
            taken = taken.renewed().await?;
            sent = taken.send(request.http()?).await;
        }
        let answer = sent.map_err(|error| error.problem(request.path))?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer).await);
        }
        Ok((answer, taken))
    }
}

/// What is sent; may be sent again.
struct Request<'a> {
    path: &'static str,
    ticket: Option<&'a str>,
    kind: HeaderValue,
    pieces: Vec<Bytes>,
}

impl Request<'_> {
    fn http(&self) -> Result<http::Request<Pieces>, Problem> {
        let fault = |error: String| Problem::new(Code::Internal, error);
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(self.path)
            .header(header::HOST, "gridmart")
            .header(header::CONTENT_TYPE, self.kind.clone())
            .body(Pieces::new(self.pieces.clone()))
            .map_err(|error| fault(error.to_string()))?;
        if let Some(ticket) = self.ticket {
            let mut shown = HeaderValue::try_from(format!("{TICKET_PREFIX}{ticket}"))
                .map_err(|error| fault(error.to_string()))?;
            shown.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, shown);
        }
        Ok(request)
    }
}

fn json(value: &impl Serialize) -> Result<Bytes, Problem> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

fn formless(what: &str) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("The answer is not of its form: {what}."),
    )
}

/// Refuses what the Host would refuse.
fn within(blocks: usize, bytes: usize) -> Result<(), Problem> {
    if blocks <= BLOCKS_MAX && bytes <= BODY_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLarge,
        format!(
            "{blocks} blocks of {bytes} bytes are more than one request may have: {BLOCKS_MAX} \
             blocks and {BODY_BYTES_MAX} bytes."
        ),
    ))
}

/// Whether the answer tells of just these blocks, with the roots that they have.
fn check_stored(stored: &BlocksStored, blocks: &[EncodedBlock]) -> Result<(), Problem> {
    let told = |(stored, block): (&BlockStored, &EncodedBlock)| {
        let prefix = block.prefix();
        match stored {
            BlockStored::Stored { id, root } => {
                *id == prefix.header().id() && root == prefix.root()
            }
            BlockStored::Refused { id, .. } => *id == prefix.header().id(),
        }
    };
    if stored.blocks.len() == blocks.len() && stored.blocks.iter().zip(blocks).all(told) {
        return Ok(());
    }
    Err(formless("it tells of other blocks than were sent"))
}
