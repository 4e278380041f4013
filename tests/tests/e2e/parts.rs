//! A branch that holds a part of a database, with real processes: rows come and leave as
//! its rules say, nothing else is on its disk, also after the rules were narrowed while
//! it was away, and it answers only what a whole copy would answer as well.

use std::{fs, path::Path};

use gridmart_tests::{LONG, Supermarket, wait_for};
use rusqlite::Connection;
use serde_json::json;

use crate::{
    person,
    shadows::{Copies, file, made},
};

const TABLES: &str = "\
CREATE TABLE customer (id bigint PRIMARY KEY, branch text NOT NULL, name text NOT NULL, iban text);
CREATE TABLE branch (name text PRIMARY KEY, city text);
CREATE TABLE wages (id bigint PRIMARY KEY, word text);
INSERT INTO customer VALUES (1, 'Graz', 'ada', 'CANARY-IBAN-1'), (2, 'Linz', 'CANARY-BOB', 'CANARY-IBAN-2'),
  (3, 'Graz', 'VIP-EVE', NULL), (4, 'Graz', 'dan', NULL);
INSERT INTO branch VALUES ('Graz', 'Graz'), ('Linz', 'Linz');
INSERT INTO wages VALUES (1, 'CANARY-WAGES');
";

/// Writes a file of rules.
pub(crate) fn rules(market: &Supermarket, rules: &serde_json::Value) -> String {
    let file = market.scratch().join("rules.json");
    fs::write(&file, rules.to_string()).unwrap();
    file.display().to_string()
}

/// What a branch may hold: customers for whom this holds, without their accounts.
fn of_graz(condition: &str) -> serde_json::Value {
    json!([
        {"table": "customer", "columns": [{"name": "iban"}], "rows": condition},
        {"table": "branch"},
    ])
}

/// Whether a text stands in any file below a folder.
pub(crate) fn holds(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // One that goes meanwhile holds nothing.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

/// The copy on the branch's Host, as `db show` tells it.
fn shown(market: &Supermarket, branch: &str) -> serde_json::Value {
    let copies = Copies::of(market, "shop");
    let node = format!("urn:uuid:{}", market.role_node(branch));
    let replicas = &copies.json["database"]["replicas"]["replicas"];
    let mut replicas = replicas.as_array().into_iter().flatten();
    let found = replicas.find(|one| one["host"] == node.as_str());
    found.expect("the branch has a copy").clone()
}

#[track_caller]
pub(crate) fn wait_confirmed(market: &Supermarket, branch: &str) {
    wait_for(LONG, "the branch holds what its rules say", || {
        let shown = shown(market, branch);
        let is_confirmed = shown["filter"]["confirmed"] == true;
        if is_confirmed && shown["state"]["sync_state"] == "synchronised" {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    });
}

/// What a shadow answers to somebody.
#[track_caller]
fn wait_answer(market: &Supermarket, token: &str, ask: &str, answer: &str) {
    wait_for(LONG, "the branch answers", || {
        let words = ["sql", "shop", ask, "--csv", "--read", "shadow"];
        let run = market.cli_as(token, &words);
        if run.code == 0 && run.text() == answer {
            Ok(())
        } else {
            Err(format!("{} {}", run.text(), run.stderr))
        }
    });
}

fn sql(market: &Supermarket, text: &str) {
    market.cli(&["sql", "shop", text]).ok();
}

fn rules_that_do_not_fit_are_refused(market: &Supermarket, branch: &str) {
    let add =
        |rules: &str| market.cli(&["shadow", "add", "shop", "--on", branch, "--rules", rules]);
    for (broken, says) in [
        (of_graz("no_column = 1"), "no_column"),
        (of_graz("branch = current_user"), "own columns"),
        (json!([{"table": "nothing"}]), "no table"),
        (
            json!([{"table": "customer", "columns": [{"name": "id"}]}]),
            "of the key",
        ),
        (json!([]), "holds nothing"),
        (
            json!([{"who": "ALL", "table": "customer"}]),
            "holds no rules",
        ),
    ] {
        add(&rules(market, &broken)).exits(2).says(says);
    }
    assert!(Copies::of(market, "shop").shadows.is_empty());
}

fn rows_enter_and_leave(market: &Supermarket, bob: &str, folder: &Path) {
    let names = "SELECT name FROM customer ORDER BY id";
    wait_answer(market, bob, names, "name\nada\nVIP-EVE\ndan");
    sql(
        market,
        "UPDATE customer SET branch = 'Graz', name = 'bob' WHERE id = 2",
    );
    sql(
        market,
        "UPDATE customer SET branch = 'Linz', name = 'CANARY-DAN' WHERE id = 4",
    );
    sql(
        market,
        "UPDATE customer SET iban = 'CANARY-IBAN-3' WHERE id = 3",
    );
    sql(
        market,
        "INSERT INTO customer VALUES (5, 'Wien', 'CANARY-FAY', NULL), (6, 'Graz', 'gus', NULL)",
    );
    sql(market, "INSERT INTO wages VALUES (2, 'CANARY-MORE')");
    wait_answer(market, bob, names, "name\nada\nbob\nVIP-EVE\ngus");
    // A table that it has is another one: it is made anew.
    sql(
        market,
        "ALTER TABLE customer ADD COLUMN mood text DEFAULT 'fine'",
    );
    let moods = "SELECT count(*), min(mood) FROM customer";
    wait_answer(market, bob, moods, "count,min\n4,fine");
    assert!(
        !holds(folder, "CANARY"),
        "what it may not have is not on its disk"
    );
}

/// It answers what a whole copy would answer, and nobody else.
fn others_are_not_answered_by_a_part(market: &Supermarket) {
    let cities = "SELECT city FROM branch ORDER BY 1";
    wait_answer(market, &market.token, cities, "city\nGraz\nLinz");
    let all = ["sql", "shop", "SELECT count(*) FROM customer", "--csv"];
    market
        .cli(&[&all[..], &["--read", "shadow"]].concat())
        .exits(5)
        .says("host-down");
    let fresh = market.cli(&all).ok().text();
    assert_eq!(fresh, "count\n6");
}

fn rules_are_narrowed_while_it_is_away(market: &Supermarket, branch: &str, folder: &Path) {
    assert!(holds(folder, "VIP-EVE"));
    market.kill9(branch);
    let narrow = rules(market, &of_graz("branch = 'Graz' AND id < 3"));
    let run = market
        .cli(&["shadow", "rules", "shop", branch, "--file", &narrow])
        .ok();
    assert!(run.stderr.contains("unconfirmed"), "{}", run.stderr);
    let show = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(show.contains("unconfirmed"), "{show}");
    assert_eq!(shown(market, branch)["filter"]["confirmed"], false);
    market.restart(branch);
    wait_confirmed(market, branch);
    assert!(!holds(folder, "VIP-EVE") && !holds(folder, "CANARY"));
    assert!(holds(folder, "ada"));
    let told = market.cli(&["shadow", "check", "shop"]).ok().text();
    assert!(
        told.contains("(4 rows)"),
        "two customers and two branches: {told}"
    );
}

/// Somebody puts there what may not be there.
fn what_is_forbidden_is_found(market: &Supermarket, branch: &str, id: &str, folder: &Path) {
    market.kill9(branch);
    let connection = Connection::open(file(market, branch, id)).unwrap();
    let bend = "CREATE TABLE wages (id INTEGER PRIMARY KEY, word TEXT);
                INSERT INTO wages VALUES (1, 'CANARY-AGAIN');";
    connection.execute_batch(bend).unwrap();
    drop(connection);
    market.restart(branch);
    wait_confirmed(market, branch);
    let told = market
        .cli(&["shadow", "check", "shop", branch])
        .exits(1)
        .text();
    assert!(told.contains("wages, all keys"), "{told}");
    wait_for(LONG, "it is made anew", || {
        let run = market.cli(&["shadow", "check", "shop", branch]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(format!("{} {}", run.text(), run.stderr))
        }
    });
    assert!(!holds(folder, "CANARY"));
}

#[test]
fn a_branch_holds_what_its_rules_leave_and_nothing_else() {
    let market = Supermarket::builder().hosts(0).data_hosts(2).start();
    let copies = made(&market, "shop", "0");
    let branch = ["data-1", "data-2"]
        .into_iter()
        .find(|role| *role != copies.core)
        .unwrap();
    market.cli_with(&["db", "import", "shop", "-"], TABLES).ok();
    rules_that_do_not_fit_are_refused(&market, branch);
    let graz = "branch = 'Graz'";
    let bobs = json!([{"who": "user:bob", "operations": ["read"], "table": "customer",
        "columns": [{"name": "iban"}], "rows": graz}]);
    let bobs = rules(&market, &bobs);
    market.cli(&["db", "rules", "shop", "--file", &bobs]).ok();
    let bob = person(&market, "bob", "user");
    let of_branch = rules(&market, &of_graz(graz));
    let add = [
        "shadow", "add", "shop", "--on", branch, "--rules", &of_branch,
    ];
    let shown = market.cli(&add).ok().text();
    assert!(shown.contains("a part, and nothing else"), "{shown}");
    assert!(shown.contains(branch), "Hosts go by their names: {shown}");
    let folder = market.seen(branch).join("databases").join(&copies.id);
    rows_enter_and_leave(&market, &bob, &folder);
    others_are_not_answered_by_a_part(&market);
    let eves = market
        .cli_as(&bob, &["--json", "db", "show", "shop"])
        .ok()
        .text();
    assert!(
        !eves.contains("Graz"),
        "rules are the owner's to know: {eves}"
    );
    rules_are_narrowed_while_it_is_away(&market, branch, &folder);
    what_is_forbidden_is_found(&market, branch, &copies.id, &folder);
    market
        .cli(&["shadow", "promote", "shop", branch])
        .exits(3)
        .says("a part of the database only");
    // With all of it, it is like any other shadow.
    market
        .cli(&["shadow", "rules", "shop", branch, "--whole"])
        .ok();
    let all = "SELECT count(*) FROM customer";
    wait_answer(&market, &market.token, all, "count\n6");
    assert!(holds(&folder, "CANARY-WAGES"));
    market.cli(&["shadow", "promote", "shop", branch]).ok();
    market.stop();
}
