//! Shadows by command, with real processes: one more, one less, one that becomes the
//! core while the old one is there, and after it was lost; what a replaced core alone had
//! committed is set aside, and a shadow that is not what its core is is found.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gridmart_schemas::{
    data::Value,
    resource::enumeration::{ReplicaRole, SyncState},
};
use gridmart_tests::{
    Change, LONG, Supermarket,
    proxy::{Connection as Link, Cut, Proxy, Way},
    wait_for,
};
use rusqlite::Connection;

use crate::{is_soak, objects::run};

/// The Hosts, by their names as roles.
const HOSTS: [&str; 3] = ["data-1", "data-2", "data-3"];

/// Who has a copy, as `db show` tells it.
pub(crate) struct Copies {
    pub(crate) id: String,
    pub(crate) epoch: u64,
    pub(crate) core: String,
    pub(crate) shadows: BTreeSet<String>,
    pub(crate) json: serde_json::Value,
}

impl Copies {
    pub(crate) fn of(market: &Supermarket, database: &str) -> Self {
        let run = market.cli(&["--json", "db", "show", database]).ok();
        Self::read(market, run.json())
    }

    fn read(market: &Supermarket, json: serde_json::Value) -> Self {
        let replicas = &json["database"]["replicas"];
        let (mut core, mut shadows) = (None, BTreeSet::new());
        for replica in replicas["replicas"].as_array().into_iter().flatten() {
            let node = replica["host"].as_str().unwrap_or_default();
            let node = node.trim_start_matches("urn:uuid:");
            let mut names = HOSTS.into_iter();
            let name = names.find(|role| market.role_node(role) == node);
            let name = name.expect("it is one of the Hosts").to_owned();
            match replica["role"].as_str() {
                Some("core") => core = Some(name),
                _ => assert!(shadows.insert(name)),
            }
        }
        Self {
            id: json["id"].as_str().unwrap_or_default().to_owned(),
            epoch: replicas["epoch"].as_u64().unwrap_or(1),
            core: core.expect("there is a core"),
            shadows,
            json,
        }
    }

    /// The copy on a Host, as it tells of itself.
    fn state(&self, market: &Supermarket, role: &str) -> serde_json::Value {
        let node = format!("urn:uuid:{}", market.role_node(role));
        let replicas = self.json["database"]["replicas"]["replicas"].as_array();
        let mut replicas = replicas.into_iter().flatten();
        let found = replicas.find(|one| one["host"] == node.as_str());
        found.map(|one| one["state"].clone()).unwrap_or_default()
    }
}

/// Makes a database once the Hosts have come.
#[track_caller]
pub(crate) fn made(market: &Supermarket, name: &str, shadows: &str) -> Copies {
    let json: serde_json::Value = wait_for(LONG, "a database is made", || {
        let words = ["--json", "db", "create", name, "--shadows", shadows];
        let run = market.cli(&words);
        if run.code == 0 {
            Ok(run.json())
        } else {
            Err(run.stderr)
        }
    });
    Copies::read(market, json)
}

/// Waits until all copies are what they are to be, and have all there is.
#[track_caller]
pub(crate) fn wait_synchronised(market: &Supermarket, database: &str) -> Copies {
    wait_for(LONG, "all copies follow the core", || {
        let shown = market.cli(&["--json", "db", "show", database]);
        if shown.code != 0 {
            return Err(shown.stderr);
        }
        let copies = Copies::read(market, shown.json());
        let core = copies.state(market, &copies.core);
        let is_there = |role: &String| {
            let state = copies.state(market, role);
            state["role"] == ReplicaRole::Shadow.as_str()
                && state["sync_state"] == SyncState::Synchronised.as_str()
                && state["log_position"] == core["log_position"]
        };
        if core["role"] == "core" && copies.shadows.iter().all(is_there) {
            Ok(copies)
        } else {
            Err(copies.json.to_string())
        }
    })
}

/// Writes numbers one after the other until it is over; gives those acknowledged.
pub(crate) fn write_on(market: &Supermarket, over: &AtomicBool) -> Vec<i64> {
    let client = market.client();
    run(async {
        let mut acknowledged = Vec::new();
        for id in 1000.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let insert = "INSERT INTO lines VALUES ($1, 'while it changes')";
            match client
                .data()
                .execute("shop", insert, &[Value::Int8(id)])
                .await
            {
                Ok(_) => acknowledged.push(id),
                Err(error) => panic!("a planned change of core lets writers wait: {error}"),
            }
        }
        client.close().await;
        acknowledged
    })
}

pub(crate) fn count(market: &Supermarket, read: &str) -> i64 {
    let words = [
        "sql",
        "shop",
        "SELECT count(*) FROM lines",
        "--csv",
        "--read",
        read,
    ];
    let text = market.cli(&words).ok().text();
    text.lines().last().unwrap_or("").parse().unwrap()
}

/// Waits until a shadow answers that there are so many lines.
#[track_caller]
pub(crate) fn wait_count(market: &Supermarket, lines: i64) {
    wait_for(LONG, "a shadow has all lines", || {
        let words = [
            "sql",
            "shop",
            "SELECT count(*) FROM lines",
            "--csv",
            "--read",
            "shadow",
        ];
        let run = market.cli(&words);
        if run.code == 0 && run.text().lines().last() == Some(&lines.to_string()) {
            Ok(())
        } else {
            Err(format!("{} {}", run.text(), run.stderr))
        }
    });
}

fn a_shadow_is_added(market: &Supermarket) -> Copies {
    let before = made(market, "shop", "1");
    let script = "CREATE TABLE lines (id bigint PRIMARY KEY, word text NOT NULL);\n\
                  INSERT INTO lines SELECT n.i * 10 + m.i, 'a word' FROM\n\
                  (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS n (i),\n\
                  (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS m (i);\n";
    let imported = market.cli_with(&["db", "import", "shop", "-"], script).ok();
    assert!(imported.text().contains("2 statements were run, 90 rows"));
    let script = "-- a comment; and then\n\nUPDATE lines SET word = 'a; word';\n\
                  UPDATE lines\n SET no_column = 1;\nDELETE FROM lines;\n";
    let refused = market.cli_with(&["db", "import", "shop", "-"], script);
    refused
        .exits(1)
        .says("stdin:4: this statement failed; the 1 before it hold")
        .says("42703");
    let added = market.cli(&["--json", "shadow", "add", "shop"]).ok();
    let added = Copies::read(market, added.json());
    let new = added.shadows.difference(&before.shadows).next();
    let new = new.expect("there is one more shadow");
    assert_eq!(added.state(market, new)["sync_state"], "synchronised");
    wait_count(market, 90);
    market
        .cli(&["shadow", "add", "shop"])
        .exits(3)
        .says("need-unmet");
    market
        .cli(&["shadow", "remove", "shop", &added.core])
        .exits(3)
        .says("has the core");
    added
}

/// Writers wait while the core changes, and nothing is lost.
fn a_core_that_is_there_hands_over(market: &Supermarket, before: &Copies) -> Copies {
    let over = AtomicBool::new(false);
    let chosen = before.shadows.first().expect("there are shadows");
    let (after, acknowledged) = thread::scope(|scope| {
        let writing = scope.spawn(|| write_on(market, &over));
        wait_for(LONG, "something is written", || {
            match count(market, "core") {
                90 => Err("nothing yet".to_owned()),
                _ => Ok(()),
            }
        });
        let promoted = market.cli(&["--json", "shadow", "promote", "shop", chosen]);
        // The writer goes on for a while on the new core.
        let seen = count(market, "core");
        wait_for(LONG, "more is written", || {
            let now = count(market, "core");
            if now > seen {
                Ok(())
            } else {
                Err(now.to_string())
            }
        });
        over.store(true, Ordering::Relaxed);
        let acknowledged = writing.join().expect("the writer ends");
        (Copies::read(market, promoted.ok().json()), acknowledged)
    });
    assert_eq!(after.core, *chosen);
    assert!(after.epoch > before.epoch, "{}", after.epoch);
    assert!(after.shadows.contains(&before.core));
    let all = 90 + i64::try_from(acknowledged.len()).unwrap();
    assert_eq!(count(market, "core"), all);
    let synchronised = wait_synchronised(market, "shop");
    wait_count(market, all);
    for host in HOSTS {
        let state = synchronised.state(market, host);
        assert_eq!(state["set_aside"], serde_json::Value::Null, "{state}");
    }
    after
}

pub(crate) fn file(market: &Supermarket, role: &str, database: &str) -> PathBuf {
    let home = market.seen(role).join("databases").join(database);
    let current = std::fs::read_to_string(home.join("current")).unwrap();
    home.join(format!("generation-{}", current.trim()))
        .join("database")
}

/// Changes a row of a shadow behind everybody's back.
fn bend(market: &Supermarket, role: &str, copies: &Copies) {
    market.kill9(role);
    let connection = Connection::open(file(market, role, &copies.id)).unwrap();
    let change = "UPDATE lines SET word = 'another' WHERE id = 44";
    assert_eq!(connection.execute(change, []).unwrap(), 1);
    drop(connection);
    market.restart(role);
    wait_synchronised(market, "shop");
}

fn a_shadow_that_differs_is_found_and_made_anew(market: &Supermarket, copies: &Copies) {
    let told = market.cli(&["shadow", "check", "shop"]).ok().text();
    assert_eq!(told.matches("is what the core is").count(), 2, "{told}");
    let mut shadows = copies.shadows.iter();
    let (bent, other) = (shadows.next().unwrap(), shadows.next().unwrap());
    bend(market, bent, copies);
    let differs = market.cli(&["shadow", "check", "shop", bent]).exits(1);
    let told = differs.text();
    assert!(
        told.contains("differs in 1 ranges") && told.contains("lines,"),
        "{told}"
    );
    wait_for(LONG, "it is made anew", || {
        let run = market.cli(&["shadow", "check", "shop", bent]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(format!("{} {}", run.text(), run.stderr))
        }
    });
    // Nobody asks: it is found when its time has come.
    bend(market, other, copies);
    market.replace("de-1", &Change::none().flag("--check-time", "1s"));
    wait_for(LONG, "it is found by itself", || {
        let log = market.log(other);
        if log.contains("is not what its core is") {
            Ok(())
        } else {
            Err(log)
        }
    });
    market.replace("de-1", &Change::none().flag("--check-time", "1d"));
    wait_synchronised(market, "shop");
}

/// The core is lost with commits that no shadow has, and comes back.
pub(crate) fn a_core_that_was_lost_is_replaced_and_fenced(market: &Supermarket, before: &Copies) {
    let whole = count(market, "core");
    for shadow in &before.shadows {
        market.freeze(shadow);
    }
    let client = market.client();
    let written = run(async {
        let mut written = 0;
        for id in 1..=8 {
            let insert = "INSERT INTO lines VALUES ($1, 'on the old core alone')";
            let done = client
                .data()
                .execute("shop", insert, &[Value::Int8(-id)])
                .await;
            written = done.unwrap().position.number();
        }
        client.close().await;
        written
    });
    wait_for(LONG, "the core has told how far it is", || {
        let copies = Copies::of(market, "shop");
        let told = copies.state(market, &copies.core)["log_position"].as_i64();
        if told >= Some(written) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    });
    market.kill9(&before.core);
    for shadow in &before.shadows {
        market.thaw(shadow);
    }
    wait_for(LONG, "the loss is named", || {
        let refused = market.cli(&["shadow", "promote", "shop"]);
        if refused.stderr.contains("would be lost") && refused.code == 3 {
            Ok(())
        } else {
            Err(format!("{} {}", refused.code, refused.stderr))
        }
    });
    let promoted = market.cli(&["--json", "shadow", "promote", "shop", "--allow-loss"]);
    let promoted = Copies::read(market, promoted.ok().json());
    assert!(promoted.epoch > before.epoch, "{}", promoted.epoch);
    assert!(before.shadows.contains(&promoted.core));
    let insert = "INSERT INTO lines VALUES (5000, 'on the new core')";
    market.cli(&["sql", "shop", insert]).ok();
    // Its Host comes back: what it alone had is in a file, and it follows.
    market.restart(&before.core);
    let after = wait_synchronised(market, "shop");
    assert_eq!(after.core, promoted.core);
    let aside = &after.state(market, &before.core)["set_aside"][0];
    assert_eq!(aside["last_position"].as_i64(), Some(written), "{aside}");
    let kept = std::fs::read_to_string(aside["file"].as_str().unwrap()).unwrap();
    assert!(
        kept.contains("on the old core alone") && kept.contains("-8"),
        "{kept}"
    );
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(shown.contains("were committed there alone"), "{shown}");
    assert!(market.log(&before.core).contains("set aside in the file"));
    // Of the eight those are there that a shadow had got before it was halted.
    let lost = kept.lines().count();
    let there = whole + 8 - i64::try_from(lost).unwrap() + 1;
    assert_eq!(count(market, "core"), there);
    wait_count(market, there);
    market.cli(&["shadow", "check", "shop"]).ok();
}

/// An older document is put back while the newer core's Host is away: the change of core
/// that is made by it is another one than that which it does not know.
fn an_old_document_gives_no_epoch_twice(market: &Supermarket, before: &Copies) {
    wait_synchronised(market, "shop");
    let document = market.seen("de-1/DEDoc.xml");
    let old = std::fs::read(&document).unwrap();
    market.kill9(&before.core);
    let promoted = wait_for(LONG, "a shadow takes over", || {
        let run = market.cli(&["--json", "shadow", "promote", "shop"]);
        if run.code == 0 {
            Ok(Copies::read(market, run.json()))
        } else {
            Err(run.stderr)
        }
    });
    let newer = promoted.core.clone();
    let write = |id: i64| {
        let insert = format!("INSERT INTO lines VALUES ({id}, 'by two cores')");
        market.cli(&["sql", "shop", &insert]).ok();
    };
    market.kill9("de-1");
    market.kill9(&newer);
    std::fs::write(&document, old).unwrap();
    market.restart(&before.core);
    market.restart("de-1");
    let others = before.shadows.iter().filter(|role| **role != newer);
    let other = others.into_iter().next().unwrap();
    let again = wait_for(LONG, "the third one takes over by the old document", || {
        let run = market.cli(&["--json", "shadow", "promote", "shop", other]);
        if run.code == 0 {
            Ok(Copies::read(market, run.json()))
        } else {
            Err(run.stderr)
        }
    });
    assert_ne!(again.epoch, promoted.epoch);
    write(7001);
    // Both have led now; the one of the older epoch sets aside what it alone has.
    market.restart(&newer);
    let after = wait_for(LONG, "one of them is the core for all", || {
        let copies = Copies::of(market, "shop");
        let is_one = copies.epoch == again.epoch.max(promoted.epoch);
        let told = copies.state(market, &copies.core)["epoch"].as_u64();
        if is_one && told == Some(copies.epoch) {
            Ok(copies)
        } else {
            Err(copies.json.to_string())
        }
    });
    assert_eq!(after.core == newer, promoted.epoch > again.epoch);
    write(7002);
    wait_synchronised(market, "shop");
    market.cli(&["shadow", "check", "shop"]).ok();
    market
        .cli(&["sql", "shop", "DELETE FROM lines WHERE id > 7000"])
        .ok();
}

/// Waits until a Host has no copy of a database.
#[track_caller]
fn wait_gone(market: &Supermarket, role: &str, database: &str) {
    let folder = market.seen(role).join("databases").join(database);
    wait_for(LONG, "a copy that is to go is gone", || {
        if folder.exists() {
            Err(role.to_owned())
        } else {
            Ok(())
        }
    });
}

fn a_host_that_is_away_removes_its_copy_later(market: &Supermarket, copies: &Copies) {
    let one = copies.shadows.first().expect("there are shadows");
    market.kill9(one);
    market.cli(&["shadow", "remove", "shop", one]).ok();
    let folder = market.seen(one).join("databases").join(&copies.id);
    assert!(folder.exists());
    market.restart(one);
    wait_gone(market, one, &copies.id);
    wait_for(LONG, "it gets another one", || {
        let run = market.cli(&["shadow", "add", "shop", "--on", one]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
}

/// The Host of the core is destroyed; then, with another Host away, the database goes.
fn what_a_destroyed_host_had_goes_on_elsewhere(market: &Supermarket, before: &Copies) {
    let all = count(market, "core");
    let destroyed = market.role_node(&before.core);
    wait_synchronised(market, "shop");
    market.kill9(&before.core);
    std::fs::remove_dir_all(market.folder().join(&before.core)).unwrap();
    let promoted = market.cli(&["--json", "shadow", "promote", "shop"]).ok();
    let replicas = promoted.json::<serde_json::Value>()["database"]["replicas"].clone();
    assert!(replicas["epoch"].as_u64() > Some(before.epoch));
    let replicas = replicas["replicas"].as_array().cloned().unwrap_or_default();
    let core = replicas.iter().find(|one| one["role"] == "core").unwrap();
    let is_core =
        |role: &&String| core["host"] == format!("urn:uuid:{}", market.role_node(role)).as_str();
    let core = before
        .shadows
        .iter()
        .find(is_core)
        .expect("it was a shadow");
    let other = before.shadows.iter().find(|role| *role != core).unwrap();
    assert_eq!(count(market, "core"), all, "all of it was synchronised");
    market
        .cli(&["sql", "shop", "DELETE FROM lines WHERE id < 20"])
        .ok();
    market.kill9(other);
    market.cli(&["db", "delete", "shop"]).ok();
    wait_gone(market, core, &before.id);
    assert!(
        market
            .seen(other)
            .join("databases")
            .join(&before.id)
            .exists()
    );
    market.kill9("de-1");
    market.restart(other);
    market.restart("de-1");
    wait_gone(market, other, &before.id);
    // What the destroyed Host had is waited for until it is said to be gone.
    let document = || std::fs::read_to_string(market.seen("de-1/DEDoc.xml")).unwrap();
    assert!(document().contains(&before.id));
    market.cli(&["nodes", "revoke", &destroyed]).ok();
    wait_for(LONG, "nothing is left of it in the document", || {
        let document = document();
        if document.contains(&before.id) {
            Err(document)
        } else {
            Ok(())
        }
    });
}

#[test]
fn shadows_come_and_go_take_over_and_are_compared() {
    let market = Supermarket::builder().hosts(0).data_hosts(3).start();
    let copies = a_shadow_is_added(&market);
    let copies = a_core_that_is_there_hands_over(&market, &copies);
    a_shadow_that_differs_is_found_and_made_anew(&market, &copies);
    a_core_that_was_lost_is_replaced_and_fenced(&market, &copies);
    an_old_document_gives_no_epoch_twice(&market, &Copies::of(&market, "shop"));
    a_host_that_is_away_removes_its_copy_later(&market, &Copies::of(&market, "shop"));
    what_a_destroyed_host_had_goes_on_elsewhere(&market, &Copies::of(&market, "shop"));
    market.stop();
}

/// Commits that a shadow misses: of a long run, or of a short one.
fn missed() -> i64 {
    if is_soak() { 50_000 } else { 5000 }
}

/// Of them at a time.
const AT_A_TIME: usize = 32;

/// Writes rows from a number on, many at a time, each a transaction.
fn write_many(market: &Supermarket, from: i64, count: i64, bytes: i64) {
    use futures_util::{StreamExt as _, TryStreamExt as _, stream};
    let client = market.client();
    run(async {
        let insert = "INSERT INTO lines VALUES ($1, repeat('x', $2))";
        let data = client.data();
        let bytes = i32::try_from(bytes).unwrap();
        stream::iter(from..from + count)
            .map(|id| {
                let data = data.clone();
                async move {
                    let values = [Value::Int8(id), Value::Int4(bytes)];
                    data.execute("shop", insert, &values).await.map(drop)
                }
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await
            .expect("writes go on without the shadow");
        client.close().await;
    });
}

#[test]
fn a_shadow_that_was_away_for_long_or_had_no_room_gets_what_it_missed() {
    let market = ["data-1", "data-2"]
        .into_iter()
        .fold(
            Supermarket::builder().hosts(0).data_hosts(2),
            |market, role| market.small_disk(role, 256),
        )
        .start();
    let copies = made(&market, "shop", "1");
    let (core, shadow) = (&copies.core, copies.shadows.first().unwrap());
    let table = "CREATE TABLE lines (id bigint PRIMARY KEY, word text NOT NULL)";
    market.cli(&["sql", "shop", table]).ok();
    wait_synchronised(&market, "shop");
    let was_loaded = || {
        market
            .log(shadow)
            .contains("a shadow was made from a snapshot")
    };
    // The log has it all.
    let missed = missed();
    let first = missed / 5;
    market.kill9(shadow);
    write_many(&market, 0, first, 10);
    let shown = market.cli(&["db", "show", "shop"]).ok().text();
    assert!(
        shown.contains("until a shadow that is behind begins with a snapshot"),
        "{shown}"
    );
    market.restart(shadow);
    wait_synchronised(&market, "shop");
    wait_count(&market, first);
    assert!(!was_loaded(), "the log was enough");
    // The log has dropped its begin.
    market.replace(core, &Change::none().flag("--log-max", "128KiB"));
    wait_synchronised(&market, "shop");
    market.kill9(shadow);
    write_many(&market, first, missed - first, 10);
    assert!(
        market
            .log(core)
            .contains("one that misses it begins with a snapshot")
    );
    market.restart(shadow);
    wait_synchronised(&market, "shop");
    wait_count(&market, missed);
    assert!(was_loaded());
    // Nothing fits on the shadow's disk: the core goes on, and the shadow says so.
    market.fill(shadow);
    write_many(&market, 100_000, 200, 4000);
    wait_for(LONG, "the shadow does not follow", || {
        let copies = Copies::of(&market, "shop");
        let state = copies.state(&market, shadow)["sync_state"].clone();
        if state == "synchronised" {
            Err(state.to_string())
        } else {
            Ok(())
        }
    });
    assert_eq!(count(&market, "fresh"), missed + 200);
    market.make_room(shadow);
    wait_synchronised(&market, "shop");
    wait_count(&market, missed + 200);
    market.cli(&["shadow", "check", "shop"]).ok();
    market.stop();
}

/// The connection over which a shadow follows: the one that comes with its start.
fn link_of(market: &Supermarket, proxy: &Proxy, shadow: &str) -> Link {
    let before = proxy.accepted();
    market.kill9(shadow);
    market.restart(shadow);
    next_link(proxy, before)
}

/// The connection that came after so many.
fn next_link(proxy: &Proxy, before: u64) -> Link {
    wait_for(LONG, "the shadow dials the core", || {
        let all = proxy.connections();
        let new = all
            .into_iter()
            .find(|one| one.number() > before && !one.has_ended());
        new.ok_or_else(|| format!("{} connections came", proxy.accepted()))
    })
}

/// Bytes a second of a slow link.
const SLOW: u32 = 25_000;
/// How often a link is cut.
const CUTS: i64 = 12;

/// A slow link, and one that is cut again and again, between a core and its shadow.
#[test]
fn a_link_that_is_slow_flaps_or_swallows_all_costs_time_and_no_row() {
    let market = Supermarket::builder().hosts(0).data_hosts(2).start();
    let copies = made(&market, "shop", "1");
    let (core, shadow) = (&copies.core, copies.shadows.first().unwrap());
    let proxy = Proxy::before(&market.role_address(core, "door"));
    market.replace(core, &Change::none().advertised_at(&proxy));
    let table = "CREATE TABLE lines (id bigint PRIMARY KEY, word text NOT NULL)";
    wait_for(LONG, "the core is reached through the proxy", || {
        let run = market.cli(&["sql", "shop", table]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    wait_synchronised(&market, "shop");
    // One answer of it would take longer than a stream may be silent; writers do not wait.
    proxy.ways(Way::good().rate(SLOW));
    write_many(&market, 0, 200, 4000);
    assert_eq!(count(&market, "core"), 200);
    let behind = Copies::of(&market, "shop").state(&market, shadow)["log_position"].as_i64();
    assert!(behind < Some(200), "the link is slow: {behind:?}");
    // It gets there all the same, in pieces that the link bears.
    wait_count(&market, 200);
    proxy.ways(Way::good());
    let mut link = link_of(&market, &proxy, shadow);
    for cut in 1..=CUTS {
        write_many(&market, 1000 * cut, 20, 1000);
        let before = proxy.accepted();
        link.cut(Cut::Reset);
        link = next_link(&proxy, before);
    }
    wait_synchronised(&market, "shop");
    wait_count(&market, 200 + 20 * CUTS);
    what_is_swallowed_is_told(&market, &proxy, 200 + 20 * CUTS);
    market.cli(&["shadow", "check", "shop"]).ok();
    market.stop();
}

/// Whoever writes into a link that swallows everything is told that it is not known what
/// became of it; shadows answer meanwhile, and nothing of it stays.
fn what_is_swallowed_is_told(market: &Supermarket, proxy: &Proxy, rows: i64) {
    let put = |id: i64| {
        let text = format!("INSERT INTO lines VALUES ({id}, 'swallowed')");
        market.cli(&["sql", "shop", &text])
    };
    proxy.ways(Way::good().silent());
    let told = put(90_000);
    assert!(told.stderr.contains("is not known"), "{}", told.stderr);
    assert_eq!(count(market, "shadow"), rows);
    proxy.ways(Way::good());
    wait_for(LONG, "the core is reached again", || {
        let run = put(90_001);
        // It may have been put by a try that was not answered.
        let is_there = run.code == 0 || run.stderr.contains("23505");
        is_there.then_some(()).ok_or(run.stderr)
    });
    wait_synchronised(market, "shop");
    let there = count(market, "core");
    assert!((rows + 1..=rows + 2).contains(&there), "{there}");
    wait_count(market, there);
}

/// The Element dies between the decision and telling it: the decision holds.
#[test]
fn a_change_of_core_that_was_written_down_is_made() {
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(2)
        .faults("element.core.decided=return(kill)")
        .start();
    let copies = made(&market, "shop", "1");
    let table = "CREATE TABLE lines (id bigint PRIMARY KEY, word text NOT NULL)";
    market.cli(&["sql", "shop", table]).ok();
    wait_synchronised(&market, "shop");
    let shadow = copies.shadows.first().unwrap();
    let promoted = market.dies_of("de-1", "element.core.decided", || {
        market.cli(&["shadow", "promote", "shop"])
    });
    assert_ne!(promoted.code, 0, "nobody was answered");
    market.restart("de-1");
    let after = wait_synchronised(&market, "shop");
    assert_eq!(&after.core, shadow);
    assert!(after.epoch > copies.epoch, "{}", after.epoch);
    market
        .cli(&["sql", "shop", "INSERT INTO lines VALUES (1, 'a')"])
        .ok();
    assert_eq!(count(&market, "core"), 1);
    market.stop();
}
