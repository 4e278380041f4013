//! Shadows on MariaDB of a core on MariaDB.

use gridmart_schemas::{
    data::{Epoch, Position},
    resource::enumeration::DataEngine,
};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngSeed, TestRunner},
};

use super::{super::server::name_of, *};
use crate::data::{
    check::differing,
    engine::{
        mirror::fixture::{both, follow, shadow},
        sqlite::{Guard, Purpose, open as open_file, state_at},
        standby::{
            Keeper as _,
            fixture::{LONG, Second, Shopped},
        },
    },
    log::{Pulled, whole_of},
    promotion::promote,
};

impl Shopped for Shop {
    fn core(&self) -> &dyn CoreEngine {
        &*self.core
    }

    fn home(&self) -> &Home {
        &self.home
    }

    fn database(&self) -> DatabaseId {
        self.database
    }
}

async fn open() -> Shop {
    Shop::open_on(MariaDbServer::start_with_log()).await
}

/// A shadow on a server of its own.
async fn begin(shop: &Shop) -> Second<MariaDbServer> {
    let server = MariaDbServer::start_with_log();
    let url = server.url();
    Second::begin(shop, server, &url).await
}

/// Names of gridmart's databases at a server.
fn databases(server: &MariaDbServer) -> String {
    server.script("mysql", "SHOW DATABASES LIKE 'gridmart%'")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_on_mariadb_has_all_that_is_committed_and_what_differs_is_made_anew() {
    let shop = open().await;
    shop.write(schema(WIDE)).await.unwrap();
    shop.write(schema(
        "CREATE TABLE \"k\" (\"a\" VARCHAR(100) NOT NULL COMMENT 'text', \"b\" DATE NOT NULL \
         COMMENT 'date', \"c\" VARBINARY(64) NOT NULL COMMENT 'bytea', \"any\" VARCHAR(67) COMMENT \
         'numeric', PRIMARY KEY (\"a\", \"b\", \"c\")) ENGINE=InnoDB",
    ))
    .await
    .unwrap();
    let described = shop.core.describe().await.unwrap();
    let columns = described.table("x").unwrap().columns.iter();
    let types: Vec<SqlType> = columns.map(|column| column.sql_type).collect();
    let marks = vec!["?"; types.len()].join(", ");
    let insert = rows(&format!("INSERT INTO \"x\" VALUES ({marks})"));
    let given = extremes(&types);
    shop.write(insert.clone().with(given[0].clone()))
        .await
        .unwrap();
    let keys = "INSERT INTO \"k\" VALUES ('it''s', '2026-01-31', x'00', '1.50'), \
                ('It''s', '2026-01-31', x'0001', '-0.1'), ('ß', '0001-01-01', x'', NULL)";
    shop.write(rows(keys)).await.unwrap();
    let second = begin(&shop).await;
    second.is_the_same(&shop).await;
    // Rows of all kinds: new, other (large values that stay, another key, as they were), gone.
    for row in &given[1..] {
        shop.write(insert.clone().with(row.clone())).await.unwrap();
    }
    let large = rows("UPDATE \"x\" SET \"t\" = ?, \"y\" = ? WHERE \"id\" = 0");
    let bytes = Value::Bytea((0..=255).cycle().take(3_000_000).collect());
    let large = large.with(vec![text(&"'\u{1F6D2}".repeat(1_000_000)), bytes]);
    shop.write(large).await.unwrap();
    for statement in [
        "UPDATE \"x\" SET \"i2\" = 7, \"j\" = NULL WHERE \"id\" = 0",
        "UPDATE \"x\" SET \"id\" = 30 WHERE \"id\" = 0",
        "UPDATE \"x\" SET \"i2\" = \"i2\"",
        "INSERT INTO \"x\" (\"id\", \"b\", \"n\", \"f4\", \"f8\") SELECT \"seq\", \"seq\" % 2, -\"seq\" / 8, \
         \"seq\" / 16, \"seq\" / 7 FROM \"seq_100_to_4000\"",
        "UPDATE \"x\" SET \"t\" = CONCAT('word ', \"id\"), \"ts\" = '2026-11-23 04:05:06.000007', \
         \"tm\" = '01:02:03.4', \"u\" = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6' WHERE \"id\" > 100",
        "UPDATE \"x\" SET \"d\" = '2024-02-29', \"tz\" = '2026-11-23 04:05:06', \"y\" = x'5c00ff27' \
         WHERE \"id\" > 3800",
        "DELETE FROM \"x\" WHERE \"id\" BETWEEN 200 AND 3850",
        "DELETE FROM \"x\" WHERE \"id\" = -2147483648",
        "UPDATE \"k\" SET \"any\" = '1.5' WHERE \"a\" = 'it''s'",
        "UPDATE \"k\" SET \"c\" = x'ff' WHERE \"a\" = 'ß'",
        "DELETE FROM \"k\" WHERE \"any\" = '-0.1'",
    ] {
        shop.write(rows(statement)).await.unwrap();
    }
    second.is_the_same(&shop).await;
    let all = reading("SELECT * FROM \"x\" ORDER BY \"id\"").giving(types);
    let of_core = shop.read(all.clone()).await.unwrap();
    assert!(of_core == second.read(all).await, "x differs");
    let refused = second
        .shadow
        .write(rows("DELETE FROM \"x\""), Limits::default());
    assert_eq!(state(&refused.await.unwrap_err()), "25006");
    // A change by hand is found by the sums, and by the next change of its row.
    let name = second.name();
    second
        .server
        .script(&name, "UPDATE x SET i2 = 99 WHERE id = 3900");
    let (core, own) = second.sums(&shop).await;
    assert_eq!(differing(&core, &own).unwrap().len(), 1);
    let again = "UPDATE \"x\" SET \"i2\" = 8 WHERE \"id\" = 3900";
    shop.write(rows(again)).await.unwrap();
    second.is_the_same(&shop).await;
    assert_ne!(second.name(), name);
    let ends = Instant::now() + LONG;
    while databases(&second.server).matches("gridmart_").count() != 1 {
        assert!(Instant::now() < ends, "the old one stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_crashes_leave_position_rows_and_schema_of_a_shadow_on_mariadb_in_step() {
    let shop = open().await;
    shop.put(0, "0").await.unwrap();
    let mut second = begin(&shop).await;
    let mut last = Position::ZERO;
    for round in 1..=4 {
        for step in 0..20 {
            let id = round * 100 + step;
            shop.put(id, "0").await.unwrap();
            let count = rows("UPDATE \"t\" SET \"v\" = \"v\" + 1 WHERE \"id\" = 0");
            last = shop.write(count).await.unwrap().position;
        }
        let change = both(
            &format!("ALTER TABLE \"t\" ADD COLUMN \"c{round}\" INT COMMENT 'int4'"),
            &format!("ALTER TABLE \"t\" ADD COLUMN \"c{round}\" INT4"),
        );
        shop.write(change).await.unwrap();
        let narrow = format!("ALTER TABLE \"t\" DROP COLUMN \"c{round}\"");
        shop.write(both(&narrow, &narrow)).await.unwrap();
        let told = second.shadow.history().await.unwrap();
        if let Pulled::Entries(entries) = shop.core.pull(told, 8192).await.unwrap() {
            let applying = second.shadow.apply(entries);
            if round % 2 == 0 {
                // In the middle of it.
                let _ = tokio::time::timeout(Duration::from_millis(30), applying).await;
                second.server.crash();
                second.server.resume();
            } else {
                applying.await.unwrap();
            }
        }
        second.reopen(&shop);
    }
    let name = second.home.server_name().unwrap();
    second.follow(&shop, last).await;
    let count = reading("SELECT COUNT(*), CAST(MAX(\"v\" + 0) AS SIGNED) FROM \"t\"");
    let count = count.giving(vec![SqlType::Int8, SqlType::Int8]);
    assert_eq!(
        second.read(count).await,
        [[Value::Int8(81), Value::Int8(80)]]
    );
    second.is_the_same(&shop).await;
    if name.is_some() {
        // Nothing of it was taken for divergence.
        assert_eq!(second.home.server_name().unwrap(), name);
    }
    // Whether a change was done is told by what it made, when its end was not noted.
    let name = second.name();
    let position = second.shadow.position().position.number();
    let mark = |done: bool| {
        let sum = if done { "'other'" } else { "whole_before" };
        format!(
            "UPDATE gridmart_place SET changing_position = position + 1, changing_epoch = epoch, \
             whole_before = {sum}"
        )
    };
    second.shadow.end();
    second.server.script(&name, &mark(true));
    let keeper = super::super::shadow::MariaKeeper {
        access: Access::of_url(&second.server.url()).unwrap(),
        health: Arc::default(),
    };
    let found = keeper.find(&name).await.unwrap().unwrap();
    assert_eq!(found.position.number(), position + 1);
    let mut conn = keeper.access.of_database(&name).connect().await.unwrap();
    let now = super::super::whole::whole(&mut conn).await.unwrap();
    let now = super::super::place::sum_of(&now);
    super::super::place::changing_put(&mut conn, found, &now)
        .await
        .unwrap();
    second
        .server
        .script(&name, "UPDATE gridmart_place SET changing_position = 99");
    let found = keeper.find(&name).await.unwrap().unwrap();
    assert_eq!(found.position.number(), position + 1);
}

/// What a random history does to a table of three columns and its keys.
fn statement() -> impl Strategy<Value = String> {
    let key = 0..12_i32;
    prop_oneof![
        4 => (key.clone(), any::<Option<i16>>()).prop_map(|(id, n)| {
            let n = n.map_or("NULL".to_owned(), |n| n.to_string());
            format!("INSERT INTO p VALUES ({id}, {n}, 'w{n}') ON DUPLICATE KEY UPDATE n = VALUES(n)")
        }),
        2 => key.clone().prop_map(|id| format!("DELETE FROM p WHERE id = {id} AND id NOT IN (SELECT of FROM c)")),
        2 => (key.clone(), 100..112_i32).prop_map(|(from, to)| {
            format!("UPDATE p SET id = {to} WHERE id = {from} AND id NOT IN (SELECT of FROM c)")
        }),
        1 => key.clone().prop_map(|id| format!("UPDATE p SET word = NULL WHERE id >= {id}")),
        1 => key.prop_map(|id| {
            format!("INSERT INTO c (id, of) SELECT {id}, id FROM p ORDER BY id LIMIT 1")
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_leave_the_same_on_shadows_of_both_engines() {
    let shop = open().await;
    for text in [
        "CREATE TABLE p (id INT COMMENT 'int4', n DECIMAL(20,4) COMMENT 'numeric(20,4)', word \
         LONGTEXT COMMENT 'text', PRIMARY KEY (id))",
        "CREATE TABLE c (id INT COMMENT 'int4', of INT COMMENT 'int4', PRIMARY KEY (id), FOREIGN \
         KEY (of) REFERENCES p (id))",
    ] {
        shop.write(schema(text)).await.unwrap();
    }
    let second = begin(&shop).await;
    let (_folder, sqlite) = shadow(&*shop.core, &shop.home).await;
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(20_261_123),
        ..ProptestConfig::default()
    });
    for _ in 0..12 {
        let history = prop::collection::vec(prop::collection::vec(statement(), 1..6), 1..8);
        let history = history.new_tree(&mut runner).unwrap().current();
        for statements in &history {
            let begun = shop.core.begin(TransactionLimits::default()).await;
            let mut transaction = begun.unwrap();
            for statement in statements {
                let ran = transaction.run(rows(statement), Limits::default()).await;
                if let Err(error) = ran {
                    // That statement alone is taken back.
                    assert_eq!(state(&error), "23505", "{statement}");
                }
            }
            transaction.commit().await.unwrap();
        }
        let (core, at_server) = second.sums(&shop).await;
        let differs = differing(&core, &at_server);
        assert_eq!(differs, Some(Vec::new()), "{history:?}");
        follow(&*shop.core, &sqlite, core.position).await;
        let in_file = sqlite.sums_same(core.clone()).await.unwrap();
        assert_eq!(at_server, in_file, "{history:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_on_mariadb_becomes_the_core_with_its_keys_and_its_log() {
    let shop = open().await;
    for text in [
        "CREATE TABLE p (id INT COMMENT 'int4', n INT DEFAULT (7) COMMENT 'int4 {\"int4\":7}', \
         word VARCHAR(60) DEFAULT ('it''s \\ \"') COMMENT 'varchar(60) {\"text\":\"it''s \\\\ \\\"\"}', \
         PRIMARY KEY (id), CHECK (n > 0 AND word <> '\\'))",
        "CREATE TABLE c (id INT COMMENT 'int4', of INT COMMENT 'int4', PRIMARY KEY (id), FOREIGN \
         KEY (of) REFERENCES p (id))",
        "CREATE INDEX by_of ON c (of DESC) COMMENT 'gridmart'",
    ] {
        shop.write(schema(text)).await.unwrap();
    }
    for text in [
        "INSERT INTO p (id) VALUES (1), (2)",
        "INSERT INTO c VALUES (1, 2), (2, 2)",
    ] {
        shop.write(rows(text)).await.unwrap();
    }
    let second = begin(&shop).await;
    let (_folder, third) = shadow(&*shop.core, &shop.home).await;
    let rename = "ALTER TABLE \"p\" RENAME TO \"parent\"";
    for change in [
        both(rename, rename),
        both(
            "CREATE TABLE \"d\" (id INT COMMENT 'int4', of INT COMMENT 'int4', PRIMARY KEY (id), \
             FOREIGN KEY (of) REFERENCES parent (id))",
            "CREATE TABLE d (id INT4 NOT NULL, of INT4, PRIMARY KEY (id))",
        ),
    ] {
        shop.write(change).await.unwrap();
    }
    shop.write(rows("DELETE FROM parent WHERE id = 1"))
        .await
        .unwrap();
    second.is_the_same(&shop).await;
    // What is known of the schema does not grow with each change of it.
    for file in [&second.path, &shop.home.database().unwrap().unwrap()] {
        let file = open_file(file, Purpose::Reader, &Arc::new(Guard::default())).unwrap();
        let whole = whole_of(&file, &DataEngine::Mariadb).unwrap().unwrap();
        assert_eq!((whole.tables.len(), whole.changes.len()), (4, 0));
    }
    let of_core = shop.core.describe().await.unwrap();
    let seen = second.shadow.describe().await.unwrap();
    assert_eq!(seen.tables, of_core.tables);
    second.shadow.retire();
    second.shadow.promote().await.unwrap();
    promote(&second.path, Epoch::new(9)).unwrap();
    let name = second.name();
    let server = second.servers.of(&DataEngine::Mariadb).unwrap().unwrap();
    let core = server.shadows().unwrap();
    let core = core
        .open_named(&name, &second.path, LogBounds::default())
        .unwrap();
    assert_eq!(core.describe().await.unwrap().tables, of_core.tables);
    let write = async |text: &str| core.write(rows(text), Limits::default()).await;
    for (refused, wanted) in [
        ("INSERT INTO c VALUES (9, 77)", "23503"),
        ("INSERT INTO d VALUES (9, 77)", "23503"),
        ("INSERT INTO parent (id, n) VALUES (9, -1)", "23514"),
        ("DELETE FROM parent WHERE id = 2", "23503"),
    ] {
        assert_eq!(state(&write(refused).await.unwrap_err()), wanted);
    }
    write("INSERT INTO parent (id) VALUES (3)").await.unwrap();
    let narrow = "ALTER TABLE \"parent\" DROP COLUMN \"word\"";
    core.write(both(narrow, narrow), Limits::default())
        .await
        .unwrap_err();
    let last = write("DELETE FROM c WHERE id = 2").await.unwrap();
    // Another shadow goes on with the log of the new core, where it was.
    follow(&*core, &third, last.position).await;
    let sums = core.sums(3, None, None).await.unwrap();
    assert_eq!(sums.position, third.position().position);
    let own = third.sums_same(sums.clone()).await.unwrap();
    assert_eq!(differing(&sums, &own), Some(Vec::new()));
    let seen = third.read(reading("SELECT id, n, word FROM parent"), Limits::default());
    let seen = seen.await.unwrap().collect().await.unwrap();
    let row = |id| vec![Value::Int8(id), Value::Int8(7), text("it's \\ \"")];
    assert_eq!(seen, [row(2), row(3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replaced_core_had_committed_last_is_brought_into_its_log() {
    let shop = open().await;
    shop.core.snapshot(&shop.home).await.unwrap();
    shop.put(1, "one").await.unwrap();
    let file = shop.home.database().unwrap().unwrap();
    let before = state_at(&file).unwrap().last;
    // Its Host is gone, and what was under way is committed.
    shop.core.retire();
    let name = name_of(shop.database);
    let open = shop.core.begin(TransactionLimits::default()).await;
    let mut open = open.unwrap();
    let late = rows("INSERT INTO \"t\" VALUES (9, 'never')");
    open.run(late, Limits::default()).await.unwrap();
    shop.server.script(&name, "INSERT INTO t VALUES (2, 'two')");
    let shadows = shop.maria.shadows().unwrap();
    shadows.finish_log(&name, &file).await.unwrap();
    let after = state_at(&file).unwrap().last;
    assert_eq!(after.position, before.position.next());
    assert!(open.commit().await.is_err());
    // Without the server's log it is said that something may be missing.
    shop.server.script(&name, "RESET MASTER");
    shop.server
        .script(&name, "INSERT INTO t VALUES (3, 'three')");
    let lost = shadows.finish_log(&name, &file).await.unwrap_err();
    assert!(matches!(lost, EngineError::Damaged { .. }), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_kept_with_their_definitions_on_core_and_shadows() {
    let shop = open().await;
    let create = schema(
        "CREATE TABLE \"seen\" (\"definition\" LONGTEXT DEFAULT ('697473206f6e65')) \
             ENGINE=InnoDB COMMENT='gridmart view'",
    );
    shop.write(create).await.unwrap();
    let second = begin(&shop).await;
    let (_folder, sqlite) = shadow(&*shop.core, &shop.home).await;
    let follow_both = async |position| {
        second.follow(&shop, position).await;
        follow(&*shop.core, &sqlite, position).await;
        let core = shop.core.describe().await.unwrap().views;
        for views in [second.shadow.describe().await, sqlite.describe().await] {
            assert_eq!(views.unwrap().views, core);
        }
        core
    };
    second.there(shop.core.position().position).await;
    let views = follow_both(Position::ZERO).await;
    assert_eq!(views, [("seen".to_owned(), "its one".to_owned())]);
    let replace = both(
        "CREATE OR REPLACE TABLE \"seen\" (\"definition\" LONGTEXT DEFAULT ('69742773206f74686572')) \
             ENGINE=InnoDB COMMENT='gridmart view'",
        "DROP VIEW seen; CREATE VIEW seen (definition) AS SELECT 'it''s other'",
    );
    let replaced = shop.write(replace).await.unwrap();
    let views = follow_both(replaced.position).await;
    assert_eq!(views, [("seen".to_owned(), "it's other".to_owned())]);
    second.is_the_same(&shop).await;
    let dropped = shop
        .write(both("DROP TABLE \"seen\"", "DROP VIEW seen"))
        .await
        .unwrap();
    assert!(follow_both(dropped.position).await.is_empty());
}
