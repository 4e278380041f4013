//! Staged changes of where blocks are kept: drained Hosts, through restarts.

use gridmart_tests::{LONG, Supermarket, storage_soak, wait_for};
use serde_json::Value;
use tempfile::TempDir;

use crate::objects::{MIB, bucket, noise, run};

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
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(4,2)")).await;
        storage
            .put("data", "big")
            .bytes(noise(20 * MIB, 1))
            .await
            .unwrap();
        client.close().await;
    });
    let has_blocks = |blocks: &str| {
        let text = market.cli(&["show", "storage-3", "--xml"]).text();
        if text.contains(&format!("<BlockCount>{blocks}</BlockCount>")) {
            Ok(())
        } else {
            Err(text)
        }
    };
    wait_for(LONG, "the Host tells of its blocks", || has_blocks("2"));
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
    wait_for(LONG, "the Host is empty", || has_blocks("0"));
    market.stop();
    assert_eq!(storage_soak::disk_faults(&data, &hosts), [""; 0]);
}
