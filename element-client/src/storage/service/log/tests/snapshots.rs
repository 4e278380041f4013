//! When snapshots are sent, and what they are good for.

use std::{collections::BTreeSet, time::Duration};

use gridmart_schemas::id::NodeId;

use super::{
    super::snapshots::{Bounds, Sent},
    scene::{Hosts, Running},
};
use crate::storage::metadata::{Change, Replica as _};

/// The log may have no byte.
const TIGHT: Bounds = Bounds { least: 0, most: 0 };

async fn write(running: &Running) {
    let host = NodeId::generate();
    let known = Change::HostKnown { host };
    running.writer.commit(known).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_cut_and_who_missed_it_is_fed() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = Hosts::of(3);
    let patience = Duration::from_hours(1);
    let running = Running::start(folder.path().join("store"), &hosts, patience).await;
    let snapshots = running.snapshots(Bounds::default());
    assert_eq!(snapshots.look().await, Ok(Sent::Nothing));
    let late = hosts.ids()[0];
    hosts.away(late);
    for _ in 0..5 {
        write(&running).await;
    }
    let tight = running.snapshots(TIGHT);
    let others: BTreeSet<_> = hosts.ids()[1..].iter().copied().collect();
    assert_eq!(tight.look().await, Ok(Sent::To(others)));
    assert!(!folder.path().join("metadata.snapshot").exists());
    let bytes = running.writer.progress().log_bytes();
    assert!(bytes < 200, "one record stays: {bytes}");
    hosts.back(late);
    write(&running).await;
    running.settle().await;
    // Others may be behind for a moment; it misses more than the log has.
    while running.fan_out.behind() != [late] {
        write(&running).await;
    }
    let fed = Sent::To(BTreeSet::from([late]));
    assert_eq!(snapshots.look().await, Ok(fed));
    write(&running).await;
    while running.members.facts().behind > 0 {
        write(&running).await;
    }
    let last = running.writer.progress().sequence();
    assert_eq!(hosts.replica(late).tail().unwrap().last.sequence, last);
    // It alone can make the store anew.
    let rebuilt = hosts.rebuild(&folder.path().join("new")).unwrap();
    assert_eq!(rebuilt.position.sequence, last);
    assert!(rebuilt.snapshot > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_not_cut_before_enough_have_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = Hosts::of(3);
    let patience = Duration::from_hours(1);
    let running = Running::start(folder.path().join("store"), &hosts, patience).await;
    write(&running).await;
    let before = running.writer.progress().log_bytes();
    for id in &hosts.ids()[1..] {
        hosts.away(*id);
    }
    let refused = running.snapshots(TIGHT).look().await.unwrap_err();
    assert!(refused.contains("1 of 3 Hosts"), "{refused}");
    assert_eq!(running.writer.progress().log_bytes(), before);
}
