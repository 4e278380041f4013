//! Parts, their stripes and blocks: putting them in, and taking out what is
//! collected.

use std::{collections::BTreeMap, time::Duration};

use gridmart_schemas::id::{NodeId, StripeId};
use rusqlite::{ErrorCode, OptionalExtension as _, params};

use super::{ApplyError, Outcome, Place};
use crate::storage::metadata::{
    manifest::Stripe,
    moment::Moment,
    refusal::Refusal,
    store::{During as _, Sql, StoreError, own, own_option, to_json},
};

/// How long after it was made a stripe may be named: longer than receipts are
/// good, and clocks differ. Part of how records are applied: never shorter.
pub const CLAIMABLE: Duration = Duration::from_hours(26);

/// Whose bytes a part has.
#[derive(Clone, Copy)]
pub(super) enum PartOf {
    Version(u64),
    Upload(u64),
}

/// A part in the making; its row has the record's sequence.
pub(super) struct NewPart<'a> {
    pub(super) of: PartOf,
    pub(super) number: u16,
    pub(super) size: u64,
    pub(super) etag: &'a str,
    pub(super) checksums: &'a BTreeMap<String, String>,
    pub(super) stripes: &'a [Stripe],
}

pub(super) fn part_insert(place: Place<'_>, part: &NewPart<'_>) -> Outcome {
    let (version, upload) = match part.of {
        PartOf::Version(number) => (Some(Sql(number)), None),
        PartOf::Upload(number) => (None, Some(Sql(number))),
    };
    let write = || -> rusqlite::Result<()> {
        place
            .store
            .prepare_cached(
                "INSERT INTO part (number, version, upload, part, start, size, etag, checksums,
                                   created)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                Sql(place.sequence),
                version,
                upload,
                part.number,
                Sql(part.size),
                part.etag,
                to_json(part.checksums)?,
                Sql(place.time)
            ])
            .map(drop)
    };
    write().during("part_insert")?;
    let mut start = 0;
    for (ordinal, stripe) in (0..).zip(part.stripes) {
        stripe_insert(place, ordinal, start, stripe)?;
        start += stripe.data_length;
    }
    Ok(())
}

fn stripe_insert(place: Place<'_>, ordinal: u64, start: u64, stripe: &Stripe) -> Outcome {
    if is_collected(place, stripe.id)? {
        let fault = format!("the blocks of the stripe {} were collected", stripe.id);
        return Err(Refusal::Malformed(fault).into());
    }
    let insert = || -> rusqlite::Result<i64> {
        place
            .store
            .prepare_cached(
                "INSERT INTO stripe (id, part, ordinal, start, data_length, redundancy,
                                     payload_length)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .insert(params![
                Sql(stripe.id),
                Sql(place.sequence),
                Sql(ordinal),
                Sql(start),
                Sql(stripe.data_length),
                stripe.redundancy.to_string(),
                Sql(stripe.payload_length)
            ])
    };
    let number = match insert() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let fault = format!("the stripe {} is there already", stripe.id);
            return Err(Refusal::Malformed(fault).into());
        }
        other => other.during("stripe_insert")?.cast_unsigned(),
    };
    for block in &stripe.blocks {
        let host = known_host(place, block.host)?;
        place
            .store
            .prepare_cached(
                "INSERT INTO block (stripe, position, host, root) VALUES (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    Sql(number),
                    block.position,
                    Sql(host),
                    Sql(block.root)
                ])
            })
            .during("block_insert")?;
    }
    let is_there = |position| stripe.blocks.iter().any(|block| block.position == position);
    for position in (0..stripe.redundancy.blocks()).filter(|position| !is_there(*position)) {
        repair_insert(place, number, position)?;
    }
    Ok(())
}

/// Notes that a position is to be made anew.
pub(super) fn repair_insert(place: Place<'_>, stripe: u64, position: u8) -> Result<(), StoreError> {
    place
        .store
        .prepare_cached(
            "INSERT OR IGNORE INTO repair (stripe, position, since) VALUES (?1, ?2, ?3)",
        )
        .and_then(|mut statement| {
            statement.execute(params![Sql(stripe), position, Sql(place.time)])
        })
        .during("repair_insert")
        .map(drop)
}

/// The row of a Host that may get blocks.
pub(super) fn host_number(place: Place<'_>, host: NodeId) -> Outcome<u64> {
    host_row(
        place,
        host,
        "SELECT number FROM host WHERE id = ?1 AND removed IS NULL",
    )
}

/// The row of a Host, also of one that gets none any more: what was on its way
/// there when it was removed is there, and is moved off it.
fn known_host(place: Place<'_>, host: NodeId) -> Outcome<u64> {
    host_row(place, host, "SELECT number FROM host WHERE id = ?1")
}

fn host_row(place: Place<'_>, host: NodeId, sql: &str) -> Outcome<u64> {
    let found = place
        .store
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row([Sql(host)], |row| own(row, "number"))
                .optional()
        })
        .during("host_number")?;
    Ok(found.ok_or(Refusal::HostUnknown(host))?)
}

/// The row of a stripe, and that of its part.
pub(super) fn stripe_number(
    place: Place<'_>,
    stripe: StripeId,
) -> Result<Option<(u64, u64)>, StoreError> {
    place
        .store
        .prepare_cached("SELECT number, part FROM stripe WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([Sql(stripe)], |row| {
                    Ok((own(row, "number")?, own(row, "part")?))
                })
                .optional()
        })
        .during("stripe_number")
}

/// Forgets stripes whose blocks are off the Hosts. One that is forgotten
/// already is no fault: two collections may meet.
pub(super) fn collected(place: Place<'_>, stripes: &[StripeId]) -> Outcome {
    for id in stripes {
        let Some((stripe, part)) = stripe_number(place, *id)? else {
            continue;
        };
        let is_garbage = place
            .store
            .prepare_cached("SELECT 1 FROM garbage WHERE part = ?1")
            .and_then(|mut statement| statement.exists([Sql(part)]))
            .during("stripe_collected")?;
        if !is_garbage {
            return Err(Refusal::StripeInUse(*id).into());
        }
        forget(place, stripe, part).during("stripe_collected")?;
        note_collected(place, *id).during("stripe_collected")?;
    }
    Ok(())
}

/// Notes that the blocks of a stripe are gone, and forgets those of which nobody
/// can say any more that they are there.
fn note_collected(place: Place<'_>, stripe: StripeId) -> rusqlite::Result<()> {
    let claimable = i64::try_from(CLAIMABLE.as_micros()).unwrap_or(i64::MAX);
    let before = place.time.microseconds().saturating_sub(claimable);
    place
        .store
        .prepare_cached("DELETE FROM collected WHERE since < ?1")?
        .execute([Sql(Moment::from_microseconds(before))])?;
    place
        .store
        .prepare_cached("INSERT OR REPLACE INTO collected (stripe, since) VALUES (?1, ?2)")?
        .execute(params![Sql(stripe), Sql(place.time)])
        .map(drop)
}

fn is_collected(place: Place<'_>, stripe: StripeId) -> Result<bool, StoreError> {
    place
        .store
        .prepare_cached("SELECT 1 FROM collected WHERE stripe = ?1")
        .and_then(|mut statement| statement.exists([Sql(stripe)]))
        .during("is_collected")
}

fn forget(place: Place<'_>, stripe: u64, part: u64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM repair WHERE stripe = ?1",
        "DELETE FROM block WHERE stripe = ?1",
        "DELETE FROM stripe WHERE number = ?1",
    ] {
        place.store.prepare_cached(sql)?.execute([Sql(stripe)])?;
    }
    let has_more = place
        .store
        .prepare_cached("SELECT 1 FROM stripe WHERE part = ?1")?
        .exists([Sql(part)])?;
    if !has_more {
        for sql in [
            "DELETE FROM garbage WHERE part = ?1",
            "DELETE FROM part WHERE number = ?1",
        ] {
            place.store.prepare_cached(sql)?.execute([Sql(part)])?;
        }
    }
    Ok(())
}

/// Leaves the parts of an upload to be collected: all, or one row.
pub(super) fn parts_discard(place: Place<'_>, upload: u64, row: Option<u64>) -> Outcome {
    let statements = || -> rusqlite::Result<()> {
        let chosen = params![Sql(upload), row.map(Sql)];
        place
            .store
            .prepare_cached(
                "DELETE FROM part WHERE upload = ?1 AND (?2 IS NULL OR number = ?2) AND size = 0",
            )?
            .execute(chosen)?;
        place
            .store
            .prepare_cached(
                "INSERT INTO garbage (part, since) SELECT number, ?3 FROM part
                 WHERE upload = ?1 AND (?2 IS NULL OR number = ?2)",
            )?
            .execute(params![Sql(upload), row.map(Sql), Sql(place.time)])?;
        place
            .store
            .prepare_cached(
                "UPDATE part SET upload = NULL WHERE upload = ?1 AND (?2 IS NULL OR number = ?2)",
            )?
            .execute(chosen)?;
        Ok(())
    };
    statements()
        .during("parts_discard")
        .map_err(ApplyError::from)
}

/// Bytes of all parts of an upload.
pub(super) fn parts_size(place: Place<'_>, upload: u64) -> Result<u64, StoreError> {
    place
        .store
        .prepare_cached("SELECT sum(size) AS size FROM part WHERE upload = ?1")
        .and_then(|mut statement| statement.query_row([Sql(upload)], |row| own_option(row, "size")))
        .during("parts_size")
        .map(Option::unwrap_or_default)
}
