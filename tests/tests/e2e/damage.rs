//! Damage on the disks of storage Hosts: never served, found by reads, by the
//! Hosts' own scrub or by the Element's audit, and made good. Hosts that are
//! lost for good, and metadata that are.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Running, Supermarket, SupermarketBuilder, storage_soak, wait_for};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::objects::{MIB, bucket, lost, noise, run};

/// Whose disk is damaged.
const HOST: &str = "storage-3";
const SMALL: u64 = 20;
const LARGE: u64 = 3;

fn market(folder: &Path) -> SupermarketBuilder {
    Supermarket::builder()
        .hosts(0)
        .storage_hosts(7)
        .folder(folder)
}

/// Large objects, which have files of their own on Hosts, and small ones, which
/// lie in segments.
async fn fill(storage: &Storage) {
    bucket(storage, "data", Some("rs(4,2)")).await;
    for number in 0..LARGE {
        large_put(storage, number).await;
    }
    for number in 0..SMALL {
        let key = format!("small/{number}");
        let bytes = noise(5000, number);
        storage.put("data", &key).bytes(bytes).await.unwrap();
    }
}

/// Puts more large objects until it is so, and gives how many there are: each leaves
/// one Host out, now and then the same one.
async fn fill_until(storage: &Storage, is_so: impl Fn() -> bool) -> u64 {
    let mut number = LARGE;
    while !is_so() {
        assert!(number < 20, "the Host is left out each time");
        large_put(storage, number).await;
        number += 1;
    }
    number
}

async fn large_put(storage: &Storage, number: u64) {
    let bytes = noise(16 * MIB, number);
    let put = storage.put("data", format!("large/{number}"));
    put.bytes(bytes).await.unwrap();
}

async fn all_is_right(storage: &Storage) {
    all_of_are_right(storage, LARGE).await;
}

/// The same, of which so many are large.
async fn all_of_are_right(storage: &Storage, large: u64) {
    for number in 0..large {
        let key = format!("large/{number}");
        let got = storage.get("data", &key).bytes().await.unwrap();
        assert!(got == noise(16 * MIB, number), "{key}");
    }
    for number in 0..SMALL {
        let key = format!("small/{number}");
        let got = storage.get("data", &key).bytes().await.unwrap();
        assert!(got == noise(5000, number), "{key}");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Block files of the Host; at least so many.
fn block_files(market: &Supermarket, least: usize) -> Vec<PathBuf> {
    let files = files_below(&market.folder().join(HOST).join("volume/blocks"));
    assert!(files.len() >= least, "{files:?}");
    files
}

fn segment(market: &Supermarket) -> PathBuf {
    let folder = market.folder().join(HOST).join("volume/segments");
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "seg");
    let found = files_below(&folder).into_iter().find(is_segment);
    found.expect("the Host has small blocks")
}

/// The position in its stripe of the block in a file: its name is
/// `STRIPE-POSITION.BYTES`.
fn position_of(file: &Path) -> u8 {
    let name = file.file_stem().unwrap().to_str().unwrap();
    name.rsplit_once('-').unwrap().1.parse().unwrap()
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Blocks that were made anew so far, as certificates state.
fn rebuilt(market: &Supermarket) -> u64 {
    let rebuilt = |heal: &serde_json::Value| heal["certificate"]["blocks_rebuilt"].as_u64();
    let (_, heals) = lost(market);
    heals.iter().filter_map(rebuilt).sum()
}

/// Waits until something was made anew, and nothing is lost; all certificates
/// say that all went well.
fn wait_healed(market: &Supermarket, least: u64) {
    let heals = wait_for(LONG, "what was damaged is made anew", || {
        let (lost, heals) = lost(market);
        let blocks = rebuilt(market);
        if lost == 0 && blocks >= least {
            Ok(heals)
        } else {
            Err(format!("{lost} lost; {blocks} rebuilt"))
        }
    });
    for heal in heals {
        assert_eq!(heal["verified"], true, "{heal}");
        assert_eq!(heal["certificate"]["blocks_short"], 0, "{heal}");
    }
    market.wait_resource(HOST, "well again", |row| row["health_state"] == "ok");
}

/// Ends it, and compares what lies on the disks with the metadata.
fn end(market: Supermarket) {
    let folder = market.folder().to_owned();
    let hosts: Vec<String> = (1..=7)
        .map(|number| market.role_node(&format!("storage-{number}")))
        .collect();
    market.stop();
    assert_eq!(storage_soak::disk_faults(&folder, &hosts), [""; 0]);
}

#[test]
fn a_flipped_bit_is_found_by_who_reads_and_made_good() {
    let folder = TempDir::new().unwrap();
    let market = market(&folder.path().join("data")).start();
    run(async {
        let client = market.client();
        fill(&client.storage()).await;
        // Who reads asks for parity only where data are missing: scrubbing finds those.
        let data_files = || {
            let mut files = block_files(&market, 0);
            files.retain(|file| position_of(file) < 4);
            files
        };
        let large = fill_until(&client.storage(), || !data_files().is_empty()).await;
        let files = data_files();
        for file in &files {
            flip(file, 1_000_000);
        }
        all_of_are_right(&client.storage(), large).await;
        client.close().await;
        wait_healed(&market, files.len() as u64);
    });
    end(market);
}

#[test]
fn a_flipped_bit_is_found_by_scrubbing_before_anybody_reads() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let market = market(&data).scrub_time("2s").start();
    run(async {
        let client = market.client();
        fill(&client.storage()).await;
        client.close().await;
    });
    let files = block_files(&market, 1);
    for file in &files {
        flip(file, 2_000_000);
    }
    // In the payload of the first block of a segment.
    flip(&segment(&market), 3000);
    wait_healed(&market, files.len() as u64 + 1);
    end(market);
}

#[test]
fn what_a_host_has_lost_while_it_was_down_is_made_anew_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let market = market(&folder.path().join("data")).start();
    run(async {
        let client = market.client();
        fill(&client.storage()).await;
        market.kill9(HOST);
        // A file is gone, and a segment is cut in the middle of a record.
        let [first, ..] = &block_files(&market, 1)[..] else {
            unreachable!()
        };
        fs::remove_file(first).unwrap();
        let segment = fs::OpenOptions::new()
            .write(true)
            .open(segment(&market))
            .unwrap();
        segment.set_len(7000).unwrap();
        market.restart(HOST);
        client.close().await;
    });
    // Nobody has read it.
    wait_healed(&market, 2);
    run(async {
        let client = market.client();
        all_is_right(&client.storage()).await;
        client.close().await;
    });
    end(market);
}

#[test]
fn swapped_blocks_are_not_taken_for_each_other() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    // Which blocks are read of a stripe is up to chance; scrubbing reads all.
    let market = market(&data).scrub_time("2s").start();
    run(async {
        let client = market.client();
        fill(&client.storage()).await;
        let large = fill_until(&client.storage(), || block_files(&market, 0).len() >= 2).await;
        market.kill9(HOST);
        let files = block_files(&market, 2);
        let aside = folder.path().join("aside");
        fs::rename(&files[0], &aside).unwrap();
        fs::rename(&files[1], &files[0]).unwrap();
        fs::rename(&aside, &files[1]).unwrap();
        market.restart(HOST);
        market.wait_resource(HOST, "back", |row| row["connected"] == true);
        all_of_are_right(&client.storage(), large).await;
        client.close().await;
    });
    wait_healed(&market, 2);
    end(market);
}

/// Waits until nothing is lost, and something was made anew.
fn wait_whole(market: &Supermarket) {
    wait_for(LONG, "all that was lost is made anew", || {
        match lost(market) {
            (0, heals) if !heals.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn of_eight_hosts_two_may_die_for_good_and_then_two_more() {
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(8)
        .repair_delay("2s")
        .start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        fill(&storage).await;
        market.kill9("storage-2");
        market.kill9("storage-7");
        all_is_right(&storage).await;
        wait_whole(&market);
        market.kill9("storage-1");
        market.kill9("storage-5");
        all_is_right(&storage).await;
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_host_is_replaced_by_an_empty_one() {
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(6)
        .repair_delay("2s")
        .start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        fill(&storage).await;
        let old = market.role_node("storage-4");
        market.kill9("storage-4");
        fs::remove_dir_all(market.folder().join("storage-4/volume")).unwrap();
        // There is none that could take its blocks.
        market.wait_resource("se-1", "short of a Host", |row| {
            row["health_state"] == "warning"
        });
        let new = crate::storage::host(&market, "fresh", "rack=r9");
        wait_whole(&market);
        market.cli(&["nodes", "revoke", &old]).ok();
        market.kill9("storage-1");
        market.kill9("storage-6");
        all_is_right(&storage).await;
        client.close().await;
        new.signal(Signal::SIGTERM);
        new.wait().ok();
    });
    market.stop();
}

#[test]
fn an_element_that_lost_its_metadata_has_all_objects_again() {
    let folder = TempDir::new().unwrap();
    let market = market(&folder.path().join("data")).start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        fill(&storage).await;
        storage.delete("data", "small/0").await.unwrap();
        storage
            .put("data", "small/0")
            .bytes(noise(5000, 0))
            .await
            .unwrap();
        storage
            .put("data", "gone")
            .bytes(noise(9, 9))
            .await
            .unwrap();
        storage.delete("data", "gone").await.unwrap();
        let door = market.role_address("se-1", "door");
        market.kill9("se-1");
        crate::storage::lose(&market);
        let report = crate::storage::rebuilt(&market, &door);
        assert_eq!(report["whole"], true, "{report}");
        assert_eq!(report["objects"], 3 + SMALL, "{report}");
        let again = crate::storage::element_again(&market, &door, "");
        let again = Running::start(again, None);
        crate::storage::wait_well(&market);
        all_is_right(&storage).await;
        let listed = storage.list("data").all().await.unwrap();
        assert_eq!(listed.len() as u64, 3 + SMALL, "what was deleted stays so");
        // New ones as before.
        storage
            .put("data", "new")
            .bytes(noise(MIB, 5))
            .await
            .unwrap();
        let got = storage.get("data", "new").bytes().await.unwrap();
        assert!(got == noise(MIB, 5));
        client.close().await;
        again.signal(Signal::SIGTERM);
        again.wait().ok();
    });
    end(market);
}
