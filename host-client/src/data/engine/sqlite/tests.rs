//! The core as an engine: groups, transactions, limits, and what is refused.

mod figures;
mod reads;
mod transactions;

use std::{sync::Arc, time::Duration};

use gridmart_schemas::data::{SqlType, Value};
use tempfile::TempDir;

use super::*;
use crate::data::fixture::{column, core_path, reading, rows, schema, text};

struct Market {
    folder: TempDir,
    core: Arc<SqliteCore>,
}

impl Market {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = core_path(folder.path());
        create(&path, Uuid::new_v4(), Role::Core).unwrap();
        let core = SqliteCore::open(&path, CoreSettings::default(), 3).unwrap();
        Self {
            folder,
            core: Arc::new(core),
        }
    }

    async fn with(statements: &[Statement]) -> Self {
        let market = Self::new();
        for statement in statements {
            let written = market.write(statement.clone()).await;
            assert!(written.is_ok(), "{statement:?}: {written:?}");
        }
        market
    }

    async fn write(&self, statement: Statement) -> Result<Written, EngineError> {
        self.core.write(statement, Limits::default()).await
    }

    async fn read(&self, statement: &str) -> Result<Vec<Vec<Value>>, EngineError> {
        self.core
            .read(reading(statement), Limits::default())
            .await?
            .collect()
            .await
    }

    fn column(&self, sql: &str) -> Vec<String> {
        column(&core_path(self.folder.path()), sql)
    }
}

fn state(result: Result<Written, EngineError>) -> &'static str {
    result.map_or_else(|error| error.sql_state(), |_| "00000")
}

const TABLE: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT4 NOT NULL CHECK (n >= 0), body TEXT UNIQUE)";

/// A statement that does not end by itself.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n WHERE i < 0";

#[tokio::test]
async fn writes_tell_what_they_did_and_where() {
    let market = Market::with(&[schema(TABLE)]).await;
    let insert = rows("INSERT INTO t (n, body) VALUES (?1, ?2), (2, NULL) RETURNING id, n")
        .with(vec![Value::Int4(1), text("a")])
        .giving(vec![SqlType::Int8, SqlType::Int4]);
    let written = market.write(insert).await.unwrap();
    assert_eq!(written.rows_changed, 2);
    assert_eq!(written.columns, ["id", "n"]);
    assert_eq!(
        written.rows,
        [
            [Value::Int8(1), Value::Int4(1)],
            [Value::Int8(2), Value::Int4(2)]
        ]
    );
    assert_eq!(written.position, Position::new(2));
    // What changes nothing is not logged.
    let nothing = market
        .write(rows("UPDATE t SET n = n WHERE id = 1"))
        .await
        .unwrap();
    assert_eq!(
        (nothing.rows_changed, nothing.position),
        (1, Position::new(2))
    );
    let read = market
        .core
        .read(reading("SELECT count(*) FROM t"), Limits::default())
        .await
        .unwrap();
    assert_eq!(read.position(), Position::new(2));
    assert_eq!(read.columns(), ["count(*)"]);
    assert_eq!(read.collect().await.unwrap(), [[Value::Int8(2)]]);
}

#[tokio::test]
async fn faults_of_statements_have_the_codes_that_clients_know() {
    let market = Market::with(&[
        schema(TABLE),
        schema("CREATE TABLE u (id INTEGER PRIMARY KEY, t INT8 NOT NULL REFERENCES t)"),
        rows("INSERT INTO t VALUES (1, 1, 'a')"),
    ])
    .await;
    for (sql, code) in [
        ("INSERT INTO t VALUES (1, 1, 'b')", "23505"),
        ("INSERT INTO t VALUES (2, 1, 'a')", "23505"),
        ("INSERT INTO t VALUES (2, NULL, 'b')", "23502"),
        ("INSERT INTO t VALUES (2, -1, 'b')", "23514"),
        ("INSERT INTO u VALUES (1, 7)", "23503"),
        ("INSERT INTO t VALUES (2, 3000000000, 'b')", "22003"),
        ("INSERT INTO none VALUES (1)", "42P01"),
        ("UPDATE t SET none = 1", "42703"),
        ("UPDATE t SET body = \"none\"", "42703"),
        ("UPDATE t SET body = none()", "42883"),
        ("UPDATE t SE body = 1", "42601"),
        ("UPDATE t SET body = ?1", "08P01"),
        ("DELETE FROM t; DELETE FROM u", "XX000"),
    ] {
        let result = market.write(rows(sql)).await;
        assert_eq!(state(result.clone()), code, "{sql}: {result:?}");
    }
    assert_eq!(market.column("SELECT id || body FROM t"), ["1a"]);
    assert_eq!(market.core.position().position, Position::new(3));
}

#[tokio::test]
async fn a_statement_does_what_it_was_judged_to_do_and_no_more() {
    let market = Market::with(&[schema(TABLE), rows("INSERT INTO t VALUES (1, 1, 'a')")]).await;
    for sql in [
        "DELETE FROM t",
        "INSERT INTO t VALUES (2, 2, 'b')",
        "DROP TABLE t",
        "PRAGMA user_version",
        "ATTACH 'other' AS other",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM gridmart_log",
        "SELECT * FROM Gridmart_State",
        "SELECT load_extension('x')",
        "VACUUM",
        "BEGIN",
        "--gridmart\nSELECT 1",
    ] {
        let read = market.read(sql).await;
        assert!(
            matches!(read, Err(EngineError::Refused { .. })),
            "{sql}: {read:?}"
        );
    }
    for sql in [
        "DROP TABLE t",
        "CREATE TABLE u (id INTEGER PRIMARY KEY)",
        "UPDATE gridmart_state SET epoch = 9",
        "DELETE FROM gridmart_log",
        "DELETE FROM sqlite_schema",
        "PRAGMA synchronous = OFF",
        "ATTACH ':memory:' AS other",
        "COMMIT",
        "SAVEPOINT s",
        "--gridmart\nDELETE FROM gridmart_log",
    ] {
        let written = market.write(rows(sql)).await;
        assert!(
            matches!(written, Err(EngineError::Refused { .. })),
            "{sql}: {written:?}"
        );
    }
    for sql in [
        "DROP TABLE gridmart_log",
        "CREATE TABLE gridmart_x (id INTEGER PRIMARY KEY)",
        "ALTER TABLE gridmart_log RENAME TO x",
        "ALTER TABLE t RENAME TO gridmart_t",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE v USING fts5 (a)",
        "CREATE TEMP TABLE x (id INTEGER PRIMARY KEY)",
        "PRAGMA journal_mode = DELETE",
        "ATTACH ':memory:' AS other",
    ] {
        let written = market.write(schema(sql)).await;
        assert!(
            matches!(written, Err(EngineError::Refused { .. })),
            "{sql}: {written:?}"
        );
    }
    assert_eq!(market.column("SELECT count(*) FROM t"), ["1"]);
}

#[tokio::test]
async fn tables_that_cannot_be_replicated_are_refused_before_anything_is_changed() {
    let market = Market::with(&[schema("CREATE TABLE t (id INTEGER PRIMARY KEY)")]).await;
    for (sql, words) in [
        ("CREATE TABLE u (a TEXT)", "no primary key"),
        ("CREATE TABLE u (a TEXT PRIMARY KEY)", "NOT NULL"),
        (
            "CREATE TABLE u (a INT8, b TEXT NOT NULL, PRIMARY KEY (a, b))",
            "NOT NULL",
        ),
        ("CREATE TABLE u (a INTEGER PRIMARY KEY DESC)", "NOT NULL"),
        (
            "CREATE TABLE u (a INTEGER PRIMARY KEY, b NUMERIC)",
            "known types",
        ),
        ("CREATE TABLE u (a INTEGER PRIMARY KEY, b)", "known types"),
        (
            "CREATE TABLE u (a INTEGER PRIMARY KEY, b INT8 AS (a + 1))",
            "computes",
        ),
        ("CREATE TABLE u AS SELECT 1 AS a", "no primary key"),
    ] {
        let error = market.write(schema(sql)).await.unwrap_err();
        assert_eq!(error.sql_state(), "42P16", "{sql}: {error}");
        assert!(error.to_string().contains(words), "{sql}: {error}");
    }
    let described = market.core.describe().await.unwrap();
    assert_eq!(described.tables.len(), 1);
    // And it goes on as before.
    market
        .write(rows("INSERT INTO t VALUES (1)"))
        .await
        .unwrap();
    market
        .write(schema(
            "CREATE TABLE u (a TEXT NOT NULL, b INT2, PRIMARY KEY (a)) WITHOUT ROWID",
        ))
        .await
        .unwrap();
    let described = market.core.describe().await.unwrap();
    let table = described.table("u").unwrap();
    assert_eq!(
        (table.key.as_slice(), table.has_row_id_key),
        (&[0][..], false)
    );
    assert_eq!(table.columns[1].sql_type, SqlType::Int2);
    assert!(described.table("t").unwrap().has_row_id_key);
}

#[tokio::test]
async fn writes_of_many_share_commits_and_fail_alone() {
    let market = Market::with(&[schema(TABLE)]).await;
    let writes = (0..300).map(|id| {
        let core = Arc::clone(&market.core);
        // Each third comes twice.
        let insert = rows("INSERT INTO t VALUES (?1, 1, NULL)").with(vec![Value::Int8(id / 3 * 3)]);
        tokio::spawn(async move { core.write(insert, Limits::default()).await })
    });
    let mut positions = Vec::new();
    let mut refused = 0;
    for write in writes.collect::<Vec<_>>() {
        match write.await.unwrap() {
            Ok(written) => positions.push(written.position.number()),
            Err(error) => {
                assert_eq!(error.sql_state(), "23505");
                refused += 1;
            }
        }
    }
    positions.sort_unstable();
    assert_eq!(positions, (2..102).collect::<Vec<_>>());
    assert_eq!(refused, 200);
    assert_eq!(market.column("SELECT count(*) FROM t"), ["100"]);
}

#[tokio::test]
async fn one_that_is_too_slow_takes_nothing_of_others_with_it() {
    let market = Market::with(&[schema(TABLE)]).await;
    let endless = rows(&format!("INSERT INTO t SELECT 1000, 1, ({ENDLESS})"));
    let short = Limits {
        time: Duration::from_millis(50),
        ..Limits::default()
    };
    let slow = {
        let core = Arc::clone(&market.core);
        tokio::spawn(async move { core.write(endless, short).await })
    };
    let others = (0..20).map(|id| {
        let core = Arc::clone(&market.core);
        let insert = rows("INSERT INTO t VALUES (?1, 1, NULL)").with(vec![Value::Int8(id)]);
        tokio::spawn(async move { core.write(insert, Limits::default()).await })
    });
    for other in others.collect::<Vec<_>>() {
        other.await.unwrap().unwrap();
    }
    assert_eq!(
        slow.await.unwrap().unwrap_err(),
        EngineError::TimedOut(short.time)
    );
    assert_eq!(market.column("SELECT count(*) FROM t"), ["20"]);
    let gapless = "--gridmart\nSELECT count(*) || max(position) FROM gridmart_log";
    assert_eq!(market.column(gapless), ["2121"]);
}

#[tokio::test]
async fn a_core_that_was_replaced_writes_no_more() {
    let market = Market::with(&[schema(TABLE)]).await;
    market.core.fence(Epoch::FIRST).await.unwrap();
    market
        .write(rows("INSERT INTO t VALUES (1, 1, 'a')"))
        .await
        .unwrap();
    market.core.fence(Epoch::new(2)).await.unwrap();
    let fenced = market.write(rows("DELETE FROM t")).await;
    assert_eq!(
        fenced,
        Err(EngineError::Fenced {
            newest: Epoch::new(2)
        })
    );
    let path = core_path(market.folder.path());
    let core = Arc::try_unwrap(market.core).ok().unwrap();
    drop(core);
    let again = SqliteCore::open(&path, CoreSettings::default(), 1).unwrap();
    let fenced = again.write(rows("DELETE FROM t"), Limits::default()).await;
    assert_eq!(
        fenced,
        Err(EngineError::Fenced {
            newest: Epoch::new(2)
        })
    );
    let read = again
        .read(reading("SELECT body FROM t"), Limits::default())
        .await
        .unwrap();
    assert_eq!(read.collect().await.unwrap(), [[text("a")]]);
}

#[tokio::test]
async fn the_log_keeps_what_its_bounds_say() {
    use crate::data::log::{LogBounds, Pulled};
    let folder = tempfile::tempdir().unwrap();
    let path = core_path(folder.path());
    create(&path, Uuid::new_v4(), Role::Core).unwrap();
    let bounds = LogBounds {
        bytes_max: 100_000,
        bytes_kept: 20_000,
    };
    let settings = CoreSettings {
        log: bounds,
        ..CoreSettings::default()
    };
    let core = SqliteCore::open(&path, settings, 1).unwrap();
    core.write(schema(TABLE), Limits::default()).await.unwrap();
    let write = async |count: i64| {
        for _ in 0..count {
            let insert = rows("INSERT INTO t (n, body) VALUES (1, ?1)")
                .with(vec![text(&Uuid::new_v4().to_string().repeat(20))]);
            core.write(insert, Limits::default()).await.unwrap();
        }
    };
    let new = History {
        epochs: Vec::new(),
        last: LogPoint::default(),
    };
    write(100).await;
    assert!(matches!(
        core.pull(new.clone(), 1).await.unwrap(),
        Pulled::Entries(_)
    ));
    // Room is told before it is gone.
    assert!(bounds.room(&core.state().await.unwrap()) < 30_000);
    write(200).await;
    let state = core.state().await.unwrap();
    assert!(state.log_bytes < 150_000, "{}", state.log_bytes);
    let first = state.trimmed.position.next();
    assert_eq!(
        core.pull(new, 1).await.unwrap(),
        Pulled::SnapshotNeeded { first }
    );
    // What every shadow has goes earlier.
    core.confirm(state.last.position);
    write(65).await;
    let state = core.state().await.unwrap();
    assert!(state.log_bytes < 80_000, "{}", state.log_bytes);
}

#[test]
fn a_full_disk_refuses_what_has_no_room_and_nothing_else() {
    use crate::data::fixture::Pair;
    let mut pair = Pair::new();
    pair.run(&[schema("CREATE TABLE b (id INTEGER PRIMARY KEY, body BLOB)")]);
    pair.core.pages_limit(60);
    let insert = |id, bytes| {
        rows("INSERT INTO b VALUES (?1, ?2)")
            .with(vec![Value::Int8(id), Value::Bytea(vec![1; bytes])])
    };
    let full = pair.write(&insert(1, 1_000_000)).unwrap_err();
    assert_eq!(full.sql_state(), "53100", "{full}");
    pair.run(&[insert(2, 100)]);
    pair.core.pages_limit(1_000_000);
    pair.run(&[insert(3, 1_000_000)]);
    pair.catch_up();
}
