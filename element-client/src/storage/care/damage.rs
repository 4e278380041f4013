//! Blocks that readers could not use: looked at once more, and noted as lost if
//! that is so. What a program says is not believed without a look.

use std::sync::Arc;

use gridmart_fabric::block::{BlockHosts as _, EncodedBlock};
use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
    wire::block::BlockRead,
};
use tokio::sync::mpsc;

use crate::storage::{
    data::Damage,
    metadata::{Change, LayoutStripe, query},
    service::Service,
};

pub(super) async fn keep(service: &Arc<Service>, damaged: Option<mpsc::Receiver<Damage>>) {
    let Some(mut damaged) = damaged else { return };
    while let Some(damage) = damaged.recv().await {
        if let Err(problem) = note(service, damage).await {
            tracing::warn!(%problem, stripe = %damage.stripe, "a lost block is not noted yet");
        }
    }
}

async fn note(service: &Service, damage: Damage) -> Result<(), Problem> {
    let Damage {
        stripe,
        position,
        host,
    } = damage;
    let read = service.read(move |connection| query::stripe(connection, stripe));
    let Some(known) = read.await? else {
        return Ok(());
    };
    let block = BlockId { stripe, position };
    if !is_lost(service, &known, damage).await {
        return Ok(());
    }
    match service.commit(Change::BlockLost { block, host }).await {
        Ok(_) => {
            tracing::warn!(%block, %host, "a block is lost, and will be made anew");
            Ok(())
        }
        // Somebody was faster.
        Err(problem) if problem.code == Code::GenerationConflict => Ok(()),
        Err(problem) => Err(problem),
    }
}

/// Whether the Host says that it does not have the block, or has another one.
async fn is_lost(service: &Service, known: &LayoutStripe, damage: Damage) -> bool {
    let placed = known
        .blocks
        .iter()
        .find(|block| block.position == damage.position && block.host == damage.host);
    let Some(placed) = placed else { return false };
    let chunks = known
        .payload_length
        .div_ceil(gridmart_fabric::block::CHUNK_BYTES as u64)
        .max(1);
    let read = BlockRead {
        id: BlockId {
            stripe: damage.stripe,
            position: damage.position,
        },
        first_chunk: 0,
        chunks: u32::try_from(chunks).unwrap_or(u32::MAX),
    };
    let answers = service.data().hosts.read(damage.host, vec![read]).await;
    match answers.into_iter().next() {
        Some((_, Ok(bytes))) => match EncodedBlock::parse(&bytes) {
            Ok((block, _)) => *block.prefix().root() != placed.root,
            Err(_) => true,
        },
        // Only its own word, not its silence.
        Some((_, Err(problem))) => {
            matches!(problem.code, Code::NotFound | Code::BlockDamaged)
        }
        None => false,
    }
}
