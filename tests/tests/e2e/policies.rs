//! What the owner of a bucket may say of how its data are kept, while data come.

use std::fs;

use bytes::Bytes;
use futures_util::stream;
use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Supermarket, wait_for};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    objects::{MIB, bucket, noise, run},
    s3::Key,
    storage::wait_well,
};

/// The source of a put that goes on when it is told to.
fn held() -> (
    mpsc::UnboundedSender<Bytes>,
    impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) {
    let (give, given) = mpsc::unbounded_channel::<Bytes>();
    let pieces = stream::unfold(given, async |mut given: mpsc::UnboundedReceiver<Bytes>| {
        given.recv().await.map(|bytes| (Ok(bytes), given))
    });
    (give, pieces)
}

fn keep(market: &Supermarket, redundancy: &str) {
    let policy = ["bucket", "policy", "data", "--redundancy", redundancy];
    market.cli(&policy).ok();
}

/// Puts under a policy, of known and of unknown length, while it changes to
/// another.
async fn put_through(market: &Supermarket, storage: &Storage, from: &str, to: &str) {
    keep(market, from);
    let bytes = noise(40 * MIB + 5, 3);
    let (half, rest) = (bytes.slice(..17 * MIB), bytes.slice(17 * MIB..));
    let mut puts = Vec::new();
    for length in [Some(bytes.len() as u64), None] {
        let (give, pieces) = held();
        give.send(half.clone()).unwrap();
        let moved = std::sync::Arc::new(tokio::sync::Notify::new());
        let told = std::sync::Arc::clone(&moved);
        let key = format!("{}-{from}-{to}", length.is_some());
        let storage = storage.clone();
        let name = key.clone();
        let putting = tokio::spawn(async move {
            storage
                .put("data", &name)
                .on_progress(move |_| told.notify_one())
                .stream(pieces, length)
                .await
        });
        // A stripe is durable: the put has begun as the bucket was.
        moved.notified().await;
        puts.push((key, give, putting));
    }
    keep(market, to);
    for (key, give, putting) in puts {
        give.send(rest.clone()).unwrap();
        drop(give);
        let put = putting.await.unwrap();
        put.unwrap_or_else(|error| panic!("{key}: {error}"));
        let got = storage.get("data", &key).bytes().await.unwrap();
        assert!(got == bytes, "{key} comes back");
    }
}

/// The same at the S3 door: an upload whose parts come before and after.
fn upload_through(market: &Supermarket, from: &str, to: &str) {
    keep(market, from);
    let key = Key::create(market, &market.token);
    let named = ["--bucket", "data", "--key", "parts"];
    let s3 = |words: &[&str]| -> Value {
        let text = key.aws(&[&["s3api"], words].concat()).ok().text();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let begun = s3(&[&["create-multipart-upload"][..], &named].concat());
    let upload = begun["UploadId"].as_str().unwrap();
    let part = market.scratch().join("part");
    let mut parts = Vec::new();
    for number in 1..=2 {
        fs::write(&part, noise(6 * MIB, number)).unwrap();
        let (number, body) = (number.to_string(), part.to_str().unwrap());
        let words = ["--upload-id", upload, "--part-number", &number];
        let body = ["--body", body];
        let put = s3(&[&["upload-part"][..], &named, &words, &body].concat());
        let etag = put["ETag"].as_str().unwrap().trim_matches('"').to_owned();
        parts.push(format!("{{PartNumber={number},ETag={etag}}}"));
        keep(market, to);
    }
    let choice = format!("Parts=[{}]", parts.join(","));
    let words = ["--upload-id", upload, "--multipart-upload", &choice];
    s3(&[&["complete-multipart-upload"][..], &named, &words].concat());
    let back = market.scratch().join("back");
    let object = ["get-object", back.to_str().unwrap()];
    s3(&[&object[..1], &named, &object[1..]].concat());
    let whole = [noise(6 * MIB, 1), noise(6 * MIB, 2)].concat();
    assert!(fs::read(back).unwrap() == whole, "the parts come back");
}

fn shown(market: &Supermarket, name: &str) -> Value {
    market.cli(&["--json", "bucket", "show", name]).ok().json()
}

/// Buckets of rs(4,2), one of which allows puts to be short.
fn buckets(market: &Supermarket) {
    let create = |name, more: &[&str]| {
        let words = ["bucket", "create", name, "--redundancy", "rs(4,2)"];
        market.cli(&[&words, more].concat())
    };
    create("strict", &[]).ok();
    create("many", &["--allow-degraded", "3"])
        .exits(2)
        .says("bears the loss of 2");
    create("lenient", &[]).ok();
    let allow = ["bucket", "policy", "lenient", "--allow-degraded", "1"];
    let text = market.cli(&allow).ok().text();
    assert!(text.contains("1 block of a stripe"), "{text}");
}

/// Puts while two of seven Hosts are away, so that one block of each stripe has no
/// Host.
async fn degraded(market: &Supermarket, storage: &Storage) {
    let key = Key::create(market, &market.token);
    for host in ["storage-1", "storage-2"] {
        market.kill9(host);
        market.wait_resource(host, "away", |row| row["connected"] == false);
    }
    let file = market.scratch().join("large");
    fs::write(&file, noise(5 * MIB, 1)).unwrap();
    let put = |to: &str| {
        let body = ["--key", "s3", "--body", file.to_str().unwrap()];
        key.aws(&[&["s3api", "put-object", "--bucket", to][..], &body].concat())
    };
    // The log of the metadata notices the dead as well.
    wait_for(LONG, "a short put is taken", || {
        let run = put("lenient");
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let refused = put("strict").stderr;
    assert!(
        refused.contains("6 Hosts are needed and 5 can"),
        "{refused}"
    );
    let bytes = noise(20 * MIB, 2);
    let sdk = storage.put("lenient", "sdk").bytes(bytes.clone()).await;
    sdk.unwrap();
    let is_right = async || {
        let got = storage.get("lenient", "sdk").bytes().await.unwrap();
        assert!(got == bytes, "what the library has put comes back");
        let got = storage.get("lenient", "s3").bytes().await.unwrap();
        assert!(
            got == noise(5 * MIB, 1),
            "what the S3 door has put comes back"
        );
    };
    is_right().await;
    // Two stripes, one block of each.
    let missing = storage.stat("lenient", "sdk").await.unwrap().blocks_missing;
    assert_eq!(missing, Some(2));
    let state = &shown(market, "lenient")["area"]["state"];
    assert_eq!(state["number_of_short_files"], 2, "{state}");
    assert_eq!(
        shown(market, "lenient")["area"]["policy"]["allow_degraded"],
        1
    );

    market.restart("storage-1");
    wait_for(LONG, "the objects are whole", || {
        let state = shown(market, "lenient")["area"]["state"].clone();
        let is_whole = state.get("number_of_short_files").is_none();
        is_whole.then_some(()).ok_or_else(|| state.to_string())
    });
    let missing = storage.stat("lenient", "sdk").await.unwrap().blocks_missing;
    assert_eq!(missing, Some(0));
    wait_for(LONG, "a put is taken that may not be short", || {
        let run = put("strict");
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    // They bear two losses, as if they had been put so.
    for host in ["storage-1", "storage-3"] {
        market.kill9(host);
    }
    is_right().await;
}

#[test]
fn puts_end_as_their_bucket_was_and_short_ones_are_made_whole() {
    let market = Supermarket::builder().hosts(0).storage_hosts(7).start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("rs(4,2)")).await;
        // From here on the log is to bear two losses, whatever becomes of `data`.
        buckets(&market);
        put_through(&market, &storage, "rs(4,2)", "rs(2,1)").await;
        client.close().await;
        // Another program, which knows the bucket as it is now.
        let client = market.client();
        put_through(&market, &client.storage(), "replica(2)", "rs(4,2)").await;
        client.close().await;
    });
    upload_through(&market, "rs(4,2)", "replica(2)");
    wait_well(&market);
    run(async {
        let client = market.client();
        degraded(&market, &client.storage()).await;
        client.close().await;
    });
    market.stop();
}
