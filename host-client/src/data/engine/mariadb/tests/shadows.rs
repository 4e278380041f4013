//! Shadows on SQLite of a core on MariaDB.

use super::{super::server::name_of, *};
use crate::data::{
    engine::mirror::fixture::{a_part_follows, both, compare, follow, shadow},
    log::Pulled,
};

const BOTH: [SqlType; 2] = [SqlType::Int8, SqlType::Varchar(Some(200))];

async fn open() -> Shop {
    Shop::open_on(MariaDbServer::start_with_log()).await
}

impl Shop {
    async fn wrote(&self, text: &str) -> Written {
        self.write(rows(text)).await.unwrap()
    }

    /// As the server's administrator.
    fn script(&self, text: &str) -> String {
        self.server.script(&name_of(self.database), text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_on_sqlite_follows_all_that_is_committed_in_its_order() {
    let shop = open().await;
    shop.write(schema(WIDE)).await.unwrap();
    let described = shop.core.describe().await.unwrap();
    let columns = described.table("x").unwrap().columns.iter();
    let types: Vec<SqlType> = columns.map(|column| column.sql_type).collect();
    let given = extremes(&types);
    let marks = vec!["?"; types.len()].join(", ");
    let insert = rows(&format!("INSERT INTO \"x\" VALUES ({marks})"));
    let first = insert.clone().with(given[0].clone());
    shop.write(first).await.unwrap();
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    compare(&*shop.core, &shadow, "x", types.clone()).await;
    for row in &given[1..] {
        shop.write(insert.clone().with(row.clone())).await.unwrap();
    }
    // Large values that stay, and those that are larger than one message; another key; rows of
    // another database; what is taken back.
    let large = rows("UPDATE \"x\" SET \"t\" = ? WHERE \"id\" = 0");
    let value = text(&"\u{1F6D2}".repeat(3_900_000));
    shop.write(large.with(vec![value])).await.unwrap();
    shop.server.script(
        "mysql",
        "CREATE DATABASE other; CREATE TABLE other.t (id int PRIMARY KEY, e enum('a', 'b'), s \
         set('x', 'y'), b bit(9), c char(3), y year, p point);
         INSERT INTO other.t VALUES (1, 'b', 'x,y', 5, 'abc', 2026, POINT(1, 2));
         INSERT INTO other.t SELECT 2, e, s, b, c, y, p FROM other.t; DROP DATABASE other;",
    );
    for statement in [
        "UPDATE \"x\" SET \"i2\" = 7, \"j\" = NULL WHERE \"id\" = 2147483647",
        "UPDATE \"x\" SET \"id\" = 30 WHERE \"id\" = -2147483648",
        "INSERT INTO \"x\" (\"id\", \"b\", \"n\", \"f4\") SELECT \"seq\", \"seq\" % 2, -\"seq\" / 8, \
         \"seq\" / 16 FROM \"seq_100_to_4000\"",
        "UPDATE \"x\" SET \"t\" = CONCAT('word ', \"id\"), \"ts\" = '2026-11-23 04:05:06.000007', \
         \"tm\" = '01:02:03.4', \"u\" = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6' WHERE \"id\" > 100",
        "DELETE FROM \"x\" WHERE \"id\" BETWEEN 200 AND 3900",
    ] {
        shop.wrote(statement).await;
    }
    let limits = Limits::default();
    let begun = shop.core.begin(TransactionLimits::default()).await;
    let mut transaction = begun.unwrap();
    for name in ["a", "b"] {
        transaction.savepoint(name.to_owned()).await.unwrap();
        let gone = rows("DELETE FROM \"x\" WHERE \"id\" < 150");
        transaction.run(gone, limits).await.unwrap();
        transaction.rollback_to(name.to_owned()).await.unwrap();
    }
    let one = rows("DELETE FROM \"x\" WHERE \"id\" = 3950");
    transaction.run(one, limits).await.unwrap();
    let position = transaction.commit().await.unwrap();
    assert_eq!(position, shop.core.position().position);
    follow(&*shop.core, &shadow, position).await;
    compare(&*shop.core, &shadow, "x", types).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_on_sqlite_has_each_change_of_the_schema_in_its_place() {
    let shop = open().await;
    let index = "CREATE INDEX \"by_v\" ON \"t\" (\"v\") COMMENT 'gridmart'";
    shop.write(schema(index)).await.unwrap();
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    let core = &*shop.core;
    let create = both(
        "CREATE TABLE \"u\" (\"id\" INT NOT NULL COMMENT 'int4', \"word\" LONGTEXT COMMENT 'text', \
         PRIMARY KEY (\"id\")) ENGINE=InnoDB",
        "CREATE TABLE \"u\" (\"id\" INT4 NOT NULL, \"word\" TEXT, PRIMARY KEY (\"id\"))",
    );
    shop.write(create.clone()).await.unwrap();
    assert_eq!(state(&shop.write(create).await.unwrap_err()), "42P07");
    shop.wrote("INSERT INTO \"u\" VALUES (1, 'one'), (2, 'two')")
        .await;
    let add = both(
        "ALTER TABLE \"u\" ADD COLUMN \"n\" DECIMAL(9,2) COMMENT 'numeric(9,2)'",
        "ALTER TABLE \"u\" ADD COLUMN \"n\" TEXT NUMERIC(9,2)",
    );
    shop.write(add).await.unwrap();
    let described = core.describe().await.unwrap();
    let last = shop
        .wrote("UPDATE \"u\" SET \"n\" = 1.5 WHERE \"id\" = 1")
        .await;
    assert!(described.position < last.position, "{described:?} {last:?}");
    follow(core, &shadow, last.position).await;
    let of_u = || vec![SqlType::Int4, SqlType::Text, SqlType::Numeric(Some((9, 2)))];
    compare(core, &shadow, "\"u\"", of_u()).await;
    for (of_server, of_shadow) in [
        ("DROP INDEX \"by_v\" ON \"t\"", "DROP INDEX \"by_v\""),
        (
            "CREATE UNIQUE INDEX \"by_n\" ON \"u\" (\"n\") COMMENT 'gridmart'",
            "CREATE UNIQUE INDEX \"by_n\" ON \"u\" (\"n\")",
        ),
        (
            "ALTER TABLE \"u\" RENAME COLUMN \"word\" TO \"it's */ other\"",
            "ALTER TABLE \"u\" RENAME COLUMN \"word\" TO \"it's */ other\"",
        ),
        (
            "ALTER TABLE \"u\" RENAME TO \"w\"",
            "ALTER TABLE \"u\" RENAME TO \"w\"",
        ),
        ("DROP TABLE \"t\"", "DROP TABLE \"t\""),
    ] {
        shop.write(both(of_server, of_shadow)).await.unwrap();
    }
    let last = shop
        .wrote("INSERT INTO \"w\" VALUES (3, 'three', NULL)")
        .await;
    follow(core, &shadow, last.position).await;
    compare(core, &shadow, "\"w\"", of_u()).await;
    let gone = reading("SELECT 1 FROM \"t\"");
    assert!(shadow.read(gone, Limits::default()).await.is_err());
    // What the server does not log is not taken.
    let acting = both(
        "CREATE TABLE \"c\" (\"id\" INT NOT NULL COMMENT 'int4', PRIMARY KEY (\"id\"), FOREIGN KEY \
         (\"id\") REFERENCES \"w\" (\"id\") ON DELETE CASCADE) ENGINE=InnoDB",
        "",
    );
    let refused = shop.write(acting).await.unwrap_err();
    assert!(refused.to_string().contains("foreign key"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_told_twice_by_many_writers_restarts_and_crashes() {
    let mut shop = open().await;
    shop.put(0, "0").await.unwrap();
    let (_folder, shadow) = shadow(&*shop.core, &shop.home).await;
    let mut written = 1;
    for round in 1..=3 {
        let core = &shop.core;
        let writes = (0..8).map(|writer| async move {
            let mut written = 0;
            for step in 0..6 {
                let id = round * 1000 + writer * 100 + step;
                let insert = format!("INSERT INTO \"t\" VALUES ({id}, 'x')");
                core.write(rows(&insert), Limits::default()).await.unwrap();
                let again = "UPDATE \"t\" SET \"v\" = \"v\" + 1 WHERE \"id\" = 0";
                let again = core.write(rows(again), Limits::default()).await;
                // They deadlock now and then, as they may.
                written += i64::from(again.is_ok());
            }
            written
        });
        written += futures_util::future::join_all(writes)
            .await
            .iter()
            .sum::<i64>();
        if round == 2 {
            shop.server.crash();
            shop.server.resume();
        }
        shop.reopen();
    }
    let last = loop {
        let gone = rows("DELETE FROM \"t\" WHERE \"id\" = 1000");
        match shop.write(gone).await {
            Ok(written) => break written.position,
            Err(error) => assert!(matches!(error, EngineError::Unreachable { .. }), "{error}"),
        }
    };
    follow(&*shop.core, &shadow, last).await;
    assert!(written > 100, "{written}");
    compare(&*shop.core, &shadow, "\"t\"", BOTH.to_vec()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_followed_is_begun_anew() {
    let mut shop = open().await;
    shop.put(1, "one").await.unwrap();
    for round in ["its log is gone", "others changed a table"] {
        let (_folder, before) = shadow(&*shop.core, &shop.home).await;
        compare(&*shop.core, &before, "\"t\"", BOTH.to_vec()).await;
        if round == "its log is gone" {
            shop.core.retire();
            shop.script("RESET MASTER");
            shop.reopen();
        } else {
            shop.script("TRUNCATE TABLE t; INSERT INTO t VALUES (2, 'two')");
        }
        let deadline = std::time::Instant::now() + Duration::from_mins(2);
        loop {
            let told = before.history().await.unwrap();
            let pulled = shop.core.pull(told, 1024).await.unwrap();
            if matches!(pulled, Pulled::SnapshotNeeded { .. }) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{round}: {pulled:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let written = shop.put(7, "seven").await.unwrap();
        assert!(written.position > before.position().position, "{round}");
        let (_folder, after) = shadow(&*shop.core, &shop.home).await;
        compare(&*shop.core, &after, "\"t\"", BOTH.to_vec()).await;
        shop.wrote("DELETE FROM \"t\" WHERE \"id\" = 7").await;
        compare(&*shop.core, &after, "\"t\"", BOTH.to_vec()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_no_log_for_shadows_is_told_what_it_lacks() {
    let shop = Shop::open().await;
    let refused = shop.core.require_log().await.unwrap_err().to_string();
    for lacking in [
        "log_bin = gridmart-bin",
        "SET GLOBAL binlog_format = ROW",
        "GRANT REPLICATION SLAVE ON *.* TO `gridmart`@`localhost`",
    ] {
        assert!(refused.contains(lacking), "{refused}");
    }
    assert!(!refused.contains("row_image"), "{refused}");
    assert!(shop.core.snapshot(&shop.home).await.is_err());
    // Without a log there are no shadows, and all else is as it was.
    shop.put(1, "one").await.unwrap();
    let acting = "CREATE TABLE \"c\" (\"id\" BIGINT NOT NULL COMMENT 'int8', PRIMARY KEY (\"id\"), \
        FOREIGN KEY (\"id\") REFERENCES \"t\" (\"id\") ON DELETE CASCADE) ENGINE=InnoDB";
    shop.write(schema(acting)).await.unwrap();
    assert_eq!(shop.count().await, Value::Int8(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_of_a_part_gets_what_its_filter_shows() {
    let shop = open().await;
    let create = "CREATE TABLE part (id INT COMMENT 'int4', n INT COMMENT 'int4', word LONGTEXT COMMENT \
         'text', PRIMARY KEY (id)) ENGINE=InnoDB";
    shop.write(schema(create)).await.unwrap();
    let changes = [
        both(
            "CREATE TABLE aside (id INT COMMENT 'int4', PRIMARY KEY (id)) ENGINE=InnoDB",
            "CREATE TABLE aside (id INT4 NOT NULL, PRIMARY KEY (id))",
        ),
        both(
            "ALTER TABLE part ADD COLUMN more INT COMMENT 'int4'",
            "ALTER TABLE part ADD COLUMN more INT4",
        ),
    ];
    a_part_follows(&*shop.core, &shop.home, changes).await;
}
