//! Files of buckets as inputs and outputs of calls: the compute Host fetches and
//! stores them itself, with its caller's rights.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_schemas::{
    api::bucket::BucketChangeRequest,
    problem::Code,
    wire::{
        record::{CallEnd, CallState},
        staging::StagedFile,
    },
};
use gridmart_sdk::{CallBuilder, Client, Settings, Stdin};
use gridmart_tests::{Application, LONG, Supermarket, wait_for};
use serde_json::Value;

use crate::{
    objects::{MIB, bucket, noise, run},
    person,
};

/// An end that a `kill` brings comes well before any transfer is given up.
const AT_ONCE: Duration = Duration::from_secs(6);

fn market(storage_hosts: u32) -> Supermarket {
    let market = Supermarket::builder()
        .hosts(1)
        .storage_hosts(storage_hosts)
        .start();
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    market
}

fn shell(client: &Client, script: &str) -> CallBuilder {
    client.apps().call("shell").arg(script)
}

fn input(text: &str) -> StagedFile {
    StagedFile::parse_input(text).unwrap()
}

fn left(text: &str) -> StagedFile {
    StagedFile::parse_output(text).unwrap()
}

async fn got(client: &Client, key: &str) -> Bytes {
    client.storage().get("data", key).bytes().await.unwrap()
}

async fn is_absent(client: &Client, key: &str) -> bool {
    let stat = client.storage().stat("data", key).await;
    stat.is_err_and(|error| error.code() == Some(Code::NotFound))
}

/// Makes a client for the holder of a token.
fn client_of(market: &Supermarket, token: &str) -> Client {
    let mut settings = Settings::new(&market.ready.url, token);
    settings.ca = market.settings().ca;
    Client::connect(settings).unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(_) => vec![entry.path()],
            Err(_) => Vec::new(),
        })
        .collect()
}

fn host(market: &Supermarket) -> String {
    market.ready.hosts[0].clone()
}

#[test]
fn files_are_brought_and_stored_whole() {
    let market = market(5);
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", None).await;
        let (long, short) = (noise(20 * MIB, 1), noise(1000, 2));
        for (key, bytes) in [("in/long.bin", &long), ("in/short", &short)] {
            let put = client.storage().put("data", key).bytes(bytes.clone());
            put.await.unwrap();
        }
        let script = "test \"$(ls)\" = \"$(printf 'deep\\nlong.bin')\" || exit 9
            mkdir out && cat long.bin deep/er/s > out/both && : > empty && cat deep/er/s";
        let words = [
            "--json",
            "call",
            "shell",
            "--stage-in",
            "data/in/long.bin",
            "--stage-in",
            "data/in/short=deep/er/s",
            "--stage-out",
            "out/both=data/res/both",
            "--stage-out",
            "empty=data/res/empty",
            "--",
            script,
        ];
        let called: Value = market.cli(&words).ok().json();
        let both = [&long[..], &short[..]].concat();
        assert!(got(&client, "res/both").await == both);
        assert!(got(&client, "res/empty").await.is_empty());
        let total = both.len() as u64;
        assert_eq!(called["end"]["staged_in_bytes"], total, "{called}");
        assert_eq!(called["end"]["staged_out_bytes"], total);
        let call = called["call"].as_str().unwrap();
        let told = wait_for(LONG, "the record is told", || {
            let shown = market.cli(&["--json", "show", call]);
            match shown.code {
                // Where it is known to have begun, its end is told a moment later.
                0 if !shown.json::<Value>()["attempts"][0]["end"].is_null() => {
                    Ok(shown.json::<Value>())
                }
                _ => Err(shown.stderr.clone()),
            }
        });
        assert_eq!(
            told["attempts"][0]["end"]["staged_in_bytes"], total,
            "{told}"
        );
        let shown = market.cli(&["show", call]).ok().text();
        assert!(shown.contains("files out"), "{shown}");
        // The next call finds nothing of it.
        let next = shell(&client, "ls -A | wc -l").output().await.unwrap();
        assert_eq!(next.stdout.trim_ascii(), b"0");
        client.close().await;
    });
    market.stop();
}

#[test]
fn each_part_of_a_map_has_the_inputs_and_leaves_an_object_of_its_own() {
    let market = market(3);
    let splits = Application::script("parts", "read n; { cat words; echo $n; } > out; echo $n");
    market.upload(&splits);
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", None).await;
        let put = client.storage().put("data", "words").bytes("words\n");
        put.await.unwrap();
        let map = || client.apps().map("parts").stage_in(input("data/words"));
        let parts = (0..20).map(|part| Bytes::from(format!("{part}\n")));
        let done = map()
            .stage_out(left("out=data/parts/{part}.txt"))
            .parts(parts)
            .run()
            .await
            .unwrap();
        assert_eq!(done.report.done, 20);
        for part in 0..20 {
            let key = format!("parts/{part}.txt");
            assert_eq!(got(&client, &key).await, format!("words\n{part}\n"));
        }
        let same = map().stage_out(left("out=data/one")).parts([Bytes::new()]);
        let refused = same.run().await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::InvalidRequest), "{refused}");
        client.close().await;
    });
    market.stop();
}

#[test]
fn who_may_not_is_refused_before_anything_starts() {
    let market = market(3);
    let bob = person(&market, "bob", "user");
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", None).await;
        bucket(&storage, "open", None).await;
        storage.put("data", "x").bytes("secret").await.unwrap();
        let allow = ["bucket", "policy", "open", "--allow", "user:bob@shared/"];
        market.cli(&allow).ok();
        let called = |words: &[&str]| {
            let words = [
                &["call", "shell"][..],
                words,
                &["--", "echo started; : > y"],
            ]
            .concat();
            market.cli_as(&bob, &words)
        };
        for (words, code) in [
            (["--stage-in", "data/x"], "not-authorized"),
            (["--stage-out", "y=data/y"], "not-authorized"),
            // The bucket is open to bob, the key is not.
            (["--stage-out", "y=open/y"], "not-authorized"),
            (["--stage-in", "open/none"], "not-authorized"),
            (["--stage-in", "open/shared/none"], "not-found"),
            (["--stage-in", "nowhere/x"], "not-found"),
        ] {
            let refused = called(&words);
            assert_ne!(refused.code, 0, "{words:?}");
            assert_eq!(refused.text(), "", "{words:?} began");
            assert!(
                refused.stderr.contains(code),
                "{words:?}: {}",
                refused.stderr
            );
            let object = words[1].rsplit('=').next().unwrap();
            assert!(
                refused.stderr.contains(object),
                "{words:?}: {}",
                refused.stderr
            );
        }
        called(&["--stage-out", "y=open/shared/y"]).ok();
        assert!(storage.stat("open", "shared/y").await.is_ok());
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_right_that_is_taken_away_meanwhile_is_noticed_when_the_output_is_stored() {
    let market = market(3);
    let bob = person(&market, "bob", "user");
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", None).await;
        let allow = ["bucket", "policy", "data", "--allow", "user:bob"];
        market.cli(&allow).ok();
        let theirs = client_of(&market, &bob);
        let mut call = shell(&theirs, "echo ready; read -r go; echo $go > y")
            .stage_out(left("y=data/y"))
            .stdin(Stdin::Piped)
            .start()
            .await
            .unwrap();
        let ready = call.stdout().chunk().await.unwrap();
        assert_eq!(ready.unwrap(), "ready\n");
        let nobody = BucketChangeRequest {
            rules: Some(Vec::new()),
            ..BucketChangeRequest::default()
        };
        let storage = client.storage();
        storage.bucket_change("data", &nobody).await.unwrap();
        let mut stdin = call.stdin().unwrap();
        stdin.send(Bytes::from_static(b"go\n")).await.unwrap();
        stdin.finish();
        let end = call.wait().await.unwrap();
        assert_eq!(
            (end.state, end.code),
            (CallState::Failed, Some(Code::NotAuthorized)),
            "{end:?}"
        );
        assert!(end.reason.as_ref().unwrap().contains("data/y"), "{end:?}");
        assert_eq!(end.staged_out_bytes, 0);
        assert!(is_absent(&client, "y").await);
        theirs.close().await;
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_storage_host_may_die_while_files_are_moved() {
    let market = market(8);
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", Some("rs(4,2)")).await;
        let bytes = noise(64 * MIB, 3);
        let put = client.storage().put("data", "big").bytes(bytes.clone());
        put.await.unwrap();
        let mut call = shell(&client, "echo here; mv big out; read -r go || true")
            .stage_in(input("data/big"))
            .stage_out(left("out=data/copy"))
            .stdin(Stdin::Piped)
            .start()
            .await
            .unwrap();
        let sandboxes = market.seen(&host(&market)).join("sandboxes");
        wait_for(LONG, "some of the input is there", || {
            let bytes = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
            let files = files_below(&sandboxes);
            let mut inputs = files.iter().filter(|path| path.ends_with("work/big"));
            if inputs.any(|path| bytes(path) > 0) {
                Ok(())
            } else {
                Err(format!("{files:?}"))
            }
        });
        market.kill9("storage-3");
        let here = call.stdout().chunk().await.unwrap();
        assert_eq!(here.unwrap(), "here\n");
        // And another one when it is stored.
        market.kill9("storage-5");
        drop(call.stdin());
        let end = call.wait().await.unwrap();
        assert!(end.succeeded(), "{end:?}");
        assert_eq!(end.staged_out_bytes, bytes.len() as u64);
        assert!(got(&client, "copy").await == bytes);
        client.close().await;
    });
    market.stop();
}

fn freeze(market: &Supermarket, hosts: u32) {
    for number in 1..=hosts {
        market.freeze(&format!("storage-{number}"));
    }
}

fn thaw(market: &Supermarket, hosts: u32) {
    for number in 1..=hosts {
        market.thaw(&format!("storage-{number}"));
    }
}

fn assert_killed(end: &CallEnd, began: Instant) {
    assert_eq!(
        (end.state, end.code),
        (CallState::Terminated, Some(Code::Terminated)),
        "{end:?}"
    );
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[test]
fn a_kill_ends_what_is_being_moved_and_leaves_no_half_object() {
    let market = market(3);
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", None).await;
        let bytes = noise(8 * MIB, 4);
        let put = client.storage().put("data", "big").bytes(bytes.clone());
        put.await.unwrap();
        let sandboxes = market.seen(&host(&market)).join("sandboxes");

        freeze(&market, 3);
        let mut call = shell(&client, "echo started")
            .stage_in(input("data/big"))
            .start()
            .await
            .unwrap();
        wait_for(LONG, "the input is being brought", || {
            let files = files_below(&sandboxes);
            if files.iter().any(|path| path.ends_with("work/big")) {
                Ok(())
            } else {
                Err(format!("{files:?}"))
            }
        });
        let began = Instant::now();
        market.cli(&["kill", &call.id().to_string()]).ok();
        let mut stdout = call.stdout();
        assert_killed(&call.wait().await.unwrap(), began);
        assert_eq!(stdout.chunk().await.unwrap(), None, "it never began");
        thaw(&market, 3);

        let mut call = shell(&client, "mv big out; echo frozen; read -r go")
            .stage_in(input("data/big"))
            .stage_out(left("out=data/half"))
            .stdin(Stdin::Piped)
            .start()
            .await
            .unwrap();
        let mut stdout = call.stdout();
        assert_eq!(stdout.chunk().await.unwrap().unwrap(), "frozen\n");
        freeze(&market, 3);
        let mut stdin = call.stdin().unwrap();
        stdin.send(Bytes::from_static(b"go\n")).await.unwrap();
        let fds = format!("/proc/{}/fd", market.role_pid(&host(&market)));
        wait_for(LONG, "the output is being stored", || {
            let open = fs::read_dir(&fds).unwrap().flatten();
            let mut open = open.filter_map(|fd| fs::read_link(fd.path()).ok());
            if open.any(|path| path.ends_with("work/out")) {
                Ok(())
            } else {
                Err("it is not open".to_owned())
            }
        });
        let began = Instant::now();
        market.cli(&["kill", &call.id().to_string()]).ok();
        assert_killed(&call.wait().await.unwrap(), began);
        thaw(&market, 3);
        assert!(is_absent(&client, "half").await);
        let after = shell(&client, "echo well").output().await.unwrap();
        assert_eq!(after.stdout, "well\n", "the Host goes on");
        client.close().await;
    });
    market.stop();
}

#[test]
fn inputs_for_which_the_host_has_no_room_are_refused() {
    let market = Supermarket::builder()
        .hosts(1)
        .storage_hosts(3)
        .small_disk("host-1", 64)
        .start();
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", None).await;
        for (key, bytes) in [("big", 80 * MIB), ("small", MIB)] {
            storage
                .put("data", key)
                .bytes(noise(bytes, 5))
                .await
                .unwrap();
        }
        let with = |file| shell(&client, "wc -c *").stage_in(input(file)).output();
        let refused = with("data/big").await.unwrap();
        assert_eq!(refused.end.code, Some(Code::LimitExceeded), "{refused:?}");
        let reason = refused.end.reason.unwrap_or_default();
        assert!(reason.contains("WorkingAreaFree"), "{reason}");
        assert!(refused.stdout.is_empty(), "it began");
        let served = with("data/small").await.unwrap();
        assert_eq!(served.stdout.trim_ascii(), b"1048576 small");
        client.close().await;
    });
    market.stop();
}

#[test]
fn only_files_of_the_work_folder_itself_are_stored() {
    let market = market(3);
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", None).await;
        for words in [
            ["--stage-in", "data/x=../y"],
            ["--stage-in", "data/x=/etc/y"],
            ["--stage-in", "data/a/.."],
            ["--stage-in", "data"],
            ["--stage-out", "../y=data/y"],
            ["--stage-out", "/etc/passwd=data/y"],
            ["--stage-out", "y"],
        ] {
            let words = [&["call", "shell"][..], &words[..], &["--", "true"]].concat();
            market.cli(&words).exits(2);
        }
        for (script, told) in [
            ("ln -s /etc/passwd y", "links are not followed"),
            (
                "mkdir real; : > real/z; ln -s real d; ln -s real/z y",
                "links",
            ),
            ("mkfifo y", "no regular file"),
            ("mkdir y", "no regular file"),
            ("true", "no such file"),
        ] {
            let call = shell(&client, script).stage_out(left("y=data/y"));
            let end = call.output().await.unwrap().end;
            assert_eq!(end.code, Some(Code::StagingFailed), "{script}: {end:?}");
            assert_eq!(end.exit_code, Some(0));
            let reason = end.reason.unwrap_or_default();
            assert!(
                reason.contains(told) && reason.contains("data/y"),
                "{reason}"
            );
        }
        let through = shell(&client, "mkdir real; : > real/z; ln -s real d");
        let end = through
            .stage_out(left("d/z=data/y"))
            .output()
            .await
            .unwrap();
        assert_eq!(end.end.code, Some(Code::StagingFailed));
        // Who ends with another code leaves nothing, and has its own end.
        let failing = shell(&client, ": > y; exit 3").stage_out(left("y=data/y"));
        let end = failing.output().await.unwrap().end;
        assert_eq!((end.exit_code, end.code), (Some(3), None));
        assert!(is_absent(&client, "y").await);
        let twice = shell(&client, "true")
            .stage_in(input("data/a/x"))
            .stage_in(input("data/b/x"));
        let refused = twice.output().await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::InvalidRequest), "{refused}");
        client.close().await;
    });
    market.stop();
}
