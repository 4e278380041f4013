//! The bytes of objects, to and from Hosts, for those who come to the Element's
//! own doors. Programs with the SDK go to the Hosts themselves.
//!
//! Invariants: what [`DataWriter::finish`] gives is durable on Hosts; what a
//! [`DataReader`] gives was verified against the metadata; either holds a
//! bounded number of bytes, however long the object.

mod hosts;
mod lane;
mod read;
mod write;

use std::sync::Arc;

use gridmart_schemas::{
    id::{BucketId, NodeId, StripeId, VersionId},
    storage::Redundancy,
};
use tokio::sync::{Semaphore, mpsc};

pub(crate) use self::{hosts::Hosts, read::DataReader, write::DataWriter};

/// Bytes of objects that are being coded and written at a time, by all writers
/// together; of each, about three times as many are held meanwhile.
const STORING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a budget counts in.
const BUDGET_UNIT: usize = 64 * 1024;

/// Damaged blocks that wait for being noted; more are found by the next read or
/// scrub.
const DAMAGE_MAX: usize = 1024;

/// Whose bytes they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataTarget {
    /// The bucket.
    pub(crate) bucket: BucketId,
    /// The version that the object, or the object that an upload becomes, will
    /// have.
    pub(crate) version: VersionId,
    /// The bucket's.
    pub(crate) redundancy: Redundancy,
    /// Blocks of a stripe that may be missing, as the bucket allows.
    pub(crate) losses: u8,
}

/// A block that a reader has found missing or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) stripe: StripeId,
    pub(crate) position: u8,
    pub(crate) host: NodeId,
}

/// What all readers and writers share.
pub(crate) struct DataPlane {
    pub(crate) hosts: Arc<Hosts>,
    /// Gives the epoch of the metadata's writer, for the headers of blocks.
    epoch: Box<dyn Fn() -> u64 + Send + Sync>,
    storing: Arc<Semaphore>,
    damage: mpsc::Sender<Damage>,
}

impl DataPlane {
    /// Over these Hosts; what readers find damaged comes out of the receiver.
    pub(crate) fn new(
        hosts: Arc<Hosts>,
        epoch: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> (Arc<Self>, mpsc::Receiver<Damage>) {
        let (damage, damaged) = mpsc::channel(DAMAGE_MAX);
        let storing = Arc::new(Semaphore::new(STORING_BYTES_MAX / BUDGET_UNIT));
        let plane = Self {
            hosts,
            epoch: Box::new(epoch),
            storing,
            damage,
        };
        (Arc::new(plane), damaged)
    }

    /// Has it looked at whether a block is lost.
    pub(crate) fn suspect(&self, damage: Damage) {
        // What does not fit now is found by the next read.
        let _ = self.damage.try_send(damage);
    }
}
