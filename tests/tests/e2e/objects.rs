//! Objects in buckets, through the SDK: real processes, bytes on real disks.

use std::time::Duration;

use bytes::Bytes;
use gridmart_schemas::{api::bucket::BucketCreateRequest, problem::Code};
use gridmart_sdk::{Client, Error, Storage};
use gridmart_tests::{LONG, Supermarket, wait_for};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

pub(crate) const MIB: usize = 1024 * 1024;

/// Bytes that do not repeat.
pub(crate) fn noise(bytes: usize, seed: u64) -> Bytes {
    let mut noise = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill(&mut noise[..]);
    noise.into()
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = Duration::from_mins(4);
        tokio::time::timeout(limit, work)
            .await
            .expect("it ends in time")
    })
}

pub(crate) async fn bucket(storage: &Storage, name: &str, redundancy: Option<&str>) {
    let wanted = BucketCreateRequest {
        name: name.parse().unwrap(),
        element: None,
        redundancy: redundancy.map(|text| text.parse().unwrap()),
        quota_bytes: None,
        quota_objects: None,
        allow_degraded: None,
    };
    // The Element begins its log once its Hosts have come.
    for _ in 0..100 {
        match storage.bucket_create(&wanted).await {
            Ok(_) => return,
            Err(error) if error.retryable() => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the bucket {name} was not made");
}

fn code_of(error: &Error) -> Option<Code> {
    error.code()
}

/// Hosts with blocks of a bucket's objects, by what lies in their folders.
pub(crate) fn lost(market: &Supermarket) -> (u64, Vec<serde_json::Value>) {
    let shown: serde_json::Value = market.cli(&["--json", "show", "se-1"]).ok().json();
    let heals = shown["heals"]["heals"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    (
        shown["heals"]["blocks_lost"].as_u64().unwrap_or(u64::MAX),
        heals,
    )
}

#[test]
fn what_is_put_is_got_listed_and_deleted() {
    let market = Supermarket::builder().hosts(0).storage_hosts(7).start();
    run(async {
        let client: Client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", None).await;
        let stripe = 16 * MIB;
        let sizes = [
            0,
            1,
            128 * 1024,
            128 * 1024 + 1,
            stripe - 1,
            stripe,
            stripe + 1,
            40 * MIB,
        ];
        for (seed, size) in (0..).zip(sizes) {
            let bytes = noise(size, seed);
            let key = format!("sizes/{size}");
            storage
                .put("data", &key)
                .bytes(bytes.clone())
                .await
                .unwrap();
            let got = storage.get("data", &key).bytes().await.unwrap();
            assert!(got == bytes, "{size} bytes come back");
        }
        let big = noise(40 * MIB, 7);
        for (from, to) in [
            (0, 1),
            (4 * MIB - 1, 4 * MIB + 1),
            (17 * MIB, 33 * MIB),
            (39 * MIB, 50 * MIB),
        ] {
            let key = format!("sizes/{}", 40 * MIB);
            let range = from as u64..to as u64;
            let got = storage.get_range("data", &key, range).await.unwrap();
            assert!(got == big.slice(from..to.min(big.len())), "{from}..{to}");
        }
        let listed = storage.list("data").prefix("sizes/").all().await.unwrap();
        let mut expected: Vec<String> = sizes.iter().map(|size| format!("sizes/{size}")).collect();
        expected.sort();
        let keys: Vec<String> = listed.iter().map(|object| object.key.clone()).collect();
        assert_eq!(keys, expected);
        storage
            .copy(("data", "sizes/1"), ("data", "copy"))
            .await
            .unwrap();
        assert_eq!(
            storage.get("data", "copy").bytes().await.unwrap(),
            noise(1, 1)
        );
        storage.delete("data", "copy").await.unwrap();
        let gone = storage.stat("data", "copy").await.unwrap_err();
        assert_eq!(code_of(&gone), Some(Code::NotFound));
        // What is gone is gone.
        storage.delete("data", "copy").await.unwrap();
        // Not while there is something in it.
        let refused = storage.bucket_delete("data").await.unwrap_err();
        assert_eq!(code_of(&refused), Some(Code::NotEmpty));
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_storage_host_that_dies_is_read_around_and_its_blocks_are_made_anew() {
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(7)
        .repair_delay("2s")
        .start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(4,2)")).await;
        let bytes = noise(64 * MIB, 9);
        storage
            .put("data", "big")
            .bytes(bytes.clone())
            .await
            .unwrap();
        for number in 0..20 {
            let key = format!("small/{number}");
            storage
                .put("data", &key)
                .bytes(noise(4096, number))
                .await
                .unwrap();
        }
        assert_eq!(lost(&market).0, 0);
        let reading = {
            let storage = client.storage();
            tokio::spawn(async move { storage.get("data", "big").bytes().await })
        };
        market.kill9("storage-3");
        assert!(
            reading.await.unwrap().unwrap() == bytes,
            "read while a Host dies"
        );
        wait_for(LONG, "all that was lost is made anew", || {
            match lost(&market) {
                (0, heals) if !heals.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let (_, heals) = lost(&market);
        let heal = &heals[0]["certificate"];
        assert!(heal["blocks_rebuilt"].as_u64().unwrap() > 0, "{heal}");
        assert_eq!(heal["blocks_rebuilt"], heal["blocks_read_back"]);
        assert_eq!(heal["blocks_short"], 0);
        assert_eq!(heal["hosts_lost"].as_array().unwrap().len(), 1);
        // Now two more may go, and nothing is lost.
        market.kill9("storage-1");
        market.kill9("storage-6");
        let got = storage.get("data", "big").bytes().await.unwrap();
        assert!(got == bytes, "read with two Hosts dead");
        for number in 0..20 {
            let key = format!("small/{number}");
            let got = storage.get("data", &key).bytes().await.unwrap();
            assert!(got == noise(4096, number), "{key}");
        }
        client.close().await;
    });
    market.stop();
}
