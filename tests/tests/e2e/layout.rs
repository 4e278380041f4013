//! Staged changes of where blocks are kept: drained Hosts, through restarts.

use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Supermarket, storage_soak, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::objects::{MIB, bucket, lost, noise, run};

fn shown(market: &Supermarket) -> Value {
    market.cli(&["--json", "layout", "show"]).ok().json()
}

/// What is told of a Host.
fn host(told: &Value, name: &str) -> Value {
    let hosts = told["hosts"].as_array().unwrap();
    let found = hosts.iter().find(|host| host["name"] == name);
    found.unwrap_or_else(|| panic!("{told}")).clone()
}

#[test]
fn a_host_is_drained_through_restarts_and_no_object_is_ever_short() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(7)
        .folder(&data)
        .start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(4,2)")).await;
        for number in 0..30 {
            let bytes = noise(5000, number);
            let key = format!("small/{number}");
            storage.put("data", &key).bytes(bytes).await.unwrap();
        }
        let big = noise(40 * MIB, 50);
        storage.put("data", "big").bytes(big.clone()).await.unwrap();

        // Two may not go: six are needed.
        let two = [
            "layout",
            "stage",
            "--drain",
            "storage-2",
            "--drain",
            "storage-5",
        ];
        market.cli(&two).exits(3).says("rs(4,2)");
        market
            .cli(&["layout", "apply"])
            .exits(2)
            .says("nothing to apply");

        let stage = ["--json", "layout", "stage", "--drain", "storage-2"];
        let told: Value = market.cli(&stage).ok().json();
        let plan = &told["staged"];
        assert!(plan["blocks"].as_u64() > Some(0), "{told}");
        assert!(plan["bytes"].as_u64() > Some(0), "{told}");
        assert_eq!(plan["stuck"], Value::Null, "{told}");
        market.cli(&["layout", "revert"]).ok();
        assert_eq!(shown(&market)["staged"], Value::Null);
        assert_eq!(host(&shown(&market), "storage-2")["place"], "kept");

        market.cli(&stage).ok();
        // What is staged outlives the Element.
        market.kill9("se-1");
        market.restart("se-1");
        crate::storage::wait_well(&market);
        market.cli(&["layout", "apply"]).ok();
        assert_eq!(host(&shown(&market), "storage-2")["place"], "draining");
        // And so does what is applied.
        market.kill9("se-1");
        market.restart("se-1");
        wait_for(LONG, "the Host is drained", || {
            let run = market.cli(&["--json", "layout", "show"]);
            if run.code != 0 {
                return Err(run.stderr);
            }
            let told: Value = run.json();
            let drained = host(&told, "storage-2");
            if drained["place"] == "removed" && drained["blocks"] == 0 {
                Ok(())
            } else {
                Err(told.to_string())
            }
        });
        assert_eq!(shown(&market)["applied"], Value::Null);
        // Nothing new comes there, and it may go.
        storage.put("data", "new").bytes(big.clone()).await.unwrap();
        assert_eq!(host(&shown(&market), "storage-2")["blocks"], 0);
        for gone in ["storage-2", "storage-1", "storage-6"] {
            market.kill9(gone);
        }
        for key in ["big", "new"] {
            let got = storage.get("data", key).bytes().await.unwrap();
            assert!(got == big, "{key}");
        }
        for number in 0..30 {
            let key = format!("small/{number}");
            let got = storage.get("data", &key).bytes().await.unwrap();
            assert!(got == noise(5000, number), "{key}");
        }
        client.close().await;
    });
    market.stop();
}

/// Percent of a Host's room that is in use, as the layout tells.
fn fill(told: &Value, name: &str) -> f64 {
    let host = host(told, name);
    let [used, free] = ["used", "free"].map(|field| host[field].as_f64().unwrap());
    100.0 * used / (used + free).max(1.0)
}

/// Hosts that are there before one joins, with so much room each.
const OLD: [&str; 4] = ["storage-1", "storage-2", "storage-3", "storage-4"];
const ROOM_MEBIBYTES: u64 = 64;
/// Objects of four MiB, in blocks of two: nearly half of that room.
const OBJECTS: u64 = 18;
/// Of a Host's room, in percent: a Host is fuller or emptier than all together
/// by five at most, and by what a block takes.
const BAND: f64 = 5.0 + 4.0;

async fn all_are_right(storage: &Storage) {
    for number in 0..OBJECTS {
        let key = format!("large/{number}");
        let got = storage.get("data", key).bytes().await.unwrap();
        assert!(got == noise(4 * MIB, number), "{number}");
    }
}

fn wait_fills_known(market: &Supermarket) {
    wait_for(LONG, "the Element knows how full all are", || {
        let told = shown(market);
        let is_full = OLD.iter().all(|host| fill(&told, host) > 25.0);
        let mut hosts = told["hosts"].as_array().unwrap().iter();
        let has_joined = hosts.any(|host| host["name"] == "fresh" && host["free"] != 0);
        (is_full && has_joined)
            .then_some(())
            .ok_or_else(|| told.to_string())
    });
}

fn wait_balanced(market: &Supermarket) {
    // Old copies stay a minute for their readers, in each round; how full the Hosts
    // are they tell themselves, a while after it is done.
    wait_for(LONG * 3, "the Hosts are balanced", || {
        let told = shown(market);
        assert_eq!(lost(market).0, 0, "blocks are short meanwhile");
        let fills: Vec<f64> = [OLD.as_slice(), &["fresh"]]
            .concat()
            .into_iter()
            .map(|host| fill(&told, host))
            .collect();
        let mean = fills.iter().sum::<f64>() / 5.0;
        let is_within = fills.iter().all(|fill| (fill - mean).abs() < BAND);
        let has_some = host(&told, "fresh")["blocks"].as_u64() > Some(0);
        let is_done = told["applied"].is_null();
        (is_done && is_within && has_some)
            .then_some(())
            .ok_or_else(|| format!("in percent: {fills:.1?}; {told}"))
    });
}

#[test]
fn an_empty_host_that_joins_a_full_pool_gets_its_share_and_no_object_is_short() {
    let builder = Supermarket::builder().hosts(0).storage_hosts(4);
    let market = OLD.into_iter().fold(builder, |builder, host| {
        builder.small_disk(host, ROOM_MEBIBYTES)
    });
    let market = market.start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(2,1)")).await;
        for number in 0..OBJECTS {
            let put = storage.put("data", format!("large/{number}"));
            put.bytes(noise(4 * MIB, number)).await.unwrap();
        }
        let words = ["--max-used-space", &format!("{ROOM_MEBIBYTES}MiB")];
        let fresh = crate::storage::host_of(&market, "fresh", &words);
        wait_fills_known(&market);
        let stage = ["--json", "layout", "stage", "--rebalance"];
        let told: Value = market.cli(&stage).ok().json();
        assert!(told["staged"]["bytes"].as_u64() > Some(0), "{told}");
        market.cli(&["layout", "apply"]).ok();
        all_are_right(&storage).await;
        wait_balanced(&market);
        all_are_right(&storage).await;
        // Those that have moved count.
        market.kill9("storage-3");
        all_are_right(&storage).await;
        client.close().await;
        fresh.signal(Signal::SIGTERM);
        fresh.wait().ok();
    });
    market.stop();
}

#[test]
fn old_copies_of_moved_blocks_are_removed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(7)
        .collect_after("2s")
        .folder(&data)
        .start();
    let hosts: Vec<String> = (1..=7)
        .map(|number| market.role_node(&format!("storage-{number}")))
        .collect();
    let placed = || {
        host(&shown(&market), "storage-3")["blocks"]
            .as_u64()
            .unwrap()
    };
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(4,2)")).await;
        // Where a stripe goes is up to chance.
        for seed in 0..20 {
            let put = storage.put("data", format!("big/{seed}"));
            put.bytes(noise(20 * MIB, seed)).await.unwrap();
            if placed() > 0 {
                break;
            }
        }
        client.close().await;
    });
    let has_blocks = |blocks: u64| {
        let text = market.cli(&["show", "storage-3", "--xml"]).text();
        if text.contains(&format!("<BlockCount>{blocks}</BlockCount>")) {
            Ok(())
        } else {
            Err(text)
        }
    };
    wait_for(
        LONG,
        "the Host tells of its blocks",
        || has_blocks(placed()),
    );
    market
        .cli(&["layout", "stage", "--rebalance", "--drain", "storage-3"])
        .ok();
    market.cli(&["layout", "apply"]).ok();
    wait_for(
        LONG,
        "the layout is done",
        || match &shown(&market)["applied"] {
            Value::Null => Ok(()),
            other => Err(other.to_string()),
        },
    );
    // What is forgotten with the Element is found, also where no blocks are
    // kept any more.
    market.kill9("se-1");
    market.restart("se-1");
    wait_for(LONG, "the Host is empty", || has_blocks(0));
    market.stop();
    assert_eq!(storage_soak::disk_faults(&data, &hosts), [""; 0]);
}
