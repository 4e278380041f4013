//! Transfers: listed, ended one by one, and what a stop and a kill of Elements
//! and Hosts mean for them.

use std::{fs, path::Path, process::Command};

use bytes::Bytes;
use futures_util::stream;
use gridmart_schemas::problem::Code;
use gridmart_sdk::{Client, Command as Order, Error, Settings, Target};
use gridmart_tests::{LONG, Run, Running, Supermarket, wait_for};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    objects::{MIB, bucket, noise, run},
    person,
    s3::Key,
};

/// Slow enough to be looked at: what is moved by it takes minutes.
const SLOW: &str = "64k";
/// More than the connections of this machine hold by themselves.
const LARGE: usize = 48 * MIB;

fn market() -> Supermarket {
    Supermarket::builder().hosts(0).storage_hosts(3).start()
}

/// A key, once the Element gives them out.
pub(crate) fn key(market: &Supermarket, token: &str) -> Key {
    wait_for(LONG, "the Element gives out keys", || {
        let run = market.cli_as(token, &["key", "list", "--element", "se-1"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    Key::create(market, token)
}

/// `curl`, as an S3 program that takes its time.
fn curl(key: &Key, object: &str, more: &[&str]) -> Running {
    let mut command = Command::new("curl");
    let user = format!("{}:{}", key.id(), key.text("secret"));
    let region = format!("aws:amz:{}:s3", key.text("region"));
    command
        .args(["--silent", "--show-error", "--aws-sigv4", &region])
        .args(["--user", &user])
        .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .args(more)
        .arg(format!("{}/{object}", key.text("endpoint")));
    Running::start(command, None)
}

fn listed_as(market: &Supermarket, token: &str, more: &[&str]) -> Vec<Value> {
    let mut words = vec!["--json", "transfers"];
    words.extend(more);
    let listed: Value = market.cli_as(token, &words).ok().json();
    let rows = listed.get("transfers").or_else(|| listed.get("items"));
    rows.and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(crate) fn listed(market: &Supermarket, more: &[&str]) -> Vec<Value> {
    let mut words = vec!["--json", "transfers"];
    words.extend(more);
    let listed: Value = market.cli(&words).ok().json();
    let rows = listed.get("transfers").or_else(|| listed.get("items"));
    rows.and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Waits for a transfer of this key that has moved something.
pub(crate) fn moving(market: &Supermarket, key: &str) -> Value {
    wait_for(LONG, "the transfer is under way", || {
        let rows = listed(market, &[]);
        let row = rows.iter().find(|row| row["key"] == key);
        let row = row.filter(|row| row["bytes"].as_u64() > Some(0));
        row.cloned().ok_or_else(|| format!("{rows:?}"))
    })
}

/// Waits for its record.
fn record(market: &Supermarket, id: &Value) -> Value {
    wait_for(LONG, "the record is there", || {
        let rows = listed(market, &["--ended"]);
        let row = rows.iter().find(|row| row["transfer"] == *id);
        row.cloned().ok_or_else(|| format!("{rows:?}"))
    })
}

fn id_of(row: &Value) -> String {
    row["transfer"].as_str().unwrap().to_owned()
}

fn wait_serving(market: &Supermarket, name: &str, state: &str) {
    market.wait_resource(name, state, |row| row["serving_state"] == state);
}

/// Blocks that have files of their own, on all Hosts.
pub(crate) fn block_files(market: &Supermarket) -> usize {
    (1..=3)
        .map(|at| files(&market.folder().join(format!("storage-{at}/volume/blocks"))))
        .sum()
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            _ => 1,
        })
        .sum()
}

/// The source of a put that goes on when it is told to.
fn held() -> (
    mpsc::UnboundedSender<Bytes>,
    impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) {
    let (give, given) = mpsc::unbounded_channel::<Bytes>();
    let pieces = stream::unfold(given, async |mut given: mpsc::UnboundedReceiver<Bytes>| {
        given.recv().await.map(|bytes| (Ok(bytes), given))
    });
    (give, pieces)
}

fn code<T>(done: Result<T, Error>) -> Option<Code> {
    done.err().and_then(|error| error.code())
}

fn client_of(market: &Supermarket, token: &str) -> Client {
    let settings = Settings {
        token: token.to_owned(),
        ..market.settings()
    };
    Client::connect(settings).unwrap()
}

fn records_are_for_their_owner(market: &Supermarket, ada: &str, eve: &str) {
    let records = listed_as(market, ada, &["--ended", "--bucket", "shelf"]);
    let whole = records
        .iter()
        .filter(|row| row["end"]["state"] == "Finished");
    // The put of the program, and the fast get.
    assert!(whole.count() >= 2, "{records:?}");
    assert!(listed_as(market, eve, &["--ended"]).is_empty());
    let refused = market.cli_as(eve, &["transfers", "--owner", "ada"]);
    refused.exits(3);
    let audit = market.cli(&["audit"]).ok().text();
    assert!(audit.contains("transfer.kill"), "{audit}");
}

#[test]
fn s3_transfers_are_listed_and_killed_one_by_one() {
    let market = market();
    let (ada, eve) = (
        person(&market, "ada", "user"),
        person(&market, "eve", "user"),
    );
    let client = client_of(&market, &ada);
    run(async {
        bucket(&client.storage(), "shelf", Some("replica(2)")).await;
        let bytes = noise(LARGE, 1);
        client
            .storage()
            .put("shelf", "big")
            .bytes(bytes)
            .await
            .unwrap();
    });
    let key = key(&market, &ada);
    let scratch = market.scratch();
    let (source, back) = (scratch.join("source"), scratch.join("back"));
    fs::write(&source, noise(LARGE, 2)).unwrap();
    let (source, back) = (source.to_str().unwrap(), back.to_str().unwrap());
    let slow = ["--limit-rate", SLOW];
    let putting = curl(
        &key,
        "shelf/new",
        &[&slow[..], &["--upload-file", source]].concat(),
    );
    let getting = curl(
        &key,
        "shelf/big",
        &[&slow[..], &["--output", back]].concat(),
    );
    let other = curl(
        &key,
        "shelf/big",
        &["--limit-rate", "30M", "--output", "/dev/null"],
    );
    let (put, get) = (moving(&market, "new"), moving(&market, "big"));
    for (row, way) in [(&put, "put"), (&get, "get")] {
        assert_eq!(row["direction"], way, "{row}");
        assert_eq!(row["door"], "s3", "{row}");
        assert_eq!(row["owner"], "ada", "{row}");
        assert_eq!(row["bucket_name"], "shelf", "{row}");
        assert_eq!(row["bytes_total"], LARGE, "{row}");
    }
    // Others see nothing of it, and end nothing.
    assert!(listed_as(&market, &eve, &[]).is_empty());
    let id = id_of(&put);
    market.cli_as(&eve, &["show", &id]).exits(4);
    market.cli_as(&eve, &["kill", &id]).exits(4);
    assert_eq!(listed(&market, &["--bucket", "nothing"]).len(), 0);
    let shown = market.cli_as(&ada, &["show", &id]).ok().text();
    assert!(shown.contains("shelf/new"), "{shown}");

    // The get that goes fast is let be.
    other.wait().ok();
    let gets = listed(&market, &[]);
    let slow_get = gets.iter().find(|row| row["key"] == "big").unwrap();
    for (id, running) in [(id.clone(), putting), (id_of(slow_get), getting)] {
        let killed = market.cli_as(&ada, &["kill", &id]).ok().text();
        assert!(killed.contains("ended: 1"), "{killed}");
        let run = running.wait();
        assert!(
            run.code != 0 || run.text().contains("TransferKilled"),
            "{run:?}"
        );
        let ended = record(&market, &id.clone().into());
        assert_eq!(ended["end"]["state"], "Terminated", "{ended}");
        assert_eq!(ended["end"]["reason"], "killed by ada", "{ended}");
        assert!(ended["bytes"].as_u64() < Some(LARGE as u64), "{ended}");
        // Again: it is done already.
        market.cli_as(&ada, &["kill", &id]).ok();
    }
    market.cli_as(&ada, &["get", "shelf/new", "-"]).exits(4);
    records_are_for_their_owner(&market, &ada, &eve);
    run(client.close());
    market.stop();
}

#[test]
fn a_program_is_told_that_its_transfer_was_killed_and_nothing_of_it_is_left() {
    let market = market();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("replica(2)")).await;
        // As parts, since nobody knows how long it is.
        let (give, pieces) = held();
        let putting = {
            let storage = client.storage();
            tokio::spawn(async move { storage.put("data", "new").stream(pieces, None).await })
        };
        for seed in 0..5 {
            give.send(noise(4 * MIB, seed)).unwrap();
        }
        let row = tokio::task::block_in_place(|| moving(&market, "new"));
        assert_eq!(row["door"], "sdk", "{row}");
        wait_for(LONG, "blocks are on Hosts", || {
            let files = block_files(&market);
            (files >= 8).then_some(()).ok_or(files.to_string())
        });
        let id = id_of(&row);
        let killed = client.transfers().kill(id.parse().unwrap()).await.unwrap();
        assert_eq!(killed.ended, Some(1));
        // What comes after is not taken, and nothing is shown.
        for seed in 5..10 {
            let _ = give.send(noise(4 * MIB, seed));
        }
        drop(give);
        assert_eq!(code(putting.await.unwrap()), Some(Code::Terminated));
        assert_eq!(
            code(storage.stat("data", "new").await),
            Some(Code::NotFound)
        );
        wait_for(LONG, "its blocks are gone", || {
            let files = block_files(&market);
            (files == 0).then_some(()).ok_or(files.to_string())
        });
        let ended = record(&market, &row["transfer"]);
        assert_eq!(ended["end"]["state"], "Terminated", "{ended}");

        // A get ends where it is; another one of the same object goes on.
        let bytes = noise(96 * MIB, 7);
        storage
            .put("data", "big")
            .bytes(bytes.clone())
            .await
            .unwrap();
        let mut slow = storage.get("data", "big").open().await.unwrap();
        slow.next().await.unwrap();
        let row = moving(&market, "big");
        let mut other = storage.get("data", "big").open().await.unwrap();
        other.next().await.unwrap();
        client
            .transfers()
            .kill(id_of(&row).parse().unwrap())
            .await
            .unwrap();
        let failure = loop {
            match slow.next().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break error.code(),
            }
        };
        assert_eq!(failure, Some(Code::Terminated));
        while let Some(piece) = other.next().await.unwrap() {
            drop(piece);
        }
        // Another get is none of the killed one's.
        let again = storage.get("data", "big").bytes().await.unwrap();
        assert!(again == bytes);
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_kill_outlives_the_element() {
    let market = market();
    run(async {
        let client = market.client();
        bucket(&client.storage(), "data", Some("replica(2)")).await;
        let (give, pieces) = held();
        let putting = {
            let storage = client.storage();
            let length = Some(2 * MIB as u64);
            tokio::spawn(async move { storage.put("data", "new").stream(pieces, length).await })
        };
        give.send(noise(MIB, 1)).unwrap();
        // It is known once it has a place, which it asks for with its stripe.
        give.send(noise(MIB, 2)).unwrap();
        let _ = putting.await.unwrap().unwrap();
        // So this one waits within its second stripe.
        let (give, pieces) = held();
        let putting = {
            let storage = client.storage();
            let length = Some(8 * MIB as u64);
            tokio::spawn(async move { storage.put("data", "late").stream(pieces, length).await })
        };
        give.send(noise(4 * MIB, 3)).unwrap();
        let row = tokio::task::block_in_place(|| moving(&market, "late"));
        client
            .transfers()
            .kill(id_of(&row).parse().unwrap())
            .await
            .unwrap();
        tokio::task::block_in_place(|| {
            market.kill9("se-1");
            market.restart("se-1");
            market.wait_resource("se-1", "back", |row| row["connected"] == true);
        });
        give.send(noise(4 * MIB, 4)).unwrap();
        assert_eq!(code(putting.await.unwrap()), Some(Code::Terminated));
        let gone = client.storage().stat("data", "late").await;
        assert_eq!(code(gone), Some(Code::NotFound));
        client.close().await;
    });
    market.stop();
}

/// What a program is told by a stopped Element.
fn refused(run: &Run) -> bool {
    run.code != 0 && run.stderr.contains("SlowDown")
}

#[test]
fn a_stopped_element_lets_transfers_end_and_a_killed_one_does_not() {
    let market = market();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("replica(2)")).await;
        let bytes = noise(LARGE, 1);
        storage
            .put("data", "big")
            .bytes(bytes.clone())
            .await
            .unwrap();
        let admin = market.settings().token;
        let key = tokio::task::block_in_place(|| key(&market, &admin));
        let back = market.scratch().join("back");
        let to = ["--output", back.to_str().unwrap()];

        // stop: what has begun comes to its end, through both doors.
        let getting = curl(
            &key,
            "data/big",
            &[&["--limit-rate", "6M"], &to[..]].concat(),
        );
        let (give, pieces) = held();
        let putting = {
            let storage = client.storage();
            let length = Some(8 * MIB as u64);
            tokio::spawn(async move { storage.put("data", "new").stream(pieces, length).await })
        };
        give.send(noise(4 * MIB, 2)).unwrap();
        tokio::task::block_in_place(|| {
            moving(&market, "big");
            moving(&market, "new");
            market.cli(&["stop", "se-1"]).ok();
            wait_serving(&market, "se-1", "draining");
            assert!(refused(&key.aws(&["s3", "ls", "s3://data"])));
            getting.wait().ok();
        });
        assert!(fs::read(&back).unwrap() == bytes);
        let late = client_of(&market, &admin);
        let refusal = late.storage().stat("data", "big").await;
        assert_eq!(code(refusal), Some(Code::NotAccepting));
        late.close().await;
        give.send(noise(4 * MIB, 3)).unwrap();
        putting.await.unwrap().unwrap();
        tokio::task::block_in_place(|| {
            wait_serving(&market, "se-1", "closed");
            market.cli(&["start", "se-1"]).ok();
            wait_serving(&market, "se-1", "production");
        });
        let new = storage.get("data", "new").bytes().await.unwrap();
        assert_eq!(new.len(), 8 * MIB);

        // kill: it ends now, and a start revives nothing of it.
        let getting = curl(
            &key,
            "data/big",
            &["--limit-rate", SLOW, "--output", "/dev/null"],
        );
        let (give, pieces) = held();
        let putting = {
            let storage = client.storage();
            let length = Some(8 * MIB as u64);
            tokio::spawn(async move { storage.put("data", "lost").stream(pieces, length).await })
        };
        give.send(noise(4 * MIB, 4)).unwrap();
        let row = tokio::task::block_in_place(|| {
            let row = moving(&market, "lost");
            moving(&market, "big");
            market.cli(&["kill", "se-1"]).ok();
            wait_serving(&market, "se-1", "closed");
            assert_ne!(getting.wait().code, 0, "it is cut off");
            market.cli(&["start", "se-1"]).ok();
            wait_serving(&market, "se-1", "production");
            row
        });
        give.send(noise(4 * MIB, 5)).unwrap();
        assert_eq!(code(putting.await.unwrap()), Some(Code::Terminated));
        let gone = storage.stat("data", "lost").await;
        assert_eq!(code(gone), Some(Code::NotFound));
        let ended = tokio::task::block_in_place(|| record(&market, &row["transfer"]));
        assert_eq!(ended["end"]["reason"], "its Element was killed", "{ended}");
        client.close().await;
    });
    market.stop();
}

#[test]
fn a_storage_host_is_stopped_and_killed_and_objects_are_there_meanwhile() {
    let market = market();
    run(async {
        let client = market.client();
        let storage = client.storage();
        bucket(&storage, "data", Some("replica(2)")).await;
        let bytes = noise(32 * MIB, 1);
        storage
            .put("data", "big")
            .bytes(bytes.clone())
            .await
            .unwrap();
        for order in [Order::Stop, Order::Kill] {
            let mut reader = storage.get("data", "big").open().await.unwrap();
            let mut got = Vec::from(reader.next().await.unwrap().unwrap());
            let host = Target::Resource("storage-1".to_owned());
            client.commands().give(order, &host).await.unwrap();
            tokio::task::block_in_place(|| wait_serving(&market, "storage-1", "closed"));
            // What it would have given comes from others.
            while let Some(piece) = reader.next().await.unwrap() {
                got.extend_from_slice(&piece);
            }
            assert!(got == bytes, "{order}");
            let key = format!("while/{order}");
            storage
                .put("data", &key)
                .bytes(bytes.clone())
                .await
                .unwrap();
            client.commands().give(Order::Start, &host).await.unwrap();
            tokio::task::block_in_place(|| wait_serving(&market, "storage-1", "production"));
            let got = storage.get("data", &key).bytes().await.unwrap();
            assert!(got == bytes, "{key}");
        }
        client.close().await;
    });
    market.stop();
}
