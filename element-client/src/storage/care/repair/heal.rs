//! Making one stripe whole.

use std::collections::BTreeMap;

use gridmart_fabric::block::{
    BlockHosts as _, EncodedBlock, PREFIX_BYTES_MAX, StripeReader, fetch_stripe, known_stripe,
};
use gridmart_schemas::{
    id::{BlockId, NodeId},
    problem::{Code, Problem},
    storage::BlockRoot,
    wire::block::BlockRead,
};

use super::Lost;
use crate::storage::{
    metadata::{Change, LayoutStripe},
    placement::choose_for_repair,
    service::Service,
};

/// A block that was made anew, and read back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Healed {
    pub(super) block: BlockId,
    pub(super) root: BlockRoot,
    pub(super) host: NodeId,
    pub(super) bytes: u64,
}

/// Makes the lost blocks of a stripe anew on other Hosts. Those that were made
/// before a failure count; the others are found lost again.
pub(super) async fn heal(service: &Service, lost: &Lost) -> Result<Vec<Healed>, Problem> {
    let Lost { stripe, positions } = lost;
    let hosts = &service.data().hosts;
    let sources: BTreeMap<u8, NodeId> = stripe
        .blocks
        .iter()
        .filter(|block| !positions.contains(&block.position))
        .map(|block| (block.position, block.host))
        .collect();
    // Where no Host can take them nothing is read.
    if let Some(position) = positions.first() {
        let id = BlockId {
            stripe: stripe.id,
            position: *position,
        };
        let holders: Vec<NodeId> = sources.values().copied().collect();
        let bytes = stripe.payload_length + PREFIX_BYTES_MAX as u64;
        place(service, stripe, &holders, (id, bytes))?;
    }
    let readable = |position: &u8| {
        sources
            .get(position)
            .is_some_and(|host| hosts.is_readable(*host))
    };
    let preferred: Vec<u8> = sources.keys().copied().filter(readable).collect();
    let reader = StripeReader::repair(known_stripe(&stripe.manifest())?, positions, &preferred);
    let reader = fetch_stripe(&**hosts, &sources, reader).await?;
    let work = tokio::task::spawn_blocking(move || reader.finish_repair());
    let made = work.await.map_err(|error| {
        tracing::error!(%error, "rebuilding blocks has failed");
        Problem::new(Code::Internal, "The Element failed to rebuild blocks.")
    })??;
    let mut holders: Vec<NodeId> = sources.values().copied().collect();
    let mut healed = Vec::with_capacity(made.len());
    for block in made {
        let done = settle(service, stripe, &holders, block).await?;
        holders.push(done.host);
        healed.push(done);
    }
    Ok(healed)
}

/// Puts a block on a new Host, reads it back, and has the metadata say so.
async fn settle(
    service: &Service,
    stripe: &LayoutStripe,
    holders: &[NodeId],
    block: EncodedBlock,
) -> Result<Healed, Problem> {
    let hosts = &service.data().hosts;
    let header = block.prefix().header();
    let (id, root) = (header.id(), *block.prefix().root());
    let bytes = header.encoded_bytes() as u64;
    let from = home(stripe, id);
    let host = place(service, stripe, holders, (id, bytes))?;
    let moving = service.moving().read().await;
    if from == Some(host) {
        // What is left of it there would be in the way.
        hosts.delete([(host, vec![id])].into()).await;
    }
    hosts.put(host, block).await?;
    read_back(service, stripe, host, id, root).await?;
    let moved = Change::BlockMoved {
        block: id,
        from,
        to: host,
        root,
    };
    service.commit(moved).await?;
    drop(moving);
    if let Some(from) = from.filter(|from| *from != host && hosts.is_readable(*from)) {
        hosts.delete([(from, vec![id])].into()).await;
    }
    Ok(Healed {
        block: id,
        root,
        host,
        bytes,
    })
}

/// Where a block was, as the metadata know it.
fn home(stripe: &LayoutStripe, id: BlockId) -> Option<NodeId> {
    let was = stripe.blocks.iter().find(|was| was.position == id.position);
    was.map(|was| was.host)
}

/// Which Host can take a block that is made anew.
fn place(
    service: &Service,
    stripe: &LayoutStripe,
    holders: &[NodeId],
    (id, bytes): (BlockId, u64),
) -> Result<NodeId, Problem> {
    let hosts = &service.data().hosts;
    let from = home(stripe, id);
    let mut used = holders.to_vec();
    used.extend(from);
    choose_for_repair(&hosts.candidates(), &used, bytes, rand::random())
        .or_else(|error| match from {
            // Where there is no other one, the Host that lost it will do.
            Some(from) if hosts.is_readable(from) => Ok(from),
            _ => Err(error),
        })
        .map_err(|error| {
            Problem::new(
                Code::StorageDegraded,
                format!("There is no Host for the block {id}: {error}."),
            )
        })
}

/// Reads a whole block from its Host, and compares.
pub(in super::super) async fn read_back(
    service: &Service,
    stripe: &LayoutStripe,
    host: NodeId,
    id: BlockId,
    root: BlockRoot,
) -> Result<(), Problem> {
    read_block(service, stripe, host, id, root).await.map(drop)
}

/// The same; gives the block.
pub(in super::super) async fn read_block(
    service: &Service,
    stripe: &LayoutStripe,
    host: NodeId,
    id: BlockId,
    root: BlockRoot,
) -> Result<EncodedBlock, Problem> {
    let chunk = gridmart_fabric::block::CHUNK_BYTES as u64;
    let chunks = stripe.payload_length.div_ceil(chunk).max(1);
    let read = BlockRead {
        id,
        first_chunk: 0,
        chunks: u32::try_from(chunks).unwrap_or(u32::MAX),
    };
    let answers = service.data().hosts.read(host, vec![read]).await;
    let (_, bytes) = answers.into_iter().next().ok_or_else(|| unread(id, host))?;
    let (found, _) = EncodedBlock::parse(&bytes?).map_err(|_| unread(id, host))?;
    if *found.prefix().root() == root {
        return Ok(found);
    }
    Err(unread(id, host))
}

fn unread(id: BlockId, host: NodeId) -> Problem {
    Problem::new(
        Code::BlockDamaged,
        format!("The block {id} on {host} is not what was written there."),
    )
}
