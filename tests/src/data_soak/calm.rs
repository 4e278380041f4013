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

/// Makes the database with two shadows, and its table; gives its id.
pub(super) fn make(market: &Supermarket) -> String {
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
    made["id"].as_str().expect("it has an id").to_owned()
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
        if states.clone().count() == 3 && states.clone().all(is_there) && positions.len() == 1 {
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

/// What one copy has: its log by position, and its rows.
type Copy = (BTreeMap<i64, (i64, Vec<u8>)>, Vec<(i64, i64, String)>);

/// Compares the files of all copies, once nobody uses them.
pub(super) fn compare_logs(data: &Path, database: &str, ledger: &Ledger) {
    let copies: Vec<(String, Copy)> = hosts()
        .map(|host| {
            let home = data.join(&host).join("databases").join(database);
            (host, copy(&home))
        })
        .collect();
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

fn copy(home: &Path) -> Copy {
    let current = std::fs::read_to_string(home.join("current")).expect("a copy has a generation");
    let path = home
        .join(format!("generation-{}", current.trim()))
        .join("database");
    let connection = Connection::open(path).expect("the file of a copy can be opened");
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
    (
        log.expect("the log can be read"),
        rows.expect("the rows can be read"),
    )
}
