//! What does not fit is noticed, told, and remembered.

use super::*;
use crate::data::engine::EngineError;

/// A table on both, then `damage` on the shadow alone, then a change on the core.
fn diverged(damage: &str, change: &str) -> (Pair, EngineError) {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT8 UNIQUE, b TEXT)"),
        rows("INSERT INTO t VALUES (1, 10, 'x'), (2, 20, NULL)"),
    ]);
    pair.catch_up();
    let shadow = rusqlite::Connection::open(shadow_path(pair.folder.path())).unwrap();
    shadow.execute_batch(damage).unwrap();
    drop(shadow);
    pair.run(&[rows(change), rows("INSERT INTO t VALUES (99, 99, 'later')")]);
    let before = pair.shadow.last();
    let entries = pair.missing();
    let ShadowError::Engine(error) = pair.shadow.apply(&entries).unwrap_err() else {
        panic!("a gap")
    };
    assert_eq!(pair.shadow.last(), before);
    (pair, error)
}

fn why(damage: &str, change: &str) -> String {
    let (mut pair, error) = diverged(damage, change);
    let EngineError::Diverged { why, .. } = &error else {
        panic!("{error:?}")
    };
    // It is remembered, also after a start.
    let path = shadow_path(pair.folder.path());
    pair.shadow = Applier::open(&path, LogBounds::default()).unwrap();
    let entries = pair.missing();
    let again = pair.shadow.apply(&entries).unwrap_err();
    assert!(
        matches!(again, ShadowError::Engine(EngineError::Diverged { .. })),
        "{again:?}"
    );
    assert_eq!(column(&path, "SELECT count(*) FROM t WHERE id = 99"), ["0"]);
    why.clone()
}

#[test]
fn a_row_that_is_missing_is_noticed() {
    let lacks = "lacks a row";
    assert!(
        why(
            "DELETE FROM t WHERE id = 1",
            "UPDATE t SET a = 11 WHERE id = 1"
        )
        .contains(lacks)
    );
    assert!(why("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 1").contains(lacks));
}

#[test]
fn a_row_that_differs_is_noticed_in_each_of_its_columns() {
    let differs = "not as it was on the core";
    assert!(
        why(
            "UPDATE t SET a = 9 WHERE id = 1",
            "UPDATE t SET a = 11 WHERE id = 1"
        )
        .contains(differs)
    );
    // Also in one that the change does not touch.
    assert!(
        why(
            "UPDATE t SET b = 'y' WHERE id = 1",
            "UPDATE t SET a = 11 WHERE id = 1"
        )
        .contains(differs)
    );
    assert!(
        why(
            "UPDATE t SET b = '' WHERE id = 2",
            "DELETE FROM t WHERE id = 2"
        )
        .contains(differs)
    );
}

#[test]
fn a_row_that_is_there_already_is_noticed() {
    let unique = "UNIQUE";
    assert!(
        why(
            "INSERT INTO t VALUES (3, 30, 'y')",
            "INSERT INTO t VALUES (3, 30, 'y')"
        )
        .contains(unique)
    );
    assert!(
        why(
            "INSERT INTO t VALUES (4, 30, 'y')",
            "INSERT INTO t VALUES (3, 30, 'y')"
        )
        .contains(unique)
    );
}

#[test]
fn a_schema_that_differs_is_noticed() {
    let other = "columns";
    assert!(
        why(
            "ALTER TABLE t ADD COLUMN c TEXT",
            "DELETE FROM t WHERE id = 1"
        )
        .contains(other)
    );
}

#[test]
fn entries_that_are_damaged_are_not_applied() {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)"),
        rows("INSERT INTO t VALUES (1, 'x')"),
    ]);
    let mut entries = pair.missing();
    entries[1].body.pop();
    let error = pair.shadow.apply(&entries).unwrap_err();
    assert!(
        matches!(error, ShadowError::Engine(EngineError::Damaged { .. })),
        "{error:?}"
    );
    // The way was at fault, not the shadow.
    pair.catch_up();
}

#[test]
fn a_full_disk_takes_nothing_and_goes_on_when_there_is_room() {
    let mut pair = Pair::new();
    pair.run(&[schema("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")]);
    pair.catch_up();
    for id in 0..20 {
        let insert = rows("INSERT INTO t VALUES (?1, ?2)")
            .with(vec![Value::Int8(id), Value::Bytea(vec![1; 20_000])]);
        pair.run(&[insert]);
    }
    let entries = pair.missing();
    let before = pair.shadow.last();
    pair.shadow.pages_limit(60);
    let error = pair.shadow.apply(&entries).unwrap_err();
    let ShadowError::Engine(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.sql_state(), "53100", "{error}");
    assert_eq!(pair.shadow.last(), before);
    pair.shadow.pages_limit(1_000_000);
    pair.catch_up();
}

impl Applier {
    /// As if the disk had so many pages.
    fn pages_limit(&self, pages: i64) {
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    }
}
