//! Shadows on PostgreSQL of a core on PostgreSQL.

use gridmart_schemas::data::Position;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngSeed, TestRunner},
};

use super::*;
use crate::data::{
    check::differing,
    engine::{
        mirror::fixture::{both, follow, shadow},
        sqlite::{Purpose as FilePurpose, open},
        standby::fixture::{LONG, Second, Shopped},
    },
    log::{Pulled, whole_of, whole_put},
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

/// A shadow on a server of its own.
async fn begin(shop: &Shop) -> Second<PostgresServer> {
    let server = PostgresServer::start_with_account();
    let url = server.url("gridmart");
    Second::begin(shop, server, &url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_on_postgresql_has_all_that_is_committed_and_what_differs_is_made_anew() {
    let shop = Shop::open().await;
    shop.made(&format!("CREATE TABLE t ({ALL_TYPES})")).await;
    let places: Vec<String> = (1..=types().len())
        .map(|place| format!("${place}"))
        .collect();
    let insert = format!("INSERT INTO t VALUES ({})", places.join(", "));
    for row in [extreme(1, true), extreme(2, false)] {
        shop.write(rows(&insert).with(row)).await.unwrap();
    }
    shop.write(rows(
        "INSERT INTO t (id, h, j) VALUES (5, E'a\\tb\\\\N\\n\\r\\\\', '\\x5c00ff')",
    ))
    .await
    .unwrap();
    let second = begin(&shop).await;
    second.is_the_same(&shop).await;
    // Rows of all kinds: new, other (large values that stay, another key, as they were), gone.
    let mut third = extreme(3, true);
    third[8] = text(&"x\u{1F6D2}".repeat(200_000));
    third[4] = Value::Float4(Float4::new(f32::NAN));
    third[5] = Value::Float8(Float8::new(-0.0));
    shop.write(rows(&insert).with(third)).await.unwrap();
    for statement in [
        "UPDATE t SET b = 7, q = NULL WHERE id = 3",
        "UPDATE t SET b = b WHERE id = 3",
        "UPDATE t SET id = 30 WHERE id = 3",
        "INSERT INTO t (id, a) SELECT n, n % 2 = 0 FROM generate_series(100, 4000) n",
        "UPDATE t SET h = 'word ' || id, f = id / 3.0 WHERE id > 100",
        "DELETE FROM t WHERE id BETWEEN 200 AND 3900",
        "DELETE FROM t WHERE id = 1",
    ] {
        shop.write(rows(statement)).await.unwrap();
    }
    second.is_the_same(&shop).await;
    let all = reading("SELECT * FROM t ORDER BY id").giving(types());
    assert_eq!(
        shop.read(all.clone()).await.unwrap(),
        second.read(all).await
    );
    let refused = second
        .shadow
        .write(rows("DELETE FROM t"), Limits::default());
    assert_eq!(refused.await.unwrap_err().sql_state(), "25006");
    // A change by hand is found by the sums, and by the next change of its row.
    let name = second.name();
    second
        .server
        .script(&name, "UPDATE t SET b = 99 WHERE id = 30");
    let (core, own) = second.sums(&shop).await;
    assert_eq!(differing(&core, &own).unwrap().len(), 1);
    shop.write(rows("UPDATE t SET b = 8 WHERE id = 30"))
        .await
        .unwrap();
    second.is_the_same(&shop).await;
    assert_ne!(second.name(), name);
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'gridmart%'";
    let ends = Instant::now() + LONG;
    while second
        .server
        .script("postgres", databases)
        .trim_end_matches('\u{1e}')
        .trim()
        != "1"
    {
        assert!(Instant::now() < ends, "the old one stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_bind_at_a_shadow_on_postgresql_through_changes_of_the_schema() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, who text)")
        .await;
    shop.write(rows("INSERT INTO t VALUES (1, 'ada'), (2, 'eve')"))
        .await
        .unwrap();
    let second = begin(&shop).await;
    second.there(Position::new(1)).await;
    assert_eq!(second.read(own_rows("eve")).await, [[text("eve")]]);
    shop.write(both(
        "ALTER TABLE t ADD COLUMN n integer",
        "ALTER TABLE t ADD COLUMN n INT4",
    ))
    .await
    .unwrap();
    let last = shop
        .write(rows("INSERT INTO t VALUES (3, 'eve', 3)"))
        .await
        .unwrap();
    second.follow(&shop, last.position).await;
    assert_eq!(second.read(own_rows("eve")).await.len(), 2);
    let tables = second.shadow.describe().await.unwrap().tables;
    assert_eq!(tables[0].columns.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_crashes_leave_position_and_rows_of_a_shadow_on_postgresql_in_step() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL)")
        .await;
    shop.write(rows("INSERT INTO t VALUES (0, 0)"))
        .await
        .unwrap();
    let mut second = begin(&shop).await;
    let mut last = Position::ZERO;
    for round in 1..=4 {
        for step in 0..20 {
            let id = round * 100 + step;
            let insert = format!("INSERT INTO t VALUES ({id}, 0)");
            shop.write(rows(&insert)).await.unwrap();
            let count = rows("UPDATE t SET n = n + 1 WHERE id = 0");
            last = shop.write(count).await.unwrap().position;
        }
        let told = second.shadow.history().await.unwrap();
        if let Pulled::Entries(entries) = shop.core.pull(told, 2048).await.unwrap() {
            let applying = second.shadow.apply(entries);
            if round % 2 == 0 {
                // In the middle of it.
                let _ = tokio::time::timeout(Duration::from_millis(3), applying).await;
                second.server.crash();
                second.server.resume();
            } else {
                applying.await.unwrap();
            }
        }
        second.reopen(&shop);
    }
    second.follow(&shop, last).await;
    let counted = second.read(reading("SELECT count(*), max(n) FROM t")).await;
    assert_eq!(counted, [[Value::Int8(81), Value::Int4(80)]]);
    second.is_the_same(&shop).await;
}

/// What a random history does to a table of two columns and its keys.
fn statement() -> impl Strategy<Value = String> {
    let key = 0..12_i32;
    prop_oneof![
        4 => (key.clone(), any::<Option<i16>>()).prop_map(|(id, n)| {
            let n = n.map_or("NULL".to_owned(), |n| n.to_string());
            format!("INSERT INTO p VALUES ({id}, {n}, 'w{n}') ON CONFLICT (id) DO UPDATE SET n = excluded.n")
        }),
        2 => key.clone().prop_map(|id| format!("DELETE FROM p WHERE id = {id}")),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| {
            format!("UPDATE p SET id = {to} WHERE id = {from} AND NOT EXISTS (SELECT FROM p WHERE id = {to})")
        }),
        1 => key.clone().prop_map(|id| format!("UPDATE p SET word = NULL WHERE id >= {id}")),
        1 => key.prop_map(|id| {
            format!("INSERT INTO c (id, of) SELECT {id}, id FROM p ORDER BY id LIMIT 1 ON CONFLICT DO NOTHING")
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_leave_the_same_on_shadows_of_both_engines() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE p (id integer PRIMARY KEY, n numeric, word text)")
        .await;
    shop.made(
        "CREATE TABLE c (id integer PRIMARY KEY, of integer REFERENCES p (id) \
         ON DELETE CASCADE ON UPDATE CASCADE)",
    )
    .await;
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
                ran.unwrap();
            }
            transaction.commit().await.unwrap();
        }
        let (core, at_server) = second.sums(&shop).await;
        assert_eq!(
            differing(&core, &at_server),
            Some(Vec::new()),
            "{history:?}"
        );
        follow(&*shop.core, &sqlite, core.position).await;
        let in_file = sqlite.sums_same(core.clone()).await.unwrap();
        assert_eq!(differing(&core, &in_file), Some(Vec::new()), "{history:?}");
        assert_eq!(at_server, in_file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_on_postgresql_becomes_the_core_with_its_keys_and_its_log() {
    let shop = Shop::open().await;
    for text in [
        "CREATE TABLE p (id integer PRIMARY KEY, n integer DEFAULT 7 CHECK (n > 0))",
        "CREATE TABLE c (id integer PRIMARY KEY, of integer REFERENCES p (id) ON DELETE CASCADE)",
        "CREATE INDEX by_of ON c (of DESC)",
    ] {
        shop.made(text).await;
    }
    shop.write(rows("INSERT INTO p VALUES (1), (2)"))
        .await
        .unwrap();
    shop.write(rows("INSERT INTO c VALUES (1, 1), (2, 2)"))
        .await
        .unwrap();
    let second = begin(&shop).await;
    let (_folder, third) = shadow(&*shop.core, &shop.home).await;
    for change in [
        both(
            "ALTER TABLE p RENAME TO parent",
            "ALTER TABLE p RENAME TO parent",
        ),
        both(
            "CREATE TABLE d (id integer PRIMARY KEY, of integer REFERENCES parent (id))",
            "CREATE TABLE d (id INT4 NOT NULL, of INT4, PRIMARY KEY (id))",
        ),
    ] {
        shop.write(change).await.unwrap();
    }
    // What a key has done on the core is not done a second time.
    shop.write(rows("DELETE FROM parent WHERE id = 1"))
        .await
        .unwrap();
    second.is_the_same(&shop).await;
    let of_core = shop.core.describe().await.unwrap();
    second.shadow.retire();
    second.shadow.promote().await.unwrap();
    let epoch = Epoch::new(9);
    promote(&second.path, epoch).unwrap();
    let name = second.name();
    let server = second.servers.of(&DataEngine::Postgresql).unwrap().unwrap();
    let core = server.shadows().unwrap();
    let core = core
        .open_named(&name, &second.path, LogBounds::default())
        .unwrap();
    assert_eq!(core.describe().await.unwrap().tables, of_core.tables);
    let write = async |text: &str| core.write(rows(text), Limits::default()).await;
    for (refused, state) in [
        ("INSERT INTO c VALUES (9, 77)", "23503"),
        ("INSERT INTO d VALUES (9, 77)", "23503"),
        ("INSERT INTO parent VALUES (9, -1)", "23514"),
    ] {
        assert_eq!(write(refused).await.unwrap_err().sql_state(), state);
    }
    write("INSERT INTO parent (id) VALUES (3)").await.unwrap();
    let last = write("DELETE FROM parent WHERE id = 2").await.unwrap();
    // Another shadow goes on with the log of the new core, where it was.
    while third.position().position < last.position {
        let told = third.history().await.unwrap();
        match core.pull(told, 64 * 1024).await.unwrap() {
            Pulled::Entries(entries) => drop(third.apply(entries).await.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    let sums = core.sums(3, None, None).await.unwrap();
    assert_eq!(sums.position, third.position().position);
    let own = third.sums_same(sums.clone()).await.unwrap();
    assert_eq!(differing(&sums, &own), Some(Vec::new()));
    let seen = third.read(reading("SELECT id, n FROM parent"), Limits::default());
    let seen = seen.await.unwrap().collect().await.unwrap();
    assert_eq!(seen, [[Value::Int8(3), Value::Int8(7)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replaced_core_had_committed_last_is_brought_into_its_log() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    shop.core.snapshot(&shop.home).await.unwrap();
    shop.write(rows("INSERT INTO t VALUES (1)")).await.unwrap();
    let file = shop.home.database().unwrap().unwrap();
    let before = crate::data::engine::sqlite::state_at(&file).unwrap().last;
    // Its Host is gone, and what was under way is committed.
    shop.core.retire();
    let name = name_of(shop.database);
    shop.server.script(&name, "INSERT INTO t VALUES (2)");
    let shadows = shop.pg.shadows().unwrap();
    shadows.finish_log(&name, &file).await.unwrap();
    let after = crate::data::engine::sqlite::state_at(&file).unwrap().last;
    assert_eq!(after.position, before.position.next());
    // Without the server's log it is said that something may be missing.
    let gone = format!("SELECT pg_drop_replication_slot('{name}')");
    shop.server.script("postgres", &gone);
    shop.server.script(&name, "INSERT INTO t VALUES (3)");
    let lost = shadows.finish_log(&name, &file).await.unwrap_err();
    assert!(matches!(lost, EngineError::Damaged { .. }), "{lost}");
}

#[tokio::test]
async fn a_mirror_without_the_servers_words_is_made_anew_once() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let snapshot = async || {
        shop.core.snapshot(&shop.home).await.unwrap();
        shop.home.database().unwrap().unwrap()
    };
    let first = snapshot().await;
    assert_eq!(snapshot().await, first);
    // One that an older version has begun has none.
    let file = open(&first, FilePurpose::Shadow, &Arc::default()).unwrap();
    whole_put(&file, None).unwrap();
    drop(file);
    let second = snapshot().await;
    assert_ne!(second, first);
    let file = open(&second, FilePurpose::Reader, &Arc::default()).unwrap();
    let whole = whole_of(&file, &DataEngine::Postgresql).unwrap().unwrap();
    assert_eq!(whole.tables.len(), 1);
    assert_eq!(snapshot().await, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_kept_with_their_definitions_on_core_and_shadows() {
    let shop = Shop::open().await;
    let create = schema("CREATE VIEW seen (definition) AS SELECT CAST('its one' AS text)");
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
        "CREATE OR REPLACE VIEW seen (definition) AS SELECT CAST('it''s other' AS text)",
        "DROP VIEW seen; CREATE VIEW seen (definition) AS SELECT 'it''s other'",
    );
    let replaced = shop.write(replace).await.unwrap();
    let views = follow_both(replaced.position).await;
    assert_eq!(views, [("seen".to_owned(), "it's other".to_owned())]);
    second.is_the_same(&shop).await;
    let dropped = shop
        .write(both("DROP VIEW seen", "DROP VIEW seen"))
        .await
        .unwrap();
    assert!(follow_both(dropped.position).await.is_empty());
}
