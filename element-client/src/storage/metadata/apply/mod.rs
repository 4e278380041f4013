//! What a record does to the store: the one place that changes its tables.
//!
//! It is used live, when an Element catches up with its replicas, and when it
//! is rebuilt from them. It depends on the tables and the record alone: no
//! clock, no chance, no settings of the process. What does not fit is refused
//! before anything is changed, or with changes that the caller's savepoint takes
//! back.

mod block;
mod bucket;
mod delete;
mod host;
mod object;
mod stripe;
mod tally;
mod upload;
mod version;

use gridmart_schemas::id::VersionId;
use rusqlite::Connection;

pub use self::stripe::CLAIMABLE;
use super::{
    moment::Moment,
    position::{Entry, Position},
    record::{Change, Record},
    refusal::Refusal,
    store::{StoreError, query},
};

/// What a change has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// What it says.
    Done,
    /// A version or marker was made, or went for good.
    Version(VersionOutcome),
}

/// The version that a change was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionOutcome {
    /// The version or marker that was made, or that went for good.
    pub version: VersionId,
    /// S3 calls it `null`.
    pub is_null: bool,
    /// It is a delete marker.
    pub is_marker: bool,
    /// Its bytes.
    pub size: u64,
}

/// Why a record was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It does not fit what is there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Outcome<T = ()> = Result<T, ApplyError>;

/// Where and when a record is applied.
#[derive(Clone, Copy)]
struct Place<'a> {
    store: &'a Connection,
    sequence: u64,
    time: Moment,
}

/// Applies a record at its position; within a transaction or savepoint, which
/// the caller takes back if it is refused.
pub fn apply(store: &Connection, position: Position, record: &Record) -> Outcome<Applied> {
    let place = Place {
        store,
        sequence: position.sequence,
        time: record.time,
    };
    let done = |outcome: Outcome| outcome.map(|()| Applied::Done);
    let version = |outcome: Outcome<VersionOutcome>| outcome.map(Applied::Version);
    match &record.change {
        Change::BucketCreate(change) => done(bucket::create(place, change)),
        Change::BucketUpdate(change) => done(bucket::update(place, change)),
        Change::BucketDelete { bucket } => done(bucket::delete(place, *bucket)),
        Change::BucketVersioning { bucket, versioning } => {
            done(bucket::versioning(place, *bucket, *versioning))
        }
        Change::BucketDocument {
            bucket,
            kind,
            document,
        } => done(bucket::document(place, *bucket, *kind, document.as_deref())),
        Change::ObjectPut(change) => version(object::put(place, change)),
        Change::ObjectDelete(change) => version(delete::delete(place, change)),
        Change::ObjectTags {
            bucket,
            key,
            version,
            tags,
        } => done(object::tags(place, *bucket, key, *version, tags)),
        Change::ObjectLock {
            bucket,
            key,
            version,
            retention,
            legal_hold,
            bypass,
        } => {
            let protection = (*retention, *legal_hold, *bypass);
            done(object::lock(place, *bucket, key, *version, protection))
        }
        Change::UploadCreate(change) => done(upload::create(place, change)),
        Change::PartPut(change) => done(upload::part_put(place, change)),
        Change::UploadComplete(change) => version(upload::complete(place, change)),
        Change::UploadAbort { upload } => done(upload::abort(place, *upload)),
        Change::AccessKeyCreate {
            id,
            person,
            sealed_secret,
            label,
        } => done(host::access_key_create(
            place,
            id,
            person,
            sealed_secret,
            label,
        )),
        Change::AccessKeyDelete { id } => done(host::access_key_delete(place, id)),
        Change::BlockLost { block, host } => done(block::lost(place, *block, *host)),
        Change::BlockMoved {
            block,
            from,
            to,
            root,
        } => done(block::moved(place, *block, *from, *to, *root)),
        Change::StripesCollected { stripes } => done(stripe::collected(place, stripes)),
        Change::HostKnown { host } => done(host::known(place, *host)),
        Change::HostRemoved { host } => done(host::removed(place, *host)),
        Change::EpochBegun => Ok(Applied::Done),
        Change::ObjectHeader {
            bucket,
            key,
            version,
            name,
            value,
        } => {
            let header = (name.as_str(), value.as_deref());
            done(object::header(place, *bucket, key, *version, header))
        }
        Change::BucketLosses { bucket, losses } => done(bucket::losses(place, *bucket, *losses)),
        Change::Setting { name, value } => done(host::setting(place, name, value.as_deref())),
    }
}

/// Applies a record and writes it to the log: what every new record goes
/// through, live or from a replica.
pub(super) fn admit(store: &Connection, entry: &Entry, record: &Record) -> Outcome<Applied> {
    let applied = apply(store, entry.position, record)?;
    query::log_insert(store, entry)?;
    query::position_put(store, entry.position)?;
    Ok(applied)
}
