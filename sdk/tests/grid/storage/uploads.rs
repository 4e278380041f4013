//! Long objects, in parts.

use std::sync::{Arc, atomic::Ordering};

use gridmart_sdk::schemas::{problem::Code, storage::Redundancy};

use super::{Scene, Tap, pattern};

const MIB: usize = 1024 * 1024;

/// Stripes of 4 MiB, and parts of 256.
async fn single() -> Scene {
    Scene::start(2, Redundancy::replica(1).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_long_or_of_unknown_length_goes_in_parts() {
    let scene = single().await;
    let content = pattern(261 * MIB);
    let tap = |length| Tap {
        content: content.slice(..length),
        taken: Arc::default(),
        breaks: false,
    };
    for (key, length, known, parts) in [
        ("short", 3 * MIB, false, 0),
        ("a stripe", 4 * MIB, false, 1),
        ("several", 9 * MIB, false, 1),
        ("a part", 256 * MIB, false, 1),
        ("two parts", 261 * MIB, false, 2),
        ("known", 256 * MIB, true, 0),
        ("known and long", 261 * MIB, true, 2),
    ] {
        scene.element.state.lock().asked.clear();
        let known = known.then_some(length as u64);
        let put = scene.storage.put("photos", key).metadata("m", key);
        put.reader(tap(length), known).await.unwrap();
        assert_eq!(scene.element.asked("object-commit"), parts.max(1), "{key}");
        assert_eq!(scene.element.asked("upload-end"), parts.min(1), "{key}");
        let view = scene.storage.stat("photos", key).await.unwrap();
        assert_eq!(
            (view.size, &view.head.metadata["m"][..]),
            (length as u64, key)
        );
        let back = scene.storage.get("photos", key).bytes().await.unwrap();
        assert!(back == content.slice(..length), "{key}");
        scene.storage.delete("photos", key).await.unwrap();
        for host in &scene.element.hosts {
            host.lose();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_a_file_that_was_broken_off_is_gone_on_with() {
    let scene = single().await;
    let content = pattern(261 * MIB);
    let path = scene.state.path().join("film");
    std::fs::write(&path, &content).unwrap();
    let put = || scene.storage.put("photos", "film");
    // No more than the first part gets there.
    scene.element.state.lock().parts_until = Some(1);
    assert!(put().file(path.clone()).await.is_err());
    scene.element.state.lock().parts_until = None;
    let broken = scene.storage.uploads().await.unwrap();
    assert_eq!((broken.len(), broken[0].key.as_str()), (1, "film"));
    scene.element.state.lock().asked.clear();
    put().resume().file(path.clone()).await.unwrap();
    assert_eq!(scene.element.asked("upload-begin"), 0);
    let again = scene.element.asked("object-commit");
    assert_eq!(again, 1, "no part but the second is written");
    assert!(scene.storage.get("photos", "film").bytes().await.unwrap() == content);
    assert!(scene.storage.uploads().await.unwrap().is_empty());
    // There is none now: it begins anew.
    put().resume().file(path.clone()).await.unwrap();
    assert_eq!(scene.element.asked("upload-begin"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_changed_is_not_gone_on_with() {
    let scene = single().await;
    let path = scene.state.path().join("film");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(257 * MIB as u64).unwrap();
    for host in &scene.element.hosts {
        host.full.store(true, Ordering::SeqCst);
    }
    let put = || scene.storage.put("photos", "film");
    assert!(put().file(path.clone()).await.is_err());
    let broken = scene.storage.uploads().await.unwrap();
    file.set_len(258 * MIB as u64).unwrap();
    let upload = broken[0].upload;
    let error = scene.storage.put_resume(upload, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
    scene.storage.upload_forget(upload).await.unwrap();
    assert!(scene.element.state.lock().uploads.is_empty());
    let error = scene.storage.put_resume(upload, |_| ()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotFound));
}
