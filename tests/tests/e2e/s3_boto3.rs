//! The S3 door of a Storage Element, as the library boto3 sees it: what it does is
//! in the folder `s3_boto3` beside this file.

use std::{path::PathBuf, process::Command};

use gridmart_tests::{LONG, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    person,
    s3::Key,
    storage::{element_with, host},
};

/// Seconds of a day in rules on how long objects live.
const DAY: u32 = 4;

/// The Python that `scripts/setup` has given boto3 to.
fn python() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join("target/boto3/bin/python");
    assert!(
        python.exists(),
        "{} is not there; run scripts/setup, which installs boto3",
        python.display()
    );
    python
}

#[test]
fn the_door_does_what_boto3_expects_of_s3() {
    let market = Supermarket::builder().hosts(1).start();
    let se = element_with(&market, &["--lifecycle-day", &format!("{DAY}s")]);
    let hosts =
        ["rack=r1", "rack=r2"].map(|rack| host(&market, &rack.replace("rack=r", "shost-"), rack));
    let [ada, bob] = ["ada", "bob"].map(|name| person(&market, name, "user"));
    wait_for(LONG, "the Element gives out keys", || {
        let run = market.cli_as(&ada, &["key", "list", "--element", "se-1"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let [ada, bob] = [ada, bob].map(|token| Key::create(&market, &token));
    wait_for(LONG, "a bucket is made", || {
        let run = ada.aws(&["s3", "mb", "s3://first"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let told = |key: &Key| json!({"id": key.id(), "secret": key.text("secret")});
    let scene = json!({
        "endpoint": ada.text("endpoint"),
        "region": ada.text("region"),
        "ada": told(&ada),
        "bob": told(&bob),
        "day": DAY,
    });
    let mut command = Command::new(python());
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/s3_boto3"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GRIDMART_S3", scene.to_string())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    Running::start(command, None).wait().ok();
    for role in hosts.into_iter().rev().chain([se]) {
        role.signal(Signal::SIGTERM);
        role.wait().ok();
    }
    market.stop();
}
