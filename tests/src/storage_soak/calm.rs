//! When it is calm again: everything is there, and nothing else.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use gridmart_fabric::disk::RealDisk;
use gridmart_host::storage::volume::{Volume, VolumeSettings};
use gridmart_schemas::{
    api::bucket::BucketCreateRequest,
    id::{BlockId, StripeId},
};
use gridmart_sdk::{Client, Storage};
use rand::{rngs::StdRng, seq::SliceRandom as _};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::{
    BUCKETS, HOSTS,
    ledger::Ledger,
    load::{judge, judge_listing, missing_is_none},
    operator::wait_emptied,
    roles,
};
use crate::{
    supermarket::Supermarket,
    wait::{LONG, wait_for},
};

/// How long everything may take to be whole again.
const HEALED_MAX: Duration = Duration::from_mins(3);
/// Time for one object.
const GET_MAX: Duration = Duration::from_mins(1);

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(work)
}

pub(super) fn make_buckets(market: &Supermarket) {
    wait_ready(market);
    run(async {
        let client: Client = market.client();
        for (name, redundancy) in BUCKETS {
            let wanted = BucketCreateRequest {
                name: name.parse().expect("a name"),
                element: None,
                redundancy: Some(redundancy.parse().expect("a redundancy")),
                quota_bytes: None,
                quota_objects: None,
                allow_degraded: None,
            };
            let made = client.storage().bucket_create(&wanted).await;
            made.unwrap_or_else(|error| panic!("bucket {name}: {error}"));
        }
        client.close().await;
    });
}

fn wait_ready(market: &Supermarket) {
    for role in roles().filter(|role| role != "control") {
        market.wait_resource(&role, "serving", |row| {
            row["connected"] == true
                && row["serving_state"] == "production"
                && row["health_state"] == "ok"
        });
    }
}

/// Waits until everything serves, and nothing is to be made anew.
pub(super) fn settle(market: &Supermarket) {
    wait_ready(market);
    wait_healed(market);
}

fn wait_healed(market: &Supermarket) {
    wait_for(HEALED_MAX, "nothing is lost", || {
        let shown = market.cli(&["--json", "show", "se-1"]);
        if shown.code != 0 {
            return Err(shown.stderr);
        }
        let shown: serde_json::Value = shown.json();
        match shown["heals"]["blocks_lost"].as_u64() {
            Some(0) => Ok(()),
            other => Err(format!("{other:?} blocks are lost")),
        }
    });
}

/// Two Hosts are gone for good: everything is there at once, then it is made
/// whole on the others, and is there with two more away. They do come back in
/// the end, with what they had.
pub(super) fn compare(market: &Supermarket, ledger: &Ledger, mut dice: StdRng) {
    let mut numbers: Vec<u32> = (1..=HOSTS).collect();
    numbers.shuffle(&mut dice);
    let names: Vec<String> = numbers
        .into_iter()
        .map(|number| format!("storage-{number}"))
        .collect();
    let (dead, others) = names.split_at(2);
    run(async {
        let client: Client = market.client();
        compare_listings(&client.storage(), ledger).await;
        client.close().await;
    });
    halt(market, dead);
    read_all(market, ledger, dead);
    wait_emptied(market, dead, HEALED_MAX);
    wait_healed(market);
    halt(market, &others[..2]);
    read_all(market, ledger, &others[..2]);
    for host in &names[..4] {
        market.thaw(host);
    }
}

fn halt(market: &Supermarket, hosts: &[String]) {
    for host in hosts {
        market.freeze(host);
    }
}

/// Reads everything that was ever put, once.
fn read_all(market: &Supermarket, ledger: &Ledger, halted: &[String]) {
    run(async {
        let client: Client = market.client();
        let storage = client.storage();
        for name in ledger.names() {
            let getting = storage.get(&name.0, &name.1).bytes();
            match tokio::time::timeout(GET_MAX, getting)
                .await
                .map(missing_is_none)
            {
                Ok(Ok(bytes)) => judge(ledger, &name, bytes.as_ref()),
                Ok(Err(error)) => ledger.broken(format!(
                    "{name:?} cannot be read while {halted:?} are halted: {error}"
                )),
                Err(_) => ledger.broken(format!("reading {name:?} hangs")),
            }
        }
        client.close().await;
    });
}

async fn compare_listings(storage: &Storage, ledger: &Ledger) {
    let names = ledger.names();
    for (bucket, _) in BUCKETS {
        let listed = storage.list(bucket).all().await;
        let listed = listed.unwrap_or_else(|error| panic!("listing {bucket}: {error}"));
        let sizes: BTreeMap<String, u64> = listed
            .into_iter()
            .map(|object| (object.key, object.size))
            .collect();
        for key in sizes.keys() {
            if !names.contains(&(bucket.to_owned(), key.clone())) {
                ledger.broken(format!("nobody has put {key:?} into {bucket}"));
            }
        }
        judge_listing(ledger, bucket, "", &sizes);
    }
}

/// Waits until all that nobody names is collected; gives the Hosts' ids.
pub(super) fn collected(market: &Supermarket) -> Vec<String> {
    wait_ready(market);
    let data = market.folder();
    wait_for(LONG, "what nothing names is collected", || {
        let store = open_store(data);
        let garbage = count(&store, "SELECT count(*) FROM garbage");
        let lost = count(&store, "SELECT count(*) FROM repair");
        let named = count(&store, "SELECT count(*) FROM block");
        let kept: u64 = (1..=HOSTS).map(|number| kept_by(market, number)).sum();
        if garbage == 0 && lost == 0 && named == kept {
            Ok(())
        } else {
            Err(format!(
                "{garbage} garbage, {lost} lost, {named} blocks are named, {kept} kept"
            ))
        }
    });
    let hosts = (1..=HOSTS).map(|number| market.role_node(&format!("storage-{number}")));
    hosts.collect()
}

/// Blocks on a Host, as it tells them.
fn kept_by(market: &Supermarket, number: u32) -> u64 {
    let shown = market.cli(&["show", &format!("storage-{number}"), "--xml"]);
    let text = shown.text();
    let count = text.split_once("<BlockCount>");
    let count = count.and_then(|(_, rest)| rest.split_once('<'));
    count.map_or(u64::MAX / 100, |(count, _)| {
        count.parse().expect("a number")
    })
}

fn open_store(data: &Path) -> Connection {
    let path = data.join("se-1/metadata.sqlite");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("the metadata can be read")
}

fn count(store: &Connection, sql: &str) -> u64 {
    let count = store
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .expect("the metadata can be read");
    count.unsigned_abs()
}

type Placed = BTreeMap<BlockId, Vec<u8>>;

/// What should be on each Host: blocks and their roots, by the Host's id.
fn placed(data: &Path) -> BTreeMap<String, Placed> {
    let store = open_store(data);
    let mut statement = store
        .prepare(
            "SELECT host.id, stripe.id, position, root FROM block
             JOIN host ON host.number = block.host
             JOIN stripe ON stripe.number = block.stripe",
        )
        .expect("the tables are as they are");
    let rows = statement.query_map([], |row| {
        let block = BlockId {
            stripe: StripeId::from_uuid(uuid_of(&row.get::<_, Vec<u8>>(1)?)),
            position: row.get(2)?,
        };
        let host = uuid_of(&row.get::<_, Vec<u8>>(0)?);
        Ok((host.to_string(), block, row.get(3)?))
    });
    let mut placed: BTreeMap<String, Placed> = BTreeMap::new();
    for row in rows.expect("the metadata can be read") {
        let (host, block, root) = row.expect("the metadata can be read");
        placed.entry(host).or_default().insert(block, root);
    }
    placed
}

fn uuid_of(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("an id has 16 bytes")
}

/// Compares what lies on the disks of these Hosts with the metadata, block by
/// block; all processes have ended. Tells what is wrong.
pub fn disk_faults(data: &Path, hosts: &[String]) -> Vec<String> {
    let mut placed = placed(data);
    let mut faults = Vec::new();
    for (number, host) in (1..).zip(hosts) {
        let folder = data.join(format!("storage-{number}"));
        let blocks = placed.remove(host).unwrap_or_default();
        compare_disk(&folder, &blocks, &mut faults);
    }
    for (host, blocks) in placed {
        let blocks = blocks.len();
        faults.push(format!("{blocks} blocks are on {host}, which is no Host"));
    }
    faults
}

fn compare_disk(folder: &Path, placed: &Placed, faults: &mut Vec<String>) {
    let settings = VolumeSettings::new(folder.join("volume"), 0);
    let (volume, _) = Volume::open(Arc::new(RealDisk), &settings).expect("a volume can be opened");
    let listed = volume.list(None, usize::MAX);
    assert!(volume.blocks() == listed.len(), "they fit one listing");
    let named = folder.file_name().unwrap_or_default().display().to_string();
    for block in listed
        .iter()
        .filter(|block| !placed.contains_key(&block.id))
    {
        faults.push(format!("{named} has {}, which nothing names", block.id));
    }
    for (block, root) in placed {
        match volume.get(block, 0, usize::MAX) {
            Ok(found) if found.prefix.root().as_bytes()[..] == root[..] => {}
            Ok(_) => faults.push(format!("{block} on {named} is another one")),
            Err(error) => faults.push(format!("{block} is not on {named}: {error}")),
        }
    }
}
