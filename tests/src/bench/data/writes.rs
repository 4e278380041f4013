//! Commits of one row each.

use gridmart_schemas::data::Value;

use super::{
    super::{Figure, many::Many},
    DATABASE, LARGE_MAX, Scene, limit,
};

/// How many are on their way at a time.
const AT_A_TIME: [usize; 3] = [1, 16, 64];

pub(super) fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let alone = limit::commits(scene.bench.count(2_000, 200))?;
    let mut figures = Vec::new();
    for at_a_time in AT_A_TIME {
        let count = scene.bench.count(500, 30) * at_a_time.isqrt() * 2;
        let done = Many::run(scene.bench, LARGE_MAX, (count, at_a_time), |number| {
            let data = scene.owner.clone();
            async move {
                let id = i64::try_from(at_a_time * 1_000_000 + number)?;
                let values = [Value::Int8(id), Value::Text("a word".to_owned())];
                let text = "INSERT INTO ledger VALUES ($1, $2)";
                data.execute(DATABASE, text, &values).await?;
                Ok(())
            }
        })?;
        let name = format!("SDK: commits of one row, two shadows, {at_a_time} at a time");
        figures.push(
            done.figure(name)
                .beside("commits of SQLite, one after the other", alone),
        );
    }
    Ok(figures)
}
