//! Before the weather, and after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gridmart_schemas::{data::Value, wire::data::ReadFrom};
use rusqlite::Connection;

use super::{DATABASE, hosts, ledger::Ledger};
use crate::{
    supermarket::Supermarket,
    wait::{LONG, wait_for},
};

/// Makes the database with two shadows and a branch, and its table; gives its id, and the
/// branch's Host.
pub(super) fn make(market: &Supermarket) -> (String, String) {
    let made: serde_json::Value = wait_for(LONG, "a database is made", || {
        let run = market.cli(&["--json", "db", "create", DATABASE, "--shadows", "2"]);
        if run.code == 0 {
            Ok(run.json())
        } else {
            Err(run.stderr)
        }
    });
    let create = "CREATE TABLE entries (lane int, number int, word text NOT NULL, \
                  PRIMARY KEY (lane, number))";
    market.cli(&["sql", DATABASE, create]).ok();
    let rules = market.scratch().join("branch.json");
    let of_one = serde_json::json!([{"table": "entries", "rows": "lane = 0"}]);
    std::fs::write(&rules, of_one.to_string()).expect("a file can be written");
    let words = ["--json", "shadow", "add", DATABASE, "--rules"];
    let rules = rules.display().to_string();
    let added: serde_json::Value = market.cli(&[&words[..], &[&rules]].concat()).ok().json();
    let replicas = added["database"]["replicas"]["replicas"].as_array();
    let mut replicas = replicas.into_iter().flatten();
    let branch = replicas.find(|one| one["filter"].is_object());
    let branch = branch.and_then(|one| one["host"].as_str());
    let branch = branch.map(|host| host.trim_start_matches("urn:uuid:").to_owned());
    let id = made["id"].as_str().expect("it has an id").to_owned();
    (id, branch.expect("the branch has a Host"))
}

/// Waits until all copies have all there is, and are found to be the same.
pub(super) fn settle(market: &Supermarket) {
    wait_for(LONG, "all shadows have what the core has", || {
        let run = market.cli(&["--json", "db", "show", DATABASE]);
        if run.code != 0 {
            return Err(run.stderr);
        }
        let shown: serde_json::Value = run.json();
        let replicas = shown["database"]["replicas"]["replicas"].as_array();
        let states = replicas.into_iter().flatten().map(|one| &one["state"]);
        let is_there = |state: &serde_json::Value| state["sync_state"] == "synchronised";
        let positions: BTreeSet<_> = states
            .clone()
            .filter_map(|state| state["log_position"].as_u64())
            .collect();
        let shadows = shown["database"]["replicas"]["replicas"].as_array();
        let is_open = |one: &serde_json::Value| one["filter"]["confirmed"] == false;
        if shadows.into_iter().flatten().any(is_open) {
            return Err(shown.to_string());
        }
        if states.clone().count() == 4 && states.clone().all(is_there) && positions.len() == 1 {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    });
}

/// Compares what is there with the ledger, and the shadows with the core.
pub(super) fn compare(market: &Supermarket, ledger: &Ledger) {
    let check = market.cli(&["shadow", "check", DATABASE]);
    if check.code != 0 {
        ledger.broken(format!("shadows: {} {}", check.text(), check.stderr));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let rows = runtime.block_on(async {
        let client = market.client();
        let data = client.data().reading(ReadFrom::Core);
        let rows = data
            .query(DATABASE, "SELECT lane, number, word FROM entries", &[])
            .await;
        let rows = rows.expect("the core answers").collect().await;
        client.close().await;
        rows.expect("the core answers to the end")
    });
    let mut there = BTreeSet::new();
    for row in &rows {
        match &row[..] {
            [Value::Int4(lane), Value::Int4(number), Value::Text(word)]
                if *word == format!("number {number}") =>
            {
                there.insert((*lane, *number));
            }
            other => ledger.broken(format!("a row is not what was written: {other:?}")),
        }
    }
    ledger.judge_all(&there);
}

/// A number as it is kept: its writer, itself, its word.
type Kept = (i64, i64, String);

/// What one copy has: its log by position, and its rows.
type Copy = (BTreeMap<i64, (i64, Vec<u8>)>, Vec<Kept>);

/// Compares the files of all copies, once nobody uses them.
pub(super) fn compare_logs(data: &Path, database: &str, ledger: &Ledger) {
    let mut copies: Vec<(String, Copy)> = Vec::new();
    let mut branch = None;
    for host in hosts() {
        let home = data.join(&host).join("databases").join(database);
        let (copy, partial) = copy(&home);
        match partial {
            None => copies.push((host, copy)),
            Some(filter) => branch = Some((filter, copy.1)),
        }
    }
    compare_branch(branch, &copies[0].1.1, ledger);
    for ((one, (log, rows)), (other, (other_log, other_rows))) in
        copies.iter().zip(copies.iter().skip(1))
    {
        if rows != other_rows {
            ledger.broken(format!(
                "the rows of {one} and {other} differ on their disks"
            ));
        }
        let shared = log.iter().filter(|(at, _)| other_log.contains_key(*at));
        for (at, entry) in shared {
            if other_log.get(at) != Some(entry) {
                ledger.broken(format!("entry {at} of {one} and of {other} differ"));
            }
        }
        if log.keys().last() != other_log.keys().last() {
            ledger.broken(format!(
                "the logs of {one} and {other} end at different places"
            ));
        }
    }
    ledger.count(format!("entries compared: {}", copies[0].1.0.len()));
}

/// A branch has the numbers of the one writer of which its filter is, and nothing else.
fn compare_branch(branch: Option<(String, Vec<Kept>)>, all: &[Kept], ledger: &Ledger) {
    let Some((filter, rows)) = branch else {
        return ledger.broken("no copy says that it holds a part");
    };
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let filter: serde_json::Value = serde_json::from_str(&filter).unwrap_or_default();
    let condition = filter["tables"]["entries"]["rows"].as_str().unwrap_or("");
    let lane: i64 = digits(condition).parse().unwrap_or(-1);
    let wanted: Vec<&Kept> = all.iter().filter(|row| row.0 == lane).collect();
    if rows.iter().collect::<Vec<_>>() != wanted {
        ledger.broken(format!(
            "the branch has {} rows, and {} are of writer {lane}",
            rows.len(),
            wanted.len()
        ));
    }
    ledger.count(format!("rows of the branch: {}", rows.len()));
}

/// A copy, and its filter if it holds a part.
fn copy(home: &Path) -> (Copy, Option<String>) {
    let current = std::fs::read_to_string(home.join("current")).expect("a copy has a generation");
    let path = home
        .join(format!("generation-{}", current.trim()))
        .join("database");
    let connection = Connection::open(path).expect("the file of a copy can be opened");
    let partial = connection.query_row("SELECT partial FROM gridmart_state", [], |row| row.get(0));
    let partial = partial.expect("a copy knows what it is");
    let mut log = connection
        .prepare("SELECT position, epoch, body FROM gridmart_log")
        .expect("a copy has a log");
    let log = log
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))
        .and_then(Iterator::collect::<rusqlite::Result<_>>);
    let mut rows = connection
        .prepare("SELECT lane, number, word FROM entries ORDER BY lane, number")
        .expect("a copy has the table");
    let rows = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect::<rusqlite::Result<_>>);
    let log = log.expect("the log can be read");
    let rows = rows.expect("the rows can be read");
    ((log, rows), partial)
}
