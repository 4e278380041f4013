//! An object that is larger than anybody's memory, by both doors: it comes and
//! goes in pieces, and nobody ever holds more than some of them.

use std::process::Command;

use gridmart_tests::{LONG, Supermarket, measure, wait_for};

use crate::is_soak;
use crate::{
    objects::{bucket, run},
    transfers::{block_files, key},
};

const MIB: u64 = 1024 * 1024;
/// The most memory that each may have, in MiB, however large the object is: a few
/// stripes (96 MiB at the program, and half of that again for what is coded of it).
const ELEMENT_MEBIBYTES_MAX: u64 = 400;
const HOST_MEBIBYTES_MAX: u64 = 300;
const PROGRAM_MEBIBYTES_MAX: u64 = 400;
const HOSTS: u32 = 7;
/// Longer than any of it takes.
const SECONDS_MAX: u32 = 3 * 60 * 60;
/// Bytes that do not repeat, and are the same each time: cheap to make, never
/// on a disk. $1 is how many.
const NOISE: &str = "noise() { (openssl enc -aes-128-ctr -nosalt -in /dev/zero \
    -K 00112233445566778899aabbccddeeff -iv 00000000000000000000000000000000 2>/dev/null || true) \
    | head -c \"$1\"; };";
/// Runs a command, and leaves the most memory that it had in a file, in KiB. What a
/// child is said to have had is what its parent had, at least: this one is small.
const PEAK: &str = "peak() { /usr/bin/python3 -c '\
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], \"w\") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)' \"$PEAK\" \"$@\"; };";

/// Of the object, and of the one that `aws` puts: it takes its time for that.
fn bytes() -> [u64; 2] {
    let whole = std::env::var("GIBIBYTES").map_or(20, |text| text.parse().expect("a number"));
    if is_soak() {
        [whole * 1024 * MIB; 2]
    } else {
        [2048 * MIB; 2]
    }
}

/// Runs a line of the shell with what `command` would see: `$0` is its program,
/// `$1` are so many bytes. Gives the most memory of what it runs by `peak`, in MiB.
fn shell(command: &Command, line: &str, bytes: u64) -> u64 {
    let peak = tempfile::NamedTempFile::new().unwrap();
    let mut shell = Command::new("timeout");
    shell
        .arg(SECONDS_MAX.to_string())
        .args(["bash", "-o", "pipefail", "-c"])
        .arg(format!("{NOISE} {PEAK} set -- {bytes}; {line}"))
        .arg(command.get_program())
        .env("PEAK", peak.path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let (run, usage) = measure(shell);
    run.ok();
    let told = std::fs::read_to_string(peak.path()).unwrap();
    let mebibytes = told.parse::<u64>().unwrap() / 1024;
    let seconds = usage.wall.as_secs_f64();
    eprintln!("{line}: {seconds:.1} s, {mebibytes} MiB");
    mebibytes
}

#[test]
fn a_very_large_object_is_put_and_got_in_little_memory() {
    let market = Supermarket::builder().hosts(0).storage_hosts(HOSTS).start();
    let client = market.client();
    run(async {
        bucket(&client.storage(), "data", Some("rs(4,2)")).await;
        client.close().await;
    });
    let key = key(&market, &market.token);
    let gridmart = market.command(&[]);
    let [large, put] = bytes();
    let aws = key.aws_command(&[]);
    for line in [
        "noise $1 | peak \"$0\" put - data/sdk",
        "peak \"$0\" get data/sdk - | cmp - <(noise $1)",
    ] {
        let program = shell(&gridmart, line, large);
        assert!(program < PROGRAM_MEBIBYTES_MAX, "{line}: {program} MiB");
        bounded(&market, line);
    }
    // What `aws` needs is its own affair.
    let by_aws = |line: &str, bytes: u64| {
        shell(&aws, line, bytes);
        bounded(&market, line);
    };
    by_aws(
        "peak \"$0\" s3 cp s3://data/sdk - | cmp - <(noise $1)",
        large,
    );
    if is_soak() {
        // There need not be room for two of them.
        market.cli(&["rm", "data/sdk"]).ok();
        wait_for(LONG * 4, "there is room again", || {
            let files = block_files(&market);
            (files == 0).then_some(()).ok_or(files.to_string())
        });
    }
    by_aws(
        "noise $1 | peak \"$0\" s3 cp - s3://data/s3 --expected-size $1",
        put,
    );
    by_aws("peak \"$0\" s3 cp s3://data/s3 - | cmp - <(noise $1)", put);
    market.stop();
}

/// What the Element and its Hosts ever had.
fn bounded(market: &Supermarket, after: &str) {
    let element = market.role_peak("se-1") / MIB;
    let hosts = (1..=HOSTS).map(|number| market.role_peak(&format!("storage-{number}")) / MIB);
    let host = hosts.max().unwrap_or_default();
    eprintln!("the Element had {element} MiB at most, a Host {host} MiB");
    assert!(element < ELEMENT_MEBIBYTES_MAX, "{after}: {element} MiB");
    assert!(host < HOST_MEBIBYTES_MAX, "{after}: {host} MiB");
}
