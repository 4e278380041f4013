//! Reads by the number of shadows that answer them: how many a second, and what one costs.

use std::time::Duration;

use gridmart_schemas::{
    api::database::DatabaseCreateRequest, data::Value, resource::enumeration::DataEngine,
    wire::data::ReadFrom,
};

use super::{
    super::{Figure, many::Many},
    HOSTS, LARGE_MAX, Scene,
};
use crate::{LONG, processes::tree_cpu, wait_for};

/// Reads on their way at a time.
const AT_A_TIME: usize = 16;
/// Rows of the table.
const ROWS: i32 = 1000;

pub(super) fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    (1..HOSTS).map(|shadows| with(scene, shadows)).collect()
}

fn with(scene: &Scene, shadows: u32) -> anyhow::Result<Figure> {
    let (bench, database) = (scene.bench, format!("shadows{shadows}"));
    database_make(scene, &database, shadows)?;
    let looking = scene.owner.clone().reading(ReadFrom::Shadow);
    let read = |number: usize| {
        let (data, database) = (looking.clone(), database.clone());
        async move {
            let id = i32::try_from(number)? * 7 % ROWS;
            let text = "SELECT word FROM words WHERE id = $1";
            let rows = data.query(&database, text, &[Value::Int4(id)]).await?;
            anyhow::ensure!(
                rows.collect().await?.len() == 1,
                "the row {id} was not found"
            );
            Ok(())
        }
    };
    let count = bench.count(20_000, 500);
    Many::run(bench, LARGE_MAX, (count / 4, AT_A_TIME), read)?;
    let before = tree_cpu(scene.market.pid());
    let reads = Many::run(bench, LARGE_MAX, (count, AT_A_TIME), read)?;
    let used = tree_cpu(scene.market.pid()).saturating_sub(before);
    let each = used / u32::try_from(count)?;
    let name = format!("SDK: point reads on shadows, {AT_A_TIME} at a time, shadows: {shadows}");
    Ok(reads.figure_with(
        name,
        &format!("{} µs of CPU each at the roles", Duration::as_micros(&each)),
    ))
}

fn database_make(scene: &Scene, database: &str, shadows: u32) -> anyhow::Result<()> {
    let wanted = DatabaseCreateRequest {
        name: database.parse()?,
        element: None,
        shadows,
        engine: DataEngine::default(),
        shadow_engine: None,
    };
    let data = &scene.owner;
    let rows: Vec<_> = (0..ROWS).map(|id| format!("({id}, 'a word')")).collect();
    let rows = format!("INSERT INTO words VALUES {}", rows.join(", "));
    scene.bench.wait(async {
        data.database_create(&wanted).await?;
        let table = "CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL)";
        data.execute(database, table, &[]).await?;
        data.execute(database, &rows, &[]).await?;
        Ok(())
    })?;
    let looking = data.clone().reading(ReadFrom::Shadow);
    wait_for(LONG, "shadows answer", || {
        let counted = scene.bench.runtime.block_on(async {
            let text = "SELECT count(*) FROM words";
            looking.query(database, text, &[]).await?.collect().await
        });
        match counted {
            Ok(rows) if rows == [[Value::Int8(i64::from(ROWS))]] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    Ok(())
}
