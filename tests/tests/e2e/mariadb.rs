//! Databases on a MariaDB server beside the Host, as real processes: used as any other,
//! while the server and the Host are lost and come back.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use gridmart_fabric::test_mariadb::MariaDbServer;
use gridmart_schemas::data::Value;
use gridmart_sdk::Error;
use gridmart_tests::{LONG, Supermarket, wait_for};

use crate::{
    data::{acknowledged_writes_outlive_kills, fill, people_see_what_rules_show},
    objects::run,
    postgres::{Key, first_key},
};

/// Rows that are written while the server crashes.
const LINES: i32 = 40;
/// When it does.
const CRASHES: [i32; 2] = [10, 25];

/// A file that tells where the server is.
fn url_file(folder: &tempfile::TempDir, server: &MariaDbServer) -> PathBuf {
    let path = folder.path().join("server");
    fs::write(&path, server.url()).expect("a file can be written");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&path, mode).expect("its rights can be set");
    path
}

/// Makes a database once the Host has come; gives its name at the server.
#[track_caller]
fn made(market: &Supermarket, name: &str, server: &MariaDbServer) -> String {
    wait_for(LONG, "a database is made", || {
        let words = ["db", "create", name, "--engine", "mariadb"];
        let run = market.cli(&words);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let there = server.script("mysql", "SHOW DATABASES LIKE 'gridmart%'");
    there.trim().to_owned()
}

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

/// The server crashes between and within writes that are acknowledged.
fn what_was_acknowledged_outlives_the_server(market: &Supermarket, server: &MariaDbServer) {
    let client = market.client();
    run(async {
        let data = client.data();
        data.execute("shop", "CREATE TABLE steps (id int PRIMARY KEY)", &[])
            .await
            .unwrap();
        let mut acknowledged = Vec::new();
        for id in 0..LINES {
            if CRASHES.contains(&id) {
                server.crash();
                let refused = data.execute("shop", "DELETE FROM steps", &[]).await;
                let refused = refused.unwrap_err();
                assert!(refused.retryable(), "{refused}");
                server.resume();
            }
            let insert = "INSERT INTO steps VALUES ($1)";
            loop {
                match data.execute("shop", insert, &[Value::Int4(id)]).await {
                    Ok(_) => break acknowledged.push(i64::from(id)),
                    Err(error) if error.retryable() => {}
                    // It may be there, or not.
                    Err(Error::Statement(fault)) if fault.state == "08007" => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let rows = data
            .query("shop", "SELECT id::bigint FROM steps", &[])
            .await;
        let rows = rows.unwrap().collect().await.unwrap();
        let has = |id: &i64| rows.contains(&vec![Value::Int8(*id)]);
        assert!(acknowledged.iter().all(has), "{acknowledged:?} {rows:?}");
        assert!(acknowledged.len() >= 30, "{acknowledged:?}");
        client.close().await;
    });
}

#[test]
fn a_database_on_mariadb_is_used_as_any_other_and_outlives_losses() {
    let server = MariaDbServer::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(1)
        .restarting()
        .variable("GRIDMART_DATA_SERVERS", url_file(&folder, &server))
        .start();
    let there = made(&market, "shop", &server);
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(shown.contains("mariadb"), "{shown}");
    let words = [
        "db",
        "create",
        "other",
        "--engine",
        "mariadb",
        "--shadows",
        "1",
    ];
    market.cli(&words).exits(3).says("has no shadows");
    market
        .cli(&["shadow", "add", "shop"])
        .exits(3)
        .says("has no shadows");
    fill(&market);
    people_see_what_rules_show(&market);
    let owner = first_key(&market);
    let reset = "UPDATE people SET pay = 5200.50 WHERE id = 1";
    market.cli(&["sql", "shop", reset]).ok();
    psql_takes_it_for_postgresql(&owner);
    acknowledged_writes_outlive_kills(&market, "data-1");
    what_was_acknowledged_outlives_the_server(&market, &server);
    let databases = || server.script("mysql", "SHOW DATABASES");
    assert!(databases().contains(&there), "{}", databases());
    // While the server is away, the Host says so, and what is to go waits.
    server.crash();
    wait_for(LONG, "the Host says what it lacks", || {
        let shown = market.cli(&["show", "data-1"]).ok().text();
        shown.contains("MariaDB").then_some(()).ok_or(shown)
    });
    market.cli(&["db", "delete", "shop"]).ok();
    server.resume();
    wait_for(LONG, "the database is gone", || {
        let databases = databases();
        (!databases.contains(&there)).then_some(()).ok_or(databases)
    });
    market.stop();
}
