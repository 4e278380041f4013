//! What a core does comes to be on its shadow, whole and in order, or the shadow
//! says that it does not.

mod divergence;
mod extremes;
mod figures;
mod property;

use gridmart_schemas::data::{EntryKind, Position, Value};

use super::*;
use crate::data::{
    engine::sqlite::{CoreSettings, OldRows},
    fixture::{Pair, allowance, column, core_path, reader, rows, schema, shadow_path, text},
};

#[test]
fn schema_rows_and_counters_come_in_order() {
    let mut pair = Pair::new();
    pair.run(&[
        schema(
            "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
        ),
        rows("INSERT INTO item (name) VALUES ('a'), ('b'), ('c')"),
        rows("UPDATE item SET name = 'd' WHERE id = 2"),
        rows("DELETE FROM item WHERE id = 3"),
        schema("CREATE INDEX by_name ON item (name)"),
        schema("ALTER TABLE item ADD COLUMN price TEXT NUMERIC(10,2) NOT NULL DEFAULT '0.00'"),
        rows("UPDATE item SET price = '1.50' WHERE id = 1"),
        schema("CREATE VIEW cheap (definition) AS SELECT 'before'"),
        schema("DROP VIEW cheap; CREATE VIEW cheap (definition) AS SELECT 'it''s cheap; now'"),
        schema("ALTER TABLE item RENAME COLUMN name TO title"),
        rows("INSERT INTO item (title) VALUES ('e')"),
    ]);
    pair.catch_up();
    let path = shadow_path(pair.folder.path());
    assert_eq!(
        column(&path, "SELECT id FROM item ORDER BY id"),
        ["1", "2", "4"]
    );
    let described = described(&reader(&path)).unwrap();
    let views = [("cheap".to_owned(), "it's cheap; now".to_owned())];
    assert_eq!(described.views, views);
}

#[test]
fn a_counter_goes_on_where_it_was_although_its_rows_are_gone() {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)"),
        rows("INSERT INTO item (id, name) VALUES (41, 'a')"),
    ]);
    // A transaction whose rows nobody ever sees.
    pair.core.begin().unwrap();
    for statement in [
        "INSERT INTO item (name) VALUES ('x')",
        "DELETE FROM item WHERE name = 'x'",
    ] {
        pair.core.run(&rows(statement), &mut allowance()).unwrap();
    }
    pair.core.finish().unwrap();
    pair.catch_up();
    let counter = column(
        &shadow_path(pair.folder.path()),
        "--gridmart\nSELECT seq FROM sqlite_sequence",
    );
    assert_eq!(counter, ["42"]);
    pair.run(&[schema("DROP TABLE item")]);
    pair.catch_up();
}

#[test]
fn what_triggers_and_cascades_did_comes_once() {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE parent (id INTEGER PRIMARY KEY)"),
        schema(
            "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INT8 NOT NULL
             REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)",
        ),
        schema("CREATE TABLE tally (one INTEGER PRIMARY KEY, count INT8 NOT NULL)"),
        rows("INSERT INTO tally VALUES (1, 0)"),
    ]);
    // Triggers are nothing that statements make; but where one is, it counts.
    let connection = rusqlite::Connection::open(core_path(pair.folder.path())).unwrap();
    let trigger = "CREATE TRIGGER counting AFTER INSERT ON child
         BEGIN UPDATE tally SET count = count + 1; END";
    connection.execute_batch(trigger).unwrap();
    drop(connection);
    let shadow = rusqlite::Connection::open(shadow_path(pair.folder.path())).unwrap();
    pair.catch_up_but_for_triggers();
    shadow.execute_batch(trigger).unwrap();
    drop(shadow);
    pair.run(&[
        rows("INSERT INTO parent VALUES (1), (2)"),
        rows("INSERT INTO child VALUES (1, 1), (2, 1), (3, 2)"),
        rows("UPDATE parent SET id = 9 WHERE id = 2"),
        rows("DELETE FROM parent WHERE id = 1"),
    ]);
    pair.catch_up();
    let path = shadow_path(pair.folder.path());
    assert_eq!(column(&path, "SELECT count FROM tally"), ["3"]);
    assert_eq!(column(&path, "SELECT parent FROM child"), ["9"]);
    pair.run(&[schema("DROP TABLE parent")]);
    pair.catch_up();
    assert_eq!(column(&path, "SELECT count(*) FROM child"), ["0"]);
}

impl Pair {
    fn catch_up_but_for_triggers(&mut self) {
        let entries = self.missing();
        self.shadow.apply(&entries).unwrap();
    }
}

#[test]
fn order_within_a_statement_is_kept() {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE seat (id INTEGER PRIMARY KEY, place INT8 NOT NULL UNIQUE)"),
        rows("INSERT INTO seat VALUES (1, 10), (2, 20), (3, 30)"),
        // Each row takes a place that the row before it has left.
        rows("UPDATE seat SET place = place - 10"),
        rows("INSERT INTO seat VALUES (4, 10) ON CONFLICT (place) DO UPDATE SET id = 5"),
        rows("INSERT OR REPLACE INTO seat VALUES (1, 20)"),
        rows("UPDATE seat SET id = id + 100"),
    ]);
    pair.catch_up();
}

#[test]
fn a_transaction_shows_only_as_a_whole() {
    let mut pair = Pair::new();
    pair.run(&[schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")]);
    pair.catch_up();
    pair.core.begin().unwrap();
    pair.core
        .run(&rows("INSERT INTO t VALUES (1, 'a')"), &mut allowance())
        .unwrap();
    pair.core
        .run(
            &schema("CREATE TABLE u (id INTEGER PRIMARY KEY)"),
            &mut allowance(),
        )
        .unwrap();
    pair.core
        .run(&rows("INSERT INTO u VALUES (1)"), &mut allowance())
        .unwrap();
    pair.core.finish().unwrap();
    let entries = pair.missing();
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind, entry.ends))
        .collect();
    assert_eq!(
        kinds,
        [
            (EntryKind::Rows, false),
            (EntryKind::Schema, false),
            (EntryKind::Rows, true)
        ]
    );
    let path = shadow_path(pair.folder.path());
    let before = pair.shadow.last();
    for entry in &entries[..2] {
        assert_eq!(
            pair.shadow.apply(std::slice::from_ref(entry)).unwrap(),
            before
        );
        assert_eq!(column(&path, "SELECT count(*) FROM t"), ["0"]);
    }
    // A restart in the middle: it is told again from its begin.
    drop(std::mem::replace(
        &mut pair.shadow,
        Applier::open(&path, LogBounds::default()).unwrap(),
    ));
    assert_eq!(pair.shadow.taken(), before);
    pair.catch_up();
    assert_eq!(column(&path, "SELECT count(*) FROM t"), ["1"]);
}

#[test]
fn entries_that_are_not_the_next_are_refused() {
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE t (id INTEGER PRIMARY KEY)"),
        rows("INSERT INTO t VALUES (1)"),
        rows("INSERT INTO t VALUES (2)"),
    ]);
    let entries = pair.missing();
    let gap = pair.shadow.apply(&entries[1..]).unwrap_err();
    assert_eq!(
        gap,
        ShadowError::Gap {
            expected: Position::new(1),
            found: Position::new(2)
        }
    );
    pair.shadow.apply(&entries).unwrap();
    // What was applied is applied once.
    assert!(matches!(
        pair.shadow.apply(&entries),
        Err(ShadowError::Gap { .. })
    ));
    pair.require_same();
}

#[test]
fn savepoints_leave_no_trace_of_what_was_taken_back() {
    let mut pair = Pair::new();
    pair.run(&[schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")]);
    let run = |core: &mut crate::data::engine::sqlite::Core, sql: &str| {
        core.run(&rows(sql), &mut allowance())
    };
    let core = &mut pair.core;
    core.begin().unwrap();
    run(core, "INSERT INTO t VALUES (1, 'kept')").unwrap();
    core.savepoint("a").unwrap();
    run(core, "INSERT INTO t VALUES (2, 'gone')").unwrap();
    core.savepoint("b").unwrap();
    run(core, "UPDATE t SET body = 'gone'").unwrap();
    core.run(
        &schema("CREATE TABLE gone (id INTEGER PRIMARY KEY)"),
        &mut allowance(),
    )
    .unwrap();
    core.rollback_to("a").unwrap();
    // A statement that fails takes back itself alone.
    assert!(run(core, "INSERT INTO t VALUES (3, 'gone'), (1, 'twice')").is_err());
    run(core, "INSERT INTO t VALUES (4, 'kept')").unwrap();
    core.release("a").unwrap();
    assert_eq!(core.rollback_to("a").unwrap_err().sql_state(), "3B001");
    core.finish().unwrap();
    pair.catch_up();
    let bodies = column(
        &shadow_path(pair.folder.path()),
        "SELECT id || body FROM t ORDER BY id",
    );
    assert_eq!(bodies, ["1kept", "4kept"]);
}

#[test]
fn a_large_transaction_is_many_entries_and_one_transaction() {
    let mut pair = Pair::new();
    pair.run(&[schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)")]);
    pair.core.begin().unwrap();
    for id in 0..6 {
        let insert = rows("INSERT INTO t VALUES (?1, ?2)").with(vec![
            Value::Int8(id),
            Value::Bytea(vec![7; 4 * 1024 * 1024]),
        ]);
        pair.core.run(&insert, &mut allowance()).unwrap();
    }
    pair.core.finish().unwrap();
    let entries = pair.missing();
    assert!(entries.len() > 2, "{}", entries.len());
    assert_eq!(entries.iter().filter(|entry| entry.ends).count(), 2);
    pair.catch_up();
}

#[test]
fn a_large_statement_is_many_entries_that_each_stand_for_themselves() {
    const NUMBERS: &str =
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40000)";
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)"),
        rows(&format!(
            "{NUMBERS} INSERT INTO t SELECT i, 'some text of forty characters, more or less' || i FROM n"
        )),
    ]);
    // What is taken back leaves no cut behind.
    let twice = rows(&format!(
        "{NUMBERS} INSERT INTO t SELECT 80001 - i, 'some text of forty characters' FROM n \
         UNION ALL SELECT 1, 'it is there already'"
    ));
    assert_eq!(pair.write(&twice).unwrap_err().sql_state(), "23505");
    pair.run(&[rows("UPDATE t SET body = body || 'x' WHERE id % 2 = 0")]);
    let entries = pair.missing();
    let (least, most) = (1024 * 1024, 1024 * 1024 + 4096);
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.body.len()).collect();
    assert!(
        sizes.iter().filter(|size| **size >= least).count() > 2,
        "{sizes:?}"
    );
    assert!(sizes.iter().all(|size| *size < most), "{sizes:?}");
    assert_eq!(entries.iter().filter(|entry| entry.ends).count(), 3);
    // One after the other, as they come over a network.
    for entry in &entries {
        pair.shadow.apply(std::slice::from_ref(entry)).unwrap();
    }
    pair.catch_up();
}

#[test]
fn sessions_of_sqlite_understand_the_log() {
    let mut pair = Pair::with(CoreSettings {
        old_rows: OldRows::Changed,
        ..CoreSettings::default()
    });
    let table =
        "CREATE TABLE t (id TEXT NOT NULL, n INT8 NOT NULL, body BLOB FLOAT8, PRIMARY KEY (n, id))";
    pair.run(&[
        schema(table),
        rows("INSERT INTO t VALUES ('a', 1, 1.5), ('b', 2, NULL), ('c', 3, 4.0)"),
        rows("UPDATE t SET body = 2.5 WHERE n = 2"),
        rows("UPDATE t SET id = 'z' WHERE n = 1"),
        rows("DELETE FROM t WHERE n = 3"),
    ]);
    let other = rusqlite::Connection::open_in_memory().unwrap();
    other.execute_batch(table).unwrap();
    for entry in pair
        .missing()
        .iter()
        .filter(|entry| entry.kind == EntryKind::Rows)
    {
        let conflict = |_, _| rusqlite::session::ConflictAction::SQLITE_CHANGESET_ABORT;
        let mut body = entry.body.as_slice();
        other
            .apply_strm(&mut body, None::<fn(&str) -> bool>, conflict)
            .unwrap();
    }
    let list = "SELECT id || n || coalesce(body, '-') FROM t ORDER BY 1";
    let mut statement = other.prepare(list).unwrap();
    let there: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(there, column(&core_path(pair.folder.path()), list));
    assert_eq!(there, ["b22.5", "z11.5"]);
}

#[tokio::test]
async fn a_shadow_serves_reads_and_says_up_to_where() {
    use crate::data::{engine::Limits, fixture::reading};
    let mut pair = Pair::new();
    pair.run(&[
        schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)"),
        rows("INSERT INTO t VALUES (1, 'a')"),
    ]);
    let entries = pair.missing();
    let path = shadow_path(pair.folder.path());
    let shadow = SqliteShadow::open(&path, LogBounds::default(), 2).unwrap();
    let mut seen = shadow.watch();
    let wanted = entries.last().unwrap().position;
    let waiting = async {
        seen.wait_for(|last| last.position >= wanted)
            .await
            .map(|last| *last)
            .unwrap()
    };
    let (last, reached) = tokio::join!(shadow.apply(entries), waiting);
    assert_eq!(last.unwrap(), reached);
    let read = shadow
        .read(reading("SELECT body FROM t"), Limits::default())
        .await
        .unwrap();
    assert_eq!(read.position(), wanted);
    assert_eq!(read.collect().await.unwrap(), [[text("a")]]);
    let refused = shadow
        .write(rows("DELETE FROM t"), Limits::default())
        .await
        .unwrap_err();
    assert_eq!(refused.sql_state(), "25006");
}
