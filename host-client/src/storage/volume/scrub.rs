//! Reads all blocks again, some at a time, to find what has become damaged.

use gridmart_schemas::id::BlockId;

use super::{Volume, VolumeError, index::State};

/// Blocks that are looked up at once.
pub(crate) const PAGE_BLOCKS: usize = 64;

/// What one step of scrubbing has found.
#[derive(Clone, Debug, Default)]
pub struct ScrubStep {
    /// The last block that was verified; `None`: all were, begin anew.
    pub next_after: Option<BlockId>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Blocks that were found damaged, and are set apart.
    pub damaged: Vec<BlockId>,
    /// Blocks that the disk could not read this time.
    pub unreadable: Vec<VolumeError>,
}

impl Volume {
    /// Verifies the blocks after `after`, in the order of their ids, until
    /// `bytes` were read or all are.
    pub fn scrub(&self, after: Option<BlockId>, bytes: u64) -> ScrubStep {
        let mut step = ScrubStep {
            next_after: after,
            ..ScrubStep::default()
        };
        loop {
            let page: Vec<_> = {
                let index = self.index.read();
                let page = index.after(step.next_after).take(PAGE_BLOCKS);
                page.collect()
            };
            if page.is_empty() {
                step.next_after = None;
                return step;
            }
            for (id, entry) in page {
                step.next_after = Some(id);
                if entry.state != State::Live {
                    continue;
                }
                self.scrub_block(&id, &mut step);
                step.bytes += u64::from(entry.bytes);
                if step.bytes >= bytes {
                    return step;
                }
            }
        }
    }

    fn scrub_block(&self, id: &BlockId, step: &mut ScrubStep) {
        match self.get(id, 0, usize::MAX) {
            Ok(_) | Err(VolumeError::NotFound(_)) => {}
            Err(VolumeError::Damaged { .. }) => step.damaged.push(*id),
            Err(other) => step.unreadable.push(other),
        }
    }
}
