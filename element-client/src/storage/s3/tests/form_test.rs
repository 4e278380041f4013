//! Forms of web pages, on the wire.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gridmart_schemas::role::Role;

use super::{
    client::{Answer, Request},
    scene::Scene,
};
use crate::public::key::NewKey;

/// A form with a file.
fn form(fields: &[(&str, &str)], file_name: &str) -> Vec<u8> {
    let mut text = String::new();
    for (name, value) in fields {
        text.extend([format!(
            "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )]);
    }
    text.extend([format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\nbar\r\n--x--\r\n"
    )]);
    text.into_bytes()
}

/// A policy of such conditions, and its signature of the older form.
fn signed(key: &NewKey, conditions: &str, expiration: &str) -> (String, String) {
    let policy = format!(r#"{{"expiration":"{expiration}","conditions":[{conditions}]}}"#);
    let policy = STANDARD.encode(policy);
    let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.secret.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&secret, policy.as_bytes()));
    (policy, signature)
}

struct Poster {
    scene: Scene,
    key: NewKey,
}

impl Poster {
    async fn new() -> Self {
        let scene = Scene::open().await;
        let key = scene.key("ada", Role::User).await;
        let bucket = Request::new("PUT", "/bucket").signed(scene.address, &key);
        bucket.send(scene.address).await.ok();
        Self { scene, key }
    }

    async fn post(&self, fields: &[(&str, &str)]) -> Answer {
        let body = form(fields, "dir\\foo.txt");
        let request = Request::new("POST", "/bucket")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(&body);
        request.send(self.scene.address).await
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::new("GET", path).signed(self.scene.address, &self.key);
        request.send(self.scene.address).await
    }
}

const LATER: &str = "2999-01-01T00:00:00Z";
const CONDITIONS: &str = r#"{"bucket":"bucket"},["starts-with","$key","in/"],{"acl":"private"},["starts-with","$tagging",""]"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_named_by_its_file_and_its_policy_is_asked_about_that_name() {
    let poster = Poster::new().await;
    let (policy, signature) = signed(&poster.key, CONDITIONS, LATER);
    let id = poster.key.id.clone();
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1 2</Value></Tag></TagSet></Tagging>";
    let fields = |key: &'static str, acl: &'static str| {
        vec![
            ("Key", key),
            ("acl", acl),
            ("tagging", tags),
            ("AWSAccessKeyId", &*id),
            ("policy", &*policy),
            ("signature", &*signature),
        ]
    };
    assert_eq!(
        poster
            .post(&fields("in/${filename}", "private"))
            .await
            .status,
        204
    );
    assert_eq!(poster.get("/bucket/in/foo.txt").await.ok().text(), "bar");
    let request = Request::new("GET", "/bucket/in/foo.txt").query("tagging=");
    let told = request.signed(poster.scene.address, &poster.key);
    let told = told.send(poster.scene.address).await.ok();
    assert_eq!(told.tag("Value").as_deref(), Some("1 2"));
    let outside = poster.post(&fields("${filename}", "private")).await;
    outside.refused(403, "AccessDenied");
    let open = poster.post(&fields("in/${filename}", "public-read")).await;
    open.refused(403, "AccessDenied");
    let mut forged = fields("in/k", "private");
    let wrong: String = signature.chars().rev().collect();
    forged[5].1 = &wrong;
    poster
        .post(&forged)
        .await
        .refused(403, "SignatureDoesNotMatch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_lacks_something_is_refused() {
    let poster = Poster::new().await;
    let conditions = r#"{"bucket":"bucket"},{"key":"k"}"#;
    let (policy, signature) = signed(&poster.key, conditions, LATER);
    let whole = [
        ("key", "k"),
        ("AWSAccessKeyId", &*poster.key.id),
        ("policy", &*policy),
        ("signature", &*signature),
    ];
    for at in [0, 2, 3] {
        let mut fields = whole.to_vec();
        fields.remove(at);
        poster.post(&fields).await.refused(400, "InvalidArgument");
    }
    let foreign = [&whole[..], &[("bucket", "other")]].concat();
    poster.post(&foreign).await.refused(403, "AccessDenied");
    for (conditions, expiration, status, code) in [
        (r#"{"key":"k"}"#, LATER, 403, "AccessDenied"),
        (
            conditions,
            "2999-01-01 00:00:00Z",
            400,
            "InvalidPolicyDocument",
        ),
        (conditions, "2001-01-01T00:00:00Z", 403, "AccessDenied"),
    ] {
        let (policy, signature) = signed(&poster.key, conditions, expiration);
        let mut fields = whole;
        (fields[2].1, fields[3].1) = (&policy, &signature);
        poster.post(&fields).await.refused(status, code);
    }
    assert_eq!(poster.post(&whole).await.status, 204);
    let checked = |sum: &'static str| [&whole[..], &[("x-amz-checksum-crc32", sum)]].concat();
    assert_eq!(poster.post(&checked("dv+Mqg==")).await.status, 204);
    poster
        .post(&checked("AAAAAA=="))
        .await
        .refused(400, "BadDigest");
}
