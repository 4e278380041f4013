//! Databases as real processes: an Element, the Host of a core, the Host of a shadow.

use std::{fs, time::Duration};

use gridmart_schemas::{data::Value, resource::enumeration::ReplicaRole, wire::data::ReadFrom};
use gridmart_sdk::Error;
use gridmart_tests::{LONG, Supermarket, wait_for};
use serde_json::json;

use crate::{objects::run, person};

/// Lines that are written while the Host of the core is killed.
const LINES: i32 = 60;
/// How often it is killed meanwhile.
const KILLS: i32 = 3;

fn sql_state(error: &Error) -> String {
    match error {
        Error::Statement(fault) => fault.state.clone(),
        other => panic!("{other} is no fault of a statement"),
    }
}

/// Makes a database once the Hosts have come, and gives the role of its core's Host.
#[track_caller]
pub(crate) fn made(market: &Supermarket, name: &str, shadows: &str) -> String {
    let made: serde_json::Value = wait_for(LONG, "a database is made", || {
        let words = ["--json", "db", "create", name, "--shadows", shadows];
        let run = market.cli(&words);
        if run.code == 0 {
            Ok(run.json())
        } else {
            Err(run.stderr)
        }
    });
    let replicas = made["database"]["replicas"]["replicas"].as_array();
    let core = replicas
        .into_iter()
        .flatten()
        .find(|one| one["role"] == "core");
    let core = core.expect("there is a core")["host"]
        .as_str()
        .unwrap_or("");
    let core = core.trim_start_matches("urn:uuid:").to_owned();
    let mut names = ["data-1", "data-2"].into_iter();
    let found = names.find(|role| market.role_node(role) == core);
    found.expect("it is one of the Hosts").to_owned()
}

pub(crate) fn fill(market: &Supermarket) {
    let script = "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, branch text, \
                  pay numeric(10,2), born date, note jsonb DEFAULT '{\"b\":1,\"a\":2}');\n\
                  INSERT INTO people (id, name, branch, pay, born) VALUES\n\
                  (1, 'ada', 'north', 5200.50, '1815-12-10'), (2, 'bob', 'south', 3100, NULL),\n\
                  (3, 'eve', 'north', 12345678.90, '0001-01-01');\n\
                  CREATE TABLE secrets (id int PRIMARY KEY, word text);\n\
                  INSERT INTO secrets VALUES (1, 'hunter2');\n";
    market.cli_with(&["sql", "shop"], script).ok();
    let broken = json!([{"who": "ALL", "table": "people", "rows": "no_column = 1"}]);
    let file = market.scratch().join("broken.json");
    fs::write(&file, broken.to_string()).expect("a file can be written");
    let file = file.display().to_string();
    let refused = market.cli(&["db", "rules", "shop", "--file", &file]);
    refused.exits(2).says("no_column");
    let rules = json!([{
        "who": "user:bob",
        "operations": ["read"],
        "table": "people",
        "columns": [{"name": "pay", "mask": "round(pay, -3)::numeric(10,2)"}, {"name": "note"}],
        "rows": "name = current_user OR branch = 'north'",
    }, {
        "who": "user:bob",
        "table": "rich",
    }, {
        "who": "user:eve",
        "table": "people",
        "rows": "branch = 'north'",
    }]);
    let file = market.scratch().join("rules.json");
    fs::write(&file, rules.to_string()).expect("a file can be written");
    let file = file.display().to_string();
    market.cli(&["db", "rules", "shop", "--file", &file]).ok();
}

/// What two people with different rules see, and may do.
pub(crate) fn people_see_what_rules_show(market: &Supermarket) -> [String; 2] {
    let (bob, eve) = (person(market, "bob", "user"), person(market, "eve", "user"));
    let ask = "SELECT id, name, pay FROM people ORDER BY pay DESC, id";
    let all = market
        .cli(&["sql", "shop", ask, "--csv", "--read", "core"])
        .ok()
        .text();
    assert_eq!(
        all,
        "id,name,pay\n3,eve,12345678.90\n1,ada,5200.50\n2,bob,3100.00"
    );
    let seen = |token: &str, words: &[&str]| {
        let words = [&["sql", "shop"], words, &["--csv", "--read", "core"]].concat();
        market.cli_as(token, &words)
    };
    // A mask and a condition; what is sorted is the mask.
    let bobs = seen(&bob, &[ask]).ok().text();
    assert_eq!(
        bobs,
        "id,name,pay\n3,eve,12346000.00\n1,ada,5000.00\n2,bob,3000.00"
    );
    let eves = seen(&eve, &[ask]).ok().text();
    assert_eq!(eves, "id,name,pay\n3,eve,12345678.90\n1,ada,5200.50");
    let star = seen(&bob, &["SELECT * FROM people WHERE id = 2"])
        .ok()
        .text();
    assert_eq!(star, "id,name,branch,pay,born\n2,bob,south,3000.00,");
    let default = seen(&eve, &["SELECT note FROM people WHERE id = 1"])
        .ok()
        .text();
    assert_eq!(default, "note\n\"{\"\"a\"\": 2, \"\"b\"\": 1}\"");
    for (token, statement, state) in [
        (&bob, "SELECT * FROM secrets", "42P01"),
        (&bob, "SELECT name FROM people WHERE note IS NULL", "42703"),
        (&bob, "UPDATE people SET name = 'x'", "42501"),
        (&bob, "DROP TABLE people", "42501"),
        (&eve, "SELECT * FROM sqlite_master", "42P01"),
        (&eve, "SELECT * FROM gridmart_log", "42P01"),
        (&eve, "BEGIN", "0A000"),
    ] {
        seen(token, &[statement]).exits(1).says(state);
    }
    // A writer changes what the rules show, and nothing leaves their sight.
    let raise = "UPDATE people SET pay = pay + 1 WHERE id IN (2, 3)";
    let run = market.cli_as(&eve, &["sql", "shop", raise]).ok();
    assert!(run.stderr.contains("UPDATE 1"), "{}", run.stderr);
    let move_away = "UPDATE people SET branch = 'south' WHERE id = 3";
    seen(&eve, &[move_away]).exits(1).says("44000");
    let mallory = person(market, "mallory", "user");
    seen(&mallory, &["SELECT 1"])
        .exits(3)
        .says("not-authorized");
    let hidden: serde_json::Value = market
        .cli_as(&bob, &["--json", "db", "show", "shop"])
        .ok()
        .json();
    assert_eq!(
        hidden["database"]["access"],
        json!({}),
        "rules are the owner's to know"
    );
    [bob, eve]
}

/// A view shows each reader what their rules leave of what it reads; it stays what it is.
pub(crate) fn views_are_bound_for_who_reads(market: &Supermarket, bob: &str, eve: &str) {
    let owned = |statement: &str| market.cli(&["sql", "shop", statement]);
    owned("CREATE VIEW rich AS SELECT name FROM people WHERE pay > 3000").ok();
    owned("CREATE OR REPLACE VIEW rich AS SELECT name, pay FROM people WHERE pay > 3000").ok();
    let ask = "SELECT * FROM rich ORDER BY name";
    let seen = |token: &str, text: &str| {
        market.cli_as(token, &["sql", "shop", text, "--csv", "--read", "core"])
    };
    let all = seen(&market.token, ask).ok().text();
    assert_eq!(all, "name,pay\nada,5200.50\nbob,3100.00\neve,12345679.90");
    let bobs = seen(bob, ask).ok().text();
    assert_eq!(bobs, "name,pay\nada,5000.00\neve,12346000.00");
    seen(eve, ask).exits(1).says("42P01");
    for (statement, state) in [
        ("INSERT INTO rich VALUES ('zoe', 1)", "0A000"),
        ("DROP TABLE people", "2BP01"),
        ("ALTER TABLE people RENAME COLUMN pay TO wage", "0A000"),
        (
            "CREATE OR REPLACE VIEW rich AS SELECT id FROM people",
            "42P16",
        ),
    ] {
        owned(statement).exits(1).says(state);
    }
    owned("CREATE VIEW gone AS SELECT 1 AS one").ok();
    owned("DROP VIEW gone").ok();
    owned("SELECT * FROM gone").exits(1).says("42P01");
    wait_for(LONG, "a shadow has the view", || {
        let run = market.cli(&["sql", "shop", ask, "--csv", "--read", "shadow"]);
        if run.code == 0 && run.text() == all {
            Ok(())
        } else {
            Err(format!("{} {}", run.text(), run.stderr))
        }
    });
}

/// The core's Host is killed between writes that were acknowledged.
pub(crate) fn acknowledged_writes_outlive_kills(market: &Supermarket, core: &str) {
    let client = market.client();
    run(async {
        let data = client.data();
        let create = "CREATE TABLE lines (id int PRIMARY KEY, word text NOT NULL)";
        data.execute("shop", create, &[]).await.unwrap();
        let mut acknowledged = Vec::new();
        for id in 0..LINES {
            if id % (LINES / KILLS) == LINES / KILLS / 2 {
                market.kill9(core);
            }
            let values = [Value::Int4(id), Value::Text(format!("line {id} 🛒"))];
            let insert = "INSERT INTO lines VALUES ($1, $2)";
            match data.execute("shop", insert, &values).await {
                Ok(done) => {
                    assert_eq!((done.tag.as_str(), done.rows_changed), ("INSERT", Some(1)));
                    acknowledged.push(id);
                }
                // It may be there, or not.
                Err(error) => assert_eq!(sql_state(&error), "08007", "{error}"),
            }
        }
        assert!(acknowledged.len() > usize::try_from(LINES - 2 * KILLS).unwrap());
        let rows = data
            .query("shop", "SELECT id, word FROM lines ORDER BY id", &[])
            .await
            .unwrap();
        let rows = rows.collect().await.unwrap();
        let found: Vec<i32> = rows
            .iter()
            .map(|row| match &row[..] {
                [Value::Int4(id), Value::Text(word)] => {
                    assert_eq!(*word, format!("line {id} 🛒"));
                    *id
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(
            acknowledged.iter().all(|id| found.contains(id)),
            "{found:?}"
        );
        client.close().await;
    });
}

/// The shadow has what the core has, and answers; also while the core is away.
pub(crate) fn a_shadow_follows(market: &Supermarket, core: &str) {
    let client = market.client();
    let shadow = if core == "data-1" { "data-2" } else { "data-1" };
    run(async {
        let data = client.data();
        let count = "SELECT count(*), max(word) FROM lines";
        let on_core = data.clone().reading(ReadFrom::Core);
        let expected = on_core
            .query("shop", count, &[])
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        let insert = "INSERT INTO lines VALUES (1000, 'zz')";
        let written = data.execute("shop", insert, &[]).await.unwrap().position;
        market.kill9(shadow);
        let on_shadow = data.clone().reading(ReadFrom::Shadow);
        let mut seen = None;
        let deadline = tokio::time::Instant::now() + LONG;
        while seen.is_none() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the shadow does not follow"
            );
            match on_shadow.query("shop", count, &[]).await {
                Ok(rows) => {
                    let ran_on = rows.executed().ran_on.unwrap();
                    assert_eq!(ran_on.1, ReplicaRole::Shadow);
                    assert_eq!(ran_on.0.to_string(), market.role_node(shadow));
                    assert!(
                        rows.executed().position >= written,
                        "it reads its own writes"
                    );
                    seen = Some(rows.collect().await.unwrap());
                }
                Err(error) if error.retryable() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let seen = seen.unwrap();
        let (Value::Int8(before), Value::Int8(after)) = (&expected[0][0], &seen[0][0]) else {
            panic!("{expected:?} {seen:?}");
        };
        assert_eq!(before + 1, *after);
        assert_eq!(seen[0][1], Value::Text("zz".to_owned()));
        // With the core's Host stopped, reads go on and writes wait for it.
        market.cli(&["stop", core]).ok();
        let rows = data.query("shop", count, &[]).await.unwrap();
        assert_eq!(rows.executed().ran_on.unwrap().1, ReplicaRole::Shadow);
        let refused = data
            .execute("shop", "DELETE FROM lines", &[])
            .await
            .unwrap_err();
        assert!(refused.retryable(), "{refused}");
        market.cli(&["start", core]).ok();
        let large = "INSERT INTO lines SELECT a.id * 100 + b.id + 10000, repeat(a.word, 40) \
                     FROM lines a, lines b WHERE a.id < 50 AND b.id < 50";
        let done = data.execute("shop", large, &[]).await.unwrap();
        let whole = "SELECT * FROM lines";
        let mut begun = data.query("shop", whole, &[]).await.unwrap();
        assert!(begun.next().await.unwrap().is_some());
        // The rest is wanted by nobody.
        drop(begun);
        market.kill9("de-1");
        let rows = data.query("shop", whole, &[]).await.unwrap();
        let rows = rows.collect().await.unwrap();
        let all = u64::try_from(rows.len()).unwrap();
        assert_eq!(
            all,
            done.rows_changed.unwrap() + u64::try_from(*after).unwrap()
        );
        client.close().await;
    });
}

/// A row, and a transaction, that no message has room for.
fn what_is_large_arrives_on_the_shadow(market: &Supermarket) {
    let client = market.client();
    run(async {
        let data = client.data();
        for statement in [
            "CREATE TABLE wide (id int PRIMARY KEY, body text NOT NULL)",
            "INSERT INTO wide VALUES (1, repeat('0123456789', 1200000))",
            "INSERT INTO wide SELECT a.id * 100 + b.id + 2, repeat('abcdefghij', 400) \
             FROM lines a, lines b WHERE a.id < 50 AND b.id < 50",
        ] {
            data.execute("shop", statement, &[]).await.unwrap();
        }
        let count = "SELECT count(*), sum(length(body)) FROM wide";
        let on_core = data.clone().reading(ReadFrom::Core);
        let expected = on_core.query("shop", count, &[]).await.unwrap();
        let expected = expected.collect().await.unwrap();
        assert!(
            matches!(expected[0][1], Value::Int8(bytes) if bytes > 20_000_000),
            "{expected:?}"
        );
        let on_shadow = data.reading(ReadFrom::Shadow);
        let deadline = tokio::time::Instant::now() + LONG;
        let seen = loop {
            match on_shadow.query("shop", count, &[]).await {
                Ok(rows) => break rows.collect().await.unwrap(),
                Err(error) => assert!(error.retryable(), "{error}"),
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not arrive");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(seen, expected);
        client.close().await;
    });
}

#[test]
fn a_database_keeps_what_it_acknowledged_and_shows_what_its_rules_allow() {
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(2)
        .restarting()
        .start();
    let core = made(&market, "shop", "1");
    market
        .cli(&["db", "create", "shop"])
        .exits(3)
        .says("already-exists");
    fill(&market);
    let [bob, eve] = people_see_what_rules_show(&market);
    views_are_bound_for_who_reads(&market, &bob, &eve);
    acknowledged_writes_outlive_kills(&market, &core);
    a_shadow_follows(&market, &core);
    what_is_large_arrives_on_the_shadow(&market);
    let document = fs::read_to_string(market.folder().join("de-1/DEDoc.xml"));
    let document = document.expect("the Element keeps its document");
    assert!(document.contains("<Name>shop</Name>"), "{document}");
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(
        shown.contains("core on") && shown.contains("shadow on"),
        "{shown}"
    );
    market.cli(&["db", "delete", "shop"]).ok();
    market.cli(&["sql", "shop", "SELECT 1"]).exits(4);
    market.stop();
}
