//! The S3 door of a Storage Element, as the crate `object_store` uses it; and that
//! what comes in at one door goes out at the other.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gridmart_schemas::problem::Code;
use gridmart_sdk::Storage;
use gridmart_tests::{LONG, Supermarket, wait_for};
use object_store::{
    Attribute, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    UpdateVersion, WriteMultipart,
    aws::{AmazonS3Builder, S3CopyIfNotExists},
    path::Path,
};

use crate::{
    objects::{MIB, bucket, noise, run},
    s3::Key,
};

fn store(key: &Key, bucket: &str) -> Arc<dyn ObjectStore> {
    let built = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_endpoint(key.text("endpoint"))
        .with_allow_http(true)
        .with_region(key.text("region"))
        .with_access_key_id(key.id())
        .with_secret_access_key(key.text("secret"))
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .build();
    Arc::new(built.unwrap())
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn bytes_of(store: &dyn ObjectStore, at: &str) -> Bytes {
    store.get(&path(at)).await.unwrap().bytes().await.unwrap()
}

async fn put_large(store: &dyn ObjectStore, at: &str, bytes: &Bytes) {
    let upload = store.put_multipart(&path(at)).await.unwrap();
    let mut writer = WriteMultipart::new_with_chunk_size(upload, 5 * MIB);
    writer.put(bytes.clone());
    writer.finish().await.unwrap();
}

/// Bytes, ranges of them, lists.
async fn objects_and_lists(store: &dyn ObjectStore) {
    let (small, large) = (noise(1000, 1), noise(12 * MIB + 7, 2));
    store
        .put(&path("a/small"), small.clone().into())
        .await
        .unwrap();
    put_large(store, "a/b/large", &large).await;
    store.put(&path("c"), PutPayload::new()).await.unwrap();
    assert_eq!(bytes_of(store, "a/small").await, small);
    assert!(bytes_of(store, "a/b/large").await == large);
    let mib = MIB as u64;
    let ranges = [0..10, 5 * mib - 3..5 * mib + 3, 12 * mib..12 * mib + 7];
    let got = store.get_ranges(&path("a/b/large"), &ranges).await.unwrap();
    for (range, got) in ranges.into_iter().zip(got) {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(got, large.slice(range));
    }
    let head = store.head(&path("a/b/large")).await.unwrap();
    assert_eq!(head.size, large.len() as u64);

    let names = |found: Vec<object_store::ObjectMeta>| -> Vec<String> {
        let names = found.into_iter().map(|meta| meta.location.to_string());
        names.collect()
    };
    let all = store.list(None).try_collect().await.unwrap();
    assert_eq!(names(all), ["a/b/large", "a/small", "c"]);
    let after = store.list_with_offset(None, &path("a/b/large"));
    assert_eq!(names(after.try_collect().await.unwrap()), ["a/small", "c"]);
    let here = store.list_with_delimiter(Some(&path("a"))).await.unwrap();
    assert_eq!(here.common_prefixes, [path("a/b")]);
    assert_eq!(names(here.objects), ["a/small"]);
}

/// What is done only where the object is what was expected.
async fn conditions(store: &dyn ObjectStore) {
    let at = path("once");
    let put = async |mode: PutMode, text: &'static str| {
        store
            .put_opts(&at, text.into(), PutOptions::from(mode))
            .await
    };
    let first = put(PutMode::Create, "1").await.unwrap();
    let twice = put(PutMode::Create, "2").await;
    assert!(
        matches!(twice, Err(Error::AlreadyExists { .. })),
        "{twice:?}"
    );
    let update = |etag: Option<String>| {
        PutMode::Update(UpdateVersion {
            e_tag: etag,
            version: None,
        })
    };
    let second = put(update(first.e_tag.clone()), "2").await.unwrap();
    assert_ne!(first.e_tag, second.e_tag);
    let late = put(update(first.e_tag), "3").await;
    assert!(matches!(late, Err(Error::Precondition { .. })), "{late:?}");
    assert_eq!(bytes_of(store, "once").await, "2");

    let to = path("copied");
    store.copy_if_not_exists(&at, &to).await.unwrap();
    let again = store.copy_if_not_exists(&path("c"), &to).await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { .. })),
        "{again:?}"
    );
    assert_eq!(bytes_of(store, "copied").await, "2");
    store.rename(&to, &path("moved")).await.unwrap();
    assert_eq!(bytes_of(store, "moved").await, "2");
    let gone = store.head(&to).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let given = PutOptions::from(object_store::Attributes::from_iter([(
        Attribute::ContentType,
        "text/plain",
    )]));
    store.put_opts(&to, "x".into(), given).await.unwrap();
    let told = store.get(&to).await.unwrap().attributes;
    assert_eq!(
        told.get(&Attribute::ContentType).unwrap(),
        &"text/plain".into()
    );
}

async fn all_are_deleted(store: &dyn ObjectStore) {
    let found = store.list(None).map_ok(|meta| meta.location).boxed();
    let deleted: Vec<Path> = store.delete_stream(found).try_collect().await.unwrap();
    assert!(deleted.len() >= 5, "{deleted:?}");
    assert_eq!(store.list(None).count().await, 0);
    // What is not there is gone.
    let none = stream::iter([Ok(path("c"))]).boxed();
    let deleted: Vec<Path> = store.delete_stream(none).try_collect().await.unwrap();
    assert_eq!(deleted, [path("c")]);
}

/// One name and three contents: by S3 whole, by S3 in parts, by the library.
async fn versions(key: &Key, store: &dyn ObjectStore, storage: &Storage) {
    let enable = ["s3api", "put-bucket-versioning", "--bucket", "both"];
    let enabled = ["--versioning-configuration", "Status=Enabled"];
    key.aws(&[&enable[..], &enabled].concat()).ok();
    let (small, parts, long) = (noise(3000, 1), noise(11 * MIB, 2), noise(40 * MIB, 3));
    store.put(&path("k"), small.clone().into()).await.unwrap();
    put_large(store, "k", &parts).await;
    let by_name = storage.get("both", "k").bytes().await.unwrap();
    assert!(
        by_name == parts,
        "the library reads what S3 has put in parts"
    );
    // Of unknown length: an upload of the library, in parts as well.
    let pieces = stream::iter([Ok(long.clone())]);
    let put = storage.put("both", "k").header("content-type", "text/x");
    let put = put.stream(pieces, None).await.unwrap();
    assert!(
        bytes_of(store, "k").await == long,
        "S3 reads what the library has put"
    );
    let head = store.get(&path("k")).await.unwrap();
    assert_eq!(head.meta.e_tag, Some(format!("\"{}\"", put.etag)));
    assert_eq!(
        head.attributes.get(&Attribute::ContentType).unwrap(),
        &"text/x".into()
    );
    assert_eq!(head.meta.version, Some(put.version.to_string()));

    let listed = key.aws(&["s3api", "list-object-versions", "--bucket", "both"]);
    let listed: serde_json::Value = listed.ok().json();
    let ids = listed["Versions"].as_array().unwrap().iter();
    let ids: Vec<String> = ids
        .map(|row| row["VersionId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 3, "{listed}");
    for (id, bytes) in ids.iter().zip([long, parts, small]) {
        let asked = storage.get("both", "k").version(id.parse().unwrap());
        assert!(asked.bytes().await.unwrap() == bytes, "version {id}");
    }
    // A marker hides it at both doors, and its versions stay.
    storage.delete("both", "k").await.unwrap();
    let hidden = store.head(&path("k")).await;
    assert!(matches!(hidden, Err(Error::NotFound { .. })), "{hidden:?}");
    storage
        .delete_version("both", "k", put.version)
        .await
        .unwrap();
    let left = storage.get("both", "k").version(ids[1].parse().unwrap());
    assert_eq!(left.bytes().await.unwrap().len(), 11 * MIB);
}

/// What S3 encrypts is told as such to the library: neither noise nor a copy that
/// nobody can read.
async fn encrypted(key: &Key, storage: &Storage, market: &Supermarket) {
    let file = market.scratch().join("secret");
    std::fs::write(&file, noise(1000, 9)).unwrap();
    let put = ["s3api", "put-object", "--bucket", "both", "--key", "secret"];
    let body = ["--body", file.to_str().unwrap()];
    let encrypt = ["--server-side-encryption", "AES256"];
    key.aws(&[&put[..], &body, &encrypt].concat()).ok();
    let got = storage.get("both", "secret").bytes().await.unwrap_err();
    assert_eq!(got.code(), Some(Code::Encrypted), "{got}");
    let copied = storage.copy(("both", "secret"), ("both", "copy")).await;
    assert_eq!(copied.unwrap_err().code(), Some(Code::Encrypted));
    let told = storage.stat("both", "secret").await.unwrap();
    let mut names = told.head.headers.keys();
    assert!(
        !names.any(|name| name.starts_with("x-gridmart")),
        "{told:?}"
    );
    let forged = storage.put("both", "forged").header("x-gridmart-acl", "{}");
    let refused = forged.bytes("x").await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::InvalidRequest), "{refused}");
}

#[test]
fn the_door_serves_object_store_and_both_doors_have_the_same_objects() {
    let market = Supermarket::builder().hosts(0).storage_hosts(3).start();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "own", None).await;
        bucket(&storage, "both", None).await;
        let key = wait_for(LONG, "the Element gives out a key", || {
            let run = market.cli(&["key", "list", "--element", "se-1"]);
            match run.code {
                0 => Ok(Key::create(&market, &market.token)),
                _ => Err(run.stderr),
            }
        });
        let own = store(&key, "own");
        objects_and_lists(&*own).await;
        conditions(&*own).await;
        all_are_deleted(&*own).await;
        versions(&key, &*store(&key, "both"), &storage).await;
        encrypted(&key, &storage, &market).await;
        client.close().await;
    });
    market.stop();
}
