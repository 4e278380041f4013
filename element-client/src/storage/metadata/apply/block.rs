//! Blocks that move between Hosts, or are made anew.

use gridmart_schemas::{
    id::{BlockId, NodeId},
    storage::BlockRoot,
};
use rusqlite::{OptionalExtension as _, params};

use super::{Outcome, Place, stripe};
use crate::storage::metadata::{
    refusal::Refusal,
    store::{During as _, Sql, StoreError, own},
};

/// Where a block is.
fn host_of(place: Place<'_>, stripe: u64, position: u8) -> Result<Option<NodeId>, StoreError> {
    place
        .store
        .prepare_cached(
            "SELECT host.id AS id FROM block JOIN host ON host.number = block.host
             WHERE stripe = ?1 AND position = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![Sql(stripe), position], |row| own(row, "id"))
                .optional()
        })
        .during("host_of")
}

pub(super) fn lost(place: Place<'_>, block: BlockId, host: NodeId) -> Outcome {
    let elsewhere = || Refusal::BlockElsewhere(block);
    let (stripe, _) = stripe::stripe_number(place, block.stripe)?.ok_or_else(elsewhere)?;
    if host_of(place, stripe, block.position)? != Some(host) {
        return Err(elsewhere().into());
    }
    stripe::repair_insert(place, stripe, block.position)?;
    Ok(())
}

pub(super) fn moved(
    place: Place<'_>,
    block: BlockId,
    from: Option<NodeId>,
    to: NodeId,
    root: BlockRoot,
) -> Outcome {
    let elsewhere = || Refusal::BlockElsewhere(block);
    let (stripe, _) = stripe::stripe_number(place, block.stripe)?.ok_or_else(elsewhere)?;
    let was = host_of(place, stripe, block.position)?;
    let is_wanted = was.is_some() || is_missing(place, stripe, block.position)?;
    if was != from || !is_wanted {
        return Err(elsewhere().into());
    }
    let host = stripe::host_number(place, to)?;
    let has_another = place
        .store
        .prepare_cached("SELECT 1 FROM block WHERE host = ?1 AND stripe = ?2 AND position <> ?3")
        .and_then(|mut statement| statement.exists(params![Sql(host), Sql(stripe), block.position]))
        .during("block_moved")?;
    if has_another {
        return Err(Refusal::HostTwice { block, host: to }.into());
    }
    let statements = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached(
                "INSERT INTO block (stripe, position, host, root) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (stripe, position) DO UPDATE SET host = ?3, root = ?4",
            )?
            .execute(params![Sql(stripe), block.position, Sql(host), Sql(root)])?;
        place
            .store
            .prepare_cached("DELETE FROM repair WHERE stripe = ?1 AND position = ?2")?
            .execute(params![Sql(stripe), block.position])?;
        Ok(())
    };
    statements().during("block_moved")?;
    Ok(())
}

/// Whether a position that has no block should have one.
fn is_missing(place: Place<'_>, stripe: u64, position: u8) -> Result<bool, StoreError> {
    place
        .store
        .prepare_cached("SELECT 1 FROM repair WHERE stripe = ?1 AND position = ?2")
        .and_then(|mut statement| statement.exists(params![Sql(stripe), position]))
        .during("is_missing")
}
