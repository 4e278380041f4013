//! Buckets and listings.

use gridmart_sdk::schemas::problem::Code;

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_are_read_page_by_page() {
    let scene = Scene::usual().await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        scene.storage.put("photos", key).bytes(key).await.unwrap();
    }
    let keys = async |prefix: &str| -> Vec<String> {
        let pages = scene.storage.list("photos").prefix(prefix);
        let objects = pages.all().await.unwrap();
        objects.into_iter().map(|object| object.key).collect()
    };
    assert_eq!(keys("").await, ["a/1", "a/2", "b", "c/1", "d"]);
    assert_eq!(keys("a/").await, ["a/1", "a/2"]);
    let mut pages = scene.storage.list("photos").delimiter("/");
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        objects.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.prefixes);
    }
    assert_eq!(
        (objects, prefixes),
        (
            vec!["b".to_owned(), "d".into()],
            vec!["a/".to_owned(), "c/".into()]
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_copied_and_deleted() {
    let scene = Scene::usual().await;
    let storage = &scene.storage;
    storage
        .put("photos", "a")
        .metadata("m", "1")
        .bytes("x")
        .await
        .unwrap();
    storage
        .copy(("photos", "a"), ("photos", "b"))
        .await
        .unwrap();
    storage.delete("photos", "a").await.unwrap();
    storage.delete("photos", "a").await.unwrap();
    assert_eq!(
        storage.stat("photos", "a").await.unwrap_err().code(),
        Some(Code::NotFound)
    );
    assert_eq!(
        storage.stat("photos", "b").await.unwrap().head.metadata["m"],
        "1"
    );
    assert_eq!(scene.element.asked("object-copy"), 1);
}
