//! Stripes and blocks on Hosts: what is there, what is to go, what to be made
//! anew.

use std::collections::BTreeMap;

use gridmart_schemas::{
    id::{BlockId, BucketId, NodeId, StripeId},
    storage::BlockRoot,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{
    During, StoreError,
    object::{LayoutStripe, ObjectVersion, stripe_read},
    value::{Columns, Sql, own, own_option},
};
use crate::storage::metadata::{manifest::PlacedBlock, moment::Moment};

/// A Host that holds blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its id.
    pub host: NodeId,
    /// Since when.
    pub known: Moment,
    /// When it was removed, if it was.
    pub removed: Option<Moment>,
}

/// Reads all Hosts that hold or held blocks, oldest first.
pub fn hosts(connection: &Connection) -> Result<Vec<HostRow>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(HostRow {
            host: own(row, "id")?,
            known: own(row, "known")?,
            removed: own_option(row, "removed")?,
        })
    };
    connection
        .prepare_cached("SELECT * FROM host ORDER BY number")
        .and_then(|mut statement| statement.query_map([], read)?.collect())
        .during("hosts")
}

/// Reads the blocks of a stripe, by position.
pub(super) fn blocks_of(
    connection: &Connection,
    stripe: u64,
) -> rusqlite::Result<Vec<PlacedBlock>> {
    connection
        .prepare_cached(
            "SELECT position, host.id AS host, root
             FROM block JOIN host ON host.number = block.host
             WHERE stripe = ?1 ORDER BY position",
        )?
        .query_map([Sql(stripe)], |row| {
            let mut columns = Columns::of(row);
            Ok(PlacedBlock {
                position: columns.plain()?,
                host: columns.own()?,
                root: columns.own()?,
            })
        })?
        .collect()
}

/// Reads a stripe with its blocks.
pub fn stripe(connection: &Connection, id: StripeId) -> Result<Option<LayoutStripe>, StoreError> {
    let read = || -> rusqlite::Result<Option<LayoutStripe>> {
        let found = connection
            .prepare_cached("SELECT * FROM stripe WHERE id = ?1")?
            .query_row([Sql(id)], |row| {
                Ok((own(row, "number")?, stripe_read(row)?))
            })
            .optional()?;
        let Some((number, mut stripe)) = found else {
            return Ok(None);
        };
        stripe.blocks = blocks_of(connection, number)?;
        Ok(Some(stripe))
    };
    read().during("stripe")
}

/// Tells which of these stripes are known, garbage included; blocks of others
/// were never committed.
pub fn stripes_known(
    connection: &Connection,
    stripes: &[StripeId],
) -> Result<Vec<bool>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM stripe WHERE id = ?1")
        .during("stripes_known")?;
    stripes
        .iter()
        .map(|id| statement.exists([Sql(*id)]).during("stripes_known"))
        .collect()
}

/// A block that should be on a Host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOnHost {
    /// Where the next page begins.
    pub cursor: u64,
    /// Which one.
    pub block: BlockId,
    /// What it must be.
    pub root: BlockRoot,
    /// Bytes of its payload.
    pub payload_length: u64,
}

/// Lists the blocks on a Host, after a cursor (0: from the first), at most so
/// many.
pub fn blocks_on(
    connection: &Connection,
    host: NodeId,
    after: u64,
    limit: u32,
) -> Result<Vec<BlockOnHost>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(BlockOnHost {
            cursor: own(row, "number")?,
            block: BlockId {
                stripe: own(row, "id")?,
                position: row.get("position")?,
            },
            root: own(row, "root")?,
            payload_length: own(row, "payload_length")?,
        })
    };
    connection
        .prepare_cached(
            "SELECT stripe.number, stripe.id, position, root, payload_length
             FROM block JOIN stripe ON stripe.number = block.stripe
             WHERE host = (SELECT number FROM host WHERE id = ?1) AND block.stripe > ?2
             ORDER BY block.stripe LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![Sql(host), Sql(after), limit], read)?
                .collect()
        })
        .during("blocks_on")
}

/// Lists the blocks that should be on a Host, garbage left out, by id: those
/// after one, up to one, at most so many and two at least.
pub fn blocks_between(
    connection: &Connection,
    host: NodeId,
    after: Option<BlockId>,
    until: Option<BlockId>,
    limit: u32,
) -> Result<Vec<BlockId>, StoreError> {
    let first = after.map_or(StripeId::from_uuid(Uuid::nil()), |block| block.stripe);
    let last = until.map_or(StripeId::from_uuid(Uuid::max()), |block| block.stripe);
    let read = |row: &Row<'_>| {
        Ok(BlockId {
            stripe: own(row, "id")?,
            position: row.get("position")?,
        })
    };
    let found: Vec<BlockId> = connection
        .prepare_cached(
            "SELECT stripe.id, position FROM stripe CROSS JOIN block
             WHERE stripe.id BETWEEN ?2 AND ?3 AND block.stripe = stripe.number
               AND host = (SELECT number FROM host WHERE id = ?1)
               AND NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.part = stripe.part)
             ORDER BY stripe.id LIMIT ?4",
        )
        .and_then(|mut statement| {
            statement
                .query_map(
                    params![Sql(host), Sql(first), Sql(last), limit.max(2)],
                    read,
                )?
                .collect()
        })
        .during("blocks_between")?;
    // A Host has one block of a stripe at most: the first may be the one before.
    let is_between = |block: &BlockId| {
        after.is_none_or(|after| *block > after) && until.is_none_or(|until| *block <= until)
    };
    Ok(found.into_iter().filter(is_between).collect())
}

/// A stripe that nothing names any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Since when.
    pub since: Moment,
    /// Which one.
    pub stripe: StripeId,
    /// Its blocks, by position.
    pub blocks: Vec<PlacedBlock>,
}

/// Lists stripes that nothing names since before a moment, oldest first, at most
/// so many. Younger ones may still be read by somebody.
pub fn garbage_page(
    connection: &Connection,
    before: Moment,
    limit: u32,
) -> Result<Vec<Garbage>, StoreError> {
    let read = || -> rusqlite::Result<Vec<Garbage>> {
        let mut statement = connection.prepare_cached(
            "SELECT since, stripe.number, stripe.id
             FROM garbage JOIN stripe ON stripe.part = garbage.part
             WHERE since < ?1 ORDER BY since, garbage.part, stripe.start LIMIT ?2",
        )?;
        let mut rows = statement.query(params![Sql(before), limit])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push(Garbage {
                since: own(row, "since")?,
                stripe: own(row, "id")?,
                blocks: blocks_of(connection, own(row, "number")?)?,
            });
        }
        Ok(page)
    };
    read().during("garbage_page")
}

/// A place in the order in which blocks are to be made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairMark {
    since: Moment,
    stripe: u64,
    position: u8,
}

/// A block that is to be made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairWanted {
    /// Its place.
    pub mark: RepairMark,
    /// Since when.
    pub since: Moment,
    /// Which position.
    pub position: u8,
    /// Its stripe, with the blocks that are said to be there.
    pub stripe: LayoutStripe,
}

/// Lists the positions to be made anew, oldest first, those after a place, at most
/// so many.
pub fn repair_page(
    connection: &Connection,
    after: RepairMark,
    limit: u32,
) -> Result<Vec<RepairWanted>, StoreError> {
    let read = || -> rusqlite::Result<Vec<RepairWanted>> {
        let mut statement = connection.prepare_cached(
            "SELECT since, position, stripe.* FROM repair
             JOIN stripe ON stripe.number = repair.stripe
             WHERE since >= ?1 AND (since, repair.stripe, position) > (?1, ?2, ?3)
             ORDER BY since, repair.stripe, position LIMIT ?4",
        )?;
        let mut rows = statement.query(params![
            Sql(after.since),
            Sql(after.stripe),
            after.position,
            limit
        ])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let mut stripe = stripe_read(row)?;
            let number = own(row, "number")?;
            stripe.blocks = blocks_of(connection, number)?;
            let mark = RepairMark {
                since: own(row, "since")?,
                stripe: number,
                position: row.get("position")?,
            };
            page.push(RepairWanted {
                mark,
                since: mark.since,
                position: mark.position,
                stripe,
            });
        }
        Ok(page)
    };
    read().during("repair_page")
}

/// Counts the positions to be made anew.
pub fn repair_count(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .prepare_cached("SELECT positions FROM repair_tally")
        .and_then(|mut statement| statement.query_row([], |row| own(row, "positions")))
        .during("repair_count")
}

/// Positions to be made anew that are looked at when versions are counted which
/// miss some: beyond that more are not told apart.
const SHORT_POSITIONS_MAX: u32 = 10_000;

/// Counts the versions that miss blocks which are to be made anew, by bucket.
pub fn short_versions(connection: &Connection) -> Result<BTreeMap<BucketId, u64>, StoreError> {
    let read = || -> rusqlite::Result<BTreeMap<BucketId, u64>> {
        let mut statement = connection.prepare_cached(
            "SELECT bucket.id AS id, count(DISTINCT version.number) AS versions
             FROM (SELECT stripe FROM repair LIMIT ?1) AS short
             CROSS JOIN stripe ON stripe.number = short.stripe
             CROSS JOIN part ON part.number = stripe.part
             CROSS JOIN version ON version.number = part.version
             CROSS JOIN bucket ON bucket.number = version.bucket
             GROUP BY bucket.number",
        )?;
        let rows = statement.query_map([SHORT_POSITIONS_MAX], |row| {
            Ok((own(row, "id")?, own(row, "versions")?))
        })?;
        rows.collect()
    };
    read().during("short_versions")
}

/// Counts the blocks of a version that are to be made anew.
pub fn blocks_missing(connection: &Connection, version: &ObjectVersion) -> Result<u64, StoreError> {
    connection
        .prepare_cached(
            "SELECT count(*) AS blocks FROM part CROSS JOIN stripe ON stripe.part = part.number
             CROSS JOIN repair ON repair.stripe = stripe.number WHERE part.version = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([Sql(version.number)], |row| own(row, "blocks"))
        })
        .during("blocks_missing")
}

/// How many blocks should be on a Host, and the bytes of their payloads.
pub fn load_of(connection: &Connection, host: NodeId) -> Result<(u64, u64), StoreError> {
    let found = connection
        .prepare_cached("SELECT blocks, block_bytes FROM host WHERE id = ?1")
        .and_then(|mut statement| {
            let read = |row: &Row<'_>| Ok((own(row, "blocks")?, own(row, "block_bytes")?));
            statement.query_row([Sql(host)], read).optional()
        });
    Ok(found.during("load_of")?.unwrap_or_default())
}

/// How many blocks should be on a Host.
pub fn blocks_count(connection: &Connection, host: NodeId) -> Result<u64, StoreError> {
    Ok(load_of(connection, host)?.0)
}
