//! Who may, where the owner of a bucket and that of an object differ, on the wire.

use std::net::SocketAddr;

use gridmart_schemas::role::Role;

use super::{
    client::{Answer, Request},
    scene::Scene,
};
use crate::public::key::NewKey;

async fn send(at: SocketAddr, key: &NewKey, request: Request<'_>) -> Answer {
    request.signed(at, key).send(at).await
}

async fn policy(at: SocketAddr, key: &NewKey, statement: &str) -> Answer {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    let request = Request::new("PUT", "/bucket").query("policy=");
    send(at, key, request.body(text.as_bytes())).await
}

const ALL_OF_BOB: &str = r#"{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_an_object_is_its_owners() {
    let scene = Scene::open().await;
    let at = scene.address;
    let ada = scene.key("ada", Role::User).await;
    let bob = scene.key("bob", Role::User).await;
    send(at, &ada, Request::new("PUT", "/bucket")).await.ok();
    policy(at, &ada, ALL_OF_BOB).await.ok();
    let put = |acl: &str| Request::new("PUT", "/bucket/k").header("x-amz-acl", acl);
    send(at, &bob, put("private")).await.ok();
    let list = || Request::new("GET", "/bucket/k").query("acl=");
    assert_eq!(
        send(at, &bob, list()).await.ok().tag("ID").as_deref(),
        Some("bob")
    );
    send(at, &ada, list()).await.refused(403, "AccessDenied");
    send(at, &bob, put("bucket-owner-full-control")).await.ok();
    send(at, &ada, list()).await.ok();
    // From now on all that is in the bucket is its owner's, and lists say nothing.
    let controls = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    let enforce = Request::new("PUT", "/bucket").query("ownershipControls=");
    send(at, &ada, enforce.body(controls.as_bytes())).await.ok();
    assert_eq!(
        send(at, &ada, list()).await.ok().tag("ID").as_deref(),
        Some("ada")
    );
    let refused = send(at, &bob, put("private")).await;
    refused.refused(400, "AccessControlListNotSupported");
    send(at, &bob, put("bucket-owner-full-control")).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_list_what_begins_so_may_know_that_it_is_not_there() {
    let scene = Scene::open().await;
    let at = scene.address;
    let ada = scene.key("ada", Role::User).await;
    let bob = scene.key("bob", Role::User).await;
    send(at, &ada, Request::new("PUT", "/bucket")).await.ok();
    let listing = r#"{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":"public/*"}}}"#;
    policy(at, &ada, listing).await.ok();
    let missing = send(at, &bob, Request::new("GET", "/bucket/public/k")).await;
    missing.refused(404, "NoSuchKey");
    assert_eq!(missing.headers["x-amz-delete-marker"], "false");
    assert_eq!(
        missing.tag("RequestId").as_ref(),
        missing.headers.get("x-amz-request-id")
    );
    let hidden = Request::new("GET", "/bucket/private/k");
    send(at, &bob, hidden).await.refused(403, "AccessDenied");
    // What a request says of a prefix is no list.
    let lying = Request::new("GET", "/bucket/private/k").query("prefix=public%2Fk");
    send(at, &bob, lying).await.refused(403, "AccessDenied");
    let all_but = r#"{"Effect":"Allow","NotPrincipal":{"AWS":"bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
    policy(at, &ada, all_but)
        .await
        .refused(400, "MalformedPolicy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_read_and_not_list_is_not_told_what_is_missing() {
    let scene = Scene::open().await;
    let at = scene.address;
    let ada = scene.key("ada", Role::User).await;
    let bob = scene.key("bob", Role::User).await;
    send(at, &ada, Request::new("PUT", "/bucket")).await.ok();
    let keep = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let keep = Request::new("PUT", "/bucket")
        .query("versioning=")
        .body(keep.as_bytes());
    send(at, &ada, keep).await.ok();
    let put = Request::new("PUT", "/bucket/there").body(b"1");
    let version = send(at, &ada, put).await.ok().headers["x-amz-version-id"].clone();
    let marked = Request::new("PUT", "/bucket/marked").body(b"1");
    send(at, &ada, marked).await.ok();
    send(at, &ada, Request::new("DELETE", "/bucket/marked"))
        .await
        .ok();
    let reading = r#"{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::bucket/*"}"#;
    policy(at, &ada, reading).await.ok();
    let versioned = format!("versionId={version}");
    let there = || Request::new("GET", "/bucket/there");
    send(at, &bob, there()).await.ok();
    send(at, &bob, there().query(&versioned)).await.ok();
    let refused = async |request: Request<'_>| {
        send(at, &bob, request).await.refused(403, "AccessDenied");
    };
    refused(Request::new("GET", "/bucket/missing")).await;
    refused(Request::new("GET", "/bucket/marked")).await;
    refused(Request::new("GET", "/bucket/missing").query(&versioned)).await;
    let head = send(at, &bob, Request::new("HEAD", "/bucket/missing")).await;
    assert_eq!(head.status, 403);
    // Its owner is told, and so is who may list what begins so.
    for path in ["/bucket/missing", "/bucket/marked"] {
        let asked = send(at, &ada, Request::new("GET", path)).await;
        asked.refused(404, "NoSuchKey");
    }
    let listing = format!(
        r#"{reading},{{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket"}}"#
    );
    policy(at, &ada, &listing).await.ok();
    let asked = send(at, &bob, Request::new("GET", "/bucket/missing")).await;
    asked.refused(404, "NoSuchKey");
    let head = send(at, &bob, Request::new("HEAD", "/bucket/missing")).await;
    assert_eq!(head.status, 404);
    // To list what there is is not to list what there was.
    refused(Request::new("GET", "/bucket/missing").query(&versioned)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_locked_once_it_keeps_versions() {
    let scene = Scene::open().await;
    let at = scene.address;
    let ada = scene.key("ada", Role::User).await;
    send(at, &ada, Request::new("PUT", "/bucket")).await.ok();
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let locked = || {
        let request = Request::new("PUT", "/bucket").query("object-lock=");
        send(at, &ada, request.body(lock.as_bytes()))
    };
    locked().await.refused(409, "InvalidBucketState");
    let versions = |status: &str| {
        let text =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        let ada = &ada;
        async move {
            let request = Request::new("PUT", "/bucket").query("versioning=");
            send(at, ada, request.body(text.as_bytes())).await
        }
    };
    versions("Enabled").await.ok();
    locked().await.ok();
    versions("Suspended")
        .await
        .refused(409, "InvalidBucketState");
    let put = send(at, &ada, Request::new("PUT", "/bucket/k").body(b"1"))
        .await
        .ok();
    let query = format!("versionId={}", put.headers["x-amz-version-id"]);
    let gone = || Request::new("DELETE", "/bucket/k").query(&query);
    send(at, &ada, gone()).await.refused(403, "AccessDenied");
    let until = "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2999-01-01T00:00:00Z</RetainUntilDate></Retention>";
    let stricter = Request::new("PUT", "/bucket/k").query("retention=");
    let stricter = send(at, &ada, stricter.body(until.as_bytes())).await;
    stricter.refused(403, "AccessDenied");
    let bypass = gone().header("x-amz-bypass-governance-retention", "true");
    send(at, &ada, bypass).await.ok();
}
