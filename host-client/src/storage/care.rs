//! What a storage Host does for its blocks by itself: follows the room on its
//! disk, tries a disk that has refused, compacts segments, and reads every block
//! again now and then to find damage before somebody needs the block.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_fabric::{
    block::{BlockHeader, EncodedBlock, StripeIdentity},
    disk::{Disk, Secrecy, durable_write},
};
use gridmart_schemas::{
    id::{BlockId, BucketId, StripeId, VersionId},
    scalar::UtcTime,
    storage::Redundancy,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{blocks::Blocks, metrics::StorageMetrics, volume::Maintenance};
use crate::member::Member;

/// How often the room is looked at, and whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A larger file is not ours.
const SCRUB_FILE_BYTES_MAX: u64 = 4096;

/// How far scrubbing has come; kept, so that a restart does not begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// The last block that was read in the present pass.
    after: Option<BlockId>,
    /// When every block had been read last.
    finished: Option<UtcTime>,
}

/// How fast blocks are read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScrubPace {
    /// Between two steps.
    interval: Duration,
    /// All blocks are read within so long.
    time: Duration,
    /// A pass over few blocks is over soon: the next one begins so long after
    /// it.
    pause: Duration,
}

impl ScrubPace {
    /// Within a week; or within so long, over and over.
    pub(super) fn within(time: Option<Duration>) -> Self {
        time.map_or(
            Self {
                interval: Duration::from_secs(10),
                time: Duration::from_hours(7 * 24),
                pause: Duration::from_hours(24),
            },
            |time| Self {
                interval: Duration::ZERO,
                time,
                pause: Duration::ZERO,
            },
        )
    }

    /// Bytes of one step, so that a pass takes the time that it may.
    fn step_bytes(self, used: u64) -> u64 {
        let interval = self.interval.max(LOOK_INTERVAL);
        let steps = self.time.as_secs() / interval.as_secs().max(1);
        used.div_ceil(steps.max(1)).max(1)
    }

    /// Whether the next pass has still to wait. A clock that was set back does
    /// not hold it up for long.
    fn rests(self, finished: UtcTime, now: UtcTime) -> bool {
        let since = now.to_offset_date_time() - finished.to_offset_date_time();
        since.unsigned_abs() < self.pause
    }
}

/// See the module.
pub(super) struct Care {
    member: Arc<Member>,
    volume: Arc<Blocks>,
    metrics: StorageMetrics,
    max_used_space: Option<u64>,
    scrub_pace: ScrubPace,
    path: PathBuf,
    progress: Mutex<Progress>,
    /// The volume took no changes when it was looked at last.
    was_refusing: AtomicBool,
}

impl Care {
    pub(super) fn new(
        member: Arc<Member>,
        volume: Arc<Blocks>,
        metrics: StorageMetrics,
        max_used_space: Option<u64>,
        scrub_pace: ScrubPace,
    ) -> Self {
        let path = member.folder("scrub.json");
        let disk = &member.disk_watch.disk;
        let kept = disk.read_bounded(&path, SCRUB_FILE_BYTES_MAX).ok();
        // It costs a pass at worst.
        let progress = kept
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            member,
            volume,
            metrics,
            max_used_space,
            scrub_pace,
            path,
            progress: Mutex::new(progress.unwrap_or_default()),
            was_refusing: AtomicBool::new(false),
        }
    }

    /// When every block had been read last.
    pub(super) fn last_scrub(&self) -> Option<UtcTime> {
        self.progress.lock().finished
    }

    /// Cares until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut scrubbed = Instant::now();
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let is_scrub_due = scrubbed.elapsed() >= self.scrub_pace.interval;
            if is_scrub_due {
                scrubbed = Instant::now();
            }
            let care = Arc::clone(&self);
            let cared = tokio::task::spawn_blocking(move || {
                care.look_at_room();
                care.look_at_disk();
                care.maintain();
                if is_scrub_due {
                    care.scrub();
                }
            });
            if let Err(error) = cared.await {
                tracing::error!(%error, "the Host's blocks could not be looked after");
            }
        }
    }

    /// Lets blocks take what the Policy allows and the disk has room for.
    pub(super) fn look_at_room(&self) {
        let used = self.volume.space().used;
        let folder = &self.member.data_dir;
        match self.volume.room(folder, self.max_used_space) {
            Ok((quota, _)) => self.volume.set_quota(quota),
            Err(error) => {
                tracing::warn!(%error, "the room on the Host's disk cannot be told");
            }
        }
        let blocks = self.volume.blocks() as u64;
        let damaged = self.volume.damaged().len() as u64;
        self.metrics.show(blocks, damaged, used);
    }

    /// Tries a disk that has refused: its Element sends nothing to a Host that
    /// takes no changes, so nobody else would.
    fn look_at_disk(&self) {
        if self.volume.complaint().is_some() {
            try_disk(&self.volume);
        }
        let is_refusing = self.volume.complaint().is_some();
        if self.was_refusing.swap(is_refusing, Ordering::Relaxed) != is_refusing {
            self.member.changed.notify_one();
        }
    }

    /// One piece of maintenance; the next look does the next one.
    fn maintain(&self) {
        match self.volume.maintain() {
            Ok(Maintenance::Idle | Maintenance::Sealed | Maintenance::Compacted) => {}
            Ok(Maintenance::LeftAlone) => {
                tracing::debug!("a segment that cannot be read whole is left alone");
            }
            Err(error) => tracing::warn!(%error, "the Host's blocks could not be maintained"),
        }
    }

    /// Reads some blocks again.
    fn scrub(&self) {
        let before = *self.progress.lock();
        let is_resting = before.after.is_none()
            && before
                .finished
                .is_some_and(|finished| self.scrub_pace.rests(finished, UtcTime::now()));
        if is_resting {
            return;
        }
        let step = self.volume.scrub(
            before.after,
            self.scrub_pace.step_bytes(self.volume.space().used),
        );
        self.metrics.on_scrubbed(step.bytes);
        for error in &step.unreadable {
            tracing::warn!(%error, "a block could not be read this time");
        }
        let mut after = Progress {
            after: step.next_after,
            ..before
        };
        if step.next_after.is_none() {
            after.finished = Some(UtcTime::now());
        }
        *self.progress.lock() = after;
        self.keep(after);
        if !step.damaged.is_empty() {
            self.member.changed.notify_one();
        }
    }

    fn keep(&self, progress: Progress) {
        let disk: &dyn Disk = &*self.member.disk_watch.disk;
        let kept = serde_json::to_vec(&progress)
            .map_err(std::io::Error::from)
            .and_then(|bytes| durable_write(disk, &self.path, &bytes, Secrecy::Open));
        if let Err(error) = kept {
            tracing::debug!(%error, "how far scrubbing has come is not kept");
        }
    }
}

/// Puts an empty block of an object that nobody has, and deletes it again.
fn try_disk(volume: &Blocks) {
    let Some(block) = trial_block() else { return };
    if let [Ok(())] = &volume.put(std::slice::from_ref(&block))[..] {
        // One that stays is deleted by the Element, which knows nothing of it.
        volume.delete(&[block.prefix().header().id()]);
    }
}

fn trial_block() -> Option<EncodedBlock> {
    let identity = StripeIdentity {
        redundancy: Redundancy::replica(1).ok()?,
        bucket: BucketId::generate(),
        version: VersionId::generate(),
        stripe: StripeId::generate(),
        ordinal: 0,
        stripe_bytes: 0,
        epoch: 0,
    };
    let header = BlockHeader::new(identity, 0).ok()?;
    EncodedBlock::seal(header, Bytes::new()).ok()
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::disk::test_disk::{Fault, TestDisk};

    use super::*;
    use crate::storage::volume::{Volume, VolumeSettings};

    #[test]
    fn a_disk_that_has_refused_is_tried_until_it_does_not() {
        let disk = TestDisk::new();
        let settings = VolumeSettings {
            retry_pause: Duration::ZERO,
            ..VolumeSettings::new("/data/volume", 1 << 20)
        };
        let (volume, _) = Volume::open(Arc::new(disk.clone()), &settings).unwrap();
        let volume = Blocks::Disk(volume);
        disk.fail_at(0, Fault::Full);
        while volume.complaint().is_none() {
            try_disk(&volume);
        }
        try_disk(&volume);
        assert!(volume.complaint().is_some(), "it still refuses");
        disk.mend();
        try_disk(&volume);
        assert_eq!((volume.complaint(), volume.blocks()), (None, 0));
    }

    #[test]
    fn a_pass_takes_a_week_at_most() {
        let steps = 7 * 24 * 360;
        let step_bytes = |used| ScrubPace::within(None).step_bytes(used);
        assert_eq!(step_bytes(0), 1);
        for used in [1, steps, 10 * steps + 1, 1 << 40] {
            assert!(step_bytes(used) * steps >= used);
        }
        assert!(step_bytes(1 << 40) < 20 * 1024 * 1024);
    }
}
