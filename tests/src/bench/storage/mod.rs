//! Objects, through the SDK and through S3: large and small ones, and repair.

mod cost;
mod door;
mod large;
mod limit;
mod repair;
mod small;

use std::time::Duration;

use bytes::Bytes;
use gridmart_schemas::api::{access_key::AccessKeyCreate, bucket::BucketCreateRequest};
use gridmart_sdk::Storage;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use self::{door::Door, limit::Limits};
use super::{Bench, Figure};
use crate::Supermarket;

const HOSTS: u32 = 7;
const MIB: usize = 1024 * 1024;
/// Bytes of a small object.
const SMALL: usize = 4096;
/// Time for what is large, or many.
const LARGE_MAX: Duration = Duration::from_mins(10);

/// What all measurements use.
struct Scene<'a> {
    bench: &'a Bench,
    market: &'a Supermarket,
    machine: Limits,
    /// A large object's.
    bytes: Bytes,
}

impl Scene<'_> {
    fn mebibytes(&self) -> usize {
        self.bytes.len() / MIB
    }
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let bytes = noise(bench.count(1024, 128) * MIB);
    let machine = Limits::measure(&bytes)?;
    let market = Supermarket::builder()
        .hosts(0)
        .storage_hosts(HOSTS)
        // Reads around dead Hosts are measured before repair begins.
        .repair_delay("60s")
        // What it can make, not what it is allowed where nothing is said.
        .repair_rate("1GiB")
        .start();
    market.wait_resource("se-1", "well", |row| row["health_state"] == "ok");
    let client = market.client();
    let storage = client.storage();
    let key = bench.wait(async {
        let wanted = AccessKeyCreate {
            label: "bench".to_owned(),
        };
        Ok(client.access_keys().create(None, &wanted).await?)
    })?;
    let scene = Scene {
        bench,
        market: &market,
        machine,
        bytes,
    };
    let mut figures = Vec::new();
    for policy in ["rs(4,2)", "replica(3)"] {
        let bucket = bucket_of(bench, &storage, policy)?;
        let doors = [
            Door::Sdk(storage.clone(), bucket.clone()),
            Door::s3(&key, &bucket)?,
        ];
        for door in &doors {
            figures.extend(large::measure(&scene, door, policy)?);
            figures.extend(small::measure(&scene, door, policy)?);
        }
        if policy == "rs(4,2)" {
            figures.extend(small::list(&scene, &doors)?);
        }
    }
    figures.extend(large::degraded(&scene, &Door::s3(&key, "rs-4-2")?)?);
    let (element, host) = cost::peaks(&market);
    figures.push(repair::measure(&market)?.note(format!(
        "the most memory that the Element ever had was {element} MiB, of a Host {host} MiB"
    )));
    bench.runtime.block_on(client.close());
    market.stop();
    Ok(figures)
}

fn noise(size: usize) -> Bytes {
    let mut noise = vec![0; size];
    StdRng::seed_from_u64(1).fill(&mut noise[..]);
    noise.into()
}

fn bucket_of(bench: &Bench, storage: &Storage, policy: &str) -> anyhow::Result<String> {
    let name = policy.replace(['(', ')', ','], "-");
    let name = name.trim_end_matches('-').to_owned();
    let wanted = BucketCreateRequest {
        name: name.parse()?,
        element: None,
        redundancy: Some(policy.parse()?),
        quota_bytes: None,
        quota_objects: None,
        allow_degraded: None,
    };
    bench.wait(async { Ok(storage.bucket_create(&wanted).await?) })?;
    Ok(name)
}
