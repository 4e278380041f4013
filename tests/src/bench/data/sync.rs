//! How shadows follow: from a commit to its being seen on a shadow, and how fast one
//! that was away catches up.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use gridmart_schemas::{
    api::database::DatabaseCreateRequest, data::Value, resource::enumeration::DataEngine,
    wire::data::ReadFrom,
};
use gridmart_sdk::Data;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{
    super::{
        Figure,
        sample::{Sample, milliseconds, rate},
    },
    DATABASE, HOSTS, LARGE_MAX, LEDGER, Scene,
};

/// Commits a second under which the delay is measured.
pub(super) const COMMITS_PER_SECOND: u32 = 1000;
const DELAY_AIM: Duration = Duration::from_millis(1);
const CATCH_UP_AIM: f64 = 75_000.0;
/// Where the rows of the delay begin.
const DELAY_FROM: i64 = 1_000_000_000;
/// The database whose shadow stays behind.
const BEHIND: &str = "behind";
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Commits at a time while a shadow is away.
const AT_A_TIME: usize = 64;
const INSERT: &str = "INSERT INTO ledger VALUES ($1, $2)";

pub(super) fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    Ok(vec![
        delay(scene).context("the delay")?,
        catch_up(scene).context("catching up")?,
    ])
}

async fn insert(data: &Data, database: &str, id: i64) -> anyhow::Result<()> {
    let values = [Value::Int8(id), Value::Text("a word".to_owned())];
    data.execute(database, INSERT, &values).await?;
    Ok(())
}

/// The last row that is seen.
async fn last_on(data: &Data, database: &str) -> anyhow::Result<i64> {
    let text = "SELECT max(id) FROM ledger";
    let rows = data.query(database, text, &[]).await?.collect().await?;
    match rows.first().and_then(|row| row.first()) {
        Some(Value::Int8(id)) => Ok(*id),
        other => bail!("a number was expected, not {other:?}"),
    }
}

/// Numbers from 0, as many a second as are committed.
pub(super) fn at_a_rate(count: usize) -> impl Stream<Item = usize> {
    let mut tick = interval(Duration::from_secs(1) / COMMITS_PER_SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let numbers = stream::unfold((tick, 0), |(mut tick, number)| async move {
        tick.tick().await;
        Some((number, (tick, number + 1)))
    });
    numbers.take(count)
}

/// A look at what is there.
pub(super) struct Look {
    /// The last row that it showed.
    pub(super) last: i64,
    began: Instant,
    ended: Instant,
}

impl Look {
    /// One that ends now.
    pub(super) fn ended(began: Instant, last: i64) -> Self {
        let ended = Instant::now();
        Self { last, began, ended }
    }
}

/// From when each row was acknowledged to the first look that showed it: it was there
/// between the look's begin and its end.
pub(super) struct Delays {
    /// To the look's end.
    pub(super) most: Sample,
    /// To its begin.
    least: Sample,
}

impl Delays {
    pub(super) fn of(written: &[(i64, Instant)], looks: &[Look]) -> Self {
        let to = |of: fn(&Look) -> Instant| {
            let shown = |(id, at): &(i64, Instant)| {
                let first = looks.partition_point(|look| look.last < *id);
                let look = looks.get(first)?;
                Some(of(look).saturating_duration_since(*at))
            };
            written.iter().filter_map(shown).collect()
        };
        Self {
            most: to(|look| look.ended),
            least: to(|look| look.began),
        }
    }

    /// What a reader has to know of how it was looked.
    pub(super) fn note(&self) -> String {
        let times = |of: &Sample| {
            let (p50, p99) = (of.median(), of.quantile(0.99));
            format!(
                "p50 {:.2}, p99 {:.2} ms",
                milliseconds(p50),
                milliseconds(p99)
            )
        };
        let (most, least) = (times(&self.most), times(&self.least));
        format!("to the end of the look that shows it: {most}; to its begin: {least}")
    }
}

/// Writes at a steady rate, and looks at the shadows all the time; another client
/// looks, so that no read waits for writes of its own.
fn delay(scene: &Scene) -> anyhow::Result<Figure> {
    let count = i64::try_from(scene.bench.count(10_000, 500))?;
    let reader = scene.market.client();
    let looking = reader.data().reading(ReadFrom::Shadow);
    let (told, heard) = tokio::sync::watch::channel(());
    let begun = Instant::now();
    let writing = async {
        let written = at_a_rate(usize::try_from(count)?).map(|number| {
            let data = scene.owner.clone();
            async move {
                let id = DELAY_FROM + i64::try_from(number)?;
                insert(&data, DATABASE, id).await?;
                anyhow::Ok((id, Instant::now()))
            }
        });
        let written: Vec<_> = written.buffered(AT_A_TIME).try_collect().await?;
        let _ = told.send(());
        anyhow::Ok((written, begun.elapsed()))
    };
    let watching = async {
        let mut seen = Vec::new();
        loop {
            let is_over = heard.has_changed().unwrap_or(true);
            let look = Instant::now();
            let last = last_on(&looking, DATABASE).await?;
            seen.push(Look::ended(look, last));
            if is_over && last >= DELAY_FROM + count - 1 {
                return anyhow::Ok(seen);
            }
        }
    };
    let ((written, wall), seen) = scene
        .bench
        .wait_within(LARGE_MAX, async { tokio::try_join!(writing, watching) })?;
    scene.bench.runtime.block_on(reader.close());
    let delays = Delays::of(&written, &seen);
    let p99 = delays.most.quantile(0.99);
    let looks = rate(seen.len(), wall);
    Ok(Figure::new(
        "from an acknowledged commit to its being seen on a shadow, p99",
        milliseconds(p99),
        "ms",
    )
    .aim("1 ms", p99 <= DELAY_AIM)
    .note(format!(
        "{}; {:.0} commits/s, {looks:.0} looks/s",
        delays.note(),
        rate(written.len(), wall),
    )))
}

/// The Host of the only shadow is halted while rows are committed, each in a
/// transaction of its own; measured is from its going on to its showing the last one.
fn catch_up(scene: &Scene) -> anyhow::Result<Figure> {
    let bench = scene.bench;
    let count = bench.count(50_000, 1_000);
    let data = &scene.owner;
    let made = bench.wait(async {
        let wanted = DatabaseCreateRequest {
            name: BEHIND.parse()?,
            element: None,
            shadows: 1,
            engine: DataEngine::default(),
            shadow_engine: None,
        };
        let made = data.database_create(&wanted).await?;
        data.execute(BEHIND, LEDGER, &[]).await?;
        Ok(made)
    })?;
    let shadow = made.database.shadows().next();
    let shadow = shadow.context("the database has no shadow")?.to_string();
    let market = scene.market;
    let mut roles = (1..=HOSTS).map(|number| format!("data-{number}"));
    let role = roles.find(|role| market.role_node(role) == shadow);
    let role = role.context("the shadow's Host is no role")?;
    market.freeze(&role);
    let begun = Instant::now();
    bench.wait_within(LARGE_MAX, async {
        let written = stream::iter(0..count)
            .map(|number| async move { insert(data, BEHIND, i64::try_from(number)?).await });
        let written = written.buffer_unordered(AT_A_TIME);
        written.try_collect::<()>().await
    })?;
    let written = rate(count, begun.elapsed());
    market.thaw(&role);
    let begun = Instant::now();
    bench.wait_within(LARGE_MAX, async {
        let looking = data.clone().reading(ReadFrom::Shadow);
        let last = i64::try_from(count)? - 1;
        // While it is taken for lost nobody answers.
        while !matches!(last_on(&looking, BEHIND).await, Ok(found) if found == last) {
            sleep(LOOK_PAUSE).await;
        }
        Ok(())
    })?;
    let value = rate(count, begun.elapsed());
    let name = "catch-up of a shadow that was away, from its Host's going on";
    Ok(Figure::new(name, value, "rows/s")
        .aim("75,000 rows/s", value >= CATCH_UP_AIM)
        .note(format!(
            "{count} transactions of one row, written at {written:.0}/s; its finding its core \
             again is part of it"
        )))
}
