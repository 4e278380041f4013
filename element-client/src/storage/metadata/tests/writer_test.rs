//! The writer with its thread: groups, answers, replicas that lag.

use std::{sync::Arc, time::Duration};

use gridmart_schemas::problem::{Code, Problem};

use super::{
    fixture::{bucket, bucket_create, delete, dump, key, membership, node, put, version},
    sim_replica::{Fate, SimReplica},
};
use crate::storage::metadata::{
    Append, Applied, FanOut, NotDurable, Position, Readers, Replica, Replicas, Writer, WriterMark,
    WriterThread, open_writer, query,
    record::{Change, DeleteTarget, EtagMatch},
    recover,
    refusal::Refusal,
    snapshot_export,
    writer::WriteError,
};

struct Element {
    folder: tempfile::TempDir,
    readers: Readers,
    fan_out: Arc<FanOut>,
    writer: Writer,
    thread: WriterThread,
    replicas: Vec<Arc<SimReplica>>,
}

fn members_set(fan_out: &FanOut, replicas: &[Arc<SimReplica>], wanted: usize) {
    let hosts: Vec<_> = replicas.iter().map(|replica| replica.host()).collect();
    fan_out.members_set(members(replicas), membership(&hosts, wanted));
}

fn members(replicas: &[Arc<SimReplica>]) -> Vec<Arc<dyn Replica>> {
    let members = replicas.iter().cloned();
    members.map(|replica| replica as Arc<dyn Replica>).collect()
}

impl Element {
    async fn start(replicas: u64, wanted: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.sqlite");
        let replicas: Vec<_> = (0..replicas)
            .map(|host| SimReplica::new(node(host)))
            .collect();
        let mut connection = open_writer(&path).unwrap();
        let recovered = recover(&mut connection, &members(&replicas), WriterMark::new(1)).unwrap();
        let readers = Readers::open(&path, 2).unwrap();
        let fan_out = Arc::new(FanOut::new(readers.clone(), Duration::from_secs(10)));
        members_set(&fan_out, &replicas, wanted);
        let shared = Arc::clone(&fan_out) as Arc<dyn Replicas>;
        let (writer, thread) = Writer::start(connection, &recovered, shared).unwrap();
        for host in 0..6 {
            writer
                .commit(Change::HostKnown { host: node(host) })
                .await
                .unwrap();
        }
        writer.commit(bucket_create(false)).await.unwrap();
        Self {
            folder,
            readers,
            fan_out,
            writer,
            thread,
            replicas,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("metadata.sqlite")
    }

    fn last(&self) -> Position {
        self.readers.read_here(query::ledger).unwrap().last
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_conditional_puts_one_wins() {
    let element = Element::start(3, 2).await;
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..200 {
        let mut put = put(number + 1, "one", 20);
        put.condition.if_none_match = Some(EtagMatch::Any);
        let writer = element.writer.clone();
        puts.spawn(async move { writer.commit(Change::ObjectPut(put)).await });
    }
    let results = puts.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 199));
    for refused in lost {
        assert_eq!(
            refused.unwrap_err(),
            WriteError::Refused(Refusal::ConditionNotMet(key("one")))
        );
    }
    let seen = element
        .readers
        .read(|store| query::object_current(store, bucket(), &key("one")))
        .await
        .unwrap()
        .unwrap();
    let Ok(committed) = &won[0] else {
        unreachable!()
    };
    let Applied::Version(outcome) = &committed.applied else {
        panic!("{committed:?}");
    };
    assert_eq!((outcome.version, committed.time), (seen.id, seen.created));
    tokio::task::block_in_place(|| element.thread.stop());
    let stopped = element
        .writer
        .commit(Change::HostKnown { host: node(1) })
        .await;
    assert_eq!(stopped.unwrap_err(), WriteError::Stopping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_waits_is_made_and_replicas_have_it() {
    let element = Element::start(3, 3).await;
    let mut puts = tokio::task::JoinSet::new();
    for number in 1..=600 {
        let writer = element.writer.clone();
        let change = Change::ObjectPut(put(number, &format!("key-{}", number % 50), 20));
        puts.spawn(async move { writer.commit(change).await.unwrap().position });
    }
    let mut positions = puts.join_all().await;
    positions.sort();
    assert!(
        positions
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence + 1)
    );
    for replica in &element.replicas {
        assert_eq!(replica.tail().unwrap().last, element.last());
    }
    let bucket = element
        .readers
        .read(|store| query::bucket(store, bucket()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (bucket.objects, bucket.versions, bucket.bytes),
        (50, 50, 1000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_too_few_replicas_nothing_changes_and_all_is_told() {
    let element = Element::start(3, 2).await;
    let before = dump(&open_writer(&element.path()).unwrap());
    element.replicas[0].away(true);
    element.replicas[1].fate(Fate::Unsynced);
    element.replicas[2].fate(Fate::Well);
    let change = || Change::ObjectPut(put(1, "a", 20));
    let degraded = element.writer.commit(change()).await.unwrap_err();
    let problem = Problem::from(&degraded);
    assert_eq!((problem.code, problem.status), (Code::StorageDegraded, 503));
    assert!(problem.detail.contains("of 2 Hosts"), "{}", problem.detail);
    assert_eq!(dump(&open_writer(&element.path()).unwrap()), before);
    // As soon as two are there it goes on, and the third one comes after.
    let committed = element.writer.commit(change()).await.unwrap();
    element.replicas[0].away(false);
    members_set(&element.fan_out, &element.replicas, 3);
    let marker = version(2);
    let next = element
        .writer
        .commit(delete("a", DeleteTarget::Object { marker }))
        .await
        .unwrap();
    assert_eq!(next.position.sequence, committed.position.sequence + 1);
    for replica in &element.replicas {
        assert_eq!(replica.tail().unwrap().last, next.position);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_writer_is_shut_out_for_good() {
    let element = Element::start(3, 2).await;
    let newer = element.last().epoch.next(WriterMark::new(2));
    element.replicas[1].claim(newer).unwrap();
    element.replicas[2].claim(newer).unwrap();
    let change = || Change::ObjectPut(put(1, "a", 20));
    let shut_out = element.writer.commit(change()).await.unwrap_err();
    assert!(matches!(
        shut_out,
        WriteError::Superseded { .. } | WriteError::Degraded { .. }
    ));
    let again = element.writer.commit(change()).await.unwrap_err();
    assert!(matches!(again, WriteError::Superseded { .. }));
    assert_eq!(Problem::from(&again).code, Code::NotAccepting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_member_shuts_nobody_out() {
    let element = Element::start(3, 2).await;
    let other = SimReplica::new(node(9));
    other
        .claim(element.last().epoch.leap(WriterMark::new(2)))
        .unwrap();
    let membership = element.fan_out.membership();
    let mut replicas = members(&element.replicas);
    replicas.push(other);
    element.fan_out.members_set(replicas, membership);
    for number in 1..=5 {
        let put = put(number, "a", 20);
        element.writer.commit(Change::ObjectPut(put)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_misses_too_much_needs_a_snapshot() {
    let element = Element::start(3, 2).await;
    element.replicas[0].away(true);
    for number in 1..=3 {
        element
            .writer
            .commit(Change::ObjectPut(put(number, "a", 20)))
            .await
            .unwrap();
    }
    let snapshot = element.folder.path().join("snapshot");
    let head = snapshot_export(&element.path(), &snapshot).unwrap();
    assert_eq!(head.position, element.last());
    element
        .writer
        .log_cut(head.position.sequence)
        .await
        .unwrap();
    element.replicas[0].away(false);
    members_set(&element.fan_out, &element.replicas, 3);
    let change = || Change::ObjectPut(put(9, "b", 20));
    assert!(matches!(
        element.writer.commit(change()).await,
        Err(WriteError::Degraded { .. })
    ));
    assert_eq!(element.fan_out.behind(), [node(0)]);
    let mut content = crate::storage::metadata::snapshot_read(&snapshot, &head).unwrap();
    let epoch = element.readers.read_here(query::ledger).unwrap().epoch;
    element.replicas[0]
        .snapshot_put(epoch, &head, &mut content)
        .unwrap();
    element.writer.commit(change()).await.unwrap();
    assert!(element.fan_out.behind().is_empty());
}

#[test]
fn a_round_ends_as_soon_as_it_is_hopeless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.sqlite");
    drop(open_writer(&path).unwrap());
    let fan_out = FanOut::new(Readers::open(&path, 1).unwrap(), Duration::from_hours(1));
    let replica = SimReplica::new(node(1));
    replica.away(true);
    members_set(&fan_out, &[replica], 1);
    let append = Append {
        epoch: crate::storage::metadata::Epoch::new(1),
        previous: Position::START,
        entries: Vec::new(),
    };
    let refused = fan_out.append(append).unwrap_err();
    assert!(matches!(
        refused,
        NotDurable::TooFew {
            have: 0,
            wanted: 1,
            ..
        }
    ));
}
