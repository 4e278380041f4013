//! A storage Host whose blocks lie in a bucket of another object store: here, that
//! of another Storage Element, by its S3 door.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use gridmart_schemas::api::bucket::BucketCreateRequest;
use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;

use crate::{
    objects::{MIB, bucket, noise, run},
    role,
    s3::Key,
};

/// Files below a folder whose bytes hold these.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|piece| piece == needle)
    })
}

/// The Host, as it is started first and again.
fn cold_host(market: &Supermarket, key: &Key, credentials: &Path, join_token: &str) -> Running {
    let door = market.role_address("se-2", "door");
    let more = [
        "--element",
        &door,
        "--volume-url",
        "s3://cold/hosts/one",
        "--volume-endpoint",
        key.text("endpoint"),
        "--volume-credentials",
        credentials.to_str().unwrap(),
        "--max-used-space",
        "1GiB",
    ];
    let host = role(market, ["host", "storage"], "cold-1", join_token, &more);
    market.wait_resource("cold-1", "well", |row| {
        row["connected"] == true && row["health_state"] == "ok"
    });
    host
}

/// A Storage Element beside the supermarket's own.
fn deep_element(market: &Supermarket) -> Running {
    let create = ["token", "create", "--kind", "se", "--domain", "deep"];
    let token = market.cli(&create).ok().text();
    let controller = ["--controller", &market.ready.nodes];
    let element = role(market, ["element", "storage"], "se-2", &token, &controller);
    market.wait_resource("se-2", "connected", |row| row["connected"] == true);
    element
}

/// A key of the admin's, and a file with it.
fn key(market: &Supermarket) -> (Key, PathBuf) {
    let admin = market.settings().token;
    let key = wait_for(LONG, "the Element gives out a key", || {
        let run = market.cli_as(&admin, &["key", "list", "--element", "se-1"]);
        match run.code {
            0 => Ok(Key::create(market, &admin)),
            _ => Err(run.stderr),
        }
    });
    let credentials = market.scratch().join("credentials");
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        key.id(),
        key.text("secret")
    );
    fs::write(&credentials, text).unwrap();
    (key, credentials)
}

/// Puts, once the Element and its Host are there.
async fn put_in_time(storage: &Storage, name: &str, bytes: &Bytes) {
    let mut last = None;
    for _ in 0..200 {
        match storage.put("deep", name).bytes(bytes.clone()).await {
            Ok(_) => return,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name}: {last:?}");
}

#[test]
fn blocks_in_a_bucket_outlive_their_host_and_what_is_refused_is_told() {
    let market = Supermarket::builder().hosts(0).storage_hosts(3).start();
    let (key, credentials) = key(&market);
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "cold", Some("replica(2)")).await;
        let (element, token, host) = tokio::task::block_in_place(|| {
            let element = deep_element(&market);
            let create = ["token", "create", "--kind", "shost", "--element", "se-2"];
            let token = market.cli(&create).ok().text();
            let host = cold_host(&market, &key, &credentials, &token);
            (element, token, host)
        });
        let wanted = BucketCreateRequest {
            name: "deep".parse().unwrap(),
            element: Some("se-2".to_owned()),
            redundancy: Some("replica(1)".parse().unwrap()),
            quota_bytes: None,
            quota_objects: None,
            allow_degraded: None,
        };
        while let Err(error) = storage.bucket_create(&wanted).await {
            assert!(error.retryable(), "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (large, small) = (noise(9 * MIB, 1), noise(5000, 2));
        put_in_time(&storage, "large", &large).await;
        put_in_time(&storage, "small", &small).await;

        let host = tokio::task::block_in_place(|| {
            let listed = key.aws(&["s3", "ls", "--recursive", "s3://cold/hosts/one/blocks/"]);
            assert!(listed.ok().text().lines().count() >= 4);
            let folder = market.folder().join("cold-1");
            assert!(!holds(&folder, &small[..32]), "no block is on its own disk");
            assert!(!holds(&folder, key.text("secret").as_bytes()));
            let said = market.cli(&["show", "cold-1", "--xml"]).ok().text();
            assert!(said.contains("<Type>object-store</Type>"), "{said}");
            host.signal(Signal::SIGKILL);
            let died = host.wait();
            assert!(!died.stderr.contains(key.text("secret")));
            cold_host(&market, &key, &credentials, &token)
        });
        put_in_time(&storage, "again", &small).await;
        for (name, bytes) in [("large", &large), ("small", &small)] {
            let got = storage.get("deep", name).bytes().await.unwrap();
            assert!(got == *bytes, "{name}");
        }

        // While the other store takes nothing, its Host does not either.
        market.cli(&["stop", "se-1"]).ok();
        let refused = storage.put("deep", "late").bytes(small.clone()).await;
        assert!(refused.is_err());
        market.cli(&["start", "se-1"]).ok();
        put_in_time(&storage, "late", &small).await;
        let got = storage.get("deep", "late").bytes().await.unwrap();
        assert!(got == small);
        client.close().await;
        for role in [host, element] {
            role.signal(Signal::SIGTERM);
            tokio::task::block_in_place(|| role.wait()).ok();
        }
    });
    market.stop();
}
