//! How members change.

use std::time::Duration;

use gridmart_schemas::{id::NodeId, problem::Code, problem::Problem};

use super::scene::{Hosts, Running};
use crate::storage::metadata::{
    Change, Replica as _,
    tests::fixture::{bucket, bucket_create},
};

/// Nobody is away for so long.
const PATIENT: Duration = Duration::from_hours(1);

fn known() -> Change {
    Change::HostKnown {
        host: NodeId::generate(),
    }
}

async fn shape(running: &Running) -> (usize, usize) {
    let membership = running.members.membership().await;
    assert!(!membership.is_joint());
    let set = membership.target().unwrap();
    (set.hosts.len(), set.wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_grows_with_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let mut hosts = Hosts::of(1);
    let running = Running::start(folder.path().join("store"), &hosts, PATIENT).await;
    assert_eq!(shape(&running).await, (1, 1));
    for expected in [(2, 2), (3, 2), (3, 2)] {
        hosts.join();
        running.settle().await;
        assert_eq!(shape(&running).await, expected);
    }
    let facts = running.members.facts();
    assert_eq!((facts.members, facts.wanted, facts.behind), (3, 2, 0));
    // One of three may be away.
    let member = *running.members.membership().await.hosts().first().unwrap();
    hosts.away(member);
    running.writer.commit(known()).await.unwrap();
    assert_eq!(running.members.facts().behind, 1);
    hosts.back(member);
    running.writer.commit(known()).await.unwrap();
    let last = running.writer.progress().sequence();
    let rebuilt = hosts.rebuild(&folder.path().join("new")).unwrap();
    assert_eq!(rebuilt.position.sequence, last);
    assert!(rebuilt.is_whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_bears_more_losses_is_acknowledged_when_the_log_does() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = Hosts::of(6);
    let running = Running::start(folder.path().join("store"), &hosts, PATIENT).await;
    running.settle().await;
    assert_eq!(shape(&running).await, (3, 2));
    // The fixture's is of rs(4,2).
    let create = bucket_create(false);
    let made = running.members.commit_bearing(2, create).await.unwrap();
    let membership = running.members.membership().await;
    let set = membership.target().unwrap();
    assert_eq!(set.wanted, 3);
    let have = hosts.ids().iter().filter(|id| {
        let tail = hosts.replica(**id).tail().unwrap();
        tail.last.sequence >= made.position.sequence
    });
    assert!(have.count() >= 3);
    running.settle().await;
    assert_eq!(shape(&running).await, (5, 3));
    // When it is gone, fewer will do.
    let delete = Change::BucketDelete { bucket: bucket() };
    running.writer.commit(delete).await.unwrap();
    running.settle().await;
    assert_eq!(shape(&running).await, (3, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_host_is_replaced_where_its_word_was_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut hosts = Hosts::of(2);
    let running = Running::start(folder.path().join("store"), &hosts, PATIENT).await;
    assert_eq!(shape(&running).await, (2, 2));
    let gone = hosts.ids()[1];
    hosts.away(gone);
    let degraded = Problem::from(running.writer.commit(known()).await.unwrap_err());
    assert_eq!(degraded.code, Code::StorageDegraded);
    // It may come back: nothing is decided without it.
    assert!(running.members.follow().await.is_ok());
    assert_eq!(shape(&running).await, (2, 2));
    hosts.revoke(gone);
    running.settle().await;
    assert_eq!(shape(&running).await, (1, 1));
    running.writer.commit(known()).await.unwrap();
    let rebuilt = hosts.rebuild(&folder.path().join("new")).unwrap();
    let last = running.writer.progress().sequence();
    assert_eq!(rebuilt.position.sequence, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_begin_where_no_member_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut hosts = Hosts::of(2);
    let running = Running::start(path.clone(), &hosts, PATIENT).await;
    drop(running);
    for gone in hosts.ids().to_vec() {
        hosts.revoke(gone);
    }
    let others = [hosts.join(), hosts.join(), hosts.join()];
    let running = Running::start(path, &hosts, PATIENT).await;
    // While nobody has caught up, there is nobody to agree.
    while running.members.follow().await.is_err() {}
    running.settle().await;
    let members = running.members.membership().await;
    assert_eq!(members.hosts(), others.into());
    running.writer.commit(known()).await.unwrap();
    let rebuilt = hosts.rebuild(&folder.path().join("new")).unwrap();
    assert!(rebuilt.is_whole);
    let last = running.writer.progress().sequence();
    assert_eq!(rebuilt.position.sequence, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_stays_away_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = Hosts::of(4);
    let running = Running::start(folder.path().join("store"), &hosts, Duration::ZERO).await;
    let before = running.members.membership().await.hosts();
    assert_eq!(before.len(), 3);
    let lost = *before.first().unwrap();
    hosts.away(lost);
    running.settle().await;
    let after = running.members.membership().await.hosts();
    assert_eq!(after.len(), 3);
    assert!(!after.contains(&lost));
    // What it has is no part of the log any more.
    hosts.back(lost);
    running.settle().await;
    assert_eq!(running.members.membership().await.hosts(), after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_do_not_take_over_without_enough_of_the_members() {
    let folder = tempfile::tempdir().unwrap();
    let mut hosts = Hosts::of(3);
    let running = Running::start(folder.path().join("store"), &hosts, Duration::ZERO).await;
    let members = running.members.membership().await;
    let (first, second) = (hosts.join(), hosts.join());
    running.settle().await;
    for id in hosts.ids().iter().take(2) {
        hosts.away(*id);
    }
    let refused = loop {
        if let Err(problem) = running.members.follow().await {
            break problem;
        }
    };
    assert_eq!(refused.code, Code::StorageDegraded);
    assert_eq!(running.members.membership().await, members);
    for id in [first, second] {
        assert!(running.fan_out.following().iter().any(|one| one.host == id));
    }
    for id in hosts.ids().iter().take(2) {
        hosts.back(*id);
    }
    running.settle().await;
    running.writer.commit(known()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_cut_off_is_ended_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut hosts = Hosts::of(3);
    let running = Running::start(path.clone(), &hosts, PATIENT).await;
    let now = running.members.membership().await;
    let next = crate::storage::metadata::MemberSet {
        hosts: hosts.ids().iter().copied().take(2).collect(),
        wanted: 2,
    };
    let joint = now.and(&next);
    running
        .writer
        .commit(joint.to_change().unwrap())
        .await
        .unwrap();
    drop(running);
    hosts.join();
    let running = Running::start(path, &hosts, PATIENT).await;
    assert_eq!(running.members.membership().await, joint);
    running.settle().await;
    assert_eq!(shape(&running).await, (3, 2));
}
