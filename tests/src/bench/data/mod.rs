//! Databases: statements with and without rules, commits, and how shadows follow.

mod limit;
mod reads;
mod replication;
mod scaling;
mod sync;
mod writes;

use std::time::Duration;

use anyhow::Context as _;
use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest},
    resource::enumeration::DataEngine,
};
use gridmart_sdk::{Client, Data, Settings};
use serde_json::json;

use super::{Bench, Figure};
use crate::{LONG, Supermarket, wait_for};

/// Hosts: a core's, and those of the most shadows.
const HOSTS: u32 = 4;
/// Shadows of the database that is written to.
const SHADOWS: u32 = 2;
const DATABASE: &str = "bench";
/// Rows of the table that is read, as `pgbench` makes them at scale 1.
const ACCOUNTS: i32 = 100_000;
/// Of `ACCOUNTS` rows, what `WHO` sees.
const BRANCHES: i32 = 10;
/// Who reads under rules.
const WHO: &str = "clerk";
/// The table that is written to.
const LEDGER: &str = "CREATE TABLE ledger (id bigint PRIMARY KEY, word text NOT NULL)";
/// Time for what takes many statements.
const LARGE_MAX: Duration = Duration::from_mins(10);

/// What all measurements use.
struct Scene<'a> {
    bench: &'a Bench,
    market: &'a Supermarket,
    /// Sees and writes everything.
    owner: Data,
    /// Sees some rows, and one column masked.
    clerk: Data,
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let market = Supermarket::builder().hosts(0).data_hosts(HOSTS).start();
    let owner = market.client();
    let clerk = clerk(&market)?;
    database_make(bench, &owner.data())?;
    let scene = Scene {
        bench,
        market: &market,
        owner: owner.data(),
        clerk: clerk.data(),
    };
    let mut figures = reads::measure(&scene).context("reads")?;
    figures.extend(scaling::measure(&scene).context("reads by shadows")?);
    figures.extend(writes::measure(&scene).context("writes")?);
    figures.extend(sync::measure(&scene)?);
    bench.runtime.block_on(async {
        owner.close().await;
        clerk.close().await;
    });
    market.stop();
    figures.push(replication::measure(bench).context("PostgreSQL's own replication")?);
    Ok(figures)
}

/// A client of somebody who sees less.
fn clerk(market: &Supermarket) -> anyhow::Result<Client> {
    let add = ["people", "add", WHO, "--role", "user"];
    market.cli_with(&add, "correct horse battery staple\n").ok();
    let words = ["token", "api", "create", "--person", WHO];
    let settings = Settings {
        token: market.cli(&words).ok().text(),
        ..market.settings()
    };
    Ok(Client::connect(settings)?)
}

fn database_make(bench: &Bench, data: &Data) -> anyhow::Result<()> {
    let wanted = DatabaseCreateRequest {
        name: DATABASE.parse()?,
        element: None,
        shadows: SHADOWS,
        engine: DataEngine::default(),
        shadow_engine: None,
    };
    wait_for(LONG, "a database is made", || {
        let made = bench.runtime.block_on(data.database_create(&wanted));
        made.map_err(|error| error.to_string())
    });
    let digits = "INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)";
    let accounts = format!(
        "INSERT INTO accounts SELECT n, n % {BRANCHES}, n * 7 % 1000, repeat('x', 84) FROM \
         (SELECT a.d * 10000 + b.d * 1000 + c.d * 100 + e.d * 10 + f.d AS n \
         FROM digits a, digits b, digits c, digits e, digits f) numbers"
    );
    let rules = json!([{
        "who": format!("user:{WHO}"),
        "operations": ["read"],
        "table": "accounts",
        "columns": [{"name": "filler", "mask": "left(filler, 4)"}],
        "rows": "branch < 5",
    }]);
    let change = DatabaseChangeRequest {
        rules: Some(serde_json::from_value(rules)?),
    };
    bench.wait_within(LARGE_MAX, async {
        for statement in [
            "CREATE TABLE digits (d int PRIMARY KEY)",
            digits,
            "CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, \
             balance int NOT NULL, filler text NOT NULL)",
            &accounts,
            LEDGER,
        ] {
            let done = data.execute(DATABASE, statement, &[]).await;
            done.with_context(|| statement.to_owned())?;
        }
        data.database_change(DATABASE, &change).await?;
        Ok(())
    })
}
