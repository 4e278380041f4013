//! Very many: uploads that nobody ends, and keys.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Supermarket, wait_for};
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, PutPayload,
    aws::AmazonS3,
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use serde_json::Value;

use crate::is_soak;
use crate::{
    objects::{bucket, noise, run},
    s3::Key,
    storage::wait_well,
    transfers::key,
};

const BUCKET: &str = "data";
/// Requests at a time.
const AT_A_TIME: usize = 16;
/// Bytes of each part that is left behind.
const PART: usize = 1000;
/// Nobody else waits longer for a small object meanwhile.
const PASSER_BY_MAX: Duration = Duration::from_secs(10);
/// The most memory of the Element, in MiB, however many there are.
const ELEMENT_MEBIBYTES_MAX: u64 = 400;

const HALF_UPLOADS: usize = 10_000;

fn keys() -> usize {
    if is_soak() { 100_000 } else { 20_000 }
}

#[test]
fn very_many_half_uploads_and_keys_are_borne() {
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(3)
        // Longer than any put of theirs lasts.
        .collect_after("20s")
        .start();
    let client = market.client();
    let storage = client.storage();
    run(bucket(&storage, BUCKET, Some("replica(2)")));
    let key = key(&market, &market.token);
    let store = key.store(BUCKET);
    half_uploads_are_borne(&market, &key, &store, &storage);
    many_keys_are_listed(&store, &storage);
    let peak = market.role_peak("se-1") / (1024 * 1024);
    eprintln!("the Element had {peak} MiB at most");
    assert!(peak < ELEMENT_MEBIBYTES_MAX, "{peak} MiB");
    run(client.close());
    market.stop();
}

/// No limit but those of the requests: very many take their time.
fn run_long<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn told<T>(what: &str, count: usize, act: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = act();
    eprintln!("{count} {what}: {:.1} s", began.elapsed().as_secs_f64());
    done
}

fn payload() -> PutPayload {
    noise(PART, 1).into()
}

/// Begins uploads, each with a part; gives what they are known by.
fn begin(store: &AmazonS3) -> Vec<(Path, String)> {
    let begun = stream::iter(0..HALF_UPLOADS).map(async |number| {
        let path = Path::from(format!("half/{number:06}"));
        let id = store.create_multipart(&path).await?;
        let _: PartId = store.put_part(&path, &id, 0, payload()).await?;
        Ok::<_, object_store::Error>((path, id))
    });
    run_long(begun.buffer_unordered(AT_A_TIME).try_collect()).unwrap()
}

/// Blocks of all Hosts, by the metadata.
fn blocks(market: &Supermarket) -> u64 {
    let shown: Value = market.cli(&["--json", "layout", "show"]).ok().json();
    let hosts = shown["hosts"].as_array().unwrap().iter();
    hosts.map(|host| host["blocks"].as_u64().unwrap()).sum()
}

fn uploads_listed(key: &Key) -> usize {
    let words = ["s3api", "list-multipart-uploads", "--bucket", BUCKET];
    let more = ["--query", "length(Uploads || `[]`)", "--output", "text"];
    let listed = key.aws(&[&words[..], &more].concat()).ok().text();
    listed
        .lines()
        .map(|line| line.parse::<usize>().unwrap())
        .sum()
}

fn half_uploads_are_borne(market: &Supermarket, key: &Key, store: &AmazonS3, storage: &Storage) {
    let count = HALF_UPLOADS;
    let before = blocks(market);
    let begun = told("half uploads begun", count, || begin(store));
    passes_by(storage);
    // They outlive the Element, which is there as soon as ever.
    market.kill9("se-1");
    told("half uploads, and the Element anew", count, || {
        market.restart("se-1");
        wait_well(market);
    });
    passes_by(storage);
    assert_eq!(uploads_listed(key), count);
    let objects = run(storage.list(BUCKET).all()).unwrap();
    assert!(objects.iter().all(|object| object.key == "passer-by"));
    told("half uploads ended", count, || {
        let ended =
            stream::iter(&begun).map(async |(path, id)| store.abort_multipart(path, id).await);
        run_long(ended.buffer_unordered(AT_A_TIME).try_collect::<Vec<()>>()).unwrap();
    });
    assert_eq!(uploads_listed(key), 0);
    run(storage.delete(BUCKET, "passer-by")).unwrap();
    wait_for(LONG, "their blocks are named no more", || {
        let now = blocks(market);
        (now == before).then_some(()).ok_or(now.to_string())
    });
}

/// Somebody else puts and gets a small object.
fn passes_by(storage: &Storage) {
    let began = Instant::now();
    run(async {
        let bytes = noise(5000, 9);
        let put = storage.put(BUCKET, "passer-by").bytes(bytes.clone());
        put.await.unwrap();
        let got = storage.get(BUCKET, "passer-by").bytes().await.unwrap();
        assert!(got == bytes);
    });
    assert!(began.elapsed() < PASSER_BY_MAX, "{:?}", began.elapsed());
}

fn many_keys_are_listed(store: &AmazonS3, storage: &Storage) {
    let count = keys();
    let names: Vec<String> = (0..count)
        .map(|number| format!("many/{:02}/{number:06}", number % 20))
        .collect();
    told("keys put", count, || {
        let puts = stream::iter(&names).map(async |name| {
            let path = Path::from(name.as_str());
            store.put(&path, payload()).await.map(drop)
        });
        run_long(puts.buffer_unordered(AT_A_TIME).try_collect::<Vec<()>>()).unwrap();
    });
    let mut sorted = names.clone();
    sorted.sort();
    let listed = told("keys listed by the SDK", count, || {
        run_long(storage.list(BUCKET).all()).unwrap()
    });
    let listed: Vec<&String> = listed.iter().map(|object| &object.key).collect();
    assert!(listed.iter().copied().eq(&sorted), "{} keys", listed.len());
    let all = |from: Option<&str>| -> Vec<String> {
        let listing = match from {
            Some(from) => store.list_with_offset(None, &Path::from(from)),
            None => store.list(None),
        };
        let keys = listing.map_ok(|object| object.location.to_string());
        run_long(keys.try_collect()).unwrap()
    };
    let listed = told("keys listed by S3", count, || all(None));
    assert!(listed == sorted, "{} keys", listed.len());
    let middle = count / 2;
    assert!(all(Some(&sorted[middle])) == sorted[middle + 1..]);
    let folders = run_long(store.list_with_delimiter(Some(&Path::from("many"))));
    assert_eq!(folders.unwrap().common_prefixes.len(), 20);
    told("keys deleted", count, || {
        let paths = stream::iter(names).map(|name| Ok(Path::from(name)));
        let deleted = store.delete_stream(paths.boxed());
        run_long(deleted.try_collect::<Vec<Path>>()).unwrap();
    });
    assert_eq!(run(storage.list(BUCKET).all()).unwrap().len(), 0);
}
