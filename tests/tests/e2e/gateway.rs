//! What the console's pages do with objects and databases, as a browser asks for it.

use std::thread;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use gridmart_tests::{Application, Browser, LONG, Supermarket, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{data::fill, person};

/// Markup, a folder, a sign of its own in addresses, another writing direction.
const KEY: &str = "raw data/<b>ü & 100%</b>/שלום.bin";

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn bucket_made(market: &Supermarket) {
    wait_for(LONG, "a bucket is made", || {
        let run = market.cli(&["bucket", "create", "photos", "--redundancy", "rs(2,1)"]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
}

/// Bytes that do not repeat.
fn bytes(length: usize) -> Bytes {
    let mut word = 1_u64;
    let next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

const AT: &str = "/api/v1/console/buckets/photos";

fn content() -> String {
    format!("{AT}/object/content?key={}", escaped(KEY))
}

/// Parts that come in any order and from two sides of a restart are one object, byte for
/// byte that of the command line; ranges of it, its place, its folder, its end.
#[test]
fn objects_are_uploaded_in_parts_read_by_ranges_and_shown_on_their_hosts() {
    let market = Supermarket::builder().hosts(0).storage_hosts(3).start();
    bucket_made(&market);
    let browser = Browser::sign_in(&market.ready.url, &market.token);
    let (whole, part_bytes) = uploaded_over_a_restart(&market, &browser);
    let file = market.scratch().join("same");
    let from = format!("photos/{KEY}");
    market.cli(&["get", &from, file.to_str().unwrap()]).ok();
    let same = std::fs::read(&file).unwrap();
    assert!(same == whole, "the command line gets the same bytes");
    read_by_ranges(&browser, &whole, part_bytes);
    shown_on_its_hosts(&browser);

    // Who may not read it is told so.
    let other = person(&market, "eve", "user");
    let other = Browser::sign_in(&market.ready.url, &other);
    let refused = other.get(&content());
    assert!(matches!(refused.status, 403 | 404), "{}", refused.text());
    let begin = format!("{AT}/uploads");
    other.post(&begin, &json!({"key": "x"})).is(refused.status);
    let path = format!("{AT}/object?key={}", escaped(KEY));
    browser
        .send(Method::DELETE, &path, "", Bytes::new())
        .is(204);
    browser.get(&content()).is(404);
    market.stop();
}

/// Puts an object of three parts; the session outlives its controller, and so do the
/// parts. Gives its bytes, and those of a part.
fn uploaded_over_a_restart(market: &Supermarket, browser: &Browser) -> (Bytes, usize) {
    let wanted = json!({"key": KEY, "content_type": "image/png"});
    let begun = browser.post(&format!("{AT}/uploads"), &wanted);
    let begun = begun.is(201).json();
    let at = begun["upload"].as_str().unwrap();
    let at = format!("{AT}/uploads/{at}");
    let part_bytes = usize::try_from(begun["part_bytes"].as_u64().unwrap()).unwrap();
    let whole = bytes(part_bytes * 2 + 12_345);
    let put = |number: usize| {
        let from = (number - 1) * part_bytes;
        let part = whole.slice(from..(from + part_bytes).min(whole.len()));
        let path = format!("{at}/parts/{number}");
        let answer = browser.send(Method::PUT, &path, "application/octet-stream", part);
        answer.is(200).json()["etag"].as_str().unwrap().to_owned()
    };
    // Two at a time, the last one first.
    let (third, first) = thread::scope(|scope| {
        let third = scope.spawn(|| put(3));
        let first = put(1);
        (third.join().unwrap(), first)
    });
    market.kill9("control");
    market.restart("control");
    let there = wait_for(LONG, "the upload is found", || {
        let answer = browser.get(&at);
        if answer.status == 200 {
            Ok(answer.json())
        } else {
            Err(answer.text())
        }
    });
    let numbers: Vec<_> = there["parts"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = numbers.iter().map(|part| part["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(3)]);
    let parts = json!({"parts": [[1, first], [2, put(2)], [3, third]]});
    browser.post(&at, &parts).is(200);
    (whole, part_bytes)
}

fn read_by_ranges(browser: &Browser, whole: &Bytes, part_bytes: usize) {
    let content = content();
    let answer = browser.get(&content).is(200);
    assert!(answer.body == *whole);
    let header = |name: &str| answer.headers[name].as_str();
    assert!(header("content-disposition").starts_with("attachment"));
    assert_eq!(header("content-type"), "application/octet-stream");
    assert!(header("content-security-policy").starts_with("sandbox"));
    let range = format!("bytes={}-{}", part_bytes - 10, part_bytes + 9);
    let shown = format!("{content}&show=true");
    let answer = browser.get_with(&shown, &[("range", &range)]).is(206);
    assert!(answer.body == whole.slice(part_bytes - 10..part_bytes + 10));
    assert_eq!(answer.headers["content-type"], "image/png");
    let beyond = format!("bytes={}-", whole.len());
    browser.get_with(&content, &[("range", &beyond)]).is(416);
}

fn shown_on_its_hosts(browser: &Browser) {
    let path = format!("{AT}/object?key={}", escaped(KEY));
    let detail = browser.get(&path).is(200).json();
    let stripe = &detail["stripes"][0];
    assert_eq!(stripe["blocks_wanted"], 3);
    assert_eq!(stripe["blocks_needed"], 2);
    let hosts = stripe["blocks"].as_array().unwrap().iter();
    let mut hosts: Vec<_> = hosts.map(|block| block["host_name"].as_str()).collect();
    hosts.sort_unstable();
    let all = ["storage-1", "storage-2", "storage-3"].map(Some);
    assert_eq!(hosts, all);
    let folders = browser.get(&format!("{AT}/objects?delimiter=/"));
    assert_eq!(folders.is(200).json()["prefixes"], json!(["raw data/"]));
}

/// A call that is made from a page prints what it is given, ends with its code, and is ended
/// when its reader goes.
#[test]
fn a_call_from_a_page_gets_its_input_and_shows_its_output() {
    let market = Supermarket::builder().hosts(1).start();
    let script = "#!/bin/sh\nif [ \"$1\" = forever ]; then exec sleep 1000; fi\n\
                  echo \"to $1\" >&2; cat; exit 3\n";
    market.upload(&Application::script("echo", script));
    let browser = Browser::sign_in(&market.ready.url, &market.token);
    let at = "/api/v1/console/applications/echo/calls";
    // More than waits in memory, and more than any pipe holds.
    let input = bytes(3 * 1024 * 1024);
    let arguments = escaped(r#"["b & <b>"]"#);
    let kind = "application/octet-stream";
    let answer = browser.send(
        Method::POST,
        &format!("{at}?arguments={arguments}"),
        kind,
        input.clone(),
    );
    let answer = answer.is(200);
    let text = answer.text();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let printed = |name: &str| -> Vec<u8> {
        let pieces = events.iter().filter_map(|event| event[name].as_str());
        pieces
            .flat_map(|piece| STANDARD.decode(piece).unwrap())
            .collect()
    };
    assert!(printed("stdout") == input, "it prints what it was given");
    assert_eq!(printed("stderr"), b"to b & <b>\n");
    let call = events[0]["started"]["call"].as_str().unwrap();
    assert_eq!(events.last().unwrap()["ended"]["exit_code"], 3, "{call}");
    let refused = browser.send(
        Method::POST,
        &format!("{at}?arguments=x"),
        kind,
        Bytes::new(),
    );
    refused.is(400);
    let unknown = at.replace("echo", "nothing");
    let told = browser
        .send(Method::POST, &unknown, kind, Bytes::new())
        .is(200);
    assert!(told.text().contains("\"failed\""), "{}", told.text());
    market.stop();
}

/// The editor's statements, under the rules of whoever is signed in.
#[test]
fn statements_of_the_editor_show_what_rules_show() {
    let market = Supermarket::builder().hosts(0).data_hosts(1).start();
    wait_for(LONG, "a database is made", || {
        let run = market.cli(&["db", "create", "shop", "--shadows", "0"]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    fill(&market);
    let owner = Browser::sign_in(&market.ready.url, &market.token);
    let clerk = person(&market, "clerk", "user");
    let rules = json!([{"who": "user:clerk", "operations": ["read"], "table": "people",
        "columns": [{"name": "born"}], "rows": "branch = 'north'"}]);
    let file = market.scratch().join("rules.json");
    std::fs::write(&file, rules.to_string()).unwrap();
    market
        .cli(&["db", "rules", "shop", "--file", file.to_str().unwrap()])
        .ok();
    let clerk = Browser::sign_in(&market.ready.url, &clerk);
    let at = "/api/v1/console/databases/shop/statements";
    let asked = json!({"text": "SELECT id, name, pay FROM people ORDER BY id"});
    let all = owner.post(at, &asked).is(200).json();
    assert_eq!(all["rows"][1], json!(["2", "bob", "3100.00"]));
    assert_eq!(all["columns"][2], json!({"name": "pay", "type": "numeric"}));
    assert_eq!(
        (all["is_cut"].as_bool(), all["role"].as_str()),
        (Some(false), Some("core"))
    );
    let some = clerk.post(at, &asked).is(200).json();
    assert_eq!(
        some["rows"],
        json!([["1", "ada", "5200.50"], ["3", "eve", "12345678.90"]])
    );
    let cut = owner
        .post(at, &json!({"text": asked["text"], "rows_max": 1}))
        .is(200)
        .json();
    assert_eq!(
        (
            cut["rows"].as_array().map(Vec::len),
            cut["is_cut"].as_bool()
        ),
        (Some(1), Some(true))
    );
    let refused = clerk
        .post(at, &json!({"text": "SELECT born FROM people"}))
        .is(422)
        .json();
    assert!(
        refused["detail"].as_str().unwrap().starts_with("42703"),
        "{refused}"
    );
    clerk
        .post(at, &json!({"text": "DELETE FROM people"}))
        .is(422);
    let done = owner.post(
        at,
        &json!({"text": "UPDATE people SET name = 'a,\"b\"' WHERE id = 1"}),
    );
    assert_eq!(done.is(200).json()["rows_changed"], Value::from(1));
    let csv = owner.post(
        &format!("{at}/csv"),
        &json!({"text": "SELECT name, born FROM people WHERE id < 3 ORDER BY id"}),
    );
    let csv = csv.is(200);
    assert_eq!(
        csv.text(),
        "name,born\r\n\"a,\"\"b\"\"\",1815-12-10\r\nbob,\r\n"
    );
    market.stop();
}
