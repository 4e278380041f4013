//! Blocks on their way to one Host: those that wait at the same time go
//! together, so that many small ones cost few requests and few syncs.

use std::sync::Arc;

use gridmart_fabric::block::{BlockClient, EncodedBlock, SMALL_BYTES_MAX};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::block::{BLOCKS_MAX, BlockStored},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Requests with blocks at a time: as many as the Host serves its Element.
pub(super) const REQUESTS_MAX: usize = 4;
/// Places that a request of small blocks takes: while some are on their way, those
/// that come are better sent together than one by one.
const SMALL_PLACES: u32 = 2;
/// Blocks that may wait.
const QUEUE_MAX: usize = 1024;
/// Bytes of a request, if it has more than one block: two large ones.
const REQUEST_BYTES_MAX: usize = 9 * 1024 * 1024;

struct Put {
    block: EncodedBlock,
    answer: oneshot::Sender<Result<(), Problem>>,
}

/// The way of blocks to one Host. It ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Lane {
    puts: mpsc::Sender<Put>,
}

impl Lane {
    pub(super) fn start(client: BlockClient) -> Self {
        let (puts, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(client, queue));
        Self { puts }
    }

    /// Returns when the Host has it durably.
    pub(super) async fn put(&self, block: EncodedBlock) -> Result<(), Problem> {
        let (answer, answered) = oneshot::channel();
        let sent = self.puts.send(Put { block, answer }).await;
        sent.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn ended() -> Problem {
    Problem::new(Code::Unavailable, "The Element writes no blocks any more.")
}

async fn run(client: BlockClient, mut queue: mpsc::Receiver<Put>) {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let mut left = None;
    loop {
        let next = match left.take() {
            Some(put) => Some(put),
            None => queue.recv().await,
        };
        let Some(first) = next else { return };
        let mut bytes = encoded_bytes(&first);
        let wanted = if bytes <= SMALL_BYTES_MAX {
            SMALL_PLACES
        } else {
            1
        };
        // The place first: what comes while all are taken goes together.
        let Ok(place) = Arc::clone(&places).acquire_many_owned(wanted).await else {
            return;
        };
        let mut batch = vec![first];
        while batch.len() < BLOCKS_MAX
            && let Ok(put) = queue.try_recv()
        {
            bytes += encoded_bytes(&put);
            if bytes > REQUEST_BYTES_MAX {
                left = Some(put);
                break;
            }
            batch.push(put);
        }
        tokio::spawn(send(client.clone(), batch, place));
    }
}

fn encoded_bytes(put: &Put) -> usize {
    put.block.prefix().header().encoded_bytes()
}

async fn send(client: BlockClient, batch: Vec<Put>, place: OwnedSemaphorePermit) {
    let (blocks, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|put| (put.block, put.answer)).unzip();
    let stored = client.put(None, &blocks).await;
    drop(place);
    // Whoever has left needs no answer.
    match stored {
        Ok(stored) => {
            for (stored, answer) in stored.blocks.into_iter().zip(answers) {
                let _ = answer.send(match stored {
                    BlockStored::Stored { .. } => Ok(()),
                    BlockStored::Refused { problem, .. } => Err(problem),
                });
            }
        }
        Err(problem) => {
            for answer in answers {
                let _ = answer.send(Err(problem.clone()));
            }
        }
    }
}
