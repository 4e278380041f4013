//! Shadows on SQLite of a core on PostgreSQL.

use super::*;
use crate::data::engine::mirror::fixture::{a_part_follows, both, compare, follow, shadow};

#[tokio::test]
async fn a_shadow_on_sqlite_follows_all_that_is_committed_in_its_order() {
    let shop = Shop::open().await;
    shop.made(&format!("CREATE TABLE t ({ALL_TYPES})")).await;
    let places: Vec<String> = (1..=types().len())
        .map(|place| format!("${place}"))
        .collect();
    let insert = format!("INSERT INTO t VALUES ({})", places.join(", "));
    for row in [extreme(1, true), extreme(2, false)] {
        shop.write(rows(&insert).with(row)).await.unwrap();
    }
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    compare(&*shop.core, &shadow, "t", types()).await;
    // Rows of all kinds: new, other (large values that stay, another key), gone.
    let large = text(&"x\u{1F6D2}".repeat(200_000));
    let mut third = extreme(3, true);
    third[8] = large;
    third[4] = Value::Float4(Float4::new(f32::NAN));
    third[5] = Value::Float8(Float8::new(-0.0));
    shop.write(rows(&insert).with(third)).await.unwrap();
    for statement in [
        "UPDATE t SET b = 7, q = NULL WHERE id = 3",
        "UPDATE t SET id = 30 WHERE id = 3",
        "INSERT INTO t (id, a) SELECT n, n % 2 = 0 FROM generate_series(100, 4000) n",
        "UPDATE t SET h = 'word ' || id, f = id / 3.0 WHERE id > 100",
        "DELETE FROM t WHERE id BETWEEN 200 AND 3900",
    ] {
        shop.write(rows(statement)).await.unwrap();
    }
    let last = shop
        .write(rows("DELETE FROM t WHERE id = 1"))
        .await
        .unwrap();
    follow(&*shop.core, &shadow, last.position).await;
    compare(&*shop.core, &shadow, "t", types()).await;
}

#[tokio::test]
async fn a_shadow_on_sqlite_has_each_change_of_the_schema_in_its_place() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, i integer)")
        .await;
    shop.made("CREATE INDEX by_i ON t (i)").await;
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    // The schema changes within what is committed, and not within what is taken back.
    let limits = Limits::default();
    let mut transaction = shop.core.begin(TransactionLimits::default()).await.unwrap();
    let create = both(
        "CREATE TABLE u (id integer PRIMARY KEY, word text)",
        "CREATE TABLE u (id INT4 NOT NULL, word TEXT, PRIMARY KEY (id))",
    );
    transaction.savepoint("a".to_owned()).await.unwrap();
    transaction.run(create.clone(), limits).await.unwrap();
    transaction.rollback_to("a".to_owned()).await.unwrap();
    transaction.run(create, limits).await.unwrap();
    transaction
        .run(rows("INSERT INTO u VALUES (1, 'one')"), limits)
        .await
        .unwrap();
    let add = both(
        "ALTER TABLE u ADD COLUMN n numeric(9, 2)",
        "ALTER TABLE u ADD COLUMN n TEXT NUMERIC(9,2)",
    );
    transaction.run(add, limits).await.unwrap();
    transaction
        .run(rows("INSERT INTO u VALUES (2, 'two', 2)"), limits)
        .await
        .unwrap();
    transaction
        .run(rows("UPDATE u SET n = 1.5 WHERE id = 1"), limits)
        .await
        .unwrap();
    let position = transaction.commit().await.unwrap();
    follow(&*shop.core, &shadow, position).await;
    let of_u = || vec![SqlType::Int4, SqlType::Text, SqlType::Numeric(Some((9, 2)))];
    compare(&*shop.core, &shadow, "u", of_u()).await;
    for (of_server, of_shadow) in [
        ("DROP INDEX by_i", "DROP INDEX by_i"),
        (
            "CREATE UNIQUE INDEX by_word ON u (word)",
            "CREATE UNIQUE INDEX by_word ON u (word)",
        ),
        (
            "ALTER TABLE u RENAME COLUMN word TO other",
            "ALTER TABLE u RENAME COLUMN word TO other",
        ),
        ("ALTER TABLE u RENAME TO v", "ALTER TABLE u RENAME TO v"),
        ("DROP TABLE t", "DROP TABLE t"),
    ] {
        shop.write(both(of_server, of_shadow)).await.unwrap();
    }
    let last = shop
        .write(rows("INSERT INTO v VALUES (3, 'three', NULL)"))
        .await
        .unwrap();
    follow(&*shop.core, &shadow, last.position).await;
    compare(&*shop.core, &shadow, "v", of_u()).await;
    assert!(shop.read(reading("SELECT 1 FROM t")).await.is_err());
}

#[tokio::test]
async fn nothing_is_missed_or_told_twice_by_many_writers_restarts_and_crashes() {
    let mut shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL)")
        .await;
    shop.write(rows("INSERT INTO t VALUES (0, 0)"))
        .await
        .unwrap();
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    for round in 1..=3 {
        let core = &shop.core;
        let writes = (0..8).map(|writer| async move {
            for step in 0..10 {
                let id = round * 1000 + writer * 100 + step;
                let insert = format!("INSERT INTO t VALUES ({id}, 0)");
                core.write(rows(&insert), Limits::default()).await.unwrap();
                let count = rows("UPDATE t SET n = n + 1 WHERE id = 0");
                core.write(count, Limits::default()).await.unwrap();
            }
        });
        futures_util::future::join_all(writes).await;
        if round == 2 {
            shop.server.crash();
            shop.server.resume();
        }
        shop.reopen();
    }
    let last = loop {
        match shop
            .write(rows("UPDATE t SET n = n + 1 WHERE id = 0"))
            .await
        {
            Ok(written) => break written.position,
            Err(error) => assert!(matches!(error, EngineError::Unreachable { .. }), "{error}"),
        }
    };
    follow(&*shop.core, &shadow, last).await;
    let counted = "SELECT count(*), max(n) FROM t";
    let seen = shadow
        .read(reading(counted), Limits::default())
        .await
        .unwrap();
    assert_eq!(
        seen.collect().await.unwrap(),
        [[Value::Int8(241), Value::Int8(241)]]
    );
    compare(
        &*shop.core,
        &shadow,
        "t",
        vec![SqlType::Int4, SqlType::Int4],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_keeps_no_log_for_shadows_is_told_what_it_lacks() {
    let shop = Shop::open().await;
    shop.core.require_log().await.unwrap();
    shop.server
        .script("postgres", "ALTER ROLE gridmart NOREPLICATION");
    let refused = shop.core.require_log().await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("ALTER ROLE \"gridmart\" REPLICATION"),
        "{refused}"
    );
    assert!(shop.core.snapshot(&shop.home).await.is_err());
    // Without a log there are no shadows, and all else is as it was.
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    shop.write(rows("INSERT INTO t VALUES (1)")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_of_a_part_gets_what_its_filter_shows() {
    let shop = Shop::open().await;
    let create = "CREATE TABLE part (id integer PRIMARY KEY, n integer, word text)";
    shop.write(schema(create)).await.unwrap();
    let changes = [
        both(
            "CREATE TABLE aside (id integer PRIMARY KEY)",
            "CREATE TABLE aside (id INT4 NOT NULL, PRIMARY KEY (id))",
        ),
        both(
            "ALTER TABLE part ADD COLUMN more integer",
            "ALTER TABLE part ADD COLUMN more INT4",
        ),
    ];
    a_part_follows(&*shop.core, &shop.home, changes).await;
}
