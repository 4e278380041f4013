//! Putting: what is durable is what was given, whatever happens on the way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gridmart_sdk::{
    Error,
    schemas::{problem::Code, storage::Redundancy},
};

use super::{Scene, Tap, pattern};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_comes_back_whatever_its_length() {
    let scene = Scene::usual().await;
    // Nothing, one byte, small, a stripe and a bit, several stripes.
    for length in [0, 1, 128 * 1024, 128 * 1024 + 1, 8 * MIB + 5, 20 * MIB] {
        let content = pattern(length);
        let key = format!("of {length} bytes");
        let put = scene
            .storage
            .put("photos", &key)
            .header("content-type", "image/jpeg")
            .metadata("place", "sea")
            .bytes(content.clone())
            .await
            .unwrap();
        let view = scene.storage.stat("photos", &key).await.unwrap();
        assert_eq!((view.size, view.version), (length as u64, put.version));
        assert_eq!(
            (&view.etag, &view.head.metadata["place"][..]),
            (&put.etag, "sea")
        );
        let back = scene.storage.get("photos", &key).bytes().await.unwrap();
        assert!(
            back == content,
            "{} of {length} bytes came back",
            back.len()
        );
    }
    // One question for all that was written, and what was read then; one stream.
    assert_eq!(scene.controller.questions.load(Ordering::SeqCst), 1);
    assert_eq!(scene.element.asked("storage-open"), 1);
    scene.client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_kept() {
    let scene = Scene::usual().await;
    let put = || scene.storage.put("photos", "a");
    let first = put().if_absent().bytes("one").await.unwrap();
    let refused = put().if_absent().bytes("two").await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::PreconditionFailed));
    put()
        .if_match(first.etag.clone())
        .bytes("two")
        .await
        .unwrap();
    let refused = put().if_match(first.etag).bytes("three").await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::PreconditionFailed));
    assert_eq!(
        scene.storage.get("photos", "a").bytes().await.unwrap(),
        "two"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_full_or_gone_are_replaced() {
    let scene = Scene::usual().await;
    scene.host(0).full.store(true, Ordering::SeqCst);
    scene.host(1).stop();
    let content = pattern(20 * MIB);
    scene
        .storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    assert!(scene.element.asked("block-replace") >= 2);
    assert_eq!(
        scene.storage.get("photos", "a").bytes().await.unwrap(),
        content
    );
    // With one more gone there are too few, and that is what is said.
    scene.host(2).full.store(true, Ordering::SeqCst);
    let error = scene
        .storage
        .put("photos", "b")
        .bytes(content)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::StorageDegraded), "{error}");
    assert_eq!(
        scene.storage.stat("photos", "b").await.unwrap_err().code(),
        Some(Code::NotFound)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_lost_costs_no_object_and_makes_no_second_one() {
    let scene = Scene::usual().await;
    let content = pattern(9 * MIB);
    for (number, (kind, done)) in [
        ("stripes-allocate", false),
        ("stripes-allocate", true),
        ("object-commit", false),
        ("object-commit", true),
    ]
    .into_iter()
    .enumerate()
    {
        scene.element.cut_at(kind, done);
        let key = format!("{number}");
        // A commit that is made twice would fail by its condition.
        let put = scene.storage.put("photos", &key).if_absent();
        put.bytes(content.clone()).await.unwrap();
        assert_eq!(
            scene.storage.get("photos", &key).bytes().await.unwrap(),
            content
        );
    }
    scene.element.cut();
    assert!(scene.storage.stat("photos", "0").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_that_end_are_replaced() {
    let scene = Scene::usual().await;
    let content = pattern(9 * MIB);
    scene
        .storage
        .put("photos", "a")
        .bytes(content.clone())
        .await
        .unwrap();
    // The bucket's.
    scene.element.tickets_from.store(2, Ordering::SeqCst);
    scene
        .storage
        .put("photos", "b")
        .bytes(content.clone())
        .await
        .unwrap();
    assert_eq!(scene.controller.questions.load(Ordering::SeqCst), 2);
    // Those for blocks, between being given and being shown.
    scene.element.end_block_tickets();
    let next = scene.element.tickets.load(Ordering::SeqCst) + 2;
    for host in &scene.element.hosts {
        host.tickets_from.store(next, Ordering::SeqCst);
    }
    scene
        .storage
        .put("photos", "c")
        .bytes(content.clone())
        .await
        .unwrap();
    assert_eq!(scene.element.asked("block-replace"), 0);
    assert_eq!(
        scene.storage.get("photos", "c").bytes().await.unwrap(),
        content
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_holds_a_bounded_number_of_bytes() {
    let scene = Scene::usual().await;
    for host in &scene.element.hosts {
        host.gate.close();
    }
    let length = 200 * MIB;
    let content = pattern(length);
    let (taken, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let held_max = Arc::new(AtomicU64::new(0));
    let tap = Tap {
        content: content.clone(),
        taken: Arc::clone(&taken),
        breaks: false,
    };
    let (durable, held, took) = (Arc::clone(&done), Arc::clone(&held_max), Arc::clone(&taken));
    let put = scene
        .storage
        .put("photos", "long")
        .on_progress(move |progress| {
            let before = durable.swap(progress.done, Ordering::SeqCst);
            held.fetch_max(took.load(Ordering::SeqCst) - before, Ordering::SeqCst);
        });
    let putting = tokio::spawn(put.reader(tap, Some(length as u64)));
    crate::until("memory is full", || {
        taken.load(Ordering::SeqCst) > 56 * MIB as u64
    })
    .await;
    for host in &scene.element.hosts {
        host.gate.open();
    }
    putting.await.unwrap().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), length as u64);
    // 96 MiB with parity are 64 MiB of data; one stripe is being filled, one waits.
    let held = held_max.load(Ordering::SeqCst);
    assert!(held <= (64 + 8 + 8) * MIB as u64, "{held} bytes were held");
    assert!(scene.storage.get("photos", "long").bytes().await.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_breaks_makes_no_object() {
    let scene = Scene::start(3, Redundancy::rs(2, 1).unwrap()).await;
    let tap = |breaks, length| Tap {
        content: pattern(length),
        taken: Arc::default(),
        breaks,
    };
    let put = || scene.storage.put("photos", "a");
    let error = put().reader(tap(true, 9 * MIB), None).await.unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error}");
    // It ends sooner than was said.
    let error = put()
        .reader(tap(false, 9 * MIB), Some(10 * MIB as u64))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error}");
    scene.client.close().await;
    assert!(scene.element.state.lock().objects.is_empty());
    // The upload that the first one had begun is forgotten.
    assert_eq!(scene.element.asked("upload-begin"), 1);
    assert!(scene.element.state.lock().uploads.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_may_only_write_writes() {
    let scene = Scene::usual().await;
    scene
        .controller
        .bucket_operations
        .lock()
        .retain(|operation| operation == "write");
    scene.storage.put("photos", "a").bytes("x").await.unwrap();
    let error = scene.storage.get("photos", "a").bytes().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotAuthorized));
}
