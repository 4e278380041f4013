//! How fast small objects are put: run with
//! `cargo test --release -p gridmart-element --lib speed -- --ignored --nocapture`.

use std::{
    fs::File,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gridmart_schemas::{id::NodeId, storage::Redundancy};
use parking_lot::Mutex;

use super::fixture::{bucket, bucket_create, membership, node, put};
use crate::storage::metadata::{
    Append, Change, Entry, Epoch, FanOut, ListingRequest, ObjectPut, Page, Position, Readers,
    Replica, ReplicaError, Replicas, SnapshotHead, Tail, Writer, WriterMark, open_writer, query,
    recover,
};

const IN_FLIGHT: usize = 16;
const PUTS: u64 = 10_000;

/// A replica that writes its records to a file and syncs it.
struct FileReplica {
    host: NodeId,
    file: Mutex<(File, Position)>,
}

impl Replica for FileReplica {
    fn host(&self) -> NodeId {
        self.host
    }

    fn tail(&self) -> Result<Tail, ReplicaError> {
        Ok(Tail {
            newest: Epoch::default(),
            last: self.file.lock().1,
        })
    }

    fn claim(&self, _: Epoch) -> Result<Tail, ReplicaError> {
        self.tail()
    }

    fn append(&self, append: &Append) -> Result<(), ReplicaError> {
        let mut state = self.file.lock();
        if append.previous.sequence > state.1.sequence {
            return Err(ReplicaError::Gap { has: state.1 });
        }
        let bytes: Vec<u8> = append
            .entries
            .iter()
            .flat_map(|entry| entry.bytes.iter().copied())
            .collect();
        state.0.write_all(&bytes).unwrap();
        state.0.sync_data().unwrap();
        state.1 = append.last();
        Ok(())
    }

    fn read(&self, _: u64, _: usize) -> Result<Vec<Entry>, ReplicaError> {
        Ok(Vec::new())
    }

    fn snapshot_put(
        &self,
        _: Epoch,
        _: &SnapshotHead,
        _: &mut dyn Read,
    ) -> Result<(), ReplicaError> {
        Ok(())
    }

    fn snapshot_get(&self, _: &mut dyn Write) -> Result<Option<SnapshotHead>, ReplicaError> {
        Ok(None)
    }
}

fn small(number: u64) -> ObjectPut {
    let mut put = put(
        number,
        &format!("photos/{:02}/image-{number:08}.jpg", number % 50),
        16,
    );
    let stripe = &mut put.stripes[0];
    stripe.redundancy = Redundancy::replica(3).unwrap();
    stripe.payload_length = 16;
    stripe.blocks.truncate(3);
    put.head
        .headers
        .insert("content-type".into(), "image/jpeg".into());
    put
}

async fn puts_per_second(replicas: u64, wanted: usize) -> f64 {
    // The machine's disk, not its memory.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = folder.path().join("metadata.sqlite");
    let mut connection = open_writer(&path).unwrap();
    let recovered = recover(&mut connection, &[], WriterMark::new(1)).unwrap();
    let members = (0..replicas).map(|host| {
        let file = File::create(folder.path().join(format!("replica-{host}"))).unwrap();
        Arc::new(FileReplica {
            host: node(host),
            file: Mutex::new((file, Position::START)),
        }) as Arc<dyn Replica>
    });
    let readers = Readers::open(&path, 2).unwrap();
    let fan_out = FanOut::new(readers.clone(), Duration::from_secs(10));
    let hosts: Vec<_> = (0..replicas).map(node).collect();
    fan_out.members_set(members.collect(), membership(&hosts, wanted));
    let shared: Arc<dyn Replicas> = Arc::new(fan_out);
    let (writer, thread) = Writer::start(connection, &recovered, shared).unwrap();
    for host in 0..6 {
        writer
            .commit(Change::HostKnown { host: node(host) })
            .await
            .unwrap();
    }
    writer.commit(bucket_create(false)).await.unwrap();
    let next = Arc::new(AtomicU64::new(1));
    let mut callers = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (writer, next) = (writer.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > PUTS {
                    break;
                }
                writer
                    .commit(Change::ObjectPut(small(number)))
                    .await
                    .unwrap();
            }
        });
    }
    callers.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = PUTS as f64 / begun.elapsed().as_secs_f64();
    list_speed(&readers).await;
    tokio::task::block_in_place(|| thread.stop());
    rate
}

async fn list_speed(readers: &Readers) {
    for delimiter in [None, Some("/".to_owned())] {
        let request = ListingRequest {
            bucket: bucket(),
            prefix: "photos/".to_owned(),
            delimiter: delimiter.clone(),
            page: Page::Start,
            limit: 1000,
        };
        let begun = Instant::now();
        let listed = readers
            .read(move |store| query::object_list(store, &request))
            .await
            .unwrap();
        println!(
            "list of {} objects and {} prefixes (delimiter {delimiter:?}): {:?}",
            listed.items.len(),
            listed.prefixes.len(),
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed_of_small_puts() {
    println!("{:.0} puts/s, SQLite alone", puts_per_second(0, 0).await);
    println!("{:.0} puts/s, 2 of 3 replicas", puts_per_second(3, 2).await);
    println!("{:.0} puts/s, 3 of 3 replicas", puts_per_second(3, 3).await);
}
