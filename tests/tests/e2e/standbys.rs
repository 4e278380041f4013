//! Shadows on a database server, with real processes: read under rules, killed and robbed of
//! their server while the core is written and its schema changed, compared, and made the
//! core, with the old one there and after it was lost.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gridmart_fabric::{test_mariadb::MariaDbServer, test_server::PostgresServer};
use gridmart_tests::{LONG, Supermarket, wait_for};
use serde_json::json;

use crate::{
    data::{fill, people_see_what_rules_show, views_are_bound_for_who_reads},
    engines::url_file,
    parts::{holds, rules, wait_confirmed},
    shadows::{
        Copies, a_core_that_was_lost_is_replaced_and_fenced, count, wait_count, wait_synchronised,
        write_on,
    },
};

/// A server of one kind or the other.
enum Server {
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

impl Server {
    const fn engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgresql",
            Self::MariaDb(_) => "mariadb",
        }
    }

    /// An engine that has no shadows of such databases.
    const fn other_engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "mariadb",
            Self::MariaDb(_) => "postgresql",
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url("gridmart"),
            Self::MariaDb(server) => server.url(),
        }
    }

    fn crash_and_resume(&self) {
        match self {
            Self::Postgres(server) => {
                server.crash();
                server.resume();
            }
            Self::MariaDb(server) => {
                server.crash();
                server.resume();
            }
        }
    }

    /// What a foreign key does by itself: MariaDB would not log it.
    const fn action(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "ON DELETE CASCADE",
            Self::MariaDb(_) => "",
        }
    }

    /// What is there of gridmart's.
    fn left(&self) -> String {
        match self {
            Self::Postgres(server) => {
                let left = "SELECT datname FROM pg_database WHERE datname LIKE 'gridmart%' UNION \
                            ALL SELECT slot_name FROM pg_replication_slots";
                server.script("postgres", left)
            }
            Self::MariaDb(server) => server.script("mysql", "SHOW DATABASES LIKE 'gridmart%'"),
        }
    }
}

/// The engine of the copy on a Host, if it is not the database's.
fn other_engine(market: &Supermarket, copies: &Copies, role: &str) -> Option<String> {
    let node = format!("urn:uuid:{}", market.role_node(role));
    let replicas = copies.json["database"]["replicas"]["replicas"].as_array();
    let mut replicas = replicas.into_iter().flatten();
    let found = replicas.find(|one| one["host"] == node.as_str());
    found?["engine"].as_str().map(str::to_owned)
}

/// Makes a database with a shadow on each of two engines; gives the Host of that on the
/// server.
fn made(market: &Supermarket, server: &Server) -> String {
    let words = ["db", "create", "shop", "--engine", server.engine()];
    let words = [&words[..], &["--shadows", "1"]].concat();
    wait_for(LONG, "a database is made", || {
        let run = market.cli(&words);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    let copies = Copies::of(market, "shop");
    let shadow = copies.shadows.first().expect("there is a shadow").clone();
    assert_eq!(other_engine(market, &copies, &shadow), None);
    market
        .cli(&["shadow", "add", "shop", "--engine", server.other_engine()])
        .exits(3)
        .says(&format!("{} or sqlite", server.engine()));
    let added = market.cli(&["shadow", "add", "shop", "--engine", "sqlite"]);
    added.ok();
    let copies = wait_synchronised(market, "shop");
    let other = copies.shadows.iter().find(|role| **role != shadow);
    let other = other.expect("there is another one");
    let engine = other_engine(market, &copies, other);
    assert_eq!(engine.as_deref(), Some("sqlite"));
    shadow
}

/// People see at shadows what rules show.
fn rules_bind_at_shadows(market: &Supermarket) {
    fill(market);
    let [bob, eve] = people_see_what_rules_show(market);
    views_are_bound_for_who_reads(market, &bob, &eve);
    wait_synchronised(market, "shop");
    let ask = "SELECT id, name, pay FROM people ORDER BY pay DESC, id";
    for token in [None, Some(&eve)] {
        let seen = |read| {
            let words = ["sql", "shop", ask, "--csv", "--read", read];
            token.map_or_else(|| market.cli(&words), |token| market.cli_as(token, &words))
        };
        let on_core = seen("core").ok().text();
        assert_eq!(on_core.lines().count(), if token.is_some() { 3 } else { 4 });
        wait_for(LONG, "a shadow answers", || {
            let run = seen("shadow");
            (run.code == 0 && run.text() == on_core)
                .then_some(())
                .ok_or_else(|| format!("{} {}", run.text(), run.stderr))
        });
    }
}

/// Runs a statement once whatever is away is back.
#[track_caller]
fn write(market: &Supermarket, statement: &str) {
    wait_for(LONG, statement, || {
        let run = market.cli(&["sql", "shop", statement]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
}

/// Hosts and server are lost while rows and schema change.
fn kills_and_crashes_lose_nothing(market: &Supermarket, server: &Server, shadow: &str) {
    let core = Copies::of(market, "shop").core;
    let action = server.action();
    let script = format!(
        "CREATE TABLE lines (id bigint PRIMARY KEY, word text NOT NULL);\n\
                  CREATE TABLE parts (id bigint PRIMARY KEY, line bigint REFERENCES lines (id) \
                  {action});\n\
                  INSERT INTO lines SELECT n.i * 10 + m.i, 'a word' FROM\n\
                  (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS n (i),\n\
                  (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS m (i);\n\
                  INSERT INTO parts SELECT id, id FROM lines;\n"
    );
    market.cli_with(&["sql", "shop"], script).ok();
    market.kill9(shadow);
    write(market, "ALTER TABLE lines ADD COLUMN n int DEFAULT 3");
    write(market, "UPDATE lines SET n = 4 WHERE id % 2 = 0");
    market.restart(shadow);
    write(market, "ALTER TABLE lines RENAME COLUMN n TO number");
    market.kill9(&core);
    market.restart(&core);
    write(market, "CREATE INDEX by_number ON lines (number)");
    server.crash_and_resume();
    if action.is_empty() {
        write(market, "DELETE FROM parts WHERE id = 10");
    }
    write(market, "DELETE FROM lines WHERE id = 10");
    market.kill9(shadow);
    market.restart(shadow);
    write(market, "ALTER TABLE lines DROP COLUMN number");
    write(market, "INSERT INTO lines VALUES (10, 'again')");
    wait_synchronised(market, "shop");
    wait_count(market, 90);
    let told = market.cli(&["shadow", "check", "shop"]).ok().text();
    assert_eq!(told.matches("is what the core is").count(), 2, "{told}");
}

/// Writers wait while the core changes, and nothing is lost.
fn a_core_on_a_server_hands_over(market: &Supermarket, chosen: &str) {
    let before = Copies::of(market, "shop");
    let sqlite = before.shadows.iter().find(|role| *role != chosen);
    let sqlite = sqlite.expect("there is one on SQLite");
    market
        .cli(&["shadow", "promote", "shop", sqlite])
        .exits(3)
        .says("it is on sqlite");
    let over = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writing = scope.spawn(|| write_on(market, &over));
        let more = |than: i64| {
            wait_for(LONG, "something is written", || {
                let now = count(market, "core");
                (now > than).then_some(now).ok_or_else(|| now.to_string())
            })
        };
        more(90);
        let promoted = market.cli(&["shadow", "promote", "shop"]);
        let seen = count(market, "core");
        more(seen);
        over.store(true, Ordering::Relaxed);
        promoted.ok();
        writing.join().expect("the writer ends")
    });
    let after = wait_synchronised(market, "shop");
    assert_eq!(after.core, chosen);
    assert!(after.shadows.contains(&before.core));
    let all = 90 + i64::try_from(acknowledged.len()).unwrap();
    assert_eq!(count(market, "core"), all);
    wait_count(market, all);
    // The keys are in force again, on this core.
    market
        .cli(&["sql", "shop", "INSERT INTO parts VALUES (1, -1)"])
        .says("23503");
    market.cli(&["shadow", "check", "shop"]).ok();
}

/// A shadow on SQLite may hold a part, whatever keeps the core; one at the server holds all.
fn a_part_stands_on_sqlite(market: &Supermarket) {
    let copies = Copies::of(market, "shop");
    let shadow = |is_on_sqlite: bool| {
        let mut shadows = copies.shadows.iter();
        let found = shadows.find(|role| {
            let engine = other_engine(market, &copies, role);
            (engine.as_deref() == Some("sqlite")) == is_on_sqlite
        });
        found.expect("there is one").as_str()
    };
    let north = json!([
        {"table": "people", "columns": [{"name": "pay"}], "rows": "branch = 'north'"},
    ]);
    let file = rules(market, &north);
    let change = |role| market.cli(&["shadow", "rules", "shop", role, "--file", &file]);
    change(shadow(false)).exits(3).says("holds all");
    change(shadow(true)).ok();
    write(market, "UPDATE people SET branch = 'north' WHERE id = 2");
    write(market, "UPDATE people SET branch = 'south' WHERE id = 1");
    wait_confirmed(market, shadow(true));
    market.cli(&["shadow", "check", "shop"]).ok();
    let folder = market.seen(shadow(true)).join("databases");
    let folder = folder.join(&copies.id);
    let held = ["eve", "hunter2"].map(|text| holds(&folder, text));
    assert_eq!(held, [true, false]);
}

#[test]
fn shadows_on_postgresql_follow_outlive_losses_and_take_over() {
    all_of_it(&Server::Postgres(PostgresServer::start_with_account()));
}

#[test]
fn shadows_on_mariadb_follow_outlive_losses_and_take_over() {
    all_of_it(&Server::MariaDb(MariaDbServer::start_with_log()));
}

fn all_of_it(server: &Server) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(3)
        .lasting_variable("GRIDMART_DATA_SERVERS", url_file(&folder, &server.url()))
        .start();
    let shadow = made(&market, server);
    rules_bind_at_shadows(&market);
    kills_and_crashes_lose_nothing(&market, server, &shadow);
    a_core_on_a_server_hands_over(&market, &shadow);
    a_core_that_was_lost_is_replaced_and_fenced(&market, &Copies::of(&market, "shop"));
    a_part_stands_on_sqlite(&market);
    // Nothing stays at the server of a database that is gone.
    market.cli(&["db", "delete", "shop"]).ok();
    wait_for(LONG, "nothing is left at the server", || {
        let left = server.left();
        left.trim().is_empty().then_some(()).ok_or(left)
    });
    market.stop();
}
