//! How fast a volume is on this machine's disk, beside plain writes. To be run
//! alone, in release mode:
//!
//! `cargo test --release -p gridmart-host --lib throughput -- --ignored --nocapture`
//!
//! `GRIDMART_BENCH_FOLDER` names a folder on the disk in question.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use gridmart_fabric::{block::EncodedBlock, disk::RealDisk};

use super::{
    tests::{block_of, id},
    *,
};

const SECONDS: Duration = Duration::from_secs(4);
const SMALL_BYTES: usize = 4096;
const LARGE_BYTES: usize = 4 * 1024 * 1024;

/// Lets threads repeat something for some seconds; gives how often in one.
fn rate(threads: u64, work: impl Fn(u64) + Sync) -> f64 {
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.elapsed() < SECONDS {
                    work(next.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "it is for people")]
    let count = next.load(Ordering::Relaxed) as f64;
    count / begun.elapsed().as_secs_f64()
}

fn plain_small(folder: &Path) {
    let files: Vec<_> = (0..16)
        .map(|number| File::create(folder.join(format!("plain-{number}"))).unwrap())
        .collect();
    let bytes = [7; SMALL_BYTES];
    for threads in [1, 16] {
        let plain = rate(threads, |number| {
            let mut file = &files[usize::try_from(number % 16).unwrap()];
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
        });
        println!("plain append of 4 KiB and fdatasync, {threads} threads: {plain:.0}/s");
    }
}

fn plain_large(folder: &Path) {
    let bytes = vec![7; LARGE_BYTES];
    for threads in [1, 4] {
        let plain = rate(threads, |number| {
            let mut file = File::create(folder.join(format!("plain-{number}"))).unwrap();
            file.write_all(&bytes).unwrap();
            file.sync_all().unwrap();
        });
        println!(
            "plain file of 4 MiB and fsync, {threads} threads: {:.0} MiB/s",
            plain * 4.0
        );
    }
}

fn put_one(volume: &Volume, block: &EncodedBlock) {
    volume.put(std::slice::from_ref(block)).remove(0).unwrap();
}

fn volume_small(volume: &Volume) {
    let put = AtomicU64::new(0);
    for threads in [1, 16, 64] {
        let rate = rate(threads, |_| {
            let number = put.fetch_add(1, Ordering::Relaxed);
            put_one(volume, &block_of(number, SMALL_BYTES, 7));
        });
        println!("put of 4 KiB, {threads} threads: {rate:.0}/s");
    }
    let batch = rate(4, |_| {
        let first = put.fetch_add(100, Ordering::Relaxed);
        let blocks: Vec<_> = (first..first + 100)
            .map(|number| block_of(number, SMALL_BYTES, 7))
            .collect();
        assert!(volume.put(&blocks).iter().all(Result::is_ok));
    });
    println!(
        "put of 4 KiB, 4 threads, 100 at once: {:.0}/s",
        batch * 100.0
    );
    let there = put.load(Ordering::Relaxed);
    let get = rate(2, |number| {
        volume.get(&id(number * 7919 % there), 0, 1).unwrap();
    });
    println!("get of 4 KiB, 2 threads, cached: {get:.0}/s");
}

fn volume_large(volume: &Volume) {
    const FIRST: u64 = 1 << 40;
    let base = block_of(FIRST, LARGE_BYTES, 7);
    let put = AtomicU64::new(FIRST);
    for threads in [1, 4] {
        let rate = rate(threads, |_| {
            let number = put.fetch_add(1, Ordering::Relaxed);
            let header = *block_of(number, 1, 0).prefix().header();
            let identity = gridmart_fabric::block::StripeIdentity {
                stripe_bytes: LARGE_BYTES as u64,
                ..*header.identity()
            };
            let header = gridmart_fabric::block::BlockHeader::new(identity, 0).unwrap();
            // With the hashing that a parser of what arrives has to do.
            let block = EncodedBlock::seal(header, base.payload().clone()).unwrap();
            put_one(volume, &block);
        });
        println!("put of 4 MiB, {threads} threads: {:.0} MiB/s", rate * 4.0);
    }
    let there = put.load(Ordering::Relaxed) - FIRST;
    for (chunks, what) in [(64, "4 MiB"), (1, "64 KiB of 4 MiB")] {
        let get = rate(2, |number| {
            volume
                .get(&id(FIRST + number % there), 64 - chunks, chunks)
                .unwrap();
        });
        #[expect(clippy::cast_precision_loss, reason = "it is for people")]
        let rate = get * chunks as f64 / 16.0;
        println!("get of {what}, 2 threads, cached: {rate:.0} MiB/s");
    }
}

#[test]
#[ignore = "it measures, and takes a disk for a minute"]
fn throughput() {
    let folder =
        std::env::var_os("GRIDMART_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    plain_small(folder.path());
    let settings = VolumeSettings::new(folder.path().join("volume"), u64::MAX);
    let (volume, _) = Volume::open(Arc::new(RealDisk), &settings).unwrap();
    volume_small(&volume);
    plain_large(folder.path());
    volume_large(&volume);
    let begun = Instant::now();
    while matches!(volume.maintain(), Ok(Maintenance::Sealed)) {}
    println!("sealing: {:.2} s", begun.elapsed().as_secs_f64());
    let blocks = volume.blocks();
    drop(volume);
    let begun = Instant::now();
    let (_, report) = Volume::open(Arc::new(RealDisk), &settings).unwrap();
    assert_eq!(report.blocks, blocks);
    let time = begun.elapsed().as_secs_f64();
    println!(
        "opening with {blocks} blocks: {time:.2} s, {} segments read",
        report.segments_read
    );
}
