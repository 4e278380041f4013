//! Getting: the bytes that were put, or an error; never others.

use std::sync::atomic::Ordering;

use futures_util::TryStreamExt as _;
use gridmart_sdk::schemas::problem::Code;
use tokio::io::AsyncReadExt as _;

use super::{Scene, pattern};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_streams_readers_and_files_give_the_same() {
    let scene = Scene::usual().await;
    let content = pattern(41 * MIB + 3);
    let storage = &scene.storage;
    storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    let length = content.len();
    for range in [
        0..1,
        65_535..65_537,
        4 * MIB - 1..4 * MIB + 1,
        7 * MIB..33 * MIB,
        length - 1..length,
    ] {
        let wanted = range.start as u64..range.end as u64;
        let got = storage.get_range("photos", "a", wanted).await.unwrap();
        assert!(got == content.slice(range.clone()), "{range:?}");
    }
    let end = length as u64;
    assert_eq!(
        storage.get_range("photos", "a", end - 2..).await.unwrap(),
        content.slice(length - 2..)
    );
    assert!(
        storage
            .get_range("photos", "a", end..end + 5)
            .await
            .unwrap()
            .is_empty()
    );
    let reader = storage.get("photos", "a").open().await.unwrap();
    assert_eq!(reader.left(), end);
    let pieces: Vec<_> = reader.into_stream().try_collect().await.unwrap();
    assert!(pieces.concat() == content);
    let mut bytes = Vec::new();
    let reader = storage.get("photos", "a").open().await.unwrap();
    Box::pin(reader.into_async_read())
        .read_to_end(&mut bytes)
        .await
        .unwrap();
    assert!(bytes == content);
    let path = scene.state.path().join("a");
    std::fs::write(&path, "older").unwrap();
    storage.get("photos", "a").file(&path).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == content);
    let error = storage
        .get("photos", "a")
        .memory_limit(10)
        .bytes()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::TooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_and_damaged_blocks_are_made_good_and_told() {
    let scene = Scene::usual().await;
    let content = pattern(20 * MIB);
    scene
        .storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    scene
        .storage
        .put("photos", "small")
        .bytes("tiny")
        .await
        .unwrap();
    let damaged = scene.host(0).damage();
    assert!(damaged > 0);
    let get = async |key: &str| scene.storage.get("photos", key).bytes().await;
    assert!(get("a").await.unwrap() == content);
    assert_eq!(get("small").await.unwrap(), "tiny");
    let faults = || scene.element.state.lock().faults.clone();
    crate::until("the damage is told", || !faults().is_empty()).await;
    assert!(faults().iter().all(|fault| fault.host == scene.host(0).id));
    // What stands still or is gone is no damage.
    scene.host(0).lose();
    scene.element.state.lock().faults.clear();
    assert!(get("a").await.unwrap() == content);
    crate::until("the loss is told", || !faults().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_gone_is_not_noticed_and_two_are_told() {
    let scene = Scene::usual().await;
    let content = pattern(20 * MIB);
    scene
        .storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    scene.host(1).stop();
    assert!(scene.storage.get("photos", "a").bytes().await.unwrap() == content);
    assert!(scene.element.state.lock().faults.is_empty());
    scene.host(0).stop();
    scene.host(2).stop();
    let path = scene.state.path().join("never");
    let error = scene
        .storage
        .get("photos", "a")
        .file(&path)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable), "{error}");
    let left: Vec<_> = std::fs::read_dir(scene.state.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_replaced_while_it_is_read_never_mixes() {
    let scene = Scene::usual().await;
    let (old, new) = (pattern(64 * MIB), vec![7; 64 * MIB]);
    scene
        .storage
        .put("photos", "a")
        .bytes(old.clone())
        .await
        .unwrap();
    let mut reader = scene.storage.get("photos", "a").open().await.unwrap();
    let mut got = reader.next().await.unwrap().unwrap().to_vec();
    scene
        .storage
        .put("photos", "a")
        .bytes(new.clone())
        .await
        .unwrap();
    while let Some(piece) = reader.next().await.unwrap() {
        got.extend_from_slice(&piece);
    }
    assert!(old == got);
    assert!(scene.storage.get("photos", "a").bytes().await.unwrap() == new);
    // And one that is deleted ends in an error.
    let mut reader = scene.storage.get("photos", "a").open().await.unwrap();
    reader.next().await.unwrap();
    scene.storage.delete("photos", "a").await.unwrap();
    let error = loop {
        match reader.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it came whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(Code::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_long_gets_new_tickets_and_holds_little() {
    let scene = Scene::usual().await;
    let content = pattern(64 * MIB);
    scene
        .storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    let mut reader = scene.storage.get("photos", "a").open().await.unwrap();
    let mut got = reader.next().await.unwrap().unwrap().to_vec();
    let read = || -> u64 {
        let hosts = scene.element.hosts.iter();
        hosts
            .map(|host| host.bytes_read.load(Ordering::SeqCst))
            .sum()
    };
    crate::until("all that is read ahead has come", || {
        read() >= 16 * MIB as u64
    })
    .await;
    scene.element.end_block_tickets();
    scene.element.cut();
    while let Some(piece) = reader.next().await.unwrap() {
        got.extend_from_slice(&piece);
        assert!(
            read() <= (got.len() + 18 * MIB) as u64,
            "it reads far ahead"
        );
    }
    assert!(content == got);
}
