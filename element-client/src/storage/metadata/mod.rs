//! What a Storage Element knows of its objects, and the log that makes it.
//!
//! Every change is a [`Record`]. The one writer applies it to SQLite and gives
//! it to replicas of its log on Hosts; only when enough of them have it durably
//! is it committed here, and only then is whoever asked answered. So what was
//! acknowledged outlives the Element's own disk: it is rebuilt from a snapshot
//! and the records after it.
//!
//! Invariants:
//! - There is one function that changes the tables for a record, [`apply`]; it
//!   looks at nothing but the tables and the record. The same records in the
//!   same order make the same tables, wherever they are applied.
//! - A sequence number has one record for each epoch, and an epoch one writer.
//! - What readers see was committed, and what was committed was on as many
//!   replicas as were wanted.
//!
//! There is no network here: replicas are behind the trait [`Replica`].

mod apply;
mod fan_out;
mod key;
mod manifest;
mod membership;
mod moment;
mod position;
mod problem;
mod rebuild;
mod record;
mod recovery;
mod refusal;
mod replica;
mod snapshot;
mod store;
mod writer;

pub use self::{
    apply::{Applied, ApplyError, CLAIMABLE, VersionOutcome, apply},
    fan_out::{FanOut, Following},
    key::{KeyError, ObjectKey},
    manifest::{ObjectHead, PlacedBlock, Stripe, is_own_header},
    membership::{MemberSet, Membership},
    moment::Moment,
    position::{Entry, Epoch, Position, WriterMark},
    rebuild::{Loss, RebuildError, Rebuilt, rebuild},
    record::{
        BucketCreate, BucketUpdate, Change, Condition, DeleteTarget, DocumentKind, EtagMatch,
        ObjectDelete, ObjectPut, PartChoice, PartPut, Quota, RECORD_BYTES_MAX, Record, RecordError,
        Retention, RetentionMode, UploadComplete, UploadCreate, VersionChoice, Versioning,
    },
    recovery::{Recovered, RecoveryError, recover},
    refusal::Refusal,
    replica::{Append, NotDurable, Replica, ReplicaError, Replicas, SnapshotHead, Tail},
    snapshot::{SnapshotError, snapshot_export, snapshot_read},
    store::{
        AccessKey, BlockOnHost, Bucket, Garbage, HostRow, Layout, LayoutStripe, Listed, Listing,
        ListingRequest, ObjectVersion, Page, Part, PartsOf, Readers, RepairMark, RepairWanted,
        StoreError, Upload, UploadListing, VersionListing, open_writer, query,
    },
    writer::{Committed, Progress, WriteError, Writer, WriterThread},
};

#[cfg(test)]
pub(in crate::storage) mod tests;
