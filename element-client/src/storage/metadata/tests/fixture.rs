//! What the tests are made of.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use gridmart_schemas::{
    id::{BucketId, NodeId, StripeId, UploadId, VersionId},
    scalar::BucketName,
    storage::{BlockRoot, Redundancy},
};
use rusqlite::Connection;
use uuid::Uuid;

use crate::storage::metadata::{
    apply::{Applied, ApplyError, admit},
    key::ObjectKey,
    manifest::{ObjectHead, PlacedBlock, Stripe},
    membership::{MemberSet, Membership},
    moment::Moment,
    position::{Entry, Epoch, Position},
    record::{
        BucketCreate, Change, Condition, DeleteTarget, ObjectDelete, ObjectPut, PartPut, Quota,
        Record, UploadCreate,
    },
    refusal::Refusal,
    store::{open_writer, query},
};

/// A store in a folder of its own, to which records are applied one by one.
pub(in crate::storage) struct Store {
    pub(in crate::storage) connection: Connection,
    _folder: tempfile::TempDir,
    pub(in crate::storage) time: i64,
}

impl Store {
    pub(in crate::storage) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("metadata.sqlite")).unwrap();
        // These tests crash nothing.
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        Self {
            connection,
            _folder: folder,
            time: 0,
        }
    }

    /// A store with a bucket, whose blocks are on Hosts 0 to 5.
    pub(in crate::storage) fn with_bucket(object_lock: bool) -> Self {
        let mut store = Self::new();
        for host in 0..6 {
            store.take(Change::HostKnown { host: node(host) }).unwrap();
        }
        store.take(bucket_create(object_lock)).unwrap();
        store
    }

    pub(in crate::storage) fn take(&mut self, change: Change) -> Result<Applied, Refusal> {
        self.time += 1;
        let record = Record {
            time: Moment::from_microseconds(self.time),
            change,
        };
        let last = query::ledger(&self.connection).unwrap().last;
        let entry = Entry {
            position: Position {
                epoch: Epoch::default(),
                sequence: last.sequence + 1,
            },
            bytes: Arc::from(record.encode().unwrap()),
        };
        let transaction = self.connection.transaction().unwrap();
        match admit(&transaction, &entry, &record) {
            Ok(applied) => {
                transaction.commit().unwrap();
                Ok(applied)
            }
            Err(ApplyError::Refused(refusal)) => Err(refusal),
            Err(ApplyError::Store(error)) => panic!("{error:?}"),
        }
    }

    pub(in crate::storage) fn bucket(&self) -> crate::storage::metadata::Bucket {
        query::bucket(&self.connection, bucket()).unwrap().unwrap()
    }

    pub(in crate::storage) fn garbage(&self) -> Vec<crate::storage::metadata::Garbage> {
        let ever = Moment::from_microseconds(i64::MAX);
        query::garbage_page(&self.connection, ever, 1000).unwrap()
    }
}

/// All rows of all tables, as text: two stores with the same records are the
/// same.
pub(in crate::storage) fn dump(connection: &Connection) -> String {
    let mut text = String::new();
    for table in [
        "host",
        "bucket",
        "bucket_document",
        "former_redundancy",
        "version",
        "upload",
        "part",
        "garbage",
        "stripe",
        "block",
        "repair",
        "access_key",
        "setting",
    ] {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            text.push_str(table);
            for column in 0..columns {
                write!(text, " {:?}", row.get_ref(column).unwrap()).unwrap();
            }
            text.push('\n');
        }
    }
    text
}

fn uuid(kind: u8, number: u64) -> Uuid {
    Uuid::from_u128(u128::from(kind) << 120 | u128::from(number))
}

pub(in crate::storage) fn bucket() -> BucketId {
    BucketId::from_uuid(uuid(1, 1))
}

pub(in crate::storage) fn version(number: u64) -> VersionId {
    VersionId::from_uuid(uuid(2, number))
}

pub(in crate::storage) fn upload(number: u64) -> UploadId {
    UploadId::from_uuid(uuid(3, number))
}

pub(in crate::storage) fn node(number: u64) -> NodeId {
    NodeId::from_uuid(uuid(4, number))
}

pub(in crate::storage) fn stripe_id(number: u64) -> StripeId {
    StripeId::from_uuid(uuid(5, number))
}

pub(in crate::storage) fn root(number: u8) -> BlockRoot {
    BlockRoot::new([number; 32])
}

pub(in crate::storage) fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

pub(in crate::storage) fn bucket_create(object_lock: bool) -> Change {
    Change::BucketCreate(BucketCreate {
        bucket: bucket(),
        name: BucketName::new("bucket").unwrap(),
        owner: "ada".parse().unwrap(),
        redundancy: Redundancy::rs(4, 2).unwrap(),
        object_lock,
        quota: Quota::default(),
    })
}

/// A stripe of `rs(4,2)` on Hosts 0 to 5.
pub(in crate::storage) fn stripe(id: StripeId, data_length: u64) -> Stripe {
    let redundancy = Redundancy::rs(4, 2).unwrap();
    Stripe {
        id,
        data_length,
        redundancy,
        payload_length: data_length.div_ceil(4).next_multiple_of(2),
        blocks: (0..6)
            .map(|position| PlacedBlock {
                position,
                host: node(position.into()),
                root: root(position),
            })
            .collect(),
    }
}

/// Stripes of at most 16 bytes, so that small sizes make several.
pub(in crate::storage) fn stripes(first: u64, size: u64) -> Vec<Stripe> {
    let lengths = (0..size.div_ceil(16)).map(|at| (size - at * 16).min(16));
    (first..)
        .zip(lengths)
        .map(|(number, length)| stripe(stripe_id(number), length))
        .collect()
}

/// The put of version `number`; its stripes are numbered from 1000 times that.
pub(in crate::storage) fn put(number: u64, at: &str, size: u64) -> ObjectPut {
    ObjectPut {
        bucket: bucket(),
        key: key(at),
        version: version(number),
        size,
        etag: format!("etag-{number}"),
        head: ObjectHead::default(),
        retention: None,
        legal_hold: false,
        stripes: stripes(number * 1000, size),
        condition: Condition::default(),
    }
}

pub(in crate::storage) fn delete(at: &str, target: DeleteTarget) -> Change {
    Change::ObjectDelete(ObjectDelete {
        bucket: bucket(),
        key: key(at),
        target,
        condition: Condition::default(),
        bypass: false,
    })
}

pub(in crate::storage) fn upload_create(number: u64, at: &str) -> Change {
    Change::UploadCreate(UploadCreate {
        upload: upload(number),
        version: version(number),
        bucket: bucket(),
        key: key(at),
        owner: "ada".parse().unwrap(),
        head: ObjectHead::default(),
        retention: None,
        legal_hold: false,
    })
}

/// Part `number` of an upload; `id` numbers its stripes and its ETag.
pub(in crate::storage) fn part(of: u64, number: u16, id: u64, size: u64) -> Change {
    Change::PartPut(PartPut {
        upload: upload(of),
        number,
        size,
        etag: format!("etag-{id}"),
        checksums: BTreeMap::new(),
        stripes: stripes(id * 1000, size),
    })
}

/// All of them, of which so many must have each record.
pub(in crate::storage) fn membership(hosts: &[NodeId], wanted: usize) -> Membership {
    Membership::of(MemberSet {
        hosts: hosts.iter().copied().collect(),
        wanted,
    })
}

/// Compares what is counted with every change to what there is.
pub(in crate::storage) fn check_tallies(connection: &rusqlite::Connection) {
    let wrong: i64 = connection
        .query_row(
            "SELECT (SELECT count(*) FROM host WHERE
                 blocks <> (SELECT count(*) FROM block WHERE block.host = host.number) OR
                 block_bytes <> (SELECT coalesce(sum(payload_length), 0)
                     FROM block JOIN stripe ON stripe.number = block.stripe
                     WHERE block.host = host.number))
             + (SELECT positions <> (SELECT count(*) FROM repair) FROM repair_tally)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(wrong, 0, "what is counted of blocks is not what there is");
}
