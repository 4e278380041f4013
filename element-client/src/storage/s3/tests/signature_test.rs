//! Who is let in, and who is not.

use std::time::Duration;

use gridmart_schemas::role::Role;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    client::{Request, read},
    scene::Scene,
};
use crate::{public::key::NewKey, storage::s3::door::S3Limits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_of_its_key_its_time_its_region_and_its_request() {
    let scene = Scene::open().await;
    let key = scene.key("ada", Role::User).await;
    let at = scene.address;
    let get = || Request::new("GET", "/");
    get().signed(at, &key).send(at).await.ok();
    // Who is not known owns nothing.
    let nothing = get().send(at).await.ok().text();
    assert!(nothing.contains("<Buckets></Buckets>"), "{nothing}");
    Request::new("PUT", "/of-nobody")
        .send(at)
        .await
        .refused(403, "AccessDenied");
    let wrong = NewKey {
        id: key.id.clone(),
        secret: NewKey::generate().secret,
    };
    get()
        .signed(at, &wrong)
        .send(at)
        .await
        .refused(403, "SignatureDoesNotMatch");
    get()
        .signed(at, &NewKey::generate())
        .send(at)
        .await
        .refused(403, "InvalidAccessKeyId");
    for minutes in [-16, 16] {
        let mut skewed = get();
        skewed.time += time::Duration::minutes(minutes);
        let answer = skewed.signed(at, &key).send(at).await;
        answer.refused(403, "RequestTimeTooSkewed");
    }
    let mut elsewhere = get();
    elsewhere.region = "eu-west-1";
    elsewhere
        .signed(at, &key)
        .send(at)
        .await
        .refused(400, "AuthorizationHeaderMalformed");
    // What was signed cannot be used for something else, nor be added to.
    let mut other = get().signed(at, &key);
    other.method = "PUT";
    other.path = "/bucket";
    other.send(at).await.refused(403, "SignatureDoesNotMatch");
    let added = get().signed(at, &key).header("x-amz-acl", "public-read");
    added.send(at).await.refused(403, "AccessDenied");
    Request::new("PUT", "/bucket")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    let mut changed = Request::new("PUT", "/bucket/k")
        .body(b"hello")
        .signed(at, &key);
    changed.body = b"hullo";
    changed
        .send(at)
        .await
        .refused(400, "XAmzContentSHA256Mismatch");
    Request::new("GET", "/bucket/k")
        .signed(at, &key)
        .send(at)
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_what_its_person_may_now() {
    let scene = Scene::open().await;
    let at = scene.address;
    let (ada, eve) = (
        scene.key("ada", Role::User).await,
        scene.key("eve", Role::User).await,
    );
    Request::new("PUT", "/bucket")
        .signed(at, &ada)
        .send(at)
        .await
        .ok();
    let put = || Request::new("PUT", "/bucket/k").body(b"1");
    put().signed(at, &ada).send(at).await.ok();
    put()
        .signed(at, &eve)
        .send(at)
        .await
        .refused(403, "AccessDenied");
    scene.person("ada", Role::Viewer);
    put()
        .signed(at, &ada)
        .send(at)
        .await
        .refused(403, "AccessDenied");
    let got = Request::new("GET", "/bucket/k")
        .signed(at, &ada)
        .send(at)
        .await
        .ok();
    assert_eq!(got.body, b"1");
    scene
        .people
        .on_desired(&gridmart_schemas::wire::desired::ElementDesired::default());
    Request::new("GET", "/bucket/k")
        .signed(at, &ada)
        .send(at)
        .await
        .refused(403, "InvalidAccessKeyId");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_lists_beyond_what_is_permitted_by_saying_it_twice() {
    let scene = Scene::open().await;
    let at = scene.address;
    let (ada, eve) = (
        scene.key("ada", Role::User).await,
        scene.key("eve", Role::User).await,
    );
    Request::new("PUT", "/bucket")
        .signed(at, &ada)
        .send(at)
        .await
        .ok();
    let policy =
        br#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"eve"},"Action":"s3:ListBucket",
        "Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":"open/*"}}}]}"#;
    let put = Request::new("PUT", "/bucket").query("policy=").body(policy);
    put.signed(at, &ada).send(at).await.ok();
    let list = |query| {
        Request::new("GET", "/bucket")
            .query(query)
            .signed(at, &eve)
            .send(at)
    };
    list("prefix=open%2F").await.ok();
    list("prefix=").await.refused(403, "AccessDenied");
    list("prefix=&prefix=open%2F")
        .await
        .refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stalls_is_given_up_and_leaves_nothing() {
    let limits = S3Limits {
        stall: Duration::from_millis(100),
        ..S3Limits::default()
    };
    let scene = Scene::open_with("127.0.0.1:0".parse().unwrap(), limits).await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    Request::new("PUT", "/bucket")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    let put = Request::new("PUT", "/bucket/k")
        .body(b"hello")
        .signed(at, &key);
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(put.head(at).as_bytes()).await.unwrap();
    stream.write_all(b"hel").await.unwrap();
    read(&mut stream, false)
        .await
        .refused(400, "RequestTimeout");
    Request::new("GET", "/bucket/k")
        .signed(at, &key)
        .send(at)
        .await
        .refused(404, "NoSuchKey");
}
