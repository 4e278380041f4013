//! Point reads, as `pgbench -S` makes them, with and without rules.

use anyhow::ensure;
use gridmart_schemas::{data::Value, wire::data::ReadFrom};
use gridmart_sdk::Data;

use super::{
    super::{Figure, many::Many},
    ACCOUNTS, BRANCHES, DATABASE, LARGE_MAX, Scene, limit,
};

/// How many are on their way at a time.
const AT_A_TIME: [usize; 2] = [1, 16];
/// What rules may cost of a read's rate.
const RULES_AIM: f64 = 0.9;

pub(super) fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let count = scene.bench.count(20_000, 500);
    let alone = limit::point_reads(count)?;
    let mut figures = Vec::new();
    for at_a_time in AT_A_TIME {
        let run = |data: &Data| {
            Many::run(
                scene.bench,
                LARGE_MAX,
                (count / 16 * at_a_time.isqrt(), at_a_time),
                |number| {
                    let data = data.clone().reading(ReadFrom::Core);
                    async move { read_one(&data, number).await }
                },
            )
        };
        run(&scene.owner)?;
        run(&scene.clerk)?;
        let name = |rules: &str| format!("SDK: point reads {rules}, {at_a_time} at a time");
        let open = run(&scene.owner)?;
        let guarded = run(&scene.clerk)?;
        figures.push(
            open.figure(name("without rules"))
                .beside("SQLite in one process", alone),
        );
        figures.push(
            guarded
                .figure(name("with a row rule and a mask"))
                .aim("0.9 of that without", guarded.rate >= RULES_AIM * open.rate),
        );
    }
    Ok(figures)
}

/// Reads a row that both people see.
async fn read_one(data: &Data, number: usize) -> anyhow::Result<()> {
    let tens = i32::try_from(number * 7919 % 10_000)?;
    let id = (tens * BRANCHES) % ACCOUNTS;
    let text = "SELECT balance, filler FROM accounts WHERE id = $1";
    let rows = data.query(DATABASE, text, &[Value::Int4(id)]).await?;
    let rows = rows.collect().await?;
    ensure!(rows.len() == 1, "the account {id} was not found");
    Ok(())
}
