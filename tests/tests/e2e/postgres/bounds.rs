//! The door under those who mean no good, or too much of it; over TLS; and ended.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

use futures_util::StreamExt as _;
use gridmart_tests::{LONG, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;
use tokio_postgres::{NoTls, error::SqlState};

use super::{Key, first_key, with_shop};
use crate::role;

/// More than one address may have.
const CROWD: usize = 560;
/// Whence passwords are guessed.
const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

fn knock(key: &Key) -> TcpStream {
    let (host, port) = key.door();
    let stream = TcpStream::connect(format!("{host}:{port}")).expect("the door is open");
    stream.set_read_timeout(Some(LONG)).expect("it can be set");
    stream
}

/// Whatever comes, the door answers or closes, and goes on.
fn garbage_is_put_out(key: &Key) {
    let startup = b"\0\0\0\x17\0\x03\0\0user\0GM\0database\0";
    let pieces: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\x04",
        b"\0\0\0\x08\0\x02\0\0",
        b"\0\0\0\x09\0\x03\0\0x",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        startup,
        b"\0\0\0\x08\x04\xd2\x16\x30Q\0\0\0\x04",
    ];
    for piece in pieces {
        let mut stream = knock(key);
        stream.write_all(piece).expect("it can be sent");
        // It may have been cut off already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // Cut off, or told why: not left alone.
        let _ = stream.read_to_end(&mut answer);
    }
    key.psql("shop", "SELECT 1;").ok();
}

fn a_crowd_is_bounded(key: &Key) {
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| knock(key)).collect();
    wait_for(LONG, "whoever is too many is put out", || {
        let closed = crowd.iter_mut().filter_map(|stream| {
            stream.set_nonblocking(true).ok()?;
            match stream.read(&mut [0]) {
                Ok(0) => Some(()),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Some(()),
                _ => None,
            }
        });
        let closed = closed.count();
        (closed > 0).then_some(()).ok_or("all are in".to_owned())
    });
    drop(crowd);
    wait_for(LONG, "there is room again", || {
        let run = key.psql("shop", "SELECT 1;");
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
}

/// A thousand programs at once, of four addresses: all are let in, and all are answered.
fn a_thousand_are_served(market: &Supermarket, key: &Key) {
    let before = market.role_peak("de-1");
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    runtime.block_on(async {
        let coming = (0..1000_u16).map(|number| {
            let last = u8::try_from(2 + number % 4).expect("it is small");
            key.connect_from(Ipv4Addr::new(127, 0, 0, last))
        });
        let there: Vec<_> = futures_util::stream::iter(coming)
            .buffer_unordered(64)
            .collect()
            .await;
        let asked = there.iter().map(async |client| {
            let row = client.query_one("SELECT 40 + $1::int4", &[&2]).await;
            row.expect("it is answered").get::<_, i32>(0)
        });
        let answers = futures_util::future::join_all(asked).await;
        assert_eq!(answers, [42; 1000]);
    });
    let grown = market.role_peak("de-1").saturating_sub(before);
    assert!(grown < 256 * 1024 * 1024, "{grown} bytes");
    wait_for(LONG, "all have left", || {
        let listed: serde_json::Value = market.cli(&["--json", "sessions"]).ok().json();
        let left = listed["sessions"].as_array().map_or(0, Vec::len);
        (left == 0)
            .then_some(())
            .ok_or_else(|| format!("{left} are there"))
    });
}

/// A thousand guesses of a password: few are looked at, all are refused, nobody else is
/// kept out, and the log tells of them without what was guessed.
fn guesses_are_slowed(market: &Supermarket, key: &Key) {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let told: Vec<SqlState> = runtime.block_on(async {
        let guesses = (0..1000).map(|number| {
            let password = format!("guess{number}");
            async move { key.guess_from(GUESSER, &password).await }
        });
        let guesses = futures_util::stream::iter(guesses).buffer_unordered(16);
        guesses.collect().await
    });
    let count = |state: &SqlState| told.iter().filter(|one| *one == state).count();
    let (looked_at, slowed) = (
        count(&SqlState::INVALID_PASSWORD),
        count(&SqlState::CANNOT_CONNECT_NOW),
    );
    assert_eq!(looked_at + slowed, 1000, "{told:?}");
    assert!((1..100).contains(&looked_at), "{looked_at} were looked at");
    key.psql("shop", "SELECT 1;").ok();
    let log = market.log("de-1");
    assert!(log.contains("28P01") && !log.contains("guess"), "{log}");
}

/// An Element whose door is not on loopback speaks TLS, and nothing else.
fn others_come_over_tls(market: &Supermarket) {
    let create = ["token", "create", "--kind", "de", "--domain", "lab"];
    let token = market.cli(&create).ok().text();
    let more = [
        "--controller",
        &market.ready.nodes,
        "--postgres-listen",
        "0.0.0.0:0",
    ];
    let element = role(market, ["element", "data"], "de-2", &token, &more);
    market.wait_resource("de-2", "connected", |row| row["connected"] == true);
    let admin = market.settings().token;
    let key = Key::create(market, &admin, "de-2");
    let come = |mode: &str| {
        let mut command = key.command("psql", &["--dbname", "shop", "--command", "SELECT 1"]);
        command
            .env("PGSSLMODE", mode)
            .env("PGSSLROOTCERT", market.ca());
        Running::start(command, None).wait().stderr
    };
    wait_for(LONG, "its certificate carries its name", || {
        let said = come("verify-full");
        // It has no such database: whoever is told so has signed in.
        let is_in = said.contains("database \"shop\" does not exist");
        is_in.then_some(()).ok_or(said)
    });
    let said = come("disable");
    assert!(said.contains("this door speaks TLS only"), "{said}");
    element.signal(Signal::SIGTERM);
    element.wait().ok();
}

/// A session is bound to its Element: it ends with a kill, and none begins while the
/// Element is stopped.
fn a_kill_ends_sessions(market: &Supermarket, key: &Key) {
    let (host, port) = key.door();
    let address = format!(
        "host={host} port={port} user={} password={} dbname=shop",
        key.text("id"),
        key.text("secret")
    );
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
        let over = tokio::spawn(connection);
        client
            .batch_execute("CREATE TABLE kinds (id int8 PRIMARY KEY, word text, f float4, b bytea)")
            .await
            .unwrap();
        let insert = "INSERT INTO kinds VALUES ($1, $2, $3, $4) RETURNING word";
        let bytes: &[u8] = &[0, 255];
        let row = client
            .query_one(insert, &[&7_i64, &"käse", &0.5_f32, &bytes])
            .await
            .unwrap();
        assert_eq!(row.get::<_, &str>(0), "käse");
        let refused = client
            .query_one(insert, &[&7_i64, &"x", &0.5_f32, &bytes])
            .await;
        let code = refused.unwrap_err().code().cloned();
        assert_eq!(code, Some(SqlState::UNIQUE_VIOLATION));
        let transaction = client.transaction().await.unwrap();
        transaction.execute("DELETE FROM kinds", &[]).await.unwrap();
        transaction.rollback().await.unwrap();
        let row = client
            .query_one("SELECT f, b FROM kinds WHERE id = $1", &[&7_i64])
            .await;
        let row = row.unwrap();
        assert_eq!(
            (row.get::<_, f32>(0), row.get::<_, Vec<u8>>(1)),
            (0.5, bytes.to_vec())
        );
        // Open at the Host when it is killed: taken back.
        let transaction = client.transaction().await.unwrap();
        transaction.execute("DELETE FROM kinds", &[]).await.unwrap();
        market.cli(&["kill", "de-1"]).ok();
        let ended = tokio::time::timeout(LONG, over).await.unwrap().unwrap();
        let code = ended.unwrap_err().code().cloned();
        assert_eq!(code, Some(SqlState::ADMIN_SHUTDOWN));
    });
    let refused = key.psql("shop", "SELECT 1;");
    assert!(refused.stderr.contains("stopped"), "{}", refused.stderr);
    market.cli(&["start", "de-1"]).ok();
    wait_for(LONG, "it serves again", || {
        let run = key.psql("shop", "SELECT count(*) FROM kinds;");
        (run.text() == "1").then_some(()).ok_or(run.stderr)
    });
}

#[test]
fn the_door_bounds_whoever_comes_and_ends_with_its_element() {
    let market = with_shop();
    let key = first_key(&market);
    garbage_is_put_out(&key);
    a_crowd_is_bounded(&key);
    a_thousand_are_served(&market, &key);
    guesses_are_slowed(&market, &key);
    others_come_over_tls(&market);
    a_kill_ends_sessions(&market, &key);
    market.stop();
}
