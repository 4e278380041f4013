//! The form of records, which never changes.

use gridmart_schemas::{id::BlockId, scalar::BucketName, storage::Redundancy};
use proptest::prelude::*;

use super::fixture::{
    bucket, bucket_create, delete, node, part, put, root, stripe, stripe_id, upload, upload_create,
    version,
};
use crate::storage::metadata::{
    moment::Moment,
    record::{
        BucketUpdate, Change, Condition, DeleteTarget, DocumentKind, EtagMatch, ObjectPut,
        PartChoice, Quota, RECORD_BYTES_MAX, Record, RecordError, Retention, RetentionMode,
        UploadComplete, VersionChoice, Versioning,
    },
};

/// One of each, with all that can be in it.
fn all() -> Vec<Change> {
    let mut all = of_buckets();
    all.extend(of_objects());
    all.extend(of_the_pool());
    all
}

fn rich_put() -> ObjectPut {
    let mut object = put(1, "a/b", 40);
    object
        .head
        .headers
        .insert("content-type".into(), "text/plain".into());
    object.head.tags.insert("a".into(), "b".into());
    object.retention = Some(Retention {
        mode: RetentionMode::Compliance,
        until: Moment::from_microseconds(9),
    });
    object.condition = Condition {
        if_match: Some(EtagMatch::OneOf(vec!["x".into()])),
        if_none_match: Some(EtagMatch::Any),
        if_version: Some(version(3)),
    };
    object
}

fn of_buckets() -> Vec<Change> {
    vec![
        bucket_create(true),
        Change::BucketUpdate(BucketUpdate {
            bucket: bucket(),
            redundancy: Redundancy::replica(3).unwrap(),
            quota: Quota {
                bytes: Some(1),
                objects: None,
            },
        }),
        Change::BucketDelete { bucket: bucket() },
        Change::BucketVersioning {
            bucket: bucket(),
            versioning: Versioning::Suspended,
        },
        Change::BucketDocument {
            bucket: bucket(),
            kind: DocumentKind::ObjectLock,
            document: Some("<x/>".into()),
        },
    ]
}

fn of_objects() -> Vec<Change> {
    vec![
        Change::ObjectPut(rich_put()),
        delete("k", DeleteTarget::Object { marker: version(2) }),
        Change::ObjectTags {
            bucket: bucket(),
            key: "k".parse().unwrap(),
            version: VersionChoice::Id(version(1)),
            tags: [("a".to_owned(), "b".to_owned())].into(),
        },
        Change::ObjectLock {
            bucket: bucket(),
            key: "k".parse().unwrap(),
            version: VersionChoice::Null,
            retention: None,
            legal_hold: true,
            bypass: false,
        },
        upload_create(1, "k"),
        part(1, 2, 3, 20),
        Change::UploadComplete(UploadComplete {
            upload: upload(1),
            parts: vec![PartChoice {
                number: 2,
                etag: "e".into(),
            }],
            etag: "e-1".into(),
            checksums: [("sha256".to_owned(), "x".to_owned())].into(),
            condition: Condition::default(),
        }),
        Change::UploadAbort { upload: upload(1) },
    ]
}

fn of_the_pool() -> Vec<Change> {
    let block = BlockId {
        stripe: stripe_id(1),
        position: 2,
    };
    vec![
        Change::AccessKeyCreate {
            id: "AK".into(),
            person: "ada".parse().unwrap(),
            sealed_secret: vec![1, 2],
            label: "laptop".into(),
        },
        Change::AccessKeyDelete { id: "AK".into() },
        Change::BlockLost {
            block,
            host: node(1),
        },
        Change::BlockMoved {
            block,
            from: None,
            to: node(2),
            root: root(1),
        },
        Change::StripesCollected {
            stripes: vec![stripe_id(1)],
        },
        Change::HostKnown { host: node(1) },
        Change::HostRemoved { host: node(1) },
        Change::Setting {
            name: "a".into(),
            value: None,
        },
        Change::EpochBegun,
    ]
}

fn encoded(change: Change) -> Vec<u8> {
    let record = Record {
        time: Moment::from_microseconds(1_000_000),
        change,
    };
    let bytes = record.encode().unwrap();
    assert_eq!(Record::decode(&bytes).unwrap(), record);
    bytes
}

#[test]
fn the_form_of_records_stays() {
    let bytes: Vec<u8> = all().into_iter().flat_map(encoded).collect();
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "7e7ca3d65e7fa10f4ec29bb30cf4290e64ba9f834db79645ee3768cb4c21ea5b",
        "a record has another form: logs on Hosts could not be read any more"
    );
}

#[test]
fn the_form_of_what_was_added_later_stays() {
    let losses = Change::BucketLosses {
        bucket: bucket(),
        losses: 2,
    };
    let bytes = encoded(losses);
    let id = hex::encode(bucket().as_uuid().as_bytes());
    // Format, time, number of the change, length and bytes of the id, losses.
    assert_eq!(hex::encode(bytes), format!("0180897a1710{id}02"));
}

#[test]
fn sizes_are_those_that_are_stated() {
    let mut small = put(1, "photos/2026/11/22/image-000001.jpg", 0);
    small.size = 100_000;
    small.stripes = vec![stripe(stripe_id(1), 100_000)];
    let redundancy = Redundancy::replica(3).unwrap();
    small.stripes[0].redundancy = redundancy;
    small.stripes[0].payload_length = 100_000;
    small.stripes[0].blocks.truncate(3);
    let mut large = put(1, "disk.img", 0);
    large.size = 1280 << 24;
    large.stripes = (0..1280)
        .map(|number| stripe(stripe_id(number), 1 << 24))
        .collect();
    for (put, binary, text) in [
        (small, BINARY_SMALL, TEXT_SMALL),
        (large, BINARY_LARGE, TEXT_LARGE),
    ] {
        let change = Change::ObjectPut(put);
        let json = serde_json::to_string(&change).unwrap().len();
        let bytes = encoded(change).len();
        assert!(bytes <= binary && json >= text, "{bytes}, {json} as JSON");
    }
}

const BINARY_SMALL: usize = 300;
const TEXT_SMALL: usize = 800;
const BINARY_LARGE: usize = 450_000;
const TEXT_LARGE: usize = 1_100_000;

#[test]
fn records_are_bounded_and_other_formats_are_told() {
    let big = Change::Setting {
        name: "x".into(),
        value: Some("y".repeat(RECORD_BYTES_MAX)),
    };
    let record = Record {
        time: Moment::default(),
        change: big,
    };
    assert!(matches!(record.encode(), Err(RecordError::TooLarge(_))));
    assert!(matches!(
        Record::decode(&[2, 0]),
        Err(RecordError::Format(2))
    ));
    assert!(matches!(Record::decode(&[]), Err(RecordError::Format(0))));
    let name = BucketName::new("bucket").unwrap();
    assert!(
        encoded(bucket_create(false))
            .windows(6)
            .any(|at| at == name.as_str().as_bytes())
    );
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(which in 0_usize..22, at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = encoded(all().swap_remove(which));
        let index = at.index(bytes.len());
        bytes[index] = value;
        let _ = Record::decode(&bytes);
        let _ = Record::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn no_noise_makes_reading_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&bytes);
        bytes.insert(0, 1);
        let _ = Record::decode(&bytes);
    }
}
