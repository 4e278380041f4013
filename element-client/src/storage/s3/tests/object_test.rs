//! Objects, lists and uploads, as their bytes on the wire have it.

use gridmart_schemas::role::Role;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    client::{Request, read},
    scene::Scene,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_put_and_read_back_whole_in_part_and_on_condition() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    Request::new("PUT", "/bucket")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    // Several stripes of the fixture.
    let bytes: Vec<u8> = (0..250_000_u32)
        .map(|at| u8::try_from(at % 253).unwrap())
        .collect();
    let put = Request::new("PUT", "/bucket/dir/a%20b").header("x-amz-meta-colour", "blue");
    let put = put.body(&bytes).signed(at, &key).send(at).await.ok();
    let etag = put.headers["etag"].clone();
    let get = || Request::new("GET", "/bucket/dir/a%20b");
    let got = get().signed(at, &key).send(at).await.ok();
    assert!(got.body == bytes && got.headers["x-amz-meta-colour"] == "blue");
    assert_eq!(got.headers["content-type"], "binary/octet-stream");
    assert!(got.headers.contains_key("x-amz-request-id"));
    let part = get()
        .header("range", "bytes=99990-100009")
        .signed(at, &key)
        .send(at)
        .await;
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &bytes[99_990..100_010])
    );
    assert_eq!(part.headers["content-range"], "bytes 99990-100009/250000");
    let beyond = get()
        .header("range", "bytes=250000-")
        .signed(at, &key)
        .send(at)
        .await;
    beyond.refused(416, "InvalidRange");
    let fresh = get()
        .header("if-none-match", &etag)
        .signed(at, &key)
        .send(at)
        .await;
    assert_eq!(
        (fresh.status, fresh.body.len(), &fresh.headers["etag"]),
        (304, 0, &etag)
    );
    let other = get()
        .header("if-match", "\"other\"")
        .signed(at, &key)
        .send(at)
        .await;
    other.refused(412, "PreconditionFailed");
    let twice = Request::new("PUT", "/bucket/dir/a%20b").header("if-none-match", "*");
    twice
        .signed(at, &key)
        .send(at)
        .await
        .refused(412, "PreconditionFailed");
    let head = Request::new("HEAD", "/bucket/dir/a%20b")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    assert_eq!(
        (head.headers["content-length"].as_str(), head.body.len()),
        ("250000", 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_goes_when_nothing_is_in_it() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    let send = |method, path| Request::new(method, path).signed(at, &key).send(at);
    send("PUT", "/bucket").await.ok();
    send("PUT", "/bucket/k").await.ok();
    send("DELETE", "/bucket")
        .await
        .refused(409, "BucketNotEmpty");
    send("DELETE", "/bucket/k").await.ok();
    send("GET", "/bucket/k").await.refused(404, "NoSuchKey");
    send("DELETE", "/bucket").await.ok();
    send("GET", "/bucket").await.refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_go_on_where_a_page_ended_over_common_prefixes_as_well() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    Request::new("PUT", "/bucket")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    for name in ["a", "b/1", "b/2", "c%2B1", "d/e/f"] {
        let path = format!("/bucket/{name}");
        Request::new("PUT", &path)
            .signed(at, &key)
            .send(at)
            .await
            .ok();
    }
    let mut seen = Vec::new();
    let mut query = "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1".to_owned();
    loop {
        let page = Request::new("GET", "/bucket")
            .query(&query)
            .signed(at, &key)
            .send(at)
            .await
            .ok();
        let common = page.text().contains("<CommonPrefixes>");
        let line = if common {
            page.text()
                .split_once("<CommonPrefixes><Prefix>")
                .unwrap()
                .1
                .to_owned()
        } else {
            page.text().split_once("<Key>").unwrap().1.to_owned()
        };
        seen.push(line.split_once('<').unwrap().0.to_owned());
        let Some(token) = page.tag("NextContinuationToken") else {
            break;
        };
        query = format!(
            "continuation-token={token}&delimiter=%2F&encoding-type=url&list-type=2&max-keys=1"
        );
    }
    assert_eq!(seen, ["a", "b/", "c%2B1", "d/"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_says_so() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    Request::new("PUT", "/bucket")
        .signed(at, &key)
        .send(at)
        .await
        .ok();
    for query in [
        "logging=",
        "website=",
        "replication=",
        "notification=",
        "accelerate=",
    ] {
        let answer = Request::new("GET", "/bucket")
            .query(query)
            .signed(at, &key)
            .send(at)
            .await;
        answer.refused(501, "NotImplemented");
    }
    let put = Request::new("PUT", "/bucket/k").header("x-amz-server-side-encryption", "aws:kms");
    put.signed(at, &key)
        .send(at)
        .await
        .refused(501, "NotImplemented");
    Request::new("GET", "/nowhere")
        .signed(at, &key)
        .send(at)
        .await
        .refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_a_body_that_was_refused_unread_and_not_with_one_that_was_read() {
    let scene = Scene::open().await;
    let at = scene.address;
    let key = scene.key("ada", Role::User).await;
    let made = Request::new("PUT", "/bucket").signed(at, &key);
    made.send(at).await.ok();
    let asking = |wish: &[(&'static str, &str)]| {
        let put = Request::new("PUT", "/bucket/key").body(b"body");
        let put = wish.iter().fold(
            put.header("expect", "100-continue"),
            |put, (name, value)| put.header(name, value),
        );
        let put = put.signed(at, &key);
        put.head(at).replace("connection: close\r\n", "")
    };
    let mut stream = TcpStream::connect(at).await.unwrap();
    let refused = asking(&[("x-amz-server-side-encryption", "aws:kms")]);
    stream.write_all(refused.as_bytes()).await.unwrap();
    // The body is not sent: its sender was told that nobody wants it.
    let answer = read(&mut stream, false).await;
    answer.refused(501, "NotImplemented");
    assert_eq!(answer.headers["connection"], "close");

    let mut stream = TcpStream::connect(at).await.unwrap();
    let both = format!(
        "{}body{}",
        asking(&[]),
        Request::new("GET", "/bucket/key").signed(at, &key).head(at)
    );
    stream.write_all(both.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert!(answers.ends_with("body"), "{answers}");
}
