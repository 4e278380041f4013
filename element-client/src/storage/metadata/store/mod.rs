//! The metadata's SQLite store: opening it, and all that is read from it. What
//! is written is in [`super::apply`].
//!
//! Invariants: those of [`gridmart_fabric::sqlite`]. Connections are used by the
//! writer's thread and by blocking tasks only.

mod block;
mod bucket;
mod ledger;
mod listing;
mod object;
mod readers;
mod upload;
mod value;

use std::path::Path;

use gridmart_fabric::sqlite;
pub use gridmart_fabric::sqlite::StoreError;
pub(super) use gridmart_fabric::sqlite::{During, to_json};
use rusqlite::Connection;

pub use self::{
    block::{BlockOnHost, Garbage, HostRow, RepairMark, RepairWanted},
    bucket::{AccessKey, Bucket},
    listing::{Listed, Listing, ListingRequest, Page, VersionListing},
    object::{Layout, LayoutStripe, ObjectVersion},
    readers::Readers,
    upload::{Part, PartsOf, Upload, UploadListing},
};
pub(super) use self::{
    upload::upload_part,
    value::{Sql, own, own_option, retention},
};

/// What is read from the store; each takes a connection of [`Readers`].
pub mod query {
    pub(in super::super) use super::ledger::{
        entries_after, epoch_put, ledger, log_bytes, log_cut, log_insert, position_of, position_put,
    };
    pub use super::{
        block::{
            blocks_between, blocks_count, blocks_missing, blocks_on, garbage_page, hosts, load_of,
            repair_count, repair_page, short_versions, stripe, stripes_known,
        },
        bucket::{
            access_key, access_keys_of, bucket, bucket_document, bucket_named, buckets,
            former_redundancies, has_access_keys, losses_borne, setting,
        },
        listing::{object_list, version_list},
        object::{has_header, layout, object_current, object_located, object_version},
        upload::{part_list, upload, upload_list},
    };
}

/// One entry per schema version; only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../../migrations/storage/0001_opening.sql"),
    include_str!("../../../../migrations/storage/0002_collected.sql"),
    include_str!("../../../../migrations/storage/0003_tally.sql"),
    include_str!("../../../../migrations/storage/0004_former_redundancy.sql"),
    include_str!("../../../../migrations/storage/0005_losses_allowed.sql"),
];

/// Statements that a connection keeps prepared: all that there are.
const STATEMENTS_KEPT: usize = 160;

/// Pages (of 4 KiB) that the writer keeps in memory, as SQLite counts it: KiB,
/// negative. The upper pages of the indexes of 100 million versions fit.
const CACHE_KIB: i64 = -65_536;

/// Opens the database for the one writer, and brings its schema up to date.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = sqlite::open_writer(path, MIGRATIONS)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection
        .pragma_update(None, "cache_size", CACHE_KIB)
        .during("open_writer")?;
    Ok(connection)
}

/// Opens the database for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = sqlite::open_reader(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

#[cfg(test)]
mod tests;
