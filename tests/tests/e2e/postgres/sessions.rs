//! SQL sessions as people see them: listed, ended one by one, recorded, and within what
//! the Element's owner allows.

use futures_util::StreamExt as _;
use gridmart_tests::{Change, LONG, Supermarket, wait_for};
use serde_json::Value;
use tokio_postgres::{Client, NoTls, error::SqlState};

use super::{Key, first_key, with_shop};
use crate::{is_soak, person};

/// Joined with itself four times it keeps an engine busy for hours.
const ROWS: u32 = 2000;
const ENDLESS: &str = "SELECT count(*) FROM heap a, heap b, heap c, heap d";

fn listed(market: &Supermarket, more: &[&str]) -> Vec<Value> {
    let words = [&["--json", "sessions"], more].concat();
    let listed: Value = market.cli(&words).ok().json();
    let rows = listed.get("sessions").or_else(|| listed.get("items"));
    rows.and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Waits for the session of that program to be in that state.
fn standing(market: &Supermarket, application: &str, state: &str) -> String {
    wait_for(LONG, "the session is listed", || {
        let rows = listed(market, &["--database", "shop"]);
        let mut found = rows
            .iter()
            .filter(|row| row["application"] == application && row["state"] == state);
        let id = found.next().and_then(|row| row["session"].as_str());
        id.map(str::to_owned).ok_or_else(|| format!("{rows:?}"))
    })
}

fn record(market: &Supermarket, session: &str) -> Value {
    wait_for(LONG, "the record is there", || {
        let rows = listed(market, &["--ended"]);
        let row = rows.iter().find(|row| row["session"] == session);
        row.cloned().ok_or_else(|| format!("{rows:?}"))
    })
}

async fn count(client: &Client) -> i64 {
    let row = client.query_one("SELECT count(*) FROM heap", &[]).await;
    row.expect("it can be counted").get(0)
}

fn state_of(error: &tokio_postgres::Error) -> Option<SqlState> {
    error.code().cloned()
}

/// What was not committed is gone; who may not see a session may not end it.
async fn a_kill_takes_back_what_was_not_committed(market: &Supermarket, key: &Key) {
    let client = key.connect("till").await;
    let rows: Vec<String> = (0..ROWS).map(|row| format!("({row})")).collect();
    let script = format!(
        "CREATE TABLE heap (id int8 PRIMARY KEY); INSERT INTO heap VALUES {}",
        rows.join(",")
    );
    client.batch_execute(&script).await.unwrap();
    let idle = standing(market, "till", "Running:Idle");
    client
        .batch_execute("BEGIN; DELETE FROM heap")
        .await
        .unwrap();
    let open = standing(market, "till", "Running:Transaction");
    assert_eq!(idle, open);
    let eve = person(market, "eve", "user");
    let hers = market
        .cli_as(&eve, &["--json", "sessions"])
        .ok()
        .json::<Value>();
    assert_eq!(hers["sessions"], serde_json::json!([]));
    assert_ne!(market.cli_as(&eve, &["kill", &open]).code, 0);
    market.cli(&["kill", &open]).ok();
    let refused = client.batch_execute("COMMIT").await.unwrap_err();
    assert!(
        refused.is_closed() || state_of(&refused) == Some(SqlState::ADMIN_SHUTDOWN),
        "{refused}"
    );
    let again = key.connect("till").await;
    assert_eq!(count(&again).await, i64::from(ROWS));
    let told = record(market, &open);
    assert_eq!(told["end"]["state"], "Terminated");
    assert_eq!(told["end"]["reason"], "killed by admin");
    assert_eq!(
        (&told["statements"], &told["person"]),
        (&3.into(), &"admin".into())
    );
    let shown = market.cli(&["show", &open]).ok().text();
    assert!(shown.contains("killed by admin"), "{shown}");
}

/// A statement that runs is ended at the engine, whether it reads or writes.
async fn statements_end_with_a_cancel_or_their_session(market: &Supermarket, key: &Key) {
    let client = key.connect("busy").await;
    for endless in [
        ENDLESS.to_owned(),
        format!("INSERT INTO heap SELECT 10000 + n FROM ({ENDLESS}) AS many (n)"),
        format!("DELETE FROM heap WHERE id < ({ENDLESS})"),
    ] {
        let cancel = client.cancel_token();
        let running = client.batch_execute(&endless);
        let ending = async {
            tokio::task::block_in_place(|| standing(market, "busy", "Running:Statement"));
            cancel.cancel_query(NoTls).await.unwrap();
        };
        let (ended, ()) = tokio::join!(running, ending);
        let state = state_of(&ended.unwrap_err());
        assert_eq!(state, Some(SqlState::QUERY_CANCELED), "{endless}");
        // Nobody holds the writer any more.
        client
            .batch_execute("DELETE FROM heap WHERE id < 0")
            .await
            .unwrap();
        assert_eq!(count(&client).await, i64::from(ROWS));
    }
    let running = client.batch_execute(ENDLESS);
    let ending = async {
        let id = tokio::task::block_in_place(|| standing(market, "busy", "Running:Statement"));
        tokio::task::block_in_place(|| market.cli(&["kill", &id]).ok());
        id
    };
    let (ended, id) = tokio::join!(running, ending);
    ended.unwrap_err();
    let told = tokio::task::block_in_place(|| record(market, &id));
    assert_eq!(told["end"]["state"], "Terminated");
    // Programs with the SDK have sessions as well.
    let data = market.client().data();
    let asked = tokio::spawn(async move { data.query("shop", ENDLESS, &[]).await });
    tokio::task::block_in_place(|| {
        let id = wait_for(LONG, "the session is listed", || {
            let rows = listed(market, &[]);
            let row = rows
                .iter()
                .find(|row| row["door"] == "sdk" && row["state"] == "Running:Statement");
            let id = row.and_then(|row| row["session"].as_str());
            id.map(str::to_owned).ok_or_else(|| format!("{rows:?}"))
        });
        market.cli(&["kill", &id]).ok();
    });
    let ended = tokio::time::timeout(LONG, asked).await.expect("it ends");
    assert!(ended.expect("it ran").is_err());
}

/// A large result costs nobody much memory, whether its reader is quick or slow; who is
/// slow keeps nobody else waiting.
async fn large_results_flow(market: &Supermarket, key: &Key) {
    let many_rows = if is_soak() { 10_000_000 } else { 1_000_000 };
    let many = format!(
        "SELECT a.id, 'a row that is not too short' FROM heap a, heap b, heap c LIMIT {many_rows}"
    );
    let peaks = || ["de-1", "data-1", "data-2"].map(|role| market.role_peak(role));
    let slow = key.connect("slow").await;
    let rows = slow.query_raw(&many, Vec::<i32>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    rows.next().await.unwrap().unwrap();
    let before = peaks();
    let quick = key.connect("quick").await;
    let all = quick.query_raw(&many, Vec::<i32>::new()).await.unwrap();
    let taken = all
        .fold(0_u32, async |taken, row| taken + u32::from(row.is_ok()))
        .await;
    assert_eq!(taken, many_rows);
    quick
        .batch_execute("DELETE FROM heap WHERE id < 0")
        .await
        .unwrap();
    rows.next().await.unwrap().unwrap();
    for (before, after) in before.into_iter().zip(peaks()) {
        assert!(
            after < before + 64 * 1024 * 1024,
            "{before} bytes, then {after}"
        );
    }
}

/// What the owner allows is noted, told, and kept to.
async fn the_owners_limits_hold(market: &Supermarket, key: &Key) {
    tokio::task::block_in_place(|| {
        let change = Change::none()
            .flag("--max-sessions", "2")
            .flag("--max-running", "1")
            .flag("--max-waiting", "0")
            .flag("--max-time", "20s")
            .flag("--max-rows", "100");
        market.replace("de-1", &change);
        market.wait_resource("de-1", "connected", |row| row["connected"] == true);
    });
    let first = wait_until_in(key, "first").await;
    let rows = first.query("SELECT id FROM heap LIMIT 100", &[]).await;
    assert_eq!(rows.unwrap().len(), 100);
    let many = first.query("SELECT id FROM heap LIMIT 101", &[]).await;
    let state = state_of(&many.unwrap_err());
    assert_eq!(state, Some(SqlState::PROGRAM_LIMIT_EXCEEDED));
    let second = key.connect("second").await;
    let busy = async {
        tokio::task::block_in_place(|| standing(market, "first", "Running:Statement"));
        state_of(&second.query("SELECT 1 FROM heap", &[]).await.unwrap_err())
    };
    let (slow, busy) = tokio::join!(first.batch_execute(ENDLESS), busy);
    assert_eq!(state_of(&slow.unwrap_err()), Some(SqlState::QUERY_CANCELED));
    assert_eq!(busy, Some(SqlState::INSUFFICIENT_RESOURCES));
    let third = tokio::task::block_in_place(|| key.psql("shop", "SELECT 1;"));
    assert!(third.stderr.contains("MaxSessions"), "{}", third.stderr);
    let xml = tokio::task::block_in_place(|| market.cli(&["show", "de-1", "--xml"]).ok().text());
    assert!(xml.contains("<MaxResultRows>100</MaxResultRows>"), "{xml}");
}

/// Waits until core and shadow answer again, and comes in.
async fn wait_until_in(key: &Key, application: &str) -> Client {
    const BOTH: &str = "SET gridmart.read = 'core'; SELECT 1 FROM heap LIMIT 1;
        SET gridmart.read = 'shadow'; SELECT 1 FROM heap LIMIT 1;";
    tokio::task::block_in_place(|| {
        wait_for(LONG, "it serves again", || {
            // An error of a statement is none of the program.
            let run = key.psql("shop", BOTH);
            let is_told = run.stdout == b"SET\n1\nSET\n1\n";
            is_told.then_some(()).ok_or(run.stderr)
        });
    });
    key.connect(application).await
}

#[test]
fn sessions_are_seen_ended_recorded_and_bounded() {
    let market = with_shop();
    let key = first_key(&market);
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    runtime.block_on(async {
        a_kill_takes_back_what_was_not_committed(&market, &key).await;
        statements_end_with_a_cancel_or_their_session(&market, &key).await;
        large_results_flow(&market, &key).await;
        the_owners_limits_hold(&market, &key).await;
    });
    market.stop();
}
