//! Objects: puts and gets through the SDK, and repair.

use std::{
    fs::File,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use gridmart_fabric::block::codec_of;
use gridmart_schemas::{api::bucket::BucketCreateRequest, storage::Redundancy};
use gridmart_sdk::Storage;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Bench, Figure, sample::rate};
use crate::{
    Supermarket,
    wait::{LONG, wait_for},
};

const HOSTS: u32 = 7;
const MIB: usize = 1024 * 1024;
/// Bytes of a small object.
const SMALL: usize = 4096;
/// Small objects that are on their way at a time.
const AT_A_TIME: usize = 16;
/// Stripes are coded so much at a time.
const STRIPE: usize = 16 * MIB;
/// The Element's `RepairRate` where nobody has said another.
const REPAIR_RATE_MIB: f64 = 32.0;
/// Time for one large object.
const LARGE_MAX: Duration = Duration::from_mins(5);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let large = bench.count(1024, 128) * MIB;
    let small = bench.count(2000, 200);
    let bytes = noise(large);
    let machine = Limits::measure(&bytes)?;
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(HOSTS)
        .repair_delay("2s")
        .start();
    market.wait_resource("se-1", "well", |row| row["health_state"] == "ok");
    let client = market.client();
    let storage = client.storage();
    let mut figures = Vec::new();
    for policy in ["rs(4,2)", "replica(3)"] {
        let bucket = bucket_of(bench, &storage, policy)?;
        figures.extend(large_figures(
            bench,
            &storage,
            (&bucket, policy),
            &bytes,
            machine,
        )?);
        figures.extend(small_figures(
            bench,
            &storage,
            (&bucket, policy),
            small,
            machine,
        )?);
    }
    figures.push(repair(&market)?);
    bench.runtime.block_on(client.close());
    market.stop();
    Ok(figures)
}

fn noise(size: usize) -> Bytes {
    let mut noise = vec![0; size];
    StdRng::seed_from_u64(1).fill(&mut noise[..]);
    noise.into()
}

/// What the machine does with the same bytes, in MiB a second each; and small
/// synced writes a second.
#[derive(Clone, Copy)]
struct Limits {
    written: f64,
    hashed: f64,
    coded: f64,
    synced: f64,
}

impl Limits {
    fn measure(bytes: &Bytes) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mebibytes = |wall: Duration| rate(bytes.len() / MIB, wall);
        let began = Instant::now();
        let mut file = File::create(folder.path().join("copy"))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let written = mebibytes(began.elapsed());
        let began = Instant::now();
        std::hint::black_box(blake3::hash(bytes));
        let hashed = mebibytes(began.elapsed());
        let began = Instant::now();
        let reed_solomon = codec_of(Redundancy::rs(4, 2)?);
        for at in (0..bytes.len()).step_by(STRIPE) {
            let stripe = bytes.slice(at..(at + STRIPE).min(bytes.len()));
            std::hint::black_box(reed_solomon.encode(&stripe)?);
        }
        let coded = mebibytes(began.elapsed());
        let began = Instant::now();
        let syncs = 200;
        for _ in 0..syncs {
            file.write_all(&bytes[..SMALL])?;
            file.sync_data()?;
        }
        Ok(Self {
            written,
            hashed,
            coded,
            synced: rate(syncs, began.elapsed()),
        })
    }
}

fn bucket_of(bench: &Bench, storage: &Storage, policy: &str) -> anyhow::Result<String> {
    let name = policy.replace(['(', ')', ','], "-").replace("--", "-");
    let name = name.trim_end_matches('-').to_owned();
    let wanted = BucketCreateRequest {
        name: name.parse()?,
        element: None,
        redundancy: Some(policy.parse()?),
        quota_bytes: None,
        quota_objects: None,
    };
    bench.wait(async { Ok(storage.bucket_create(&wanted).await?) })?;
    Ok(name)
}

fn large_figures(
    bench: &Bench,
    storage: &Storage,
    (bucket, policy): (&str, &str),
    bytes: &Bytes,
    machine: Limits,
) -> anyhow::Result<[Figure; 2]> {
    let mebibytes = bytes.len() / MIB;
    let began = Instant::now();
    bench.wait_within(LARGE_MAX, async {
        Ok(storage.put(bucket, "large").bytes(bytes.clone()).await?)
    })?;
    let put = rate(mebibytes, began.elapsed());
    let began = Instant::now();
    let read = bench.wait_within(LARGE_MAX, async {
        let mut reader = storage.get(bucket, "large").open().await?;
        let mut read = 0;
        while let Some(piece) = reader.next().await? {
            if piece[..] != bytes[read..read + piece.len()] {
                bail!("other bytes came back");
            }
            read += piece.len();
        }
        Ok(read)
    })?;
    if read != bytes.len() {
        bail!("{read} bytes came back");
    }
    let get = rate(mebibytes, began.elapsed());
    let figure = |what: &str, value| {
        Figure::new(format!("{what} {mebibytes} MiB, {policy}"), value, "MiB/s")
            .beside("one file, synced", machine.written)
            .beside("BLAKE3, one thread", machine.hashed)
            .beside("Reed-Solomon rs(4,2), one thread", machine.coded)
    };
    let copies = format!("{HOSTS} Hosts and the program share this machine's disk and processors");
    Ok([figure("put", put).note(copies), figure("get", get)])
}

fn small_figures(
    bench: &Bench,
    storage: &Storage,
    (bucket, policy): (&str, &str),
    count: usize,
    machine: Limits,
) -> anyhow::Result<[Figure; 2]> {
    let bytes = noise(SMALL);
    let began = Instant::now();
    bench.wait(async {
        let puts = futures_util::stream::iter(0..count).map(|number| {
            let key = format!("small/{number}");
            storage.put(bucket, key).bytes(bytes.clone())
        });
        puts.buffer_unordered(AT_A_TIME)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        Ok(())
    })?;
    let put = rate(count, began.elapsed());
    let began = Instant::now();
    let expected = Arc::new(bytes);
    bench.wait(async {
        let gets = futures_util::stream::iter(0..count)
            .map(|number| storage.get(bucket, format!("small/{number}")).bytes());
        let mut gets = gets.buffer_unordered(AT_A_TIME);
        while let Some(got) = gets.next().await {
            if got? != *expected {
                bail!("other bytes came back");
            }
        }
        Ok(())
    })?;
    let get = rate(count, began.elapsed());
    let name = |what: &str| format!("{what} 4 KiB objects, {policy}, {AT_A_TIME} at a time");
    Ok([
        Figure::new(name("put"), put, "1/s").beside("4 KiB appended and synced", machine.synced),
        Figure::new(name("get"), get, "1/s"),
    ])
}

/// A Host dies; its blocks are made anew on the others.
fn repair(market: &Supermarket) -> anyhow::Result<Figure> {
    market.kill9("storage-7");
    let certificate = wait_for(LONG * 10, "all that was lost is made anew", || {
        let run = market.cli(&["--json", "show", "se-1"]);
        if run.code != 0 {
            return Err(run.stderr);
        }
        let shown: serde_json::Value = run.json();
        let heal = shown["heals"]["heals"][0]["certificate"].clone();
        if shown["heals"]["blocks_lost"] == 0 && heal.is_object() {
            Ok(heal)
        } else {
            Err(shown["heals"]["blocks_lost"].to_string())
        }
    });
    let number = |name: &str| certificate[name].as_u64().context("a certificate's number");
    let moment = |name: &str| -> anyhow::Result<time::OffsetDateTime> {
        Ok(
            serde_json::from_value(certificate[name].clone()).or_else(|_| {
                let text = certificate[name].as_str().unwrap_or_default();
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
            })?,
        )
    };
    let took = Duration::try_from(moment("ended")? - moment("began")?)?;
    let mebibytes = number("bytes")? / MIB as u64;
    let value = rate(usize::try_from(mebibytes)?, took);
    Ok(Figure::new("repair of a dead Host", value, "MiB/s")
        .beside("RepairRate, sources included", REPAIR_RATE_MIB)
        .note(format!(
            "{} blocks, {mebibytes} MiB in {:.0} s; bytes that were made anew and read back",
            number("blocks_rebuilt")?,
            took.as_secs_f64()
        )))
}
