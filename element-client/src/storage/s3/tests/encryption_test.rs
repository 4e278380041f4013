//! Encryption by the server, and what is repeated, on the wire.

use gridmart_schemas::role::Role;

use super::{client::Request, scene::Scene};

const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";
const OTHER_KEY: &str = "6b+WOZ1T3cqZMxgThRcXAQBrS5mXKdDUphvpxptl9/4=";
const OTHER_MD5: &str = "arxBvwY2V4SiOne6yppVPQ==";

fn with_key<'a>(request: Request<'a>, key: &str, md5: &str) -> Request<'a> {
    request
        .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
        .header("x-amz-server-side-encryption-customer-key", key)
        .header("x-amz-server-side-encryption-customer-key-md5", md5)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_under_a_key_of_its_owner_opens_with_that_key_alone() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    let bucket = Request::new("PUT", "/bucket").signed(at, &key);
    bucket.send(at).await.ok();
    let bytes: Vec<u8> = (0..250_000_u32)
        .map(|at| u8::try_from(at % 253).unwrap())
        .collect();
    let put = with_key(Request::new("PUT", "/bucket/k").body(&bytes), KEY, MD5);
    put.signed(at, &key).send(at).await.ok();
    let get = || Request::new("GET", "/bucket/k");
    let got = with_key(get(), KEY, MD5).signed(at, &key).send(at).await;
    assert!(got.ok().body == bytes);
    let range = with_key(get(), KEY, MD5).header("range", "bytes=99990-100008");
    let range = range.signed(at, &key).send(at).await;
    assert_eq!(
        (range.status, &range.body[..]),
        (206, &bytes[99_990..100_009])
    );
    let none = get().signed(at, &key).send(at).await;
    none.refused(400, "InvalidRequest");
    let other = with_key(get(), OTHER_KEY, OTHER_MD5).signed(at, &key);
    other.send(at).await.refused(400, "InvalidRequest");
    let copy = Request::new("PUT", "/bucket/copy")
        .header("x-amz-copy-source", "bucket/k")
        .header(
            "x-amz-copy-source-server-side-encryption-customer-algorithm",
            "AES256",
        )
        .header("x-amz-copy-source-server-side-encryption-customer-key", KEY)
        .header(
            "x-amz-copy-source-server-side-encryption-customer-key-md5",
            MD5,
        )
        .header("x-amz-server-side-encryption", "AES256");
    let copied = copy.signed(at, &key).send(at).await.ok();
    assert_eq!(copied.headers["x-amz-server-side-encryption"], "AES256");
    let got = Request::new("GET", "/bucket/copy").signed(at, &key);
    assert!(got.send(at).await.ok().body == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_succeeded_succeeds_again_when_it_is_repeated() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    for _ in 0..2 {
        let bucket = Request::new("PUT", "/bucket").signed(at, &key);
        bucket.send(at).await.ok();
    }
    let open = Request::new("PUT", "/bucket").header("x-amz-acl", "public-read");
    let open = open.signed(at, &key).send(at).await;
    open.refused(409, "BucketAlreadyExists");
    let begun = Request::new("POST", "/bucket/k").query("uploads=");
    let begun = begun.header("x-amz-server-side-encryption", "AES256");
    let begun = begun.signed(at, &key).send(at).await.ok();
    let upload = begun.tag("UploadId").unwrap();
    let query = format!("partNumber=1&uploadId={upload}");
    let part = Request::new("PUT", "/bucket/k")
        .query(&query)
        .body(b"hello");
    let part = part.signed(at, &key).send(at).await.ok();
    let (query, list) = (
        format!("uploadId={upload}"),
        format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
            part.headers["etag"]
        ),
    );
    let complete = || {
        let request = Request::new("POST", "/bucket/k").query(&query);
        request.body(list.as_bytes()).signed(at, &key).send(at)
    };
    let first = complete().await.ok();
    let again = complete().await.ok();
    assert!(first.tag("ETag").is_some() && first.tag("ETag") == again.tag("ETag"));
    let got = Request::new("GET", "/bucket/k").signed(at, &key);
    assert_eq!(got.send(at).await.ok().body, b"hello");
    let gone = Request::new("DELETE", "/bucket/k").signed(at, &key);
    gone.send(at).await.ok();
    complete().await.refused(404, "NoSuchUpload");
    let gone = Request::new("DELETE", "/bucket/k").header("if-match", "\"other\"");
    gone.signed(at, &key).send(at).await.ok();
}
