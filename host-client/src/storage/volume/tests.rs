use std::path::Path;

use gridmart_fabric::{
    block::{BlockHeader, CHUNK_BYTES, EncodedBlock, StripeIdentity},
    disk::{
        Disk as _,
        test_disk::{Fault, TestDisk},
    },
};
use gridmart_schemas::{
    id::{BucketId, StripeId, VersionId},
    problem::Code,
    storage::Redundancy,
};
use uuid::Uuid;

use super::*;

/// A payload that has a file of its own.
pub(super) const LARGE: usize = FILE_PAYLOAD_BYTES_MIN;

pub(crate) fn id(number: u64) -> BlockId {
    BlockId {
        stripe: StripeId::from_uuid(Uuid::from_u128(
            u128::from(number) << 64 | u128::from(number),
        )),
        position: 0,
    }
}

/// The block of a number, with this many bytes of payload.
pub(crate) fn block_of(number: u64, payload: usize, fill: u8) -> EncodedBlock {
    let identity = StripeIdentity {
        redundancy: Redundancy::replica(1).unwrap(),
        bucket: BucketId::from_uuid(Uuid::from_u128(1)),
        version: VersionId::from_uuid(Uuid::from_u128(2)),
        stripe: id(number).stripe,
        ordinal: 0,
        stripe_bytes: payload as u64,
        epoch: 1,
    };
    let header = BlockHeader::new(identity, 0).unwrap();
    EncodedBlock::seal(header, vec![fill; payload].into()).unwrap()
}

pub(super) fn settings() -> VolumeSettings {
    VolumeSettings {
        segment_bytes_max: 8 * 1024,
        retry_pause: Duration::ZERO,
        ..VolumeSettings::new("/data/volume", 1 << 30)
    }
}

pub(super) fn open(disk: &TestDisk) -> (Volume, OpenReport) {
    Volume::open(Arc::new(disk.clone()), &settings()).unwrap()
}

pub(super) fn put(volume: &Volume, block: &EncodedBlock) -> Result<(), VolumeError> {
    volume.put(std::slice::from_ref(block)).remove(0)
}

pub(super) fn delete(volume: &Volume, id: BlockId) -> Result<(), VolumeError> {
    volume.delete(&[id]).remove(0)
}

/// Maintains until there is nothing left to do.
pub(super) fn tidy(volume: &Volume) {
    for _ in 0..1000 {
        match volume.maintain().unwrap() {
            Maintenance::Idle | Maintenance::LeftAlone => return,
            Maintenance::Sealed | Maintenance::Compacted => {}
        }
    }
    panic!("there is always something left to do");
}

#[test]
fn what_was_put_is_served_whole_and_by_chunks() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let large = 2 * LARGE + 17;
    for (number, payload) in [(1, 0), (2, 1), (3, CHUNK_BYTES + 1), (4, large)] {
        let block = block_of(number, payload, 7);
        put(&volume, &block).unwrap();
        let whole = volume.get(&id(number), 0, usize::MAX).unwrap();
        assert_eq!(whole.prefix, *block.prefix());
        assert_eq!(whole.payload, *block.payload());
        let prefix = volume.get(&id(number), 0, 0).unwrap();
        assert!(prefix.payload.is_empty());
        let chunks = block.prefix().header().chunks();
        let last = volume.get(&id(number), chunks - 1, 5).unwrap();
        assert_eq!(last.payload, block.payload()[(chunks - 1) * CHUNK_BYTES..]);
        assert!(matches!(
            volume.get(&id(number), chunks, 1),
            Err(VolumeError::NoSuchChunk { there, .. }) if there == chunks
        ));
    }
    let numbers: Vec<_> = volume.list(Some(id(1)), 2).iter().map(|b| b.id).collect();
    assert_eq!(numbers, [id(2), id(3)]);
    assert_eq!(volume.blocks(), 4);
    assert!(matches!(
        volume.get(&id(9), 0, 1),
        Err(VolumeError::NotFound(_))
    ));
}

#[test]
fn the_same_block_again_is_done_and_another_one_is_refused() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    for (number, payload) in [(1, 100), (2, LARGE)] {
        let block = block_of(number, payload, 1);
        put(&volume, &block).unwrap();
        let used = volume.space().used;
        put(&volume, &block).unwrap();
        assert_eq!(volume.space().used, used);
        let refused = put(&volume, &block_of(number, payload, 2)).unwrap_err();
        assert_eq!(refused.to_problem().code, Code::BlockConflict);
        let there = volume.get(&id(number), 0, usize::MAX).unwrap();
        assert_eq!(there.payload, *block.payload());
    }
    let both = [block_of(5, 10, 1), block_of(5, 10, 2), block_of(6, 10, 1)];
    let answers = volume.put(&both);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(VolumeError::Conflict { .. })));
}

#[test]
fn what_was_deleted_is_gone_and_may_be_put_again() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    for (number, payload) in [(1, 100), (2, LARGE)] {
        put(&volume, &block_of(number, payload, 1)).unwrap();
        delete(&volume, id(number)).unwrap();
        delete(&volume, id(number)).unwrap();
        assert!(matches!(
            volume.get(&id(number), 0, 1),
            Err(VolumeError::NotFound(_))
        ));
        put(&volume, &block_of(number, payload, 2)).unwrap();
    }
    disk.restart();
    let (volume, _) = open(&disk);
    assert_eq!(volume.get(&id(2), 0, 1).unwrap().payload[0], 2);
    assert_eq!(volume.get(&id(1), 0, 1).unwrap().payload[0], 2);
}

#[test]
fn the_quota_is_kept() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    volume.set_quota(1000);
    put(&volume, &block_of(1, 500, 1)).unwrap();
    for payload in [500, LARGE] {
        let refused = put(&volume, &block_of(2, payload, 1)).unwrap_err();
        assert_eq!(refused.code(), Code::StorageFailed);
        assert!(refused.to_string().contains("MaxUsedSpace"), "{refused}");
    }
    volume.set_quota(2000);
    put(&volume, &block_of(2, 500, 1)).unwrap();
    delete(&volume, id(1)).unwrap();
}

#[test]
fn a_disk_that_refuses_makes_it_read_only_until_a_trial_succeeds() {
    for fault in [Fault::Full, Fault::ReadOnly] {
        let disk = TestDisk::new();
        let (volume, _) = open(&disk);
        put(&volume, &block_of(1, 100, 1)).unwrap();
        put(&volume, &block_of(2, LARGE, 1)).unwrap();
        disk.fail_at(0, fault);
        for number in 3..6 {
            assert!(put(&volume, &block_of(number, 100, 1)).is_err());
            assert!(put(&volume, &block_of(number + 10, LARGE, 1)).is_err());
        }
        assert!(volume.complaint().is_some(), "{fault:?}");
        assert!(volume.get(&id(1), 0, 1).is_ok() && volume.get(&id(2), 0, 1).is_ok());
        put(&volume, &block_of(2, LARGE, 1)).unwrap();
        assert!(volume.complaint().is_some(), "that needed no write");
        disk.mend();
        put(&volume, &block_of(3, 100, 1)).unwrap();
        assert!(volume.complaint().is_none());
        disk.restart();
        let (volume, _) = open(&disk);
        assert!(volume.get(&id(3), 0, 1).is_ok());
        assert!(volume.get(&id(4), 0, 1).is_err());
    }
}

#[test]
fn one_failed_sync_costs_a_segment_and_nothing_more() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    put(&volume, &block_of(1, 100, 1)).unwrap();
    disk.fail_at(1, Fault::FailedSync);
    assert!(put(&volume, &block_of(2, 100, 1)).is_err());
    assert!(volume.complaint().is_none());
    put(&volume, &block_of(3, 100, 1)).unwrap();
    // It is in the cache of the machine, and not on its disk.
    put(&volume, &block_of(2, 100, 1)).unwrap();
    disk.restart();
    let (volume, _) = open(&disk);
    for number in 1..4 {
        assert!(volume.get(&id(number), 0, 1).is_ok(), "{number}");
    }
}

#[test]
fn what_a_killed_process_has_not_synced_is_not_taken_for_durable() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    put(&volume, &block_of(1, 100, 1)).unwrap();
    disk.fail_at(1, Fault::FailedSync);
    assert!(put(&volume, &block_of(2, 100, 1)).is_err());
    drop(volume);
    // Another process finds it in the cache.
    let (volume, _) = open(&disk);
    assert!(volume.get(&id(2), 0, 1).is_ok());
    put(&volume, &block_of(2, 100, 1)).unwrap();
    disk.restart();
    let (volume, _) = open(&disk);
    assert!(volume.get(&id(2), 0, 1).is_ok());
}

#[test]
fn a_deletion_that_only_the_cache_knows_is_written_again() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    put(&volume, &block_of(1, 100, 1)).unwrap();
    disk.fail_at(1, Fault::FailedSync);
    assert!(delete(&volume, id(1)).is_err());
    drop(volume);
    let (volume, _) = open(&disk);
    assert_eq!(volume.blocks(), 0, "as the cache has it");
    delete(&volume, id(1)).unwrap();
    disk.restart();
    assert_eq!(open(&disk).0.blocks(), 0);
}

#[test]
fn compaction_frees_what_is_garbage_and_keeps_the_rest() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    for number in 0..100 {
        put(&volume, &block_of(number, 1000, 3)).unwrap();
    }
    tidy(&volume);
    let full = volume.space().used;
    for number in (0..100).filter(|number| number % 10 != 0) {
        delete(&volume, id(number)).unwrap();
    }
    tidy(&volume);
    let after = volume.space().used;
    assert!(after < full / 3, "{after} of {full}");
    disk.restart();
    let (volume, report) = open(&disk);
    assert_eq!((report.blocks, report.segments_read), (10, 1), "{report:?}");
    assert!(report.damage.is_empty());
    assert_eq!(volume.space().used, after);
    for number in 0..100 {
        let there = volume.get(&id(number), 0, 1);
        assert_eq!(there.is_ok(), number % 10 == 0, "{number}");
    }
    for number in 0..100 {
        delete(&volume, id(number)).unwrap();
    }
    // The segment that grows keeps what it has until it is full.
    for number in 200..210 {
        put(&volume, &block_of(number, 1000, 3)).unwrap();
        tidy(&volume);
    }
    assert!(volume.space().used < 24_000, "{:?}", volume.space());
}

#[test]
fn a_lost_index_is_made_anew_of_its_segment() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    for number in 0..50 {
        put(&volume, &block_of(number, 500, 3)).unwrap();
    }
    delete(&volume, id(7)).unwrap();
    tidy(&volume);
    drop(volume);
    let segments = Path::new("/data/volume/segments");
    let mut lost = 0;
    for path in disk.list(segments).unwrap() {
        if path.extension().is_some_and(|extension| extension == "idx") {
            if lost % 2 == 0 {
                disk.remove(&path).unwrap();
            } else {
                disk.truncate(&path, 40).unwrap();
            }
            lost += 1;
        }
    }
    assert!(lost > 2);
    let (volume, report) = open(&disk);
    assert_eq!((report.blocks, report.segments_read), (49, lost + 1));
    tidy(&volume);
    disk.restart();
    let (_, report) = open(&disk);
    assert_eq!((report.blocks, report.segments_read), (49, 1));
}

#[test]
fn many_threads_put_delete_and_read_while_it_is_maintained() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let (volume, ended) = (&volume, &std::sync::atomic::AtomicUsize::new(0));
    let done = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            scope.spawn(move || {
                for round in 0..40 {
                    let own = thread * 1000 + round;
                    put(volume, &block_of(own, 700, 1)).unwrap();
                    // All put this one, and one of them deletes it.
                    put(volume, &block_of(9000 + round, 300, 1)).unwrap();
                    if round % 3 != 0 {
                        delete(volume, id(own)).unwrap();
                    } else {
                        assert!(volume.get(&id(own), 0, 9).is_ok());
                    }
                }
                ended.fetch_add(1, done);
            });
        }
        scope.spawn(move || {
            while ended.load(done) < 8 {
                volume.maintain().unwrap();
            }
        });
    });
    disk.restart();
    let (again, _) = open(&disk);
    assert_eq!(again.blocks(), 8 * 14 + 40);
    assert_eq!(again.scrub(None, u64::MAX).damaged, []);
    tidy(&again);
}
