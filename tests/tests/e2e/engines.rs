//! Databases on a server beside the Host, as real processes: used as any other, while the
//! server and the Host are lost and come back.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use gridmart_fabric::test_server::PostgresServer;
use gridmart_schemas::{data::Value, wire::data::ReadFrom};
use gridmart_sdk::Error;
use gridmart_tests::{LONG, Supermarket, wait_for};

use crate::{
    data::{a_shadow_follows, acknowledged_writes_outlive_kills, fill, people_see_what_rules_show},
    objects::run,
    postgres::{Key, first_key},
};

/// Rows that are written while the server crashes.
const LINES: i32 = 40;
/// When it does.
const CRASHES: [i32; 2] = [10, 25];

/// A file that tells where the server is.
pub(crate) fn url_file(folder: &tempfile::TempDir, url: &str) -> PathBuf {
    let path = folder.path().join("server");
    fs::write(&path, url).expect("a file can be written");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&path, mode).expect("its rights can be set");
    path
}

/// Makes a database with a shadow on SQLite once the Hosts have come; gives its id at the
/// server, and the role of its core's Host.
#[track_caller]
pub(crate) fn made(market: &Supermarket, name: &str, engine: &str) -> (String, &'static str) {
    let words = ["--json", "db", "create", name, "--engine", engine];
    let words = [&words[..], &["--shadows", "1", "--shadow-engine", "sqlite"]].concat();
    let made: serde_json::Value = wait_for(LONG, "a database is made", || {
        let run = market.cli(&words);
        (run.code == 0).then(|| run.json()).ok_or(run.stderr)
    });
    let id = made["id"].as_str().expect("it has an id").replace('-', "");
    let replicas = made["database"]["replicas"]["replicas"].as_array();
    let mut replicas = replicas.into_iter().flatten();
    let core = replicas.find(|one| one["role"] == "core");
    let core = core.expect("there is a core")["host"].as_str();
    let core = core.unwrap_or_default().trim_start_matches("urn:uuid:");
    let mut roles = ["data-1", "data-2"].into_iter();
    let role = roles.find(|role| market.role_node(role) == core);
    (id, role.expect("it is one of the Hosts"))
}

/// The shadow on SQLite shows people what rules show, is what its core is, and never the
/// core.
pub(crate) fn the_shadow_is_on_sqlite(market: &Supermarket) {
    let ask = "SELECT id, name, pay FROM people ORDER BY pay DESC, id";
    let expected = market
        .cli(&["sql", "shop", ask, "--csv", "--read", "core"])
        .ok()
        .text();
    let eve = market.cli(&["token", "api", "create", "--person", "eve"]);
    let eve = eve.ok().text();
    wait_for(LONG, "the shadow answers", || {
        let run = market.cli(&["sql", "shop", ask, "--csv", "--read", "shadow"]);
        (run.code == 0 && run.text() == expected)
            .then_some(())
            .ok_or_else(|| format!("{} {}", run.text(), run.stderr))
    });
    let seen = |read| {
        let words = ["sql", "shop", ask, "--csv", "--read", read];
        market.cli_as(&eve, &words).ok().text()
    };
    assert_eq!(seen("shadow"), seen("core"));
    assert_eq!(seen("core").lines().count(), 3, "{}", seen("core"));
    wait_for(LONG, "the shadow is what the core is", || {
        let run = market.cli(&["shadow", "check", "shop"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    market
        .cli(&["shadow", "promote", "shop"])
        .exits(3)
        .says("it is on sqlite");
}

/// Statements, a transaction and the catalog through psql.
fn psql_takes_it_for_postgresql(owner: &Key) {
    let block = "BEGIN;\n\
                 UPDATE people SET pay = 1 WHERE id = 1;\n\
                 SAVEPOINT a;\n\
                 DELETE FROM people;\n\
                 SELECT 1/0;\n\
                 SELECT count(*) FROM people;\n\
                 ROLLBACK TO a;\n\
                 CREATE TABLE inside (id int PRIMARY KEY, n numeric(38,10));\n\
                 INSERT INTO inside VALUES (7, 9999999999999999999999999999.9999999999);\n\
                 SELECT * FROM inside;\n\
                 SELECT pay FROM people WHERE id = 1;\n\
                 ROLLBACK;\n\
                 SELECT pay FROM people WHERE id = 1;\n";
    let told = owner.psql("shop", block);
    let states = ["22012", "25P02"].map(|state| told.stderr.contains(state));
    assert_eq!(states, [true; 2], "{}", told.stderr);
    let words = [
        "BEGIN",
        "UPDATE 1",
        "SAVEPOINT",
        "DELETE 3",
        "ROLLBACK",
        "CREATE TABLE",
        "INSERT 0 1",
        "7|9999999999999999999999999999.9999999999",
        "1.00",
        "ROLLBACK",
        "5200.50",
    ];
    assert_eq!(told.text(), words.join("\n"));
    let strict = "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT count(*) FROM people;\n\
                  INSERT INTO people VALUES (4, 'zoe', NULL, NULL, NULL, NULL);\nCOMMIT;\n\
                  SELECT name FROM people WHERE id = 4;\nDELETE FROM people WHERE id = 4;\n";
    let told = owner.psql("shop", strict).ok().text();
    assert_eq!(told, "BEGIN\n3\nINSERT 0 1\nCOMMIT\nzoe\nDELETE 1");
    let described = owner.psql("shop", "\\d people\n").ok().text();
    assert!(described.contains("pay|numeric(10,2)"), "{described}");
    assert!(!described.contains("gridmart"), "{described}");
    let values = "SELECT n FROM (VALUES (1), (2)) t (n) EXCEPT SELECT 1;\n";
    assert_eq!(owner.psql("shop", values).ok().text(), "2");
}

/// The server crashes between and within writes that are acknowledged; the shadow has them
/// all at the end.
pub(crate) fn what_was_acknowledged_outlives_the_server(
    market: &Supermarket,
    crash: impl Fn(),
    resume: impl Fn(),
) {
    let client = market.client();
    run(async {
        let data = client.data();
        data.execute("shop", "CREATE TABLE steps (id int PRIMARY KEY)", &[])
            .await
            .unwrap();
        let mut acknowledged = Vec::new();
        for id in 0..LINES {
            if CRASHES.contains(&id) {
                crash();
                if id == CRASHES[0] {
                    let refused = data.execute("shop", "DELETE FROM steps", &[]).await;
                    let refused = refused.unwrap_err();
                    assert!(refused.retryable(), "{refused}");
                }
                resume();
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
        let count = "SELECT count(*) FROM steps";
        let on_shadow = data.clone().reading(ReadFrom::Shadow);
        let whole = vec![vec![Value::Int8(i64::try_from(rows.len()).unwrap())]];
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            let seen = on_shadow.query("shop", count, &[]).await;
            let seen = match seen {
                Ok(seen) => seen.collect().await,
                Err(error) => Err(error),
            };
            if seen.as_ref().is_ok_and(|seen| *seen == whole) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{seen:?} {whole:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(acknowledged.len() >= 30, "{acknowledged:?}");
        client.close().await;
    });
}

#[test]
fn a_database_on_postgresql_is_used_as_any_other_and_outlives_losses() {
    let server = PostgresServer::start_with_account();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(2)
        .restarting()
        .variable(
            "GRIDMART_DATA_SERVERS",
            url_file(&folder, &server.url("gridmart")),
        )
        .start();
    let (id, core) = made(&market, "shop", "postgresql");
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(shown.contains("postgresql"), "{shown}");
    let words = ["db", "create", "other", "--engine"];
    market
        .cli(&[&words[..], &["mariadb"]].concat())
        .exits(3)
        .says("need-unmet");
    market
        .cli(&[&words[..], &["postgresql", "--shadows", "2"]].concat())
        .exits(3)
        .says("need 3 data Hosts");
    let script = market.scratch().join("import.sql");
    let text = "CREATE TABLE brought (id int PRIMARY KEY, word text);\n\
                INSERT INTO brought VALUES (1, 'a;b'), (2, NULL);\n";
    fs::write(&script, text).expect("a file can be written");
    let script = script.display().to_string();
    market.cli(&["db", "import", "shop", &script]).ok();
    fill(&market);
    people_see_what_rules_show(&market);
    let owner = first_key(&market);
    market
        .cli(&[
            "sql",
            "shop",
            "UPDATE people SET pay = 5200.50 WHERE id = 1",
        ])
        .ok();
    psql_takes_it_for_postgresql(&owner);
    the_shadow_is_on_sqlite(&market);
    acknowledged_writes_outlive_kills(&market, core);
    a_shadow_follows(&market, core);
    what_was_acknowledged_outlives_the_server(&market, || server.crash(), || server.resume());
    let databases = || server.script("postgres", "SELECT datname FROM pg_database");
    assert!(databases().contains(&id), "{}", databases());
    // While the server is away, the Host says so, and what is to go waits.
    server.crash();
    wait_for(LONG, "the Host says what it lacks", || {
        let shown = market.cli(&["show", core]).ok().text();
        shown.contains("PostgreSQL").then_some(()).ok_or(shown)
    });
    market.cli(&["db", "delete", "shop"]).ok();
    server.resume();
    wait_for(LONG, "the database is gone", || {
        let databases = databases();
        (!databases.contains(&id)).then_some(()).ok_or(databases)
    });
    market.stop();
}
