//! Hosts on bad days: what is there stays readable, what is put goes elsewhere,
//! and nothing is short when it is over.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use gridmart_sdk::Client;
use gridmart_tests::{Change, LONG, Running, Supermarket, wait_for};
use serde_json::Value;

use super::kept::{BUCKET, Kept, LARGE, SMALL};
use crate::objects::{bucket, lost, noise, run};

const FULL: &str = "storage-5";
const READ_ONLY: &str = "storage-6";
const SLOW: &str = "storage-3";
const OLD: &str = "storage-2";
const LEAVING: &str = "storage-4";
const DYING: &str = "storage-1";
/// Each has a disk of its own; those with more room would get most of the blocks.
const HOSTS: u32 = 6;
const DISK_MEBIBYTES: u64 = 192;
/// Each sync of a disk takes two seconds, while there are faults.
const SLOW_SYNCS: &str =
    "disk.sync=return(slow);disk.file.sync=return(slow);disk.folder.sync=return(slow)";
/// What it logs then.
const A_FAULT: &str = "a fault is made to happen";
/// While one Host is so slow, an object takes no longer: some syncs, one after
/// the other.
const SLOW_PUT_MAX: Duration = Duration::from_secs(30);
/// Programs that write while a Host goes.
const WRITERS: u64 = 3;
/// Objects that each of them writes at least, and keys that it has.
const WRITTEN_MIN: u64 = 12;
const KEYS: u64 = 9;

struct Scene {
    market: Supermarket,
    client: Client,
    kept: Kept,
}

#[test]
fn nothing_is_lost_or_refused_while_a_host_has_a_bad_day() {
    let builder = Supermarket::builder().hosts(0).storage_hosts(HOSTS);
    let market = (1..=HOSTS).fold(builder, |builder, number| {
        builder.small_disk(&format!("storage-{number}"), DISK_MEBIBYTES)
    });
    let market = market.start();
    let client = market.client();
    let kept = Kept::default();
    let mut scene = Scene {
        market,
        client,
        kept,
    };
    run(async {
        let storage = scene.client.storage();
        bucket(&storage, BUCKET, Some("rs(2,1)")).await;
        scene.kept.put_some(&storage, "first").await;
    });
    for (name, case) in [
        ("full", full as fn(&mut Scene)),
        ("read-only", read_only),
        ("slow", slow),
        ("old data", old_data),
        ("drained", drained_while_people_write),
    ] {
        let began = Instant::now();
        case(&mut scene);
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    run(scene.client.close());
    scene.market.stop();
}

/// Puts and reads while a Host suffers, and when it is well again.
fn suffers(
    scene: &mut Scene,
    host: &str,
    [begin, end]: [fn(&Supermarket, &str); 2],
    is_told: fn(&Value) -> bool,
) {
    let Scene {
        market,
        client,
        kept,
    } = scene;
    let put = |kept: &mut Kept, when: &str| {
        run(async {
            let storage = client.storage();
            kept.put_some(&storage, &format!("{host}/{when}")).await;
            let when = format!("{when} {host} suffers");
            kept.is_right(&storage, &when).await;
        });
    };
    begin(market, host);
    // The Element does not know yet; then it does.
    put(kept, "when");
    market.wait_resource(host, "known to suffer", is_told);
    put(kept, "while");
    end(market, host);
    market.wait_resource(host, "well again", |row| {
        row["health_state"] == "ok" && row["free_bytes"].as_u64() > Some(0)
    });
    takes_blocks(scene, host);
}

/// One without room says so, and serves what it has.
fn full(scene: &mut Scene) {
    let ways: [fn(&Supermarket, &str); 2] = [Supermarket::fill, Supermarket::make_room];
    suffers(scene, FULL, ways, |row| {
        row["free_bytes"] == 0 && row["health_state"] != "ok"
    });
}

fn read_only(scene: &mut Scene) {
    let ways: [fn(&Supermarket, &str); 2] =
        [Supermarket::make_read_only, Supermarket::make_writable];
    suffers(scene, READ_ONLY, ways, |row| {
        row["health_state"] == "critical"
    });
}

/// What `gridmart layout` tells of a Host.
fn told(market: &Supermarket, name: &str) -> Value {
    let shown: Value = market.cli(&["--json", "layout", "show"]).ok().json();
    let mut hosts = shown["hosts"].as_array().unwrap().iter();
    let found = hosts.find(|host| host["name"] == name);
    found.unwrap_or_else(|| panic!("{shown}")).clone()
}

fn blocks(market: &Supermarket, name: &str) -> u64 {
    told(market, name)["blocks"].as_u64().unwrap()
}

/// Puts until the Host has more blocks than now.
fn takes_blocks(scene: &mut Scene, host: &str) {
    let Scene {
        market,
        client,
        kept,
    } = scene;
    let before = blocks(market, host);
    let mut round = 0;
    wait_for(LONG, &format!("{host} takes blocks"), || {
        round += 1;
        let prefix = format!("{host}/again/{round}");
        run(kept.put_some(&client.storage(), &prefix));
        let now = blocks(market, host);
        (now > before).then_some(()).ok_or(now.to_string())
    });
}

fn slow(scene: &mut Scene) {
    let file = scene.market.scratch().join("slow");
    let change = Change::none()
        .variable("FAILPOINTS", SLOW_SYNCS)
        .variable("GRIDMART_FAULTS_WHILE", &file);
    scene.market.replace(SLOW, &change);
    scene
        .market
        .wait_resource(SLOW, "back", |row| row["connected"] == true);
    takes_blocks(scene, SLOW);
    fs::write(&file, "").unwrap();
    let Scene {
        market,
        client,
        kept,
    } = scene;
    let storage = client.storage();
    for round in 0..2 {
        let slowest = run(kept.put_some(&storage, &format!("slow/{round}")));
        eprintln!("slow: {:.1} s for the slowest put", slowest.as_secs_f64());
        assert!(slowest < SLOW_PUT_MAX, "{slowest:?}");
    }
    run(kept.is_right(&storage, "while a disk is slow"));
    fs::remove_file(&file).unwrap();
    let log = market.log(SLOW);
    assert!(log.contains(A_FAULT), "it was not slow: {log}");
}

/// Has a folder hold what another one holds, and no more.
fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "find \"$2\" -mindepth 1 -delete && cp -a \"$1/.\" \"$2\"",
            "copy",
        ])
        .args([from, to]);
    Running::start(command, None).wait().ok();
}

/// A Host comes back with the data of yesterday: it lacks blocks that it has
/// acknowledged, and has those of objects that were deleted since.
fn old_data(scene: &mut Scene) {
    let (folder, old) = (
        scene.market.seen(OLD),
        scene.market.scratch().join("yesterday"),
    );
    fs::create_dir(&old).unwrap();
    scene.market.kill9(OLD);
    copy(&folder, &old);
    scene.market.restart(OLD);
    wait_connected(&scene.market, OLD);
    takes_blocks(scene, OLD);
    run(async {
        let storage = scene.client.storage();
        for key in ["first/large/0", "first/small/0"] {
            scene.kept.delete(&storage, key).await;
        }
    });
    scene.market.kill9(OLD);
    copy(&old, &folder);
    scene.market.restart(OLD);
    wait_connected(&scene.market, OLD);
    let Scene {
        market,
        client,
        kept,
    } = scene;
    wait_for(LONG, "what it lacks is made anew", || {
        let (lost, heals) = lost(market);
        (lost == 0 && !heals.is_empty())
            .then_some(())
            .ok_or_else(|| format!("{lost} lost, {heals:?}"))
    });
    // Each of its blocks counts.
    market.kill9(DYING);
    run(kept.is_right(&client.storage(), "when a Host has come back with old data"));
    market.restart(DYING);
    wait_connected(market, DYING);
}

fn wait_connected(market: &Supermarket, host: &str) {
    market.wait_resource(host, "there", |row| row["connected"] == true);
}

/// Puts one object after the other until it is over; gives the last of each key.
fn write(market: &Supermarket, writer: u64, over: &AtomicBool) -> Vec<(String, usize, u64)> {
    let client = market.client();
    let mut last = Vec::new();
    run(async {
        let storage = client.storage();
        let mut number = 0;
        while number < WRITTEN_MIN || !over.load(Ordering::Relaxed) {
            let key = format!("written/{writer}/{}", number % KEYS);
            let size = if number % 3 == 0 { LARGE } else { SMALL };
            let seed = writer << 32 | number;
            let put = storage.put(BUCKET, &key).bytes(noise(size, seed)).await;
            put.unwrap_or_else(|error| panic!("{key} while a Host is drained: {error}"));
            last.push((key, size, seed));
            number += 1;
        }
        client.close().await;
    });
    last
}

fn drained_while_people_write(scene: &mut Scene) {
    let Scene {
        market,
        client,
        kept,
    } = scene;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (market, over) = (&*market, &over);
        let writers: Vec<_> = (1..=WRITERS)
            .map(|writer| scope.spawn(move || write(market, writer, over)))
            .collect();
        let end = End(over);
        market.cli(&["layout", "stage", "--drain", LEAVING]).ok();
        market.cli(&["layout", "apply"]).ok();
        wait_for(LONG, "the Host is drained", || {
            let told = told(market, LEAVING);
            (told["place"] == "removed" && told["blocks"] == 0)
                .then_some(())
                .ok_or_else(|| told.to_string())
        });
        drop(end);
        for writer in writers {
            for (key, size, seed) in writer.join().unwrap() {
                kept.note(key, size, seed);
            }
        }
    });
    // Whatever was on its way when it went has gone elsewhere as well.
    wait_for(LONG, "nothing is left there", || {
        let told = told(market, LEAVING);
        (told["blocks"] == 0).then_some(()).ok_or(told.to_string())
    });
    market.kill9(LEAVING);
    market.kill9(DYING);
    run(kept.is_right(
        &client.storage(),
        "when a Host was drained and another one died",
    ));
    market.restart(DYING);
}

/// Whatever ends the drain ends the writers.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
