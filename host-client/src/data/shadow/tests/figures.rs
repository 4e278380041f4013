//! Figures; run by hand: `cargo test -p gridmart-host --release --lib data::shadow::tests::figures
//! -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

const TRANSACTIONS: i64 = 50_000;

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per_second(count: i64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// Single-row transactions in a core's log, made in groups.
fn filled() -> Pair {
    let mut pair = Pair::new();
    pair.run(&[schema(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT8 NOT NULL, b TEXT NOT NULL)",
    )]);
    for group in 0..TRANSACTIONS / 500 {
        pair.core.begin().unwrap();
        for id in 0..500 {
            let id = group * 500 + id;
            let insert = rows("INSERT INTO t VALUES (?1, ?2, ?3)").with(vec![
                Value::Int8(id),
                Value::Int8(id * 7),
                text("some text of forty characters, more or so"),
            ]);
            pair.core.run_alone(&insert, &mut allowance()).unwrap();
        }
        pair.core.commit().unwrap();
    }
    pair
}

#[test]
#[ignore = "figures"]
fn catch_up_rate() {
    let begun = Instant::now();
    let mut pair = filled();
    println!(
        "core: {:.0} single-row transactions/s in groups of 500",
        per_second(TRANSACTIONS, begun)
    );
    let entries = pair.missing();
    let begun = Instant::now();
    for batch in entries.chunks(2_000) {
        pair.shadow.apply(batch).unwrap();
    }
    println!(
        "catch-up: {:.0} single-row transactions/s",
        per_second(TRANSACTIONS, begun)
    );
    pair.require_same();
    changegroup(&entries, true);
    changegroup(&entries, false);
}

/// What SQLite's own session functions make of the same.
fn changegroup(entries: &[Entry], keeps_log: bool) {
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("other")).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT8 NOT NULL, b TEXT NOT NULL)")
        .unwrap();
    let log = "CREATE TABLE log (position INTEGER PRIMARY KEY, epoch INT, time INT, body BLOB)";
    connection.execute_batch(log).unwrap();
    let begun = Instant::now();
    let conflict = |_, _| rusqlite::session::ConflictAction::SQLITE_CHANGESET_ABORT;
    for batch in entries.chunks(2_000) {
        let mut group = rusqlite::session::Changegroup::new().unwrap();
        for entry in batch.iter().filter(|entry| entry.kind == EntryKind::Rows) {
            group.add_stream(&mut entry.body.as_slice()).unwrap();
        }
        let changes = group.output().unwrap();
        connection.execute_batch("BEGIN").unwrap();
        connection
            .apply(&changes, None::<fn(&str) -> bool>, conflict)
            .unwrap();
        if keeps_log {
            let mut keep = connection
                .prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4)")
                .unwrap();
            for entry in batch {
                let (position, time) = (entry.position.number(), entry.time);
                keep.execute((position, entry.epoch.number(), time, &entry.body))
                    .unwrap();
            }
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    let log = if keeps_log { "with" } else { "without" };
    println!(
        "changegroup and apply, {log} a log: {:.0} single-row transactions/s",
        per_second(TRANSACTIONS, begun)
    );
}

#[test]
#[ignore = "figures"]
fn sum_rate() {
    let pair = filled();
    let connection = crate::data::fixture::reader(&core_path(pair.folder.path()));
    let begun = Instant::now();
    crate::data::check::sum(&connection, 1_000).unwrap();
    println!(
        "check: {:.0} rows/s summed",
        per_second(TRANSACTIONS, begun)
    );
}
