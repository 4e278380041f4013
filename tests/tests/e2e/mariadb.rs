//! Databases on a MariaDB server beside the Host, as real processes: used as any other,
//! while the server and the Host are lost and come back.

use gridmart_fabric::test_mariadb::MariaDbServer;
use gridmart_tests::{LONG, Supermarket, wait_for};

use crate::{
    data::{a_shadow_follows, acknowledged_writes_outlive_kills, fill, people_see_what_rules_show},
    engines::{made, the_shadow_is_on_sqlite, url_file, what_was_acknowledged_outlives_the_server},
    postgres::{Key, first_key},
};

/// Statements, a transaction and the catalog through psql.
fn psql_takes_it_for_postgresql(owner: &Key) {
    let block = "CREATE TABLE inside (id int PRIMARY KEY, n numeric(38,10), any_scale numeric, at timestamptz DEFAULT '2024-05-06 07:08:09.5+02');\n\
                 BEGIN;\n\
                 UPDATE people SET pay = 1 WHERE id = 1;\n\
                 SAVEPOINT a;\n\
                 DELETE FROM people;\n\
                 SELECT 1/0;\n\
                 SELECT count(*) FROM people;\n\
                 ROLLBACK TO a;\n\
                 INSERT INTO inside VALUES (7, 9999999999999999999999999999.9999999999, '1.50');\n\
                 SELECT * FROM inside;\n\
                 SELECT pay FROM people WHERE id = 1;\n\
                 ROLLBACK;\n\
                 SELECT pay FROM people WHERE id = 1;\n\
                 BEGIN;\n\
                 CREATE TABLE never (id int PRIMARY KEY);\n\
                 ROLLBACK;\n\
                 SELECT avg(id) FROM people;\n\
                 DROP TABLE inside;\n";
    let told = owner.psql("shop", block);
    let states = ["22012", "25P02", "0A000"].map(|state| told.stderr.contains(state));
    assert_eq!(states, [true; 3], "{}", told.stderr);
    let words = [
        "CREATE TABLE",
        "BEGIN",
        "UPDATE 1",
        "SAVEPOINT",
        "DELETE 3",
        "ROLLBACK",
        "INSERT 0 1",
        "7|9999999999999999999999999999.9999999999|1.50|2024-05-06 05:08:09.5+00",
        "1.00",
        "ROLLBACK",
        "5200.50",
        "BEGIN",
        "ROLLBACK",
        "2.0000000000000000",
        "DROP TABLE",
    ];
    assert_eq!(told.text(), words.join("\n"), "{}", told.stderr);
    let strict = "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT count(*) FROM people;\n\
                  INSERT INTO people VALUES (4, 'zoe', NULL, NULL, NULL, NULL);\nCOMMIT;\n\
                  SELECT name FROM people WHERE id = 4;\nDELETE FROM people WHERE id = 4;\n";
    let told = owner.psql("shop", strict).ok().text();
    assert_eq!(told, "BEGIN\n3\nINSERT 0 1\nCOMMIT\nzoe\nDELETE 1");
    let described = owner.psql("shop", "\\d people\n").ok().text();
    assert!(described.contains("pay|numeric(10,2)"), "{described}");
    let set = "SELECT n FROM (VALUES (1), (2)) t (n) EXCEPT SELECT 1;\n";
    assert_eq!(owner.psql("shop", set).ok().text(), "2");
}

/// What changes tables comes to the shadow in its place, and a shadow comes and goes.
fn the_schema_changes_while_a_shadow_follows(
    market: &Supermarket,
    server: &MariaDbServer,
    core: &str,
) {
    for statement in [
        "ALTER TABLE steps ADD COLUMN word text DEFAULT 'it''s */ new'",
        "CREATE INDEX by_word ON steps (word)",
        "UPDATE steps SET word = 'y' WHERE id = 1",
        "CREATE TABLE far (id bigint PRIMARY KEY, n numeric(20,4), any_scale numeric, at timestamptz)",
        "INSERT INTO far VALUES (1, 1.5, '2.50', '2024-05-06 07:08:09.5+02')",
        "DROP INDEX by_word",
        "ALTER TABLE steps RENAME COLUMN word TO other",
        "DROP TABLE lines",
    ] {
        market.cli(&["sql", "shop", statement]).ok();
    }
    let ask = "SELECT f.*, (SELECT count(*) FROM steps WHERE other = 'y') AS y, \
               (SELECT count(*) > 20 FROM steps WHERE other = 'it''s */ new') AS rest FROM far f";
    let read = |from: &str| market.cli(&["sql", "shop", ask, "--csv", "--read", from]);
    let expected = read("core").ok().text();
    assert!(expected.contains("1.5000,2.50"), "{expected}");
    let is_clean = || {
        wait_for(LONG, "the shadow has it", || {
            let run = read("shadow");
            (run.code == 0 && run.text() == expected)
                .then_some(())
                .ok_or_else(|| format!("{} {}", run.text(), run.stderr))
        });
        wait_for(LONG, "the shadow is what the core is", || {
            let run = market.cli(&["shadow", "check", "shop"]);
            (run.code == 0).then_some(()).ok_or(run.stderr)
        });
    };
    is_clean();
    let shadow = if core == "data-1" { "data-2" } else { "data-1" };
    market.cli(&["shadow", "remove", "shop", shadow]).ok();
    let right = "REPLICATION SLAVE ON *.*";
    server.script("mysql", &format!("REVOKE {right} FROM gridmart@localhost"));
    let told = format!("GRANT {right} TO");
    wait_for(LONG, "the copy is gone, and the right is missed", || {
        let run = market.cli(&["shadow", "add", "shop"]);
        (run.code == 3 && run.stderr.contains(&told))
            .then_some(())
            .ok_or(run.stderr)
    });
    server.script("mysql", &format!("GRANT {right} TO gridmart@localhost"));
    wait_for(LONG, "a shadow is added", || {
        let run = market.cli(&["shadow", "add", "shop"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    is_clean();
}

#[test]
fn a_database_on_mariadb_is_used_as_any_other_and_outlives_losses() {
    let server = MariaDbServer::start_with_log();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(2)
        .restarting()
        .variable("GRIDMART_DATA_SERVERS", url_file(&folder, &server.url()))
        .start();
    let (id, core) = made(&market, "shop", "mariadb");
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(shown.contains("mariadb"), "{shown}");
    fill(&market);
    people_see_what_rules_show(&market);
    let owner = first_key(&market);
    let reset = "UPDATE people SET pay = 5200.50 WHERE id = 1";
    market.cli(&["sql", "shop", reset]).ok();
    psql_takes_it_for_postgresql(&owner);
    the_shadow_is_on_sqlite(&market);
    acknowledged_writes_outlive_kills(&market, core);
    a_shadow_follows(&market, core);
    what_was_acknowledged_outlives_the_server(&market, || server.crash(), || server.resume());
    the_schema_changes_while_a_shadow_follows(&market, &server, core);
    let databases = || server.script("mysql", "SHOW DATABASES");
    assert!(databases().contains(&id), "{}", databases());
    // While the server is away, the Host says so, and what is to go waits.
    server.crash();
    wait_for(LONG, "the Host says what it lacks", || {
        let shown = market.cli(&["show", core]).ok().text();
        shown.contains("MariaDB").then_some(()).ok_or(shown)
    });
    market.cli(&["db", "delete", "shop"]).ok();
    server.resume();
    wait_for(LONG, "the database is gone", || {
        let databases = databases();
        (!databases.contains(&id)).then_some(()).ok_or(databases)
    });
    market.stop();
}
