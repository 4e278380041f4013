//! The S3 door of a Storage Element, as `awscli` uses it.

use std::{fs, path::Path, process::Command};

use gridmart_tests::{LONG, Run, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;
use object_store::{
    ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
};
use serde_json::Value;

use crate::{
    person,
    storage::{element, element_with, host},
};

/// Larger than what `awscli` puts as a whole: it is put in parts.
const LARGE_BYTES: usize = 20 * 1024 * 1024;

/// An access key, as `gridmart key create --json` gives it.
pub(crate) struct Key(Value);

impl Key {
    pub(super) fn create(market: &Supermarket, token: &str) -> Self {
        Self(
            market
                .cli_as(token, &["key", "create", "--json"])
                .ok()
                .json(),
        )
    }

    pub(super) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    /// One of its fields: `secret`, `endpoint`, `region`.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    /// Runs `aws` with this key.
    pub(super) fn aws(&self, words: &[&str]) -> Run {
        Running::start(self.aws_command(words), Some(Vec::new())).wait()
    }

    /// A command of `aws` with this key.
    pub(super) fn aws_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("aws");
        command
            .args(words)
            .env("AWS_ACCESS_KEY_ID", self.id())
            .env("AWS_SECRET_ACCESS_KEY", self.text("secret"))
            .env("AWS_ENDPOINT_URL", self.text("endpoint"))
            .env("AWS_REGION", self.text("region"))
            .env("AWS_DEFAULT_REGION", self.text("region"))
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1");
        command
    }

    /// A program's way to the objects of a bucket, which asks once.
    pub(super) fn store(&self, bucket: &str) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(self.text("endpoint"))
            .with_region(self.text("region"))
            .with_access_key_id(self.id())
            .with_secret_access_key(self.text("secret"))
            .with_bucket_name(bucket)
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(true)
                    .with_timeout(LONG),
            )
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .build()
            .unwrap()
    }
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).unwrap() == fs::read(other).unwrap()
}

#[test]
fn buckets_and_objects_are_used_through_awscli() {
    let market = Supermarket::builder().hosts(1).start();
    let se = element(&market);
    let hosts =
        ["rack=r1", "rack=r2"].map(|rack| host(&market, &rack.replace("rack=r", "shost-"), rack));
    let ada = person(&market, "ada", "user");
    let mut key = None;
    wait_for(LONG, "the Element gives out a key", || {
        let run = market.cli_as(&ada, &["key", "create", "--label", "first", "--json"]);
        if run.code != 0 {
            return Err(run.stderr);
        }
        key = Some(Key(run.json()));
        Ok(())
    });
    let key = key.unwrap();
    wait_for(LONG, "a bucket is made", || {
        let run = key.aws(&["s3", "mb", "s3://shelf"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });

    let scratch = market.scratch();
    let (small, large) = (scratch.join("small"), scratch.join("large"));
    fs::write(&small, "hello").unwrap();
    let bytes: Vec<u8> = (0..LARGE_BYTES)
        .map(|at| u8::try_from(at * 31 % 251).unwrap())
        .collect();
    fs::write(&large, bytes).unwrap();
    for file in [&small, &large] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let (at, back) = (
            format!("s3://shelf/dir/{name}"),
            scratch.join(format!("{name}.back")),
        );
        key.aws(&["s3", "cp", file.to_str().unwrap(), &at]).ok();
        key.aws(&["s3", "cp", &at, back.to_str().unwrap()]).ok();
        assert!(same(file, &back), "{name}");
    }
    let listed = key.aws(&["s3", "ls", "s3://shelf/dir/"]).ok().text();
    assert!(
        listed.contains("small") && listed.contains("large"),
        "{listed}"
    );
    let head = key.aws(&[
        "s3api",
        "head-object",
        "--bucket",
        "shelf",
        "--key",
        "dir/large",
    ]);
    let head: Value = serde_json::from_str(&head.ok().text()).unwrap();
    assert_eq!(head["ContentLength"], LARGE_BYTES);
    assert!(head["ETag"].as_str().unwrap().ends_with("-3\""), "{head}");

    // A copy of everything is on the other Host.
    let [first, second] = hosts;
    second.signal(Signal::SIGKILL);
    let _ = second.wait();
    let again = scratch.join("again");
    key.aws(&["s3", "cp", "s3://shelf/dir/large", again.to_str().unwrap()])
        .ok();
    assert!(same(&large, &again));
    for role in [first, se] {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}

/// Asks for something at the S3 door's address, believing the grid's authority
/// alone; whether its certificate is good for that name.
fn is_trusted(market: &Supermarket, url: &str) -> Result<(), String> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--output", "/dev/null"])
        .arg("--cacert")
        .arg(market.ca())
        .arg(url);
    let run = Running::start(command, None).wait();
    (run.code == 0).then_some(()).ok_or(run.stderr)
}

#[test]
fn the_door_over_tls_is_trusted_by_its_names() {
    let market = Supermarket::builder().hosts(1).start();
    // Not on this machine's own address alone: with TLS.
    let se = element_with(&market, &["--s3-listen", "0.0.0.0:0"]);
    let shost = host(&market, "shost-1", "rack=r1");
    let mut key = None;
    wait_for(LONG, "the Element gives out a key", || {
        let run = market.cli(&["key", "create", "--json"]);
        if run.code != 0 {
            return Err(run.stderr);
        }
        key = Some(Key(run.json()));
        Ok(())
    });
    let key = key.unwrap();
    let endpoint = key.text("endpoint").to_owned();
    assert!(endpoint.starts_with("https://127.0.0.1:"), "{endpoint}");
    wait_for(LONG, "the certificate names its address", || {
        is_trusted(&market, &endpoint)
    });
    let ca = market.ca();
    let aws = |words: &[&str]| key.aws(&[words, &["--ca-bundle", ca.to_str().unwrap()]].concat());
    wait_for(LONG, "a bucket is made", || {
        let run = aws(&["s3", "mb", "s3://shelf"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let small = market.scratch().join("small");
    fs::write(&small, "hello").unwrap();
    aws(&["s3", "cp", small.to_str().unwrap(), "s3://shelf/small"]).ok();
    assert_eq!(
        aws(&["s3", "cp", "s3://shelf/small", "-"]).ok().text(),
        "hello"
    );
    // It is not good for what it is not called.
    let port = endpoint.rsplit_once(':').unwrap().1;
    let named = format!("https://localhost:{port}");
    assert!(is_trusted(&market, &named).is_err());

    // It is called otherwise from now on, at the same port.
    let door = market.role_address("se-1", "door");
    se.signal(Signal::SIGTERM);
    se.wait().ok();
    let mut command = market.command(&["element", "storage"]);
    command
        .args(["--name", "se-1", "--controller", &market.ready.nodes])
        .args(["--listen", &door, "--advertise", "localhost"])
        .args(["--s3-listen", "0.0.0.0:0"])
        .arg("--data-dir")
        .arg(market.folder().join("se-1"));
    let again = Running::start(command, None);
    wait_for(LONG, "the certificate names it", || {
        is_trusted(&market, &named)
    });
    for role in [shost, again] {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}

#[test]
fn a_key_acts_with_the_rights_of_now() {
    let market = Supermarket::builder().hosts(1).start();
    let se = element(&market);
    let shost = host(&market, "shost-1", "rack=r1");
    let (ada, eve) = (
        person(&market, "ada", "user"),
        person(&market, "eve", "user"),
    );
    wait_for(LONG, "the Element gives out keys", || {
        let run = market.cli_as(&ada, &["key", "list", "--element", "se-1"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let (own, foreign) = (Key::create(&market, &ada), Key::create(&market, &eve));
    wait_for(LONG, "a bucket is made", || {
        let run = own.aws(&["s3", "mb", "s3://hers"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let small = market.scratch().join("small");
    fs::write(&small, "hello").unwrap();
    let put = |key: &Key| key.aws(&["s3", "cp", small.to_str().unwrap(), "s3://hers/small"]);
    put(&own).ok();
    assert_refused(&put(&foreign), "AccessDenied");
    let listed: Value = market.cli_as(&eve, &["key", "list", "--json"]).ok().json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["keys"][0]["id"], foreign.id());

    market
        .cli(&["people", "change", "ada", "--role", "viewer"])
        .ok();
    wait_for(LONG, "a viewer writes no more", || {
        let run = put(&own);
        run.stderr
            .contains("AccessDenied")
            .then_some(())
            .ok_or(run.stderr)
    });
    own.aws(&["s3", "cp", "s3://hers/small", "-"]).ok();
    market.cli(&["people", "change", "ada", "--disable"]).ok();
    wait_for(LONG, "who may not sign in has no key", || {
        let run = own.aws(&["s3", "ls"]);
        run.stderr
            .contains("InvalidAccessKeyId")
            .then_some(())
            .ok_or(run.stderr)
    });

    // Somebody else's key is not eve's to delete; her own is worthless at once.
    assert_ne!(market.cli_as(&eve, &["key", "delete", own.id()]).code, 0);
    foreign.aws(&["s3", "ls"]).ok();
    market.cli_as(&eve, &["key", "delete", foreign.id()]).ok();
    assert_refused(&foreign.aws(&["s3", "ls"]), "InvalidAccessKeyId");
    for role in [shost, se] {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}

#[track_caller]
fn assert_refused(run: &Run, code: &str) {
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains(code), "{}", run.stderr);
}
