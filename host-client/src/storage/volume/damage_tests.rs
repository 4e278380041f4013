//! Bits that flip, files that are cut, swapped or lost: found, never served.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gridmart_fabric::{
    block::EncodedBlock,
    disk::{Disk as _, Secrecy, test_disk::TestDisk},
};

use super::{
    tests::{LARGE, block_of, delete, id, open, put, tidy},
    *,
};

type Blocks = BTreeMap<BlockId, EncodedBlock>;

fn files(disk: &TestDisk, folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new("/data/volume").join(folder);
    let mut paths = disk.list(&folder).unwrap();
    paths.retain(|path| path.to_string_lossy().ends_with(extension));
    paths
}

fn block_path(block: &EncodedBlock) -> PathBuf {
    let header = block.prefix().header();
    let [.., last] = *header.id().stripe.as_uuid().as_bytes();
    let name = format!("{}.{}", header.id(), header.encoded_bytes());
    Path::new("/data/volume/blocks").join(format!("{last:02x}/{name}"))
}

/// Three small blocks in a segment, and perhaps its index, with nothing else.
fn small(sealed: bool) -> (TestDisk, Blocks) {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let blocks: Vec<_> = [(1, 40), (2, 0), (3, 90)]
        .map(|(number, payload)| block_of(number, payload, 5))
        .into();
    assert!(volume.put(&blocks).iter().all(Result::is_ok));
    if sealed {
        put(&volume, &block_of(4, 8000, 5)).unwrap();
        tidy(&volume);
        delete(&volume, id(4)).unwrap();
    }
    let all = blocks.into_iter();
    (disk, all.map(|b| (b.prefix().header().id(), b)).collect())
}

/// Every block is served as it was, or not at all; gives those that are not.
fn not_served(volume: &Volume, blocks: &Blocks) -> Vec<BlockId> {
    let lost = blocks
        .iter()
        .filter(|(id, block)| match volume.get(id, 0, usize::MAX) {
            Ok(found) => {
                assert_eq!(found.prefix, *block.prefix());
                assert!(found.payload == *block.payload());
                false
            }
            Err(VolumeError::Damaged { .. } | VolumeError::NotFound(_)) => true,
            Err(other) => panic!("{other}"),
        });
    lost.map(|(id, _)| *id).collect()
}

#[test]
fn a_flipped_bit_anywhere_in_a_segment_costs_one_block_at_most_and_is_reported() {
    for sealed in [false, true] {
        let (disk, blocks) = small(sealed);
        let path = files(&disk, "segments", ".seg").remove(0);
        let sound = disk.read(&path).unwrap();
        let ends_at = sound.len() - if sealed { 0 } else { 64 + 256 + 32 + 90 };
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.write(&path, &bytes, Secrecy::Open).unwrap();
            let (volume, report) = open(&disk);
            let scrubbed = volume.scrub(None, u64::MAX);
            let lost = not_served(&volume, &blocks);
            assert!(lost.len() <= 1, "byte {at}: {lost:?}");
            if sealed {
                // A sealed segment's records are known without their headers.
                assert_eq!(scrubbed.damaged, lost, "byte {at}");
            } else if at < ends_at {
                let known = volume.damaged();
                assert!(!report.damage.is_empty() || known == lost, "byte {at}");
            }
            // What is said to be damaged may be put again, and is served.
            for id in &lost {
                put(&volume, &blocks[id]).unwrap();
            }
            assert_eq!(not_served(&volume, &blocks), []);
            // Back to the beginning.
            for new in files(&disk, "segments", ".seg")
                .iter()
                .skip(1 + usize::from(sealed))
            {
                disk.remove(new).unwrap();
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_block_file_is_found() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let block = block_of(1, LARGE, 9);
    put(&volume, &block).unwrap();
    let path = block_path(&block);
    let sound = disk.read(&path).unwrap();
    let prefix = block.prefix().bytes().len();
    let some_of_payload = (prefix..sound.len()).step_by(40_009);
    for at in (0..prefix)
        .step_by(3)
        .chain(some_of_payload)
        .chain([sound.len() - 1])
    {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.write(&path, &bytes, Secrecy::Open).unwrap();
        let (volume, _) = open(&disk);
        assert_eq!(volume.scrub(None, 1).damaged, [id(1)], "byte {at}");
        assert!(matches!(
            volume.get(&id(1), 0, 1),
            Err(VolumeError::Damaged { .. })
        ));
        // Also after a restart, without having to look.
        let (volume, _) = open(&disk);
        assert_eq!(volume.damaged(), [id(1)]);
        put(&volume, &block).unwrap();
        assert!(volume.get(&id(1), 0, usize::MAX).is_ok());
        assert_eq!(volume.damaged(), []);
    }
}

#[test]
fn a_range_is_served_as_long_as_its_own_chunks_are_sound() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let block = block_of(1, LARGE, 9);
    put(&volume, &block).unwrap();
    let mut bytes = disk.read(&block_path(&block)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    disk.write(&block_path(&block), &bytes, Secrecy::Open)
        .unwrap();
    assert!(volume.get(&id(1), 2, 3).is_ok());
    assert!(volume.get(&id(1), 7, 1).is_err());
    assert!(volume.get(&id(1), 2, 3).is_err(), "it is set apart now");
}

#[test]
fn swapped_cut_and_lost_block_files_are_found() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let blocks = [1, 257].map(|number| block_of(number, LARGE, 9));
    assert!(volume.put(&blocks).iter().all(Result::is_ok));
    let [one, other] = [block_path(&blocks[0]), block_path(&blocks[1])];
    let between = Path::new("/between");
    disk.rename(&one, between).unwrap();
    disk.rename(&other, &one).unwrap();
    disk.rename(between, &other).unwrap();
    assert_eq!(volume.scrub(None, u64::MAX).damaged, [id(1), id(257)]);
    assert!(volume.put(&blocks).iter().all(Result::is_ok));
    disk.truncate(&one, 5000).unwrap();
    disk.remove(&other).unwrap();
    assert_eq!(volume.scrub(None, u64::MAX).damaged, [id(1), id(257)]);
    assert!(volume.put(&blocks).iter().all(Result::is_ok));
    assert_eq!(volume.scrub(None, u64::MAX).damaged, []);
}

#[test]
fn a_cut_segment_loses_what_was_cut_and_says_so() {
    for sealed in [false, true] {
        let (disk, blocks) = small(sealed);
        let path = files(&disk, "segments", ".seg").remove(0);
        let sound = disk.read(&path).unwrap();
        for length in 0..sound.len() {
            disk.write(&path, &sound[..length], Secrecy::Open).unwrap();
            let (volume, report) = open(&disk);
            let lost = not_served(&volume, &blocks);
            let whole = sound.len() - (64 + 256 + 32 + 90);
            if length < whole {
                assert!(!lost.is_empty(), "{length}");
            }
            if sealed {
                assert!(!report.damage.is_empty());
                assert_eq!(volume.damaged().len(), lost.len());
            }
        }
    }
}

#[test]
fn two_swapped_segments_are_found() {
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    let blocks: Vec<_> = (0..40).map(|number| block_of(number, 500, 5)).collect();
    assert!(volume.put(&blocks).iter().all(Result::is_ok));
    tidy(&volume);
    let segments = files(&disk, "segments", ".seg");
    let (one, other) = (
        disk.read(&segments[0]).unwrap(),
        disk.read(&segments[1]).unwrap(),
    );
    disk.write(&segments[0], &other, Secrecy::Open).unwrap();
    disk.write(&segments[1], &one, Secrecy::Open).unwrap();
    let (volume, _) = open(&disk);
    let damaged = volume.scrub(None, u64::MAX).damaged;
    assert!(damaged.len() > 10 && damaged.len() < 40);
    for index in files(&disk, "segments", ".idx") {
        disk.remove(&index).unwrap();
    }
    let (volume, report) = open(&disk);
    assert!(report.damage.len() >= 2, "{:?}", report.damage);
    assert_eq!(volume.damaged(), damaged, "that was noted");
    for block in &blocks {
        put(&volume, block).unwrap();
    }
    tidy(&volume);
    assert_eq!(volume.scrub(None, u64::MAX).damaged, []);
    assert_eq!(volume.blocks(), 40);
    let left = files(&disk, "segments", ".seg");
    assert_eq!(left[..2], segments[..2], "they are left to be looked at");
}

#[test]
fn damage_of_a_small_block_is_known_after_a_restart_and_a_compaction() {
    let (disk, blocks) = small(true);
    let path = files(&disk, "segments", ".seg").remove(0);
    let mut bytes = disk.read(&path).unwrap();
    bytes[64 + 64 + 256 + 5] ^= 1;
    disk.write(&path, &bytes, Secrecy::Open).unwrap();
    let (volume, _) = open(&disk);
    assert_eq!(volume.scrub(None, u64::MAX).damaged, [id(1)]);
    // Durable with whatever is put next.
    put(&volume, &block_of(50, 10, 1)).unwrap();
    for _ in 0..3 {
        disk.restart();
        let (volume, _) = open(&disk);
        assert_eq!(volume.damaged(), [id(1)]);
        tidy(&volume);
        assert_eq!(volume.damaged(), [id(1)]);
    }
    let (volume, _) = open(&disk);
    delete(&volume, id(1)).unwrap();
    disk.restart();
    let (volume, _) = open(&disk);
    assert_eq!(volume.damaged(), []);
    assert_eq!(not_served(&volume, &blocks), [id(1)]);
}

#[test]
fn bytes_that_look_like_a_record_are_none_in_a_payload() {
    // A block whose payload is a copy of a segment with a tombstone.
    let elsewhere = TestDisk::new();
    let (volume, _) = open(&elsewhere);
    put(&volume, &block_of(2, 10, 1)).unwrap();
    delete(&volume, id(2)).unwrap();
    let forged = elsewhere
        .read(&files(&elsewhere, "segments", ".seg")[0])
        .unwrap();
    let disk = TestDisk::new();
    let (volume, _) = open(&disk);
    put(&volume, &block_of(2, 10, 1)).unwrap();
    let header = *block_of(3, forged.len(), 0).prefix().header();
    put(&volume, &EncodedBlock::seal(header, forged.into()).unwrap()).unwrap();
    put(&volume, &block_of(4, 10, 1)).unwrap();
    let path = files(&disk, "segments", ".seg").remove(0);
    let mut bytes = disk.read(&path).unwrap();
    // The header of the record that holds it is damaged: its payload is searched.
    bytes[64 + 64 + 256 + 32 + 10] ^= 1;
    disk.write(&path, &bytes, Secrecy::Open).unwrap();
    let (volume, report) = open(&disk);
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    assert!(volume.get(&id(2), 0, 1).is_ok() && volume.get(&id(4), 0, 1).is_ok());
}

#[test]
fn a_lost_key_is_found_in_the_segments() {
    let (disk, blocks) = small(false);
    disk.remove(Path::new("/data/volume/volume")).unwrap();
    let (volume, _) = open(&disk);
    assert_eq!(not_served(&volume, &blocks), []);
}
