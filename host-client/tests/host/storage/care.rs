//! How a storage Host is described, and what it does about damage and a full
//! disk.

use std::{fs, os::unix::fs::FileExt as _, path::Path};

use gridmart_schemas::{
    id::VersionId,
    problem::Code,
    resource::{
        enumeration::{HealthState, ServingState},
        host::StorageHostPolicy,
    },
};

use super::{answers, blocks_of, codes, encoded, id, pool, pool_with, whole};
use crate::simulation::within;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_what_it_has() {
    let pool = pool_with(StorageHostPolicy {
        max_used_space: Some(10_000_000),
        ..StorageHostPolicy::default()
    })
    .await;
    let host = pool.described();
    assert_eq!(host.policy, pool.policy);
    let info = &host.info;
    assert_eq!(info.failure_labels[0].as_str(), "rack=r1");
    let endpoint = format!("https://{}/v1/blocks", pool.host.door);
    assert_eq!(info.common.endpoints[0].as_str(), endpoint);
    let [device] = &info.storage_devices[..] else {
        panic!("it has one data folder");
    };
    assert_eq!(device.root.as_str(), pool.folder().display().to_string());
    assert!(device.size > 10_000_000);
    let hello = pool.element.told.lock().hellos[0].clone();
    assert_eq!(hello.endpoints.concat(), pool.host.door);
    assert!(hello.leases.is_empty() && hello.deployments.is_empty());
    let empty = host.state.unwrap();
    assert_eq!(
        (empty.block_count, empty.used_space() < 4096),
        (Some(0), true)
    );
    let blocks = blocks_of(VersionId::generate(), 1, 1_000_000);
    within("a put", pool.own().put(None, &blocks))
        .await
        .unwrap();
    let state = pool
        .state("a block", |state| state.block_count == Some(1))
        .await;
    assert_eq!(state.common.serving_state, ServingState::Production);
    assert_eq!(state.common.health_state, HealthState::Ok);
    assert!((1_000_000..1_100_000).contains(&state.used_space()));
    let sum = state.used_space() + state.available_space();
    assert_eq!(sum, 10_000_000, "the Policy is less than the disk has");
}

/// Turns a bit in the one file of a folder that is this long.
fn damage(folder: &Path, bytes: usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, bytes);
        } else if fs::metadata(&path).unwrap().len() == bytes as u64 {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            let at = bytes as u64 - 100;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_not_served_is_told_and_made_good() {
    let pool = pool().await;
    let own = pool.own();
    let version = VersionId::generate();
    let (bad, good) = (
        blocks_of(version, 1, 600_000),
        blocks_of(version, 1, 700_000),
    );
    let both = [bad[0].clone(), good[0].clone()];
    within("a put", own.put(None, &both)).await.unwrap();
    damage(&pool.folder().join("volume"), encoded(&bad[0]).len());
    let reads = || both.iter().map(whole).collect();
    let read = answers(&own, None, reads()).await.unwrap();
    assert_eq!(read[0], Err(Code::BlockDamaged));
    assert!(read[1] == Ok(encoded(&good[0]).into()));
    let told = |state: &gridmart_schemas::resource::host::StorageHostState| {
        state.damaged_block_count == Some(1)
    };
    let state = pool.state("the damage", told).await;
    assert_eq!(state.common.health_state, HealthState::Warning);
    let pool = pool.restarted().await;
    let own = pool.own();
    let read = answers(&own, None, reads()).await.unwrap();
    assert_eq!(read[0], Err(Code::BlockDamaged), "after a restart as well");
    let stored = within("a put", own.put(None, &bad)).await.unwrap();
    assert_eq!(codes(&stored), [None]);
    let read = answers(&own, None, reads()).await.unwrap();
    assert!(read[0] == Ok(encoded(&bad[0]).into()));
    pool.state("that it is well", |state| {
        state.damaged_block_count == Some(0) && state.common.health_state == HealthState::Ok
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_takes_no_more_until_something_is_deleted() {
    let pool = pool_with(StorageHostPolicy {
        max_used_space: Some(1_000_000),
        ..StorageHostPolicy::default()
    })
    .await;
    let own = pool.own();
    let version = VersionId::generate();
    let (first, second) = (
        blocks_of(version, 1, 600_000),
        blocks_of(version, 1, 700_000),
    );
    let both = [first[0].clone(), second[0].clone()];
    let stored = within("a put", own.put(None, &both)).await.unwrap();
    assert_eq!(codes(&stored), [None, Some(Code::StorageFailed)]);
    let read = answers(&own, None, vec![whole(&first[0])]).await.unwrap();
    assert!(read[0].is_ok());
    pool.state("how much room is left", |state| {
        (1..400_000).contains(&state.available_space())
    })
    .await;
    within("a delete", own.delete(&[id(&first[0])]))
        .await
        .unwrap();
    let stored = within("a put", own.put(None, &second)).await.unwrap();
    assert_eq!(codes(&stored), [None]);
}
