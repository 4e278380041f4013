//! An operator who drains Hosts, often thinks better of it, and has the Hosts
//! balanced.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use gridmart_schemas::{
    api::layout::LayoutRequest,
    problem::Code,
    wire::layout::{LayoutPlace, LayoutTold},
};
use gridmart_sdk::{Client, Error};
use rand::{RngExt as _, rngs::StdRng};
use serde_json::Value;

use super::{GONE_MAX, HOSTS, ledger::Ledger, load::is_fault};
use crate::{
    supermarket::Supermarket,
    wait::{LONG, wait_for},
};

/// The Element.
const ELEMENT: &str = "se-1";
/// No answer takes longer.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// Longest time between two looks, in seconds.
const PAUSE_MAX: f64 = 3.0;
/// What an operator is told who comes too late, or asks too much.
const REFUSALS: &[Code] = &[
    Code::InvalidRequest,
    Code::NotFound,
    Code::StorageDegraded,
    Code::GenerationConflict,
];

/// Acts until it is over; then takes back what has not come to its end.
pub(super) fn go_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, mut dice: StdRng) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let client = market.client();
        while !over.load(Ordering::Relaxed) {
            act(&client, ledger, &mut dice).await;
            let pause = dice.random_range(0.0..PAUSE_MAX);
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        }
        client.close().await;
    });
}

async fn act(client: &Client, ledger: &Ledger, dice: &mut StdRng) {
    let resources = client.resources();
    let host = format!("storage-{}", dice.random_range(1..=HOSTS));
    let is_rebalance = dice.random_ratio(1, 5);
    let is_applied = dice.random_ratio(4, 5);
    let is_reverted = dice.random_ratio(1, 2);
    let showing = bounded(ledger, "layout show", resources.layout(ELEMENT)).await;
    let Some(told) = showing else { return };
    if told.applied.is_some() {
        // Sometimes it comes to its end.
        if is_reverted {
            bounded(ledger, "layout revert", resources.layout_revert(ELEMENT)).await;
        }
        return;
    }
    let wanted = LayoutRequest {
        drain: Vec::from_iter((!is_rebalance && gone(&told) < GONE_MAX).then_some(host)),
        rebalance: is_rebalance,
    };
    if wanted.drain.is_empty() && !wanted.rebalance {
        return;
    }
    let staging = resources.layout_stage(ELEMENT, &wanted);
    if bounded(ledger, "layout stage", staging).await.is_some() && is_applied {
        bounded(ledger, "layout apply", resources.layout_apply(ELEMENT)).await;
    }
}

fn gone(told: &LayoutTold) -> usize {
    let hosts = told.hosts.iter();
    hosts
        .filter(|host| host.place == LayoutPlace::Removed)
        .count()
}

/// The answer, if there is one.
async fn bounded<T>(
    ledger: &Ledger,
    what: &str,
    act: impl Future<Output = Result<T, Error>>,
) -> Option<T> {
    match tokio::time::timeout(ANSWER_MAX, act).await {
        Err(_) => {
            ledger.broken(format!("{what} hangs"));
            None
        }
        Ok(Ok(answer)) => {
            ledger.count(what);
            Some(answer)
        }
        Ok(Err(error)) => {
            let code = error.code();
            let named = code.map_or("nobody there", |code| code.as_str());
            ledger.count(format!("{what}: {named}"));
            if !is_fault(&error) && !code.is_some_and(|code| REFUSALS.contains(&code)) {
                ledger.broken(format!("{what}: {named}: {error}"));
            }
            None
        }
    }
}

fn shown(market: &Supermarket) -> Result<Value, String> {
    let run = market.cli(&["--json", "layout", "show"]);
    if run.code == 0 {
        Ok(run.json())
    } else {
        Err(run.stderr)
    }
}

/// Lets what is applied come to its end, or takes it back.
pub(super) fn settle(market: &Supermarket) {
    wait_for(LONG, "no layout is under way", || {
        let told = shown(market)?;
        if told["applied"].is_null() {
            return Ok(());
        }
        let _ = market.cli(&["layout", "revert"]);
        Err(told["applied"].to_string())
    });
}

/// Waits until no block is named on these Hosts.
pub(super) fn wait_emptied(market: &Supermarket, names: &[String], limit: Duration) {
    wait_for(limit, "their blocks are on others", || {
        let told = shown(market)?;
        let hosts = told["hosts"].as_array().into_iter().flatten();
        let asked = hosts.filter(|host| names.iter().any(|name| host["name"] == name.as_str()));
        let blocks: u64 = asked.filter_map(|host| host["blocks"].as_u64()).sum();
        (blocks == 0)
            .then_some(())
            .ok_or(format!("{blocks} blocks"))
    });
}
