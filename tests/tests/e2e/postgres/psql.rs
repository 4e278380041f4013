//! psql at the door: statements, transactions, rules, who is let in.

use std::fs;

use gridmart_tests::{LONG, Supermarket, wait_for};
use serde_json::json;

use super::{Key, first_key, with_shop};
use crate::person;

fn fill(owner: &Key) {
    let script = "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, branch text, \
                  pay numeric(10,2), born timestamptz);\n\
                  INSERT INTO people VALUES (1, 'ada', 'north', 5200.50, '1815-12-10'), \
                  (2, 'bob', 'south', 3100, NULL), (3, 'eve', 'north', 0.10, NULL);\n\
                  CREATE TABLE secrets (id int PRIMARY KEY, word text);\n";
    let filled = owner.psql("shop", script).ok().text();
    assert_eq!(filled, "CREATE TABLE\nINSERT 0 3\nCREATE TABLE");
}

fn statements_and_transactions(owner: &Key) {
    let one_text = "SELECT name, pay, born FROM people ORDER BY id\\; SELECT 2;";
    let rows = owner.psql("shop", one_text).ok().text();
    assert_eq!(
        rows,
        "ada|5200.50|1815-12-10 00:00:00+00\nbob|3100.00|\neve|0.10|\n2"
    );
    let block = "BEGIN;\n\
                 UPDATE people SET pay = 1 WHERE id = 1;\n\
                 SAVEPOINT a;\n\
                 DELETE FROM people;\n\
                 SELECT count(*) FROM people;\n\
                 ROLLBACK TO a;\n\
                 SELECT pay FROM people WHERE id = 1;\n\
                 CREATE TABLE inside (id int PRIMARY KEY);\n\
                 INSERT INTO inside VALUES (7);\n\
                 SELECT id FROM inside;\n\
                 ROLLBACK;\n\
                 SELECT pay FROM people WHERE id = 1;\n";
    let told = owner.psql("shop", block).ok().text();
    let words = [
        "BEGIN",
        "UPDATE 1",
        "SAVEPOINT",
        "DELETE 3",
        "0",
        "ROLLBACK",
        "1.00",
        "CREATE TABLE",
        "INSERT 0 1",
        "7",
        "ROLLBACK",
        "5200.50",
    ];
    assert_eq!(told, words.join("\n"));
    let failed = owner.psql(
        "shop",
        "BEGIN;\nSELECT 1/0;\nSELECT 1;\nCOMMIT;\nSELECT 3;\n",
    );
    assert!(failed.stderr.contains("22012"), "{}", failed.stderr);
    assert!(failed.stderr.contains("25P02"), "{}", failed.stderr);
    assert_eq!(failed.text(), "BEGIN\nROLLBACK\n3");
    let read_only = owner.psql("shop", "BEGIN READ ONLY;\nDELETE FROM people;\n");
    assert!(read_only.stderr.contains("25006"), "{}", read_only.stderr);
    // A row that nobody else sees before the end, and everybody at once after it.
    let commit = "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT count(*) FROM people;\n\
                  INSERT INTO people VALUES (4, 'zoe', NULL, NULL, NULL);\nCOMMIT;\n\
                  SELECT name FROM people WHERE id = 4;\nDELETE FROM people WHERE id = 4;\n";
    let told = owner.psql("shop", commit).ok().text();
    assert_eq!(told, "BEGIN\n3\nINSERT 0 1\nCOMMIT\nzoe\nDELETE 1");
}

fn copies_and_settings(owner: &Key) {
    let copy = "COPY (SELECT id, name, pay FROM people ORDER BY id) TO STDOUT (FORMAT csv, HEADER);\n\
                \\copy people (id, born) TO STDOUT\n";
    let told = owner.psql("shop", copy).ok().text();
    let lines = [
        "id,name,pay",
        "1,ada,5200.50",
        "2,bob,3100.00",
        "3,eve,0.10",
        "1\t1815-12-10 00:00:00+00",
        "2\t\\N",
        "3\t\\N",
    ];
    assert_eq!(told, lines.join("\n"));
    let settings = "SET gridmart.read = 'core';\nSHOW gridmart.read;\nSET statement_timeout = '50ms';\n\
                    SELECT count(*) FROM people a, people b, people c, people d, people e, people f, \
                    people g, people h, people i, people j, people k, people l, people m, people n, \
                    people o, people p, people q, people r;\n\
                    RESET ALL;\nSHOW gridmart.read;\nSHOW server_version;\n";
    let run = owner.psql("shop", settings);
    assert!(run.stderr.contains("57014"), "{}", run.stderr);
    let told = run.text();
    assert!(
        told.starts_with("SET\ncore\nSET\nRESET\nfresh\n15.0 (gridmart"),
        "{told}"
    );
}

fn rules_hold_at_the_door(market: &Supermarket, owner: &Key) -> Key {
    let rules = json!([{
        "who": "user:bob",
        "operations": ["read"],
        "table": "people",
        "columns": [{"name": "pay", "mask": "0"}, {"name": "born"}],
        "rows": "name = current_user OR branch = 'north'",
    }]);
    let file = market.scratch().join("rules.json");
    fs::write(&file, rules.to_string()).expect("a file can be written");
    let file = file.display().to_string();
    market.cli(&["db", "rules", "shop", "--file", &file]).ok();
    let token = person(market, "bob", "user");
    let bob = Key::create(market, &token, "de-1");
    let seen = bob.psql(
        "shop",
        "SELECT current_user;\nSELECT * FROM people ORDER BY id;\n",
    );
    let seen = seen.ok().text();
    assert_eq!(seen, "bob\n1|ada|north|0\n2|bob|south|0\n3|eve|north|0");
    for (statement, state) in [
        ("SELECT * FROM secrets;", "42P01"),
        ("SELECT born FROM people;", "42703"),
        ("DELETE FROM people;", "42501"),
        ("COPY secrets TO STDOUT;", "42P01"),
        ("SELECT * FROM sqlite_master;", "42P01"),
    ] {
        let run = bob.psql("shop", statement);
        assert!(run.stderr.contains(state), "{statement}: {}", run.stderr);
    }
    // Not even that there is one: it belongs to somebody else.
    market.cli(&["db", "create", "attic"]).ok();
    let attic = bob.psql("attic", "SELECT 1;");
    assert!(attic.stderr.contains("does not exist"), "{}", attic.stderr);
    owner.psql("attic", "SELECT 1;").ok();
    bob
}

fn who_is_out_is_out(market: &Supermarket, bob: &Key) {
    let mut wrong = bob.command("psql", &["--dbname", "shop", "--command", "SELECT 1"]);
    wrong.env("PGPASSWORD", "wrong");
    let mut unknown = bob.command("psql", &["--dbname", "shop", "--command", "SELECT 1"]);
    unknown.env("PGUSER", "GMNOBODY");
    for command in [wrong, unknown] {
        let run = gridmart_tests::Running::start(command, None).wait();
        assert!(
            run.stderr.contains("password authentication failed"),
            "{}",
            run.stderr
        );
    }
    let log = market.log("de-1");
    assert!(
        log.contains("28P01") && !log.contains(bob.text("secret")),
        "{log}"
    );
    market.cli(&["people", "change", "bob", "--disable"]).ok();
    wait_for(LONG, "a locked person's key is worthless", || {
        let run = bob.psql("shop", "SELECT 1;");
        let is_out = run.stderr.contains("password authentication failed");
        is_out.then_some(()).ok_or(run.stderr)
    });
}

#[test]
fn psql_works_with_a_database_and_sees_what_its_rules_show() {
    let market = with_shop();
    let owner = first_key(&market);
    fill(&owner);
    statements_and_transactions(&owner);
    copies_and_settings(&owner);
    let bob = rules_hold_at_the_door(&market, &owner);
    who_is_out_is_out(&market, &bob);
    let document = fs::read_to_string(market.folder().join("de-1/DEDoc.xml"));
    let document = document.expect("the Element keeps its document");
    assert!(document.contains("<Type>postgresql</Type>"), "{document}");
    market.stop();
}
