//! The block store of a storage Host.
//!
//! Blocks with a payload of at least [`FILE_PAYLOAD_BYTES_MIN`] have a file of
//! their own (`files`), smaller ones are records of segments (`segment`, `log`).
//! An index in memory knows where each is; it is made anew at each start, of the
//! names of the files and of the small indexes beside full segments
//! (`segment_index`), or of the segments themselves (`scan`).
//!
//! Invariants:
//! - a put or a delete that was answered as done is durable;
//! - a block is whole or not there, and never served without being verified;
//! - a block never changes: the same one again is answered as done, another one
//!   under its id is refused;
//! - where a failure leaves in doubt what the disk has (a deletion that was not
//!   durable, a put that may be), the next put or delete of that block writes
//!   again, and does not conclude from memory.
//!
//! Locks are taken in this order: claim of a block, table of segments, index.

mod claim;
mod compaction;
mod delete;
mod error;
mod files;
mod index;
mod log;
mod open;
mod put;
mod read;
mod record;
mod scan;
mod scrub;
mod segment;
mod segment_index;
mod space;
mod standing;

use std::{path::PathBuf, sync::Arc, time::Duration};

use gridmart_schemas::id::BlockId;
use parking_lot::RwLock;

use self::{
    claim::Claims,
    files::{BlockFiles, FolderMark},
    index::{Entry, Index, State},
    log::{SegmentLog, SegmentMark},
    space::Space,
    standing::Standing,
};
pub use self::{
    compaction::Maintenance, error::VolumeError, open::OpenReport, read::BlockRange,
    scrub::ScrubStep, space::SpaceUse,
};
pub(super) use self::{read::Layout, scrub::PAGE_BLOCKS};
pub(super) type VolumeSpace = Space;
pub(super) type VolumeStanding = Standing;

/// Payloads from this size on have a file of their own.
pub const FILE_PAYLOAD_BYTES_MIN: usize = 512 * 1024;
/// The most bytes of a segment.
pub const SEGMENT_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Between trials of a disk that has refused.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The most blocks of one answer of [`Volume::list`].
pub const LIST_BLOCKS_MAX: usize = 10_000;

/// Where a volume is and what it may use.
#[derive(Clone, Debug)]
pub struct VolumeSettings {
    /// Its folder, which is its alone.
    pub folder: PathBuf,
    /// The Policy's `MaxUsedSpace`, in bytes.
    pub quota: u64,
    /// The most bytes of a segment; [`SEGMENT_BYTES_MAX`] unless tested.
    pub segment_bytes_max: u32,
    /// Between trials of a disk that has refused; [`RETRY_PAUSE`].
    pub retry_pause: Duration,
}

impl VolumeSettings {
    /// The settings for a folder and a quota.
    pub fn new(folder: impl Into<PathBuf>, quota: u64) -> Self {
        Self {
            folder: folder.into(),
            quota,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            retry_pause: RETRY_PAUSE,
        }
    }
}

/// A block of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The block.
    pub id: BlockId,
    /// Bytes of the encoded block; 0 where a damaged one has none left.
    pub bytes: u32,
    /// It is not served any more.
    pub is_damaged: bool,
}

/// The block store. See the module.
pub struct Volume {
    folder: PathBuf,
    log: SegmentLog,
    files: BlockFiles,
    index: RwLock<Index>,
    claims: Claims,
    space: Space,
    standing: Arc<Standing>,
    /// One step of maintenance at a time.
    maintenance: parking_lot::Mutex<()>,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// What has to become durable before an answer.
#[derive(Clone, Debug, Default)]
struct Marks {
    folder: Option<FolderMark>,
    segment: Option<SegmentMark>,
    /// Something was written: when it is durable, the disk takes changes.
    is_change: bool,
    /// A block that was written again since its first place is in doubt: where
    /// it was, and where it is once that is durable.
    moved: Option<(BlockId, Entry, Entry)>,
}

impl Volume {
    /// Waits until the marks are durable, together with all who wait.
    fn settle(&self, marks: &Marks) -> Result<(), VolumeError> {
        if let Some(mark) = &marks.segment {
            self.log.settle(mark)?;
        }
        if let Some(mark) = marks.folder {
            self.files
                .settle(mark)
                .inspect_err(|error| self.standing.on_failure(error))?;
        }
        if marks.is_change {
            self.standing.on_success();
        }
        if let Some((id, before, after)) = marks.moved {
            self.index.write().replace(id, before, Some(after));
        }
        Ok(())
    }

    /// Blocks in the order of their ids, those after `after`, at most `limit`
    /// and [`LIST_BLOCKS_MAX`].
    pub fn list(&self, after: Option<BlockId>, limit: usize) -> Vec<Listed> {
        let index = self.index.read();
        index
            .after(after)
            .filter(|(_, entry)| entry.state != State::Deleting)
            .take(limit.min(LIST_BLOCKS_MAX))
            .map(|(id, entry)| Listed {
                id,
                bytes: entry.bytes,
                is_damaged: entry.state == State::Damaged,
            })
            .collect()
    }

    /// How many blocks there are, damaged ones included.
    pub fn blocks(&self) -> usize {
        self.index.read().len()
    }

    /// The blocks that were found damaged, and are not served.
    pub fn damaged(&self) -> Vec<BlockId> {
        self.index.read().damaged().collect()
    }

    /// Bytes in use and the quota.
    pub fn space(&self) -> SpaceUse {
        self.space.now()
    }

    /// Follows the Policy.
    pub fn set_quota(&self, quota: u64) {
        self.space.set_quota(quota);
    }

    /// Why the volume takes no changes, if it takes none.
    pub fn complaint(&self) -> Option<String> {
        self.standing.complaint()
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod throughput;
