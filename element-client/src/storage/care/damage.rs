//! Blocks that readers could not use: looked at once more, and noted as lost if
//! that is so. What a program says is not believed without a look.

use std::sync::Arc;

use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
};
use tokio::sync::mpsc;

use super::repair::read_back;
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

pub(super) async fn note(service: &Service, damage: Damage) -> Result<(), Problem> {
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
    let block = BlockId {
        stripe: damage.stripe,
        position: damage.position,
    };
    match read_back(service, known, damage.host, block, placed.root).await {
        Ok(()) => false,
        // Its own word, or what it sends; not its silence.
        Err(problem) => matches!(problem.code, Code::NotFound | Code::BlockDamaged),
    }
}
