//! Many small objects.

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;

use super::{
    super::{Figure, many::Many, sample::rate},
    LARGE_MAX, SMALL, Scene,
    door::Door,
    noise,
};

/// How many are on their way at a time.
const AT_A_TIME: [usize; 3] = [1, 16, 64];
/// Lines of a page.
const PAGE: usize = 1000;
const PAGES_AIM: f64 = 500.0;

pub(super) fn measure(scene: &Scene, door: &Door, policy: &str) -> anyhow::Result<Vec<Figure>> {
    let bytes = noise(SMALL);
    let mut figures = Vec::new();
    for at_a_time in AT_A_TIME {
        let count = scene.bench.count(200, 30) * at_a_time.isqrt() * 2;
        let key = |number: usize| format!("{}/{at_a_time}/{number:06}", door.name());
        let name = |what: &str| {
            format!(
                "{}: {what} 4 KiB objects, {policy}, {at_a_time} at a time",
                door.name()
            )
        };
        let put = Many::run(scene.bench, LARGE_MAX, (count, at_a_time), |number| {
            let (key, bytes) = (key(number), bytes.clone());
            async move { door.put(&key, bytes).await }
        })?;
        let get = Many::run(scene.bench, LARGE_MAX, (count, at_a_time), |number| {
            let (key, expected) = (key(number), bytes.clone());
            async move { get_one(door, &key, &expected).await }
        })?;
        figures.push(
            put.figure(name("put"))
                .beside("4 KiB appended and synced", scene.machine.synced),
        );
        figures.push(get.figure(name("get")));
    }
    Ok(figures)
}

async fn get_one(door: &Door, key: &str, expected: &Bytes) -> anyhow::Result<()> {
    let mut read = Vec::with_capacity(SMALL);
    door.get(key, |piece| {
        read.extend_from_slice(piece);
        Ok(())
    })
    .await?;
    ensure!(read == expected[..], "other bytes came back");
    Ok(())
}

/// Pages that are on their way at a time where nobody takes them apart.
const PAGES_AT_A_TIME: usize = 4;

/// Lists all that is there, page after page as programs do; and fetches the first
/// page of S3 again and again without reading what it says, which is the door's
/// share of that.
pub(super) fn list(scene: &Scene, doors: &[Door]) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for door in doors {
        figures.push(listed(scene, door)?);
        if let Some(url) = scene.bench.wait(door.page_url("SDK"))? {
            figures.push(fetched(scene, door, &url)?);
        }
    }
    Ok(figures)
}

fn listed(scene: &Scene, door: &Door) -> anyhow::Result<Figure> {
    let (mut objects, mut pages) = (0, 0);
    let began = Instant::now();
    for _ in 0..scene.bench.count(20, 2) {
        objects = scene.bench.wait_within(LARGE_MAX, door.count("SDK"))?;
        pages += objects.div_ceil(PAGE);
    }
    let value = rate(pages, began.elapsed());
    let name = format!("{}: pages of lists", door.name());
    Ok(Figure::new(name, value, "1/s")
        .note(format!("of {objects} objects, {PAGE} to a page at most")))
}

fn fetched(scene: &Scene, door: &Door, url: &str) -> anyhow::Result<Figure> {
    let client = reqwest::Client::new();
    let count = scene.bench.count(1000, 50);
    let many = Many::run(scene.bench, LARGE_MAX, (count, PAGES_AT_A_TIME), |_| {
        let page = client.get(url);
        async move {
            let page = page.send().await?.error_for_status()?.bytes().await?;
            ensure!(page.ends_with(b"</ListBucketResult>"), "the page is cut");
            Ok(())
        }
    })?;
    let name = format!(
        "{}: pages of lists, not taken apart, {PAGES_AT_A_TIME} at a time",
        door.name()
    );
    Ok(many.figure(name).aim("500 pages/s", many.rate >= PAGES_AIM))
}
