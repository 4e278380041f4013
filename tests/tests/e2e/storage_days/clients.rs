//! Programs on bad days: gone in mid-upload, by either door, with clocks that
//! are wrong, with keys that look like paths.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use gridmart_schemas::problem::Code;
use gridmart_sdk::Client;
use gridmart_tests::{Change, Clock, LONG, Running, SHORT, Supermarket, wait_for};
use nix::sys::signal::Signal;
use object_store::{ObjectStoreExt as _, aws::AmazonS3, path::Path, signer::Signer as _};
use reqwest::Method;

use crate::{
    objects::{MIB, bucket, noise, run},
    s3::Key,
    storage::wait_well,
    transfers::{block_files, key, listed, moving},
};

const BUCKET: &str = "data";
/// More than the door lets clocks differ.
const TWENTY_MINUTES: i64 = 20 * 60;
/// What is announced, and what comes of it.
const ANNOUNCED: usize = 64 * MIB;
const SENT: usize = 24 * MIB;

struct Scene {
    market: Supermarket,
    client: Client,
    key: Key,
    store: AmazonS3,
}

#[test]
fn programs_that_go_or_are_wrong_leave_nothing_and_are_told() {
    let market = Supermarket::builder().hosts(0).storage_hosts(3).start();
    let client = market.client();
    run(bucket(&client.storage(), BUCKET, Some("rs(2,1)")));
    let key = key(&market, &market.token);
    let scene = Scene {
        store: key.store(BUCKET),
        client,
        key,
        market,
    };
    for (name, case) in [
        ("gone from the S3 door", gone_from_s3 as fn(&Scene)),
        ("gone from the SDK", gone_from_the_sdk),
        ("odd keys", odd_keys),
        ("a URL that runs out", url_runs_out),
        ("a program's clock", clock_of_a_program),
        ("the Element's clock", clock_of_the_element),
        ("a Host's clock", clock_of_a_host),
    ] {
        let began = Instant::now();
        case(&scene);
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    run(scene.client.close());
    scene.market.stop();
}

/// A URL that is good for one request.
fn signed(store: &AmazonS3, method: Method, key: &str, period: Duration) -> reqwest::Url {
    run(async {
        store
            .signed_url(method, &Path::from(key), period)
            .await
            .unwrap()
    })
}

fn is_nowhere(scene: &Scene, key: &str) {
    let gone = run(scene.client.storage().stat(BUCKET, key));
    assert_eq!(gone.unwrap_err().code(), Some(Code::NotFound), "{key}");
    let gone = run(async { scene.store.head(&Path::from(key)).await });
    assert!(
        matches!(gone, Err(object_store::Error::NotFound { .. })),
        "{gone:?}"
    );
}

/// Waits until so many blocks have files of their own.
fn wait_files(market: &Supermarket, what: &str, good: impl Fn(usize) -> bool) {
    wait_for(LONG, what, || {
        let files = block_files(market);
        good(files).then_some(()).ok_or(files.to_string())
    });
}

fn gone_from_s3(scene: &Scene) {
    let before = block_files(&scene.market);
    let url = signed(&scene.store, Method::PUT, "half-s3", Duration::from_mins(5));
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let mut stream = TcpStream::connect((host, port)).unwrap();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: {ANNOUNCED}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&noise(SENT, 1)).unwrap();
    wait_files(&scene.market, "blocks are on Hosts", |files| files > before);
    drop(stream);
    wait_files(&scene.market, "its blocks are gone", |files| {
        files == before
    });
    is_nowhere(scene, "half-s3");
    let ended = wait_for(LONG, "the record is there", || {
        let rows = listed(&scene.market, &["--ended"]);
        let row = rows.iter().find(|row| row["key"] == "half-s3").cloned();
        row.ok_or_else(|| format!("{rows:?}"))
    });
    assert_ne!(ended["end"]["state"], "Finished", "{ended}");
}

fn gone_from_the_sdk(scene: &Scene) {
    let market = &scene.market;
    let put = ["put", "-", &format!("{BUCKET}/half-sdk")];
    let mut putting = Running::open(market.command(&put));
    putting.feed(&noise(SENT, 2));
    moving(market, "half-sdk");
    putting.signal(Signal::SIGKILL);
    putting.wait().exits(128 + 9);
    is_nowhere(scene, "half-sdk");
    // The same once more, to its end.
    let whole = noise(SENT, 3);
    market.cli_with(&put, &whole[..]).ok();
    let got = run(scene.client.storage().get(BUCKET, "half-sdk").bytes());
    assert!(got.unwrap() == whole);
}

/// A key of 1,024 bytes, which has every byte that UTF-8 has but NUL.
fn longest_key() -> String {
    let ascii = ('\u{1}'..='\u{7f}').collect::<String>();
    // Each byte that begins a character of two, three, four bytes, and each
    // that goes on with one.
    let two = (0xc2..=0xdf_u32).map(|lead| ((lead & 0x1f) << 6) | 0x2a);
    let least = |lead: u32, first: u32, bits: u32| if lead == first { 1 << bits } else { 0 };
    let three = (0xe0..=0xef_u32).map(|lead| ((lead & 0xf) << 12) | least(lead, 0xe0, 11) | 0x15);
    let four = (0xf0..=0xf4_u32).map(|lead| ((lead & 7) << 18) | least(lead, 0xf0, 16) | 0xa0a);
    let further = (0x80..=0xbf_u32).map(|last| (0x1f << 6) | (last & 0x3f));
    let rest = two.chain(three).chain(four).chain(further);
    let mut key = ascii + &rest.filter_map(char::from_u32).collect::<String>();
    while key.len() < 1024 {
        key.push('k');
    }
    key
}

#[test]
fn the_longest_key_has_each_byte_of_utf_8() {
    let key = longest_key();
    assert_eq!(key.len(), 1024);
    for byte in (1..=u8::MAX).filter(|byte| !matches!(byte, 0xc0 | 0xc1 | 0xf5..)) {
        assert!(key.as_bytes().contains(&byte), "{byte:02x}");
    }
}

fn odd_keys(scene: &Scene) {
    let storage = scene.client.storage();
    let keys = [
        &longest_key(),
        "..",
        ".",
        "../up",
        "../../../../etc/passwd",
        "a/../b",
        "a/./b",
        "/absolute",
        "//double//slashes/",
        "a/..",
        "%2e%2e/escaped",
        "..%2fescaped",
        "..\\windows",
        "?query=1&x#fragment",
        "+ %20",
        "ends with a blank ",
    ];
    run(async {
        for (seed, key) in (0..).zip(keys) {
            let put = storage.put(BUCKET, key).bytes(noise(100, seed)).await;
            put.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        }
        // None of them is another one.
        for (seed, key) in (0..).zip(keys) {
            let got = storage.get(BUCKET, key).bytes().await;
            let got = got.unwrap_or_else(|error| panic!("{key:?}: {error}"));
            assert!(got == noise(100, seed), "{key:?}");
        }
        let listed = storage.list(BUCKET).all().await.unwrap();
        for key in keys {
            assert!(listed.iter().any(|object| object.key == key), "{key:?}");
        }
        for key in keys {
            storage.delete(BUCKET, key).await.unwrap();
            let gone = storage.stat(BUCKET, key).await.unwrap_err();
            assert_eq!(gone.code(), Some(Code::NotFound), "{key:?}");
        }
        let long = longest_key() + "k";
        for wrong in [long.as_str(), ""] {
            let refused = storage.put(BUCKET, wrong).bytes(noise(1, 1)).await;
            let code = refused.unwrap_err().code();
            assert_eq!(code, Some(Code::InvalidRequest), "{} bytes", wrong.len());
        }
    });
}

fn url_runs_out(scene: &Scene) {
    let path = Path::from("short");
    run(async { scene.store.put(&path, "hello".into()).await.unwrap() });
    let url = signed(&scene.store, Method::GET, "short", Duration::from_secs(2));
    let get = || run(async { reqwest::get(url.clone()).await.unwrap() });
    assert_eq!(get().status(), 200);
    let refused = wait_for(SHORT, "it has run out", || {
        let answer = get();
        let status = answer.status();
        (status == 403).then_some(answer).ok_or(status.to_string())
    });
    let text = run(async { refused.text().await.unwrap() });
    assert!(
        text.contains("AccessDenied") && text.contains("expired"),
        "{text}"
    );
}

/// Runs `aws` by another clock.
fn aws_by(scene: &Scene, clock: &Clock, words: &[&str]) -> gridmart_tests::Run {
    let mut command = scene.key.aws_command(words);
    command.envs(clock.variables());
    Running::start(command, None).wait()
}

fn clock_of_a_program(scene: &Scene) {
    let clock = Clock::right();
    let list = ["s3", "ls", "s3://data"];
    for wrong in [-TWENTY_MINUTES, TWENTY_MINUTES] {
        clock.set(wrong);
        let run = aws_by(scene, &clock, &list);
        assert_ne!(run.code, 0, "{wrong}");
        run.says("RequestTimeTooSkewed");
    }
    clock.set(0);
    aws_by(scene, &clock, &list).ok();
}

fn clock_of_the_element(scene: &Scene) {
    let market = &scene.market;
    let clock = Clock::right();
    market.replace("se-1", &Change::none().clock(&clock));
    wait_well(market);
    clock.set(TWENTY_MINUTES);
    let refused = scene.key.aws(&["s3", "ls", "s3://data"]);
    assert_ne!(refused.code, 0);
    refused.says("RequestTimeTooSkewed");
    clock.set(0);
    scene.key.aws(&["s3", "ls", "s3://data"]).ok();
    is_used(scene, "clock/element");
}

/// A Host whose clock is wrong takes no tickets: programs use others.
fn clock_of_a_host(scene: &Scene) {
    let market = &scene.market;
    let clock = Clock::right();
    market.replace("storage-2", &Change::none().clock(&clock));
    market.wait_resource("storage-2", "back", |row| row["connected"] == true);
    wait_well(market);
    clock.set(TWENTY_MINUTES);
    // Three are there, and three are needed to put; two are enough to get.
    let got = run(scene.client.storage().get(BUCKET, "clock/element").bytes());
    assert!(got.unwrap() == noise(SENT, 7));
    clock.set(0);
    is_used(scene, "clock/host");
}

fn is_used(scene: &Scene, key: &str) {
    run(async {
        let storage = scene.client.storage();
        let bytes = noise(SENT, 7);
        storage.put(BUCKET, key).bytes(bytes.clone()).await.unwrap();
        let got = storage.get(BUCKET, key).bytes().await.unwrap();
        assert!(got == bytes, "{key}");
    });
}
