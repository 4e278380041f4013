//! Programs that write and read.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use gridmart_schemas::{
    api::database::{ShadowChangeRequest, ShadowPromoteRequest},
    data::{Position, Value},
    problem::Code,
    resource::database::ShadowRule,
    wire::data::ReadFrom,
};
use gridmart_sdk::{Client, Error};
use rand::{RngExt as _, rngs::StdRng};

use super::{DATABASE, WRITERS, ledger::Ledger};
use crate::supermarket::Supermarket;

/// No act takes longer, whatever happens; its program waits in vain otherwise.
const ACT_MAX: Duration = Duration::from_mins(4);
/// Pause after a refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Writes of one client: then it goes.
const ACTS_OF_A_CLIENT: u32 = 400;
/// Longest time between two changes of core, in seconds.
const PROMOTE_PAUSE_MAX: f64 = 8.0;
/// Numbers that a reader looks at, at most.
const WINDOW: i32 = 500;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// Writes numbers one after the other until it is over.
pub(super) fn write_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, lane: u64) {
    let lane = i32::try_from(lane).unwrap_or(i32::MAX);
    runtime().block_on(async {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            let client = market.client();
            for _ in 0..ACTS_OF_A_CLIENT {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                number += 1;
                while !write(&client, ledger, (lane, number)).await {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
            client.close().await;
        }
    });
}

/// Writes a number; `false`: it was not begun, and may be tried again.
async fn write(client: &Client, ledger: &Ledger, name: (i32, i32)) -> bool {
    let (lane, number) = name;
    let values = [Value::Int4(lane), Value::Int4(number)];
    let insert = "INSERT INTO entries VALUES ($1, $2, 'number ' || $2::text)";
    let data = client.data();
    let writing = data.execute(DATABASE, insert, &values);
    match tokio::time::timeout(ACT_MAX, writing).await {
        Err(_) => {
            ledger.broken(format!("writing {name:?} hangs"));
            ledger.open(name);
            true
        }
        Ok(Ok(done)) => {
            ledger.count("write: acknowledged");
            ledger.done(name, done.position);
            true
        }
        Ok(Err(Error::Statement(fault))) => {
            ledger.count(format!("write: {}", fault.state));
            ledger.open(name);
            // 08007: not known. The disk of a Host that is killed may say less.
            if !matches!(fault.state.as_str(), "08007" | "57P01" | "40003") {
                ledger.broken(format!(
                    "writing {name:?}: {} {}",
                    fault.state, fault.message
                ));
            }
            true
        }
        Ok(Err(error)) => {
            let code = error.code().map_or("-", Code::as_str);
            ledger.count(format!("write: {code}"));
            if !error.retryable() {
                ledger.broken(format!("writing {name:?}: {error}"));
            }
            // An earlier try of it was not begun either.
            ledger.open(name);
            false
        }
    }
}

/// Makes shadows the core until it is over; who is away may refuse it.
pub(super) fn promote_on(
    market: &Supermarket,
    ledger: &Ledger,
    over: &AtomicBool,
    mut dice: StdRng,
) {
    runtime().block_on(async {
        while !over.load(Ordering::Relaxed) {
            let pause = dice.random_range(0.0..PROMOTE_PAUSE_MAX);
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            let client = market.client();
            let data = client.data();
            let wanted = ShadowPromoteRequest::default();
            let promoting = data.shadow_promote(DATABASE, &wanted);
            let outcome = match tokio::time::timeout(ACT_MAX, promoting).await {
                Err(_) => {
                    ledger.broken("a promotion hangs");
                    "hangs"
                }
                Ok(Ok(_)) => "done",
                Ok(Err(error)) => error.code().map_or("-", Code::as_str),
            };
            ledger.count(format!("promote: {outcome}"));
            client.close().await;
        }
    });
}

/// Has the branch hold the numbers of another writer, again and again until it is over.
pub(super) fn change_rules_on(
    market: &Supermarket,
    ledger: &Ledger,
    over: &AtomicBool,
    branch: &str,
    mut dice: StdRng,
) {
    runtime().block_on(async {
        while !over.load(Ordering::Relaxed) {
            let pause = dice.random_range(0.0..PROMOTE_PAUSE_MAX);
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            let lane = dice.random_range(0..WRITERS);
            let rule = ShadowRule {
                table: "entries".parse().expect("a name is a text"),
                columns: Vec::new(),
                rows: format!("lane = {lane}").parse().ok(),
            };
            let wanted = ShadowChangeRequest {
                rules: Some(vec![rule]),
            };
            let client = market.client();
            let data = client.data();
            let changing = data.shadow_change(DATABASE, branch, &wanted);
            let outcome = match tokio::time::timeout(ACT_MAX, changing).await {
                Err(_) => {
                    ledger.broken("a change of rules hangs");
                    "hangs"
                }
                Ok(Ok(_)) => "done",
                Ok(Err(error)) => error.code().map_or("-", Code::as_str),
            };
            ledger.count(format!("rules: {outcome}"));
            client.close().await;
        }
    });
}

/// Reads, of whatever copy, until it is over.
pub(super) fn read_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, mut dice: StdRng) {
    runtime().block_on(async {
        while !over.load(Ordering::Relaxed) {
            let client = market.client();
            for _ in 0..ACTS_OF_A_CLIENT {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let lane = dice.random_range(0..WRITERS);
                let lane = i32::try_from(lane).unwrap_or(i32::MAX);
                let from = match dice.random_range(0..4) {
                    0 => ReadFrom::Core,
                    1 => ReadFrom::Fresh,
                    _ => ReadFrom::Shadow,
                };
                if !read(&client, ledger, lane, from).await {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
            client.close().await;
        }
    });
}

async fn read(client: &Client, ledger: &Ledger, lane: i32, from: ReadFrom) -> bool {
    let last = ledger
        .known(lane, 0)
        .keys()
        .last()
        .map_or(0, |(_, number)| *number);
    let after = (last - WINDOW).max(0);
    let asked = ledger.known(lane, after);
    let select = "SELECT number FROM entries WHERE lane = $1 AND number > $2 ORDER BY number";
    let values = [Value::Int4(lane), Value::Int4(after)];
    let reading = async {
        let data = client.data().reading(from);
        let rows = data.query(DATABASE, select, &values).await?;
        let executed = rows.executed();
        Ok::<_, Error>((executed, rows.collect().await?))
    };
    let (executed, rows) = match tokio::time::timeout(ACT_MAX, reading).await {
        Err(_) => {
            ledger.broken(format!("reading from {from:?} hangs"));
            return false;
        }
        Ok(Err(error)) => {
            ledger.count(format!("read {from:?}: refused"));
            if !error.retryable() && !is_lost(&error) {
                ledger.broken(format!("reading from {from:?}: {error}"));
            }
            return false;
        }
        Ok(Ok(read)) => read,
    };
    let seen: BTreeSet<(i32, i32)> = rows
        .iter()
        .filter_map(|row| match row.first() {
            Some(Value::Int4(number)) => Some((lane, *number)),
            _ => None,
        })
        .collect();
    let role = executed.ran_on.map(|(_, role)| role.to_string());
    let role = role.unwrap_or_default();
    ledger.count(format!("read {from:?}: answered by a {role}"));
    let position: Position = executed.position;
    ledger.judge(&asked, &seen, position, &role);
    true
}

/// A result whose Host was lost while it was read.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Statement(fault) => matches!(fault.state.as_str(), "57P01" | "08006" | "08007"),
        other => other.code() == Some(Code::NotFound),
    }
}
