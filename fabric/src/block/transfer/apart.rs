//! What takes a core for some milliseconds, beside the threads that serve.

use std::collections::BTreeMap;

use bytes::Bytes;
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    storage::{Codec, Redundancy},
};
use tokio::task::JoinSet;

use super::{
    super::{
        EncodedBlock, SMALL_BYTES_MAX, StripeBuffer, StripeIdentity, StripeRead, StripeReader,
        build_stripe, payload_bytes,
    },
    BlockHosts, fetch_stripe,
};

/// Bytes that are read as one: a piece of one block, so that pieces that follow
/// each other come from several Hosts at the same time.
pub const PIECE_BYTES: u64 = 2 * 1024 * 1024;

/// Less than this costs less than the way to another thread.
const HERE_BYTES_MAX: usize = SMALL_BYTES_MAX / 4;

/// Where a piece of a stripe's data ends that begins there: no later than its
/// block does.
pub fn piece_end(redundancy: Redundancy, stripe_bytes: u64, from: u64) -> u64 {
    let block_end = match (redundancy.codec(), payload_bytes(redundancy, stripe_bytes)) {
        (Codec::ReedSolomon, Some(payload)) => (from / payload as u64 + 1) * payload as u64,
        (Codec::Replica, _) | (_, None) => stripe_bytes,
    };
    from.saturating_add(PIECE_BYTES)
        .min(block_end)
        .min(stripe_bytes)
}

/// The blocks of a stripe whose data comes in pieces.
pub async fn encode_stripe(
    identity: StripeIdentity,
    pieces: Vec<Bytes>,
) -> Result<Vec<EncodedBlock>, Problem> {
    let bytes = pieces.iter().map(Bytes::len).sum();
    let build = move || build_stripe(identity, &joint(pieces, bytes));
    if bytes <= HERE_BYTES_MAX {
        return Ok(build()?);
    }
    Ok(apart(build).await??)
}

/// Fetches what a reader wants of its stripe, as [`fetch_stripe`] does, and
/// rebuilds what is lost of it.
pub async fn read_stripe<H: BlockHosts>(
    hosts: &H,
    placed: &BTreeMap<u8, NodeId>,
    reader: StripeReader,
) -> Result<StripeRead, Problem> {
    let reader = fetch_stripe(hosts, placed, reader).await?;
    // Without a fault there is nothing to rebuild.
    if reader.faults().is_empty() {
        return Ok(reader.finish()?);
    }
    Ok(apart(move || reader.finish()).await??)
}

fn joint(mut pieces: Vec<Bytes>, bytes: usize) -> Bytes {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let mut joint = StripeBuffer::new(bytes);
    let mut at = 0;
    for piece in pieces {
        joint[at..at + piece.len()].copy_from_slice(&piece);
        at += piece.len();
    }
    joint.freeze(bytes)
}

/// Does work on a thread for such; whoever stops waiting before it has begun
/// keeps it from beginning.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let mut working = JoinSet::new();
    working.spawn_blocking(work);
    let ended = working.join_next().await;
    ended.and_then(Result::ok).ok_or_else(|| {
        tracing::error!("the coding of a stripe was broken off");
        Problem::new(Code::Internal, "A stripe could not be coded.")
    })
}
